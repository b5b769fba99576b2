//===- FilterTiles.cpp - Tiles of filter gradients ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FilterForm.h"

#include "llvm/Support/MathExtras.h"

using namespace mlir;

namespace cambium::grow {

/// Elements between pixels in shared memory: as FilterProduct in Filter.cuh.
static int paddingOf(Precision precision) {
  return precision == Precision::Fp32 ? 0 : 8;
}

int64_t filterSharedBytes(const FilterTile &tile, Precision precision) {
  int64_t elementBytes = precision == Precision::Bf16 ? 2 : 4;
  int64_t patches =
      tile.stages * tile.stageElements(paddingOf(precision)) * elementBytes;
  // Sums are added up in the same place: a quad of floats for each thread.
  int64_t sums = tile.sums > 0 ? tile.threads() * 16 : 0;
  return std::max(patches, sums);
}

/// A window of taps for a block. Every block loads x and dy, so they should be
/// few; a block that reaches beyond the window wastes products.
static void chooseTaps(FilterTile &tile) {
  constexpr int most = 9;
  // What loads cost, in taps.
  constexpr int loads = 2;
  int best = std::numeric_limits<int>::max();
  for (int rows = 1; rows <= std::min(most, tile.kernelH); ++rows)
    for (int columns = 1; columns <= std::min(most / rows, tile.kernelW);
         ++columns) {
      int cost = ceilDiv(tile.kernelH, rows) * ceilDiv(tile.kernelW, columns) *
                 (rows * columns + loads);
      if (cost >= best)
        continue;
      best = cost;
      tile.tapRows = rows;
      tile.tapColumns = columns;
    }
}

static int channelsOf(int64_t channels, int most) {
  if (channels < 0)
    return most;
  return std::min<int64_t>(llvm::alignTo(std::max<int64_t>(channels, 1), 32),
                           most);
}

static bool hasFewRows(const FilterTile &tile) {
  return tile.tapRows * tile.tapColumns * tile.inputs <= 9 * 32;
}

/// Accumulators of a block are as many as registers hold: about 18 units of 32
/// by 32.
static void chooseChannels(FilterTile &tile, int64_t inputs, int64_t outputs) {
  int taps = tile.tapRows * tile.tapColumns;
  tile.inputs = channelsOf(inputs, taps == 1 ? 128 : 64);
  // Multiples of 32 that are powers of two: loads divide by them.
  tile.inputs = llvm::PowerOf2Ceil(tile.inputs);
  tile.outputs = channelsOf(outputs, hasFewRows(tile) ? 64 : 32);
  constexpr int warpsWanted = 3;
  int best = std::numeric_limits<int>::max();
  int chosen = 1;
  for (int units : {3, 2, 1}) {
    tile.units = units;
    int waste = tile.warpRows() * units - tile.blockUnits();
    int missing = std::max(warpsWanted - tile.threads() / 32, 0);
    if (waste + missing >= best)
      continue;
    best = waste + missing;
    chosen = units;
  }
  tile.units = chosen;
}

/// The patch of `pixels` that loads and multiplies least, beyond the image
/// included.
static void choosePatch(FilterTile &tile, int pixels, int64_t outH,
                        int64_t outW) {
  constexpr int64_t unknown = 32;
  if (outH < 0)
    outH = unknown;
  if (outW < 0)
    outW = unknown;
  FilterTile best = tile;
  int64_t least = std::numeric_limits<int64_t>::max();
  for (int columns = 1; columns <= pixels; columns *= 2)
    for (int rows = 1; rows * columns <= pixels; rows *= 2) {
      FilterTile candidate = tile;
      candidate.columns = columns;
      candidate.rows = rows;
      candidate.images = pixels / (rows * columns);
      int64_t patches = ceilDiv(outH, rows) * ceilDiv(outW, columns);
      int64_t cost = patches *
                     (pixels * (tile.tapRows * tile.tapColumns + 1) +
                      candidate.inputPixels()) /
                     candidate.images;
      // An image's patches before several images: batches may be small.
      if (patches > 1 && candidate.images > 1)
        continue;
      if (cost >= least)
        continue;
      least = cost;
      best = candidate;
    }
  tile = best;
}

/// A tile of which only the window is known.
static FilterTile windowOf(const ContractionSpec &spec) {
  FilterTile tile = {};
  auto narrow = [](int64_t value) { return static_cast<int>(value); };
  tile.kernelH = narrow(spec.kernelH);
  tile.kernelW = narrow(spec.kernelW);
  tile.strideH = narrow(spec.strideH);
  tile.strideW = narrow(spec.strideW);
  tile.padTop = narrow(spec.padTop);
  tile.padLeft = narrow(spec.padLeft);
  tile.dilationH = narrow(spec.dilationH);
  tile.dilationW = narrow(spec.dilationW);
  tile.groups = narrow(spec.groups);
  return tile;
}

static BlockTileAttr toBlocks(MLIRContext *context, const FilterTile &tile,
                              Precision precision) {
  return BlockTileAttr::get(
      context, /*m=*/tile.blockUnits() * FilterTile::unitRows,
      /*n=*/tile.outputs, /*k=*/tile.pixels(), tile.warpRows(),
      tile.warpColumns(), tile.stages, /*patch_h=*/tile.rows,
      /*patch_w=*/tile.columns, precision);
}

BlockTileAttr chooseFilterTile(MLIRContext *context,
                               const ContractionSpec &spec,
                               const ContractionExtents &extents,
                               Precision precision) {
  FilterTile tile = windowOf(spec);
  auto ofGroup = [&](int64_t channels) {
    return channels < 0 ? channels : channels / spec.groups;
  };
  bool flat = isFlat(spec);
  int64_t outH = flat ? 1 : extents.outH;
  int64_t outW = flat ? 1 << 16 : extents.outW;
  chooseTaps(tile);
  // Two blocks on a multiprocessor, else one.
  for (int64_t limit : {80 << 10, 99 << 10})
    for (auto [pixels, stages] :
         {std::pair(128, 2), std::pair(64, 2), std::pair(32, 2),
          std::pair(64, 1), std::pair(32, 1), std::pair(16, 1)}) {
      if (pixels == 128 && precision != Precision::Bf16)
        continue;
      chooseChannels(tile, ofGroup(extents.inC), ofGroup(extents.outC));
      tile.stages = stages;
      choosePatch(tile, pixels, outH, outW);
      if (filterSharedBytes(tile, precision) <= limit)
        return toBlocks(context, tile, precision);
    }
  // Without neighbours, no pixel of x is loaded that is not needed.
  tile.tapRows = tile.tapColumns = 1;
  chooseChannels(tile, 32, 32);
  tile.stages = 1;
  choosePatch(tile, 32, outH, outW);
  return toBlocks(context, tile, precision);
}

FailureOr<FilterTile> filterTile(KernelOp kernel, const ContractionSpec &spec,
                                 int64_t sums) {
  constexpr int mostUnits = 3, mostThreads = 1024, maxShared = 99 << 10;
  BlockTileAttr blocks = kernel.getBlocksAttr();
  if (!blocks)
    return kernel.emitOpError("needs blocks for its contraction");
  auto refuse = [&](const Twine &why) {
    return kernel.emitOpError("has blocks ") << why;
  };
  for (int64_t size :
       {blocks.getM(), blocks.getN(), blocks.getK(), blocks.getWarpsM(),
        blocks.getWarpsN(), blocks.getPatchH(), blocks.getPatchW()})
    if (size < 1 || size > mostThreads)
      return refuse("with a size that is not from 1 to 1024");
  FilterTile tile = windowOf(spec);
  tile.sums = static_cast<int>(sums);
  chooseTaps(tile);
  int64_t units = blocks.getM() / FilterTile::unitRows;
  // Where the rows are too few for those taps, there is one.
  if (units < tile.tapRows * tile.tapColumns)
    tile.tapRows = tile.tapColumns = 1;
  int64_t taps = tile.tapRows * tile.tapColumns;
  if (blocks.getM() % (taps * FilterTile::unitRows) != 0 ||
      blocks.getN() % FilterTile::unitColumns != 0)
    return refuse("that do not have 32 channels, or a multiple, of each tensor "
                  "for ")
           << taps << " taps";
  tile.inputs = static_cast<int>(blocks.getM() / taps);
  tile.outputs = static_cast<int>(blocks.getN());
  tile.units = static_cast<int>(ceilDiv(units, blocks.getWarpsM()));
  if (tile.units > mostUnits || tile.warpRows() != blocks.getWarpsM() ||
      tile.warpColumns() != blocks.getWarpsN() || tile.threads() > mostThreads)
    return refuse("whose warps do not have one to three times 32 rows by 32 "
                  "columns each");
  int64_t patch = blocks.getPatchH() * blocks.getPatchW();
  if (!llvm::isPowerOf2_64(blocks.getK()) || blocks.getK() < 16 ||
      !llvm::isPowerOf2_64(patch) || patch > blocks.getK())
    return refuse("whose pixels are no powers of two, at least 16 in all");
  tile.rows = static_cast<int>(blocks.getPatchH());
  tile.columns = static_cast<int>(blocks.getPatchW());
  tile.images = static_cast<int>(blocks.getK() / patch);
  tile.stages = static_cast<int>(blocks.getStages());
  if (tile.stages < 1 || tile.stages > 2)
    return refuse("with ") << tile.stages << " stages; 1 and 2 are possible";
  if (int64_t bytes = filterSharedBytes(tile, blocks.getPrecision());
      bytes > maxShared)
    return refuse("that need ")
           << bytes << " bytes of shared memory; make the patch smaller";
  return tile;
}

ContractionExtents extentsBehind(const FilterTile &tile) {
  ContractionExtents extents;
  extents.inC = tile.inputs * tile.groups;
  // With many rows a tile has the fewest columns, however many there are.
  extents.outC = hasFewRows(tile) ? tile.outputs * tile.groups : -1;
  return extents;
}

} // namespace cambium::grow
