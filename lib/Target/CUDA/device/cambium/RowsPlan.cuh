//===- RowsPlan.cuh - How convolutions are divided ----------- -*- C++ -*--===//
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

#ifndef CAMBIUM_DEVICE_ROWSPLAN_CUH
#define CAMBIUM_DEVICE_ROWSPLAN_CUH

#ifndef CAMBIUM_HOST_DEVICE
#ifdef __CUDACC__
#define CAMBIUM_HOST_DEVICE __host__ __device__
#else
#define CAMBIUM_HOST_DEVICE
#endif
#endif

namespace cambium {

/// Constants of a kernel that computes, for each pixel of the result,
///
///   result[pixel][n] = sum over taps and k of source[pixel at tap][k] *
///                                             filter[tap][k][n]
///
/// Forward: the source is x, the result y. BackwardData: the source is dy, the
/// result dx, and filter[tap][k][n] is w[tap][n][k].
///
/// A block has m pixels of the result by n channels. With patchH > 0 the pixels
/// are patches of patchH by patchW in m / (patchH * patchW) images. The pixels
/// of the source that they meet under all taps lie in shared memory, once for
/// all taps. BackwardData takes pixels at a distance of the stride for a patch
/// (a "phase" of the result), since these meet the same taps, neighbouring
/// pixels of the source, and no holes. With patchH = 0 a block has any m pixels
/// in succession, and shared memory has a row for each of them with the
/// channels of all taps, as if these were channels of a window of 1x1.
struct RowsTile {
  bool data;
  int kernelH, kernelW, strideH, strideW, padTop, padLeft;
  int dilationH, dilationW, groups;
  /// k: how much of the sum is one piece of the stream of filters.
  int m, n, k, warpsM, warpsN, stages, patchH, patchW;
  /// Bytes of an element in shared memory.
  int bytes;
  /// Bytes of shared memory that a block should not exceed.
  int sharedLimit;

  CAMBIUM_HOST_DEVICE constexpr bool gather() const { return patchH == 0; }
  CAMBIUM_HOST_DEVICE constexpr int threads() const {
    return 32 * warpsM * warpsN;
  }
  CAMBIUM_HOST_DEVICE constexpr int taps() const { return kernelH * kernelW; }
  CAMBIUM_HOST_DEVICE constexpr int images() const {
    return gather() ? 1 : m / (patchH * patchW);
  }

  /// Distance of the result's pixels in a patch.
  CAMBIUM_HOST_DEVICE constexpr int resultStepH() const {
    return data && !gather() ? strideH : 1;
  }
  CAMBIUM_HOST_DEVICE constexpr int resultStepW() const {
    return data && !gather() ? strideW : 1;
  }
  CAMBIUM_HOST_DEVICE constexpr int phases() const {
    return resultStepH() * resultStepW();
  }
  /// Distance of the source's pixels that neighbours in a patch meet.
  CAMBIUM_HOST_DEVICE constexpr int sourceStepH() const {
    return data ? 1 : strideH;
  }
  CAMBIUM_HOST_DEVICE constexpr int sourceStepW() const {
    return data ? 1 : strideW;
  }
  /// Extents of the source's part of a patch.
  CAMBIUM_HOST_DEVICE constexpr int sourceRows() const {
    return (patchH - 1) * sourceStepH() +
           (kernelH - 1) * dilationH / resultStepH() + 1;
  }
  CAMBIUM_HOST_DEVICE constexpr int sourceColumns() const {
    return (patchW - 1) * sourceStepW() +
           (kernelW - 1) * dilationW / resultStepW() + 1;
  }
  /// Rows of shared memory for the source.
  CAMBIUM_HOST_DEVICE constexpr int residentRows() const {
    return gather() ? m : images() * sourceRows() * sourceColumns();
  }

  CAMBIUM_HOST_DEVICE constexpr int pieceBytes() const {
    return n * k * bytes;
  }
  /// Bytes between rows of shared memory with `elements` elements: an odd
  /// number of 16 bytes, see Mma.cuh.
  CAMBIUM_HOST_DEVICE constexpr int pitch(int elements) const {
    return elements * bytes + 16;
  }
  CAMBIUM_HOST_DEVICE constexpr int stageBytes() const { return n * pitch(k); }

  /// Can warpgroups of sm_90a share the rows? They take the same threads and no
  /// more shared memory: their filters lie without gaps, and where the gaps
  /// would be there is room to count arrivals.
  CAMBIUM_HOST_DEVICE constexpr bool suitsWarpgroups() const {
    return threads() % 128 == 0 && m % (threads() / 2) == 0 &&
           (n == 16 || n == 32 || n == 64);
  }

  /// The place in the source, along one dimension, that the pixel
  /// `phase + i * resultStep` meets under a tap: i * sourceStep + shift; taps
  /// that meet none in this phase have the shift `noShift`.
  static constexpr int noShift = -2147483647;
  CAMBIUM_HOST_DEVICE constexpr int shiftH(int tap, int phase) const {
    return data ? quotient(phase + padTop - tap * dilationH, resultStepH())
                : tap * dilationH - padTop;
  }
  CAMBIUM_HOST_DEVICE constexpr int shiftW(int tap, int phase) const {
    return data ? quotient(phase + padLeft - tap * dilationW, resultStepW())
                : tap * dilationW - padLeft;
  }
  /// Not greater than any shift of the phase.
  CAMBIUM_HOST_DEVICE constexpr int leastShiftH(int phase) const {
    return data ? ceiling(phase + padTop - (kernelH - 1) * dilationH,
                          resultStepH())
                : -padTop;
  }
  CAMBIUM_HOST_DEVICE constexpr int leastShiftW(int phase) const {
    return data ? ceiling(phase + padLeft - (kernelW - 1) * dilationW,
                          resultStepW())
                : -padLeft;
  }

private:
  static CAMBIUM_HOST_DEVICE constexpr int quotient(int a, int b) {
    return a % b == 0 ? a / b : noShift;
  }
  static CAMBIUM_HOST_DEVICE constexpr int ceiling(int a, int b) {
    return a > 0 ? (a + b - 1) / b : -(-a / b);
  }
};

/// Extents of one branch, and the number of branches.
struct RowsExtents {
  int batch, sourceH, sourceW, sourceC, resultH, resultW, resultC, branches;
};

/// How the result is divided among blocks, and where filters lie in the
/// workspace once they are packed:
///
///   [branch of the round][group][column block][chunk][tap][piece][n][k]
///
/// in the order in which a block reads them. If the source's channels do not
/// fit in shared memory at once, they come in chunks.
struct RowsPlan {
  RowsTile tile;
  RowsExtents extents;
  int groupSource, groupResult;
  /// Taps whose channels are not side by side in the same row.
  int taps;
  /// Elements of a row, pieces of them, and how they are cut into chunks.
  int rowElements, pieces, piecesPerChunk, chunks;
  int columnBlocks, patchRows, patchColumns;
  long long patches, pixels;
  /// Bytes of the packed filters for one block's columns, and for a branch.
  long long blockBytes, branchBytes;
  int branchesPerRound;

  static constexpr int packThreads = 256;
  static constexpr long long workspaceLimit = 64ll << 20;

  /// `perRound`: the branches of a round where more than packed filters limits
  /// them; else 0.
  CAMBIUM_HOST_DEVICE constexpr RowsPlan(const RowsTile &tile,
                                         const RowsExtents &extents,
                                         int perRound = 0)
      : tile(tile), extents(extents),
        groupSource(extents.sourceC / tile.groups),
        groupResult(extents.resultC / tile.groups),
        taps(tile.gather() ? 1 : tile.taps()),
        rowElements(tile.gather() ? tile.taps() * groupSource : groupSource),
        pieces(ceilDiv(rowElements, tile.k)), piecesPerChunk(1), chunks(1),
        columnBlocks(ceilDiv(groupResult, tile.n)), patchRows(1),
        patchColumns(1), patches(0), pixels(0), blockBytes(0), branchBytes(0),
        branchesPerRound(1) {
    int most = ((tile.sharedLimit - tile.stages * tile.stageBytes()) /
                    tile.residentRows() -
                16) /
               (tile.k * tile.bytes);
    chunks = ceilDiv(pieces, atLeast(most, 1));
    piecesPerChunk = ceilDiv(pieces, atLeast(chunks, 1));
    chunks = ceilDiv(pieces, atLeast(piecesPerChunk, 1));
    pixels = static_cast<long long>(extents.batch) * extents.resultH *
             extents.resultW;
    if (tile.gather()) {
      patches = (pixels + tile.m - 1) / tile.m;
    } else {
      patchRows =
          ceilDiv(ceilDiv(extents.resultH, tile.resultStepH()), tile.patchH);
      patchColumns =
          ceilDiv(ceilDiv(extents.resultW, tile.resultStepW()), tile.patchW);
      patches = static_cast<long long>(ceilDiv(extents.batch, tile.images())) *
                tile.phases() * patchRows * patchColumns;
    }
    blockBytes = static_cast<long long>(taps) * pieces * tile.pieceBytes();
    branchBytes = blockBytes * columnBlocks * tile.groups;
    branchesPerRound =
        perRound > 0 ? perRound : branchesIn(branchBytes, extents.branches);
  }

  /// How many branches fit in the workspace.
  static CAMBIUM_HOST_DEVICE constexpr int branchesIn(long long branchBytes,
                                                      int branches) {
    const long long most = workspaceLimit / (branchBytes + 1);
    return atLeast(most < branches ? static_cast<int>(most) : branches, 1);
  }

  CAMBIUM_HOST_DEVICE constexpr int rounds() const {
    return ceilDiv(atLeast(extents.branches, 1), branchesPerRound);
  }
  /// Blocks that compute rows, in each round.
  CAMBIUM_HOST_DEVICE constexpr long long rowTasks() const {
    return patches * tile.groups * columnBlocks;
  }
  /// Blocks that pack filters, for one branch and in each round: each thread
  /// packs 16 bytes.
  CAMBIUM_HOST_DEVICE constexpr int packTasksPerBranch() const {
    return static_cast<int>((branchBytes / 16 + packThreads - 1) / packThreads);
  }
  CAMBIUM_HOST_DEVICE constexpr long long packTasks() const {
    return static_cast<long long>(packTasksPerBranch()) * branchesPerRound;
  }
  /// Bytes of packed filters of a round.
  CAMBIUM_HOST_DEVICE constexpr long long packedBytes() const {
    return branchBytes * branchesPerRound;
  }
  /// Floats from one branch's result to the next where the workspace keeps them:
  /// whole lines, so that what follows is aligned.
  CAMBIUM_HOST_DEVICE constexpr long long keptFloats() const {
    return (pixels * extents.resultC + 63) / 64 * 64;
  }
  /// Bytes between rows of the source in shared memory.
  CAMBIUM_HOST_DEVICE constexpr int residentPitch() const {
    return tile.pitch(piecesPerChunk * tile.k);
  }
  CAMBIUM_HOST_DEVICE constexpr int residentBytes() const {
    return tile.residentRows() * residentPitch();
  }
  CAMBIUM_HOST_DEVICE constexpr int sharedBytes() const {
    return residentBytes() + tile.stages * tile.stageBytes();
  }
  CAMBIUM_HOST_DEVICE constexpr int piecesOf(int chunk) const {
    int rest = pieces - chunk * piecesPerChunk;
    return rest < piecesPerChunk ? rest : piecesPerChunk;
  }

  /// Without signs, which cost instructions; neither is negative.
  static CAMBIUM_HOST_DEVICE constexpr int ceilDiv(int a, int b) {
    return static_cast<int>(static_cast<unsigned>(a + b - 1) /
                            static_cast<unsigned>(b));
  }
  static CAMBIUM_HOST_DEVICE constexpr int atLeast(int value, int bound) {
    return value < bound ? bound : value;
  }
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_ROWSPLAN_CUH
