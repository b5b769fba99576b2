//===- BranchBody.h - The parts of a fused map's body -----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_COMMON_BRANCHBODY_H
#define CAMBIUM_TARGET_COMMON_BRANCHBODY_H

#include "cambium/Target/Common/KernelBody.h"

namespace cambium::grow {

/// Why a body has no kernel, and where.
struct Refusal {
  mlir::Operation *op = nullptr;
  const char *why = nullptr;
};

/// Elementwise operations that some values need.
struct ElementSlice {
  /// In the body's order.
  llvm::SmallVector<mlir::Operation *> ops;
  /// Arguments that are read, in order: tensors and vectors over channels.
  llvm::SmallVector<mlir::BlockArgument> tensors, vectors;
  /// Other operations whose results are read.
  llvm::SmallVector<mlir::Operation *> others;
};

/// A fused map's body, sorted into the parts of a kernel.
struct BranchBody {
  struct Sum {
    /// The operand of the `grow.channel_sum`.
    mlir::Value vector;
    int64_t yield;
  };

  FusedMapOp map;
  BranchSpec spec;
  /// The contraction that the kernel is about.
  mlir::Operation *anchor = nullptr;
  /// The forward contraction that gradients compute again; else null.
  mlir::Operation *recomputed = nullptr;
  /// The arguments that have the extents of x, w and dy, null where the kernel
  /// needs none. `input` is what the input hook is given.
  mlir::BlockArgument input, filter, gradient;
  ElementSlice inputSlice, gradientSlice, epilogueSlice;
  /// The yield that is the joined result, or the gradient of the filter.
  int64_t joined = -1;
  llvm::SmallVector<Sum> sums;
  /// Operations follow the contraction, linear and the same for all branches:
  /// they can be computed once, of what is joined.
  bool linearEpilogue = false;

  /// True if something is computed of accumulators before they are joined.
  bool hasEpilogue() const;
  /// See takesWinograd in KernelEmitter.h.
  bool takesWinograd() const;
  /// What the contraction, or the one computed again, takes as x.
  mlir::Value contractedInput() const;
  /// What the contraction takes as dy.
  mlir::Value contractedGradient() const;
  /// The map's result that `joined` gives.
  mlir::OpResult joinedResult() const;
};

/// Fails without a diagnostic, but with the reason.
mlir::FailureOr<BranchBody> sortBody(FusedMapOp map, Refusal &refusal);

/// Fails with a diagnostic unless the kernel's map takes arguments and what
/// follows the map can be computed where its joined result is.
mlir::LogicalResult verifySurroundings(KernelOp kernel,
                                       const Signature &signature,
                                       const BranchBody &body);

/// True if the body computes with bits.
bool usesBits(FusedMapOp map);

} // namespace cambium::grow

#endif // CAMBIUM_TARGET_COMMON_BRANCHBODY_H
