//===- ContractionPlan.cpp - Geometry and blocking of contractions --------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ContractionPlan.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/raw_ostream.h"
#include <tuple>

using namespace llvm;

namespace cambium {

static auto fields(const ContractionSchedule &schedule) {
  return std::tie(schedule.vectorWidth, schedule.vectors, schedule.tile,
                  schedule.tailTile, schedule.winograd);
}

bool ContractionSchedule::operator==(const ContractionSchedule &other) const {
  return fields(*this) == fields(other);
}

std::string ContractionSchedule::str() const {
  return (Twine("tile=") + Twine(tile) + "," + Twine(tailTile) + "x" +
          Twine(vectors) + " width=" + Twine(vectorWidth))
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

ContractionSchedule chooseSchedule(const ContractionSpec &spec,
                                   int64_t vectorWidth,
                                   const ContractionExtents &extents) {
  // Tiles that keep both FMA pipes busy without spilling; `cost` is that of a
  // vector against the best tile, with long tails left aside.
  struct Candidate {
    int64_t vectors, tile, tailTile;
    double cost;
  };
  static constexpr Candidate registers16[] = {
      {2, 6, 4, 1.0}, {1, 12, 8, 1.15}, {3, 4, 3, 1.05}};
  static constexpr Candidate registers32[] = {
      {4, 6, 4, 1.0}, {2, 12, 8, 1.03}, {3, 8, 4, 1.02}, {1, 16, 8, 1.2}};
  ArrayRef<Candidate> candidates =
      vectorWidth == 16 ? ArrayRef<Candidate>(registers32) : registers16;
  int64_t channels = spec.kind == ContractionSpec::Kind::BackwardData
                         ? extents.inC
                         : extents.outC;
  const Candidate *best = candidates.begin();
  if (channels > 0) {
    int64_t group = std::max<int64_t>(channels / spec.groups, 1);
    auto cost = [&](const Candidate &candidate) {
      int64_t block = candidate.vectors * vectorWidth;
      return ceilDiv(group, block) * candidate.vectors * candidate.cost;
    };
    best = std::min_element(candidates.begin(), candidates.end(),
                            [&](const Candidate &lhs, const Candidate &rhs) {
                              return cost(lhs) < cost(rhs);
                            });
  }
  return {vectorWidth, best->vectors, best->tile, best->tailTile};
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
    sizes.scratchBytes =
        (packed + g.scratchRows * g.scratchRow + schedule.tile) * floatBytes;
    return sizes;
  }
  auto g = rowGeometry<int64_t>(spec, schedule, columns, extents);
  sizes.tasks = {g.packTasks(spec), g.tasks(spec)};
  sizes.workspaceBytes = g.packedFloats(spec) * floatBytes;
  sizes.scratchBytes =
      (tileFloats(schedule) + g.scratchRows * g.scratchRow) * floatBytes;
  return sizes;
}

} // namespace cambium
