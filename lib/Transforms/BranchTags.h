//===- BranchTags.h - Which branch an operation belongs to ------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TRANSFORMS_BRANCHTAGS_H
#define CAMBIUM_LIB_TRANSFORMS_BRANCHTAGS_H

#include "mlir/IR/Operation.h"

namespace cambium::grow {

/// Marks the operations of an unrolled branch that differentiation computes
/// again instead of keeping their values. Branches have different numbers.
inline constexpr llvm::StringLiteral branchTag = "grow.branch";

/// Removes what only differentiation reads: tags, and `keep` of fused maps.
void eraseBranchTags(mlir::Operation *root);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TRANSFORMS_BRANCHTAGS_H
