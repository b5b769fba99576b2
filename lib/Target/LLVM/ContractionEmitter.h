//===- ContractionEmitter.h - What the two emitters share -------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONEMITTER_H
#define CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONEMITTER_H

#include "ContractionPlan.h"
#include "KernelBuilder.h"

namespace cambium {

/// Register tiles of a contraction, wherever its tensors lie.
struct TileEmitter {
  using Values = llvm::SmallVector<mlir::Value>;

  KernelBuilder &k;
  const ContractionSpec &spec;
  const ContractionSchedule &schedule;
  ColumnPlan columns;

  int64_t block() const { return schedule.vectors * schedule.vectorWidth; }
  bool pointwise() const { return isPointwise(spec); }

  /// Columns of a row that exist: fewer than `columns` only in the last row of
  /// flat pixels.
  I64 rowColumns(I64 row, I64 columns, I64 pixels);

  /// The columns of a source row that lie in a scratch row: `count` from
  /// `skipped` on, at scratch column `left`.
  struct RowSpan {
    I64 left, skipped, count;
  };
  RowSpan rowSpan(I64 existing, I64 scratchColumns);
  /// Zeros the rest of a scratch row.
  void clearMargins(mlir::Value row, I64 existing, I64 groupChannels,
                    I64 scratchColumns);

  /// Copies the columns of one group's channels into a scratch row and zeros
  /// the rest of it. `from` is the row's first float of the group.
  void copyRow(mlir::Value from, I64 existing, I64 channels, mlir::Value to,
               I64 groupChannels, I64 scratchColumns);

  /// to[c * toStride + r] = from[r * fromStride + c] for all rows r and
  /// channels c.
  void transpose(mlir::Value from, I64 fromStride, I64 rows, mlir::Value to,
                 I64 toStride, I64 channels);

  /// The tap run of a column class.
  struct Run {
    I64 column, firstTap, numTaps;
  };
  Run tapRun(I64 columnClass, I64 run);

  /// The products of `tile` rows and one channel block over `count` steps.
  /// `left(row)` points to the row's first factor and `leftStep` leads to the
  /// next; `right` points to packed vectors.
  Values accumulate(Values accumulators, int64_t tile, I64 count,
                    llvm::ArrayRef<mlir::Value> left, I64 leftStep,
                    mlir::Value right);

  Values zeroTile(int64_t tile);

  /// Calls `body(tile, first)` for each tile of a run of rows.
  void forTiles(I64 rows, llvm::function_ref<void(int64_t, I64)> body);
};

/// The contraction being emitted.
struct ContractionEmitter : TileEmitter {
  llvm::StringRef kernelName;
  const ContractionLayout &layout;
  EpilogueFn epilogue;

  Extents<I64> extents(mlir::Value dims);

  /// Passes an accumulator through the epilogue and stores it.
  void finish(mlir::Value accumulator, I64 offset, I64 channel,
              mlir::Value mask, const PhaseArguments &arguments);
};

// The kernels of each order, and what a launch of them asks for.
void emitRowContraction(ContractionEmitter &emitter);
void emitColumnContraction(ContractionEmitter &emitter);
LaunchSizes columnLaunch(const ContractionSpec &spec,
                         const ContractionSchedule &schedule,
                         const Extents<int64_t> &extents);
void emitPlaneContraction(ContractionEmitter &emitter);
LaunchSizes planeLaunch(const ContractionSpec &spec,
                        const ContractionSchedule &schedule,
                        const Extents<int64_t> &extents);
void emitFilterContraction(ContractionEmitter &emitter);

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONEMITTER_H
