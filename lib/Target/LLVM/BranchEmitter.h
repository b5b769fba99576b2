//===- BranchEmitter.h - What the branch emitters share ---------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_BRANCHEMITTER_H
#define CAMBIUM_LIB_TARGET_LLVM_BRANCHEMITTER_H

#include "ContractionEmitter.h"
#include "cambium/Target/LLVM/BranchContraction.h"

namespace cambium {

constexpr int64_t floatsPerDouble = 2;

/// Workspace of a round's packed or transformed filters: they come from the
/// shared cache, and leave room there for the tensors.
constexpr int64_t roundBytes = 2 * 1024 * 1024;

/// The branches are split evenly into rounds of at most this many bytes, or of
/// one branch. `branchFloats` is what a branch needs.
template <typename Int> Int branchesPerRound(Int branches, Int branchFloats) {
  Int most = maxOf(Int(roundBytes / 4) / maxOf(branchFloats, Int(1)), Int(1));
  Int some = maxOf(branches, Int(1));
  return ceilDiv(some, ceilDiv(some, most));
}

/// x, w and y extents of one branch. `dim(index)` reads an entry of `dims`.
template <typename Int, typename Reader>
Extents<Int> readBranchExtents(const BranchSpec &spec,
                               const BranchLayout &layout, Reader dim) {
  using Kind = ContractionSpec::Kind;
  Kind kind = spec.contraction.kind;
  bool concat = spec.join == BranchSpec::Join::Concat;
  const BranchSlot &x =
      kind == Kind::BackwardData ? layout.result : layout.input;
  const BranchSlot &y = kind == Kind::Forward ? layout.result : layout.gradient;
  bool wholeX = kind == Kind::BackwardData && concat;
  bool wholeY = kind == Kind::Forward ? concat : layout.slicedGradient;
  auto channels = [&](const BranchSlot &slot, bool whole) {
    Int extent = dim(slot.firstDim + (spec.contraction.linear ? 1 : 3));
    return whole ? extent / dim(layout.branchesDim) : extent;
  };
  if (spec.contraction.linear)
    return {dim(x.firstDim),     Int(1), Int(1),
            channels(x, wholeX), Int(1), Int(1),
            channels(y, wholeY)};
  return {dim(x.firstDim),     dim(x.firstDim + 1), dim(x.firstDim + 2),
          channels(x, wholeX), dim(y.firstDim + 1), dim(y.firstDim + 2),
          channels(y, wholeY)};
}

/// The same on the host.
Extents<int64_t> branchExtents(const BranchSpec &spec,
                               const BranchLayout &layout,
                               llvm::ArrayRef<int64_t> dims);

/// The contraction that gradients compute again: the one with their window.
ContractionSpec forwardSpec(ContractionSpec spec);

/// Offset of the point in a tensor of one branch or, if that is `sliced`, in
/// one that holds the channels of all branches.
I64 elementOffset(KernelBuilder &k, const BranchPoint &point, bool sliced);

/// The branch kernel being emitted.
struct BranchEmitter {
  using Values = llvm::SmallVector<mlir::Value>;

  KernelBuilder &k;
  llvm::StringRef kernelName;
  const BranchSpec &spec;
  const ContractionSchedule &schedule;
  const BranchLayout &layout;
  const BranchHooks &hooks;

  Extents<I64> extents(mlir::Value dims);
  I64 branches(mlir::Value dims);

  /// Emits phase `index`; its arguments hold the shared buffers.
  void phase(unsigned index,
             llvm::function_ref<void(const PhaseArguments &)> emit);

  /// The pointers that belong to a branch.
  Values tuple(const PhaseArguments &arguments, I64 branch);
  mlir::Value buffer(const BranchSlot &slot, const PhaseArguments &arguments,
                     llvm::ArrayRef<mlir::Value> tuple);

  /// The point refers to the buffers of `arguments` and to `tuple`.
  BranchPoint point(const PhaseArguments &arguments, I64 branch, I64 branches,
                    llvm::ArrayRef<mlir::Value> tuple, I64 pixel, I64 channel,
                    I64 channels, mlir::Value mask);

  /// The elements of x, or the gradients, that the contraction reads. Without a
  /// hook they are those of the tensor.
  mlir::Value input(const BranchPoint &point);
  /// `accumulator` is null without recomputation.
  mlir::Value gradient(mlir::Value accumulator, const BranchPoint &point);

  /// Copies a group's channels of a row of x, through the hook, into a scratch
  /// row of `tiles`: `existing` pixels from `firstPixel` on, `groupChannels` of
  /// `channels` from `firstChannel` on.
  void inputRow(TileEmitter &tiles, const PhaseArguments &arguments,
                I64 branches, I64 firstPixel, I64 existing, I64 firstChannel,
                I64 groupChannels, I64 channels, mlir::Value to,
                I64 scratchColumns);

  /// Sums over all pixels are carried in double precision, so that their order
  /// does not matter much. Offsets count floats.
  mlir::VectorType doubles();
  mlir::Value zeroDoubles();
  mlir::Value loadDoubles(mlir::Value base, I64 offset);
  void storeDoubles(mlir::Value vector, mlir::Value base, I64 offset);

  /// One divided by the number of branches, for each lane.
  mlir::Value meanFactor(I64 branches);

  /// Forward and BackwardData: passes an accumulator through the epilogue and
  /// joins it with those of the branches before, which lie in the result; the
  /// last branch's goes through `finish`.
  void join(mlir::Value accumulator, const BranchPoint &point);

private:
  mlir::Value load(const BranchSlot &slot, bool sliced,
                   const BranchPoint &point);
};

// The kernels, and what a launch of them asks for. Schedules without
// `winograd`:
void emitBranchRows(BranchEmitter &emitter);
LaunchSizes branchRowsLaunch(const BranchSpec &spec,
                             const ContractionSchedule &schedule,
                             const BranchLayout &layout,
                             llvm::ArrayRef<int64_t> dims);
void emitBranchFilter(BranchEmitter &emitter);
LaunchSizes branchFilterLaunch(const BranchSpec &spec,
                               const ContractionSchedule &schedule,
                               const BranchLayout &layout,
                               llvm::ArrayRef<int64_t> dims);

// With `winograd`:
void emitWinogradForward(BranchEmitter &emitter);
LaunchSizes winogradForwardLaunch(const BranchSpec &spec,
                                  const ContractionSchedule &schedule,
                                  const BranchLayout &layout,
                                  llvm::ArrayRef<int64_t> dims);
void emitWinogradData(BranchEmitter &emitter);
LaunchSizes winogradDataLaunch(const BranchSpec &spec,
                               const ContractionSchedule &schedule,
                               const BranchLayout &layout,
                               llvm::ArrayRef<int64_t> dims);
void emitWinogradFilter(BranchEmitter &emitter);
LaunchSizes winogradFilterLaunch(const BranchSpec &spec,
                                 const ContractionSchedule &schedule,
                                 const BranchLayout &layout,
                                 llvm::ArrayRef<int64_t> dims);

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_BRANCHEMITTER_H
