//===- EmitContraction.cpp - Contractions with their epilogue -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmitUtils.h"
#include "cambium/Target/LLVM/KernelEmitter.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace cambium::grow {

/// Launch sizes depend on the schedule, so a kernel must carry one.
FailureOr<ContractionSchedule> scheduleOf(KernelOp kernel) {
  RegisterTileAttr attr = kernel.getScheduleAttr();
  if (!attr)
    return kernel.emitOpError("needs a schedule for its contraction");
  ContractionSchedule schedule;
  schedule.vectorWidth = attr.getWidth();
  schedule.vectors = attr.getVectors();
  schedule.tile = attr.getTile();
  schedule.tailTile = attr.getTailTile();
  schedule.winograd = attr.getWinograd();
  schedule.order = attr.getOrder();
  if (!isVectorWidth(schedule.vectorWidth))
    return kernel.emitOpError()
           << "has a schedule for vectors of " << schedule.vectorWidth
           << " floats; 4, 8 and 16 are possible";
  if (schedule.vectors < 1 || schedule.tile < 1 || schedule.tailTile < 1)
    return kernel.emitOpError("has a schedule with sizes that are not "
                              "positive");
  // No register file is larger, and the tile is unrolled.
  constexpr int64_t most = 64;
  if (schedule.vectors > most || schedule.tile > most ||
      schedule.tailTile > most)
    return kernel.emitOpError()
           << "has a schedule with sizes of more than " << most;
  return schedule;
}

static ContractionLayout layoutOf(const Signature &signature,
                                  Operation *anchor) {
  auto slot = [&](int64_t buffer) {
    return TensorSlot{buffer, signature.firstDims[buffer]};
  };
  ContractionLayout layout;
  layout.lhs = slot(signature.bufferOf(anchor->getOperand(0)));
  layout.rhs = slot(signature.bufferOf(anchor->getOperand(1)));
  layout.result = slot(signature.body->getNumArguments());
  layout.workspace = signature.workspace();
  layout.numBuffers = signature.numBuffers() + 1;
  return layout;
}

/// Passes an accumulator through the operations after the anchor. Stores all
/// results but the first, which it returns.
static Value emitEpilogue(KernelBuilder &k, const Signature &signature,
                          Operation *anchor, Value accumulator,
                          const OutputPoint &point) {
  auto load = [&](Value tensor, Value offset) {
    return loadVector(k.builder, k.loc,
                      point.buffers[signature.bufferOf(tensor)], offset,
                      k.width, point.mask);
  };
  ElementValues values(
      k, [&](BlockArgument argument) { return load(argument, point.offset); },
      [&](const ChannelSource &source) {
        Value variance;
        if (source.variance)
          variance = load(source.variance, point.channel);
        return channelFactor(k, load(source.vector, point.channel), variance,
                             source.epsilon);
      });
  values.set(anchor->getResult(0), accumulator);
  for (Operation &op : signature.body->without_terminator())
    values.get(op.getResult(0));
  auto yielded = signature.body->getTerminator()->getOperands();
  for (size_t i = 1; i < yielded.size(); ++i)
    storeVector(k.builder, k.loc, values.get(yielded[i]),
                point.buffers[signature.body->getNumArguments() + i],
                point.offset, point.mask);
  return values.get(yielded[0]);
}

static LogicalResult verifyEpilogue(KernelOp kernel, const Signature &signature,
                                    Operation *anchor) {
  for (Value operand : anchor->getOperands())
    if (!isa<BlockArgument>(operand))
      return anchor->emitOpError(
          "takes a tensor that the kernel computes itself; it must be an "
          "argument");
  int64_t first = signature.body->getNumArguments();
  if (first == signature.numBuffers())
    return kernel.emitOpError("yields nothing");
  Type type = anchor->getResult(0).getType();
  for (Type result : ArrayRef(signature.tensors).drop_front(first))
    if (!compatibleTypes(type, result))
      return kernel.emitOpError()
             << "yields " << result << " but its contraction gives " << type;
  return success();
}

FailureOr<KernelForm> contractionForm(KernelOp kernel,
                                      const Signature &signature,
                                      Operation *anchor) {
  FailureOr<ContractionSpec> found = contractionSpec(anchor);
  if (failed(found))
    return anchor->emitOpError("needs a window of static size in a kernel");
  FailureOr<ContractionSchedule> tile = scheduleOf(kernel);
  if (failed(tile) || failed(verifyEpilogue(kernel, signature, anchor)))
    return failure();
  ContractionSpec spec = *found;
  ContractionSchedule schedule = *tile;
  if (schedule.winograd != 0)
    return kernel.emitOpError("has a schedule for Winograd's algorithm, which "
                              "only kernels over branches have; set winograd "
                              "to 0");
  if (!supportsOrder(spec, schedule.order))
    return kernel.emitOpError("has a schedule in order of ")
           << tileOrderName(schedule.order)
           << ", which there is not for its contraction; set order to rows";
  ContractionLayout layout = layoutOf(signature, anchor);
  using Kind = ContractionSpec::Kind;
  TensorSlot y = spec.kind == Kind::Forward        ? layout.result
                 : spec.kind == Kind::BackwardData ? layout.lhs
                                                   : layout.rhs,
             w = spec.kind == Kind::BackwardFilter ? layout.result : layout.rhs;
  KernelForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes = contractionLaunch(spec, schedule, layout, extents.dims);
    sizes.work = contractionWork(spec, extents.dims, y.firstDim, w.firstDim);
    return sizes;
  };
  form.emit = [=, &signature](KernelEmission &e) {
    bool plain = llvm::hasSingleElement(signature.body->without_terminator());
    auto epilogue = [&](OpBuilder &builder, Location loc, Value accumulator,
                        const OutputPoint &point) {
      KernelBuilder k(builder, loc, schedule.vectorWidth);
      return emitEpilogue(k, signature, anchor, accumulator, point);
    };
    emitContraction(e.k.builder, e.k.loc, e.name, spec, schedule, layout,
                    plain ? EpilogueFn(nullptr) : EpilogueFn(epilogue));
  };
  return form;
}

} // namespace cambium::grow
