//===- WinogradForward.h - From inputs to outputs by tiles ------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The forward contraction on a block of tiles. The Forward kernel consists of
// it, and the gradients' kernels recompute with it: same bits.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_WINOGRADFORWARD_H
#define CAMBIUM_LIB_TARGET_LLVM_WINOGRADFORWARD_H

#include "BranchEmitter.h"
#include "Winograd.h"

namespace cambium {

/// Tiles [first, first + count).
struct WinogradBlock {
  const PhaseArguments &arguments;
  const Extents<I64> &extents;
  const WinogradTiles<I64> &tiles;
  I64 first, count;
};

class WinogradForward {
public:
  /// Takes the accumulator at pixel (row, column) of a tile; `mask` and
  /// `channel` are those of a BranchPoint, `pixel` counts as there. `index`
  /// counts the tiles of the block.
  struct Place {
    I64 index, row, column, pixel, channel;
    mlir::Value mask;
  };
  using Sink = llvm::function_ref<void(mlir::Value, const Place &)>;

  WinogradForward(BranchEmitter &emitter, WinogradEmitter &winograd)
      : e(emitter), w(winograd), k(emitter.k) {}

  /// Channels of x, padded to whole vectors.
  template <typename Int>
  static Int inputChannels(Int channels, int64_t width) {
    return ceilDiv(channels, Int(width)) * Int(width);
  }
  /// Floats of the `memory` of the functions below.
  int64_t memoryFloats() const { return memoryFloats(w.schedule); }
  static int64_t memoryFloats(const ContractionSchedule &schedule) {
    int64_t points = schedule.winograd + 2;
    return 2 * points * points * schedule.vectorWidth;
  }

  /// Task `task` of WinogradFilter::tasks(): from w of a branch to its U.
  void transformFilter(mlir::Value filter, const WinogradFilter<I64> &layout,
                       I64 channels, I64 task, mlir::Value to,
                       mlir::Value memory);

  /// x through the input hook to V.
  void transformInput(const WinogradBlock &block,
                      const WinogradPanel<I64> &panel, mlir::Value to,
                      mlir::Value memory);

  /// The accumulators of one channel block. `input` is V, `filter` the block of
  /// U, `products` has the floats of `productPanel`.
  void outputs(const WinogradBlock &block, I64 channelBlock, mlir::Value input,
               const WinogradPanel<I64> &inputPanel, mlir::Value filter,
               const WinogradFilter<I64> &filterLayout, mlir::Value products,
               const WinogradPanel<I64> &productPanel, mlir::Value memory,
               Sink sink);

private:
  void fillPatch(const WinogradBlock &block, I64 image, I64 firstRow,
                 I64 firstColumn, I64 channel, mlir::Value patch);
  void outputTile(const WinogradBlock &block, const WinogradEmitter::Tile &tile,
                  I64 index, I64 channel, mlir::Value place, I64 pointStride,
                  mlir::Value memory, Sink sink);

  BranchEmitter &e;
  WinogradEmitter &w;
  KernelBuilder &k;
};

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_WINOGRADFORWARD_H
