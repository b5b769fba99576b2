//===- Inference.cpp - Layers in inference mode ---------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchTags.h"

#include "cambium/IR/Grow.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWINFERENCE
#include "cambium/Transforms/Passes.h.inc"

namespace {
struct InferencePass : impl::GrowInferenceBase<InferencePass> {
  void runOnOperation() override {
    getOperation().walk([](BatchNormOp op) { op.setInference(true); });
    eraseBranchTags(getOperation());
  }
};
} // namespace
} // namespace cambium::grow
