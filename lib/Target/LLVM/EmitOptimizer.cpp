//===- EmitOptimizer.cpp - Updates of parameters and their sum ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A task takes a block of elements through all parameters of the list, so the
// block's gradient and sum stay in the nearest cache however many there are.
//
//===----------------------------------------------------------------------===//

#include "EmitUtils.h"
#include "cambium/Target/LLVM/KernelEmitter.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace cambium::grow {

namespace {

constexpr int64_t optimizerBlock = 2048;

/// The rule of one optimizer: from weight, gradient and state to their new
/// values.
struct Rule {
  int64_t states;
  /// `old` holds the weight, then the state; so does the result. `rates` are
  /// vectors.
  std::function<Values(KernelEmission &, ArrayRef<Value> rates, Value gradient,
                       ArrayRef<Value> old)>
      apply;
};

Values applySgd(KernelEmission &e, bool momentum, bool nesterov,
                ArrayRef<Value> rates, Value gradient, ArrayRef<Value> old) {
  Value learningRate = rates[0], decay = rates[1], inertia = rates[2];
  Value weight = old[0];
  Value decayed = e.k.add(gradient, e.mul(decay, weight));
  if (!momentum)
    return {e.sub(weight, e.mul(learningRate, decayed))};
  Value moved = e.k.add(e.mul(inertia, old[1]), decayed);
  Value step = nesterov ? e.k.add(decayed, e.mul(inertia, moved)) : moved;
  return {e.sub(weight, e.mul(learningRate, step)), moved};
}

Values applyAdamW(KernelEmission &e, ArrayRef<Value> rates, Value gradient,
                  ArrayRef<Value> old) {
  Value learningRate = rates[0], decay = rates[1], beta1 = rates[2],
        beta2 = rates[3], epsilon = rates[4], unbias1 = rates[5],
        unbias2 = rates[6];
  Value weight = old[0], one = e.splat(1.0);
  auto average = [&](Value beta, Value before, Value now) {
    return e.k.add(e.mul(beta, before), e.mul(e.sub(one, beta), now));
  };
  Value mean = average(beta1, old[1], gradient);
  Value square = average(beta2, old[2], e.mul(gradient, gradient));
  Value deviation =
      math::SqrtOp::create(e.k.builder, e.k.loc, e.mul(square, unbias2));
  Value direction = e.div(e.mul(mean, unbias1), e.k.add(deviation, epsilon));
  Value step = e.k.add(e.mul(decay, weight), direction);
  return {e.sub(weight, e.mul(learningRate, step)), mean, square};
}

Rule ruleOf(Attribute optimizer) {
  if (auto sgd = dyn_cast<SgdAttr>(optimizer)) {
    bool momentum = sgd.getMomentum() != 0.0, nesterov = sgd.getNesterov();
    return {optimizerStates(optimizer),
            [=](KernelEmission &e, ArrayRef<Value> rates, Value gradient,
                ArrayRef<Value> old) {
              return applySgd(e, momentum, nesterov, rates, gradient, old);
            }};
  }
  return {optimizerStates(optimizer), applyAdamW};
}

class OptimizerEmitter {
public:
  OptimizerEmitter(KernelEmission &e, const Rule &rule, bool sum,
                   bool accumulate)
      : e(e), rule(rule), sum(sum), accumulate(accumulate) {}

  void emit() {
    e.phase([&](I64 begin, I64 end) {
      I64 elements = e.extents.elements(0);
      I64 count(e.k, e.k.loadInt64(e.dims, e.signature.numDims));
      e.k.loop(begin, end, [&](I64 task) {
        auto [first, last] = e.block(task, optimizerBlock, elements);
        e.k.loop(0, count, [&, first = first, last = last](I64 parameter) {
          updateBlock(parameter, first, last);
        });
      });
    });
  }

private:
  void updateBlock(I64 parameter, I64 first, I64 last) {
    // Before the parameters come the gradient and, if there is one, the sum.
    I64 slot = parameter * (rule.states + 2) + (sum ? 2 : 1);
    Value ratesAt = e.k.loadPointer(e.bufferArray, slot);
    Values rates, tensors;
    for (int64_t i = 0; i < optimizerRates; ++i)
      rates.push_back(e.k.broadcast(e.k.loadFloat(ratesAt, i)));
    for (int64_t i = 0; i <= rule.states; ++i)
      tensors.push_back(e.k.loadPointer(e.bufferArray, slot + (i + 1)));
    e.forVectors(first, last, [&](I64 offset, Value mask) {
      Values old;
      for (Value tensor : tensors)
        old.push_back(e.k.load(tensor, offset, mask));
      Value gradient = e.k.load(e.buffers[0], offset, mask);
      Values updated = rule.apply(e, rates, gradient, old);
      for (auto [tensor, value] : llvm::zip(tensors, updated))
        e.k.store(value, tensor, offset, mask);
      if (sum)
        addToSum(parameter, updated[0], offset, mask);
    });
  }

  /// The first parameter of the list overwrites the sum.
  void addToSum(I64 parameter, Value weight, I64 offset, Value mask) {
    Value total = e.k.add(e.k.load(e.buffers[1], offset, mask), weight);
    if (!accumulate)
      total = e.select(e.k.equal(parameter, 0), weight, total);
    e.k.store(total, e.buffers[1], offset, mask);
  }

  KernelEmission &e;
  const Rule &rule;
  const bool sum, accumulate;
};

} // namespace

KernelForm optimizerForm(OptimizerOp op) {
  Rule rule = ruleOf(op.getOptimizer());
  bool accumulate = op.getAccumulate(), sum = op.getSum() || accumulate;
  KernelForm form;
  form.numBuffers = sum ? 2 : 1;
  form.sizes = [states = rule.states](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {ceilDiv(extents.elements(0), optimizerBlock)};
    sizes.work = extents.elements(0) * extents.dims.back() * 2 * (states + 1);
    return sizes;
  };
  form.emit = [=](KernelEmission &e) {
    OptimizerEmitter(e, rule, sum, accumulate).emit();
  };
  return form;
}

} // namespace cambium::grow
