//===- Compute.h - Semantics of single operations ---------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_REFERENCE_COMPUTE_H
#define CAMBIUM_LIB_REFERENCE_COMPUTE_H

#include "cambium/IR/Grow.h"
#include "cambium/Reference/ReferenceTensor.h"

namespace cambium {

using Shape = llvm::SmallVector<int64_t>;
using Inputs = llvm::ArrayRef<const ReferenceTensor *>;
using Outputs = llvm::MutableArrayRef<ReferenceTensor>;

/// Each family computes an operation if it is one of its own, and returns
/// whether it was. Operands have been checked; the results have their shape and
/// hold zeros.
bool computeContraction(mlir::Operation *op, Inputs in, Outputs out);
bool computePointwise(mlir::Operation *op, Inputs in, Outputs out);
bool computePooling(mlir::Operation *op, Inputs in, Outputs out);
bool computeNormalization(mlir::Operation *op, Inputs in, Outputs out);
bool computeLoss(mlir::Operation *op, Inputs in, Outputs out);
bool computeShape(mlir::Operation *op, Inputs in, Outputs out);

/// Result shapes from the operands' extents. Where an operation states its
/// result's type (as `grow.conv2d_grad_input` does) and an extent follows
/// neither from the type nor from the operands, `known` is asked for the
/// result; it answers with kDynamic for what it does not know. Fails with a
/// diagnostic on the operation if the operands do not fit together or an extent
/// remains unknown.
mlir::FailureOr<llvm::SmallVector<Shape>>
inferShapes(mlir::Operation *op, Inputs in,
            llvm::function_ref<Shape(mlir::Value)> known);

/// Extents of a ranked type, kDynamic where dynamic.
Shape shapeOf(mlir::Type type);

/// True if the ranks agree and so do the extents that both know.
bool agree(llvm::ArrayRef<int64_t> a, llvm::ArrayRef<int64_t> b);

/// Fills unknown extents of `shape` from `other`, of the same rank. True if
/// that changed anything.
bool refine(Shape &shape, llvm::ArrayRef<int64_t> other);

/// `2x?x3`, for diagnostics.
std::string toString(llvm::ArrayRef<int64_t> shape);

/// Product of all extents but the last.
inline int64_t rowsOf(const ReferenceTensor &tensor) {
  return ReferenceTensor::elementsOf(llvm::ArrayRef(tensor.shape).drop_back());
}

inline bool isKnown(llvm::ArrayRef<int64_t> shape) {
  return llvm::none_of(shape, mlir::ShapedType::isDynamic);
}

} // namespace cambium

#endif // CAMBIUM_LIB_REFERENCE_COMPUTE_H
