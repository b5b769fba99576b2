//===- BranchRows.cpp - Forward and BackwardData of branches --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Phase 0 packs the filters of a round's branches one after another, each as
// for a kernel of one contraction, and for recomputation also as Forward reads
// it.
//
// Phase 1 computes blocks of output rows, all branches of the round one after
// another, so that the block of the result that they are added to stays in the
// cache. A Forward task copies the rows of x once, through the input hook. A
// BackwardData task calls the gradient hook for the rows of y that it needs and
// keeps one branch's at a time in scratch. With recomputation it also copies
// the rows of x, and calls the hook with the accumulators of Forward's tiles.
//
//===----------------------------------------------------------------------===//

#include "BranchEmitter.h"
#include "ContractionRows.h"

using namespace mlir;
using namespace cambium;
using Kind = ContractionSpec::Kind;

namespace {

template <typename Int> struct BranchGeometry {
  RowGeometry<Int> rows;
  /// The contraction that is computed again, and how many of its source rows
  /// lie in scratch.
  RowGeometry<Int> forward;
  Int inputRows;
  Int branches, perRound;
  /// Packed floats of a branch, of which the last are Forward's.
  Int branchFloats, forwardFloats;

  Int packTasks(const BranchSpec &spec) const {
    Int tasks = rows.packTasks(spec.contraction);
    return spec.recompute ? tasks + forward.packTasks(spec.contraction) : tasks;
  }
};

/// Every split of the output's channels copies its source rows again, through
/// a hook, which takes about as long as the products with a dozen channels, or,
/// with recomputation, as the products with all.
template <typename Int>
void limitSplits(const BranchSpec &spec, const ContractionSchedule &schedule,
                 RowGeometry<Int> &rows) {
  constexpr int64_t splitChannels = 64, tasks = 2;
  int64_t block = schedule.vectors * schedule.vectorWidth;
  Int most = ceilDiv(rows.channelBlocks * Int(block), Int(splitChannels));
  if (spec.recompute)
    most = ceilDiv(Int(tasks), maxOf(rows.images * rows.rowBlocks *
                                         Int(spec.contraction.groups),
                                     Int(1)));
  Int splits = maxOf(minOf(rows.channelSplits, most), Int(1));
  rows.channelBlocksPerTask =
      maxOf(ceilDiv(rows.channelBlocks, splits), Int(1));
  rows.channelSplits =
      maxOf(ceilDiv(rows.channelBlocks, rows.channelBlocksPerTask), Int(1));
}

template <typename Int>
BranchGeometry<Int> branchGeometry(const BranchSpec &spec,
                                   const ContractionSchedule &schedule,
                                   const Extents<Int> &extents, Int branches) {
  const ContractionSpec &contraction = spec.contraction;
  ContractionSpec again = forwardSpec(contraction);
  RowGeometry<Int> rows = rowGeometry<Int>(contraction, schedule,
                                           planColumns(contraction), extents);
  RowGeometry<Int> forward =
      rowGeometry<Int>(again, schedule, planColumns(again), extents);
  limitSplits(spec, schedule, rows);
  Int inputRows(0), forwardFloats(0);
  if (spec.recompute) {
    int64_t halo = (again.kernelH - 1) * again.dilationH;
    inputRows =
        minOf((rows.scratchRows - Int(1)) * Int(again.strideH) + Int(halo + 1),
              forward.sourceRows);
    forwardFloats = forward.packedFloats(again);
  }
  Int branchFloats = rows.packedFloats(contraction) + forwardFloats;
  return {rows,
          forward,
          inputRows,
          branches,
          branchesPerRound(branches, branchFloats),
          branchFloats,
          forwardFloats};
}

class BranchRowEmitter {
public:
  explicit BranchRowEmitter(BranchEmitter &emitter)
      : e(emitter), k(emitter.k), spec(emitter.spec),
        schedule(emitter.schedule),
        again(forwardSpec(emitter.spec.contraction)),
        tiles(emitter.k, emitter.spec.contraction, emitter.schedule),
        forwardTiles(emitter.k, again, emitter.schedule) {}

  void emitPackPhase();
  void emitRowPhase();

private:
  using Geometry = BranchGeometry<I64>;

  /// One task of phase 1.
  struct Task : RowBlock {
    const PhaseArguments &arguments;
    const Geometry &g;
    I64 firstBranch, endBranch;
    /// A tile's floats; source rows; rows of x for recomputation, the first of
    /// which is `firstInput`.
    Value memory, rows, inputRows;
    I64 firstInput, endInput;
  };
  struct Branch {
    I64 index;
    Value packed;
    BranchEmitter::Values tuple;
  };

  Geometry geometry(Value dims) {
    return branchGeometry<I64>(spec, schedule, e.extents(dims),
                               e.branches(dims));
  }
  void emitTask(const PhaseArguments &arguments, const Geometry &g, I64 task);
  Branch branch(const Task &task, I64 index);
  void emitChannelBlock(const Task &task, const Branch &branch,
                        I64 channelBlock);
  void copyInput(const Task &task, const RowTiles::Geometry &g, Value rows,
                 I64 first, I64 end);
  void clearMargins(const Task &task);
  void emitGradient(const Task &task, const Branch &branch);
  void emitGradientAgain(const Task &task, const Branch &branch);
  Value gradientAt(const Task &task, const Branch &branch, Value accumulator,
                   I64 source, I64 column, I64 channel, Value mask);

  Value sourceRow(const Task &task, I64 source) {
    return k.at(task.rows,
                (source - task.firstSource) * task.g.rows.scratchRow);
  }

  BranchEmitter &e;
  KernelBuilder &k;
  const BranchSpec &spec;
  const ContractionSchedule &schedule;
  const ContractionSpec again;
  RowTiles tiles, forwardTiles;
};

} // namespace

void BranchRowEmitter::emitPackPhase() {
  e.phase(0, [&](const PhaseArguments &arguments) {
    Geometry g = geometry(arguments.dims);
    I64 tasks = g.packTasks(spec);
    I64 ownTasks = g.rows.packTasks(spec.contraction);
    k.loop(arguments.begin, arguments.end, [&](I64 task) {
      I64 round = task / (g.perRound * tasks);
      I64 slot = task / tasks % g.perRound;
      I64 index = task % tasks;
      I64 branch = round * g.perRound + slot;
      k.ifThen(k.less(branch, g.branches), [&] {
        Value filter =
            e.buffer(e.layout.filter, arguments, e.tuple(arguments, branch));
        Value packed =
            k.at(arguments.buffers[e.layout.workspace], slot * g.branchFloats);
        auto own = [&] { tiles.pack(packed, filter, g.rows, index); };
        if (!spec.recompute)
          return own();
        k.ifThenElse(k.less(index, ownTasks), own, [&] {
          forwardTiles.pack(k.at(packed, g.branchFloats - g.forwardFloats),
                            filter, g.forward, index - ownTasks);
        });
      });
    });
  });
}

void BranchRowEmitter::emitRowPhase() {
  e.phase(1, [&](const PhaseArguments &arguments) {
    Geometry g = geometry(arguments.dims);
    k.loop(arguments.begin, arguments.end,
           [&](I64 task) { emitTask(arguments, g, task); });
  });
}

void BranchRowEmitter::emitTask(const PhaseArguments &arguments,
                                const Geometry &g, I64 task) {
  I64 tasks = g.rows.tasks(spec.contraction);
  I64 firstBranch = task / tasks * g.perRound;
  RowBlock block = tiles.rowBlock(g.rows, task % tasks);
  Value rows = k.at(arguments.scratch, tileFloats(schedule));
  int64_t halo = (again.kernelH - 1) * again.dilationH;
  Task t{
      block,
      arguments,
      g,
      firstBranch,
      minOf(firstBranch + g.perRound, g.branches),
      arguments.scratch,
      rows,
      k.at(rows, g.rows.scratchRows * g.rows.scratchRow),
      maxOf(block.firstSource * again.strideH - again.padTop, 0),
      minOf((block.endSource - 1) * again.strideH + (halo + 1 - again.padTop),
            g.forward.sourceRows)};
  if (spec.contraction.kind == Kind::Forward) {
    copyInput(t, g.rows, t.rows, t.firstSource, t.endSource);
    k.loop(t.firstChannelBlock, t.endChannelBlock, [&](I64 channelBlock) {
      k.loop(t.firstBranch, t.endBranch, [&](I64 index) {
        emitChannelBlock(t, branch(t, index), channelBlock);
      });
    });
    return;
  }
  clearMargins(t);
  if (spec.recompute)
    copyInput(t, g.forward, t.inputRows, t.firstInput, t.endInput);
  k.loop(t.firstBranch, t.endBranch, [&](I64 index) {
    Branch b = branch(t, index);
    if (spec.recompute)
      emitGradientAgain(t, b);
    else
      emitGradient(t, b);
    k.loop(t.firstChannelBlock, t.endChannelBlock,
           [&](I64 channelBlock) { emitChannelBlock(t, b, channelBlock); });
  });
}

BranchRowEmitter::Branch BranchRowEmitter::branch(const Task &t, I64 index) {
  return {index,
          k.at(t.arguments.buffers[e.layout.workspace],
               (index - t.firstBranch) * t.g.branchFloats),
          e.tuple(t.arguments, index)};
}

void BranchRowEmitter::emitChannelBlock(const Task &t, const Branch &b,
                                        I64 channelBlock) {
  const RowTiles::Geometry &g = t.g.rows;
  Value filter = tiles.packedBlock(b.packed, g, t.group, channelBlock);
  k.loop(t.firstRow, t.endRow, [&](I64 row) {
    I64 firstPixel = (t.image * g.outputRows + row) * g.outputColumns;
    auto store = [&](const RowTile &tile) {
      tiles.forVectors(
          g, tile, channelBlock, t.memory,
          [&](Value accumulator, I64 column, I64 groupChannel, Value mask) {
            I64 channel = t.group * g.outputGroup + groupChannel;
            e.join(accumulator, e.point(t.arguments, b.index, t.g.branches,
                                        b.tuple, firstPixel + column, channel,
                                        g.outputChannels, mask));
          });
    };
    tiles.emitRow(
        g, row, filter, [&](I64 source) { return sourceRow(t, source); },
        store);
  });
}

void BranchRowEmitter::copyInput(const Task &t, const RowTiles::Geometry &g,
                                 Value rows, I64 first, I64 end) {
  TileEmitter &copier =
      spec.contraction.kind == Kind::Forward ? tiles : forwardTiles;
  k.loop(first, end, [&](I64 source) {
    e.inputRow(copier, t.arguments, t.g.branches,
               (t.image * g.sourceRows + source) * g.sourceColumns,
               copier.rowColumns(source, g.sourceColumns, g.pixels),
               t.group * g.sourceGroup, g.sourceGroup, g.sourceChannels,
               k.at(rows, (source - first) * g.scratchRow), g.scratchColumns);
  });
}

void BranchRowEmitter::clearMargins(const Task &t) {
  const RowTiles::Geometry &g = t.g.rows;
  k.loop(t.firstSource, t.endSource, [&](I64 source) {
    tiles.clearMargins(sourceRow(t, source),
                       tiles.rowColumns(source, g.sourceColumns, g.pixels),
                       g.sourceGroup, g.scratchColumns);
  });
}

Value BranchRowEmitter::gradientAt(const Task &t, const Branch &b,
                                   Value accumulator, I64 source, I64 column,
                                   I64 groupChannel, Value mask) {
  const RowTiles::Geometry &g = t.g.rows;
  I64 pixel = (t.image * g.sourceRows + source) * g.sourceColumns + column;
  I64 channel = t.group * g.sourceGroup + groupChannel;
  return e.gradient(accumulator,
                    e.point(t.arguments, b.index, t.g.branches, b.tuple, pixel,
                            channel, g.sourceChannels, mask));
}

void BranchRowEmitter::emitGradient(const Task &t, const Branch &b) {
  const RowTiles::Geometry &g = t.g.rows;
  k.loop(t.firstSource, t.endSource, [&](I64 source) {
    TileEmitter::RowSpan span = tiles.rowSpan(
        tiles.rowColumns(source, g.sourceColumns, g.pixels), g.scratchColumns);
    Value row = k.at(sourceRow(t, source), span.left * g.sourceGroup);
    k.loop(0, span.count, [&](I64 column) {
      k.forVectors(g.sourceGroup, [&](I64 channel, Value mask) {
        Value value = gradientAt(t, b, Value(), source, column + span.skipped,
                                 channel, mask);
        k.store(value, row, column * g.sourceGroup + channel, mask);
      });
    });
  });
}

void BranchRowEmitter::emitGradientAgain(const Task &t, const Branch &b) {
  const RowTiles::Geometry &f = t.g.forward, &g = t.g.rows;
  Value packed = k.at(b.packed, t.g.branchFloats - t.g.forwardFloats);
  auto input = [&](I64 source) {
    return k.at(t.inputRows, (source - t.firstInput) * f.scratchRow);
  };
  k.loop(0, f.channelBlocks, [&](I64 channelBlock) {
    Value filter = forwardTiles.packedBlock(packed, f, t.group, channelBlock);
    k.loop(t.firstSource, t.endSource, [&](I64 source) {
      TileEmitter::RowSpan span =
          tiles.rowSpan(tiles.rowColumns(source, g.sourceColumns, g.pixels),
                        g.scratchColumns);
      I64 shift = span.left - span.skipped, end = span.skipped + span.count;
      Value row = sourceRow(t, source);
      auto store = [&](Value accumulator, I64 column, I64 channel, Value mask) {
        auto inScratch = [&] {
          Value value =
              gradientAt(t, b, accumulator, source, column, channel, mask);
          k.store(value, row, (column + shift) * g.sourceGroup + channel, mask);
        };
        k.ifThen(k.both(k.lessEqual(span.skipped, column), k.less(column, end)),
                 inScratch);
      };
      forwardTiles.emitRow(f, source, filter, input, [&](const RowTile &tile) {
        forwardTiles.forVectors(f, tile, channelBlock, t.memory, store);
      });
    });
  });
}

void cambium::emitBranchRows(BranchEmitter &emitter) {
  BranchRowEmitter rows(emitter);
  rows.emitPackPhase();
  rows.emitRowPhase();
}

LaunchSizes cambium::branchRowsLaunch(const BranchSpec &spec,
                                      const ContractionSchedule &schedule,
                                      const BranchLayout &layout,
                                      ArrayRef<int64_t> dims) {
  constexpr int64_t floatBytes = sizeof(float);
  auto g =
      branchGeometry<int64_t>(spec, schedule, branchExtents(spec, layout, dims),
                              dims[layout.branchesDim]);
  LaunchSizes sizes;
  sizes.tasks = {g.perRound * g.packTasks(spec),
                 g.rows.tasks(spec.contraction)};
  sizes.rounds = ceilDiv(g.branches, g.perRound);
  sizes.workspaceBytes = g.perRound * g.branchFloats * floatBytes;
  sizes.scratchBytes =
      (tileFloats(schedule) + g.rows.scratchRows * g.rows.scratchRow +
       g.inputRows * g.forward.scratchRow) *
      floatBytes;
  return sizes;
}
