//===- ReverseMode.h - Gradients of straight-line code ----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TRANSFORMS_REVERSEMODE_H
#define CAMBIUM_LIB_TRANSFORMS_REVERSEMODE_H

#include "cambium/IR/Grow.h"
#include "mlir/IR/IRMapping.h"

namespace cambium::grow {

/// True for values computed from parameters alone.
bool isWeight(mlir::Value value);

/// Walks a block backwards; the rule of each operation turns the gradients of
/// its results into those of its operands. Only values that depend on a root
/// take part. A value used more than once gets the sum of its uses' gradients,
/// the last use first, so rounding is the same in every run.
///
/// Operations with a branch's tag are not read: before their gradients are
/// built, they are copied behind barriers, so that their values need not be
/// kept.
class ReverseMode {
public:
  /// Gradients are built at `builder`, whose place must come after the block's
  /// operations.
  ReverseMode(mlir::Block &block, llvm::ArrayRef<mlir::Value> roots,
              mlir::OpBuilder &builder);

  bool isActive(mlir::Value value) const { return active.contains(value); }
  void addGradient(mlir::Value value, mlir::Value gradient);

  /// Fails with a diagnostic on an operation that has no gradient.
  mlir::LogicalResult run();

  /// The gradients of a weight's uses, or the one gradient of another value.
  llvm::ArrayRef<mlir::Value> contributionsTo(mlir::Value value) const;
  /// Null if no result with a gradient depends on the value.
  mlir::Value gradientOf(mlir::Value value);

private:
  void findActive(llvm::ArrayRef<mlir::Value> roots);
  mlir::LogicalResult propagate(mlir::Operation &op);
  mlir::Operation *recompute(mlir::Operation &op, mlir::Value after);
  void copyBranch(mlir::Attribute tag, mlir::Value after);
  mlir::LogicalResult
  buildGradients(mlir::Operation *op, llvm::ArrayRef<mlir::Value> ofResults,
                 llvm::ArrayRef<bool> needed,
                 llvm::MutableArrayRef<mlir::Value> ofOperands);
  void eraseUnusedCopies();

  mlir::OpBuilder &builder;
  llvm::SmallVector<mlir::Operation *> forward;
  llvm::DenseSet<mlir::Value> active;
  llvm::DenseMap<mlir::Value, llvm::SmallVector<mlir::Value>> contributions;
  /// The operations with each tag.
  llvm::DenseMap<mlir::Attribute, llvm::SmallVector<mlir::Operation *>>
      branches;
  /// Copies of operations with a tag, and in order what was made for them.
  llvm::DenseMap<mlir::Operation *, mlir::Operation *> copyOf;
  llvm::SmallVector<mlir::Operation *> copies;
};

/// The sum of gradients; null if there are none.
mlir::Value sumGradients(mlir::OpBuilder &builder,
                         llvm::ArrayRef<mlir::Value> contributions,
                         bool weight);

/// As DifferentiableOpInterface::buildGradients. The map may have to give more
/// results for that; returns the one that has taken its place.
mlir::FailureOr<FusedMapOp>
differentiateFusedMap(mlir::OpBuilder &builder, FusedMapOp map,
                      llvm::ArrayRef<mlir::Value> resultGradients,
                      llvm::ArrayRef<bool> needed,
                      llvm::MutableArrayRef<mlir::Value> operandGradients);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TRANSFORMS_REVERSEMODE_H
