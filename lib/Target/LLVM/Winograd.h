//===- Winograd.h - Transforms, panels and products -------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Winograd's algorithm computes tiles of m x m outputs of a 3x3 convolution
// through p = m + 2 points a dimension:
//
//   y = A^T ((G w G^T) . (B^T x B)) A
//
// where the product in the middle is one matrix product over channels for each
// of the p * p points. Its adjoint, for gradients, goes the other way:
//
//   Z = A dz A^T      dx = B (Z . U) B^T      dw = G^T (V . Z) G
//
//   V, Z, M  [point][tile][channel]    "panels": inputs, gradients, products
//   U        [channel block][point][depth][block]    of each branch
//
// Tiles of y are counted through all images, row by row, from each image's
// origin; the m x m tiles of one image may reach beyond it at the bottom and on
// the right.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_WINOGRAD_H
#define CAMBIUM_LIB_TARGET_LLVM_WINOGRAD_H

#include "ContractionPlan.h"
#include "KernelBuilder.h"

namespace cambium {

/// A matrix with a row for each point.
struct WinogradMatrix {
  int64_t points, columns;
  llvm::SmallVector<double> values;

  double operator()(int64_t point, int64_t column) const {
    return values[point * columns + column];
  }
};

/// The algorithm for tiles of m x m. The first point is 0, then come pairs of
/// opposite numbers, and infinity is the last. The rows of a pair agree in the
/// even columns and differ by sign in the odd ones.
struct WinogradPlan {
  /// m is 2 or 4.
  explicit WinogradPlan(int64_t m);

  int64_t m, points;
  /// B^T, G and A.
  WinogradMatrix input, filter, output;

  int64_t allPoints() const { return points * points; }
};

/// Sizes of blocks and panels, chosen for private L2 caches of 512 KiB or more.
struct WinogradTargets {
  /// Transformed filters of a round: eight branches of 64 x 64 channels.
  static constexpr int64_t workspaceBytes = 4736 * 1024;
  /// The transformed input of a block of tiles, which is read once for each
  /// channel block of each branch.
  static constexpr int64_t panelBytes = 288 * 1024;
  /// Tiles of a block where the panel is small, and where it is large: with
  /// fewer, the filters would be read too often.
  static constexpr int64_t mostTiles = 64;
  static constexpr int64_t leastTiles = 24;
  static constexpr int64_t mostPanelBytes = 3 * 1024 * 1024;
  /// Tasks to aim at, and the tiles of the blocks of small problems.
  static constexpr int64_t tasks = 32;
  static constexpr int64_t fewTiles = 12;
  /// Floats between points that keep the same place of all points out of the
  /// same cache set.
  static constexpr int64_t pointPadding = 16;
  /// Depth of the filters that one task transforms.
  static constexpr int64_t filterDepth = 16;
};

/// The layout of V, Z or M in floats.
template <typename Int> struct WinogradPanel {
  Int tileStride, pointStride, floats;

  WinogradPanel(const WinogradPlan &plan, Int tiles, Int channels)
      : tileStride(channels),
        pointStride(tiles * channels + Int(WinogradTargets::pointPadding)),
        floats(pointStride * Int(plan.allPoints())) {}
};

/// The layout of the transformed filters of one branch in floats: from `depth`
/// channels to blocks of others.
template <typename Int> struct WinogradFilter {
  Int depth, blocks;
  Int pointStride, blockFloats, floats;

  WinogradFilter(const WinogradPlan &plan, Int depth, Int channels,
                 int64_t block)
      : depth(depth), blocks(ceilDiv(channels, Int(block))),
        pointStride(depth * Int(block) + Int(WinogradTargets::pointPadding)),
        blockFloats(pointStride * Int(plan.allPoints())),
        floats(blockFloats * blocks) {}

  Int depthSplits() const {
    return ceilDiv(depth, Int(WinogradTargets::filterDepth));
  }
  /// Tasks that transform the filters of one branch.
  Int tasks() const { return blocks * depthSplits(); }
};

/// How branches are taken in rounds.
template <typename Int> struct WinogradRounds {
  Int rounds, branchesPerRound;

  WinogradRounds(Int branches, Int branchFloats)
      : rounds(0), branchesPerRound(0) {
    Int one(1);
    Int most = maxOf(Int(WinogradTargets::workspaceBytes / 4) /
                         maxOf(branchFloats, one),
                     one);
    rounds = maxOf(ceilDiv(branches, most), one);
    branchesPerRound = maxOf(ceilDiv(branches, rounds), one);
  }
};

/// Tiles and their blocks.
template <typename Int> struct WinogradTiles {
  Int rows, columns, tiles;
  /// A multiple of the register tile's rows.
  Int perBlock;
  Int blocks;

  /// `channels` are those of the panels in use at a time, together.
  WinogradTiles(const WinogradPlan &plan, const ContractionSchedule &schedule,
                const Extents<Int> &e, Int channels)
      : rows(ceilDiv(e.outH, Int(plan.m))),
        columns(ceilDiv(e.outW, Int(plan.m))), tiles(e.batch * rows * columns),
        perBlock(0), blocks(0) {
    using Targets = WinogradTargets;
    Int one(1), step(schedule.tile);
    Int tileBytes = maxOf(channels, one) * Int(plan.allPoints() * 4);
    Int most = minOf(maxOf(Int(Targets::panelBytes) / tileBytes,
                           minOf(Int(Targets::mostPanelBytes) / tileBytes,
                                 Int(Targets::leastTiles))),
                     Int(Targets::mostTiles));
    Int spread =
        maxOf(ceilDiv(tiles, Int(Targets::tasks)), Int(Targets::fewTiles));
    Int steps = maxOf(minOf(most, spread) / step, one);
    Int some = maxOf(tiles, one);
    perBlock = ceilDiv(ceilDiv(some, ceilDiv(some, steps * step)), step) * step;
    blocks = ceilDiv(tiles, perBlock);
  }
};

/// One side of the products of all points, in floats: from one point to the
/// next, from one row to the next, and along the sum.
struct WinogradFactor {
  mlir::Value base;
  I64 pointStride, rowStride, step;
};

/// Emits transforms and products.
class WinogradEmitter {
public:
  using Values = llvm::SmallVector<mlir::Value>;
  using LoadColumn = llvm::function_ref<Values(I64 column)>;
  using StoreRow =
      llvm::function_ref<void(I64 row, llvm::ArrayRef<mlir::Value>)>;

  WinogradEmitter(KernelBuilder &k, const ContractionSchedule &schedule)
      : k(k), schedule(schedule), plan(schedule.winograd) {}

  KernelBuilder &k;
  const ContractionSchedule &schedule;
  const WinogradPlan plan;

  int64_t block() const { return schedule.vectors * schedule.vectorWidth; }
  /// Floats of memory that a transform needs.
  int64_t transformFloats() const {
    return plan.allPoints() * schedule.vectorWidth;
  }

  /// matrix * X * matrix^T, from n x n vectors to one for each point. `load`
  /// gives the vectors of a column from top to bottom; `store` gets a row of
  /// points. All loads come before all stores. `memory` has transformFloats().
  void toPoints(const WinogradMatrix &matrix, mlir::Value memory,
                LoadColumn load, StoreRow store);
  /// matrix^T * X * matrix, from a vector for each point to n x n.
  void fromPoints(const WinogradMatrix &matrix, mlir::Value memory,
                  LoadColumn load, StoreRow store);

  /// The vectors at (0, column), (1, column) ... of `rows` rows.
  Values loadColumn(mlir::Value base, int64_t rows, I64 rowStride,
                    I64 columnStride, I64 column);
  /// A column of points of a panel, at one place of it.
  Values loadPoints(mlir::Value place, I64 pointStride, I64 column) {
    return loadColumn(place, plan.points, pointStride * plan.points,
                      pointStride, column);
  }
  /// A row of points.
  void storePoints(mlir::Value place, I64 pointStride, I64 row,
                   llvm::ArrayRef<mlir::Value> vectors);

  /// For all points, result[row] = sum over `depth` of left[row] * right, for
  /// vectors of one block. With `addOld`, what the result held is added to the
  /// sum. As many rows are read and written as coveredRows says.
  void products(mlir::Value result, I64 pointStride, I64 rowStride, I64 rows,
                const WinogradFactor &left, const WinogradFactor &right,
                I64 depth, bool addOld = false);

  /// A tile of y: the image and the first row and column, which may lie beyond
  /// the last tile's if `index` does.
  struct Tile {
    I64 image, row, column;
  };
  Tile tile(const WinogradTiles<I64> &tiles, I64 index);

private:
  mlir::Value constant(double value);
  mlir::Value scaled(mlir::Value vector, double factor);
  /// accumulator + vector * factor; a null accumulator is zero.
  mlir::Value addScaled(mlir::Value accumulator, mlir::Value vector,
                        double factor);
  mlir::Value combine(llvm::ArrayRef<mlir::Value> vectors,
                      llvm::ArrayRef<double> factors);
  Values toPoints(const WinogradMatrix &matrix, llvm::ArrayRef<mlir::Value> x);
  Values fromPoints(const WinogradMatrix &matrix,
                    llvm::ArrayRef<mlir::Value> x);
  void twoPasses(int64_t from, int64_t to, mlir::Value memory, LoadColumn load,
                 StoreRow store,
                 llvm::function_ref<Values(llvm::ArrayRef<mlir::Value>)> pass);
};

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_WINOGRAD_H
