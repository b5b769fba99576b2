//===- LowerToEmitCPass.cpp - Lowers kernels to EmitC ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/CUDA/CudaEmitter.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/EmitC/IR/EmitC.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWLOWERTOEMITC
#include "cambium/Transforms/Passes.h.inc"

namespace {

struct GrowLowerToEmitCPass : impl::GrowLowerToEmitCBase<GrowLowerToEmitCPass> {
  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<Operation *> old;
    for (Operation &op : *module.getBody())
      old.push_back(&op);
    for (Operation *op : old)
      if (auto kernel = dyn_cast<KernelOp>(op))
        if (failed(emitCudaKernel(kernel, module)))
          return signalPassFailure();
    // In reverse, so that uses go before definitions.
    for (Operation *op : llvm::reverse(old))
      op->erase();
  }
};

} // namespace
} // namespace cambium::grow
