//===- BranchContraction.cpp - Emits contractions of many branches --------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchEmitter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace cambium {

using Kind = ContractionSpec::Kind;
using Join = BranchSpec::Join;

ContractionSpec forwardSpec(ContractionSpec spec) {
  spec.kind = Kind::Forward;
  return spec;
}

Extents<int64_t> branchExtents(const BranchSpec &spec,
                               const BranchLayout &layout,
                               ArrayRef<int64_t> dims) {
  return readBranchExtents<int64_t>(spec, layout,
                                    [&](int64_t index) { return dims[index]; });
}

Extents<I64> BranchEmitter::extents(Value dims) {
  return readBranchExtents<I64>(spec, layout, [&](int64_t index) {
    return I64(k, k.loadInt64(dims, index));
  });
}

I64 BranchEmitter::branches(Value dims) {
  return I64(k, k.loadInt64(dims, layout.branchesDim));
}

void BranchEmitter::phase(unsigned index,
                          function_ref<void(const PhaseArguments &)> emit) {
  emitPhase(k, kernelName, index, layout.numShared, emit);
}

BranchEmitter::Values BranchEmitter::tuple(const PhaseArguments &arguments,
                                           I64 branch) {
  Values pointers;
  I64 first = branch * layout.tupleSize + layout.numShared;
  for (int64_t index = 0; index < layout.tupleSize; ++index)
    pointers.push_back(k.loadPointer(arguments.pointers, first + index));
  return pointers;
}

Value BranchEmitter::buffer(const BranchSlot &slot,
                            const PhaseArguments &arguments,
                            ArrayRef<Value> tuple) {
  return slot.perBranch ? tuple[slot.buffer] : arguments.buffers[slot.buffer];
}

BranchPoint BranchEmitter::point(const PhaseArguments &arguments, I64 branch,
                                 I64 branches, ArrayRef<Value> tuple, I64 pixel,
                                 I64 channel, I64 channels, Value mask) {
  return {branch.in(k),   branches.in(k), pixel.in(k),       channel.in(k),
          channels.in(k), mask,           arguments.buffers, tuple};
}

I64 elementOffset(KernelBuilder &k, const BranchPoint &point, bool sliced) {
  I64 pixel(k, point.pixel), channel(k, point.channel);
  I64 channels(k, point.channels);
  if (!sliced)
    return pixel * channels + channel;
  I64 branch(k, point.branch), branches(k, point.branches);
  return (pixel * branches + branch) * channels + channel;
}

Value BranchEmitter::load(const BranchSlot &slot, bool sliced,
                          const BranchPoint &point) {
  Value base =
      slot.perBranch ? point.tuple[slot.buffer] : point.shared[slot.buffer];
  return k.load(base, elementOffset(k, point, sliced), point.mask);
}

Value BranchEmitter::input(const BranchPoint &point) {
  Value element = load(layout.input, /*sliced=*/false, point);
  return hooks.input ? hooks.input(k.builder, k.loc, element, point) : element;
}

Value BranchEmitter::gradient(Value accumulator, const BranchPoint &point) {
  if (hooks.gradient)
    return hooks.gradient(k.builder, k.loc, accumulator, point);
  return load(layout.gradient, layout.slicedGradient, point);
}

void BranchEmitter::inputRow(TileEmitter &tiles,
                             const PhaseArguments &arguments, I64 branches,
                             I64 firstPixel, I64 existing, I64 firstChannel,
                             I64 groupChannels, I64 channels, Value to,
                             I64 scratchColumns) {
  if (!hooks.input) {
    Value from = k.at(arguments.buffers[layout.input.buffer],
                      firstPixel * channels + firstChannel);
    return tiles.copyRow(from, existing, channels, to, groupChannels,
                         scratchColumns);
  }
  TileEmitter::RowSpan span = tiles.rowSpan(existing, scratchColumns);
  I64 first = firstPixel + span.skipped;
  Value row = k.at(to, span.left * groupChannels);
  tiles.clearMargins(to, existing, groupChannels, scratchColumns);
  k.loop(0, span.count, [&](I64 column) {
    k.forVectors(groupChannels, [&](I64 channel, Value mask) {
      BranchPoint at{Value(),
                     branches.in(k),
                     (first + column).in(k),
                     (firstChannel + channel).in(k),
                     channels.in(k),
                     mask,
                     arguments.buffers,
                     {}};
      k.store(input(at), row, column * groupChannels + channel, mask);
    });
  });
}

VectorType BranchEmitter::doubles() {
  return VectorType::get({k.width}, k.builder.getF64Type());
}

Value BranchEmitter::zeroDoubles() {
  return arith::ConstantOp::create(k.builder, k.loc,
                                   k.builder.getZeroAttr(doubles()));
}

Value BranchEmitter::loadDoubles(Value base, I64 offset) {
  return LLVM::LoadOp::create(k.builder, k.loc, doubles(), k.at(base, offset),
                              sizeof(double));
}

void BranchEmitter::storeDoubles(Value vector, Value base, I64 offset) {
  LLVM::StoreOp::create(k.builder, k.loc, vector, k.at(base, offset),
                        sizeof(double));
}

Value BranchEmitter::meanFactor(I64 branches) {
  Value count = arith::SIToFPOp::create(k.builder, k.loc,
                                        k.builder.getF32Type(), branches.in(k));
  Value one =
      arith::ConstantOp::create(k.builder, k.loc, k.builder.getF32FloatAttr(1));
  return k.broadcast(arith::DivFOp::create(k.builder, k.loc, one, count));
}

void BranchEmitter::join(Value accumulator, const BranchPoint &point) {
  Value value = hooks.epilogue
                    ? hooks.epilogue(k.builder, k.loc, accumulator, point)
                    : accumulator;
  bool concat = spec.join == Join::Concat;
  Value base = point.shared[layout.result.buffer];
  I64 offset = elementOffset(k, point, concat);
  if (concat) {
    if (hooks.finish)
      value = hooks.finish(k.builder, k.loc, value, point);
    k.store(value, base, offset, point.mask);
    return;
  }

  I64 branch(k, point.branch), branches(k, point.branches);
  value = k.ifThenYield(
      k.less(0, branch),
      [&]() -> Values {
        return {k.add(k.load(base, offset, point.mask), value)};
      },
      value)[0];
  bool mean = spec.join == Join::Mean;
  if (mean || hooks.finish)
    value = k.ifThenYield(
        k.equal(branch + 1, branches),
        [&]() -> Values {
          Value joined = value;
          if (mean)
            joined = arith::MulFOp::create(k.builder, k.loc, joined,
                                           meanFactor(branches));
          if (!hooks.finish)
            return {joined};
          BranchPoint shared = point;
          shared.branch = Value();
          shared.tuple = {};
          return {hooks.finish(k.builder, k.loc, joined, shared)};
        },
        value)[0];
  k.store(value, base, offset, point.mask);
}

void emitBranches(OpBuilder &builder, Location loc, StringRef kernelName,
                  const BranchSpec &spec, const ContractionSchedule &schedule,
                  const BranchLayout &layout, const BranchHooks &hooks) {
  KernelBuilder kernel(builder, loc, schedule.vectorWidth);
  BranchEmitter emitter{kernel, kernelName, spec, schedule, layout, hooks};
  bool winograd = schedule.winograd > 0;
  switch (spec.contraction.kind) {
  case Kind::Forward:
    return winograd ? emitWinogradForward(emitter) : emitBranchRows(emitter);
  case Kind::BackwardData:
    return winograd ? emitWinogradData(emitter) : emitBranchRows(emitter);
  case Kind::BackwardFilter:
    return winograd ? emitWinogradFilter(emitter) : emitBranchFilter(emitter);
  }
}

LaunchSizes branchesLaunch(const BranchSpec &spec,
                           const ContractionSchedule &schedule,
                           const BranchLayout &layout, ArrayRef<int64_t> dims) {
  bool winograd = schedule.winograd > 0;
  auto launch = branchRowsLaunch;
  switch (spec.contraction.kind) {
  case Kind::Forward:
    launch = winograd ? winogradForwardLaunch : branchRowsLaunch;
    break;
  case Kind::BackwardData:
    launch = winograd ? winogradDataLaunch : branchRowsLaunch;
    break;
  case Kind::BackwardFilter:
    launch = winograd ? winogradFilterLaunch : branchFilterLaunch;
    break;
  }
  return launch(spec, schedule, layout, dims);
}

} // namespace cambium
