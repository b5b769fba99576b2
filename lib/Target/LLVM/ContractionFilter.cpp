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
// padded, or packs their pixels where the window has one tap, and packs the
// rows of dy as [pixel][block]. A register tile of taps and channels then runs
// over all pixels of the unit, starting at zero, and is added to the partial
// gradient.
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
  addTile(sums, run.partial, tile, first);
}

void FilterTiles::addTile(ValueRange sums, Value partial, int64_t tile,
                          I64 first) {
  for (int64_t index = 0; index < tile; ++index)
    for (int64_t v = 0; v < schedule.vectors; ++v) {
      I64 offset = (first + index) * block() + v * schedule.vectorWidth;
      Value sum = sums[index * schedule.vectors + v];
      k.store(k.add(k.load(partial, offset), sum), partial, offset);
    }
}

void FilterTiles::forPanels(const Geometry &g,
                            function_ref<void(const FilterPanels &)> body) {
  int64_t rows = panelRows(schedule);
  k.loop(0, ceilDiv(g.runRows, I64(rows)), [&](I64 index) {
    I64 first = index * rows;
    body({first, minOf(g.runRows - first, rows)});
  });
}

void FilterTiles::packSource(const Geometry &g, const FilterUnit &u, Value x,
                             Value memory, const FilterPanels &panels) {
  forTiles(panels.channels, [&](int64_t tile, I64 first) {
    Value panel = k.at(memory, first * pixels(g, u));
    packTile(g, u, x, panel, tile, panels.first + first);
  });
}

/// Whole vectors are stored in order: what one writes too much, the next pixel
/// or the next panel replaces.
void FilterTiles::packTile(const Geometry &g, const FilterUnit &u, Value x,
                           Value panel, int64_t tile, I64 first) {
  auto copy = [&](bool masked) {
    k.loop(u.firstRow, u.endRow, [&](I64 row) {
      Value from = k.at(x, sourceOffset(g, u, row * spec.strideH) + first);
      Value to = k.at(panel, (row - u.firstRow) * g.outputColumns * tile);
      I64 count = rowColumns(row, g.outputColumns, g.pixels);
      k.loop(0, count, [&](I64 column) {
        for (int64_t lane = 0; lane < tile; lane += k.width) {
          I64 source = column * (g.sourceChannels * spec.strideW) + lane;
          Value mask =
              masked ? k.firstLanes(g.sourceGroup - first - lane) : Value();
          k.store(k.load(from, source, mask), to, column * tile + lane);
        }
      });
    });
  };
  int64_t read = (tile + k.width - 1) / k.width * k.width;
  k.ifThenElse(
      k.lessEqual(first + read, g.sourceGroup), [&] { copy(false); },
      [&] { copy(true); });
}

void FilterTiles::addPanelProducts(const Geometry &g, const FilterUnit &u,
                                   Value memory, Value packed, Value partial,
                                   const FilterPanels &panels) {
  I64 count = pixels(g, u);
  forTiles(panels.channels, [&](int64_t tile, I64 first) {
    Value panel = k.at(memory, first * count);
    Values left;
    for (int64_t index = 0; index < tile; ++index)
      left.push_back(k.at(panel, index));
    addTile(accumulate(zeroTile(tile), tile, count, left, tile, packed),
            partial, tile, panels.first + first);
  });
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
  Value sourceRow(const Geometry &g, const FilterUnit &unit, Value rows,
                  I64 source);
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
  k.loop(index * g.units / g.partials, (index + 1) * g.units / g.partials,
         [&](I64 unitIndex) {
           FilterUnit unit = tiles.unit(g, unitIndex, group);
           auto forBlocks = [&](function_ref<void(Value)> addTo) {
             k.loop(firstBlock, endBlock, [&](I64 channelBlock) {
               packGradient(g, unit, channelBlock, dy, packed);
               addTo(k.at(partial, channelBlock * g.partialBlock));
             });
           };
           if (tiles.packsSource()) {
             tiles.forPanels(g, [&](const FilterPanels &panels) {
               tiles.packSource(g, unit, x, rows, panels);
               forBlocks([&](Value to) {
                 tiles.addPanelProducts(g, unit, rows, packed, to, panels);
               });
             });
             return;
           }
           copySource(g, unit, x, rows);
           forBlocks([&](Value to) {
             tiles.addProducts(
                 g, unit,
                 [&](I64 source) { return sourceRow(g, unit, rows, source); },
                 packed, to);
           });
         });
}

void FilterEmitter::copySource(const Geometry &g, const FilterUnit &u, Value x,
                               Value rows) {
  k.loop(u.firstSource, u.endSource, [&](I64 source) {
    e.copyRow(k.at(x, tiles.sourceOffset(g, u, source)), g.sourceColumns,
              g.sourceChannels, sourceRow(g, u, rows, source), g.sourceGroup,
              g.scratchColumns);
  });
}

Value FilterEmitter::sourceRow(const Geometry &g, const FilterUnit &u,
                               Value rows, I64 source) {
  return k.at(rows, (source - u.firstSource) * g.scratchRow);
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
