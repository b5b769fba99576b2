//===- ContractionPlanes.cpp - Forward, BackwardData of few channels ------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A result of few channels would leave most lanes of a vector of channels
// empty. Here the lanes are neighbouring pixels of a row, or of one of its
// column classes. Source rows are transposed to planes, one for each channel;
// a register tile is `schedule.tile` vectors of pixels by `schedule.vectors`
// channels.
//
// Phase 0 packs the filter into the workspace as
//   [kernelH][tap][channel tile][source channel][vectors]
// and a task packs one kernel row.
//
// In phase 1 a task computes a block of rows. It keeps as many source rows in a
// ring in scratch as one output row reads.
//
//===----------------------------------------------------------------------===//

#include "ContractionRows.h"

using namespace mlir;
using namespace cambium;

namespace {

/// All that depends on extents. `rows` tells of images, row blocks and the
/// ring: a scratch row has a plane for each source channel.
template <typename Int> struct PlaneGeometry {
  RowGeometry<Int> rows;
  Int plane, channelTiles;
  /// Floats of the filter that a tap reads for a channel tile, and all.
  Int filterTile, packedFloats;
  /// Floats of an output row in scratch, which only an epilogue needs.
  Int outputRow;
};

template <typename Int>
PlaneGeometry<Int>
planeGeometry(const ContractionSpec &spec, const ContractionSchedule &schedule,
              const ColumnPlan &columns, const Extents<Int> &extents) {
  Int one(1), width(schedule.vectorWidth);
  RowGeometry<Int> g = rowGeometry<Int>(spec, schedule, columns, extents);
  // An odd number of cache lines, so that planes do not share their sets.
  constexpr int64_t line = 16;
  Int vectors =
      ceilDiv(ceilDiv(g.outputColumns, Int(columns.outputStep)), width);
  Int reached = coveredRows(schedule, vectors) * width + Int(columns.reach);
  Int plane = (ceilDiv(reached, Int(line)) / Int(2) * Int(2) + one) * Int(line);
  g.scratchRow = plane * g.sourceChannels;
  int64_t halo = (spec.kernelH - 1) * spec.dilationH;
  g.scratchRows = Int(spec.kind == ContractionSpec::Kind::Forward
                          ? halo + 1
                          : halo / spec.strideH + 2);

  Int blocks = minOf(ceilDiv(Int(BlockTargets::tasks), maxOf(g.images, one)),
                     maxOf(g.outputRows, one));
  g.rowsPerTask = maxOf(ceilDiv(g.outputRows, blocks), one);
  g.rowBlocks = ceilDiv(g.outputRows, g.rowsPerTask);
  g.channelSplits = one;
  Int channelTiles = ceilDiv(g.outputChannels, Int(schedule.vectors));
  Int filterTile = g.sourceChannels * Int(schedule.vectors);
  return {g,
          plane,
          channelTiles,
          filterTile,
          Int(spec.kernelH * spec.kernelW) * channelTiles * filterTile,
          g.outputColumns * g.outputChannels + width};
}

class PlaneEmitter {
public:
  explicit PlaneEmitter(ContractionEmitter &emitter)
      : e(emitter), k(emitter.k), spec(emitter.spec),
        schedule(emitter.schedule),
        tiles(emitter.k, emitter.spec, emitter.schedule),
        forward(spec.kind == ContractionSpec::Kind::Forward) {}

  void emitPackPhase();
  void emitPlanePhase();

private:
  using Geometry = PlaneGeometry<I64>;
  using Values = SmallVector<Value>;

  struct Task : RowBlock {
    const PhaseArguments &arguments;
    const Geometry &g;
    Value outputRow, ring;
  };
  /// Vectors [first, first + size) of a column class.
  struct Tile {
    int64_t size;
    I64 first, columnClass, channelTile;
  };

  Geometry geometry(const PhaseArguments &arguments) {
    return planeGeometry<I64>(spec, schedule, e.columns,
                              e.extents(arguments.dims));
  }
  void pack(const Geometry &g, const PhaseArguments &arguments, I64 kernelRow);
  void emitTask(const PhaseArguments &arguments, const Geometry &g, I64 task);
  Value ringRow(const Task &task, I64 source) {
    return k.at(task.ring,
                source % task.g.rows.scratchRows * task.g.rows.scratchRow);
  }
  void fillRing(const Task &task, I64 source);
  void emitRow(const Task &task, I64 row, Value to);
  Values emitTile(const Task &task, I64 row, const Tile &tile);
  Values accumulate(const Task &task, Values accumulators, Value plane,
                    Value filter);
  void storeTile(const Task &task, const Tile &tile,
                 ArrayRef<Value> accumulators, Value to);
  void finishRow(const Task &task, I64 row);

  ContractionEmitter &e;
  KernelBuilder &k;
  const ContractionSpec &spec;
  const ContractionSchedule &schedule;
  RowTiles tiles;
  const bool forward;
};

} // namespace

void PlaneEmitter::emitPackPhase() {
  emitPhase(k, e.kernelName, 0, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = geometry(arguments);
              k.loop(arguments.begin, arguments.end,
                     [&](I64 task) { pack(g, arguments, task); });
            });
}

void PlaneEmitter::pack(const Geometry &g, const PhaseArguments &arguments,
                        I64 kernelRow) {
  Value filter = arguments.buffers[e.layout.rhs.buffer];
  Value packed = arguments.buffers[e.layout.workspace];
  I64 source = g.rows.sourceChannels, output = g.rows.outputChannels;
  auto packTile = [&](I64 tap, I64 channelTile) {
    I64 kernelColumn = k.lookUp(e.columns.tapOrder, tap);
    Value from = k.at(filter, (kernelRow * spec.kernelW + kernelColumn) *
                                  (source * output));
    Value to = k.at(packed, ((kernelRow * spec.kernelW + tap) * g.channelTiles +
                             channelTile) *
                                g.filterTile);
    k.loop(0, source, [&](I64 sourceChannel) {
      k.loop(0, schedule.vectors, [&](I64 index) {
        I64 channel = channelTile * schedule.vectors + index;
        I64 at = sourceChannel * schedule.vectors + index;
        k.ifThenElse(
            k.less(channel, output),
            [&] {
              I64 offset = forward ? sourceChannel * output + channel
                                   : channel * source + sourceChannel;
              k.storeFloat(k.loadFloat(from, offset), to, at);
            },
            [&] { k.storeFloat(k.zeroFloat(), to, at); });
      });
    });
  };
  k.loop(0, spec.kernelW, [&](I64 tap) {
    k.loop(0, g.channelTiles,
           [&](I64 channelTile) { packTile(tap, channelTile); });
  });
}

void PlaneEmitter::emitPlanePhase() {
  emitPhase(k, e.kernelName, 1, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = geometry(arguments);
              k.loop(arguments.begin, arguments.end,
                     [&](I64 task) { emitTask(arguments, g, task); });
            });
}

void PlaneEmitter::emitTask(const PhaseArguments &arguments, const Geometry &g,
                            I64 index) {
  Value outputRow = k.at(arguments.scratch, tileFloats(schedule));
  Task t{tiles.rowBlock(g.rows, index), arguments, g, outputRow,
         k.at(outputRow, g.outputRow)};
  // Margins stay zero; fillRing writes in between.
  k.fillZero(t.ring, g.rows.scratchRows * g.rows.scratchRow);
  Value first = t.firstSource.in(k);
  k.loop(t.firstRow, t.endRow, first,
         [&](I64 row, ValueRange carried) -> Values {
           I64 next(k, carried[0]);
           I64 end = maxOf(next, tiles.endSource(g.rows, row));
           k.loop(next, end, [&](I64 source) { fillRing(t, source); });
           I64 offset = (t.image * g.rows.outputRows + row) *
                        g.rows.outputColumns * g.rows.outputChannels;
           Value result = arguments.buffers[e.layout.result.buffer];
           emitRow(t, row, e.epilogue ? t.outputRow : k.at(result, offset));
           if (e.epilogue)
             finishRow(t, row);
           return {end.in(k)};
         });
}

void PlaneEmitter::fillRing(const Task &t, I64 source) {
  const RowGeometry<I64> &g = t.g.rows;
  TileEmitter::RowSpan span = e.rowSpan(g.sourceColumns, t.g.plane);
  Value from = k.at(
      t.arguments.buffers[e.layout.lhs.buffer],
      ((t.image * g.sourceRows + source) * g.sourceColumns + span.skipped) *
          g.sourceChannels);
  e.transpose(from, g.sourceChannels, span.count,
              k.at(ringRow(t, source), span.left), t.g.plane, g.sourceChannels);
}

void PlaneEmitter::emitRow(const Task &t, I64 row, Value to) {
  I64 step = e.columns.outputStep;
  k.loop(0, t.g.channelTiles, [&](I64 channelTile) {
    k.loop(0, step, [&](I64 columnClass) {
      I64 pixels =
          maxOf(ceilDiv(t.g.rows.outputColumns - columnClass, step), I64(0));
      e.forTiles(ceilDiv(pixels, I64(schedule.vectorWidth)),
                 [&](int64_t size, I64 first) {
                   Tile tile{size, first, columnClass, channelTile};
                   storeTile(t, tile, emitTile(t, row, tile), to);
                 });
    });
  });
}

SmallVector<Value> PlaneEmitter::emitTile(const Task &t, I64 row,
                                          const Tile &tile) {
  const Geometry &g = t.g;
  Value packed = t.arguments.buffers[e.layout.workspace];
  auto runProducts = [&](I64 kernelRow, Value source, I64 index,
                         ValueRange carried) {
    TileEmitter::Run run = e.tapRun(tile.columnClass, index);
    return k.loop(0, run.numTaps, carried, [&](I64 tap, ValueRange inner) {
      I64 column = tile.first * schedule.vectorWidth + run.column + tap;
      I64 packedTap = kernelRow * spec.kernelW + run.firstTap + tap;
      I64 filter =
          (packedTap * g.channelTiles + tile.channelTile) * g.filterTile;
      return accumulate(t, Values(inner), k.at(source, column),
                        k.at(packed, filter));
    });
  };
  return k.loop(
      0, spec.kernelH, e.zeroTile(tile.size),
      [&](I64 kernelRow, ValueRange carried) {
        auto [source, exists] = tiles.sourceRow(g.rows, row, kernelRow);
        I64 position = source;
        return k.ifThenYield(
            exists,
            [&]() -> Values {
              Value from = ringRow(t, position);
              return k.loop(0, e.columns.runsPerClass(), carried,
                            [&](I64 index, ValueRange inner) {
                              return runProducts(kernelRow, from, index, inner);
                            });
            },
            carried);
      });
}

/// The products of one tap. Vector i of channel c is at i * vectors + c.
SmallVector<Value> PlaneEmitter::accumulate(const Task &t, Values accumulators,
                                            Value plane, Value filter) {
  int64_t size = accumulators.size() / schedule.vectors;
  return k.loop(0, t.g.rows.sourceChannels, accumulators,
                [&](I64 channel, ValueRange carried) {
                  Values factors, next;
                  for (int64_t c = 0; c < schedule.vectors; ++c)
                    factors.push_back(k.broadcast(
                        k.loadFloat(filter, channel * schedule.vectors + c)));
                  for (int64_t i = 0; i < size; ++i) {
                    Value pixels = k.load(plane, channel * t.g.plane +
                                                     i * schedule.vectorWidth);
                    for (int64_t c = 0; c < schedule.vectors; ++c)
                      next.push_back(k.fma(factors[c], pixels,
                                           carried[i * schedule.vectors + c]));
                  }
                  return next;
                });
}

/// Stores pixels of channels at their places in a row of the output.
void PlaneEmitter::storeTile(const Task &t, const Tile &tile,
                             ArrayRef<Value> accumulators, Value to) {
  int64_t pixels = tile.size * schedule.vectorWidth;
  Value memory = t.arguments.scratch;
  for (int64_t i = 0; i < tile.size; ++i)
    for (int64_t c = 0; c < schedule.vectors; ++c)
      k.store(accumulators[i * schedule.vectors + c], memory,
              c * pixels + i * schedule.vectorWidth);
  I64 step = e.columns.outputStep, channels = t.g.rows.outputChannels;
  I64 first = tile.first * schedule.vectorWidth;
  I64 exist = ceilDiv(t.g.rows.outputColumns - tile.columnClass, step) - first;
  I64 firstChannel = tile.channelTile * schedule.vectors;
  I64 count = minOf(channels - firstChannel, schedule.vectors);
  k.loop(0, count, [&](I64 c) {
    Value from = k.at(memory, c * pixels);
    I64 column = tile.columnClass + first * step;
    Value first = k.at(to, column * channels + firstChannel + c);
    k.loop(0, minOf(exist, pixels), [&](I64 pixel) {
      k.storeFloat(k.loadFloat(from, pixel), first, pixel * (step * channels));
    });
  });
}

void PlaneEmitter::finishRow(const Task &t, I64 row) {
  I64 channels = t.g.rows.outputChannels, columns = t.g.rows.outputColumns;
  I64 firstPixel = (t.image * t.g.rows.outputRows + row) * columns;
  k.loop(0, columns, [&](I64 column) {
    k.forVectors(channels, [&](I64 channel, Value mask) {
      e.finish(k.load(t.outputRow, column * channels + channel),
               (firstPixel + column) * channels + channel, channel, mask,
               t.arguments);
    });
  });
}

void cambium::emitPlaneContraction(ContractionEmitter &emitter) {
  PlaneEmitter planes(emitter);
  planes.emitPackPhase();
  planes.emitPlanePhase();
}

LaunchSizes cambium::planeLaunch(const ContractionSpec &spec,
                                 const ContractionSchedule &schedule,
                                 const Extents<int64_t> &extents) {
  constexpr int64_t floatBytes = sizeof(float);
  auto g = planeGeometry<int64_t>(spec, schedule, planColumns(spec), extents);
  LaunchSizes sizes;
  sizes.tasks = {spec.kernelH, g.rows.tasks(spec)};
  sizes.workspaceBytes = g.packedFloats * floatBytes;
  sizes.scratchBytes = (tileFloats(schedule) + g.outputRow +
                        g.rows.scratchRows * g.rows.scratchRow) *
                       floatBytes;
  return sizes;
}
