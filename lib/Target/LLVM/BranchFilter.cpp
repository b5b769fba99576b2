//===- BranchFilter.cpp - Filter gradients of branches --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The first phase, which only recomputation needs, packs the filters of a
// round's branches as Forward reads them.
//
// The next sums up the branches' partial gradients. A task handles a range of
// units, one group, some branches and some channel blocks. For each unit it
// copies the rows of x into scratch once. For each branch and channel block it
// then calls the gradient hook for the rows of y, packs them as [pixel][block],
// sums up the vectors that belong to them, and runs the register tiles over all
// pixels of the unit. Recomputed accumulators lie where the gradient of the
// same pixel goes.
//
// The last phase adds up partial gradients and sums in order. The workspace
// holds
//   partial gradients  [branch of the round][partial]
//   sums in double     [branch of the round][partial][group][channel block]
//                      [sum][block]
//   packed filters     [branch of the round]
//
//===----------------------------------------------------------------------===//

#include "BranchEmitter.h"
#include "ContractionFilter.h"
#include "ContractionRows.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace cambium;

namespace {

/// All that depends on extents and on the number of branches.
template <typename Int> struct BranchGeometry {
  /// Of one branch; partials and channel splits suit all.
  FilterGeometry<Int> rows;
  /// The contraction that is computed again, over the same rows.
  RowGeometry<Int> forward;
  Int branches, perRound, perTask, branchSplits;
  /// Floats of the sums that belong to one partial gradient.
  Int sumFloats;
  /// Packed floats of a branch.
  Int forwardFloats;

  Int rounds() const { return ceilDiv(maxOf(branches, Int(1)), perRound); }
  /// Tasks of a round.
  Int tasks(const ContractionSpec &spec) const {
    return rows.tasks(spec) * branchSplits;
  }
  /// Tasks that add up the gradients, and the sums, of one branch.
  Int reduceTasks(const BranchSpec &spec) const {
    return rows.reduceTasks(spec.contraction) + Int(spec.sums > 0);
  }

  Int firstSum() const { return perRound * rows.partials * rows.partialFloats; }
  Int firstFilter() const {
    return firstSum() + perRound * rows.partials * sumFloats;
  }
  Int workspaceFloats() const {
    return firstFilter() + perRound * forwardFloats;
  }
  /// Floats of scratch in front of the source rows. Surplus pixels of a
  /// recomputed tile lie behind the last row.
  Int gradientFloats(const BranchSpec &spec,
                     const ContractionSchedule &schedule) const {
    Int surplus(spec.recompute ? schedule.tile : 0);
    return (rows.rowsPerUnit * rows.outputColumns + surplus) *
           Int(schedule.vectors * schedule.vectorWidth);
  }
};

/// Partial gradients are as many as share the work over pixels well and fit
/// into memory. Branches are split for the tasks that are still missing, and
/// channel blocks after them.
template <typename Int>
BranchGeometry<Int> branchGeometry(const BranchSpec &spec,
                                   const ContractionSchedule &schedule,
                                   const Extents<Int> &extents, Int branches) {
  const ContractionSpec &contraction = spec.contraction;
  ColumnPlan columns = planColumns(contraction);
  Int one(1), groups(contraction.groups), wanted(BlockTargets::tasks);
  auto rows = filterGeometry<Int>(contraction, schedule, columns, extents);
  auto forward =
      rowGeometry<Int>(forwardSpec(contraction), schedule, columns, extents);
  Int forwardFloats(0);
  if (spec.recompute) {
    forward.outputColumns = rows.outputColumns;
    forwardFloats = forward.packedFloats(contraction);
    rows.scratchColumns =
        rows.scratchColumns + Int(schedule.tile * columns.sourceStep);
    rows.scratchRow = rows.scratchColumns * rows.sourceGroup;
  }
  Int sumFloats = groups * rows.channelBlocks *
                  Int(schedule.vectors * schedule.vectorWidth * spec.sums *
                      floatsPerDouble);
  Int partialFloats = maxOf(rows.partialFloats + sumFloats, one);
  Int perRound = branchesPerRound<Int>(branches, partialFloats + forwardFloats);

  Int floats = Int(BlockTargets::partialBytes / 4) / perRound - forwardFloats;
  Int forTasks = ceilDiv(wanted, maxOf(rows.channelBlocks * groups, one));
  Int partials =
      maxOf(minOf(Int(BlockTargets::partials), floats / partialFloats),
            ceilDiv(forTasks, perRound));
  rows.partials = maxOf(minOf(partials, rows.units), one);
  Int tasks = rows.partials * groups;
  Int perTask = ceilDiv(perRound, minOf(perRound, ceilDiv(wanted, tasks)));
  Int branchSplits = ceilDiv(perRound, perTask);
  Int channelSplits = maxOf(
      minOf(rows.channelBlocks, ceilDiv(wanted, tasks * branchSplits)), one);
  rows.channelBlocksPerTask =
      maxOf(ceilDiv(rows.channelBlocks, channelSplits), one);
  rows.channelSplits = ceilDiv(rows.channelBlocks, rows.channelBlocksPerTask);
  return {rows,    forward,      branches,  perRound,
          perTask, branchSplits, sumFloats, forwardFloats};
}

class BranchFilterEmitter {
public:
  explicit BranchFilterEmitter(BranchEmitter &emitter)
      : e(emitter), k(emitter.k), spec(emitter.spec),
        schedule(emitter.schedule), again(forwardSpec(spec.contraction)),
        tiles(k, spec.contraction, schedule), forwardTiles(k, again, schedule) {
  }

  void emitPackPhase(unsigned phase);
  void emitGradientPhase(unsigned phase);
  void emitReducePhase(unsigned phase);

private:
  using Geometry = BranchGeometry<I64>;

  struct Task {
    const PhaseArguments &arguments;
    const Geometry &g;
    I64 partial, group;
    I64 firstBranch, endBranch, firstBlock, endBlock;
    /// Gradients as [pixel][block], and source rows.
    Value packed, rows;
  };
  struct Branch {
    I64 index;
    /// Partial gradient and sums of the task's group; packed filter.
    Value partial, sums, filter;
    BranchEmitter::Values tuple;
  };
  /// A vector of channels of a channel block.
  struct Lanes {
    I64 lane, channel;
    Value sums, mask;
  };

  Geometry geometry(Value dims) {
    return branchGeometry<I64>(spec, schedule, e.extents(dims),
                               e.branches(dims));
  }
  void emitTask(const PhaseArguments &arguments, const Geometry &g, I64 task);
  Branch branch(const Task &task, I64 index);
  void clearPartial(const Task &task, const Branch &branch);
  void copyInput(const Task &task, const FilterUnit &unit);
  void emitBranch(const Task &task, const FilterUnit &unit,
                  const Branch &branch);
  void computeAgain(const Task &task, const FilterUnit &unit,
                    const Branch &branch, I64 channelBlock);
  void packGradient(const Task &task, const FilterUnit &unit,
                    const Branch &branch, I64 channelBlock);
  void packLanes(const Task &task, const FilterUnit &unit, const Branch &branch,
                 const Lanes &lanes);
  void reduceSums(const PhaseArguments &arguments, const Geometry &g,
                  Value partials, ArrayRef<Value> tuple);

  /// Rows of x can also be read where they are.
  bool readsInPlace() const {
    return tiles.readsInPlace() && !e.hooks.input && !spec.recompute;
  }
  Value sourceRow(const Task &task, const FilterUnit &unit, I64 source);

  /// Floats of the sums of a channel block.
  int64_t blockSums() const {
    return spec.sums * tiles.block() * floatsPerDouble;
  }

  BranchEmitter &e;
  KernelBuilder &k;
  const BranchSpec &spec;
  const ContractionSchedule &schedule;
  const ContractionSpec again;
  FilterTiles tiles;
  RowTiles forwardTiles;
};

} // namespace

void BranchFilterEmitter::emitPackPhase(unsigned phase) {
  e.phase(phase, [&](const PhaseArguments &arguments) {
    Geometry g = geometry(arguments.dims);
    I64 tasks = g.forward.packTasks(again);
    k.loop(arguments.begin, arguments.end, [&](I64 task) {
      I64 branch = task / tasks;
      k.ifThen(k.less(branch, g.branches), [&] {
        Value filter =
            e.buffer(e.layout.filter, arguments, e.tuple(arguments, branch));
        Value packed =
            k.at(arguments.buffers[e.layout.workspace],
                 g.firstFilter() + branch % g.perRound * g.forwardFloats);
        forwardTiles.pack(packed, filter, g.forward, task % tasks);
      });
    });
  });
}

void BranchFilterEmitter::emitGradientPhase(unsigned phase) {
  e.phase(phase, [&](const PhaseArguments &arguments) {
    Geometry g = geometry(arguments.dims);
    k.loop(arguments.begin, arguments.end,
           [&](I64 task) { emitTask(arguments, g, task); });
  });
}

void BranchFilterEmitter::emitTask(const PhaseArguments &arguments,
                                   const Geometry &g, I64 task) {
  const FilterTiles::Geometry &rows = g.rows;
  I64 channelSplit = task % rows.channelSplits;
  I64 rest = task / rows.channelSplits;
  I64 branchSplit = rest % g.branchSplits;
  rest = rest / g.branchSplits;
  I64 group = rest % spec.contraction.groups;
  rest = rest / spec.contraction.groups;
  I64 partial = rest % rows.partials;
  I64 firstOfRound = rest / rows.partials * g.perRound;
  I64 endOfRound = minOf(firstOfRound + g.perRound, g.branches);
  I64 firstBranch = firstOfRound + branchSplit * g.perTask;
  I64 firstBlock = channelSplit * rows.channelBlocksPerTask;
  Task t{arguments,
         g,
         partial,
         group,
         firstBranch,
         minOf(firstBranch + g.perTask, endOfRound),
         firstBlock,
         minOf(firstBlock + rows.channelBlocksPerTask, rows.channelBlocks),
         arguments.scratch,
         k.at(arguments.scratch, g.gradientFloats(spec, schedule))};
  k.ifThen(k.less(t.firstBranch, t.endBranch), [&] {
    k.loop(t.firstBranch, t.endBranch,
           [&](I64 index) { clearPartial(t, branch(t, index)); });
    k.loop(partial * rows.units / rows.partials,
           (partial + 1) * rows.units / rows.partials, [&](I64 index) {
             FilterUnit unit = tiles.unit(rows, index, group);
             copyInput(t, unit);
             k.loop(t.firstBranch, t.endBranch,
                    [&](I64 index) { emitBranch(t, unit, branch(t, index)); });
           });
  });
}

BranchFilterEmitter::Branch BranchFilterEmitter::branch(const Task &t,
                                                        I64 index) {
  const FilterTiles::Geometry &rows = t.g.rows;
  Value workspace = t.arguments.buffers[e.layout.workspace];
  I64 inRound = index % t.g.perRound;
  I64 partial = inRound * rows.partials + t.partial;
  I64 block = t.group * rows.channelBlocks;
  return {
      index,
      k.at(workspace, partial * rows.partialFloats + block * rows.partialBlock),
      k.at(workspace,
           t.g.firstSum() + partial * t.g.sumFloats + block * blockSums()),
      k.at(workspace, t.g.firstFilter() + inRound * t.g.forwardFloats),
      e.tuple(t.arguments, index)};
}

void BranchFilterEmitter::clearPartial(const Task &t, const Branch &b) {
  I64 blocks = t.endBlock - t.firstBlock;
  I64 blockFloats = t.g.rows.partialBlock;
  k.fillZero(k.at(b.partial, t.firstBlock * blockFloats), blocks * blockFloats);
  if (spec.sums)
    k.fillZero(k.at(b.sums, t.firstBlock * blockSums()), blocks * blockSums());
}

void BranchFilterEmitter::copyInput(const Task &t, const FilterUnit &u) {
  const FilterTiles::Geometry &g = t.g.rows;
  k.loop(u.firstSource, u.endSource, [&](I64 source) {
    auto copy = [&] {
      e.inputRow(tiles, t.arguments, t.g.branches,
                 (u.image * g.sourceRows + source) * g.sourceColumns,
                 tiles.rowColumns(source, g.sourceColumns, g.pixels),
                 u.group * g.sourceGroup, g.sourceGroup, g.sourceChannels,
                 k.at(t.rows, (source - u.firstSource) * g.scratchRow),
                 g.scratchColumns);
    };
    if (readsInPlace())
      k.ifThenElse(tiles.canReadInPlace(g, source), [] {}, copy);
    else
      copy();
  });
}

Value BranchFilterEmitter::sourceRow(const Task &t, const FilterUnit &u,
                                     I64 source) {
  const FilterTiles::Geometry &g = t.g.rows;
  Value copied = k.at(t.rows, (source - u.firstSource) * g.scratchRow);
  if (!readsInPlace())
    return copied;
  Value x = t.arguments.buffers[e.layout.input.buffer];
  return k.select(tiles.canReadInPlace(g, source),
                  k.at(x, tiles.sourceOffset(g, u, source)), copied);
}

void BranchFilterEmitter::emitBranch(const Task &t, const FilterUnit &u,
                                     const Branch &b) {
  k.loop(t.firstBlock, t.endBlock, [&](I64 channelBlock) {
    if (spec.recompute)
      computeAgain(t, u, b, channelBlock);
    packGradient(t, u, b, channelBlock);
    tiles.addProducts(
        t.g.rows, u, [&](I64 source) { return sourceRow(t, u, source); },
        t.packed, k.at(b.partial, channelBlock * t.g.rows.partialBlock));
  });
}

void BranchFilterEmitter::computeAgain(const Task &t, const FilterUnit &u,
                                       const Branch &b, I64 channelBlock) {
  const RowTiles::Geometry &g = t.g.forward;
  int64_t block = tiles.block();
  Value filter = forwardTiles.packedBlock(b.filter, g, t.group, channelBlock);
  k.loop(u.firstRow, u.endRow, [&](I64 row) {
    Value to = k.at(t.packed, (row - u.firstRow) * g.outputColumns * block);
    // Surplus pixels of a row are overwritten by the next.
    auto store = [&](const RowTile &tile) {
      Value first = k.at(to, tile.column(0) * block);
      for (auto [index, accumulator] : llvm::enumerate(tile.accumulators))
        k.store(accumulator, first,
                static_cast<int64_t>(index) * schedule.vectorWidth);
    };
    forwardTiles.emitRow(
        g, row, filter, [&](I64 source) { return sourceRow(t, u, source); },
        store);
  });
}

void BranchFilterEmitter::packGradient(const Task &t, const FilterUnit &u,
                                       const Branch &b, I64 channelBlock) {
  I64 firstChannel = channelBlock * tiles.block();
  I64 channels = minOf(t.g.rows.outputGroup - firstChannel, tiles.block());
  Value sums = k.at(b.sums, channelBlock * blockSums());
  k.forVectors(channels, [&](I64 lane, Value mask) {
    packLanes(t, u, b,
              {lane, u.group * t.g.rows.outputGroup + firstChannel + lane,
               k.at(sums, lane * floatsPerDouble), mask});
  });
}

void BranchFilterEmitter::packLanes(const Task &t, const FilterUnit &u,
                                    const Branch &b, const Lanes &lanes) {
  using Values = BranchEmitter::Values;
  const FilterTiles::Geometry &g = t.g.rows;
  // A unit's pixels are consecutive.
  I64 firstPixel = (u.image * g.outputRows + u.firstRow) * g.outputColumns;
  I64 pixels =
      minOf((u.endRow - u.firstRow) * g.outputColumns, g.pixels - firstPixel);
  Values totals = k.loop(
      0, pixels, Values(spec.sums, e.zeroDoubles()),
      [&](I64 index, ValueRange carried) {
        BranchPoint point = e.point(t.arguments, b.index, t.g.branches, b.tuple,
                                    firstPixel + index, lanes.channel,
                                    g.outputChannels, lanes.mask);
        I64 place = index * tiles.block() + lanes.lane;
        Value accumulator;
        if (spec.recompute)
          accumulator = k.load(t.packed, place);
        Values terms, next;
        Value gradient = e.hooks.gradientAndSums
                             ? e.hooks.gradientAndSums(
                                   k.builder, k.loc, accumulator, point, terms)
                             : e.gradient(accumulator, point);
        k.store(gradient, t.packed, place);
        for (auto [total, term] : llvm::zip_equal(carried, terms))
          next.push_back(
              k.add(total, arith::ExtFOp::create(k.builder, k.loc, e.doubles(),
                                                 term)));
        return next;
      });
  for (auto [index, total] : llvm::enumerate(totals)) {
    int64_t offset =
        static_cast<int64_t>(index) * tiles.block() * floatsPerDouble;
    e.storeDoubles(k.add(e.loadDoubles(lanes.sums, offset), total), lanes.sums,
                   offset);
  }
}

void BranchFilterEmitter::emitReducePhase(unsigned phase) {
  e.phase(phase, [&](const PhaseArguments &arguments) {
    Geometry g = geometry(arguments.dims);
    const FilterTiles::Geometry &rows = g.rows;
    Value workspace = arguments.buffers[e.layout.workspace];
    I64 tasks = g.reduceTasks(spec);
    k.loop(arguments.begin, arguments.end, [&](I64 task) {
      I64 branch = task / tasks;
      I64 part = task % tasks;
      I64 firstPartial = branch % g.perRound * rows.partials;
      k.ifThen(k.less(branch, g.branches), [&] {
        BranchEmitter::Values tuple = e.tuple(arguments, branch);
        Value result = e.buffer(e.layout.result, arguments, tuple);
        auto reduceGradient = [&] {
          tiles.reduce(rows, part,
                       k.at(workspace, firstPartial * rows.partialFloats),
                       [&](Value sum, I64 offset, I64, Value mask) {
                         k.store(sum, result, offset, mask);
                       });
        };
        if (!spec.sums)
          return reduceGradient();
        k.ifThenElse(
            k.less(part, rows.reduceTasks(spec.contraction)), reduceGradient,
            [&] {
              reduceSums(
                  arguments, g,
                  k.at(workspace, g.firstSum() + firstPartial * g.sumFloats),
                  tuple);
            });
      });
    });
  });
}

void BranchFilterEmitter::reduceSums(const PhaseArguments &arguments,
                                     const Geometry &g, Value partials,
                                     ArrayRef<Value> tuple) {
  using Values = BranchEmitter::Values;
  const FilterTiles::Geometry &rows = g.rows;
  k.loop(0, rows.channelBlocks * spec.contraction.groups, [&](I64 block) {
    I64 blockChannel = block % rows.channelBlocks * tiles.block();
    I64 firstChannel =
        block / rows.channelBlocks * rows.outputGroup + blockChannel;
    I64 channels = minOf(rows.outputGroup - blockChannel, tiles.block());
    k.forVectors(channels, [&](I64 lane, Value mask) {
      for (auto [index, slot] : llvm::enumerate(e.layout.sums)) {
        int64_t sum =
            static_cast<int64_t>(index) * tiles.block() * floatsPerDouble;
        Value from =
            k.at(partials, block * blockSums() + sum + lane * floatsPerDouble);
        Values total =
            k.loop(0, rows.partials, e.zeroDoubles(),
                   [&](I64 partial, ValueRange carried) -> Values {
                     return {k.add(carried[0],
                                   e.loadDoubles(from, partial * g.sumFloats))};
                   });
        Value narrow =
            arith::TruncFOp::create(k.builder, k.loc, k.vectorType, total[0]);
        k.store(narrow, e.buffer(slot, arguments, tuple), firstChannel + lane,
                mask);
      }
    });
  });
}

void cambium::emitBranchFilter(BranchEmitter &emitter) {
  BranchFilterEmitter filter(emitter);
  unsigned phase = 0;
  if (emitter.spec.recompute)
    filter.emitPackPhase(phase++);
  filter.emitGradientPhase(phase++);
  filter.emitReducePhase(phase++);
}

LaunchSizes cambium::branchFilterLaunch(const BranchSpec &spec,
                                        const ContractionSchedule &schedule,
                                        const BranchLayout &layout,
                                        ArrayRef<int64_t> dims) {
  constexpr int64_t floatBytes = sizeof(float);
  auto g =
      branchGeometry<int64_t>(spec, schedule, branchExtents(spec, layout, dims),
                              dims[layout.branchesDim]);
  LaunchSizes sizes;
  if (spec.recompute)
    sizes.tasks.push_back(g.perRound * g.forward.packTasks(spec.contraction));
  sizes.tasks.push_back(g.tasks(spec.contraction));
  sizes.tasks.push_back(g.perRound * g.reduceTasks(spec));
  sizes.rounds = g.rounds();
  sizes.workspaceBytes = g.workspaceFloats() * floatBytes;
  sizes.scratchBytes =
      (g.gradientFloats(spec, schedule) +
       g.rows.scratchRows * g.rows.scratchRow + schedule.tile) *
      floatBytes;
  return sizes;
}
