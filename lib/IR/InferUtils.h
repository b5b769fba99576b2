//===- InferUtils.h - Shape inference shared by operations ------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_IR_INFERUTILS_H
#define CAMBIUM_LIB_IR_INFERUTILS_H

#include "cambium/IR/Grow.h"

namespace cambium::grow {

/// A real number for a diagnostic, in its shortest form.
std::string realText(double value);

/// Window geometry of a convolution as written on the operation.
struct Geometry {
  llvm::ArrayRef<int64_t> strides, padding, dilations;
  int64_t groups;
};

/// Checks the numbers of a window: two strides and dilations of at least one,
/// two or four paddings of at least zero.
mlir::LogicalResult checkGeometry(std::optional<mlir::Location> loc,
                                  llvm::StringRef op, const Geometry &geometry);

/// The result of a convolution, or a diagnostic.
mlir::FailureOr<mlir::RankedTensorType>
inferConvolution(std::optional<mlir::Location> loc, llvm::StringRef op,
                 mlir::RankedTensorType input, mlir::RankedTensorType filter,
                 const Geometry &geometry);

/// The result of a pooling, or a diagnostic.
mlir::FailureOr<mlir::RankedTensorType>
inferPooling(std::optional<mlir::Location> loc, llvm::StringRef op,
             mlir::RankedTensorType input, llvm::ArrayRef<int64_t> window,
             const Geometry &geometry, bool paddingBelowWindow);

/// Parts that agree in all but the last extent, joined along it.
mlir::LogicalResult inferConcat(std::optional<mlir::Location> loc,
                                llvm::StringRef op, mlir::ValueRange parts,
                                llvm::SmallVectorImpl<mlir::Type> &inferred);

/// A range of the last dimension.
mlir::LogicalResult inferSlice(std::optional<mlir::Location> loc,
                               llvm::StringRef op, mlir::Value input,
                               int64_t offset, int64_t size,
                               llvm::SmallVectorImpl<mlir::Type> &inferred);

/// True if a range of the last dimension is all of it, which a dynamic extent
/// does not tell.
bool coversLastExtent(mlir::Value input, int64_t offset, int64_t size);

/// Fails unless `vector`, called `what`, has the extent of the last dimension
/// of `input`.
mlir::LogicalResult checkChannels(std::optional<mlir::Location> loc,
                                  llvm::StringRef op, llvm::StringRef what,
                                  mlir::Value input, mlir::Value vector);

/// Fails with "`what`: a against b" unless equal or one is dynamic.
mlir::LogicalResult checkExtents(std::optional<mlir::Location> loc,
                                 llvm::StringRef op, llvm::StringRef what,
                                 int64_t a, int64_t b);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_IR_INFERUTILS_H
