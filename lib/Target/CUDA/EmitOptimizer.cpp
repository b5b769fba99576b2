//===- EmitOptimizer.cpp - Updates of parameters and their sum ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaEmission.h"

using namespace mlir;

namespace cambium::grow {

CudaForm cudaOptimizerForm(OptimizerOp) { return {}; }

} // namespace cambium::grow
