//===- CollapseWeights.h - Expressions of parameters ------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TRANSFORMS_COLLAPSEWEIGHTS_H
#define CAMBIUM_LIB_TRANSFORMS_COLLAPSEWEIGHTS_H

#include "cambium/IR/Grow.h"

#include <deque>

namespace cambium::grow {

/// A node of an expression of parameters; see WeightSpace.
struct WeightExpr {
  enum class Kind { Leaf, Zero, Sum, Concat, Pad, Scale, Compose };

  Kind kind;
  mlir::RankedTensorType type;
  llvm::SmallVector<const WeightExpr *, 2> operands;
  /// Leaf.
  mlir::Value leaf = {};
  /// Scale.
  double factor = 1.0;
  /// Pad: [top, left, bottom, right].
  std::array<int64_t, 4> padding = {0, 0, 0, 0};
};

/// Owns expressions of parameters and turns them into IR once a rewrite is
/// certain, so that a refused collapse leaves no trace.
///
/// Expressions are kept in a form that later passes depend on: all plain
/// parameters of a sum are direct operands of one `grow.weight_sum`, because
/// the optimizer update keeps such sums up to date. Therefore equal paddings,
/// factors and concatenations move out of sums:
///
///   pad(a) + pad(b)            ->  pad(a + b)
///   0.5 a + 0.5 b              ->  0.5 (a + b)
///   concat(a, b) + concat(c, d) -> concat(a + c, b + d)
///
/// and a factor moves out of padding and concatenation.
class WeightSpace {
public:
  const WeightExpr *leaf(mlir::Value value);
  const WeightExpr *zero(mlir::RankedTensorType type);
  /// The terms have one type; at least one.
  const WeightExpr *sum(llvm::ArrayRef<const WeightExpr *> terms);
  /// Along the last dimension; at least one part.
  const WeightExpr *concat(llvm::ArrayRef<const WeightExpr *> parts);
  const WeightExpr *scale(const WeightExpr *input, double factor);
  const WeightExpr *pad(const WeightExpr *input,
                        std::array<int64_t, 4> padding);
  /// The weight of one layer followed by another: two matrices, or two filters
  /// one of which is 1x1.
  const WeightExpr *compose(const WeightExpr *first, const WeightExpr *second);

  mlir::Value build(mlir::OpBuilder &builder, mlir::Location loc,
                    const WeightExpr *expr);

private:
  const WeightExpr *create(WeightExpr expr);
  const WeightExpr *sumOfClass(llvm::ArrayRef<const WeightExpr *> terms);

  std::deque<WeightExpr> nodes;
};

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TRANSFORMS_COLLAPSEWEIGHTS_H
