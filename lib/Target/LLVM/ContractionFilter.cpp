//===- ContractionFilter.cpp - BackwardFilter -----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Phase 0 sums up partial gradients. The units are split into a number of
// ranges that depends on the extents alone; a task handles one range, one group
// and some channel blocks. For each unit it copies the rows of x into scratch,
// padded, and packs the rows of dy as [pixel][block]. A register tile of taps
// and channels then runs over all pixels of the unit, starting at zero, and is
// added to the partial gradient.
//
// Phase 1 adds the partial gradients in order.
//
//===----------------------------------------------------------------------===//

#include "ContractionFilter.h"

using namespace mlir;
using namespace cambium;

//===----------------------------------------------------------------------===//
// What one contraction and branches share
//===----------------------------------------------------------------------===//

FilterUnit FilterTiles::unit(const Geometry &g, I64 index, I64 group) {
  I64 image = index / g.rowBlocks;
  I64 firstRow = (index % g.rowBlocks) * g.rowsPerUnit;
  I64 endRow = minOf(firstRow + g.rowsPerUnit, g.outputRows);
  I64 firstSource = firstRow * spec.strideH - spec.padTop;
  I64 endSource = (endRow - 1) * spec.strideH +
                  ((spec.kernelH - 1) * spec.dilationH + 1 - spec.padTop);
  return {group,
          image,
          firstRow,
          endRow,
          maxOf(firstSource, 0),
          minOf(endSource, g.sourceRows)};
}

void FilterTiles::addProducts(const Geometry &g, const FilterUnit &u,
                              RowPointer pointer, Value packed, Value partial) {
  k.loop(0, spec.kernelH, [&](I64 kernelRow) {
    Value rowPartial = k.at(partial, kernelRow * g.partialKernelRow);
    k.loop(0, columns.runsPerClass(), [&](I64 index) {
      RunRows run{kernelRow, tapRun(0, index).column,
                  k.at(rowPartial, index * g.paddedRunRows * block())};
      forTiles(g.runRows, [&](int64_t tile, I64 first) {
        emitTile(g, u, pointer, packed, run, tile, first);
      });
    });
  });
}

void FilterTiles::emitTile(const Geometry &g, const FilterUnit &u,
                           RowPointer pointer, Value packed, const RunRows &run,
                           int64_t tile, I64 first) {
  auto rowProducts = [&](I64 row, I64 source, ValueRange carried) {
    Value base = k.at(pointer(source), run.column * g.sourceGroup + first);
    SmallVector<Value> left;
    for (int64_t index = 0; index < tile; ++index)
      left.push_back(k.at(base, index));
    Value right = k.at(packed, (row - u.firstRow) * g.outputColumns * block());
    return accumulate(SmallVector<Value>(carried), tile,
                      rowColumns(row, g.outputColumns, g.pixels), left,
                      g.sourceGroup * columns.sourceStep, right);
  };
  SmallVector<Value> sums = k.loop(
      u.firstRow, u.endRow, zeroTile(tile), [&](I64 row, ValueRange carried) {
        if (pointwise())
          return rowProducts(row, row, carried);
        I64 source =
            row * spec.strideH + run.kernelRow * spec.dilationH - spec.padTop;
        Value exists =
            k.both(k.lessEqual(0, source), k.less(source, g.sourceRows));
        return k.ifThenYield(
            exists, [&] { return rowProducts(row, source, carried); }, carried);
      });
  for (int64_t index = 0; index < tile; ++index)
    for (int64_t v = 0; v < schedule.vectors; ++v) {
      I64 offset = (first + index) * block() + v * schedule.vectorWidth;
      Value sum = sums[index * schedule.vectors + v];
      k.store(k.add(k.load(run.partial, offset), sum), run.partial, offset);
    }
}

void FilterTiles::reduce(const Geometry &g, I64 task, Value partials,
                         Store store) {
  I64 blocks = g.reduceBlocks();
  I64 first = (task % blocks) * BlockTargets::reducedRows;
  I64 kernelIndex = task / blocks;
  k.loop(first, minOf(first + BlockTargets::reducedRows, g.sourceGroup),
         [&](I64 sourceChannel) {
           reduceRow(g, kernelIndex / spec.kernelW, kernelIndex % spec.kernelW,
                     sourceChannel, partials, store);
         });
}

void FilterTiles::reduceRow(const Geometry &g, I64 kernelRow, I64 kernelColumn,
                            I64 sourceChannel, Value partials, Store store) {
  I64 runRow = sourceChannel;
  // Either all taps of a kernel row form one run or each is its own.
  if (columns.runsPerClass() == 1)
    runRow = runRow + kernelColumn * g.sourceGroup;
  else
    runRow = runRow + kernelColumn * g.paddedRunRows;
  Value row = k.at(partials, kernelRow * g.partialKernelRow + runRow * block());
  I64 rowOffset = ((kernelRow * spec.kernelW + kernelColumn) * g.sourceGroup +
                   sourceChannel) *
                  g.outputChannels;
  k.loop(0, g.channelBlocks * spec.groups, [&](I64 groupBlock) {
    I64 group = groupBlock / g.channelBlocks;
    I64 blockChannel = (groupBlock % g.channelBlocks) * block();
    k.loop(0, schedule.vectors, [&](I64 v) {
      I64 groupChannel = blockChannel + v * schedule.vectorWidth;
      Value from =
          k.at(row, groupBlock * g.partialBlock + v * schedule.vectorWidth);
      SmallVector<Value> sum = k.loop(
          1, g.partials, k.load(from, 0),
          [&](I64 partial, ValueRange carried) -> SmallVector<Value> {
            return {k.add(carried[0], k.load(from, partial * g.partialFloats))};
          });
      I64 channel = group * g.outputGroup + groupChannel;
      I64 offset = rowOffset + channel;
      I64 remaining = g.outputGroup - groupChannel;
      k.ifThenElse(
          k.lessEqual(schedule.vectorWidth, remaining),
          [&] { store(sum[0], offset, channel, Value()); },
          [&] { store(sum[0], offset, channel, k.firstLanes(remaining)); });
    });
  });
}

//===----------------------------------------------------------------------===//
// One contraction
//===----------------------------------------------------------------------===//

namespace {

class FilterEmitter {
public:
  explicit FilterEmitter(ContractionEmitter &emitter)
      : e(emitter), k(emitter.k), spec(emitter.spec),
        schedule(emitter.schedule),
        tiles(emitter.k, emitter.spec, emitter.schedule) {}

  void emitPartialPhase();
  void emitReducePhase();

private:
  using Geometry = FilterTiles::Geometry;

  Geometry geometry(const PhaseArguments &arguments) {
    return filterGeometry<I64>(spec, schedule, e.columns,
                               e.extents(arguments.dims));
  }
  void emitTask(const PhaseArguments &arguments, const Geometry &g, I64 task);
  void copySource(const Geometry &g, const FilterUnit &unit, Value x,
                  Value rows);
  Value sourceRow(const Geometry &g, const FilterUnit &unit, Value x,
                  Value rows, I64 source);
  void packGradient(const Geometry &g, const FilterUnit &unit, I64 channelBlock,
                    Value dy, Value packed);

  ContractionEmitter &e;
  KernelBuilder &k;
  const ContractionSpec &spec;
  const ContractionSchedule &schedule;
  FilterTiles tiles;
};

} // namespace

void FilterEmitter::emitPartialPhase() {
  emitPhase(k, e.kernelName, 0, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = geometry(arguments);
              k.loop(arguments.begin, arguments.end,
                     [&](I64 task) { emitTask(arguments, g, task); });
            });
}

void FilterEmitter::emitTask(const PhaseArguments &arguments, const Geometry &g,
                             I64 task) {
  I64 split = task % g.channelSplits;
  I64 rest = task / g.channelSplits;
  I64 group = rest % spec.groups;
  I64 index = rest / spec.groups;
  I64 firstBlock = split * g.channelBlocksPerTask;
  I64 endBlock = minOf(firstBlock + g.channelBlocksPerTask, g.channelBlocks);
  Value x = arguments.buffers[e.layout.lhs.buffer];
  Value dy = arguments.buffers[e.layout.rhs.buffer];
  Value packed = arguments.scratch;
  Value rows = k.at(packed, g.rowsPerUnit * g.outputColumns * e.block());
  Value partial =
      k.at(arguments.buffers[e.layout.workspace],
           index * g.partialFloats + group * g.channelBlocks * g.partialBlock);
  k.fillZero(k.at(partial, firstBlock * g.partialBlock),
             (endBlock - firstBlock) * g.partialBlock);
  k.loop(
      index * g.units / g.partials, (index + 1) * g.units / g.partials,
      [&](I64 unitIndex) {
        FilterUnit unit = tiles.unit(g, unitIndex, group);
        copySource(g, unit, x, rows);
        k.loop(firstBlock, endBlock, [&](I64 channelBlock) {
          packGradient(g, unit, channelBlock, dy, packed);
          tiles.addProducts(
              g, unit,
              [&](I64 source) { return sourceRow(g, unit, x, rows, source); },
              packed, k.at(partial, channelBlock * g.partialBlock));
        });
      });
}

void FilterEmitter::copySource(const Geometry &g, const FilterUnit &u, Value x,
                               Value rows) {
  k.loop(u.firstSource, u.endSource, [&](I64 source) {
    auto copy = [&] {
      e.copyRow(k.at(x, tiles.sourceOffset(g, u, source)),
                e.rowColumns(source, g.sourceColumns, g.pixels),
                g.sourceChannels,
                k.at(rows, (source - u.firstSource) * g.scratchRow),
                g.sourceGroup, g.scratchColumns);
    };
    if (tiles.readsInPlace())
      k.ifThenElse(tiles.canReadInPlace(g, source), [] {}, copy);
    else
      copy();
  });
}

Value FilterEmitter::sourceRow(const Geometry &g, const FilterUnit &u, Value x,
                               Value rows, I64 source) {
  Value copied = k.at(rows, (source - u.firstSource) * g.scratchRow);
  if (!tiles.readsInPlace())
    return copied;
  return k.select(tiles.canReadInPlace(g, source),
                  k.at(x, tiles.sourceOffset(g, u, source)), copied);
}

void FilterEmitter::packGradient(const Geometry &g, const FilterUnit &u,
                                 I64 channelBlock, Value dy, Value packed) {
  I64 firstChannel = channelBlock * e.block();
  I64 channels = g.outputGroup - firstChannel;
  SmallVector<Value> masks;
  for (int64_t v = 0; v < schedule.vectors; ++v)
    masks.push_back(k.firstLanes(channels - v * schedule.vectorWidth));
  k.loop(u.firstRow, u.endRow, [&](I64 row) {
    I64 firstPixel = (u.image * g.outputRows + row) * g.outputColumns;
    Value from = k.at(dy, firstPixel * g.outputChannels +
                              u.group * g.outputGroup + firstChannel);
    Value to = k.at(packed, (row - u.firstRow) * g.outputColumns * e.block());
    k.loop(0, e.rowColumns(row, g.outputColumns, g.pixels), [&](I64 column) {
      for (int64_t v = 0; v < schedule.vectors; ++v) {
        int64_t lane = v * schedule.vectorWidth;
        Value vector = k.load(from, column * g.outputChannels + lane, masks[v]);
        k.store(vector, to, column * e.block() + lane);
      }
    });
  });
}

void FilterEmitter::emitReducePhase() {
  emitPhase(k, e.kernelName, 1, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = geometry(arguments);
              Value partials = arguments.buffers[e.layout.workspace];
              k.loop(arguments.begin, arguments.end, [&](I64 task) {
                tiles.reduce(
                    g, task, partials,
                    [&](Value sum, I64 offset, I64 channel, Value mask) {
                      e.finish(sum, offset, channel, mask, arguments);
                    });
              });
            });
}

void cambium::emitFilterContraction(ContractionEmitter &emitter) {
  FilterEmitter filter(emitter);
  filter.emitPartialPhase();
  filter.emitReducePhase();
}
