//===- EmitReductions.cpp - Sums over pixels and batch statistics ---------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaEmission.h"

using namespace mlir;

namespace cambium::grow {

CudaForm cudaReductionForm(Operation *, const Signature &) { return {}; }

} // namespace cambium::grow
