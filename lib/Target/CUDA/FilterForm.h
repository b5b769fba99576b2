//===- FilterForm.h - Gradients of filters ------------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_CUDA_FILTERFORM_H
#define CAMBIUM_LIB_TARGET_CUDA_FILTERFORM_H

#include "CudaEmission.h"
#include "cambium/CompileOptions.h"
#include "cambium/Target/Common/BranchBody.h"
#include "device/cambium/FilterPlan.cuh"

namespace cambium::grow {

/// The gradient of a filter or a weight, and elementwise operations on it. The
/// kernel has been found to have the arguments and results of a contraction.
mlir::FailureOr<CudaForm> cudaFilterForm(KernelOp kernel,
                                         const Signature &signature,
                                         mlir::Operation *anchor);

/// The gradients of the filters of branches, and sums over pixels.
mlir::FailureOr<CudaForm> cudaBranchFilterForm(KernelOp kernel,
                                               const Signature &signature,
                                               const BranchBody &body);

/// True if pixels can be taken as a single row: the contraction of a linear
/// layer.
inline bool isFlat(const ContractionSpec &spec) {
  return spec.linear ||
         (spec.kernelH == 1 && spec.kernelW == 1 && spec.strideH == 1 &&
          spec.strideW == 1 && spec.padTop == 0 && spec.padLeft == 0 &&
          spec.padBottom == 0 && spec.padRight == 0);
}

/// A tile that suits the gradient and fits a block's shared memory. Unknown
/// extents (-1) cost speed only.
BlockTileAttr chooseFilterTile(mlir::MLIRContext *context,
                               const ContractionSpec &spec,
                               const ContractionExtents &extents,
                               Precision precision);

/// The tile that the kernel's `blocks` mean: m is taps by channels of x, n
/// channels of dy, and k the pixels of a patch. `sums`: see BranchSpec.
mlir::FailureOr<FilterTile>
filterTile(KernelOp kernel, const ContractionSpec &spec, int64_t sums);

/// The extents of the contraction as far as its gradient's tile tells them.
ContractionExtents extentsBehind(const FilterTile &tile);

/// Shared memory of a block.
int64_t filterSharedBytes(const FilterTile &tile, Precision precision);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_CUDA_FILTERFORM_H
