//===- ContractionFilter.cpp - BackwardFilter -----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Phase 0 sums up partial gradients. The blocks of output rows of all images,
// the units, are split into a number of ranges that depends on the extents
// alone; a task handles one range, one group and some channel blocks. For each
// unit it copies the rows of x into scratch, padded, and packs the rows of dy
// as [pixel][block]. A register tile of taps and channels then runs over all
// pixels of the unit, starting at zero, and is added to the partial gradient,
// which lies in the workspace as
//   [partial][group][channel block][kernelH][tap run][run row][block]
// with surplus run rows and channels, so that no mask is needed.
//
// Phase 1 adds the partial gradients in order.
//
//===----------------------------------------------------------------------===//

#include "ContractionEmitter.h"

using namespace mlir;
using namespace cambium;

namespace {

class FilterEmitter {
public:
  explicit FilterEmitter(ContractionEmitter &emitter)
      : e(emitter), k(emitter.k), spec(emitter.spec),
        schedule(emitter.schedule) {}

  void emitPartialPhase();
  void emitReducePhase();

private:
  using Geometry = FilterGeometry<I64>;

  /// One unit of a task of phase 0.
  struct Unit {
    const PhaseArguments &arguments;
    const Geometry &g;
    I64 group, image, firstRow, endRow;
    /// x rows [firstSource, endSource) lie at `rows`, the packed dy rows of the
    /// current channel block at `packed`.
    I64 firstSource, endSource;
    Value rows, packed;
  };

  void emitTask(const PhaseArguments &arguments, const Geometry &g, I64 task);
  void emitUnit(const PhaseArguments &arguments, const Geometry &g, I64 unit,
                I64 group, I64 firstBlock, I64 endBlock, Value partial);
  void copySource(const Unit &unit);
  void packGradient(const Unit &unit, I64 channelBlock);
  void emitTile(const Unit &unit, I64 kernelRow, I64 column, Value partial,
                int64_t tile, I64 first);
  void reduceRow(const PhaseArguments &arguments, const Geometry &g,
                 I64 kernelRow, I64 kernelColumn, I64 sourceChannel);

  I64 existingColumns(const Geometry &g, I64 row) {
    return e.rowColumns(row, g.outputColumns, g.pixels);
  }
  /// Pointwise rows are read in place if what a surplus tile row reads past
  /// their end still lies in the tensor.
  bool readsInPlace() const { return e.pointwise() && spec.groups == 1; }
  Value canReadInPlace(const Geometry &g, I64 row) {
    I64 pixels = minOf((row + 1) * g.outputColumns, g.pixels);
    return k.lessEqual(pixels * g.sourceChannels + g.paddedRunRows - g.runRows,
                       g.pixels * g.sourceChannels);
  }
  Value sourceInPlace(const Unit &unit, I64 source);
  Value sourceRowPointer(const Unit &unit, I64 source);

  ContractionEmitter &e;
  KernelBuilder &k;
  const ContractionSpec &spec;
  const ContractionSchedule &schedule;
};

} // namespace

void FilterEmitter::emitPartialPhase() {
  emitPhase(k, e.kernelName, 0, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = filterGeometry<I64>(spec, schedule, e.columns,
                                               e.extents(arguments.dims));
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
  Value partial =
      k.at(arguments.buffers[e.layout.workspace],
           index * g.partialFloats + group * g.channelBlocks * g.partialBlock);
  k.fillZero(k.at(partial, firstBlock * g.partialBlock),
             (endBlock - firstBlock) * g.partialBlock);
  k.loop(index * g.units / g.partials, (index + 1) * g.units / g.partials,
         [&](I64 unit) {
           emitUnit(arguments, g, unit, group, firstBlock, endBlock, partial);
         });
}

void FilterEmitter::emitUnit(const PhaseArguments &arguments, const Geometry &g,
                             I64 unit, I64 group, I64 firstBlock, I64 endBlock,
                             Value partial) {
  I64 image = unit / g.rowBlocks;
  I64 firstRow = (unit % g.rowBlocks) * g.rowsPerUnit;
  I64 endRow = minOf(firstRow + g.rowsPerUnit, g.outputRows);
  I64 firstSource = firstRow * spec.strideH - spec.padTop;
  I64 endSource = (endRow - 1) * spec.strideH +
                  ((spec.kernelH - 1) * spec.dilationH + 1 - spec.padTop);
  I64 packedFloats = g.rowsPerUnit * g.outputColumns * e.block();
  Unit u{arguments,
         g,
         group,
         image,
         firstRow,
         endRow,
         maxOf(firstSource, 0),
         minOf(endSource, g.sourceRows),
         k.at(arguments.scratch, packedFloats),
         arguments.scratch};
  copySource(u);
  k.loop(firstBlock, endBlock, [&](I64 channelBlock) {
    packGradient(u, channelBlock);
    Value block = k.at(partial, channelBlock * g.partialBlock);
    k.loop(0, spec.kernelH, [&](I64 kernelRow) {
      Value rowPartial = k.at(block, kernelRow * g.partialKernelRow);
      k.loop(0, e.columns.runsPerClass(), [&](I64 index) {
        Value runPartial =
            k.at(rowPartial, index * g.paddedRunRows * e.block());
        I64 column = e.tapRun(0, index).column;
        e.forTiles(g.runRows, [&](int64_t tile, I64 first) {
          emitTile(u, kernelRow, column, runPartial, tile, first);
        });
      });
    });
  });
}

Value FilterEmitter::sourceInPlace(const Unit &u, I64 source) {
  Value tensor = u.arguments.buffers[e.layout.lhs.buffer];
  return k.at(tensor, (u.image * u.g.sourceRows + source) * u.g.sourceColumns *
                              u.g.sourceChannels +
                          u.group * u.g.sourceGroup);
}

void FilterEmitter::copySource(const Unit &u) {
  k.loop(u.firstSource, u.endSource, [&](I64 source) {
    auto copy = [&] {
      e.copyRow(sourceInPlace(u, source),
                e.rowColumns(source, u.g.sourceColumns, u.g.pixels),
                u.g.sourceChannels,
                k.at(u.rows, (source - u.firstSource) * u.g.scratchRow),
                u.g.sourceGroup, u.g.scratchColumns);
    };
    if (readsInPlace())
      k.ifThenElse(canReadInPlace(u.g, source), [] {}, copy);
    else
      copy();
  });
}

Value FilterEmitter::sourceRowPointer(const Unit &u, I64 source) {
  Value copied = k.at(u.rows, (source - u.firstSource) * u.g.scratchRow);
  if (!readsInPlace())
    return copied;
  return k.select(canReadInPlace(u.g, source), sourceInPlace(u, source),
                  copied);
}

void FilterEmitter::packGradient(const Unit &u, I64 channelBlock) {
  Value tensor = u.arguments.buffers[e.layout.rhs.buffer];
  I64 firstChannel = channelBlock * e.block();
  I64 channels = u.g.outputGroup - firstChannel;
  SmallVector<Value> masks;
  for (int64_t v = 0; v < schedule.vectors; ++v)
    masks.push_back(k.firstLanes(channels - v * schedule.vectorWidth));
  k.loop(u.firstRow, u.endRow, [&](I64 row) {
    I64 firstPixel = (u.image * u.g.outputRows + row) * u.g.outputColumns;
    Value from = k.at(tensor, firstPixel * u.g.outputChannels +
                                  u.group * u.g.outputGroup + firstChannel);
    Value to =
        k.at(u.packed, (row - u.firstRow) * u.g.outputColumns * e.block());
    k.loop(0, existingColumns(u.g, row), [&](I64 column) {
      for (int64_t v = 0; v < schedule.vectors; ++v) {
        int64_t lane = v * schedule.vectorWidth;
        Value vector =
            k.load(from, column * u.g.outputChannels + lane, masks[v]);
        k.store(vector, to, column * e.block() + lane);
      }
    });
  });
}

void FilterEmitter::emitTile(const Unit &u, I64 kernelRow, I64 column,
                             Value partial, int64_t tile, I64 first) {
  auto rowProducts = [&](I64 row, I64 source, ValueRange carried) {
    Value base =
        k.at(sourceRowPointer(u, source), column * u.g.sourceGroup + first);
    SmallVector<Value> left;
    for (int64_t index = 0; index < tile; ++index)
      left.push_back(k.at(base, index));
    Value right =
        k.at(u.packed, (row - u.firstRow) * u.g.outputColumns * e.block());
    return e.accumulate(SmallVector<Value>(carried), tile,
                        existingColumns(u.g, row), left,
                        u.g.sourceGroup * e.columns.sourceStep, right);
  };
  SmallVector<Value> sums = k.loop(
      u.firstRow, u.endRow, e.zeroTile(tile), [&](I64 row, ValueRange carried) {
        if (e.pointwise())
          return rowProducts(row, row, carried);
        I64 source =
            row * spec.strideH + kernelRow * spec.dilationH - spec.padTop;
        Value exists =
            k.both(k.lessEqual(0, source), k.less(source, u.g.sourceRows));
        return k.ifThenYield(
            exists, [&] { return rowProducts(row, source, carried); }, carried);
      });
  for (int64_t index = 0; index < tile; ++index)
    for (int64_t v = 0; v < schedule.vectors; ++v) {
      I64 offset = (first + index) * e.block() + v * schedule.vectorWidth;
      Value sum = sums[index * schedule.vectors + v];
      k.store(k.add(k.load(partial, offset), sum), partial, offset);
    }
}

void FilterEmitter::emitReducePhase() {
  emitPhase(k, e.kernelName, 1, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = filterGeometry<I64>(spec, schedule, e.columns,
                                               e.extents(arguments.dims));
              k.loop(arguments.begin, arguments.end, [&](I64 task) {
                I64 blocks = g.reduceBlocks();
                I64 first = (task % blocks) * BlockTargets::reducedRows;
                I64 kernelIndex = task / blocks;
                k.loop(first,
                       minOf(first + BlockTargets::reducedRows, g.sourceGroup),
                       [&](I64 sourceChannel) {
                         reduceRow(arguments, g, kernelIndex / spec.kernelW,
                                   kernelIndex % spec.kernelW, sourceChannel);
                       });
              });
            });
}

void FilterEmitter::reduceRow(const PhaseArguments &arguments,
                              const Geometry &g, I64 kernelRow,
                              I64 kernelColumn, I64 sourceChannel) {
  I64 runRow = sourceChannel;
  // Either all taps of a kernel row form one run or each is its own.
  if (e.columns.runsPerClass() == 1)
    runRow = runRow + kernelColumn * g.sourceGroup;
  else
    runRow = runRow + kernelColumn * g.paddedRunRows;
  Value partials = k.at(arguments.buffers[e.layout.workspace],
                        kernelRow * g.partialKernelRow + runRow * e.block());
  I64 rowOffset = ((kernelRow * spec.kernelW + kernelColumn) * g.sourceGroup +
                   sourceChannel) *
                  g.outputChannels;
  k.loop(0, g.channelBlocks * spec.groups, [&](I64 groupBlock) {
    I64 group = groupBlock / g.channelBlocks;
    I64 blockChannel = (groupBlock % g.channelBlocks) * e.block();
    k.loop(0, schedule.vectors, [&](I64 v) {
      I64 groupChannel = blockChannel + v * schedule.vectorWidth;
      Value from = k.at(partials,
                        groupBlock * g.partialBlock + v * schedule.vectorWidth);
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
          [&] { e.finish(sum[0], offset, channel, Value(), arguments); },
          [&] {
            e.finish(sum[0], offset, channel, k.firstLanes(remaining),
                     arguments);
          });
    });
  });
}

void cambium::emitFilterContraction(ContractionEmitter &emitter) {
  FilterEmitter filter(emitter);
  filter.emitPartialPhase();
  filter.emitReducePhase();
}
