//===- ElementHook.cpp - Scalar code of bodies for templates --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ElementHook.h"

using namespace mlir;

namespace cambium::grow {

void emitHook(CudaEmission &, const ElementHook &) {}

} // namespace cambium::grow
