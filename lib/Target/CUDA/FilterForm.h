//===- FilterForm.h - Gradients of filters ------------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_CUDA_FILTERFORM_H
#define CAMBIUM_LIB_TARGET_CUDA_FILTERFORM_H

#include "CudaEmission.h"
#include "cambium/Target/Common/BranchBody.h"

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

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_CUDA_FILTERFORM_H
