//===- ContractionRows.h - Tiles of Forward and BackwardData ----*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What kernels of one contraction and kernels of many branches have in common:
// packed filters, and register tiles over source rows that lie in scratch.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONROWS_H
#define CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONROWS_H

#include "ContractionEmitter.h"

namespace cambium {

/// Rows of the output for some channel blocks of a group, and the rows
/// [firstSource, endSource) that they read.
struct RowBlock {
  I64 image, group, firstRow, endRow, firstSource, endSource;
  I64 firstChannelBlock, endChannelBlock;
};

/// A tile: columns [first, first + size) of a class of output columns of a row,
/// which has `classColumns`, for one channel block.
struct RowTile {
  int64_t size;
  I64 first, classColumns, columnClass, columnStep;
  /// Vector v of column i is at i * vectors + v.
  llvm::SmallVector<mlir::Value> accumulators;

  /// Columns of the tile that exist.
  I64 count() const { return minOf(classColumns - first, size); }
  I64 column(I64 index) const {
    return columnClass + (first + index) * columnStep;
  }
};

/// `spec.kind` is Forward or BackwardData.
class RowTiles : public TileEmitter {
public:
  using Geometry = RowGeometry<I64>;
  /// Points to a source row in the layout of scratch rows.
  using RowPointer = llvm::function_ref<mlir::Value(I64 source)>;
  using TileBody = llvm::function_ref<void(const RowTile &)>;
  using VectorBody = llvm::function_ref<void(
      mlir::Value accumulator, I64 column, I64 groupChannel, mlir::Value mask)>;

  RowTiles(KernelBuilder &kernel, const ContractionSpec &spec,
           const ContractionSchedule &schedule)
      : TileEmitter{kernel, spec, schedule, planColumns(spec)},
        forward(spec.kind == ContractionSpec::Kind::Forward) {}

  Geometry geometry(const Extents<I64> &extents) {
    return rowGeometry<I64>(spec, schedule, columns, extents);
  }

  /// Packs a kernel row of a channel block: one of `g.packTasks(spec)` tasks.
  /// `packed` has `g.packedFloats(spec)` floats.
  void pack(mlir::Value packed, mlir::Value filter, const Geometry &g,
            I64 task);
  mlir::Value packedBlock(mlir::Value packed, const Geometry &g, I64 group,
                          I64 channelBlock);

  /// The source row that kernel row `kernelRow` reads for output row `row`, and
  /// whether there is one.
  std::pair<I64, mlir::Value> sourceRow(const Geometry &g, I64 row,
                                        I64 kernelRow);
  /// One past the last source row that output row `row` reads.
  I64 endSource(const Geometry &g, I64 row);

  /// One of `g.tasks(spec)` tasks.
  RowBlock rowBlock(const Geometry &g, I64 task);

  /// Computes an output row for the channel block packed at `filter`.
  void emitRow(const Geometry &g, I64 row, mlir::Value filter,
               RowPointer source, TileBody body);

  /// Calls `body` for the vectors of a tile that exist. They go through
  /// `memory`, a tile's floats, so that a long body appears `vectors` times
  /// only, and again with masks for an incomplete channel block.
  void forVectors(const Geometry &g, const RowTile &tile, I64 channelBlock,
                  mlir::Value memory, VectorBody body);

private:
  void packForward(mlir::Value to, I64 kernelRow, I64 group, I64 channelBlock,
                   mlir::Value filter, const Geometry &g);
  void packTransposed(mlir::Value to, I64 kernelRow, I64 group,
                      I64 channelBlock, mlir::Value filter, const Geometry &g);
  Values emitTile(const Geometry &g, I64 row, I64 columnClass,
                  mlir::Value filter, RowPointer source, int64_t tile,
                  I64 first);

  const bool forward;
};

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONROWS_H
