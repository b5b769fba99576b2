//===- ContractionPlan.h - Geometry and blocking ----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The formulas here are templates over the integer type: the host evaluates
// them to size a launch, and the kernel evaluates the very same formulas on
// its run-time extents.
//
// Forward and BackwardData are one algorithm, which turns rows of a *source*
// (x or dy) into rows of an *output* (y or dx). A strided BackwardData treats
// the output columns of each residue class modulo the stride apart, so that
// within a class neighbouring columns read neighbouring source columns and no
// product with an inserted zero is ever computed.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONPLAN_H
#define CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONPLAN_H

#include "KernelBuilder.h"
#include "cambium/Target/LLVM/Contraction.h"
#include "llvm/ADT/SmallVector.h"

namespace cambium {

/// Filter taps of one row that read consecutive source columns, so that they
/// and their channels form one long dot product.
struct TapRun {
  /// Scratch column that the first tap reads for output column 0 of the class.
  int64_t column = 0;
  /// First tap, in the order of packed filters.
  int64_t firstTap = 0;
  int64_t numTaps = 0;
};

/// How the columns of a row take part; fixed by the spec.
struct ColumnPlan {
  /// Distance in scratch between the columns that neighbouring outputs of one
  /// class read.
  int64_t sourceStep = 1;
  /// Distance between neighbouring output columns of one class; also the
  /// number of classes.
  int64_t outputStep = 1;
  /// Scratch column of source column 0; may be negative.
  int64_t shift = 0;
  /// Largest distance from the first column that an output reads to the last.
  int64_t reach = 0;
  /// For each packed tap its kernelW index.
  llvm::SmallVector<int64_t> tapOrder;
  /// The tap runs of each class. Classes are filled up with empty runs to
  /// equal length.
  llvm::SmallVector<llvm::SmallVector<TapRun>> classes;

  int64_t runsPerClass() const { return classes.front().size(); }
};

ColumnPlan planColumns(const ContractionSpec &spec);

/// True if each output pixel reads just the source pixel at its own place.
/// All pixels then form one sequence, cut into rows of `flatRow` pixels, so
/// that neither tiles nor tasks depend on the image's shape.
bool isPointwise(const ContractionSpec &spec);
int64_t flatRow(const ContractionSpec &spec,
                const ContractionSchedule &schedule);

/// True if filter gradients pack x: windows of one tap without padding.
bool packsSource(const ContractionSpec &spec);

/// x, w and y extents as kernel or host integers.
template <typename Int> struct Extents {
  Int batch, inH, inW, inC, outH, outW, outC;
};

/// `extent(tensor, dimension)` reads one extent of lhs (0), rhs (1) or result
/// (2).
template <typename Int, typename Reader>
Extents<Int> readExtents(const ContractionSpec &spec, Reader extent) {
  using Kind = ContractionSpec::Kind;
  int x = spec.kind == Kind::BackwardData ? 2 : 0;
  int y = spec.kind == Kind::Forward        ? 2
          : spec.kind == Kind::BackwardData ? 0
                                            : 1;
  if (spec.linear)
    return {extent(x, 0), Int(1), Int(1),      extent(x, 1),
            Int(1),       Int(1), extent(y, 1)};
  return {extent(x, 0), extent(x, 1), extent(x, 2), extent(x, 3),
          extent(y, 1), extent(y, 2), extent(y, 3)};
}

/// A run of rows as full tiles followed by tail tiles.
template <typename Int> struct TileCounts {
  Int tiles, tailTiles;
};

/// Covers `rows` with the least number of surplus rows, at most two of the
/// tiles being tail tiles where that suffices.
template <typename Int>
TileCounts<Int> countTiles(const ContractionSchedule &schedule, Int rows) {
  Int tile(schedule.tile), tail(schedule.tailTile);
  if (schedule.tailTile >= schedule.tile)
    return {ceilDiv(rows, tile), Int(0)};
  auto tilesBefore = [&](int64_t tails) {
    return ceilDiv(maxOf(rows - tail * Int(tails), Int(0)), tile);
  };
  Int best = tilesBefore(0);
  Int cost = best * tile;
  for (int64_t tails = 1; tails <= 2; ++tails) {
    Int count = tilesBefore(tails);
    Int candidate = count * tile + tail * Int(tails);
    best = selectLess(candidate, cost, count, best);
    cost = minOf(candidate, cost);
  }
  return {best, ceilDiv(maxOf(rows - best * tile, Int(0)), tail)};
}

/// Rows that the tiles cover, surplus rows included.
template <typename Int>
Int coveredRows(const ContractionSchedule &schedule, Int rows) {
  TileCounts<Int> counts = countTiles(schedule, rows);
  return counts.tiles * Int(schedule.tile) +
         counts.tailTiles * Int(schedule.tailTile);
}

/// Blocks of rows, and blocks of output channels, that make up tasks.
struct BlockTargets {
  /// Pixels that share one pass over a filter block.
  static constexpr int64_t pixels = 256;
  /// The same for filter gradients, where the pixels' panels must stay in L1.
  static constexpr int64_t gradientPixels = 128;
  /// Bytes of copied rows that leave room for filters in a private L2 cache.
  static constexpr int64_t scratchBytes = 160 * 1024;
  /// Enough tasks to balance the load of a few dozen threads.
  static constexpr int64_t tasks = 32;
  /// Partial filter gradients: as many as share the work over pixels well, but
  /// few enough that summing them up costs little memory traffic.
  static constexpr int64_t partials = 16;
  static constexpr int64_t partialBytes = 4 * 1024 * 1024;
  /// Source channels that filter gradients pack at a time.
  static constexpr int64_t packedChannels = 512;
  /// Filter rows summed up by one task of a filter gradient's second phase.
  static constexpr int64_t reducedRows = 16;
};

/// All that depends on extents in Forward and BackwardData.
template <typename Int> struct RowGeometry {
  Int images, sourceRows, sourceColumns, sourceChannels;
  Int outputRows, outputColumns, outputChannels;
  /// Channels of one group.
  Int sourceGroup, outputGroup;
  /// Pixels of the whole tensor where rows are flat.
  Int pixels;
  /// Scratch: columns of a row and floats of a row.
  Int scratchColumns, scratchRow, scratchRows;
  Int rowsPerTask, rowBlocks;
  Int channelBlocks, channelBlocksPerTask, channelSplits;
  /// Floats of one packed filter block (a group's channel block).
  Int filterBlock;

  Int tasks(const ContractionSpec &spec) const {
    return images * rowBlocks * Int(spec.groups) * channelSplits;
  }
  Int packTasks(const ContractionSpec &spec) const {
    return Int(spec.groups) * channelBlocks * Int(spec.kernelH);
  }
  Int packedFloats(const ContractionSpec &spec) const {
    return Int(spec.groups) * channelBlocks * filterBlock;
  }
};

/// Rows of a block such that it has about `pixels` pixels and its source rows
/// fit into scratch; blocks are of even size.
template <typename Int>
Int rowsOfBlock(Int rows, Int columns, Int pixels, Int scratchRow,
                int64_t strideRows) {
  Int byPixels = ceilDiv(pixels, maxOf(columns, Int(1)));
  Int byScratch = Int(BlockTargets::scratchBytes / 4) /
                  maxOf(scratchRow * Int(strideRows), Int(1));
  Int most = maxOf(minOf(byPixels, byScratch), Int(1));
  Int some = maxOf(rows, Int(1));
  return ceilDiv(some, ceilDiv(some, most));
}

template <typename Int>
RowGeometry<Int>
rowGeometry(const ContractionSpec &spec, const ContractionSchedule &schedule,
            const ColumnPlan &columns, const Extents<Int> &extents) {
  bool forward = spec.kind == ContractionSpec::Kind::Forward;
  Int one(1), groups(spec.groups);
  Int block(schedule.vectorWidth * schedule.vectors);
  Int sourceC = forward ? extents.inC : extents.outC;
  Int outputC = forward ? extents.outC : extents.inC;
  Int pixels = extents.batch * extents.outH * extents.outW;
  Int images = extents.batch, sourceH = forward ? extents.inH : extents.outH;
  Int sourceW = forward ? extents.inW : extents.outW;
  Int outputH = forward ? extents.outH : extents.inH;
  Int outputW = forward ? extents.outW : extents.inW;
  if (isPointwise(spec)) {
    images = one;
    sourceW = outputW = Int(flatRow(spec, schedule));
    sourceH = outputH = ceilDiv(pixels, outputW);
  }
  Int sourceG = sourceC / groups, outputG = outputC / groups;

  Int classColumns = ceilDiv(outputW, Int(columns.outputStep));
  Int scratchColumns =
      (classColumns + Int(schedule.tile - 1)) * Int(columns.sourceStep) +
      Int(columns.reach + 1);
  Int scratchRow = scratchColumns * sourceG;
  int64_t rowStride = forward ? spec.strideH : 1;
  // Few images call for smaller blocks, which may cost some halo.
  Int spread = ceilDiv(images * outputH * outputW, Int(BlockTargets::tasks));
  Int blockPixels = maxOf(minOf(Int(BlockTargets::pixels), spread),
                          Int(BlockTargets::pixels / 4));
  Int rowsPerTask =
      rowsOfBlock(outputH, outputW, blockPixels, scratchRow, rowStride);
  Int rowBlocks = ceilDiv(outputH, rowsPerTask);
  int64_t halo = (spec.kernelH - 1) * spec.dilationH;
  Int scratchRows =
      forward ? (rowsPerTask - one) * Int(rowStride) + Int(halo + 1)
              : (rowsPerTask + Int(halo)) / Int(spec.strideH) + Int(2);

  Int channelBlocks = ceilDiv(outputG, block);
  Int otherTasks = maxOf(images * rowBlocks * groups, one);
  Int splits = maxOf(
      minOf(channelBlocks, ceilDiv(Int(BlockTargets::tasks), otherTasks)), one);
  Int perTask = ceilDiv(channelBlocks, splits);
  return {images,
          sourceH,
          sourceW,
          sourceC,
          outputH,
          outputW,
          outputC,
          sourceG,
          outputG,
          pixels,
          scratchColumns,
          scratchRow,
          minOf(scratchRows, sourceH),
          rowsPerTask,
          rowBlocks,
          channelBlocks,
          perTask,
          ceilDiv(channelBlocks, maxOf(perTask, one)),
          Int(spec.kernelH * spec.kernelW) * sourceG * block};
}

/// All that depends on extents in BackwardFilter.
template <typename Int> struct FilterGeometry {
  Int images, sourceRows, sourceColumns, sourceChannels;
  Int outputRows, outputColumns, outputChannels;
  Int sourceGroup, outputGroup;
  Int pixels;
  Int scratchColumns, scratchRow, scratchRows;
  /// A unit is a block of rows of one image.
  Int rowsPerUnit, rowBlocks, units;
  /// Each partial gradient sums up a fixed range of units.
  Int partials;
  Int channelBlocks, channelBlocksPerTask, channelSplits;
  /// Taps and source channels of one tap run, and with surplus rows.
  Int runRows, paddedRunRows;
  /// Floats of a partial gradient: one kernel row of a channel block; a channel
  /// block; all.
  Int partialKernelRow, partialBlock, partialFloats;

  Int tasks(const ContractionSpec &spec) const {
    return partials * Int(spec.groups) * channelSplits;
  }
  Int reduceBlocks() const {
    return ceilDiv(sourceGroup, Int(BlockTargets::reducedRows));
  }
  Int reduceTasks(const ContractionSpec &spec) const {
    return Int(spec.kernelH * spec.kernelW) * reduceBlocks();
  }
};

/// Whole tiles of `BlockTargets::packedChannels`.
inline int64_t panelRows(const ContractionSchedule &schedule) {
  return std::max<int64_t>(BlockTargets::packedChannels / schedule.tile, 1) *
         schedule.tile;
}

/// Rows that the tiles cover if they begin anew after so many rows.
template <typename Int>
Int coveredPanels(const ContractionSchedule &schedule, Int rows) {
  Int panel(panelRows(schedule));
  Int whole = rows / panel * panel;
  return whole + coveredRows(schedule, rows - whole);
}

template <typename Int>
FilterGeometry<Int>
filterGeometry(const ContractionSpec &spec, const ContractionSchedule &schedule,
               const ColumnPlan &columns, const Extents<Int> &extents) {
  Int one(1), groups(spec.groups);
  Int block(schedule.vectorWidth * schedule.vectors);
  Int pixels = extents.batch * extents.outH * extents.outW;
  Int images = extents.batch, sourceH = extents.inH, sourceW = extents.inW;
  Int outputH = extents.outH, outputW = extents.outW;
  if (isPointwise(spec)) {
    images = one;
    sourceW = outputW = Int(flatRow(spec, schedule));
    sourceH = outputH = ceilDiv(pixels, outputW);
  }
  Int sourceG = extents.inC / groups, outputG = extents.outC / groups;

  Int scratchColumns = maxOf(outputW - one, Int(0)) * Int(columns.sourceStep) +
                       Int(columns.reach + 1);
  Int scratchRow = scratchColumns * sourceG;
  Int rowsPerUnit =
      rowsOfBlock(outputH, outputW, Int(BlockTargets::gradientPixels),
                  scratchRow, spec.strideH);
  Int rowBlocks = ceilDiv(outputH, rowsPerUnit);
  Int scratchRows = (rowsPerUnit - one) * Int(spec.strideH) +
                    Int((spec.kernelH - 1) * spec.dilationH + 1);
  Int units = images * rowBlocks;

  int64_t runs = columns.runsPerClass();
  Int runRows = Int(columns.classes[0][0].numTaps) * sourceG;
  Int paddedRunRows = coveredRows(schedule, runRows);
  if (packsSource(spec))
    paddedRunRows = maxOf(paddedRunRows, coveredPanels(schedule, runRows));
  Int channelBlocks = ceilDiv(outputG, block);
  Int kernelRow = Int(runs) * paddedRunRows * block;
  Int partialBlock = Int(spec.kernelH) * kernelRow;
  Int partialFloats = groups * channelBlocks * partialBlock;

  Int byMemory =
      Int(BlockTargets::partialBytes / 4) / maxOf(partialFloats, one);
  Int forTasks =
      ceilDiv(Int(BlockTargets::tasks), maxOf(channelBlocks * groups, one));
  Int partials =
      maxOf(minOf(units, maxOf(forTasks,
                               minOf(Int(BlockTargets::partials), byMemory))),
            one);
  Int splits = maxOf(minOf(channelBlocks, ceilDiv(Int(BlockTargets::tasks),
                                                  partials * groups)),
                     one);
  Int perTask = ceilDiv(channelBlocks, splits);
  return {images,
          sourceH,
          sourceW,
          extents.inC,
          outputH,
          outputW,
          extents.outC,
          sourceG,
          outputG,
          pixels,
          scratchColumns,
          scratchRow,
          minOf(scratchRows, sourceH),
          rowsPerUnit,
          rowBlocks,
          units,
          partials,
          channelBlocks,
          perTask,
          ceilDiv(channelBlocks, maxOf(perTask, one)),
          runRows,
          paddedRunRows,
          kernelRow,
          partialBlock,
          partialFloats};
}

/// Floats of scratch in front of the copied rows: one register tile.
inline int64_t tileFloats(const ContractionSchedule &schedule) {
  return schedule.tile * schedule.vectors * schedule.vectorWidth;
}

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONPLAN_H
