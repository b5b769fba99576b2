//===- BranchContraction.h - Contractions of many branches ------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Kernels of N equal contractions, N given at run time, whose results are
// joined before they reach memory:
//
//   Forward         y   = join_i epilogue_i(contract(input(x), w_i))
//   BackwardData    dx  = join_i epilogue_i(contract_data(gradient_i, w_i))
//   BackwardFilter  dw_i = contract_filter(input(x), gradient_i)
//                   sums_i,j = sum over pixels of vectors that belong to
//                              gradient_i, such as the gradient of a bias
//
// Input, gradient, epilogue and what follows the join are given as hooks, which
// emit code for one vector of channels at one pixel and may store further
// results themselves. Tensors are those of Contraction.h; each branch has its
// own w (and dw, sums, and what only its hooks know).
//
// The packed or transformed filters, or the partial gradients, of some branches
// lie in the workspace at a time; the launch's rounds go on to the next. So
// neither workspace nor scratch grows with the number of branches or the batch
// beyond some megabytes, or what one branch needs if that is more. A sum is
// taken in the branches' order, and no result depends on how tasks are split
// among threads.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_LLVM_BRANCHCONTRACTION_H
#define CAMBIUM_TARGET_LLVM_BRANCHCONTRACTION_H

#include "cambium/Target/LLVM/Contraction.h"
#include "llvm/ADT/SmallVector.h"

namespace cambium {

/// A place in `buffers`: absolute, or for what each branch has its own of, the
/// place among the branch's pointers.
struct BranchSlot {
  int64_t buffer = -1;
  bool perBranch = false;
  /// Index in `dims` of the tensor's first extent.
  int64_t firstDim = -1;
};

/// buffers  `numShared` pointers, the workspace among them, then `tupleSize`
///          pointers for each branch in turn
/// dims     extents, then at `branchesDim` the number of branches
struct BranchLayout {
  /// x: Forward, BackwardFilter, and wherever `recompute` is set.
  BranchSlot input;
  /// w: Forward, BackwardData, and wherever `recompute` is set.
  BranchSlot filter;
  /// dy of one branch: BackwardData, BackwardFilter. Its extents are read, its
  /// elements only by the hook. If dy is a slice of a tensor, the last extent
  /// at `firstDim` is that of the whole, and `slicedGradient` is set.
  BranchSlot gradient;
  bool slicedGradient = false;
  /// y, dx or dw. With Join::Concat the last extent is that of all branches.
  BranchSlot result;
  /// BackwardFilter: one for each sum, `f32[channels of dy]`.
  llvm::SmallVector<BranchSlot> sums;
  int64_t workspace = -1;
  int64_t numShared = 0;
  int64_t tupleSize = 0;
  int64_t branchesDim = -1;
};

/// A vector of channels at a pixel of a branch's own tensor: y for a Forward
/// epilogue and for gradients, x for inputs and for a BackwardData epilogue.
struct BranchPoint {
  /// i64: the branch and the number of all.
  mlir::Value branch, branches;
  /// i64: the pixel in the order of memory, the vector's first channel, and the
  /// number of channels of one branch.
  mlir::Value pixel, channel, channels;
  /// vector<Wxi1>: lanes inside the tensor; null where all are. Memory at other
  /// lanes must not be touched (see loadVector).
  mlir::Value mask;
  /// Base pointers of the shared buffers, the workspace among them.
  llvm::ArrayRef<mlir::Value> shared;
  /// Base pointers of the branch's buffers.
  llvm::ArrayRef<mlir::Value> tuple;
};

/// Maps a vector<Wxf32> to another. Called several times per kernel, once for
/// each place where the code is needed, and must emit the same computation each
/// time.
using BranchFn = llvm::function_ref<mlir::Value(
    mlir::OpBuilder &, mlir::Location, mlir::Value, const BranchPoint &)>;

struct BranchHooks {
  /// Element of x to what the contraction reads; null if x is read as it is.
  /// The same for all branches: `branch` and `tuple` are null or empty.
  /// Positions outside of x are zero afterwards.
  BranchFn input = nullptr;
  /// The gradient that the contraction reads. Takes the recomputed accumulator,
  /// or null. Positions outside of y are zero.
  BranchFn gradient = nullptr;
  /// BackwardFilter: as `gradient`, called instead of it; fills `sums` with the
  /// vectors to be summed over pixels.
  llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::Location, mlir::Value,
                                 const BranchPoint &,
                                 llvm::SmallVectorImpl<mlir::Value> &sums)>
      gradientAndSums = nullptr;
  /// Accumulator to what is joined; null if that is the same. Called once for
  /// each branch and vector.
  BranchFn epilogue = nullptr;
  /// Joined vector to what is stored; null if that is the same. Called once for
  /// each vector, when all branches are joined; `branch` and `tuple` are null
  /// or empty for Sum and Mean.
  BranchFn finish = nullptr;
};

/// Emits the phases as functions `<kernelName>_phase0`, ... at the builder's
/// insertion point, which must be inside a module. With `schedule.winograd` the
/// contraction must be one that isWinograd accepts, and BackwardData must have
/// no epilogue hook and no Join::Concat: its branches' results exist only added
/// up.
void emitBranches(mlir::OpBuilder &builder, mlir::Location loc,
                  llvm::StringRef kernelName, const BranchSpec &spec,
                  const ContractionSchedule &schedule,
                  const BranchLayout &layout, const BranchHooks &hooks);

/// Tasks, rounds, workspace and scratch for the kernel's dims.
LaunchSizes branchesLaunch(const BranchSpec &spec,
                           const ContractionSchedule &schedule,
                           const BranchLayout &layout,
                           llvm::ArrayRef<int64_t> dims);

} // namespace cambium

#endif // CAMBIUM_TARGET_LLVM_BRANCHCONTRACTION_H
