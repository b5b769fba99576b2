//===- EmitElementwise.cpp - Clusters of elementwise operations -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaEmission.h"

using namespace mlir;

namespace cambium::grow {

FailureOr<CudaForm> cudaElementwiseForm(KernelOp kernel, const Signature &) {
  return kernel.emitOpError("has no CUDA code");
}

} // namespace cambium::grow
