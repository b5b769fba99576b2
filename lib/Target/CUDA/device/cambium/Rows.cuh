//===- Rows.cuh - Convolutions and gradients of their inputs - -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Implicit matrix products: rows are pixels of the result, columns its
// channels, and what is summed are the taps of the window and the channels of
// the source. One kernel does so for any number of branches that have filters
// of their own and a source in common, and joins what comes out.
//
//   packFilters  brings the filters of a round's branches to the workspace, in
//                the precision and the order in which blocks read them;
//   computeRows  computes the result.
//
// A kernel describes itself in a struct T:
//
//   using Math                   Fp32, Tf32 or Bf16
//   tile()                       its RowsTile
//   plan(args)                   its RowsPlan
//   packed(args)                 where packed filters lie
//   filter(args, branch)         the filter of a branch
//   result(args)                 where sums lie between rounds
//   join                         how branches meet
//   struct Source                apply<N>(args, place, Vec<N> &element)
//   sourceOfBranch               the source is not the same for all branches
//   struct Epilogue              apply<N>(args, place, accumulator, Vec<N> &v)
//   epilogue                     when it is applied
//   struct Finish                apply<N>(args, place, joined), which stores
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_ROWS_CUH
#define CAMBIUM_DEVICE_ROWS_CUH

#include "cambium/Base.cuh"
#include "cambium/Mma.cuh"
#include "cambium/RowsPlan.cuh"

namespace cambium {

/// How branches meet: added up, or each finished on its own.
enum class Join { Sum, Mean, Apart };
/// When the epilogue is applied: never, to the accumulators of each branch, or
/// (being linear) to the sum of all.
enum class Apply { Never, Branch, Sum };

/// The part of the result that a block computes.
struct RowsTask {
  int firstBranch, endBranch;
  int group, columnBlock;
  /// Patches: the first image, the phase, and the first pixel of the phase.
  int image, phaseH, phaseW, row, column;
  /// No patches: the first pixel.
  long long pixel;

  __device__ __forceinline__ RowsTask(const RowsPlan &plan, int task) {
    const RowsTile &tile = plan.tile;
    const int tasks = static_cast<int>(plan.rowTasks());
    const int round = task / tasks;
    firstBranch = round * plan.branchesPerRound;
    endBranch = minOf(firstBranch + plan.branchesPerRound,
                      plan.extents.branches);
    int rest = task - round * tasks;
    // Blocks in succession read the same source and other filters.
    columnBlock = rest % plan.columnBlocks;
    rest /= plan.columnBlocks;
    group = rest % tile.groups;
    rest /= tile.groups;
    pixel = static_cast<long long>(rest) * tile.m;
    if (tile.gather())
      return;
    column = rest % plan.patchColumns * tile.patchW;
    rest /= plan.patchColumns;
    row = rest % plan.patchRows * tile.patchH;
    rest /= plan.patchRows;
    const int phase = rest % tile.phases();
    phaseH = phase / tile.resultStepW();
    phaseW = phase % tile.resultStepW();
    image = rest / tile.phases() * tile.images();
  }

  /// The pixel of the result that a row of the block's product is, or -1.
  __device__ __forceinline__ long long pixelOf(const RowsPlan &plan,
                                               int r) const {
    const RowsTile &tile = plan.tile;
    const RowsExtents &extents = plan.extents;
    if (tile.gather())
      return pixel + r < plan.pixels ? pixel + r : -1;
    const int n = image + r / (tile.patchH * tile.patchW);
    const int h =
        (row + r / tile.patchW % tile.patchH) * tile.resultStepH() + phaseH;
    const int w = (column + r % tile.patchW) * tile.resultStepW() + phaseW;
    if (n >= extents.batch || h >= extents.resultH || w >= extents.resultW)
      return -1;
    return (static_cast<long long>(n) * extents.resultH + h) * extents.resultW +
           w;
  }

  /// The row of shared memory that a row of the block's product begins at.
  static __device__ __forceinline__ int residentRow(const RowsTile &tile,
                                                    int r) {
    if (tile.gather())
      return r;
    const int n = r / (tile.patchH * tile.patchW);
    const int h = r / tile.patchW % tile.patchH * tile.sourceStepH();
    const int w = r % tile.patchW * tile.sourceStepW();
    return (n * tile.sourceRows() + h) * tile.sourceColumns() + w;
  }

  /// Is a tap met? Where all are, the compiler knows.
  __device__ __forceinline__ bool meets(const RowsTile &tile, int tap) const {
    return tile.gather() || tile.phases() == 1 ||
           (tile.shiftH(tap / tile.kernelW, phaseH) != RowsTile::noShift &&
            tile.shiftW(tap % tile.kernelW, phaseW) != RowsTile::noShift);
  }
  /// How many rows of shared memory later a tap is met.
  __device__ __forceinline__ int tapRow(const RowsTile &tile, int tap) const {
    if (tile.gather())
      return 0;
    const int h = tile.shiftH(tap / tile.kernelW, phaseH);
    const int w = tile.shiftW(tap % tile.kernelW, phaseW);
    return (h - tile.leastShiftH(phaseH)) * tile.sourceColumns() + w -
           tile.leastShiftW(phaseW);
  }
  /// The first tap from `tap` on that is met.
  __device__ __forceinline__ int nextTap(const RowsPlan &plan, int tap) const {
    while (tap < plan.taps && !meets(plan.tile, tap))
      ++tap;
    return tap;
  }
};

/// Do warpgroups compute the product? See Mma.cuh.
template <class T> constexpr __device__ bool byWarpgroups() {
  return T::Math::warpgroups && T::tile().suitsWarpgroups();
}

//===----------------------------------------------------------------------===//
// Filters
//===----------------------------------------------------------------------===//

/// Each block packs a part of one branch's filter; each thread 16 bytes, that
/// is for one column of a piece some of its k.
template <class T, class Args>
__device__ __forceinline__ void packFilters(const Args &args, int task) {
  using Math = typename T::Math;
  constexpr RowsTile tile = T::tile();
  const RowsPlan plan = T::plan(args);
  const int tasks = static_cast<int>(plan.packTasks());
  const int slot = task % tasks / plan.packTasksPerBranch();
  const int branch = task / tasks * plan.branchesPerRound + slot;
  long long index =
      static_cast<long long>(task % plan.packTasksPerBranch()) *
          RowsPlan::packThreads +
      threadIdx.x;
  if (branch >= plan.extents.branches || index >= plan.branchBytes / 16)
    return;

  // Neighbouring threads read neighbours in the filter.
  constexpr int vectors = tile.k / Math::vector;
  int rest = static_cast<int>(index % (vectors * tile.n));
  const int vector = tile.data ? rest % vectors : rest / tile.n;
  const int column = tile.data ? rest / vectors : rest % tile.n;
  const long long piece = index / (vectors * tile.n);
  const int piecesOfBlock = plan.taps * plan.pieces;
  const int block = static_cast<int>(piece / piecesOfBlock);
  rest = static_cast<int>(piece % piecesOfBlock);
  const int chunk = rest / (plan.taps * plan.piecesPerChunk);
  rest -= chunk * plan.taps * plan.piecesPerChunk;
  const int tap = rest / plan.piecesOf(chunk);
  const int first = (chunk * plan.piecesPerChunk +
                     rest % plan.piecesOf(chunk)) * tile.k +
                    vector * Math::vector;
  const int group = block / plan.columnBlocks;
  const int n = block % plan.columnBlocks * tile.n + column;

  const float *filter = T::filter(args, branch);
  float v[Math::vector];
#pragma unroll
  for (int i = 0; i < Math::vector; ++i) {
    const int element = first + i;
    v[i] = 0.0f;
    if (n >= plan.groupResult || element >= plan.rowElements)
      continue;
    const int t = tile.gather() ? element / plan.groupSource : tap;
    const int k = tile.gather() ? element % plan.groupSource : element;
    const int input = tile.data ? n : k, output = tile.data ? k : n;
    const int inputs = tile.data ? plan.groupResult : plan.groupSource;
    const int outputs = tile.data ? plan.groupSource : plan.groupResult;
    v[i] = filter[(static_cast<long long>(t) * inputs + input) * outputs *
                      tile.groups +
                  group * outputs + output];
  }
  const long long to =
      slot * plan.branchBytes + piece * tile.pieceBytes() +
      (byWarpgroups<T>() ? vector * tile.n + column : column * vectors + vector) *
          16;
  *reinterpret_cast<Words4 *>(T::packed(args) + to) = Math::pack(v);
}

/// The pieces of packed filters that a block multiplies with, on their way into
/// a ring of `stages` places in shared memory. Where warpgroups multiply, one
/// thread copies whole pieces.
template <class T> class FilterStream {
public:
  /// Some barrier of the block comes before the first wait.
  __device__ __forceinline__ FilterStream(const RowsPlan &plan,
                                          const RowsTask &at,
                                          const unsigned char *packed,
                                          unsigned ring)
      : plan(plan), at(at), from(packed), ring(ring), copied(0), taken(0),
        parity(0), branch(at.firstBranch), chunk(0), tap(at.nextTap(plan, 0)),
        piece(0) {
    from += (at.group * plan.columnBlocks + at.columnBlock) * plan.blockBytes;
    if constexpr (byWarpgroups<T>())
      if (threadIdx.x == 0) {
#pragma unroll
        for (int i = 0; i < tile.stages; ++i)
          prepareArrivals(arrivals(i));
        fenceShared();
      }
  }

  /// All threads together begin to copy the next piece, if there is one.
  __device__ __forceinline__ void copyNext() {
    if (branch < at.endBranch && tap < plan.taps) {
      if (!byWarpgroups<T>() || threadIdx.x == 0)
        copy();
      advance();
    }
    if constexpr (!byWarpgroups<T>())
      commitCopies();
    copied = next(copied);
  }

  /// All threads together take the next piece, with which they have ended when
  /// they take another; meanwhile others are copied. Returns its address.
  __device__ __forceinline__ unsigned take() {
    const int stage = taken;
    taken = next(taken);
    if constexpr (byWarpgroups<T>()) {
      // The place of the piece before is free.
      __syncthreads();
      copyNext();
      waitArrival(arrivals(stage), parity);
      parity ^= taken == 0;
    } else {
      waitCopies<tile.stages - 2>();
      // The piece is there for all threads, and the place of the one before is
      // free.
      __syncthreads();
      copyNext();
    }
    return ring + stage * placeBytes;
  }

private:
  static constexpr RowsTile tile = T::tile();
  static constexpr int placeBytes =
      byWarpgroups<T>() ? tile.pieceBytes() : tile.stageBytes();

  static __device__ __forceinline__ int next(int stage) {
    return stage + 1 == tile.stages ? 0 : stage + 1;
  }
  /// Behind the ring's places, which take less than stageBytes().
  __device__ __forceinline__ unsigned arrivals(int stage) const {
    return ring + tile.stages * placeBytes + stage * 8;
  }

  __device__ __forceinline__ void copy() {
    const long long index =
        (static_cast<long long>(chunk) * plan.piecesPerChunk * plan.taps +
         tap * plan.piecesOf(chunk) + piece);
    const unsigned char *source = from + index * tile.pieceBytes();
    const unsigned to = ring + copied * placeBytes;
    if constexpr (byWarpgroups<T>()) {
      expectArrival(arrivals(copied), tile.pieceBytes());
      copyBulk(to, source, tile.pieceBytes(), arrivals(copied));
    } else {
      constexpr int rowVectors = tile.k * tile.bytes / 16;
      constexpr int vectors = rowVectors * tile.n;
#pragma unroll
      for (int i = 0; i < vectors; i += tile.threads()) {
        const int vector = i + static_cast<int>(threadIdx.x);
        if (vectors % tile.threads() == 0 || vector < vectors)
          copyAsync16(to + vector / rowVectors * tile.pitch(tile.k) +
                          vector % rowVectors * 16,
                      source + vector * 16);
      }
    }
  }

  __device__ __forceinline__ void advance() {
    if (++piece < plan.piecesOf(chunk))
      return;
    piece = 0;
    tap = at.nextTap(plan, tap + 1);
    if (tap < plan.taps)
      return;
    tap = at.nextTap(plan, 0);
    if (++chunk < plan.chunks)
      return;
    chunk = 0;
    ++branch;
    from += plan.branchBytes;
  }

  const RowsPlan &plan;
  const RowsTask &at;
  const unsigned char *from;
  const unsigned ring;
  /// Places of the next piece to copy and to take, and the parity of the
  /// arrivals there.
  int copied, taken, parity;
  int branch, chunk, tap, piece;
};

//===----------------------------------------------------------------------===//
// The source
//===----------------------------------------------------------------------===//

/// The pixel of the source that a row of shared memory has, or -1 for padding.
__device__ __forceinline__ long long patchPixel(const RowsPlan &plan,
                                                const RowsTask &at, int row) {
  const RowsTile &tile = plan.tile;
  const RowsExtents &extents = plan.extents;
  const int n = at.image + row / (tile.sourceRows() * tile.sourceColumns());
  const int h = at.row * tile.sourceStepH() + tile.leastShiftH(at.phaseH) +
                row / tile.sourceColumns() % tile.sourceRows();
  const int w = at.column * tile.sourceStepW() + tile.leastShiftW(at.phaseW) +
                row % tile.sourceColumns();
  if (n >= extents.batch || h < 0 || h >= extents.sourceH || w < 0 ||
      w >= extents.sourceW)
    return -1;
  return (static_cast<long long>(n) * extents.sourceH + h) * extents.sourceW +
         w;
}

/// The pixel of the source that a pixel of the result meets under a tap.
__device__ __forceinline__ long long gatheredPixel(const RowsPlan &plan,
                                                   long long pixel, int tap) {
  const RowsTile &tile = plan.tile;
  const RowsExtents &extents = plan.extents;
  if (pixel >= plan.pixels)
    return -1;
  if (tile.taps() == 1 && tile.strideH == 1 && tile.strideW == 1 &&
      extents.sourceH == extents.resultH && extents.sourceW == extents.resultW)
    return pixel;
  const int w = static_cast<int>(pixel % extents.resultW);
  const int h = static_cast<int>(pixel / extents.resultW % extents.resultH);
  const long long n = pixel / extents.resultW / extents.resultH;
  int y = tap / tile.kernelW * tile.dilationH - tile.padTop;
  int x = tap % tile.kernelW * tile.dilationW - tile.padLeft;
  if (tile.data) {
    y = h - y;
    x = w - x;
    if (y % tile.strideH != 0 || x % tile.strideW != 0)
      return -1;
    y /= tile.strideH;
    x /= tile.strideW;
  } else {
    y += h * tile.strideH;
    x += w * tile.strideW;
  }
  if (y < 0 || y >= extents.sourceH || x < 0 || x >= extents.sourceW)
    return -1;
  return (n * extents.sourceH + y) * extents.sourceW + x;
}

/// N elements of a row of shared memory, from `element` on, which have a tap in
/// common.
template <class T, int N, class Args>
__device__ __forceinline__ Vec<N>
sourceElements(const Args &args, const RowsPlan &plan, const RowsTask &at,
               int branch, int row, int element) {
  constexpr RowsTile tile = T::tile();
  const int channel =
      tile.gather() ? element % plan.groupSource : element;
  const long long pixel =
      tile.gather()
          ? gatheredPixel(plan, at.pixel + row, element / plan.groupSource)
          : patchPixel(plan, at, row);
  const int lanes = plan.groupSource - channel;
  Vec<N> v = splat<N>(0.0f);
  if (pixel < 0 || lanes <= 0 || element >= plan.rowElements)
    return v;
  const Place place{pixel,  at.group * plan.groupSource + channel,
                    plan.extents.sourceC, branch, plan.extents.branches,
                    minOf(lanes, N)};
  T::Source::template apply<N>(args, place, v);
#pragma unroll
  for (int i = 0; i < N; ++i)
    v[i] = i < lanes ? v[i] : 0.0f;
  return v;
}

/// Brings a chunk of the source into shared memory, each thread 16 bytes at a
/// time.
template <class T, class Args>
__device__ __forceinline__ void
loadSource(const Args &args, const RowsPlan &plan, const RowsTask &at,
           int branch, int chunk, unsigned resident) {
  using Math = typename T::Math;
  constexpr RowsTile tile = T::tile();
  constexpr int N = Math::vector;
  const int vectors = plan.piecesOf(chunk) * (tile.k / N);
  const int first = chunk * plan.piecesPerChunk * tile.k;
  // Vectors that neither begin nor end inside a group of channels or a tap.
  const bool whole = (!tile.gather() && tile.groups == 1) ||
                     tile.taps() * tile.groups == 1 ||
                     plan.groupSource % N == 0;
#pragma unroll 2
  for (int i = threadIdx.x; i < tile.residentRows() * vectors;
       i += tile.threads()) {
    const int row = i / vectors, vector = i % vectors;
    const int element = first + vector * N;
    float v[N];
    if (whole) {
      const Vec<N> loaded =
          sourceElements<T, N>(args, plan, at, branch, row, element);
#pragma unroll
      for (int j = 0; j < N; ++j)
        v[j] = loaded[j];
    } else {
#pragma unroll
      for (int j = 0; j < N; ++j)
        v[j] = sourceElements<T, 1>(args, plan, at, branch, row, element + j)[0];
    }
    storeShared16(resident + row * plan.residentPitch() + vector * 16,
                  Math::pack(v));
  }
}

//===----------------------------------------------------------------------===//
// The result
//===----------------------------------------------------------------------===//

/// Moves the first of M to the end.
template <int M, int N>
__device__ __forceinline__ void rotate(float (&acc)[M][N][4]) {
#pragma unroll
  for (int n = 0; n < N; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const float first = acc[0][n][i];
#pragma unroll
      for (int m = 1; m < M; ++m)
        acc[m - 1][n][i] = acc[m][n][i];
      acc[M - 1][n][i] = first;
    }
}

/// Calls `visit(place, n, half)` for each pair of neighbouring columns that the
/// thread has: elements 2 * half and 2 * half + 1 of acc[m][n] and sum[m][n],
/// which it finds at m = 0. From m to m + 1 are `rowStep` rows. The code is there for one m, as M of it would take
/// long to compile and many registers; so the arrays go round instead. The
/// threads of a warp call together, with place.lanes <= 0 where there is no such
/// element.
template <int rowStep, int M, int N, int S, int R, class Visit>
__device__ __forceinline__ void
forEachPair(const RowsPlan &plan, const RowsTask &at, int branch, int firstRow,
            int firstColumn, float (&acc)[M][N][4], float (&sum)[S][R][4],
            Visit visit) {
  const int lane = threadIdx.x % warpThreads;
#pragma unroll 1
  for (int m = 0; m < M; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const long long pixel =
          at.pixelOf(plan, firstRow + m * rowStep + half * 8 + lane / 4);
#pragma unroll
      for (int n = 0; n < N; ++n) {
        const int column = firstColumn + n * 8 + lane % 4 * 2;
        visit(Place{pixel, at.group * plan.groupResult + column,
                    plan.extents.resultC, branch, plan.extents.branches,
                    pixel < 0 ? 0 : plan.groupResult - column},
              n, half);
      }
    }
    rotate(acc);
    rotate(sum);
  }
}

/// Groups with an odd number of channels begin at addresses at which no two
/// channels can be accessed at once.
template <class T> __device__ __forceinline__ bool hasPairs(const RowsPlan &p) {
  return T::tile().groups == 1 || p.groupResult % 2 == 0;
}

template <class T, class Args>
__device__ __forceinline__ void applyEpilogue(const Args &args,
                                              const RowsPlan &plan, Place place,
                                              float &v0, float &v1) {
  if (hasPairs<T>(plan)) {
    Vec<2> v;
    T::Epilogue::template apply<2>(args, place, Vec<2>{{v0, v1}}, v);
    v0 = v[0];
    v1 = v[1];
    return;
  }
  Vec<1> v;
  T::Epilogue::template apply<1>(args, place, Vec<1>{{v0}}, v);
  v0 = v[0];
  ++place.channel;
  --place.lanes;
  T::Epilogue::template apply<1>(args, place, Vec<1>{{v1}}, v);
  v1 = v[0];
}

template <class T, class Args>
__device__ __forceinline__ void applyFinish(const Args &args,
                                            const RowsPlan &plan, Place place,
                                            float v0, float v1) {
  if (hasPairs<T>(plan)) {
    T::Finish::template apply<2>(args, place, Vec<2>{{v0, v1}});
    return;
  }
  T::Finish::template apply<1>(args, place, Vec<1>{{v0}});
  ++place.channel;
  --place.lanes;
  T::Finish::template apply<1>(args, place, Vec<1>{{v1}});
}

/// The sum of earlier rounds, which the result has until the last.
template <class T, class Args>
__device__ __forceinline__ Vec<2>
loadPartial(const Args &args, const RowsPlan &plan, const Place &place) {
  if (place.lanes <= 0)
    return splat<2>(0.0f);
  return load<2>(T::result(args) + place.element(),
                 hasPairs<T>(plan) && place.aligned<2>(), place.lanes);
}

template <class T, class Args>
__device__ __forceinline__ void
storePartial(const Args &args, const RowsPlan &plan, const Place &place,
             float v0, float v1) {
  if (place.lanes > 0)
    store<2>(T::result(args) + place.element(), Vec<2>{{v0, v1}},
             hasPairs<T>(plan) && place.aligned<2>(), place.lanes);
}

//===----------------------------------------------------------------------===//
// Rows
//===----------------------------------------------------------------------===//

/// What a warp has of a block's product: M times 16 rows, which begin at `row`
/// and every rowStep rows after it, by N times 8 columns from `column` on. Warps
/// form a grid of warpsM by warpsN, or lie in rows where warpgroups multiply.
template <class T> struct WarpShare {
  static constexpr RowsTile tile = T::tile();
  static constexpr bool grouped = byWarpgroups<T>();
  static constexpr int warps = tile.warpsM * tile.warpsN;
  static constexpr int warpsN = grouped ? 1 : tile.warpsN;
  static constexpr int M = tile.m / (warps / warpsN) / 16;
  static constexpr int N = tile.n / warpsN / 8;
  static constexpr int rowStep = grouped ? 16 * warps : 16;

  static __device__ __forceinline__ int row() {
    const int warp = threadIdx.x / warpThreads;
    return warp / warpsN * (grouped ? 16 : M * 16);
  }
  static __device__ __forceinline__ int column() {
    return threadIdx.x / warpThreads % warpsN * (N * 8);
  }
};

/// Adds the product of a piece of filters at the address `filters`, and what is
/// `offset` bytes behind `rows`.
template <class T, int M, int N, int R>
__device__ __forceinline__ void
multiplyPiece(float (&acc)[M][N][4], const unsigned (&rows)[M][R],
              unsigned offset, unsigned filters) {
  using Math = typename T::Math;
  constexpr RowsTile tile = T::tile();
  constexpr int bytes = tile.k * tile.bytes;
  if constexpr (byWarpgroups<T>()) {
    constexpr int most = 4 * stepBytes;
    constexpr int batch = bytes % most == 0 ? most : stepBytes;
#pragma unroll
    for (int k = 0; k < bytes; k += batch)
      Math::template multiplyGroup<batch>(acc, rows, offset + k,
                                          filters + k * tile.n);
  } else {
    const unsigned columns = Math::laneColumns(
        filters + WarpShare<T>::column() * tile.pitch(tile.k),
        tile.pitch(tile.k), threadIdx.x % warpThreads);
#pragma unroll
    for (int k = 0; k < bytes; k += stepBytes)
      Math::template multiply<M, N>(acc, rows, offset + k, columns + k,
                                    tile.pitch(tile.k));
  }
}

/// Each block computes tile.m pixels by tile.n channels of the result, for all
/// branches of the round in turn, divided among warps as WarpShare says; each
/// thread has the accumulators that Mma.cuh says, and with an epilogue for each
/// branch the running sum beside them.
///
/// Meanwhile filters stream through a ring in shared memory: while one piece is
/// multiplied, the copies of the next stages - 2 are under way, also past the
/// end of a branch.
template <class T, class Args>
__device__ __forceinline__ void computeRows(const Args &args, int task) {
  using Math = typename T::Math;
  constexpr RowsTile tile = T::tile();
  using Share = WarpShare<T>;
  constexpr int M = Share::M, N = Share::N, rowStep = Share::rowStep;
  constexpr bool summed = T::join != Join::Apart;
  constexpr bool sumsApart = summed && T::epilogue == Apply::Branch;
  const RowsPlan plan = T::plan(args);
  const RowsTask at(plan, task);
  const int lane = threadIdx.x % warpThreads;
  const int firstRow = Share::row();
  const int firstColumn = at.columnBlock * tile.n + Share::column();

  const unsigned resident = sharedAddress(sharedMemory());
  const unsigned ring = resident + plan.residentBytes();
  unsigned rows[M][Math::laneRows];
#pragma unroll
  for (int m = 0; m < M; ++m)
#pragma unroll
    for (int i = 0; i < Math::laneRows; ++i)
      rows[m][i] = resident + Math::laneRowOffset(lane) +
                   RowsTask::residentRow(
                       tile, firstRow + m * rowStep + Math::laneRow(lane, i)) *
                       plan.residentPitch();

  FilterStream<T> filters(plan, at, T::packed(args), ring);
#pragma unroll 1
  for (int i = 0; i < tile.stages - 1; ++i)
    filters.copyNext();

  float acc[M][N][4] = {};
  float sum[sumsApart ? M : 1][sumsApart ? N : 1][4] = {};
  // What is joined: the accumulators, or the running sum.
  auto joined = [&](int n) -> float(&)[4] {
    if constexpr (sumsApart)
      return sum[0][n];
    else
      return acc[0][n];
  };
#pragma unroll 1
  for (int branch = at.firstBranch; branch < at.endBranch; ++branch) {
#pragma unroll 1
    for (int chunk = 0; chunk < plan.chunks; ++chunk) {
      if (T::sourceOfBranch || plan.chunks > 1 || branch == at.firstBranch) {
        // The products with the chunk before are over.
        __syncthreads();
        loadSource<T>(args, plan, at, branch, chunk, resident);
      }
#pragma unroll 1
      for (int tap = at.nextTap(plan, 0); tap < plan.taps;
           tap = at.nextTap(plan, tap + 1)) {
        unsigned offset = at.tapRow(tile, tap) * plan.residentPitch();
#pragma unroll 1
        for (int piece = plan.piecesOf(chunk); piece > 0; --piece) {
          multiplyPiece<T>(acc, rows, offset, filters.take());
          offset += tile.k * tile.bytes;
        }
      }
    }
    if constexpr (T::epilogue == Apply::Branch || !summed)
      forEachPair<rowStep>(
          plan, at, branch, firstRow, firstColumn, acc, sum,
          [&](const Place &place, int n, int half) {
            float v0 = acc[0][n][2 * half], v1 = acc[0][n][2 * half + 1];
            acc[0][n][2 * half] = acc[0][n][2 * half + 1] = 0.0f;
            if constexpr (T::epilogue == Apply::Branch)
              applyEpilogue<T>(args, plan, place, v0, v1);
            if constexpr (summed) {
              sum[0][n][2 * half] += v0;
              sum[0][n][2 * half + 1] += v1;
            } else {
              applyFinish<T>(args, plan, place, v0, v1);
            }
          });
  }
  if constexpr (summed) {
    const bool last = at.endBranch == plan.extents.branches;
    const float factor =
        T::join == Join::Mean && last
            ? 1.0f / static_cast<float>(maxOf(plan.extents.branches, 1))
            : 1.0f;
    forEachPair<rowStep>(plan, at, 0, firstRow, firstColumn, acc, sum,
                         [&](const Place &place, int n, int half) {
                           float v0 = joined(n)[2 * half];
                           float v1 = joined(n)[2 * half + 1];
                           if (at.firstBranch > 0) {
                             const Vec<2> before =
                                 loadPartial<T>(args, plan, place);
                             v0 += before[0];
                             v1 += before[1];
                           }
                           v0 *= factor;
                           v1 *= factor;
                           if (!last) {
                             storePartial<T>(args, plan, place, v0, v1);
                             return;
                           }
                           if constexpr (T::epilogue == Apply::Sum)
                             applyEpilogue<T>(args, plan, place, v0, v1);
                           applyFinish<T>(args, plan, place, v0, v1);
                         });
  }
}

} // namespace cambium

#endif // CAMBIUM_DEVICE_ROWS_CUH
