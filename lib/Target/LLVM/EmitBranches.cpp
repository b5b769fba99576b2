//===- EmitBranches.cpp - Kernels over branches ---------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The hooks of a contraction of many branches come from the body of a
// grow.fused_map: what feeds its contraction, and what its contraction feeds.
// Each hook computes the operations that it needs at its own place, also such
// as another hook computes elsewhere.
//
//===----------------------------------------------------------------------===//

#include "BranchEmitter.h"
#include "EmitUtils.h"
#include "cambium/Target/Common/BranchBody.h"
#include "cambium/Target/LLVM/KernelEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"

using namespace mlir;

namespace cambium::grow {

using Kind = ContractionSpec::Kind;

//===----------------------------------------------------------------------===//
// Bits
//===----------------------------------------------------------------------===//

static constexpr int64_t bitsPerByte = 8;

static Value shiftRight3(KernelBuilder &k, Value value) {
  Value three = arith::ConstantOp::create(k.builder, k.loc,
                                          k.builder.getI64IntegerAttr(3));
  return arith::ShRUIOp::create(k.builder, k.loc, value, three);
}

/// The byte of the point's first channel.
static Value bitsAddress(KernelBuilder &k, Value base,
                         const BranchPoint &point) {
  I64 channels(k, point.channels);
  I64 pixelBytes(k, shiftRight3(k, (channels + (bitsPerByte - 1)).in(k)));
  I64 offset =
      I64(k, point.pixel) * pixelBytes + I64(k, shiftRight3(k, point.channel));
  return LLVM::GEPOp::create(k.builder, k.loc, base.getType(),
                             k.builder.getI8Type(), base,
                             ArrayRef<LLVM::GEPArg>{offset.in(k)});
}

/// vector<(W/8)xi1>: the bytes that the pixel has.
static Value existingBytes(KernelBuilder &k, const BranchPoint &point) {
  OpBuilder &b = k.builder;
  SmallVector<int64_t> firstBits;
  for (int64_t bit = 0; bit < k.width; bit += bitsPerByte)
    firstBits.push_back(bit);
  auto type =
      VectorType::get({static_cast<int64_t>(firstBits.size())}, b.getI64Type());
  Value bits = arith::ConstantOp::create(
      b, k.loc, DenseElementsAttr::get(type, ArrayRef<int64_t>(firstBits)));
  I64 rest = I64(k, point.channels) - I64(k, point.channel);
  Value limit = vector::BroadcastOp::create(b, k.loc, type, rest.in(k));
  return arith::CmpIOp::create(b, k.loc, arith::CmpIPredicate::slt, bits,
                               limit);
}

static VectorType bytesType(KernelBuilder &k) {
  return VectorType::get({k.width / bitsPerByte}, k.builder.getI8Type());
}

/// The vector<Wxi1> of a point, from a tensor whose pixels begin new bytes.
static Value loadBits(KernelBuilder &k, Value base, const BranchPoint &point) {
  OpBuilder &b = k.builder;
  Value from = bitsAddress(k, base, point);
  Value bytes;
  if (point.mask) {
    VectorType type = bytesType(k);
    Value none = arith::ConstantOp::create(
        b, k.loc, DenseElementsAttr::get(type, b.getI8IntegerAttr(0)));
    bytes = LLVM::MaskedLoadOp::create(b, k.loc, type, from,
                                       existingBytes(k, point), none,
                                       /*alignment=*/1);
  } else {
    bytes = LLVM::LoadOp::create(b, k.loc, b.getIntegerType(k.width), from,
                                 /*alignment=*/1);
  }
  return LLVM::BitcastOp::create(
      b, k.loc, VectorType::get({k.width}, b.getI1Type()), bytes);
}

/// Bits beyond the channels are stored as zeros, bytes beyond not at all.
static void storeBits(KernelBuilder &k, Value bits, Value base,
                      const BranchPoint &point) {
  OpBuilder &b = k.builder;
  Value to = bitsAddress(k, base, point);
  if (!point.mask) {
    Value bytes =
        LLVM::BitcastOp::create(b, k.loc, b.getIntegerType(k.width), bits);
    LLVM::StoreOp::create(b, k.loc, bytes, to, /*alignment=*/1);
    return;
  }
  Value existing = arith::AndIOp::create(b, k.loc, bits, point.mask);
  Value bytes = LLVM::BitcastOp::create(b, k.loc, bytesType(k), existing);
  LLVM::MaskedStoreOp::create(b, k.loc, bytes, to, existingBytes(k, point),
                              /*alignment=*/1);
}

//===----------------------------------------------------------------------===//
// Places
//===----------------------------------------------------------------------===//

namespace {

/// Where a tensor lies: among the shared buffers or among the branch's own.
/// Of a slice, the last dimension is that of all branches.
struct Access {
  int64_t buffer = -1;
  bool perBranch = false;
  bool sliced = false;
};

/// The buffers of a kernel over branches.
class BranchBuffers {
public:
  BranchBuffers(KernelOp kernel, const Signature &signature)
      : signature(signature), map(kernel.getFusedMap()),
        tupleOperands(map.getTupleSize()),
        sharedOperands(signature.body->getNumArguments() - tupleOperands),
        numEach(kernel.getNumEach()),
        sharedResults(signature.body->getTerminator()->getNumOperands() -
                      numEach) {}

  int64_t workspace() { return sharedOperands + sharedResults; }
  int64_t numShared() { return workspace() + 1; }
  int64_t tupleSize() { return tupleOperands + numEach; }

  int64_t sharedResult(int64_t index) { return sharedOperands + index; }
  /// Place among a branch's buffers of what the map's yield `index` gives.
  int64_t eachResult(int64_t index) {
    return tupleOperands + llvm::count_if(llvm::seq(index), [&](int64_t i) {
             return map.getJoin(i) == Join::Each;
           });
  }

  /// Of an argument of the map's body.
  Access access(BlockArgument argument) {
    int64_t index = argument.getArgNumber();
    int64_t inputs = map.getInputs().size(), slices = map.getSlices().size();
    if (index < inputs + slices)
      return {signature.bufferOf(map->getOperand(index)), false,
              index >= inputs};
    return {index - inputs - slices, true, false};
  }

  BranchSlot slot(BlockArgument argument) {
    Access place = access(argument);
    int64_t kernelArgument =
        place.perBranch ? sharedOperands + place.buffer : place.buffer;
    return {place.buffer, place.perBranch, signature.firstDims[kernelArgument]};
  }
  BranchSlot sharedResultSlot(int64_t index) {
    return {sharedResult(index), false,
            signature.firstDims[signature.body->getNumArguments() + index]};
  }
  BranchSlot eachResultSlot(int64_t yield) {
    int64_t buffer = eachResult(yield);
    int64_t result = sharedResults + buffer - tupleOperands;
    return {buffer, true,
            signature.firstDims[signature.body->getNumArguments() + result]};
  }

private:
  const Signature &signature;
  FusedMapOp map;
  int64_t tupleOperands, sharedOperands, numEach, sharedResults;
};

I64 channelOffset(KernelBuilder &k, const BranchPoint &point, bool sliced) {
  I64 channel(k, point.channel);
  if (!sliced)
    return channel;
  return I64(k, point.branch) * I64(k, point.channels) + channel;
}

/// The hooks of a kernel.
class HookEmitter {
public:
  HookEmitter(KernelOp kernel, const Signature &signature,
              const BranchBody &body)
      : kernel(signature.body), map(body.map), body(body),
        buffers(kernel, signature),
        concat(body.spec.join == BranchSpec::Join::Concat) {}

  Value input(KernelBuilder &k, Value element, const BranchPoint &point);
  Value gradient(KernelBuilder &k, Value accumulator, const BranchPoint &point,
                 SmallVectorImpl<Value> *sums);
  Value epilogue(KernelBuilder &k, Value accumulator, const BranchPoint &point);
  Value finish(KernelBuilder &k, Value joined, const BranchPoint &point);

  /// True if something is computed of what is joined, or more is stored.
  bool hasFinish() {
    auto yielded = kernel->getTerminator()->getOperands();
    return body.linearEpilogue || yielded[0] != body.joinedResult() ||
           yielded.size() != map.getJoins().size();
  }

private:
  Value load(KernelBuilder &k, BlockArgument argument, const Access &access,
             const BranchPoint &point);
  /// Values at a point. Arguments of the kernel have the place of its result.
  ElementValues valuesAt(KernelBuilder &k, const BranchPoint &point);
  Access accessOf(BlockArgument argument) {
    if (argument.getOwner() == kernel)
      return {argument.getArgNumber(), false, concat};
    return buffers.access(argument);
  }

  Block *kernel;
  FusedMapOp map;
  const BranchBody &body;
  BranchBuffers buffers;
  bool concat;
};

Value HookEmitter::load(KernelBuilder &k, BlockArgument argument,
                        const Access &access, const BranchPoint &point) {
  Value base = access.perBranch ? point.tuple[access.buffer]
                                : point.shared[access.buffer];
  auto type = cast<RankedTensorType>(argument.getType());
  if (type.getElementType().isInteger(1))
    return loadBits(k, base, point);
  I64 offset = type.getRank() == 1 ? channelOffset(k, point, access.sliced)
                                   : elementOffset(k, point, access.sliced);
  return k.load(base, offset, point.mask);
}

ElementValues HookEmitter::valuesAt(KernelBuilder &k,
                                    const BranchPoint &point) {
  auto loadArgument = [this, &k, &point](Value value) {
    auto argument = cast<BlockArgument>(value);
    return load(k, argument, accessOf(argument), point);
  };
  return ElementValues(
      k, loadArgument, [&k, loadArgument](const ChannelSource &source) {
        Value variance =
            source.variance ? loadArgument(source.variance) : Value();
        return channelFactor(k, loadArgument(source.vector), variance,
                             source.epsilon);
      });
}

/// In the body's order, so that no chain is too long for the stack.
void evaluate(ArrayRef<Operation *> ops, ElementValues &values) {
  for (Operation *op : ops)
    values.get(op->getResult(0));
}

Value HookEmitter::input(KernelBuilder &k, Value element,
                         const BranchPoint &point) {
  ElementValues values = valuesAt(k, point);
  values.set(body.input, element);
  evaluate(body.inputSlice.ops, values);
  return values.get(body.contractedInput());
}

Value HookEmitter::gradient(KernelBuilder &k, Value accumulator,
                            const BranchPoint &point,
                            SmallVectorImpl<Value> *sums) {
  ElementValues values = valuesAt(k, point);
  if (body.recomputed)
    values.set(body.recomputed->getResult(0), accumulator);
  evaluate(body.gradientSlice.ops, values);
  if (sums)
    for (const BranchBody::Sum &sum : body.sums)
      sums->push_back(values.get(sum.vector));
  return values.get(body.contractedGradient());
}

Value HookEmitter::epilogue(KernelBuilder &k, Value accumulator,
                            const BranchPoint &point) {
  ElementValues values = valuesAt(k, point);
  values.set(body.anchor->getResult(0), accumulator);
  evaluate(body.epilogueSlice.ops, values);
  for (auto [index, yielded] : llvm::enumerate(map.getYielded())) {
    if (map.getJoin(index) != Join::Each)
      continue;
    Value vector = values.get(yielded);
    Value base = point.tuple[buffers.eachResult(index)];
    if (getElementTypeOrSelf(yielded).isInteger(1))
      storeBits(k, vector, base, point);
    else
      k.store(vector, base, elementOffset(k, point, /*sliced=*/false),
              point.mask);
  }
  return values.get(map.getYielded()[body.joined]);
}

Value HookEmitter::finish(KernelBuilder &k, Value joined,
                          const BranchPoint &point) {
  if (body.linearEpilogue)
    joined = epilogue(k, joined, point);
  ElementValues values = valuesAt(k, point);
  values.set(body.joinedResult(), joined);
  for (Operation &op : kernel->without_terminator())
    if (&op != map)
      values.get(op.getResult(0));
  auto yielded = kernel->getTerminator()->getOperands();
  int64_t shared = yielded.size() - (map.getJoins().size() - 1);
  for (int64_t index = 1; index < shared; ++index)
    k.store(values.get(yielded[index]),
            point.shared[buffers.sharedResult(index)],
            elementOffset(k, point, concat), point.mask);
  return values.get(yielded[0]);
}

//===----------------------------------------------------------------------===//
// The form
//===----------------------------------------------------------------------===//

BranchLayout layoutOf(KernelOp kernel, const Signature &signature,
                      const BranchBody &body) {
  BranchBuffers buffers(kernel, signature);
  BranchLayout layout;
  if (body.input)
    layout.input = buffers.slot(body.input);
  if (body.filter)
    layout.filter = buffers.slot(body.filter);
  if (body.gradient) {
    layout.gradient = buffers.slot(body.gradient);
    layout.slicedGradient = buffers.access(body.gradient).sliced;
  }
  layout.result = body.spec.contraction.kind == Kind::BackwardFilter
                      ? buffers.eachResultSlot(body.joined)
                      : buffers.sharedResultSlot(0);
  for (const BranchBody::Sum &sum : body.sums)
    layout.sums.push_back(buffers.eachResultSlot(sum.yield));
  layout.workspace = buffers.workspace();
  layout.numShared = buffers.numShared();
  layout.tupleSize = buffers.tupleSize();
  layout.branchesDim = signature.numDims;
  return layout;
}

LogicalResult verifySchedule(KernelOp kernel,
                             const ContractionSchedule &schedule,
                             const BranchBody &body) {
  if (schedule.winograd != 0) {
    if (schedule.winograd != 4)
      return kernel.emitOpError()
             << "has a schedule for Winograd tiles of " << schedule.winograd
             << "; 4 is possible, and 0 for none";
    if (!body.takesWinograd())
      return kernel.emitOpError(
          "has a schedule for Winograd's algorithm, which does not suit its "
          "grow.fused_map; set winograd to 0");
  }
  if (schedule.order != TileOrder::Rows)
    return kernel.emitOpError("has a schedule in order of ")
           << tileOrderName(schedule.order)
           << ", but kernels over branches have order rows only";
  int64_t least = branchVectorWidth(body.map, schedule.vectorWidth);
  if (schedule.vectorWidth < least)
    return kernel.emitOpError()
           << "has a schedule for vectors of " << schedule.vectorWidth
           << " floats, but bits need at least " << least;
  return success();
}

void emitBranchKernel(KernelEmission &e, HookEmitter &emitter,
                      const BranchBody &body,
                      const ContractionSchedule &schedule,
                      const BranchLayout &layout) {
  auto input = [&](OpBuilder &b, Location loc, Value element,
                   const BranchPoint &point) {
    KernelBuilder k(b, loc, schedule.vectorWidth);
    return emitter.input(k, element, point);
  };
  auto gradient = [&](OpBuilder &b, Location loc, Value accumulator,
                      const BranchPoint &point) {
    KernelBuilder k(b, loc, schedule.vectorWidth);
    return emitter.gradient(k, accumulator, point, nullptr);
  };
  auto gradientAndSums = [&](OpBuilder &b, Location loc, Value accumulator,
                             const BranchPoint &point,
                             SmallVectorImpl<Value> &sums) {
    KernelBuilder k(b, loc, schedule.vectorWidth);
    return emitter.gradient(k, accumulator, point, &sums);
  };
  auto epilogue = [&](OpBuilder &b, Location loc, Value accumulator,
                      const BranchPoint &point) {
    KernelBuilder k(b, loc, schedule.vectorWidth);
    return emitter.epilogue(k, accumulator, point);
  };
  auto finish = [&](OpBuilder &b, Location loc, Value joined,
                    const BranchPoint &point) {
    KernelBuilder k(b, loc, schedule.vectorWidth);
    return emitter.finish(k, joined, point);
  };
  Kind kind = body.spec.contraction.kind;
  BranchHooks hooks;
  if (body.input && body.contractedInput() != body.input)
    hooks.input = input;
  if (kind != Kind::Forward && body.sums.empty())
    hooks.gradient = gradient;
  if (!body.sums.empty())
    hooks.gradientAndSums = gradientAndSums;
  if (body.hasEpilogue())
    hooks.epilogue = epilogue;
  if (kind != Kind::BackwardFilter && emitter.hasFinish())
    hooks.finish = finish;
  emitBranches(e.k.builder, e.k.loc, e.name, body.spec, schedule, layout,
               hooks);
}

} // namespace

FailureOr<KernelForm> branchForm(KernelOp kernel, const Signature &signature) {
  Refusal refusal;
  FailureOr<BranchBody> sorted = sortBody(kernel.getFusedMap(), refusal);
  if (failed(sorted))
    return refusal.op->emitOpError(refusal.why);
  BranchBody body = *sorted;
  FailureOr<ContractionSchedule> found = scheduleOf(kernel);
  if (failed(found) || failed(verifySchedule(kernel, *found, body)) ||
      failed(verifySurroundings(kernel, signature, body)))
    return failure();
  ContractionSchedule schedule = *found;
  BranchLayout layout = layoutOf(kernel, signature, body);
  KernelForm form;
  form.numBuffers = layout.numShared;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes =
        branchesLaunch(body.spec, schedule, layout, extents.dims);
    bool isForward = body.spec.contraction.kind == Kind::Forward,
         isFilter = body.spec.contraction.kind == Kind::BackwardFilter;
    sizes.work =
        extents.dims.back() *
        contractionWork(body.spec.contraction, extents.dims,
                        (isForward ? layout.result : layout.gradient).firstDim,
                        (isFilter ? layout.result : layout.filter).firstDim);
    // The buffers have a place for it.
    sizes.workspaceBytes = std::max<int64_t>(sizes.workspaceBytes, 64);
    return sizes;
  };
  form.emit = [=, &signature](KernelEmission &e) {
    HookEmitter emitter(kernel, signature, body);
    emitBranchKernel(e, emitter, body, schedule, layout);
  };
  return form;
}

int64_t branchVectorWidth(FusedMapOp map, int64_t vectorWidth) {
  return usesBits(map) ? std::max(vectorWidth, bitsPerByte) : vectorWidth;
}

} // namespace cambium::grow
