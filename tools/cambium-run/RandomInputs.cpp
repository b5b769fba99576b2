//===- RandomInputs.cpp - Values for a function's arguments ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RandomInputs.h"
#include "cambium/IR/Grow.h"

#include <random>

using namespace mlir;
using namespace cambium;

/// The least number of classes among the losses that read `labels`, also in
/// functions it is passed to; `none` if there is no such loss. `depth` ends
/// recursion.
static int64_t countClasses(Value labels, int64_t none, unsigned depth = 0) {
  int64_t classes = none;
  for (OpOperand &use : labels.getUses()) {
    Operation *user = use.getOwner();
    if (auto loss = dyn_cast<grow::SoftmaxCrossEntropyOp>(user)) {
      int64_t known =
          cast<RankedTensorType>(loss.getLogits().getType()).getDimSize(1);
      if (!ShapedType::isDynamic(known))
        classes = std::min(classes, known);
    } else if (auto call = dyn_cast<func::CallOp>(user)) {
      auto callee = SymbolTable::lookupNearestSymbolFrom<func::FuncOp>(
          call, call.getCalleeAttr());
      if (callee && !callee.isExternal() && depth < 16)
        classes = std::min(
            classes, countClasses(callee.getArgument(use.getOperandNumber()),
                                  none, depth + 1));
    }
  }
  return classes;
}

FailureOr<Tensors> cambium::drawInputs(func::FuncOp function, int64_t batch,
                                       uint64_t seed) {
  Tensors inputs;
  for (auto [index, type] : llvm::enumerate(function.getArgumentTypes())) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    if (!tensor || function.isExternal())
      return function.emitOpError()
             << "cannot be run: input " << index << " is " << type
             << (tensor ? " of a declaration" : ", not a ranked tensor");
    llvm::SmallVector<int64_t> shape(tensor.getShape());
    if (!shape.empty() && ShapedType::isDynamic(shape[0]))
      shape[0] = batch;
    if (llvm::any_of(shape, ShapedType::isDynamic))
      return function.emitOpError()
             << "cannot get random inputs: input " << index << " is " << tensor
             << "; only the first extent may be dynamic";
    std::seed_seq sequence = {static_cast<uint32_t>(seed),
                              static_cast<uint32_t>(seed >> 32),
                              static_cast<uint32_t>(index)};
    std::mt19937_64 random(sequence);
    ReferenceTensor input(shape);
    if (tensor.getElementType().isInteger()) {
      int64_t classes = countClasses(function.getArgument(index), 1 << 20);
      std::uniform_int_distribution<int64_t> label(0, classes - 1);
      for (double &value : input.data)
        value = static_cast<double>(label(random));
    } else {
      std::normal_distribution<float> normal;
      for (double &value : input.data)
        value = normal(random);
    }
    inputs.push_back(std::move(input));
  }
  return inputs;
}
