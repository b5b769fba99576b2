//===- KernelBody.h - What all targets know of kernels ------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_COMMON_KERNELBODY_H
#define CAMBIUM_TARGET_COMMON_KERNELBODY_H

#include "cambium/IR/Grow.h"
#include "cambium/Target/Common/ContractionSpec.h"

#include <vector>

namespace cambium::grow {

/// A kernel's tensors in the order of its buffers: operands, then results.
struct Signature {
  explicit Signature(KernelOp kernel);

  int64_t numBuffers() const { return static_cast<int64_t>(tensors.size()); }
  /// The workspace is the last buffer.
  int64_t workspace() const { return numBuffers(); }
  /// The buffer of a value: an argument or a yielded value; -1 for others.
  int64_t bufferOf(mlir::Value value) const;

  llvm::SmallVector<mlir::RankedTensorType> tensors;
  /// For each tensor, the place of its first extent in `dims`.
  llvm::SmallVector<int64_t> firstDims;
  int64_t numDims = 0;
  mlir::Block *body;
};

/// Extents of a kernel's tensors, on the host (int64_t) or in the kernel (I64).
template <typename Int> struct TensorExtents {
  using Shape = llvm::SmallVector<Int, 4>;

  Int product(int64_t buffer, size_t dropped) const {
    Int result = 1;
    for (const Int &extent : llvm::ArrayRef(shapes[buffer]).drop_back(dropped))
      result = result * extent;
    return result;
  }
  Int elements(int64_t buffer) const { return product(buffer, 0); }
  /// The last extent, 1 for a scalar.
  Int channels(int64_t buffer) const {
    return shapes[buffer].empty() ? Int(1) : shapes[buffer].back();
  }
  /// Product of all extents but the last.
  Int rows(int64_t buffer) const {
    return product(buffer, shapes[buffer].empty() ? 0 : 1);
  }

  std::vector<Shape> shapes;
};

struct HostExtents : TensorExtents<int64_t> {
  HostExtents(const Signature &signature, llvm::ArrayRef<int64_t> dims);
  llvm::ArrayRef<int64_t> dims;
};

/// A vector over channels that elementwise operations read: an argument, or for
/// normalisation scale / sqrt(variance + epsilon).
struct ChannelSource {
  mlir::Value vector, variance;
  double epsilon = 0.0;

  /// False if the body computes one of the vectors itself.
  bool isArgument() const {
    return llvm::isa<mlir::BlockArgument>(vector) &&
           (!variance || llvm::isa<mlir::BlockArgument>(variance));
  }
  bool operator==(const ChannelSource &other) const {
    return vector == other.vector && variance == other.variance &&
           epsilon == other.epsilon;
  }
};

/// The channel sources of an elementwise operation.
llvm::SmallVector<ChannelSource> channelSources(mlir::Operation *op);

/// True for convolutions, linear layers and their gradients.
bool isContraction(mlir::Operation *op);

/// True for operations computed element by element: any number of them may
/// share a kernel, also with a contraction.
bool isElementwise(mlir::Operation *op);

/// The contraction that a convolution, a linear layer or a gradient of one
/// computes. Fails, without a diagnostic, for other operations and for windows
/// that are not static.
mlir::FailureOr<ContractionSpec> contractionSpec(mlir::Operation *op);

/// What a kernel over branches computes for the map's body, whatever its number
/// of branches and its extents. A body is
///
///   * elementwise operations on inputs, then a contraction with a filter that
///     is the branch's own, then elementwise operations, of which one result is
///     joined by sum, mean or concat and any others are stored for each branch;
///   * the same with a contraction for the gradient of an input, whose incoming
///     gradient elementwise operations compute;
///   * elementwise operations, then a contraction for the gradient of a filter
///     and `grow.channel_sum`s, whose results are those of each branch.
///
/// Gradients may take the result of the forward contraction with the same
/// window, input and filter, which is computed again. Bits need a contraction
/// of one group. Fails, without a diagnostic, for all other bodies; emitKernel
/// says what they lack.
mlir::FailureOr<BranchSpec> branchSpec(FusedMapOp map);

/// The contraction that `branchSpec(map)->contraction` describes; null for maps
/// without a spec.
mlir::Operation *branchContraction(FusedMapOp map);

/// True if the map's kernel can have a schedule with `winograd`: see
/// isWinograd. Input gradients must be joined by sum or mean, and what follows
/// their contraction must be linear and the same for all branches.
bool takesWinograd(FusedMapOp map);

} // namespace cambium::grow

#endif // CAMBIUM_TARGET_COMMON_KERNELBODY_H
