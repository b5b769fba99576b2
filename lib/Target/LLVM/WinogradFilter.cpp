//===- WinogradFilter.cpp - Winograd's algorithm, BackwardFilter ----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// dw = G^T (sum over tiles of V . Z) G. A task takes a range of tiles, some
// branches and some channel blocks of y. For each block of tiles it transforms
// x once, and then for each of its branches and channel blocks transforms the
// gradient and adds the products of all points to those in scratch. In the end
// it transforms the products back, to a quarter of their size, so that the
// partial gradients of several ranges fit the workspace:
//
//   partial gradients  [branch of the round][partial]
//                      [kernelH][kernelW][channel of x][padded channel of y]
//   sums, doubles      [branch of the round][partial][channel block][sum]
//                      [block]
//   U                  [branch of the round], where the forward contraction is
//                      computed again
//
// The last phase adds up partial gradients and sums in order. What a partial
// gradient adds up does not depend on whether accumulators are recomputed.
//
//===----------------------------------------------------------------------===//

#include "WinogradGradient.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace cambium;

namespace {

constexpr int64_t kernelSize = 3;
constexpr int64_t taps = kernelSize * kernelSize;

struct FilterTargets {
  /// Partial gradients, and with them U, of a round. One branch's U may come on
  /// top: with fewer partial gradients, recomputation would give other bits.
  static constexpr int64_t workspaceBytes = 4800 * 1024;
  /// Products of a task, which come and go between the shared cache and the
  /// private one.
  static constexpr int64_t productBytes = 3 * 1024 * 1024;
  /// V of a block of tiles.
  static constexpr int64_t panelBytes = 224 * 1024;
  static constexpr int64_t mostPanelBytes = 2 * 1024 * 1024;
  static constexpr int64_t leastTiles = 24;
  static constexpr int64_t mostTiles = 96;
  /// Tasks of a round, and the least number where branches could share V.
  static constexpr int64_t mostTasks = 32;
  static constexpr int64_t leastTasks = 8;
  /// Channels of y over which the cost of V and, for tiles of a partial
  /// gradient, that of the last transform spread well.
  static constexpr int64_t channels = 64;
  static constexpr int64_t partialTiles = 32;
};

/// The largest power of two that is at most `value`, and at most `most`.
template <typename Int> Int powerOfTwo(Int value, int64_t most) {
  Int result(1);
  for (int64_t power = 2; power <= most; power *= 2)
    result = selectLess(Int(power - 1), value, Int(power), result);
  return result;
}

template <typename Int> struct Geometry {
  Extents<Int> extents;
  WinogradTiles<Int> tiles;
  Int branches;
  /// Rows of the products of a point, surplus rows included.
  Int productRows;
  Int channelBlocks;
  /// Floats of the products of a channel block and one of its points.
  Int productPoint, productBlock;
  /// Floats of a partial gradient and the sums that belong to it.
  Int gradientFloats, sumFloats;
  /// Floats of U of a branch, 0 if it is not needed.
  Int filterFloats;
  Int partials, blocksPerTask, channelSplits;
  Int branchesPerTask, branchSplits, rounds;

  Geometry(const WinogradPlan &plan, const BranchSpec &spec,
           const ContractionSchedule &schedule, const Extents<Int> &extents,
           Int branches);

  Int branchesPerRound() const { return branchesPerTask * branchSplits; }
  Int tasks() const { return partials * branchSplits * channelSplits; }
  /// A task for each tap and one for the sums.
  Int reduceTasks() const { return branchesPerRound() * Int(taps + 1); }
  Int firstSum() const {
    return branchesPerRound() * partials * gradientFloats;
  }
  Int firstFilter() const {
    return firstSum() + branchesPerRound() * partials * sumFloats;
  }
  Int workspaceFloats() const {
    return firstFilter() + branchesPerRound() * filterFloats;
  }
  WinogradPanel<Int> input(const WinogradPlan &plan, int64_t width) const {
    return {plan, tiles.perBlock,
            WinogradForward::inputChannels(extents.inC, width)};
  }
  /// Z, or recomputed products, of a channel block.
  WinogradPanel<Int> gradient(const WinogradPlan &plan, int64_t block) const {
    return {plan, tiles.perBlock, Int(block)};
  }

private:
  void splitTiles(const WinogradPlan &plan,
                  const ContractionSchedule &schedule);
  void chooseRounds();
};

template <typename Int>
Geometry<Int>::Geometry(const WinogradPlan &plan, const BranchSpec &spec,
                        const ContractionSchedule &schedule,
                        const Extents<Int> &extents, Int branches)
    : extents(extents), tiles(plan, schedule, extents, extents.inC),
      branches(branches), productRows(coveredRows(schedule, extents.inC)),
      channelBlocks(
          ceilDiv(extents.outC, Int(schedule.vectors * schedule.vectorWidth))),
      productPoint(productRows * Int(schedule.vectors * schedule.vectorWidth) +
                   Int(WinogradTargets::pointPadding)),
      productBlock(productPoint * Int(plan.allPoints())), gradientFloats(0),
      sumFloats(0), filterFloats(0), partials(1), blocksPerTask(1),
      channelSplits(1), branchesPerTask(1), branchSplits(1), rounds(1) {
  int64_t block = schedule.vectors * schedule.vectorWidth;
  gradientFloats = extents.inC * channelBlocks * Int(taps * block);
  sumFloats = channelBlocks * Int(spec.sums * block * floatsPerDouble);
  if (spec.recompute)
    filterFloats =
        WinogradFilter<Int>(plan, extents.inC, extents.outC, block).floats;
  splitTiles(plan, schedule);

  using Targets = FilterTargets;
  Int one(1);
  Int blocksFit = maxOf(Int(Targets::productBytes / 4) / productBlock, one);
  Int partialsFit = maxOf(
      Int(Targets::workspaceBytes / 4) / (gradientFloats + sumFloats), one);
  Int most = maxOf(
      minOf(tiles.tiles / Int(Targets::partialTiles), Int(Targets::mostTasks)),
      one);
  // Splitting channels costs another V; it must be done where the products
  // would not fit, and is done where tasks would be missing.
  Int wide = maxOf(channelBlocks * Int(block) / Int(Targets::channels), one);
  Int missing = ceilDiv(Int(Targets::leastTasks),
                        minOf(partialsFit, most) * maxOf(branches, one));
  Int splits = maxOf(ceilDiv(channelBlocks, blocksFit), minOf(wide, missing));
  blocksPerTask = ceilDiv(channelBlocks, splits);
  channelSplits = ceilDiv(channelBlocks, blocksPerTask);

  // Branches that share V.
  Int parallel = channelSplits * minOf(partialsFit, most * branches);
  Int shared =
      minOf(blocksFit / blocksPerTask, parallel / Int(Targets::leastTasks));
  branchesPerTask = maxOf(minOf(shared, branches), one);
  Int some = maxOf(branches, one);
  branchesPerTask = ceilDiv(some, ceilDiv(some, branchesPerTask));
  partials = powerOfTwo(minOf(most, partialsFit / branchesPerTask),
                        Targets::mostTasks);
  chooseRounds();
}

template <typename Int>
void Geometry<Int>::splitTiles(const WinogradPlan &plan,
                               const ContractionSchedule &schedule) {
  using Targets = FilterTargets;
  Int one(1), step(schedule.tile);
  Int tileBytes = maxOf(extents.inC, one) * Int(plan.allPoints() * 4);
  Int most = minOf(maxOf(Int(Targets::panelBytes) / tileBytes,
                         minOf(Int(Targets::mostPanelBytes) / tileBytes,
                               Int(Targets::leastTiles))),
                   Int(Targets::mostTiles));
  tiles.perBlock = maxOf(most / step, one) * step;
}

template <typename Int> void Geometry<Int>::chooseRounds() {
  Int one(1), some = maxOf(branches, one);
  Int branchFloats = partials * (gradientFloats + sumFloats) + filterFloats;
  Int fit = maxOf(Int(FilterTargets::workspaceBytes / 4) / branchFloats, one);
  branchesPerTask = minOf(branchesPerTask, fit);
  Int tasks = ceilDiv(some, branchesPerTask);
  rounds = ceilDiv(tasks, maxOf(fit / branchesPerTask, one));
  branchSplits = ceilDiv(tasks, rounds);
}

class FilterKernel {
public:
  explicit FilterKernel(BranchEmitter &emitter)
      : e(emitter), k(emitter.k), w(emitter.k, emitter.schedule),
        forward(emitter, w), gradient(emitter, w) {}

  void emit() {
    if (e.spec.recompute)
      emitFilters();
    emitPartials();
    emitReduction();
  }

private:
  using Values = BranchEmitter::Values;

  /// A task of the phase that computes partial gradients.
  struct Task {
    const PhaseArguments &arguments;
    const Geometry<I64> &g;
    I64 partial, firstBlock, endBlock;
    I64 roundBranch, firstBranch, endBranch;
    /// Scratch.
    Value memory, input, panel, accumulators, sums, products;
  };

  Geometry<I64> geometry(Value dims) {
    return {w.plan, e.spec, e.schedule, e.extents(dims), e.branches(dims)};
  }
  Value workspace(const PhaseArguments &arguments) {
    return arguments.buffers[e.layout.workspace];
  }
  WinogradFilter<I64> filterLayout(const Geometry<I64> &g) {
    return {w.plan, g.extents.inC, g.extents.outC, w.block()};
  }

  void emitFilters();
  void emitPartials();
  void emitReduction();

  Task task(const PhaseArguments &arguments, const Geometry<I64> &g, I64 index);
  void emitTask(const Task &task);
  void emitTiles(const Task &task, const WinogradBlock &block);
  void storePartial(const Task &task, I64 branch);
  void transformBack(const Task &task, I64 inTask, I64 channelBlock, Value to);
  void reduceTap(const Geometry<I64> &g, Value partials, I64 tap, Value result);
  void reduceSums(const Geometry<I64> &g, Value partials,
                  const PhaseArguments &arguments, ArrayRef<Value> tuple);

  Value productsOf(const Task &task, I64 inTask, I64 channelBlock) {
    I64 index = inTask * task.g.blocksPerTask + channelBlock - task.firstBlock;
    return k.at(task.products, index * task.g.productBlock);
  }
  Value sumsOf(const Task &task, I64 inTask, I64 channelBlock) {
    I64 index = inTask * task.g.blocksPerTask + channelBlock - task.firstBlock;
    return k.at(task.sums, index * gradient.sumFloats());
  }

  BranchEmitter &e;
  KernelBuilder &k;
  WinogradEmitter w;
  WinogradForward forward;
  WinogradGradient gradient;
};

} // namespace

//===----------------------------------------------------------------------===//
// Partial gradients
//===----------------------------------------------------------------------===//

void FilterKernel::emitFilters() {
  e.phase(0, [&](const PhaseArguments &arguments) {
    Geometry<I64> g = geometry(arguments.dims);
    WinogradFilter<I64> layout = filterLayout(g);
    Value filters = k.at(workspace(arguments), g.firstFilter());
    k.loop(arguments.begin, arguments.end, [&](I64 task) {
      I64 branch = task / layout.tasks();
      k.ifThen(k.less(branch, g.branches), [&] {
        Values tuple = e.tuple(arguments, branch);
        Value to =
            k.at(filters, branch % g.branchesPerRound() * g.filterFloats);
        forward.transformFilter(e.buffer(e.layout.filter, arguments, tuple),
                                layout, g.extents.outC, task % layout.tasks(),
                                to, arguments.scratch);
      });
    });
  });
}

void FilterKernel::emitPartials() {
  e.phase(e.spec.recompute, [&](const PhaseArguments &arguments) {
    Geometry<I64> g = geometry(arguments.dims);
    k.loop(arguments.begin, arguments.end, [&](I64 index) {
      Task t = task(arguments, g, index);
      k.ifThen(k.less(t.firstBranch, t.endBranch), [&] { emitTask(t); });
    });
  });
}

FilterKernel::Task FilterKernel::task(const PhaseArguments &arguments,
                                      const Geometry<I64> &g, I64 index) {
  I64 split = index % g.channelSplits;
  I64 rest = index / g.channelSplits;
  I64 branchSplit = rest % g.branchSplits;
  rest = rest / g.branchSplits;
  I64 round = rest / g.partials;
  I64 firstBlock = split * g.blocksPerTask;
  I64 roundBranch = round * g.branchesPerRound();
  I64 firstBranch = roundBranch + branchSplit * g.branchesPerTask;
  I64 panelFloats = g.gradient(w.plan, w.block()).floats;
  Value memory = arguments.scratch;
  Value sums = k.at(memory, forward.memoryFloats());
  Value input =
      k.at(sums, g.branchesPerTask * g.blocksPerTask * gradient.sumFloats());
  Value panel = k.at(input, g.input(w.plan, k.width).floats);
  Value products = k.at(panel, panelFloats);
  Value accumulators =
      k.at(products, g.branchesPerTask * g.blocksPerTask * g.productBlock);
  return {arguments,
          g,
          rest % g.partials,
          firstBlock,
          minOf(firstBlock + g.blocksPerTask, g.channelBlocks),
          roundBranch,
          firstBranch,
          minOf(firstBranch + g.branchesPerTask, g.branches),
          memory,
          input,
          panel,
          accumulators,
          sums,
          products};
}

void FilterKernel::emitTask(const Task &t) {
  const Geometry<I64> &g = t.g;
  I64 owned = g.branchesPerTask * g.blocksPerTask;
  k.fillZero(t.products, owned * g.productBlock);
  if (e.spec.sums)
    k.fillZero(t.sums, owned * gradient.sumFloats());
  I64 first = t.partial * g.tiles.tiles / g.partials;
  I64 tiles = (t.partial + 1) * g.tiles.tiles / g.partials - first;
  I64 blocks = ceilDiv(tiles, g.tiles.perBlock);
  k.loop(0, blocks, [&](I64 index) {
    I64 begin = index * tiles / blocks, end = (index + 1) * tiles / blocks;
    emitTiles(t, {t.arguments, g.extents, g.tiles, first + begin, end - begin});
  });
  k.loop(t.firstBranch, t.endBranch,
         [&](I64 branch) { storePartial(t, branch); });
}

void FilterKernel::emitTiles(const Task &t, const WinogradBlock &block) {
  const Geometry<I64> &g = t.g;
  WinogradPanel<I64> input = g.input(w.plan, k.width);
  WinogradPanel<I64> panel = g.gradient(w.plan, w.block());
  WinogradFilter<I64> layout = filterLayout(g);
  forward.transformInput(block, input, t.input, t.memory);
  k.loop(t.firstBranch, t.endBranch, [&](I64 branch) {
    Values tuple = e.tuple(t.arguments, branch);
    I64 inTask = branch - t.firstBranch;
    k.loop(t.firstBlock, t.endBlock, [&](I64 channelBlock) {
      Value accumulators;
      if (e.spec.recompute) {
        accumulators = t.accumulators;
        Value filter =
            k.at(workspace(t.arguments),
                 g.firstFilter() + (branch - t.roundBranch) * g.filterFloats +
                     channelBlock * layout.blockFloats);
        gradient.recompute(block, channelBlock, t.input, input, filter, layout,
                           t.panel, panel, accumulators, t.memory);
      }
      gradient.emit(block, {branch, g.branches, tuple}, channelBlock,
                    accumulators, t.panel, panel, t.memory,
                    e.spec.sums ? sumsOf(t, inTask, channelBlock) : Value());
      w.products(productsOf(t, inTask, channelBlock), g.productPoint, w.block(),
                 g.extents.inC,
                 {t.input, input.pointStride, 1, input.tileStride},
                 {t.panel, panel.pointStride, 0, panel.tileStride}, block.count,
                 /*addOld=*/true);
    });
  });
}

void FilterKernel::storePartial(const Task &t, I64 branch) {
  const Geometry<I64> &g = t.g;
  I64 partial = (branch - t.roundBranch) * g.partials + t.partial;
  Value gradientTo = k.at(workspace(t.arguments), partial * g.gradientFloats);
  Value sumsTo =
      k.at(workspace(t.arguments), g.firstSum() + partial * g.sumFloats);
  k.loop(t.firstBlock, t.endBlock, [&](I64 channelBlock) {
    I64 inTask = branch - t.firstBranch;
    transformBack(t, inTask, channelBlock, gradientTo);
    if (e.spec.sums)
      k.copy(k.at(sumsTo, channelBlock * gradient.sumFloats()),
             sumsOf(t, inTask, channelBlock), gradient.sumFloats());
  });
}

void FilterKernel::transformBack(const Task &t, I64 inTask, I64 channelBlock,
                                 Value to) {
  const Geometry<I64> &g = t.g;
  I64 rowFloats = g.channelBlocks * w.block();
  I64 tapFloats = g.extents.inC * rowFloats;
  Value products = productsOf(t, inTask, channelBlock);
  k.loop(0, g.extents.inC, [&](I64 source) {
    k.loop(0, e.schedule.vectors, [&](I64 v) {
      I64 lane = v * k.width;
      Value from = k.at(products, source * w.block() + lane);
      Value place =
          k.at(to, source * rowFloats + channelBlock * w.block() + lane);
      w.fromPoints(
          w.plan.filter, t.memory,
          [&](I64 column) {
            return w.loadPoints(from, g.productPoint, column);
          },
          [&](I64 row, ArrayRef<Value> vectors) {
            for (auto [column, vector] : llvm::enumerate(vectors))
              k.store(vector, place,
                      (row * kernelSize + static_cast<int64_t>(column)) *
                          tapFloats);
          });
    });
  });
}

//===----------------------------------------------------------------------===//
// Their sum
//===----------------------------------------------------------------------===//

void FilterKernel::emitReduction() {
  e.phase(1 + e.spec.recompute, [&](const PhaseArguments &arguments) {
    Geometry<I64> g = geometry(arguments.dims);
    k.loop(arguments.begin, arguments.end, [&](I64 task) {
      I64 tap = task % (taps + 1);
      I64 branch = task / (taps + 1);
      I64 inRound = branch % g.branchesPerRound();
      k.ifThen(k.less(branch, g.branches), [&] {
        Values tuple = e.tuple(arguments, branch);
        k.ifThenElse(
            k.less(tap, taps),
            [&] {
              reduceTap(g,
                        k.at(workspace(arguments),
                             inRound * g.partials * g.gradientFloats),
                        tap, e.buffer(e.layout.result, arguments, tuple));
            },
            [&] {
              reduceSums(
                  g,
                  k.at(workspace(arguments),
                       g.firstSum() + inRound * g.partials * g.sumFloats),
                  arguments, tuple);
            });
      });
    });
  });
}

void FilterKernel::reduceTap(const Geometry<I64> &g, Value partials, I64 tap,
                             Value result) {
  I64 channels = g.extents.outC;
  I64 vectors = ceilDiv(channels, I64(k.width));
  k.loop(0, g.extents.inC, [&](I64 source) {
    I64 row = tap * g.extents.inC + source;
    Value from = k.at(partials, row * g.channelBlocks * w.block());
    Value to = k.at(result, row * channels);
    k.loop(0, vectors, [&](I64 v) {
      I64 channel = v * k.width;
      Value sum = k.loop(1, g.partials, k.load(from, channel),
                         [&](I64 partial, ValueRange carried) -> Values {
                           I64 offset = partial * g.gradientFloats + channel;
                           return {k.add(carried[0], k.load(from, offset))};
                         })[0];
      I64 remaining = channels - channel;
      k.ifThenElse(
          k.lessEqual(k.width, remaining), [&] { k.store(sum, to, channel); },
          [&] { k.store(sum, to, channel, k.firstLanes(remaining)); });
    });
  });
}

void FilterKernel::reduceSums(const Geometry<I64> &g, Value partials,
                              const PhaseArguments &arguments,
                              ArrayRef<Value> tuple) {
  if (!e.spec.sums)
    return;
  k.loop(0, ceilDiv(g.extents.outC, I64(k.width)), [&](I64 v) {
    I64 channel = v * k.width;
    I64 channelBlock = channel / w.block();
    I64 lane = channel % w.block();
    Value mask = k.firstLanes(g.extents.outC - channel);
    Value from = k.at(partials, channelBlock * gradient.sumFloats() +
                                    lane * floatsPerDouble);
    for (auto [sum, slot] : llvm::enumerate(e.layout.sums)) {
      int64_t offset = static_cast<int64_t>(sum) * w.block() * floatsPerDouble;
      Value total = k.loop(
          0, g.partials, e.zeroDoubles(),
          [&](I64 partial, ValueRange carried) -> Values {
            return {k.add(carried[0],
                          e.loadDoubles(from, partial * g.sumFloats + offset))};
          })[0];
      Value narrow =
          arith::TruncFOp::create(k.builder, k.loc, k.vectorType, total);
      k.store(narrow, e.buffer(slot, arguments, tuple), channel, mask);
    }
  });
}

void cambium::emitWinogradFilter(BranchEmitter &emitter) {
  FilterKernel(emitter).emit();
}

LaunchSizes cambium::winogradFilterLaunch(const BranchSpec &spec,
                                          const ContractionSchedule &schedule,
                                          const BranchLayout &layout,
                                          ArrayRef<int64_t> dims) {
  constexpr int64_t floatBytes = sizeof(float);
  WinogradPlan plan(schedule.winograd);
  int64_t block = schedule.vectors * schedule.vectorWidth;
  Geometry<int64_t> g(plan, spec, schedule, branchExtents(spec, layout, dims),
                      dims[layout.branchesDim]);
  LaunchSizes sizes;
  sizes.rounds = g.rounds;
  if (spec.recompute)
    sizes.tasks.push_back(
        g.branchesPerRound() *
        WinogradFilter<int64_t>(plan, g.extents.inC, g.extents.outC, block)
            .tasks());
  sizes.tasks.push_back(g.tasks());
  sizes.tasks.push_back(g.reduceTasks());
  sizes.workspaceBytes = g.workspaceFloats() * floatBytes;
  int64_t blocks = g.branchesPerTask * g.blocksPerTask;
  int64_t floats =
      WinogradForward::memoryFloats(schedule) +
      blocks * (g.productBlock + spec.sums * block * floatsPerDouble) +
      g.input(plan, schedule.vectorWidth).floats +
      g.gradient(plan, block).floats;
  if (spec.recompute)
    floats += WinogradGradient::accumulatorFloats<int64_t>(schedule,
                                                           g.tiles.perBlock);
  sizes.scratchBytes = floats * floatBytes;
  return sizes;
}
