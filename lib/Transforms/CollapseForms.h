//===- CollapseForms.h - Layers as affine forms -----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TRANSFORMS_COLLAPSEFORMS_H
#define CAMBIUM_LIB_TRANSFORMS_COLLAPSEFORMS_H

#include "CollapseWeights.h"

#include <optional>
#include <string>

namespace cambium::grow {

/// How the window of a convolution slides.
struct WindowGeometry {
  std::array<int64_t, 2> strides;
  std::array<int64_t, 4> padding;
  std::array<int64_t, 2> dilations;
  int64_t groups;
};

/// What one convolution or linear layer with a bias computes from `input`.
struct AffineForm {
  mlir::Value input;
  /// Absent for a linear layer.
  std::optional<WindowGeometry> window;
  const WeightExpr *weight = nullptr;
  /// Null if there is none.
  const WeightExpr *bias = nullptr;
  /// Multiplications for each position of the result if the parts stay apart,
  /// and those that the weight expression takes once. Parts that pay by
  /// themselves count as done.
  double separateWork = 0.0;
  double weightWork = 0.0;
  /// True if the form stands for several layers or for a map.
  bool merged = false;
  /// Branches of maps, or operands of sums and concatenations.
  int64_t branches = 1;

  /// Multiplications for each position of the result as one layer.
  double joinedWork() const;
};

/// Why an operation has no affine form. `op` stops it, if it is one operation.
struct CollapseRefusal {
  std::string reason;
  mlir::Operation *op = nullptr;
};

/// Finds the affine forms of values of one block, through the bodies of maps.
/// Creates no IR.
///
/// Values of the block with several uses, or without an affine form, are inputs
/// of forms; so is everything that a map reads from outside. Inside bodies
/// every value must have a form.
class FormAnalysis {
public:
  FormAnalysis(mlir::Block &block, WeightSpace &weights)
      : block(block), weights(weights) {}

  /// The form of what `op`, an operation of the block, computes.
  mlir::FailureOr<AffineForm> analyze(mlir::Operation *op);

  /// One layer for the sum or mean of several, or for their concatenation.
  mlir::FailureOr<AffineForm> join(llvm::ArrayRef<AffineForm> forms,
                                   Reduction reduction, mlir::Operation *op);

  /// Succeeds if one layer computes `type` with no more multiplications than
  /// the layers it stands for.
  mlir::LogicalResult checkWork(const AffineForm &form,
                                mlir::RankedTensorType type);

  /// True if `value` belongs to the block and has one use.
  bool isAbsorbable(mlir::Value value) const;

  /// Why the last failure failed.
  const CollapseRefusal &getRefusal() const { return refusal; }

private:
  /// A branch of a map whose body is being looked at.
  struct Scope {
    MapOp map;
    int64_t branch;
    const Scope *parent;
  };
  /// A value, and the branch it belongs to; null for the block itself.
  struct ScopedValue {
    mlir::Value value;
    const Scope *scope;
  };

  mlir::FailureOr<AffineForm> refuse(mlir::Operation *op,
                                     const llvm::Twine &reason);
  mlir::FailureOr<AffineForm> refuseVisits(mlir::Operation *op);
  ScopedValue resolve(mlir::Value value, const Scope *scope) const;
  mlir::FailureOr<const WeightExpr *>
  weightOf(mlir::Value value, const Scope *scope, mlir::Operation *user);

  mlir::FailureOr<AffineForm> formOf(mlir::Value value, const Scope *scope,
                                     mlir::Operation *user);
  mlir::FailureOr<AffineForm> formOf(mlir::Operation *op, const Scope *scope);
  mlir::FailureOr<AffineForm> formOfOperation(mlir::Operation *op,
                                              const Scope *scope);
  mlir::FailureOr<AffineForm> formOfLayer(mlir::Operation *op,
                                          const Scope *scope);
  mlir::FailureOr<AffineForm> formOfMap(MapOp map, const Scope *scope);
  mlir::FailureOr<AffineForm> formOfAll(mlir::Operation *op,
                                        const Scope *scope);
  mlir::FailureOr<AffineForm> formOfBiasAdd(BiasAddOp op, const Scope *scope);
  mlir::FailureOr<AffineForm> refuseOther(mlir::Operation *op);

  mlir::FailureOr<AffineForm> chain(const AffineForm &first, AffineForm second,
                                    mlir::Operation *op);
  AffineForm scaled(AffineForm form, double factor);
  mlir::LogicalResult alignWindows(llvm::MutableArrayRef<AffineForm> forms,
                                   mlir::Operation *op);
  mlir::LogicalResult checkGeometry(llvm::ArrayRef<AffineForm> forms,
                                    mlir::Operation *op);
  mlir::LogicalResult alignDimension(llvm::MutableArrayRef<AffineForm> forms,
                                     unsigned dimension, mlir::Operation *op);

  mlir::Block &block;
  WeightSpace &weights;
  CollapseRefusal refusal;
  /// Operations looked at in a branch of an outermost map so far.
  int64_t visits = 0;
};

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TRANSFORMS_COLLAPSEFORMS_H
