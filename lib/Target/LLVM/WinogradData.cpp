//===- WinogradData.cpp - Winograd's algorithm, BackwardData --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// dx = B (sum over branches of Z . U) B^T, where the patches of x that belong
// to neighbouring tiles overlap and are added up.
//
// Phase 0 transforms the filters of a round's branches, transposed, into the
// workspace; U of the forward contraction follows where it is computed again.
//
// Phase 1 takes bands of rows of tiles. A task owns the rows of x from where
// its first tiles' patches begin to where the next task's begin. What the row
// of tiles above its band adds to them it computes once more. For each block of
// tiles it adds up the products of the round's branches, transforms them back
// and adds them to x, tile after tile; later rounds add to what the rounds
// before left there. So x does not depend on where bands begin, nor, since
// rounds do not, on whether accumulators are recomputed.
//
//===----------------------------------------------------------------------===//

#include "WinogradGradient.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace cambium;

namespace {

constexpr int64_t kernelSize = 3;

struct DataTargets {
  /// Tasks of a round.
  static constexpr int64_t tasks = 16;
  /// Rows of tiles of a band inside an image, of which one is computed twice.
  static constexpr int64_t bandRows = 4;
  /// Tiles that make good use of a filter.
  static constexpr int64_t bandTiles = 24;
  /// Channels of x over which the cost of Z spreads well.
  static constexpr int64_t channels = 32;
};

/// Images, or parts of one, as rows of tiles.
template <typename Int> struct Bands {
  Int imagesPerBand, rowsPerBand, bandsPerImage, count;

  Bands(const WinogradTiles<Int> &tiles, Int images) : Bands() {
    using Targets = DataTargets;
    Int one(1), rows = maxOf(tiles.rows, one);
    Int wanted =
        maxOf(ceilDiv(images * rows, Int(Targets::tasks)),
              ceilDiv(Int(Targets::bandTiles), maxOf(tiles.columns, one)));
    imagesPerBand = maxOf(wanted / rows, one);
    bandsPerImage = maxOf(rows / maxOf(wanted, Int(Targets::bandRows)), one);
    rowsPerBand = ceilDiv(rows * imagesPerBand, bandsPerImage);
    bandsPerImage = ceilDiv(rows * imagesPerBand, rowsPerBand);
    count = ceilDiv(images, imagesPerBand) * bandsPerImage;
  }

private:
  Bands() : imagesPerBand(1), rowsPerBand(1), bandsPerImage(1), count(1) {}
};

template <typename Int> struct Geometry {
  Extents<Int> extents;
  WinogradTiles<Int> tiles;
  Bands<Int> bands;
  /// From channels of y to blocks of channels of x, and the forward filter.
  WinogradFilter<Int> transposed, filter;
  /// Counted for the transposed filters alone.
  WinogradRounds<Int> rounds;
  Int blocksPerTask, channelSplits;
  /// Z, V, and products of a channel block.
  WinogradPanel<Int> gradient, input, products;
  bool recompute;

  Geometry(const WinogradPlan &plan, const BranchSpec &spec,
           const ContractionSchedule &schedule, const Extents<Int> &e,
           Int branches)
      : extents(e), tiles(plan, schedule, e, e.inC + e.outC),
        bands(tiles, e.batch), transposed(plan, e.outC, e.inC, block(schedule)),
        filter(plan, e.inC, e.outC, block(schedule)),
        rounds(branches, transposed.floats * Int(2)), blocksPerTask(1),
        channelSplits(1),
        gradient(plan, tiles.perBlock, filter.blocks * Int(block(schedule))),
        input(plan, tiles.perBlock,
              WinogradForward::inputChannels(e.inC, schedule.vectorWidth)),
        products(plan, tiles.perBlock, Int(block(schedule))),
        recompute(spec.recompute) {
    Int one(1);
    Int wide = maxOf(transposed.blocks * Int(block(schedule)) /
                         Int(DataTargets::channels),
                     one);
    Int splits =
        minOf(wide, ceilDiv(Int(DataTargets::tasks), maxOf(bands.count, one)));
    blocksPerTask = ceilDiv(transposed.blocks, splits);
    channelSplits = ceilDiv(transposed.blocks, maxOf(blocksPerTask, one));
  }

  static int64_t block(const ContractionSchedule &schedule) {
    return schedule.vectors * schedule.vectorWidth;
  }
  Int tasks() const { return bands.count * channelSplits; }
  /// Tasks of phase 0 that belong to one branch.
  Int filterTasks() const {
    return recompute ? transposed.tasks() + filter.tasks() : transposed.tasks();
  }
  Int firstFilter() const {
    return rounds.branchesPerRound * transposed.floats;
  }
  Int workspaceFloats() const {
    Int both =
        recompute ? transposed.floats + filter.floats : transposed.floats;
    return rounds.branchesPerRound * both;
  }
};

class DataKernel {
public:
  explicit DataKernel(BranchEmitter &emitter)
      : e(emitter), k(emitter.k), w(emitter.k, emitter.schedule),
        forward(emitter, w), gradient(emitter, w) {}

  void emitFilters();
  void emitBands();

private:
  using Values = BranchEmitter::Values;

  struct Task {
    const PhaseArguments &arguments;
    const Geometry<I64> &g;
    I64 round, firstBranch, endBranch, branches;
    /// Rows of tiles, counted through all images, and channel blocks of x.
    I64 firstRow, endRow, firstBlock, endBlock;
    /// Scratch.
    Value memory, gradient, products, input, accumulators, recomputed;
  };
  /// Rows of x, counted in their image.
  struct OwnedRows {
    I64 image, first, end;
  };

  Geometry<I64> geometry(Value dims) {
    return {w.plan, e.spec, e.schedule, e.extents(dims), e.branches(dims)};
  }
  Value workspace(const PhaseArguments &arguments) {
    return arguments.buffers[e.layout.workspace];
  }

  void transformTransposed(const Geometry<I64> &g, Value filter, I64 task,
                           Value to, Value memory);
  Task task(const PhaseArguments &arguments, const Geometry<I64> &g, I64 index);
  void emitTask(const Task &task);
  OwnedRows ownedRows(const Task &task, I64 tileRow);
  void clear(const Task &task, I64 tileRow);
  void finish(const Task &task, I64 tileRow);
  void forVectors(const Task &task, llvm::function_ref<void(I64, Value)> body);
  void emitTiles(const Task &task, const WinogradBlock &block);
  void addBranch(const Task &task, const WinogradBlock &block, I64 branch);
  void addTile(const Task &task, const WinogradBlock &block, I64 index);
  void addPatchRow(const Task &task, I64 pixel, I64 firstColumn, I64 channel,
                   Value mask, ArrayRef<Value> vectors);

  Value productsOf(const Task &task, I64 channelBlock) {
    return k.at(task.products,
                (channelBlock - task.firstBlock) * task.g.products.floats);
  }

  BranchEmitter &e;
  KernelBuilder &k;
  WinogradEmitter w;
  WinogradForward forward;
  WinogradGradient gradient;
};

} // namespace

//===----------------------------------------------------------------------===//
// Filters
//===----------------------------------------------------------------------===//

void DataKernel::emitFilters() {
  e.phase(0, [&](const PhaseArguments &arguments) {
    Geometry<I64> g = geometry(arguments.dims);
    I64 branches = e.branches(arguments.dims);
    k.loop(arguments.begin, arguments.end, [&](I64 task) {
      I64 branch = task / g.filterTasks();
      I64 part = task % g.filterTasks();
      I64 inRound = branch % g.rounds.branchesPerRound;
      k.ifThen(k.less(branch, branches), [&] {
        Value filter =
            e.buffer(e.layout.filter, arguments, e.tuple(arguments, branch));
        auto transposed = [&] {
          transformTransposed(
              g, filter, part,
              k.at(workspace(arguments), inRound * g.transposed.floats),
              arguments.scratch);
        };
        if (!g.recompute)
          return transposed();
        k.ifThenElse(k.less(part, g.transposed.tasks()), transposed, [&] {
          forward.transformFilter(
              filter, g.filter, g.extents.outC, part - g.transposed.tasks(),
              k.at(workspace(arguments),
                   g.firstFilter() + inRound * g.filter.floats),
              arguments.scratch);
        });
      });
    });
  });
}

/// Lanes are channels of x, which are rows of the filter: they are gathered in
/// `memory`, behind what the transform needs, as [tap][channel of y][lane].
void DataKernel::transformTransposed(const Geometry<I64> &g, Value filter,
                                     I64 task, Value to, Value memory) {
  constexpr int64_t depth = WinogradTargets::filterDepth;
  const WinogradFilter<I64> &layout = g.transposed;
  I64 channelBlock = task / layout.depthSplits();
  I64 first = task % layout.depthSplits() * depth;
  I64 count = minOf(layout.depth - first, depth);
  Value blockTo =
      k.at(to, channelBlock * layout.blockFloats + first * w.block());
  Value gathered = k.at(memory, w.transformFloats());
  k.loop(0, w.schedule.vectors, [&](I64 v) {
    I64 channel = channelBlock * w.block() + v * k.width;
    I64 lanes = minOf(g.extents.inC - channel, k.width);
    k.fillZero(gathered, kernelSize * kernelSize * depth * k.width);
    k.loop(0, kernelSize * kernelSize, [&](I64 tap) {
      k.loop(0, lanes, [&](I64 lane) {
        Value from = k.at(
            filter,
            (tap * g.extents.inC + channel + lane) * g.extents.outC + first);
        Value column = k.at(gathered, tap * (depth * k.width) + lane);
        k.loop(0, count, [&](I64 index) {
          k.storeFloat(k.loadFloat(from, index), column, index * k.width);
        });
      });
    });
    k.loop(0, count, [&](I64 index) {
      constexpr int64_t row = kernelSize * depth;
      Value from = k.at(gathered, index * k.width);
      Value place = k.at(blockTo, index * w.block() + v * k.width);
      w.toPoints(
          w.plan.filter, memory,
          [&](I64 column) {
            return w.loadColumn(from, kernelSize, row * k.width,
                                depth * k.width, column);
          },
          [&](I64 pointRow, ArrayRef<Value> vectors) {
            w.storePoints(place, layout.pointStride, pointRow, vectors);
          });
    });
  });
}

//===----------------------------------------------------------------------===//
// Bands
//===----------------------------------------------------------------------===//

void DataKernel::emitBands() {
  e.phase(1, [&](const PhaseArguments &arguments) {
    Geometry<I64> g = geometry(arguments.dims);
    k.loop(arguments.begin, arguments.end,
           [&](I64 index) { emitTask(task(arguments, g, index)); });
  });
}

DataKernel::Task DataKernel::task(const PhaseArguments &arguments,
                                  const Geometry<I64> &g, I64 index) {
  I64 split = index % g.channelSplits;
  I64 rest = index / g.channelSplits;
  I64 band = rest % g.bands.count;
  I64 round = rest / g.bands.count;
  I64 images = band / g.bands.bandsPerImage * g.bands.imagesPerBand;
  I64 firstRow = images * g.tiles.rows +
                 band % g.bands.bandsPerImage * g.bands.rowsPerBand;
  I64 endImage = minOf(images + g.bands.imagesPerBand, g.extents.batch);
  I64 firstBlock = split * g.blocksPerTask;
  I64 branches = e.branches(arguments.dims);
  I64 firstBranch = round * g.rounds.branchesPerRound;
  Value memory = arguments.scratch;
  Value gradientAt = k.at(memory, forward.memoryFloats());
  Value products = k.at(gradientAt, g.gradient.floats);
  Value input = k.at(products, g.blocksPerTask * g.products.floats);
  Value accumulators = k.at(input, g.input.floats);
  Value recomputed = k.at(
      accumulators,
      WinogradGradient::accumulatorFloats<I64>(e.schedule, g.tiles.perBlock));
  return {arguments,
          g,
          round,
          firstBranch,
          minOf(firstBranch + g.rounds.branchesPerRound, branches),
          branches,
          firstRow,
          minOf(firstRow + g.bands.rowsPerBand, endImage * g.tiles.rows),
          firstBlock,
          minOf(firstBlock + g.blocksPerTask, g.transposed.blocks),
          memory,
          gradientAt,
          products,
          input,
          accumulators,
          recomputed};
}

void DataKernel::emitTask(const Task &t) {
  const Geometry<I64> &g = t.g;
  k.ifThen(k.equal(t.round, 0), [&] {
    k.loop(t.firstRow, t.endRow, [&](I64 row) { clear(t, row); });
  });
  I64 above = minOf(t.firstRow % g.tiles.rows, 1);
  I64 first = (t.firstRow - above) * g.tiles.columns;
  I64 tiles = t.endRow * g.tiles.columns - first;
  k.loop(0, ceilDiv(tiles, g.tiles.perBlock), [&](I64 index) {
    I64 done = index * g.tiles.perBlock;
    emitTiles(t, {t.arguments, g.extents, g.tiles, first + done,
                  minOf(g.tiles.perBlock, tiles - done)});
  });
  if (e.spec.join == BranchSpec::Join::Mean || e.hooks.finish)
    k.ifThen(k.equal(t.endBranch, t.branches), [&] {
      k.loop(t.firstRow, t.endRow, [&](I64 row) { finish(t, row); });
    });
}

/// The rows of x where patches of the tile row begin, and at an image's end
/// those that follow.
DataKernel::OwnedRows DataKernel::ownedRows(const Task &t, I64 tileRow) {
  const WinogradTiles<I64> &tiles = t.g.tiles;
  I64 row = tileRow % tiles.rows;
  I64 first = row * w.plan.m - e.spec.contraction.padTop;
  I64 end = selectLess(row + 1, tiles.rows, first + w.plan.m, t.g.extents.inH);
  return {tileRow / tiles.rows, maxOf(first, 0), minOf(end, t.g.extents.inH)};
}

/// Calls `body(channel, mask)` for the task's vectors of channels of x.
void DataKernel::forVectors(const Task &t,
                            llvm::function_ref<void(I64, Value)> body) {
  k.loop(t.firstBlock * e.schedule.vectors, t.endBlock * e.schedule.vectors,
         [&](I64 vector) {
           I64 channel = vector * k.width;
           I64 remaining = t.g.extents.inC - channel;
           k.ifThenElse(
               k.lessEqual(k.width, remaining), [&] { body(channel, Value()); },
               [&] {
                 k.ifThen(k.less(0, remaining),
                          [&] { body(channel, k.firstLanes(remaining)); });
               });
         });
}

void DataKernel::clear(const Task &t, I64 tileRow) {
  const Extents<I64> &x = t.g.extents;
  Value result = t.arguments.buffers[e.layout.result.buffer];
  OwnedRows rows = ownedRows(t, tileRow);
  I64 firstChannel = t.firstBlock * w.block();
  I64 channels = minOf(t.endBlock * w.block(), x.inC) - firstChannel;
  I64 firstPixel = (rows.image * x.inH + rows.first) * x.inW;
  k.loop(0, (rows.end - rows.first) * x.inW, [&](I64 pixel) {
    k.fillZero(k.at(result, (firstPixel + pixel) * x.inC + firstChannel),
               channels);
  });
}

void DataKernel::finish(const Task &t, I64 tileRow) {
  const Extents<I64> &x = t.g.extents;
  Value result = t.arguments.buffers[e.layout.result.buffer];
  OwnedRows rows = ownedRows(t, tileRow);
  I64 firstPixel = (rows.image * x.inH + rows.first) * x.inW;
  Value scale;
  if (e.spec.join == BranchSpec::Join::Mean)
    scale = e.meanFactor(t.branches);
  k.loop(0, (rows.end - rows.first) * x.inW, [&](I64 index) {
    I64 pixel = firstPixel + index;
    forVectors(t, [&](I64 channel, Value mask) {
      I64 offset = pixel * x.inC + channel;
      Value vector = k.load(result, offset, mask);
      if (scale)
        vector = arith::MulFOp::create(k.builder, k.loc, vector, scale);
      if (e.hooks.finish) {
        BranchPoint point = e.point(t.arguments, 0, t.branches, {}, pixel,
                                    channel, x.inC, mask);
        point.branch = Value();
        vector = e.hooks.finish(k.builder, k.loc, vector, point);
      }
      k.store(vector, result, offset, mask);
    });
  });
}

//===----------------------------------------------------------------------===//
// Blocks of tiles
//===----------------------------------------------------------------------===//

void DataKernel::emitTiles(const Task &t, const WinogradBlock &block) {
  k.fillZero(t.products, (t.endBlock - t.firstBlock) * t.g.products.floats);
  if (t.g.recompute)
    forward.transformInput(block, t.g.input, t.input, t.memory);
  k.loop(t.firstBranch, t.endBranch,
         [&](I64 branch) { addBranch(t, block, branch); });
  k.loop(0, block.count, [&](I64 index) { addTile(t, block, index); });
}

void DataKernel::addBranch(const Task &t, const WinogradBlock &block,
                           I64 branch) {
  const Geometry<I64> &g = t.g;
  Values tuple = e.tuple(t.arguments, branch);
  I64 inRound = branch - t.firstBranch;
  k.loop(0, g.filter.blocks, [&](I64 channelBlock) {
    Value accumulators;
    if (g.recompute) {
      accumulators = t.accumulators;
      Value filter = k.at(workspace(t.arguments),
                          g.firstFilter() + inRound * g.filter.floats +
                              channelBlock * g.filter.blockFloats);
      gradient.recompute(block, channelBlock, t.input, g.input, filter,
                         g.filter, t.recomputed, g.products, accumulators,
                         t.memory);
    }
    gradient.emit(block, {branch, t.branches, tuple}, channelBlock,
                  accumulators, k.at(t.gradient, channelBlock * w.block()),
                  g.gradient, t.memory);
  });
  k.loop(t.firstBlock, t.endBlock, [&](I64 channelBlock) {
    Value filter = k.at(workspace(t.arguments),
                        inRound * g.transposed.floats +
                            channelBlock * g.transposed.blockFloats);
    w.products(productsOf(t, channelBlock), g.products.pointStride,
               g.products.tileStride, block.count,
               {t.gradient, g.gradient.pointStride, g.gradient.tileStride, 1},
               {filter, g.transposed.pointStride, 0, w.block()},
               g.transposed.depth, /*addOld=*/true);
  });
}

void DataKernel::addTile(const Task &t, const WinogradBlock &block, I64 index) {
  const Geometry<I64> &g = t.g;
  const Extents<I64> &x = g.extents;
  WinogradEmitter::Tile tile = w.tile(g.tiles, block.first + index);
  I64 row = tile.row - e.spec.contraction.padTop;
  I64 column = tile.column - e.spec.contraction.padLeft;
  // Rows of the patch that lie in x and belong to the task: a band that does
  // not begin or end with an image shares the overlap with its neighbour.
  I64 tileRow = (block.first + index) / g.tiles.columns;
  I64 firstRow = maxOf(row, ownedRows(t, maxOf(tileRow, t.firstRow)).first);
  I64 endRow = minOf(row + w.plan.points,
                     ownedRows(t, minOf(tileRow + 1, t.endRow - 1)).end);
  I64 last = tile.row / w.plan.m + 1;
  endRow =
      selectLess(last, g.tiles.rows, endRow, minOf(row + w.plan.points, x.inH));
  forVectors(t, [&](I64 channel, Value mask) {
    I64 channelBlock = channel / w.block();
    Value place = k.at(productsOf(t, channelBlock),
                       index * g.products.tileStride + channel % w.block());
    w.fromPoints(
        w.plan.input, t.memory,
        [&](I64 c) { return w.loadPoints(place, g.products.pointStride, c); },
        [&](I64 patchRow, ArrayRef<Value> vectors) {
          I64 inputRow = row + patchRow;
          k.ifThen(
              k.both(k.lessEqual(firstRow, inputRow), k.less(inputRow, endRow)),
              [&] {
                addPatchRow(t, (tile.image * x.inH + inputRow) * x.inW, column,
                            channel, mask, vectors);
              });
        });
  });
}

/// Adds a row of a patch to the row of x that begins at `pixel`.
void DataKernel::addPatchRow(const Task &t, I64 pixel, I64 firstColumn,
                             I64 channel, Value mask, ArrayRef<Value> vectors) {
  const Extents<I64> &x = t.g.extents;
  Value result = t.arguments.buffers[e.layout.result.buffer];
  for (auto [index, vector] : llvm::enumerate(vectors)) {
    Value added = vector;
    I64 column = firstColumn + static_cast<int64_t>(index);
    k.ifThen(k.both(k.lessEqual(0, column), k.less(column, x.inW)), [&] {
      I64 offset = (pixel + column) * x.inC + channel;
      k.store(k.add(k.load(result, offset, mask), added), result, offset, mask);
    });
  }
}

void cambium::emitWinogradData(BranchEmitter &emitter) {
  assert(!emitter.hooks.epilogue && "branches only exist added up");
  DataKernel kernel(emitter);
  kernel.emitFilters();
  kernel.emitBands();
}

LaunchSizes cambium::winogradDataLaunch(const BranchSpec &spec,
                                        const ContractionSchedule &schedule,
                                        const BranchLayout &layout,
                                        ArrayRef<int64_t> dims) {
  constexpr int64_t floatBytes = sizeof(float);
  Geometry<int64_t> g(WinogradPlan(schedule.winograd), spec, schedule,
                      branchExtents(spec, layout, dims),
                      dims[layout.branchesDim]);
  LaunchSizes sizes;
  sizes.rounds = g.rounds.rounds;
  sizes.tasks = {g.rounds.branchesPerRound * g.filterTasks(), g.tasks()};
  sizes.workspaceBytes = g.workspaceFloats() * floatBytes;
  int64_t gathered = kernelSize * kernelSize * WinogradTargets::filterDepth *
                     schedule.vectorWidth;
  int64_t floats = WinogradForward::memoryFloats(schedule) + gathered;
  int64_t panels = WinogradForward::memoryFloats(schedule) + g.gradient.floats +
                   g.blocksPerTask * g.products.floats;
  if (g.recompute)
    panels += g.input.floats + g.products.floats +
              WinogradGradient::accumulatorFloats<int64_t>(schedule,
                                                           g.tiles.perBlock);
  sizes.scratchBytes = std::max(floats, panels) * floatBytes;
  return sizes;
}
