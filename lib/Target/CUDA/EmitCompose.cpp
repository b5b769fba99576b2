//===- EmitCompose.cpp - Composition of filters and its gradients ---------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaEmission.h"

using namespace mlir;

namespace cambium::grow {

CudaForm cudaComposeForm(Operation *, const Signature &) { return {}; }

} // namespace cambium::grow
