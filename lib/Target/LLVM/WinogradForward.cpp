//===- WinogradForward.cpp - Winograd's algorithm, Forward ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Phase 0 transforms the filters of a round's branches into the workspace. A
// task takes some source channels of one channel block of one branch.
//
// Phase 1 takes blocks of tiles, and splits channels where these are few. A
// task transforms the input once, and then for each channel block and each of
// the round's branches forms the products of all points and transforms them
// back, so that the part of the result to which the branches are added stays in
// the nearest cache.
//
//===----------------------------------------------------------------------===//

#include "WinogradForward.h"

using namespace mlir;
using namespace cambium;

//===----------------------------------------------------------------------===//
// Blocks of tiles
//===----------------------------------------------------------------------===//

void WinogradForward::transformFilter(Value filter,
                                      const WinogradFilter<I64> &layout,
                                      I64 channels, I64 task, Value to,
                                      Value memory) {
  I64 split = task % layout.depthSplits();
  I64 channelBlock = task / layout.depthSplits();
  I64 first = split * WinogradTargets::filterDepth;
  Value blockTo = k.at(to, channelBlock * layout.blockFloats);
  I64 rowStride = layout.depth * channels * 3;
  // Vectors of one place next to each other fill whole cache lines.
  k.loop(first, minOf(first + WinogradTargets::filterDepth, layout.depth),
         [&](I64 source) {
           k.loop(0, w.schedule.vectors, [&](I64 v) {
             I64 channel = channelBlock * w.block() + v * k.width;
             Value mask = k.firstLanes(channels - channel);
             Value from = k.at(filter, source * channels + channel);
             Value place = k.at(blockTo, source * w.block() + v * k.width);
             w.toPoints(
                 w.plan.filter, memory,
                 [&](I64 column) {
                   Value top = k.at(from, column * layout.depth * channels);
                   WinogradEmitter::Values vectors;
                   for (int64_t row = 0; row < 3; ++row)
                     vectors.push_back(k.load(top, rowStride * row, mask));
                   return vectors;
                 },
                 [&](I64 row, ArrayRef<Value> vectors) {
                   w.storePoints(place, layout.pointStride, row, vectors);
                 });
           });
         });
}

void WinogradForward::fillPatch(const WinogradBlock &block, I64 image,
                                I64 firstRow, I64 firstColumn, I64 channel,
                                Value patch) {
  const Extents<I64> &x = block.extents;
  Value mask = k.firstLanes(x.inC - channel);
  I64 branches = e.branches(block.arguments.dims);
  k.loop(0, w.plan.points, [&](I64 r) {
    k.loop(0, w.plan.points, [&](I64 c) {
      I64 row = firstRow + r, column = firstColumn + c;
      Value inside =
          k.both(k.both(k.lessEqual(0, row), k.less(row, x.inH)),
                 k.both(k.lessEqual(0, column), k.less(column, x.inW)));
      Value vector = k.ifThenYield(
          inside,
          [&]() -> SmallVector<Value> {
            I64 pixel = (image * x.inH + row) * x.inW + column;
            return {e.input(e.point(block.arguments, 0, branches, {}, pixel,
                                    channel, x.inC, mask))};
          },
          k.zeroVector())[0];
      k.store(vector, patch, (r * w.plan.points + c) * k.width);
    });
  });
}

void WinogradForward::transformInput(const WinogradBlock &block,
                                     const WinogradPanel<I64> &panel, Value to,
                                     Value memory) {
  const Extents<I64> &x = block.extents;
  const ContractionSpec &spec = e.spec.contraction;
  Value patch = k.at(memory, w.transformFloats());
  Value tensor = block.arguments.buffers[e.layout.input.buffer];
  int64_t points = w.plan.points;
  auto chosen = [&](Value condition, I64 yes, I64 no) {
    return I64(k, k.select(condition, yes.in(k), no.in(k)));
  };
  k.loop(0, block.count, [&](I64 index) {
    WinogradEmitter::Tile tile = w.tile(block.tiles, block.first + index);
    I64 row = tile.row - spec.padTop, column = tile.column - spec.padLeft;
    Value whole = k.both(
        k.both(k.lessEqual(0, row), k.lessEqual(row + points, x.inH)),
        k.both(k.lessEqual(0, column), k.lessEqual(column + points, x.inW)));
    Value corner =
        k.at(tensor, ((tile.image * x.inH + row) * x.inW + column) * x.inC);
    k.loop(0, ceilDiv(x.inC, I64(k.width)), [&](I64 vector) {
      I64 channel = vector * k.width;
      Value base = patch;
      I64 rowStride = points * k.width, columnStride = k.width;
      if (e.hooks.input) {
        fillPatch(block, tile.image, row, column, channel, patch);
      } else {
        Value direct = k.both(whole, k.lessEqual(channel + k.width, x.inC));
        k.ifThenElse(
            direct, [] {},
            [&] { fillPatch(block, tile.image, row, column, channel, patch); });
        base = k.select(direct, k.at(corner, channel), patch);
        rowStride = chosen(direct, x.inW * x.inC, rowStride);
        columnStride = chosen(direct, x.inC, columnStride);
      }
      Value place = k.at(to, index * panel.tileStride + channel);
      w.toPoints(
          w.plan.input, memory,
          [&](I64 c) {
            return w.loadColumn(base, points, rowStride, columnStride, c);
          },
          [&](I64 r, ArrayRef<Value> vectors) {
            w.storePoints(place, panel.pointStride, r, vectors);
          });
    });
  });
}

void WinogradForward::outputs(const WinogradBlock &block, I64 channelBlock,
                              Value input, const WinogradPanel<I64> &inputPanel,
                              Value filter,
                              const WinogradFilter<I64> &filterLayout,
                              Value products,
                              const WinogradPanel<I64> &productPanel,
                              Value memory, Sink sink) {
  w.products(
      products, productPanel.pointStride, productPanel.tileStride, block.count,
      {input, inputPanel.pointStride, inputPanel.tileStride, 1},
      {filter, filterLayout.pointStride, 0, w.block()}, filterLayout.depth);
  k.loop(0, block.count, [&](I64 index) {
    WinogradEmitter::Tile tile = w.tile(block.tiles, block.first + index);
    k.loop(0, w.schedule.vectors, [&](I64 v) {
      I64 channel = channelBlock * w.block() + v * k.width;
      k.ifThen(k.less(channel, block.extents.outC), [&] {
        Value place =
            k.at(products, index * productPanel.tileStride + v * k.width);
        outputTile(block, tile, index, channel, place, productPanel.pointStride,
                   memory, sink);
      });
    });
  });
}

void WinogradForward::outputTile(const WinogradBlock &block,
                                 const WinogradEmitter::Tile &tile, I64 index,
                                 I64 channel, Value place, I64 pointStride,
                                 Value memory, Sink sink) {
  const Extents<I64> &y = block.extents;
  I64 rows = y.outH - tile.row, columns = y.outW - tile.column;
  Value complete = k.both(
      k.both(k.lessEqual(w.plan.m, rows), k.lessEqual(w.plan.m, columns)),
      k.lessEqual(channel + k.width, y.outC));
  I64 corner = (tile.image * y.outH + tile.row) * y.outW + tile.column;
  Value line = k.at(memory, w.transformFloats());
  w.fromPoints(
      w.plan.output, memory,
      [&](I64 column) { return w.loadPoints(place, pointStride, column); },
      [&](I64 row, ArrayRef<Value> vectors) {
        I64 pixel = corner + row * y.outW;
        auto storeAll = [&] {
          for (auto [column, vector] : llvm::enumerate(vectors)) {
            int64_t c = column;
            sink(vector, {index, row, c, pixel + c, channel, Value()});
          }
        };
        // Through memory, so that the code of the rare case is there once.
        auto storePart = [&] {
          for (auto [column, vector] : llvm::enumerate(vectors))
            k.store(vector, line, static_cast<int64_t>(column) * k.width);
          Value mask = k.firstLanes(y.outC - channel);
          k.loop(0, minOf(columns, w.plan.m), [&](I64 c) {
            sink(k.load(line, c * k.width),
                 {index, row, c, pixel + c, channel, mask});
          });
        };
        k.ifThenElse(complete, storeAll,
                     [&] { k.ifThen(k.less(row, rows), storePart); });
      });
}

//===----------------------------------------------------------------------===//
// The kernel
//===----------------------------------------------------------------------===//

namespace {

struct ForwardTargets {
  /// Tasks below which channels are split, too.
  static constexpr int64_t tasks = 16;
  /// Channels of all branches of a round that make up for transforming the
  /// input anew for each split.
  static constexpr int64_t channels = 128;
};

template <typename Int> struct Geometry {
  Extents<Int> extents;
  WinogradTiles<Int> tiles;
  WinogradPanel<Int> input, products;
  WinogradFilter<Int> filter;
  WinogradRounds<Int> rounds;
  Int channelBlocksPerTask, channelSplits;

  Geometry(const WinogradPlan &plan, const ContractionSchedule &schedule,
           const Extents<Int> &extents, Int branches)
      : extents(extents),
        tiles(plan, schedule, extents,
              WinogradForward::inputChannels(extents.inC, width(schedule))),
        input(plan, tiles.perBlock,
              WinogradForward::inputChannels(extents.inC, width(schedule))),
        products(plan, tiles.perBlock, Int(block(schedule))),
        filter(plan, extents.inC, extents.outC, block(schedule)),
        rounds(branches, filter.floats), channelBlocksPerTask(0),
        channelSplits(0) {
    Int one(1);
    Int least = ceilDiv(Int(ForwardTargets::channels),
                        rounds.branchesPerRound * Int(block(schedule)));
    Int wanted = ceilDiv(Int(ForwardTargets::tasks), maxOf(tiles.blocks, one));
    Int splits = maxOf(minOf(wanted, filter.blocks / least), one);
    channelBlocksPerTask = maxOf(ceilDiv(filter.blocks, splits), one);
    channelSplits = ceilDiv(filter.blocks, channelBlocksPerTask);
  }

  Int tasks() const { return tiles.blocks * channelSplits; }
  static int64_t width(const ContractionSchedule &schedule) {
    return schedule.vectorWidth;
  }
  static int64_t block(const ContractionSchedule &schedule) {
    return schedule.vectors * schedule.vectorWidth;
  }
};

class ForwardKernel {
public:
  explicit ForwardKernel(BranchEmitter &emitter)
      : e(emitter), k(emitter.k), w(emitter.k, emitter.schedule),
        forward(emitter, w) {}

  void emitFilters();
  void emitTiles();

private:
  Geometry<I64> geometry(Value dims) {
    return {w.plan, e.schedule, e.extents(dims), e.branches(dims)};
  }
  void emitBlock(const PhaseArguments &arguments, const Geometry<I64> &g,
                 I64 task);

  BranchEmitter &e;
  KernelBuilder &k;
  WinogradEmitter w;
  WinogradForward forward;
};

} // namespace

void ForwardKernel::emitFilters() {
  e.phase(0, [&](const PhaseArguments &arguments) {
    Geometry<I64> g = geometry(arguments.dims);
    I64 branches = e.branches(arguments.dims);
    Value workspace = arguments.buffers[e.layout.workspace];
    k.loop(arguments.begin, arguments.end, [&](I64 task) {
      I64 branch = task / g.filter.tasks();
      k.ifThen(k.less(branch, branches), [&] {
        auto tuple = e.tuple(arguments, branch);
        Value to = k.at(workspace,
                        branch % g.rounds.branchesPerRound * g.filter.floats);
        forward.transformFilter(e.buffer(e.layout.filter, arguments, tuple),
                                g.filter, g.extents.outC,
                                task % g.filter.tasks(), to, arguments.scratch);
      });
    });
  });
}

void ForwardKernel::emitTiles() {
  e.phase(1, [&](const PhaseArguments &arguments) {
    Geometry<I64> g = geometry(arguments.dims);
    k.loop(arguments.begin, arguments.end,
           [&](I64 task) { emitBlock(arguments, g, task); });
  });
}

void ForwardKernel::emitBlock(const PhaseArguments &arguments,
                              const Geometry<I64> &g, I64 task) {
  I64 round = task / g.tasks();
  I64 first = task % g.tasks() / g.channelSplits * g.tiles.perBlock;
  I64 firstChannelBlock = task % g.channelSplits * g.channelBlocksPerTask;
  I64 endChannelBlock =
      minOf(firstChannelBlock + g.channelBlocksPerTask, g.filter.blocks);
  WinogradBlock block{arguments, g.extents, g.tiles, first,
                      minOf(g.tiles.perBlock, g.tiles.tiles - first)};
  I64 branches = e.branches(arguments.dims);
  I64 firstBranch = round * g.rounds.branchesPerRound;
  I64 endBranch = minOf(firstBranch + g.rounds.branchesPerRound, branches);
  Value memory = arguments.scratch;
  Value input = k.at(memory, forward.memoryFloats());
  Value products = k.at(input, g.input.floats);
  Value workspace = arguments.buffers[e.layout.workspace];
  forward.transformInput(block, g.input, input, memory);
  k.loop(firstChannelBlock, endChannelBlock, [&](I64 channelBlock) {
    k.loop(firstBranch, endBranch, [&](I64 branch) {
      auto tuple = e.tuple(arguments, branch);
      Value filter = k.at(workspace, (branch - firstBranch) * g.filter.floats +
                                         channelBlock * g.filter.blockFloats);
      forward.outputs(block, channelBlock, input, g.input, filter, g.filter,
                      products, g.products, memory,
                      [&](Value accumulator, const WinogradForward::Place &p) {
                        e.join(accumulator, e.point(arguments, branch, branches,
                                                    tuple, p.pixel, p.channel,
                                                    g.extents.outC, p.mask));
                      });
    });
  });
}

void cambium::emitWinogradForward(BranchEmitter &emitter) {
  ForwardKernel kernel(emitter);
  kernel.emitFilters();
  kernel.emitTiles();
}

LaunchSizes cambium::winogradForwardLaunch(const BranchSpec &spec,
                                           const ContractionSchedule &schedule,
                                           const BranchLayout &layout,
                                           ArrayRef<int64_t> dims) {
  constexpr int64_t floatBytes = sizeof(float);
  Geometry<int64_t> g(WinogradPlan(schedule.winograd), schedule,
                      branchExtents(spec, layout, dims),
                      dims[layout.branchesDim]);
  LaunchSizes sizes;
  sizes.rounds = g.rounds.rounds;
  sizes.tasks = {g.rounds.branchesPerRound * g.filter.tasks(), g.tasks()};
  sizes.workspaceBytes =
      g.rounds.branchesPerRound * g.filter.floats * floatBytes;
  sizes.scratchBytes = (WinogradForward::memoryFloats(schedule) +
                        g.input.floats + g.products.floats) *
                       floatBytes;
  return sizes;
}
