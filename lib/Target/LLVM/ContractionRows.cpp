//===- ContractionRows.cpp - Forward and BackwardData ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Phase 0 packs the filter into the workspace as
//   [group][channel block][kernelH][tap][source channel][block]
// with zeros for channels beyond the group, so that the inner loop needs no
// masks. A task packs one kernel row of one block.
//
// Phase 1 computes blocks of output rows. A task copies the source rows that
// it needs into scratch, with zeros on the left and on the right, and then
// passes over them once per channel block.
//
//===----------------------------------------------------------------------===//

#include "ContractionRows.h"

using namespace mlir;
using namespace cambium;

void RowTiles::pack(Value packed, Value filter, const Geometry &g, I64 task) {
  I64 kernelRow = task % spec.kernelH;
  I64 index = task / spec.kernelH;
  I64 channelBlock = index % g.channelBlocks;
  I64 group = index / g.channelBlocks;
  Value to = k.at(packed, task * (g.sourceGroup * (spec.kernelW * block())));
  if (forward)
    packForward(to, kernelRow, group, channelBlock, filter, g);
  else
    packTransposed(to, kernelRow, group, channelBlock, filter, g);
}

void RowTiles::packForward(Value to, I64 kernelRow, I64 group, I64 channelBlock,
                           Value filter, const Geometry &g) {
  I64 firstChannel = channelBlock * block();
  SmallVector<Value> masks;
  for (int64_t v = 0; v < schedule.vectors; ++v)
    masks.push_back(
        k.firstLanes(g.outputGroup - firstChannel - v * schedule.vectorWidth));
  // Forward keeps the taps in order, so all of a kernel row is one sequence.
  Value from =
      k.at(filter, kernelRow * spec.kernelW * g.sourceGroup * g.outputChannels +
                       group * g.outputGroup + firstChannel);
  k.loop(0, g.sourceGroup * spec.kernelW, [&](I64 index) {
    for (int64_t v = 0; v < schedule.vectors; ++v) {
      int64_t lane = v * schedule.vectorWidth;
      Value vector = k.load(from, index * g.outputChannels + lane, masks[v]);
      k.store(vector, to, index * block() + lane);
    }
  });
}

void RowTiles::packTransposed(Value to, I64 kernelRow, I64 group,
                              I64 channelBlock, Value filter,
                              const Geometry &g) {
  k.loop(0, spec.kernelW, [&](I64 tap) {
    I64 kernelColumn = k.lookUp(columns.tapOrder, tap);
    Value tapTo = k.at(to, tap * g.sourceGroup * block());
    I64 firstRow = (kernelRow * spec.kernelW + kernelColumn) * g.outputGroup +
                   channelBlock * block();
    I64 lanes =
        maxOf(minOf(g.outputGroup - channelBlock * block(), block()), I64(0));
    Value from =
        k.at(filter, firstRow * g.sourceChannels + group * g.sourceGroup);
    transpose(from, g.sourceChannels, lanes, tapTo, block(), g.sourceGroup);
    k.loop(lanes, block(), [&](I64 lane) {
      k.loop(0, g.sourceGroup, [&](I64 channel) {
        k.storeFloat(k.zeroFloat(), tapTo, channel * block() + lane);
      });
    });
  });
}

Value RowTiles::packedBlock(Value packed, const Geometry &g, I64 group,
                            I64 channelBlock) {
  return k.at(packed, (group * g.channelBlocks + channelBlock) * g.filterBlock);
}

RowBlock RowTiles::rowBlock(const Geometry &g, I64 task) {
  I64 split = task % g.channelSplits;
  I64 rest = task / g.channelSplits;
  I64 group = rest % spec.groups;
  rest = rest / spec.groups;
  I64 firstRow = (rest % g.rowBlocks) * g.rowsPerTask;
  I64 image = rest / g.rowBlocks;
  I64 endRow = minOf(firstRow + g.rowsPerTask, g.outputRows);
  I64 lastRow = endRow - 1;
  int64_t halo = (spec.kernelH - 1) * spec.dilationH;
  // Rounding towards zero instead of down only matters below zero, which the
  // clamp turns into zero as well.
  I64 firstSource =
      forward
          ? firstRow * spec.strideH - spec.padTop
          : (firstRow + (spec.padTop - halo + spec.strideH - 1)) / spec.strideH;
  I64 firstBlock = split * g.channelBlocksPerTask;
  return {image,
          group,
          firstRow,
          endRow,
          maxOf(firstSource, 0),
          endSource(g, lastRow),
          firstBlock,
          minOf(firstBlock + g.channelBlocksPerTask, g.channelBlocks)};
}

void RowTiles::emitRow(const Geometry &g, I64 row, Value filter,
                       RowPointer source, TileBody body) {
  I64 existing = rowColumns(row, g.outputColumns, g.pixels);
  I64 step = columns.outputStep;
  k.loop(0, step, [&](I64 columnClass) {
    I64 classColumns = maxOf(ceilDiv(existing - columnClass, step), I64(0));
    forTiles(classColumns, [&](int64_t size, I64 first) {
      body({size, first, classColumns, columnClass, step,
            emitTile(g, row, columnClass, filter, source, size, first)});
    });
  });
}

I64 RowTiles::endSource(const Geometry &g, I64 row) {
  int64_t halo = (spec.kernelH - 1) * spec.dilationH;
  I64 last = forward ? row * spec.strideH + (halo - spec.padTop)
                     : (row + spec.padTop) / spec.strideH;
  return minOf(last + 1, g.sourceRows);
}

std::pair<I64, Value> RowTiles::sourceRow(const Geometry &g, I64 row,
                                          I64 kernelRow) {
  I64 position = row;
  Value exists;
  if (forward) {
    position = row * spec.strideH + kernelRow * spec.dilationH - spec.padTop;
    exists = k.lessEqual(0, position);
  } else {
    I64 scaled = row + spec.padTop - kernelRow * spec.dilationH;
    position = scaled / spec.strideH;
    exists = k.both(k.lessEqual(0, scaled),
                    k.equal(position * spec.strideH, scaled));
  }
  return {position, k.both(exists, k.less(position, g.sourceRows))};
}

RowTiles::Values RowTiles::emitTile(const Geometry &g, I64 row, I64 columnClass,
                                    Value filter, RowPointer pointer,
                                    int64_t tile, I64 first) {
  auto kernelRowProducts = [&](I64 kernelRow, Value source,
                               ValueRange carried) {
    auto runProducts = [&](I64 index, ValueRange carried) {
      TileEmitter::Run run = tapRun(columnClass, index);
      SmallVector<Value> left;
      for (int64_t pixel = 0; pixel < tile; ++pixel)
        left.push_back(
            k.at(source, ((first + pixel) * columns.sourceStep + run.column) *
                             g.sourceGroup));
      Value right = k.at(filter, (kernelRow * spec.kernelW + run.firstTap) *
                                     g.sourceGroup * block());
      return accumulate(SmallVector<Value>(carried), tile,
                        run.numTaps * g.sourceGroup, left, 1, right);
    };
    if (columns.runsPerClass() == 1)
      return runProducts(0, carried);
    return k.loop(0, columns.runsPerClass(), carried, runProducts);
  };

  SmallVector<Value> accumulators = zeroTile(tile);
  if (pointwise()) {
    accumulators = kernelRowProducts(0, pointer(row), accumulators);
  } else {
    accumulators = k.loop(
        0, spec.kernelH, accumulators, [&](I64 kernelRow, ValueRange carried) {
          auto [source, exists] = sourceRow(g, row, kernelRow);
          I64 sourceIndex = source;
          return k.ifThenYield(
              exists,
              [&] {
                return kernelRowProducts(kernelRow, pointer(sourceIndex),
                                         carried);
              },
              carried);
        });
  }
  return accumulators;
}

void RowTiles::forVectors(const Geometry &g, const RowTile &tile,
                          I64 channelBlock, Value memory, VectorBody body) {
  for (auto [index, accumulator] : llvm::enumerate(tile.accumulators))
    k.store(accumulator, memory,
            static_cast<int64_t>(index) * schedule.vectorWidth);
  I64 firstChannel = channelBlock * block();
  I64 channels = minOf(g.outputGroup - firstChannel, block());
  auto vectors = [&](I64 column, I64 index, I64 lane, Value mask) {
    body(k.load(memory, index * block() + lane), column, firstChannel + lane,
         mask);
  };
  auto complete = [&] {
    k.loop(0, tile.count(), [&](I64 index) {
      for (int64_t v = 0; v < schedule.vectors; ++v)
        vectors(tile.column(index), index, v * schedule.vectorWidth, Value());
    });
  };
  auto partial = [&] {
    k.loop(0, tile.count(), [&](I64 index) {
      k.loop(0, ceilDiv(channels, I64(schedule.vectorWidth)), [&](I64 v) {
        I64 lane = v * schedule.vectorWidth;
        vectors(tile.column(index), index, lane, k.firstLanes(channels - lane));
      });
    });
  };
  k.ifThenElse(k.less(channels, block()), partial, complete);
}

namespace {

class RowEmitter {
public:
  explicit RowEmitter(ContractionEmitter &emitter)
      : e(emitter), k(emitter.k), spec(emitter.spec),
        schedule(emitter.schedule),
        tiles(emitter.k, emitter.spec, emitter.schedule) {}

  void emitPackPhase();
  void emitRowPhase();

private:
  using Geometry = RowTiles::Geometry;

  /// One task of phase 1.
  struct Task : RowBlock {
    const PhaseArguments &arguments;
    const Geometry &g;
    Value rows;
  };

  void emitTask(const PhaseArguments &arguments, const Geometry &g, I64 task);
  void copySource(const Task &task);
  void storeTile(const Task &task, I64 row, I64 channelBlock,
                 const RowTile &tile);

  Value sourceRowPointer(const Task &task, I64 source);
  /// Pointwise rows are read in place if the surplus pixels of the last tile
  /// still lie in the tensor.
  bool readsInPlace() const { return e.pointwise() && spec.groups == 1; }
  Value canReadInPlace(const Geometry &g, I64 row) {
    I64 existing = e.rowColumns(row, g.sourceColumns, g.pixels);
    return k.lessEqual(row * g.sourceColumns + coveredRows(schedule, existing),
                       g.pixels);
  }
  Value sourceInPlace(const Task &task, I64 source);

  ContractionEmitter &e;
  KernelBuilder &k;
  const ContractionSpec &spec;
  const ContractionSchedule &schedule;
  RowTiles tiles;
};

} // namespace

void RowEmitter::emitPackPhase() {
  emitPhase(k, e.kernelName, 0, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = tiles.geometry(e.extents(arguments.dims));
              k.loop(arguments.begin, arguments.end, [&](I64 task) {
                tiles.pack(arguments.buffers[e.layout.workspace],
                           arguments.buffers[e.layout.rhs.buffer], g, task);
              });
            });
}

void RowEmitter::emitRowPhase() {
  emitPhase(k, e.kernelName, 1, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = tiles.geometry(e.extents(arguments.dims));
              k.loop(arguments.begin, arguments.end,
                     [&](I64 task) { emitTask(arguments, g, task); });
            });
}

void RowEmitter::emitTask(const PhaseArguments &arguments, const Geometry &g,
                          I64 task) {
  Task t{tiles.rowBlock(g, task), arguments, g,
         k.at(arguments.scratch, tileFloats(schedule))};
  copySource(t);
  k.loop(t.firstChannelBlock, t.endChannelBlock, [&](I64 channelBlock) {
    Value filter = tiles.packedBlock(arguments.buffers[e.layout.workspace], g,
                                     t.group, channelBlock);
    k.loop(t.firstRow, t.endRow, [&](I64 row) {
      tiles.emitRow(
          g, row, filter,
          [&](I64 source) { return sourceRowPointer(t, source); },
          [&](const RowTile &tile) { storeTile(t, row, channelBlock, tile); });
    });
  });
}

Value RowEmitter::sourceInPlace(const Task &t, I64 source) {
  Value tensor = t.arguments.buffers[e.layout.lhs.buffer];
  return k.at(tensor, (t.image * t.g.sourceRows + source) * t.g.sourceColumns *
                              t.g.sourceChannels +
                          t.group * t.g.sourceGroup);
}

void RowEmitter::copySource(const Task &t) {
  k.loop(t.firstSource, t.endSource, [&](I64 source) {
    auto copy = [&] {
      e.copyRow(sourceInPlace(t, source),
                e.rowColumns(source, t.g.sourceColumns, t.g.pixels),
                t.g.sourceChannels,
                k.at(t.rows, (source - t.firstSource) * t.g.scratchRow),
                t.g.sourceGroup, t.g.scratchColumns);
    };
    if (readsInPlace())
      k.ifThenElse(canReadInPlace(t.g, source), [] {}, copy);
    else
      copy();
  });
}

Value RowEmitter::sourceRowPointer(const Task &t, I64 source) {
  Value copied = k.at(t.rows, (source - t.firstSource) * t.g.scratchRow);
  if (!readsInPlace())
    return copied;
  return k.select(canReadInPlace(t.g, source), sourceInPlace(t, source),
                  copied);
}

void RowEmitter::storeTile(const Task &t, I64 row, I64 channelBlock,
                           const RowTile &tile) {
  I64 firstChannel = channelBlock * e.block();
  I64 channel = t.group * t.g.outputGroup + firstChannel;
  I64 firstPixel = (t.image * t.g.outputRows + row) * t.g.outputColumns;
  auto offset = [&](I64 index) {
    return (firstPixel + tile.column(index)) * t.g.outputChannels + channel;
  };
  Value complete =
      k.both(k.lessEqual(tile.first + tile.size, tile.classColumns),
             k.lessEqual(firstChannel + e.block(), t.g.outputGroup));
  auto storeAll = [&] {
    for (int64_t index = 0; index < tile.size; ++index) {
      I64 base = offset(index);
      for (int64_t v = 0; v < schedule.vectors; ++v) {
        int64_t lane = v * schedule.vectorWidth;
        e.finish(tile.accumulators[index * schedule.vectors + v], base + lane,
                 channel + lane, Value(), t.arguments);
      }
    }
  };
  // A loop over a copy of the tile in memory keeps the code of the rare case
  // small: the epilogue appears once.
  auto storePart = [&] {
    for (auto [index, accumulator] : llvm::enumerate(tile.accumulators))
      k.store(accumulator, t.arguments.scratch,
              static_cast<int64_t>(index) * schedule.vectorWidth);
    k.loop(0, tile.count(), [&](I64 index) {
      I64 base = offset(index);
      k.loop(0, schedule.vectors, [&](I64 v) {
        I64 lane = v * schedule.vectorWidth;
        Value accumulator =
            k.load(t.arguments.scratch, index * e.block() + lane);
        Value mask = k.firstLanes(t.g.outputGroup - firstChannel - lane);
        e.finish(accumulator, base + lane, channel + lane, mask, t.arguments);
      });
    });
  };
  k.ifThenElse(complete, storeAll, storePart);
}

void cambium::emitRowContraction(ContractionEmitter &emitter) {
  RowEmitter rows(emitter);
  rows.emitPackPhase();
  rows.emitRowPhase();
}
