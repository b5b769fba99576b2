//===- Rewrites.h - Growth as rewrites of the network -----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every function rewrites a network, a module with parameters, and verifies it.
// It fails with a located diagnostic where the growth does not fit; the module
// may then be half rewritten, so grow a clone. Values that come from old ones
// are left in a Carry; other new parameters have their declared initial values.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_GROWTH_REWRITES_H
#define CAMBIUM_GROWTH_REWRITES_H

#include "cambium/Growth.h"
#include "cambium/Growth/Carry.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"

namespace cambium::grow {

mlir::LogicalResult addBranches(mlir::ModuleOp module,
                                const AddBranches &growth, Carry &carry);
mlir::LogicalResult removeBranches(mlir::ModuleOp module,
                                   const RemoveBranches &growth);

mlir::LogicalResult mergeBranches(mlir::ModuleOp module,
                                  const MergeBranches &growth, Carry &carry);
mlir::LogicalResult replaceFilterSize(mlir::ModuleOp module,
                                      const ReplaceFilterSize &growth,
                                      Carry &carry);
mlir::LogicalResult insertLayer(mlir::ModuleOp module,
                                const InsertLayer &growth);

mlir::LogicalResult widen(mlir::ModuleOp module, const Widen &growth,
                          Carry &carry);

mlir::LogicalResult splitNeurons(mlir::ModuleOp module,
                                 const SplitNeurons &growth, Carry &carry);

/// Marks parameters, or takes the mark from them. Running statistics move on.
mlir::LogicalResult freeze(mlir::ModuleOp module,
                           const ParameterSelection &selection);
mlir::LogicalResult thaw(mlir::ModuleOp module,
                         const ParameterSelection &selection);

/// A symbol that the table does not have: `base`, or `base.1`, `base.2`, ...
std::string freeSymbol(const mlir::SymbolTable &symbols,
                       const std::string &base);

/// The double with the float's shortest decimal, so that 0.9f is written 0.9.
double realOf(float value);

} // namespace cambium::grow

#endif // CAMBIUM_GROWTH_REWRITES_H
