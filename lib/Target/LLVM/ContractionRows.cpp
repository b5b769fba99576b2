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

#include "ContractionEmitter.h"

using namespace mlir;
using namespace cambium;

namespace {

class RowEmitter {
public:
  explicit RowEmitter(ContractionEmitter &emitter)
      : e(emitter), k(emitter.k), spec(emitter.spec),
        schedule(emitter.schedule),
        forward(spec.kind == ContractionSpec::Kind::Forward) {}

  void emitPackPhase();
  void emitRowPhase();

private:
  using Geometry = RowGeometry<I64>;

  /// One task of phase 1.
  struct Task {
    const PhaseArguments &arguments;
    const Geometry &g;
    I64 image, group, firstRow, endRow;
    /// Source rows [firstSource, endSource) lie in scratch.
    I64 firstSource, endSource;
    Value rows;
  };
  /// One row of one class of output columns, for one channel block.
  struct Line {
    I64 channelBlock;
    Value filter;
    I64 row, columnClass, columns;
  };

  void packForward(Value to, I64 kernelRow, I64 group, I64 channelBlock,
                   Value filter, const Geometry &g);
  void packTransposed(Value to, I64 kernelRow, I64 group, I64 channelBlock,
                      Value filter, const Geometry &g);

  void emitTask(const PhaseArguments &arguments, const Geometry &g, I64 task);
  void copySource(const Task &task);
  void emitChannelBlock(const Task &task, I64 channelBlock);
  void emitTile(const Task &task, const Line &line, int64_t tile, I64 first);
  void storeTile(const Task &task, const Line &line, int64_t tile, I64 first,
                 ArrayRef<Value> accumulators);

  /// The source row that kernel row `kernelRow` reads for output row `row`, and
  /// whether there is one.
  std::pair<I64, Value> sourceRow(const Task &task, I64 row, I64 kernelRow);
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
  const bool forward;
};

} // namespace

void RowEmitter::emitPackPhase() {
  emitPhase(k, e.kernelName, 0, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = rowGeometry<I64>(spec, schedule, e.columns,
                                            e.extents(arguments.dims));
              Value filter = arguments.buffers[e.layout.rhs.buffer];
              Value workspace = arguments.buffers[e.layout.workspace];
              k.loop(arguments.begin, arguments.end, [&](I64 task) {
                I64 kernelRow = task % spec.kernelH;
                I64 index = task / spec.kernelH;
                I64 channelBlock = index % g.channelBlocks;
                I64 group = index / g.channelBlocks;
                Value to = k.at(workspace, task * (g.sourceGroup *
                                                   (spec.kernelW * e.block())));
                if (forward)
                  packForward(to, kernelRow, group, channelBlock, filter, g);
                else
                  packTransposed(to, kernelRow, group, channelBlock, filter, g);
              });
            });
}

void RowEmitter::packForward(Value to, I64 kernelRow, I64 group,
                             I64 channelBlock, Value filter,
                             const Geometry &g) {
  I64 firstChannel = channelBlock * e.block();
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
      k.store(vector, to, index * e.block() + lane);
    }
  });
}

void RowEmitter::packTransposed(Value to, I64 kernelRow, I64 group,
                                I64 channelBlock, Value filter,
                                const Geometry &g) {
  constexpr int64_t panel = BlockTargets::packedChannels;
  k.loop(0, spec.kernelW, [&](I64 tap) {
    I64 kernelColumn = k.lookUp(e.columns.tapOrder, tap);
    Value tapTo = k.at(to, tap * g.sourceGroup * e.block());
    I64 firstRow = (kernelRow * spec.kernelW + kernelColumn) * g.outputGroup +
                   channelBlock * e.block();
    I64 lanes = maxOf(
        minOf(g.outputGroup - channelBlock * e.block(), e.block()), I64(0));
    k.loop(0, ceilDiv(g.sourceGroup, I64(panel)), [&](I64 panelIndex) {
      I64 first = panelIndex * panel;
      I64 end = minOf(first + panel, g.sourceGroup);
      k.loop(0, e.block(), [&](I64 lane) {
        k.ifThenElse(
            k.less(lane, lanes),
            [&] {
              Value from = k.at(filter, (firstRow + lane) * g.sourceChannels +
                                            group * g.sourceGroup);
              k.loop(first, end, [&](I64 channel) {
                k.storeFloat(k.loadFloat(from, channel), tapTo,
                             channel * e.block() + lane);
              });
            },
            [&] {
              k.loop(first, end, [&](I64 channel) {
                k.storeFloat(k.zeroFloat(), tapTo, channel * e.block() + lane);
              });
            });
      });
    });
  });
}

void RowEmitter::emitRowPhase() {
  emitPhase(k, e.kernelName, 1, e.layout.numBuffers,
            [&](const PhaseArguments &arguments) {
              Geometry g = rowGeometry<I64>(spec, schedule, e.columns,
                                            e.extents(arguments.dims));
              k.loop(arguments.begin, arguments.end,
                     [&](I64 task) { emitTask(arguments, g, task); });
            });
}

void RowEmitter::emitTask(const PhaseArguments &arguments, const Geometry &g,
                          I64 task) {
  I64 split = task % g.channelSplits;
  I64 rest = task / g.channelSplits;
  I64 group = rest % spec.groups;
  rest = rest / spec.groups;
  I64 firstRow = (rest % g.rowBlocks) * g.rowsPerTask;
  I64 image = rest / g.rowBlocks;
  I64 endRow = minOf(firstRow + g.rowsPerTask, g.outputRows);
  I64 lastRow = endRow - 1;
  int64_t halo = (spec.kernelH - 1) * spec.dilationH;
  I64 firstSource = 0, lastSource = 0;
  if (forward) {
    firstSource = firstRow * spec.strideH - spec.padTop;
    lastSource = lastRow * spec.strideH + (halo - spec.padTop);
  } else {
    // Rounding towards zero instead of down only matters below zero, which the
    // clamp turns into zero as well.
    firstSource =
        (firstRow + (spec.padTop - halo + spec.strideH - 1)) / spec.strideH;
    lastSource = (lastRow + spec.padTop) / spec.strideH;
  }
  Task t{arguments,
         g,
         image,
         group,
         firstRow,
         endRow,
         maxOf(firstSource, 0),
         minOf(lastSource + 1, g.sourceRows),
         k.at(arguments.scratch, tileFloats(schedule))};
  copySource(t);
  I64 firstBlock = split * g.channelBlocksPerTask;
  k.loop(firstBlock,
         minOf(firstBlock + g.channelBlocksPerTask, g.channelBlocks),
         [&](I64 channelBlock) { emitChannelBlock(t, channelBlock); });
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

void RowEmitter::emitChannelBlock(const Task &t, I64 channelBlock) {
  Value workspace = t.arguments.buffers[e.layout.workspace];
  Value filter = k.at(workspace, (t.group * t.g.channelBlocks + channelBlock) *
                                     t.g.filterBlock);
  k.loop(t.firstRow, t.endRow, [&](I64 row) {
    I64 existing = e.rowColumns(row, t.g.outputColumns, t.g.pixels);
    k.loop(0, e.columns.outputStep, [&](I64 columnClass) {
      I64 columns = maxOf(
          ceilDiv(existing - columnClass, I64(e.columns.outputStep)), I64(0));
      Line line{channelBlock, filter, row, columnClass, columns};
      e.forTiles(columns, [&](int64_t tile, I64 first) {
        emitTile(t, line, tile, first);
      });
    });
  });
}

std::pair<I64, Value> RowEmitter::sourceRow(const Task &t, I64 row,
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
  return {position, k.both(exists, k.less(position, t.g.sourceRows))};
}

void RowEmitter::emitTile(const Task &t, const Line &line, int64_t tile,
                          I64 first) {
  auto kernelRowProducts = [&](I64 kernelRow, Value source,
                               ValueRange carried) {
    auto runProducts = [&](I64 index, ValueRange carried) {
      ContractionEmitter::Run run = e.tapRun(line.columnClass, index);
      SmallVector<Value> left;
      for (int64_t pixel = 0; pixel < tile; ++pixel)
        left.push_back(
            k.at(source, ((first + pixel) * e.columns.sourceStep + run.column) *
                             t.g.sourceGroup));
      Value right =
          k.at(line.filter, (kernelRow * spec.kernelW + run.firstTap) *
                                t.g.sourceGroup * e.block());
      return e.accumulate(SmallVector<Value>(carried), tile,
                          run.numTaps * t.g.sourceGroup, left, 1, right);
    };
    if (e.columns.runsPerClass() == 1)
      return runProducts(0, carried);
    return k.loop(0, e.columns.runsPerClass(), carried, runProducts);
  };

  SmallVector<Value> accumulators = e.zeroTile(tile);
  if (e.pointwise()) {
    accumulators =
        kernelRowProducts(0, sourceRowPointer(t, line.row), accumulators);
  } else {
    accumulators = k.loop(
        0, spec.kernelH, accumulators, [&](I64 kernelRow, ValueRange carried) {
          auto [source, exists] = sourceRow(t, line.row, kernelRow);
          I64 sourceIndex = source;
          return k.ifThenYield(
              exists,
              [&] {
                return kernelRowProducts(
                    kernelRow, sourceRowPointer(t, sourceIndex), carried);
              },
              carried);
        });
  }
  storeTile(t, line, tile, first, accumulators);
}

void RowEmitter::storeTile(const Task &t, const Line &line, int64_t tile,
                           I64 first, ArrayRef<Value> accumulators) {
  I64 firstChannel = line.channelBlock * e.block();
  I64 channel = t.group * t.g.outputGroup + firstChannel;
  I64 row = (t.image * t.g.outputRows + line.row) * t.g.outputColumns;
  auto offset = [&](I64 pixel) {
    I64 column = line.columnClass + (first + pixel) * e.columns.outputStep;
    return (row + column) * t.g.outputChannels + channel;
  };
  Value complete =
      k.both(k.lessEqual(first + tile, line.columns),
             k.lessEqual(firstChannel + e.block(), t.g.outputGroup));
  auto storeAll = [&] {
    for (int64_t pixel = 0; pixel < tile; ++pixel) {
      I64 base = offset(pixel);
      for (int64_t v = 0; v < schedule.vectors; ++v) {
        int64_t lane = v * schedule.vectorWidth;
        e.finish(accumulators[pixel * schedule.vectors + v], base + lane,
                 channel + lane, Value(), t.arguments);
      }
    }
  };
  // A loop over a copy of the tile in memory keeps the code of the rare case
  // small: the epilogue appears once.
  auto storePart = [&] {
    for (auto [index, accumulator] : llvm::enumerate(accumulators))
      k.store(accumulator, t.arguments.scratch,
              static_cast<int64_t>(index) * schedule.vectorWidth);
    k.loop(0, minOf(line.columns - first, tile), [&](I64 pixel) {
      I64 base = offset(pixel);
      k.loop(0, schedule.vectors, [&](I64 v) {
        I64 lane = v * schedule.vectorWidth;
        Value accumulator =
            k.load(t.arguments.scratch, pixel * e.block() + lane);
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
