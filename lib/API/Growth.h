//===- Growth.h - Growth as a rewrite of the network ------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_API_GROWTH_H
#define CAMBIUM_LIB_API_GROWTH_H

#include "cambium/Trainer.h"

#include "cambium/Growth/Rewrites.h"
#include "cambium/IR/Grow.h"

#include "mlir/IR/BuiltinOps.h"

namespace cambium::internal {

/// A running statistic that takes the values of another.
struct StateCopy {
  std::string to, from;
};

/// Adds branches to a map of the network. Fails with a diagnostic where the
/// growth does not fit; the module may then be half rewritten. Copies of
/// branches start with copies of their running statistics, which are added to
/// `copies`.
mlir::LogicalResult addBranches(mlir::ModuleOp module,
                                const AddBranches &growth,
                                std::vector<StateCopy> &copies);

/// Appends an optimizer group to the network; its name must be free.
void addGroup(mlir::ModuleOp module, const GroupOptions &options);

/// The options of a group of the network.
GroupOptions optionsOf(grow::GroupOp group);

using grow::freeSymbol;
using grow::realOf;

/// The attribute of an optimizer.
mlir::Attribute optimizerAttr(mlir::MLIRContext *context,
                              const std::variant<Sgd, AdamW> &optimizer);

} // namespace cambium::internal

#endif // CAMBIUM_LIB_API_GROWTH_H
