//===- ContractionPlan.cpp - Geometry and blocking of contractions --------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ContractionEmitter.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <limits>
#include <tuple>

using namespace llvm;

namespace cambium {

static auto fields(const ContractionSchedule &schedule) {
  return std::tie(schedule.vectorWidth, schedule.vectors, schedule.tile,
                  schedule.tailTile, schedule.winograd, schedule.order);
}

bool ContractionSchedule::operator==(const ContractionSchedule &other) const {
  return fields(*this) == fields(other);
}

std::string ContractionSchedule::str() const {
  return (Twine("tile=") + Twine(tile) + "," + Twine(tailTile) + "x" +
          Twine(vectors) + " width=" + Twine(vectorWidth) +
          " order=" + tileOrderName(order))
      .str();
}

ContractionLayout ContractionLayout::plain(const ContractionSpec &spec) {
  int64_t rank = spec.linear ? 2 : 4;
  ContractionLayout layout;
  layout.lhs = {0, 0};
  layout.rhs = {1, rank};
  layout.result = {2, 2 * rank};
  layout.workspace = 3;
  layout.numBuffers = 4;
  return layout;
}

bool isPointwise(const ContractionSpec &spec) {
  return spec.linear ||
         (spec.kernelH == 1 && spec.kernelW == 1 && spec.strideH == 1 &&
          spec.strideW == 1 && spec.padTop == 0 && spec.padBottom == 0 &&
          spec.padLeft == 0 && spec.padRight == 0);
}

bool packsSource(const ContractionSpec &spec) {
  return spec.kernelH == 1 && spec.kernelW == 1 && spec.padTop == 0 &&
         spec.padLeft == 0 && spec.padBottom == 0 && spec.padRight == 0;
}

int64_t flatRow(const ContractionSpec &spec,
                const ContractionSchedule &schedule) {
  if (spec.kind == ContractionSpec::Kind::BackwardFilter)
    return BlockTargets::gradientPixels;
  constexpr int64_t pixels = 48;
  return (pixels + schedule.tile - 1) / schedule.tile * schedule.tile;
}

/// Cuts taps, sorted by the column they read, into runs.
static SmallVector<TapRun> findRuns(ArrayRef<int64_t> columns,
                                    int64_t firstTap) {
  SmallVector<TapRun> runs;
  for (auto [index, column] : llvm::enumerate(columns)) {
    if (!runs.empty() && runs.back().column + runs.back().numTaps == column)
      ++runs.back().numTaps;
    else
      runs.push_back({column, firstTap + static_cast<int64_t>(index), 1});
  }
  return runs;
}

static int64_t floorDiv(int64_t lhs, int64_t rhs) {
  return lhs / rhs - (lhs % rhs < 0);
}

ColumnPlan planColumns(const ContractionSpec &spec) {
  ColumnPlan plan;
  if (spec.kind != ContractionSpec::Kind::BackwardData) {
    plan.sourceStep = spec.strideW;
    plan.shift = spec.padLeft;
    plan.reach = (spec.kernelW - 1) * spec.dilationW;
    SmallVector<int64_t> columns;
    for (int64_t tap = 0; tap < spec.kernelW; ++tap) {
      plan.tapOrder.push_back(tap);
      columns.push_back(tap * spec.dilationW);
    }
    plan.classes.push_back(findRuns(columns, 0));
    return plan;
  }

  // dx column c = q * stride + residue takes, through tap k, from dy column
  // (c + padLeft - k * dilation) / stride if that is whole.
  plan.outputStep = spec.strideW;
  auto numerator = [&](int64_t residue, int64_t tap) {
    return residue + spec.padLeft - tap * spec.dilationW;
  };
  int64_t first = floorDiv(numerator(0, spec.kernelW - 1), spec.strideW);
  int64_t last = floorDiv(numerator(spec.strideW - 1, 0), spec.strideW);
  plan.shift = -first;
  plan.reach = last - first;
  size_t mostRuns = 1;
  for (int64_t residue = 0; residue < spec.strideW; ++residue) {
    SmallVector<int64_t> columns;
    int64_t firstTap = plan.tapOrder.size();
    for (int64_t tap = spec.kernelW - 1; tap >= 0; --tap) {
      int64_t position = numerator(residue, tap);
      if (position - floorDiv(position, spec.strideW) * spec.strideW != 0)
        continue;
      plan.tapOrder.push_back(tap);
      columns.push_back(floorDiv(position, spec.strideW) - first);
    }
    plan.classes.push_back(findRuns(columns, firstTap));
    mostRuns = std::max<size_t>(mostRuns, plan.classes.back().size());
  }
  for (auto &runs : plan.classes)
    runs.resize(mostRuns);
  return plan;
}

bool supportsOrder(const ContractionSpec &spec, TileOrder order) {
  switch (order) {
  case TileOrder::Rows:
    return true;
  case TileOrder::Columns:
    return spec.kind != ContractionSpec::Kind::BackwardFilter &&
           spec.groups == 1 && !isPointwise(spec);
  case TileOrder::Planes:
    return spec.kind != ContractionSpec::Kind::BackwardFilter &&
           spec.groups == 1 && !isPointwise(spec) &&
           planColumns(spec).sourceStep == 1;
  }
  llvm_unreachable("all orders are covered");
}

namespace {

//===----------------------------------------------------------------------===//
// The cost model
//===----------------------------------------------------------------------===//

/// A tile that keeps both FMA pipes busy without spilling. `cost` is the time
/// of a multiplication against the best tile's, with long tails left aside.
struct Candidate {
  int64_t vectors, tile, tailTile;
  double cost;
};

/// Vectors of channels.
constexpr Candidate channels16[] = {
    {2, 6, 4, 1.0}, {1, 12, 8, 1.15}, {3, 4, 3, 1.05}};
constexpr Candidate channels32[] = {
    {4, 6, 4, 1.0}, {2, 12, 8, 1.03}, {3, 8, 4, 1.02}, {1, 16, 8, 1.2}};
/// Vectors of pixels, for TileOrder::Planes.
constexpr Candidate pixels16[] = {
    {3, 4, 2, 1.02}, {1, 8, 4, 1.15}, {2, 6, 3, 1.02}};
constexpr Candidate pixels32[] = {
    {3, 8, 4, 1.0}, {1, 16, 8, 1.1}, {2, 12, 6, 1.0}};

/// Estimates the time of a candidate in units of the time that the products of
/// taps that exist would take at the machine's peak.
class CostModel {
public:
  CostModel(const ContractionSpec &spec, int64_t vectorWidth,
            const ContractionExtents &e)
      : spec(spec), width(vectorWidth),
        forward(spec.kind == ContractionSpec::Kind::Forward),
        sourceC(forward ? e.inC : e.outC),
        outputC(spec.kind == ContractionSpec::Kind::BackwardData ? e.inC
                                                                 : e.outC),
        sourceW(forward ? e.inW : e.outW), outputW(forward ? e.outW : e.inW),
        known(sourceC > 0 && outputC > 0 && sourceW > 0 && outputW > 0 &&
              spec.kernelW <= widest),
        columns(known ? planColumns(spec) : ColumnPlan()) {
    if (known)
      countTaps();
  }

  double cost(const Candidate &candidate, TileOrder order) const {
    if (order == TileOrder::Planes)
      return known ? planeCost(candidate) : candidate.cost;
    double products = channelCost(candidate);
    if (!known)
      return products;
    return products *
           (order == TileOrder::Rows ? rowCost(candidate) : columnCost());
  }
  bool knowsExtents() const { return known; }

private:
  /// Taps of wider windows are not counted one by one: their filters may be
  /// more than memory holds, which is told when they are allocated.
  static constexpr int64_t widest = 1024;
  /// Columns: addresses of rows far apart cost as much as so many products.
  static constexpr double columnSetup = 20;
  /// Moving a float costs as much as so many products, by what moves it: copied
  /// vectors, transposed ones, single floats.
  static constexpr double copied = 3, transposed = 16, single = 32;

  void countTaps() {
    for (int64_t column = 0; column < outputW; ++column)
      for (int64_t tap = 0; tap < spec.kernelW; ++tap) {
        int64_t offset = tap * spec.dilationW - spec.padLeft;
        int64_t position =
            forward ? column * spec.strideW + offset : column - offset;
        if (!forward && position % spec.strideW != 0)
          continue;
        if (!forward)
          position /= spec.strideW;
        ++multiplied;
        existing += position >= 0 && position < sourceW;
      }
  }
  double padding() const {
    return static_cast<double>(multiplied) / std::max<int64_t>(existing, 1);
  }
  /// Surplus lanes of the last vector of channels.
  double channelCost(const Candidate &candidate) const {
    if (outputC <= 0)
      return candidate.cost;
    int64_t group = std::max<int64_t>(outputC / spec.groups, 1);
    int64_t block = candidate.vectors * width;
    return candidate.cost * ceilDiv(group, block) * block / group;
  }
  /// Surplus columns of the last tiles.
  double coverage(const Candidate &candidate, int64_t count) const {
    ContractionSchedule schedule{width, candidate.vectors, candidate.tile,
                                 candidate.tailTile};
    return static_cast<double>(coveredRows(schedule, count)) / count;
  }
  /// Source floats for each output float and channel.
  double sources() const {
    double strides = spec.strideH * spec.strideW;
    return forward ? strides : 1 / strides;
  }
  /// Products of each output float and source channel.
  double taps() const {
    double all = spec.kernelH * spec.kernelW;
    return forward ? all : all / (spec.strideH * spec.strideW);
  }
  int64_t classColumns() const { return ceilDiv(outputW, columns.outputStep); }
  double rowCost(const Candidate &candidate) const {
    if (isPointwise(spec) || spec.kind == ContractionSpec::Kind::BackwardFilter)
      return 1.0;
    return coverage(candidate, classColumns()) * padding() +
           copied * sources() / (taps() * outputC);
  }
  double columnCost() const { return 1.0 + columnSetup / (taps() * sourceC); }
  double planeCost(const Candidate &candidate) const {
    int64_t vectors = ceilDiv(classColumns(), width);
    double lanes = static_cast<double>(vectors) * width / classColumns();
    double channels = static_cast<double>(ceilDiv(outputC, candidate.vectors)) *
                      candidate.vectors / outputC;
    return candidate.cost * channels * lanes * coverage(candidate, vectors) *
               padding() +
           transposed * sources() / (taps() * outputC) +
           single / (taps() * sourceC);
  }

  const ContractionSpec &spec;
  const int64_t width;
  const bool forward;
  const int64_t sourceC, outputC, sourceW, outputW;
  const bool known;
  const ColumnPlan columns;
  int64_t multiplied = 0, existing = 0;
};

} // namespace

static ContractionSchedule chooseAmong(ArrayRef<TileOrder> orders,
                                       const ContractionSpec &spec,
                                       int64_t vectorWidth,
                                       const ContractionExtents &extents) {
  CostModel model(spec, vectorWidth, extents);
  ContractionSchedule best;
  double least = std::numeric_limits<double>::infinity();
  for (TileOrder order : orders) {
    bool many = vectorWidth == 16;
    ArrayRef<Candidate> candidates =
        order == TileOrder::Planes
            ? (many ? ArrayRef<Candidate>(pixels32) : pixels16)
            : (many ? ArrayRef<Candidate>(channels32) : channels16);
    for (const Candidate &candidate : candidates) {
      double cost = model.cost(candidate, order);
      if (cost >= least)
        continue;
      least = cost;
      best = {vectorWidth,        candidate.vectors, candidate.tile,
              candidate.tailTile, /*winograd=*/0,    order};
    }
  }
  return best;
}

ContractionSchedule chooseSchedule(const ContractionSpec &spec,
                                   int64_t vectorWidth,
                                   const ContractionExtents &extents) {
  SmallVector<TileOrder> orders = {TileOrder::Rows};
  // What others gain depends on the extents.
  if (CostModel(spec, vectorWidth, extents).knowsExtents())
    for (TileOrder order : {TileOrder::Columns, TileOrder::Planes})
      if (supportsOrder(spec, order))
        orders.push_back(order);
  return chooseAmong(orders, spec, vectorWidth, extents);
}

ContractionSchedule chooseSchedule(const ContractionSpec &spec,
                                   int64_t vectorWidth,
                                   const ContractionExtents &extents,
                                   TileOrder order) {
  return chooseAmong(order, spec, vectorWidth, extents);
}

static Extents<int64_t> hostExtents(const ContractionSpec &spec,
                                    const ContractionLayout &layout,
                                    ArrayRef<int64_t> dims) {
  const TensorSlot slots[] = {layout.lhs, layout.rhs, layout.result};
  return readExtents<int64_t>(spec, [&](int tensor, int64_t dimension) {
    return dims[slots[tensor].firstDim + dimension];
  });
}

LaunchSizes contractionLaunch(const ContractionSpec &spec,
                              const ContractionSchedule &schedule,
                              const ContractionLayout &layout,
                              ArrayRef<int64_t> dims) {
  constexpr int64_t floatBytes = sizeof(float);
  Extents<int64_t> extents = hostExtents(spec, layout, dims);
  ColumnPlan columns = planColumns(spec);
  LaunchSizes sizes;
  if (spec.kind == ContractionSpec::Kind::BackwardFilter) {
    auto g = filterGeometry<int64_t>(spec, schedule, columns, extents);
    int64_t packed = g.rowsPerUnit * g.outputColumns * schedule.vectors *
                     schedule.vectorWidth;
    sizes.tasks = {g.tasks(spec), g.reduceTasks(spec)};
    sizes.workspaceBytes = g.partials * g.partialFloats * floatBytes;
    // Panels have surplus channels, and the last vector may end behind them.
    int64_t source =
        packsSource(spec)
            ? g.rowsPerUnit * g.outputColumns *
                      std::min(g.paddedRunRows,
                               panelRows(schedule) + schedule.tile) +
                  schedule.vectorWidth
            : g.scratchRows * g.scratchRow;
    sizes.scratchBytes = (packed + source + schedule.tile) * floatBytes;
    return sizes;
  }
  if (schedule.order == TileOrder::Columns)
    return columnLaunch(spec, schedule, extents);
  if (schedule.order == TileOrder::Planes)
    return planeLaunch(spec, schedule, extents);
  auto g = rowGeometry<int64_t>(spec, schedule, columns, extents);
  sizes.tasks = {g.packTasks(spec), g.tasks(spec)};
  sizes.workspaceBytes = g.packedFloats(spec) * floatBytes;
  sizes.scratchBytes =
      (tileFloats(schedule) + g.scratchRows * g.scratchRow) * floatBytes;
  return sizes;
}

} // namespace cambium
