//===- Pipelines.cpp - Named pipelines ------------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Pipelines/Pipelines.h"

#include "cambium/IR/Grow.h"
#include "cambium/Target/LLVM/LowerToLLVM.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/EmitC/IR/EmitC.h"
#include "mlir/Dialect/Func/Extensions/InlinerExtension.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassRegistry.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;

namespace cambium::grow {

void buildSimplifyPipeline(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(createInlinerPass());
  pm.addNestedPass<func::FuncOp>(createGrowCollapse());
  if (options.fuseMaps)
    pm.addNestedPass<func::FuncOp>(createGrowFuseMaps({options.keep}));
  pm.addNestedPass<func::FuncOp>(createGrowUnrollMaps());
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void buildGradientsPipeline(OpPassManager &pm, const PipelineOptions &options) {
  buildSimplifyPipeline(pm, options);
  pm.addPass(createGrowDifferentiate({options.loss, "step"}));
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
}

void buildKernelsPipeline(OpPassManager &pm, const PipelineOptions &options) {
  pm.addPass(createCanonicalizerPass());
  pm.addPass(createCSEPass());
  pm.addPass(createGrowFormKernels({options.vectorWidth, options.convAlgorithm,
                                    options.target, options.precision,
                                    options.convLibrary}));
}

void buildTrainPipeline(OpPassManager &pm, const PipelineOptions &options) {
  if (options.loss.empty())
    buildSimplifyPipeline(pm, options);
  else
    buildGradientsPipeline(pm, options);
  pm.addNestedPass<func::FuncOp>(createGrowInference());
  if (!options.loss.empty())
    pm.addPass(createGrowApplyUpdates({"step"}));
  buildKernelsPipeline(pm, options);
}

void registerPipelines() {
  registerGrowPasses();
  registerTransformsPasses();
  PassPipelineRegistration<PipelineOptions>(
      "grow-simplify", "Inline, collapse, fuse and unroll a network",
      buildSimplifyPipeline);
  PassPipelineRegistration<PipelineOptions>(
      "grow-gradients", "Make a function of loss and gradients",
      buildGradientsPipeline);
  PassPipelineRegistration<PipelineOptions>(
      "grow-train", "Make kernels of a training step and of inference",
      buildTrainPipeline);
  PassPipelineRegistration<PipelineOptions>(
      "grow-kernels", "Outline functions as kernels", buildKernelsPipeline);
}

void registerDialects(DialectRegistry &registry) {
  registry.insert<GrowDialect, func::FuncDialect>();
  func::registerInlinerExtension(registry);
  registerLLVMTargetDialects(registry);
  // What CUDA kernels are emitted in.
  registry.insert<emitc::EmitCDialect>();
}

} // namespace cambium::grow
