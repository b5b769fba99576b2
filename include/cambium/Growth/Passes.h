//===- Passes.h - Growth as passes ------------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_GROWTH_PASSES_H
#define CAMBIUM_GROWTH_PASSES_H

#include "cambium/Growth.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace cambium::grow {

inline auto initValues() {
  return llvm::cl::values(
      clEnumValN(Init::Kind::Zero, "zero", "0"),
      clEnumValN(Init::Kind::Kaiming, "kaiming",
                 "normal values; vectors start as the first branch's did"),
      clEnumValN(Init::Kind::Constant, "constant", "what `value` says"),
      clEnumValN(Init::Kind::Copy, "copy", "those of the branch `branch`"));
}

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "cambium/Growth/Passes.h.inc"

} // namespace cambium::grow

#endif // CAMBIUM_GROWTH_PASSES_H
