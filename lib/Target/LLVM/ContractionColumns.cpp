//===- ContractionColumns.cpp - Forward, BackwardData by columns ----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A register tile is one column of rows of some images: row 0 of each of them,
// then row 1 of each, and so on. So tiles are full however narrow the images
// are, and all pixels of a tile lack the same taps on the left and on the
// right, which are left out. Above and below, taps are left out where all rows
// of the tile lack them; otherwise the rows that do read a row of zeros.
//
// Phase 0 packs the filter as for rows. In phase 1 a task computes some rows of
// some images, reading the source in place.
//
//===----------------------------------------------------------------------===//

#include "ContractionRows.h"

using namespace mlir;
using namespace cambium;

namespace {

/// All that depends on extents; `rows` tells of images and packed filters.
template <typename Int> struct ColumnGeometry {
  RowGeometry<Int> rows;
  Int imagesPerGroup, imageGroups;
  Int rowsPerTask, rowBlocks;
  Int channelBlocksPerTask, channelSplits;

  Int tasks() const { return imageGroups * rowBlocks * channelSplits; }
  /// The row of zeros.
  Int zeroFloats() const { return rows.sourceColumns * rows.sourceChannels; }
};

template <typename Int>
ColumnGeometry<Int>
columnGeometry(const ContractionSpec &spec, const ContractionSchedule &schedule,
               const ColumnPlan &columns, const Extents<Int> &extents) {
  Int one(1);
  RowGeometry<Int> rows = rowGeometry<Int>(spec, schedule, columns, extents);
  // Few images at a time, so that what they read for some rows stays in L2.
  Int images = maxOf(rows.images, one);
  Int perGroup = ceilDiv(images, ceilDiv(images, Int(schedule.tile)));
  Int outputRows = maxOf(rows.outputRows, one);
  Int wanted = ceilDiv(Int(BlockTargets::pixels),
                       perGroup * maxOf(rows.outputColumns, one));
  Int rowsPerTask = ceilDiv(outputRows, ceilDiv(outputRows, wanted));
  Int imageGroups = ceilDiv(rows.images, perGroup);
  Int rowBlocks = ceilDiv(rows.outputRows, rowsPerTask);
  Int others = maxOf(imageGroups * rowBlocks, one);
  Int splits =
      minOf(rows.channelBlocks, ceilDiv(Int(BlockTargets::tasks), others));
  Int perTask = maxOf(ceilDiv(rows.channelBlocks, maxOf(splits, one)), one);
  return {rows,
          perGroup,
          imageGroups,
          rowsPerTask,
          rowBlocks,
          perTask,
          ceilDiv(rows.channelBlocks, perTask)};
}

class ColumnEmitter {
public:
  explicit ColumnEmitter(ContractionEmitter &emitter)
      : e(emitter), k(emitter.k), spec(emitter.spec),
        schedule(emitter.schedule),
        tiles(emitter.k, emitter.spec, emitter.schedule) {}

  void emitPackPhase();
  void emitColumnPhase();

private:
  using Geometry = ColumnGeometry<I64>;
  using Values = SmallVector<Value>;

  struct Task {
    const PhaseArguments &arguments;
    const Geometry &g;
    Value zeros;
    I64 firstImage, images, firstRow, endRow;
    I64 firstChannelBlock, endChannelBlock;

    I64 rows() const { return images * (endRow - firstRow); }
  };
  struct ImageRow {
    I64 image, row;
  };
  /// A tile for all columns: rows [first, first + count) of the task's.
  struct Tile {
    int64_t size;
    I64 first, count;
    SmallVector<ImageRow> rows;
  };

  Geometry geometry(const PhaseArguments &arguments) {
    return columnGeometry<I64>(spec, schedule, e.columns,
                               e.extents(arguments.dims));
  }
  Task task(const PhaseArguments &arguments, const Geometry &g, I64 index);
  ImageRow imageRow(const Task &task, I64 index) {
    return {task.firstImage + index % task.images,
            task.firstRow + index / task.images};
  }
  void emitTask(const Task &task);
  void emitTile(const Task &task, const Tile &tile, Value filter,
                I64 channelBlock);
  Values emitColumn(const Task &task, const Tile &tile, Value filter,
                    I64 column);
  void store(const Task &task, const Tile &tile, I64 channelBlock, I64 column,
             ArrayRef<Value> accumulators);

  ContractionEmitter &e;
  KernelBuilder &k;
  const ContractionSpec &spec;
  const ContractionSchedule &schedule;
  RowTiles tiles;
};

} // namespace

void ColumnEmitter::emitPackPhase() {
  emitPhase(k, e.kernelName, 0, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = geometry(arguments);
              k.loop(arguments.begin, arguments.end, [&](I64 task) {
                tiles.pack(arguments.buffers[e.layout.workspace],
                           arguments.buffers[e.layout.rhs.buffer], g.rows,
                           task);
              });
            });
}

void ColumnEmitter::emitColumnPhase() {
  emitPhase(k, e.kernelName, 1, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = geometry(arguments);
              k.fillZero(k.at(arguments.scratch, tileFloats(schedule)),
                         g.zeroFloats());
              k.loop(arguments.begin, arguments.end,
                     [&](I64 index) { emitTask(task(arguments, g, index)); });
            });
}

ColumnEmitter::Task ColumnEmitter::task(const PhaseArguments &arguments,
                                        const Geometry &g, I64 index) {
  I64 firstBlock = index % g.channelSplits * g.channelBlocksPerTask;
  I64 rest = index / g.channelSplits;
  I64 firstRow = rest % g.rowBlocks * g.rowsPerTask;
  I64 firstImage = rest / g.rowBlocks * g.imagesPerGroup;
  return {arguments,
          g,
          k.at(arguments.scratch, tileFloats(schedule)),
          firstImage,
          minOf(g.imagesPerGroup, g.rows.images - firstImage),
          firstRow,
          minOf(firstRow + g.rowsPerTask, g.rows.outputRows),
          firstBlock,
          minOf(firstBlock + g.channelBlocksPerTask, g.rows.channelBlocks)};
}

void ColumnEmitter::emitTask(const Task &t) {
  I64 rows = t.rows();
  k.loop(t.firstChannelBlock, t.endChannelBlock, [&](I64 channelBlock) {
    Value filter = tiles.packedBlock(t.arguments.buffers[e.layout.workspace],
                                     t.g.rows, 0, channelBlock);
    e.forTiles(rows, [&](int64_t size, I64 first) {
      Tile tile{size, first, minOf(rows - first, size), {}};
      // Surplus rows compute the last one again.
      for (int64_t row = 0; row < size; ++row)
        tile.rows.push_back(imageRow(t, minOf(first + row, rows - 1)));
      emitTile(t, tile, filter, channelBlock);
    });
  });
}

void ColumnEmitter::emitTile(const Task &t, const Tile &tile, Value filter,
                             I64 channelBlock) {
  k.loop(0, t.g.rows.outputColumns, [&](I64 column) {
    store(t, tile, channelBlock, column, emitColumn(t, tile, filter, column));
  });
}

/// The products of the taps that exist.
SmallVector<Value> ColumnEmitter::emitColumn(const Task &t, const Tile &tile,
                                             Value filter, I64 column) {
  const RowGeometry<I64> &g = t.g.rows;
  const ColumnPlan &plan = e.columns;
  I64 columnClass = column % plan.outputStep;
  I64 firstColumn = column / plan.outputStep * plan.sourceStep - plan.shift;
  Value tensor = t.arguments.buffers[e.layout.lhs.buffer];
  auto runProducts = [&](I64 index, I64 kernelRow, ArrayRef<Value> sources,
                         ValueRange carried) {
    TileEmitter::Run run = e.tapRun(columnClass, index);
    I64 begin = firstColumn + run.column;
    I64 skipped = maxOf(0 - begin, 0);
    I64 taps = minOf(run.numTaps, g.sourceColumns - begin) - skipped;
    Values left;
    for (Value source : sources)
      left.push_back(k.at(source, (begin + skipped) * g.sourceChannels));
    I64 tap = kernelRow * spec.kernelW + run.firstTap + skipped;
    Value right = k.at(filter, tap * g.sourceChannels * e.block());
    return e.accumulate(Values(carried), tile.size, taps * g.sourceChannels,
                        left, 1, right);
  };
  return k.loop(0, spec.kernelH, e.zeroTile(tile.size),
                [&](I64 kernelRow, ValueRange carried) {
                  Values sources;
                  Value any;
                  for (const ImageRow &row : tile.rows) {
                    auto [source, exists] =
                        tiles.sourceRow(g, row.row, kernelRow);
                    Value found =
                        k.at(tensor, (row.image * g.sourceRows + source) *
                                         (g.sourceColumns * g.sourceChannels));
                    sources.push_back(k.select(exists, found, t.zeros));
                    any = any ? k.either(any, exists) : exists;
                  }
                  return k.ifThenYield(
                      any,
                      [&]() -> Values {
                        if (plan.runsPerClass() == 1)
                          return runProducts(0, kernelRow, sources, carried);
                        return k.loop(0, plan.runsPerClass(), carried,
                                      [&](I64 index, ValueRange inner) {
                                        return runProducts(index, kernelRow,
                                                           sources, inner);
                                      });
                      },
                      carried);
                });
}

void ColumnEmitter::store(const Task &t, const Tile &tile, I64 channelBlock,
                          I64 column, ArrayRef<Value> accumulators) {
  const RowGeometry<I64> &g = t.g.rows;
  I64 channel = channelBlock * e.block();
  auto offset = [&](const ImageRow &row) {
    return ((row.image * g.outputRows + row.row) * g.outputColumns + column) *
               g.outputChannels +
           channel;
  };
  auto finish = [&](Value accumulator, I64 base, I64 lane, Value mask) {
    e.finish(accumulator, base + lane, channel + lane, mask, t.arguments);
  };
  auto storeAll = [&] {
    for (int64_t row = 0; row < tile.size; ++row) {
      I64 base = offset(tile.rows[row]);
      for (int64_t v = 0; v < schedule.vectors; ++v)
        finish(accumulators[row * schedule.vectors + v], base,
               v * schedule.vectorWidth, Value());
    }
  };
  auto storePart = [&] {
    Value memory = t.arguments.scratch;
    for (auto [index, accumulator] : llvm::enumerate(accumulators))
      k.store(accumulator, memory,
              static_cast<int64_t>(index) * schedule.vectorWidth);
    k.loop(0, tile.count, [&](I64 row) {
      I64 base = offset(imageRow(t, tile.first + row));
      k.loop(0, schedule.vectors, [&](I64 v) {
        I64 lane = v * schedule.vectorWidth;
        finish(k.load(memory, row * e.block() + lane), base, lane,
               k.firstLanes(g.outputChannels - channel - lane));
      });
    });
  };
  Value complete = k.both(k.equal(tile.count, tile.size),
                          k.lessEqual(channel + e.block(), g.outputChannels));
  k.ifThenElse(complete, storeAll, storePart);
}

void cambium::emitColumnContraction(ContractionEmitter &emitter) {
  ColumnEmitter columns(emitter);
  columns.emitPackPhase();
  columns.emitColumnPhase();
}

LaunchSizes cambium::columnLaunch(const ContractionSpec &spec,
                                  const ContractionSchedule &schedule,
                                  const Extents<int64_t> &extents) {
  constexpr int64_t floatBytes = sizeof(float);
  auto g = columnGeometry<int64_t>(spec, schedule, planColumns(spec), extents);
  LaunchSizes sizes;
  sizes.tasks = {g.rows.packTasks(spec), g.tasks()};
  sizes.workspaceBytes = g.rows.packedFloats(spec) * floatBytes;
  sizes.scratchBytes = (tileFloats(schedule) + g.zeroFloats()) * floatBytes;
  return sizes;
}
