//===- Frozen.h - Parameters that are not trained ---------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_FROZEN_H
#define CAMBIUM_IR_FROZEN_H

#include "cambium/IR/Grow.h"

namespace cambium::grow {

/// Marks a `grow.param` that is not trained: it gets no gradient and no update,
/// and keeps its optimizer's state.
inline constexpr llvm::StringLiteral frozenMark = "grow.frozen";

inline bool isFrozen(ParamOp param) {
  return static_cast<bool>(param->getDiscardableAttr(frozenMark));
}

} // namespace cambium::grow

#endif // CAMBIUM_IR_FROZEN_H
