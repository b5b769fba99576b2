//===- LowerToLLVMPass.cpp - Lowers kernels to the LLVM dialect -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/LLVM/KernelEmitter.h"
#include "cambium/Target/LLVM/LowerToLLVM.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWLOWERTOLLVM
#include "cambium/Transforms/Passes.h.inc"

namespace {

struct GrowLowerToLLVMPass : impl::GrowLowerToLLVMBase<GrowLowerToLLVMPass> {
  using GrowLowerToLLVMBase::GrowLowerToLLVMBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    GrowLowerToLLVMBase::getDependentDialects(registry);
    OpPassManager lowering(ModuleOp::getOperationName());
    buildLowerToLLVMPipeline(lowering);
    lowering.getDependentDialects(registry);
  }

  void runOnOperation() override {
    ModuleOp module = getOperation();
    SmallVector<Operation *> old;
    for (Operation &op : *module.getBody())
      old.push_back(&op);
    for (Operation *op : old)
      if (auto kernel = dyn_cast<KernelOp>(op))
        if (failed(emitKernel(kernel, vectorWidth, module)))
          return signalPassFailure();
    // In reverse, so that uses go before definitions.
    for (Operation *op : llvm::reverse(old))
      op->erase();
    OpPassManager lowering(ModuleOp::getOperationName());
    buildLowerToLLVMPipeline(lowering);
    if (failed(runPipeline(lowering, module)))
      signalPassFailure();
  }
};

} // namespace
} // namespace cambium::grow
