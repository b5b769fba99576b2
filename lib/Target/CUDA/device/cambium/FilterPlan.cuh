//===- FilterPlan.cuh - How filter gradients are divided ----- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Blocks and the host that launches them divide the work by the same code: the
// compiler includes this header as well.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_FILTERPLAN_CUH
#define CAMBIUM_DEVICE_FILTERPLAN_CUH

#ifndef CAMBIUM_HOST_DEVICE
#ifdef __CUDACC__
#define CAMBIUM_HOST_DEVICE __host__ __device__
#else
#define CAMBIUM_HOST_DEVICE
#endif
#endif

namespace cambium {

/// Constants of a kernel that computes gradients of filters
///
///   dw[tap][ci][co] = sum over pixels of x[pixel at tap][ci] * dy[pixel][co]
///
/// A block has some taps, side by side in the window, `inputs` channels of x
/// and `outputs` channels of dy. It goes over patches of pixels of dy; one
/// patch and the pixels of x that its taps meet are in shared memory. The block
/// has its accumulators in registers: for each tap and 32 channels of x a unit
/// of rows, of which a warp has `units`, by 32 columns.
struct FilterTile {
  int kernelH, kernelW, strideH, strideW, padTop, padLeft;
  int dilationH, dilationW, groups;
  /// Taps of a block.
  int tapRows, tapColumns;
  /// Channels of a block, multiples of 32.
  int inputs, outputs;
  /// Units of rows of a warp.
  int units;
  /// Pixels of a patch: powers of two, and at least 16 in all.
  int images, rows, columns;
  /// Patches in shared memory at a time: 1, or 2 so that one is loaded while
  /// the other is multiplied.
  int stages;
  /// Vectors that are summed over pixels beside.
  int sums;

  static constexpr int unitRows = 32;
  static constexpr int unitColumns = 32;

  CAMBIUM_HOST_DEVICE constexpr int pixels() const {
    return images * rows * columns;
  }

  /// Distance of pixels of x in shared memory, in x: others are not needed.
  CAMBIUM_HOST_DEVICE constexpr int rowStep() const {
    return tapRows == 1 ? strideH : gcd(strideH, dilationH);
  }
  CAMBIUM_HOST_DEVICE constexpr int columnStep() const {
    return tapColumns == 1 ? strideW : gcd(strideW, dilationW);
  }
  /// Extents of the part of x in shared memory.
  CAMBIUM_HOST_DEVICE constexpr int inputRows() const {
    return ((rows - 1) * strideH + (tapRows - 1) * dilationH) / rowStep() + 1;
  }
  CAMBIUM_HOST_DEVICE constexpr int inputColumns() const {
    return ((columns - 1) * strideW + (tapColumns - 1) * dilationW) /
               columnStep() +
           1;
  }
  CAMBIUM_HOST_DEVICE constexpr int inputPixels() const {
    return images * inputRows() * inputColumns();
  }

  CAMBIUM_HOST_DEVICE constexpr int unitsPerTap() const {
    return inputs / unitRows;
  }
  CAMBIUM_HOST_DEVICE constexpr int blockUnits() const {
    return tapRows * tapColumns * unitsPerTap();
  }
  CAMBIUM_HOST_DEVICE constexpr int warpRows() const {
    return (blockUnits() + units - 1) / units;
  }
  CAMBIUM_HOST_DEVICE constexpr int warpColumns() const {
    return outputs / unitColumns;
  }
  CAMBIUM_HOST_DEVICE constexpr int threads() const {
    return 32 * warpRows() * warpColumns();
  }
  /// Quads of accumulators of a block: 8 of each thread's units.
  CAMBIUM_HOST_DEVICE constexpr int quads() const {
    return units * 8 * threads();
  }
  /// Elements of shared memory where each pixel has `padding` elements more.
  CAMBIUM_HOST_DEVICE constexpr int stageElements(int padding) const {
    return inputPixels() * (inputs + padding) + pixels() * (outputs + padding);
  }

  static CAMBIUM_HOST_DEVICE constexpr int gcd(int a, int b) {
    return b == 0 ? a : gcd(b, a % b);
  }
};

/// Extents of x and dy, of one branch, and the number of branches.
struct FilterExtents {
  int batch, inH, inW, inC, outH, outW, outC, branches;
};

/// How the gradients are divided among blocks. A block computes one tile of a
/// gradient. The pixels are cut into parts, whose sums lie in the workspace,
///   [branch of the round][part]{[tile][unit][8][thread][4], [sum][co]}
/// as the threads have them, until a second phase adds them up in order.
struct FilterPlan {
  FilterTile tile;
  FilterExtents extents;
  int groupInputs, groupOutputs;
  int inputBlocks, outputBlocks, tapBlockColumns, tapBlocks;
  int patchRows, patchColumns, patches;
  int branchesPerRound, parts;
  /// Of one part: the gradient, and with its sums.
  long long gradientFloats, partialFloats;

  /// Blocks that a launch should have, for the largest devices.
  static constexpr int wantedBlocks = 512;
  static constexpr int workspaceFloats = 8 << 20;
  static constexpr int finishThreads = 256;

  /// `perRound`: branches of a round, 0 for as many as the workspace holds.
  CAMBIUM_HOST_DEVICE FilterPlan(const FilterTile &tile,
                                 const FilterExtents &extents, int perRound = 0)
      : tile(tile), extents(extents) {
    groupInputs = extents.inC / tile.groups;
    groupOutputs = extents.outC / tile.groups;
    inputBlocks = ceilDiv(groupInputs, tile.inputs);
    outputBlocks = ceilDiv(groupOutputs, tile.outputs);
    tapBlockColumns = ceilDiv(tile.kernelW, tile.tapColumns);
    tapBlocks = ceilDiv(tile.kernelH, tile.tapRows) * tapBlockColumns;
    patchRows = ceilDiv(extents.outH, tile.rows);
    patchColumns = ceilDiv(extents.outW, tile.columns);
    patches = ceilDiv(extents.batch, tile.images) * patchRows * patchColumns;
    gradientFloats = static_cast<long long>(tiles()) * tile.quads() * 4;
    partialFloats = gradientFloats + ceilDiv(tile.sums * extents.outC, 4) * 4;
    const int most = workspaceFloats / clamp(partialFloats, 1, workspaceFloats);
    branchesPerRound =
        perRound > 0 ? perRound : clamp(most, 1, atLeast(extents.branches, 1));
    const int blocks = clamp(static_cast<long long>(tiles()) * branchesPerRound,
                             1, wantedBlocks);
    parts = clamp(ceilDiv(wantedBlocks, blocks), 1,
                  atLeast(most / branchesPerRound, 1));
    parts = clamp(parts, 1, atLeast(patches, 1));
  }

  /// Tiles of a gradient.
  CAMBIUM_HOST_DEVICE int tiles() const {
    return tile.groups * tapBlocks * inputBlocks * outputBlocks;
  }
  /// Blocks of the first phase.
  CAMBIUM_HOST_DEVICE int blocksPerBranch() const { return tiles() * parts; }
  /// Blocks of the second phase for the gradient, and with the sums.
  CAMBIUM_HOST_DEVICE int gradientBlocks() const {
    return ceilDiv(tiles() * tile.quads(), finishThreads);
  }
  CAMBIUM_HOST_DEVICE int finishBlocksPerBranch() const {
    return gradientBlocks() + ceilDiv(tile.sums * extents.outC, finishThreads);
  }
  CAMBIUM_HOST_DEVICE int rounds() const {
    return ceilDiv(atLeast(extents.branches, 1), branchesPerRound);
  }
  /// First float of a part's gradient in the workspace.
  CAMBIUM_HOST_DEVICE long long partial(int branch, int part) const {
    return (static_cast<long long>(branch % branchesPerRound) * parts + part) *
           partialFloats;
  }
  CAMBIUM_HOST_DEVICE long long workspace() const {
    return partialFloats * branchesPerRound * parts;
  }

  /// Without signs, which cost instructions; neither is negative.
  static CAMBIUM_HOST_DEVICE int ceilDiv(int a, int b) {
    return static_cast<int>(static_cast<unsigned>(a + b - 1) /
                            static_cast<unsigned>(b));
  }
  static CAMBIUM_HOST_DEVICE int atLeast(int value, int low) {
    return value < low ? low : value;
  }
  static CAMBIUM_HOST_DEVICE int clamp(long long value, int low, int high) {
    return value < low ? low : value > high ? high : static_cast<int>(value);
  }
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_FILTERPLAN_CUH
