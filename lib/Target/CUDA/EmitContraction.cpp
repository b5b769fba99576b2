//===- EmitContraction.cpp - Contractions with their epilogue -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaEmission.h"

using namespace mlir;

namespace cambium::grow {

FailureOr<CudaForm> cudaContractionForm(KernelOp, const Signature &,
                                        Operation *anchor) {
  return anchor->emitOpError("has no CUDA code");
}

} // namespace cambium::grow
