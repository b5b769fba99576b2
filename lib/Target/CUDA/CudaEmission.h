//===- CudaEmission.h - A CUDA kernel while it is emitted ---- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_CUDA_CUDAEMISSION_H
#define CAMBIUM_LIB_TARGET_CUDA_CUDAEMISSION_H

#include "cambium/IR/Grow.h"
#include "cambium/Target/Common/KernelBody.h"
#include "cambium/Target/Common/LaunchSizes.h"

#include "mlir/IR/Builders.h"

#include <functional>

namespace cambium::grow {

/// Threads of a block where the form does not say otherwise.
inline constexpr int defaultThreads = 256;

/// Appends to the kernel's module.
class CudaEmission {
public:
  CudaEmission(mlir::OpBuilder &builder, KernelOp kernel,
               const Signature &signature, int64_t numBuffers, int64_t numDims);

  /// `#include "cambium/<header>"`, once.
  void include(llvm::StringRef header);
  /// Lines of CUDA C++ at the place reached; braces are not special.
  void text(const llvm::Twine &lines);
  /// The next phase, a `__global__` function. `body` is its text, where `args`
  /// are the kernel's arguments and `task` is the block's task; `comment` says
  /// what a block, a warp and a thread do. With `minBlocks`, the compiler
  /// spills no registers so that more blocks than these fit on a
  /// multiprocessor.
  void phase(const llvm::Twine &comment, int threads, const llvm::Twine &body,
             int minBlocks = 0);

  /// Name of the kernel, a valid C++ identifier; prefix for names of the
  /// kernel's own.
  llvm::StringRef name() const { return kernelName; }

  mlir::OpBuilder &builder;
  KernelOp kernel;
  const Signature &signature;
  /// Buffers that are not the branches' own, the workspace among them.
  const int64_t numBuffers;
  const int64_t numDims;

private:
  std::string kernelName;
  unsigned numPhases = 0;
};

/// How kernels of a form are launched and emitted.
struct CudaForm {
  std::function<LaunchSizes(const HostExtents &)> sizes;
  std::function<void(CudaEmission &)> emit;
  /// Buffers that are not the branches' own, without the workspace; -1: all
  /// tensors of the signature.
  int64_t numBuffers = -1;
  bool workspace = false;
  /// The dims end with a number of branches or parameters.
  bool counted = false;
};

inline int64_t ceilDiv(int64_t a, int64_t b) { return (a + b - 1) / b; }

/// Each fails with a diagnostic on the kernel.
mlir::FailureOr<CudaForm> cudaContractionForm(KernelOp kernel,
                                              const Signature &signature,
                                              mlir::Operation *anchor);
mlir::FailureOr<CudaForm> cudaBranchForm(KernelOp kernel,
                                         const Signature &signature);
mlir::FailureOr<CudaForm> cudaElementwiseForm(KernelOp kernel,
                                              const Signature &signature);
CudaForm cudaOptimizerForm(OptimizerOp op);

/// Null `emit` where the operation has no such form.
CudaForm cudaReductionForm(mlir::Operation *op, const Signature &signature);
CudaForm cudaPoolingForm(mlir::Operation *op, const Signature &signature);
CudaForm cudaLossForm(mlir::Operation *op, const Signature &signature);
CudaForm cudaShapeForm(mlir::Operation *op, const Signature &signature);
CudaForm cudaComposeForm(mlir::Operation *op, const Signature &signature);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_CUDA_CUDAEMISSION_H
