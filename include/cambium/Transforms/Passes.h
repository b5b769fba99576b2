//===- Passes.h - Passes of the grow dialect --------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRANSFORMS_PASSES_H
#define CAMBIUM_TRANSFORMS_PASSES_H

#include "mlir/Pass/Pass.h"

#include <memory>

namespace mlir::func {
class FuncOp;
}

namespace cambium::grow {

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "cambium/Transforms/Passes.h.inc"

} // namespace cambium::grow

#endif // CAMBIUM_TRANSFORMS_PASSES_H
