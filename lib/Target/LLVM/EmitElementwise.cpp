//===- EmitElementwise.cpp - Clusters of elementwise operations -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A cluster runs over its elements as if they were one long vector, whatever
// the rank: no tails but the last one, also with few channels. A vector over
// the channels is therefore repeated in scratch memory beyond its end by the
// width of a vector, so that it can be read from any channel on.
//
//===----------------------------------------------------------------------===//

#include "EmitUtils.h"
#include "cambium/Target/LLVM/KernelEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace cambium::grow {

Value channelFactor(KernelBuilder &k, Value vector, Value variance,
                    double epsilon) {
  if (!variance)
    return vector;
  OpBuilder &b = k.builder;
  Value shift = k.broadcast(arith::ConstantOp::create(
      b, k.loc, FloatAttr::get(b.getF32Type(), epsilon)));
  Value deviation = math::SqrtOp::create(b, k.loc, k.add(variance, shift));
  return arith::DivFOp::create(b, k.loc, vector, deviation);
}

Value ElementValues::get(Value tensor) {
  if (Value known = values.lookup(tensor))
    return known;
  auto argument = dyn_cast<BlockArgument>(tensor);
  Value value = argument ? element(argument) : compute(tensor.getDefiningOp());
  set(tensor, value);
  return value;
}

Value ElementValues::compute(Operation *op) {
  OpBuilder &b = k.builder;
  if (auto norm = dyn_cast<BatchNormOp>(op)) {
    SmallVector<ChannelSource> sources = channelSources(op);
    Value mean = channel(sources[0]), factor = channel(sources[1]),
          shift = channel(sources[2]);
    // Not x * factor + (shift - mean * factor), which cancels for large means.
    Value distance =
        arith::SubFOp::create(b, k.loc, get(norm.getInput()), mean);
    return k.fma(distance, factor, shift);
  }
  if (auto scale = dyn_cast<WeightScaleOp>(op)) {
    Value factor = k.broadcast(arith::ConstantOp::create(
        b, k.loc,
        FloatAttr::get(b.getF32Type(), scale.getFactor().convertToDouble())));
    return arith::MulFOp::create(b, k.loc, get(scale.getInput()), factor);
  }
  Values operands;
  auto pointwise = dyn_cast<PointwiseOpInterface>(op);
  for (OpOperand &operand : op->getOpOperands())
    operands.push_back(
        pointwise && pointwise.isChannelOperand(operand.getOperandNumber())
            ? channel({operand.get(), {}})
            : get(operand.get()));
  if (pointwise)
    return pointwise.buildScalar(b, k.loc, operands);
  Value sum = operands.front();
  for (Value term : llvm::drop_begin(operands))
    sum = k.add(sum, term);
  return sum;
}

namespace {

/// The channel vectors of a cluster in scratch memory.
class ChannelTable {
public:
  explicit ChannelTable(Block &body) {
    for (Operation &op : body)
      for (const ChannelSource &source : channelSources(&op))
        if (!llvm::is_contained(sources, source))
          sources.push_back(source);
  }

  bool empty() const { return sources.empty(); }

  int64_t scratchBytes(int64_t channels) const {
    return static_cast<int64_t>(sources.size()) * (channels + maxVectorWidth) *
           static_cast<int64_t>(sizeof(float));
  }

  /// Fills the scratch memory.
  void prepare(KernelEmission &e, I64 channels) const {
    KernelBuilder &k = e.k;
    for (size_t i = 0; i < sources.size(); ++i) {
      const ChannelSource &source = sources[i];
      Value to = place(e, i, channels);
      e.forVectors(0, channels, [&](I64 channel, Value mask) {
        auto load = [&](Value vector) {
          return vector ? k.load(e.buffers[e.signature.bufferOf(vector)],
                                 channel, mask)
                        : Value();
        };
        Value factor = channelFactor(k, load(source.vector),
                                     load(source.variance), source.epsilon);
        k.store(factor, to, channel, mask);
      });
      k.loop(channels, channels + k.width, [&](I64 channel) {
        k.storeFloat(k.loadFloat(to, channel - channels), to, channel);
      });
    }
  }

  Value load(KernelEmission &e, const ChannelSource &source, I64 channels,
             I64 channel) const {
    size_t index = llvm::find(sources, source) - sources.begin();
    return e.k.load(place(e, index, channels), channel);
  }

private:
  Value place(KernelEmission &e, size_t index, I64 channels) const {
    return e.k.at(e.scratch, (channels + maxVectorWidth) *
                                 I64(static_cast<int64_t>(index)));
  }

  SmallVector<ChannelSource> sources;
};

/// Computes and stores one vector of each result.
void emitElements(KernelEmission &e, const ChannelTable &table, I64 offset,
                  Value mask, I64 channels, I64 channel) {
  ElementValues values(
      e.k,
      [&](BlockArgument argument) {
        return e.k.load(e.buffers[argument.getArgNumber()], offset, mask);
      },
      [&](const ChannelSource &source) {
        return table.load(e, source, channels, channel);
      });
  for (Operation &op : e.signature.body->without_terminator())
    values.get(op.getResult(0));
  int64_t buffer = e.signature.body->getNumArguments();
  for (Value yielded : e.signature.body->getTerminator()->getOperands())
    e.k.store(values.get(yielded), e.buffers[buffer++], offset, mask);
}

void emitCluster(KernelEmission &e, const ChannelTable &table, int64_t result) {
  KernelBuilder &k = e.k;
  e.phase([&](I64 begin, I64 end) {
    I64 elements = e.extents.elements(result);
    I64 channels = e.extents.channels(result);
    table.prepare(e, channels);
    k.loop(begin, end, [&](I64 task) {
      auto [first, last] = e.block(task, flatBlock, elements);
      if (table.empty()) {
        e.forVectors(first, last, [&](I64 offset, Value mask) {
          emitElements(e, table, offset, mask, channels, 0);
        });
        return;
      }
      // Both are less than the number of channels, so one subtraction keeps
      // their sum there.
      I64 step = I64(k.width) % channels;
      Value start = (first % channels).in(k);
      e.forVectors(
          first, last, start,
          [&](I64 offset, Value mask, ValueRange carried) -> Values {
            I64 channel(k, carried[0]);
            emitElements(e, table, offset, mask, channels, channel);
            I64 next = channel + step;
            return {selectLess(next, channels, next, next - channels).in(k)};
          });
    });
  });
}

} // namespace

FailureOr<KernelForm> elementwiseForm(KernelOp kernel,
                                      const Signature &signature) {
  for (Operation &op : signature.body->without_terminator())
    for (const ChannelSource &source : channelSources(&op))
      if (!source.isArgument())
        return op.emitOpError("takes a vector over channels that the kernel "
                              "computes itself; it must be an argument");
  int64_t result = signature.body->getNumArguments();
  if (result == signature.numBuffers())
    return kernel.emitOpError("yields nothing");
  ChannelTable table(*signature.body);
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes = flatLaunch(extents.elements(result));
    sizes.scratchBytes = table.scratchBytes(extents.channels(result));
    return sizes;
  };
  form.emit = [=](KernelEmission &e) { emitCluster(e, table, result); };
  return form;
}

} // namespace cambium::grow
