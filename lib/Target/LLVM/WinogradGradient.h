//===- WinogradGradient.h - Gradients of tiles of outputs -------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Z = A dz A^T of blocks of tiles, where both gradients begin. Tiles do not
// overlap, so each element of dz is computed once, through the hook.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_WINOGRADGRADIENT_H
#define CAMBIUM_LIB_TARGET_LLVM_WINOGRADGRADIENT_H

#include "WinogradForward.h"

namespace cambium {

class WinogradGradient {
public:
  struct Branch {
    I64 index, branches;
    llvm::ArrayRef<mlir::Value> tuple;
  };

  WinogradGradient(BranchEmitter &emitter, WinogradEmitter &winograd)
      : e(emitter), w(winograd), k(emitter.k), forward(emitter, winograd) {}

  /// Floats of the recomputed accumulators of a channel block of `tiles` tiles:
  /// [tile][row][column][block].
  template <typename Int>
  static Int accumulatorFloats(const ContractionSchedule &schedule, Int tiles) {
    return tiles * Int(schedule.winograd * schedule.winograd *
                       schedule.vectors * schedule.vectorWidth);
  }
  /// Floats of the sums of a channel block: doubles, [sum][block].
  int64_t sumFloats() const {
    return e.spec.sums * w.block() * floatsPerDouble;
  }

  /// Recomputes the accumulators of a channel block; see WinogradForward.
  void recompute(const WinogradBlock &block, I64 channelBlock,
                 mlir::Value input, const WinogradPanel<I64> &inputPanel,
                 mlir::Value filter, const WinogradFilter<I64> &filterLayout,
                 mlir::Value products, const WinogradPanel<I64> &productPanel,
                 mlir::Value accumulators, mlir::Value memory);

  /// Z of a channel block. `to` is the place of its first channel in `panel`;
  /// only vectors that have a channel are written. `accumulators` is null
  /// without recomputation. The vectors of gradientAndSums are added to `sums`.
  void emit(const WinogradBlock &block, const Branch &branch, I64 channelBlock,
            mlir::Value accumulators, mlir::Value to,
            const WinogradPanel<I64> &panel, mlir::Value memory,
            mlir::Value sums = {});

private:
  /// A vector of channels of a tile.
  struct Place {
    /// Of the tile's first pixel.
    I64 pixel;
    /// Rows and columns of the tile that exist, m or more if all do.
    I64 rows, columns;
    I64 channel;
    mlir::Value mask;
    /// Null, or where the tile's accumulators and the sums lie.
    mlir::Value accumulators, sums;
  };

  using Values = BranchEmitter::Values;
  Values column(const WinogradBlock &block, const Branch &branch,
                const Place &place, I64 index);
  Values element(const WinogradBlock &block, const Branch &branch,
                 const Place &place, I64 row, I64 column);
  void addToSums(llvm::ArrayRef<Values> elements, mlir::Value sums);

  BranchEmitter &e;
  WinogradEmitter &w;
  KernelBuilder &k;
  WinogradForward forward;
};

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_WINOGRADGRADIENT_H
