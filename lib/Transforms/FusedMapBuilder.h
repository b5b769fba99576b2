//===- FusedMapBuilder.h - Makes fused maps ---------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TRANSFORMS_FUSEDMAPBUILDER_H
#define CAMBIUM_LIB_TRANSFORMS_FUSEDMAPBUILDER_H

#include "cambium/IR/Grow.h"

namespace cambium::grow {

/// Makes a fused map of a part of a block, whose arguments stand for the map's
/// operands. The block stays as it is: what the results need is copied, and
/// arguments that they do not need are left out.
class FusedMapBuilder {
public:
  FusedMapBuilder(mlir::Block &block, int64_t branches)
      : block(block), branches(branches) {}

  /// What an argument of the block stands for.
  void addInput(mlir::BlockArgument argument, mlir::Value input);
  void addSlice(mlir::BlockArgument argument, mlir::Value whole);
  void addParam(mlir::BlockArgument argument, mlir::ValueRange ofBranches);

  /// Makes a value of the block a result.
  void addYield(mlir::Value value, Join join);

  FusedMapOp build(mlir::OpBuilder &builder, mlir::Location loc,
                   std::optional<Keep> keep = std::nullopt) const;

private:
  struct Operand {
    mlir::BlockArgument argument;
    /// One value, or for a parameter one for each branch.
    llvm::SmallVector<mlir::Value> values;
  };
  llvm::DenseSet<mlir::Value> findNeeded() const;
  void copyBody(FusedMapOp map, llvm::ArrayRef<Operand> operands,
                const llvm::DenseSet<mlir::Value> &needed) const;

  mlir::Block &block;
  int64_t branches;
  llvm::SmallVector<Operand> inputs, slices, params;
  llvm::SmallVector<std::pair<mlir::Value, Join>> yields;
};

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TRANSFORMS_FUSEDMAPBUILDER_H
