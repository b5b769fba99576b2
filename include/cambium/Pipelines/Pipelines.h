//===- Pipelines.h - Named pipelines ----------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_PIPELINES_PIPELINES_H
#define CAMBIUM_PIPELINES_PIPELINES_H

#include "cambium/Transforms/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassOptions.h"

#include <string>

namespace mlir {
class DialectRegistry;
}

namespace cambium::grow {

struct PipelineOptions : mlir::PassPipelineOptions<PipelineOptions> {
  PipelineOptions() = default;
  explicit PipelineOptions(const CompileOptions &compile) {
    keep = compile.keep;
    convAlgorithm = compile.convAlgorithm;
    precision = compile.precision;
    convLibrary = compile.convLibrary;
  }

  Option<std::string> loss{*this, "loss",
                           llvm::cl::desc("The function to differentiate"),
                           llvm::cl::init("loss")};
  Option<int64_t> vectorWidth{
      *this, "vector-width",
      llvm::cl::desc("Lanes of a vector register in f32"), llvm::cl::init(8)};
  Option<bool> fuseMaps{
      *this, "fuse-maps",
      llvm::cl::desc("Make maps that do not collapse into kernels"),
      llvm::cl::init(true)};
  Option<KeepPolicy> keep{
      *this, "keep",
      llvm::cl::desc("What maps that do not say it keep for their gradients"),
      llvm::cl::init(KeepPolicy::Auto), keepPolicyValues()};
  Option<ConvAlgorithm> convAlgorithm{
      *this, "conv-algorithm",
      llvm::cl::desc("How kernels over branches compute 3x3 convolutions"),
      llvm::cl::init(ConvAlgorithm::Auto), convAlgorithmValues()};
  Option<TargetKind> target{
      *this, "target", llvm::cl::desc("What the kernels are made for"),
      llvm::cl::init(TargetKind::Host), targetKindValues()};
  Option<Precision> precision{
      *this, "precision",
      llvm::cl::desc("What contractions on a CUDA device multiply"),
      llvm::cl::init(Precision::Fp32), precisionValues()};
  Option<ConvLibrary> convLibrary{
      *this, "conv-library",
      llvm::cl::desc("What computes contractions on a CUDA device"),
      llvm::cl::init(ConvLibrary::Generated), convLibraryValues()};
};

/// `grow-simplify`: calls inlined, linear branches collapsed, the other maps
/// fused or unrolled.
void buildSimplifyPipeline(mlir::OpPassManager &pm,
                           const PipelineOptions &options);

/// `grow-gradients`: grow-simplify, then @step with the loss function's
/// gradients as results.
void buildGradientsPipeline(mlir::OpPassManager &pm,
                            const PipelineOptions &options);

/// `grow-train`: grow-gradients; then @step updates the parameters, all other
/// functions are put in inference mode, and everything is kernels. Without a
/// loss function only the latter.
void buildTrainPipeline(mlir::OpPassManager &pm,
                        const PipelineOptions &options);

/// `grow-kernels`: what remains of functions outlined as kernels.
void buildKernelsPipeline(mlir::OpPassManager &pm,
                          const PipelineOptions &options);

/// Registers the pipelines and every pass that they use under their flags.
void registerPipelines();

/// The dialects that networks and kernels are written in.
void registerDialects(mlir::DialectRegistry &registry);

} // namespace cambium::grow

#endif // CAMBIUM_PIPELINES_PIPELINES_H
