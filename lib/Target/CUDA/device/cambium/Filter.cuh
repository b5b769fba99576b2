//===- Filter.cuh - Gradients of filters --------------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// dw[tap][ci][co] = sum over pixels of x[pixel at tap][ci] * dy[pixel][co], a
// product of the transposed x with dy whose summed index is the pixel.
//
// A block has a window of taps, some channels of x and of dy, and a part of the
// pixels. Its accumulators stay in registers while it goes over the part patch
// by patch. Pixels in shared memory have their channels in a row: a tap is then
// an offset, and all taps and branches' columns share the loads of x and dy.
// Loading calls the hooks and rounds to the precision.
//
// FilterPlan.cuh says what a block has and where its sums go.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_FILTER_CUH
#define CAMBIUM_DEVICE_FILTER_CUH

#include "cambium/Base.cuh"
#include "cambium/FilterPlan.cuh"
#include "cambium/Mma.cuh"

namespace cambium {

//===----------------------------------------------------------------------===//
// Products of a warp
//===----------------------------------------------------------------------===//
//
// FilterProduct<Element> multiplies `step` pixels of a patch:
//
//   padding           elements between pixels in shared memory, so that the
//                     lanes of a load meet all banks
//   store             rounds elements into shared memory
//   multiply          acc += x^T * dy for `Units` units of 32 channels of x, of
//                     which `offsets` are the places, and 32 channels of dy.
//                     `pixel(p)` is the place of x for the tap (0, 0).
//   row, column       of the `vector` accumulators from i * vector on

template <class Element> struct FilterProduct;

/// A lane has 4 channels of x by twice 4 of dy.
template <> struct FilterProduct<Fp32> {
  using Stored = float;
  static constexpr int step = 4;
  static constexpr int padding = 0;
  static constexpr int vector = 4;

  template <int N>
  static __device__ __forceinline__ void store(float *to, const Vec<N> &v) {
    cambium::store<N>(to, v, true);
  }

  template <int Units, class Pixel>
  static __device__ __forceinline__ void
  multiply(float (&acc)[Units][32], const float *x, const int (&offsets)[Units],
           const Pixel &pixel, const float *dy, int first, int pitch,
           int lane) {
    const float *rows = x + lane / 4 * 4;
    const float *columns = dy + first * pitch + lane % 4 * 4;
#pragma unroll
    for (int p = 0; p < step; ++p) {
      const Vec<4> low = cambium::load<4>(columns + p * pitch, true);
      const Vec<4> high = cambium::load<4>(columns + p * pitch + 16, true);
      const float *at = rows + pixel(first + p);
#pragma unroll
      for (int u = 0; u < Units; ++u) {
        const Vec<4> a = cambium::load<4>(at + offsets[u], true);
#pragma unroll
        for (int i = 0; i < 4; ++i)
#pragma unroll
          for (int j = 0; j < 4; ++j) {
            acc[u][i * 8 + j] += a[i] * low[j];
            acc[u][i * 8 + 4 + j] += a[i] * high[j];
          }
      }
    }
  }

  static __device__ __forceinline__ int row(int i, int lane) {
    return lane / 4 * 4 + i / 2;
  }
  static __device__ __forceinline__ int column(int i, int lane) {
    return i % 2 * 16 + lane % 4 * 4;
  }
};

/// What tensor cores leave: tiles of 16 rows by 8 columns, two by four. Lane
/// 4 * g + t has the rows g and g + 8 of a tile, and the columns 2 * t and
/// 2 * t + 1.
struct FilterTensorCore {
  static constexpr int vector = 2;

  static __device__ __forceinline__ int row(int i, int lane) {
    return i / 8 * 16 + i % 2 * 8 + lane / 4;
  }
  static __device__ __forceinline__ int column(int i, int lane) {
    return i % 8 / 2 * 8 + lane % 4 * 2;
  }
  /// The accumulators of a tile.
  static __device__ __forceinline__ float (&tile(float (&acc)[32], int m,
                                                 int n))[4] {
    return *reinterpret_cast<float (*)[4]>(&acc[(m * 4 + n) * 4]);
  }
};

template <> struct FilterProduct<Tf32> : FilterTensorCore {
  using Stored = unsigned;
  static constexpr int step = 8;
  static constexpr int padding = 8;

  template <int N>
  static __device__ __forceinline__ void store(unsigned *to, const Vec<N> &v) {
    Vec<N> rounded;
#pragma unroll
    for (int i = 0; i < N; ++i)
      rounded[i] = floatOf(toTf32(v[i]));
    cambium::store<N>(reinterpret_cast<float *>(to), rounded, true);
  }

  template <int Units, class Pixel>
  static __device__ __forceinline__ void
  multiply(float (&acc)[Units][32], const unsigned *x,
           const int (&offsets)[Units], const Pixel &pixel, const unsigned *dy,
           int first, int pitch, int lane) {
    const int g = lane / 4, t = lane % 4;
    const unsigned *columns = dy + (first + t) * pitch + g;
    unsigned b[4][2];
#pragma unroll
    for (int n = 0; n < 4; ++n) {
      b[n][0] = columns[n * 8];
      b[n][1] = columns[4 * pitch + n * 8];
    }
    const unsigned *low = x + pixel(first + t) + g;
    const unsigned *high = x + pixel(first + t + 4) + g;
#pragma unroll
    for (int u = 0; u < Units; ++u)
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        const int row = offsets[u] + m * 16;
        const unsigned a[4] = {low[row], low[row + 8], high[row],
                               high[row + 8]};
#pragma unroll
        for (int n = 0; n < 4; ++n)
          mmaTf32(tile(acc[u], m, n), a, b[n][0], b[n][1]);
      }
  }
};

template <> struct FilterProduct<Bf16> : FilterTensorCore {
  using Stored = unsigned short;
  static constexpr int step = 16;
  static constexpr int padding = 8;

  template <int N>
  static __device__ __forceinline__ void store(unsigned short *to,
                                               const Vec<N> &v) {
    if constexpr (N == 1) {
      *to = static_cast<unsigned short>(toBf16(v[0], 0.0f));
    } else {
#pragma unroll
      for (int i = 0; i < N; i += 2)
        reinterpret_cast<unsigned *>(to)[i / 2] = toBf16(v[i], v[i + 1]);
    }
  }

  /// The pixels are the rows of ldmatrix, which transposes: each lane gives the
  /// address of a pixel's 8 channels.
  template <int Units, class Pixel>
  static __device__ __forceinline__ void
  multiply(float (&acc)[Units][32], const unsigned short *x,
           const int (&offsets)[Units], const Pixel &pixel,
           const unsigned short *dy, int first, int pitch, int lane) {
    const int inMatrix = lane % 8, matrix = lane / 8;
    const unsigned columns = sharedAddress(
        dy + (first + inMatrix + matrix % 2 * 8) * pitch + matrix / 2 * 8);
    unsigned b[2][4];
#pragma unroll
    for (int n = 0; n < 2; ++n)
      loadMatricesTransposed(b[n], columns + n * 16 * sizeof(unsigned short));
    const unsigned rows = sharedAddress(
        x + pixel(first + inMatrix + matrix / 2 * 8) + matrix % 2 * 8);
#pragma unroll
    for (int u = 0; u < Units; ++u)
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        unsigned a[4];
        loadMatricesTransposed(a, rows + (offsets[u] + m * 16) *
                                             sizeof(unsigned short));
#pragma unroll
        for (int n = 0; n < 4; ++n)
          mmaBf16(tile(acc[u], m, n), a, b[n / 2][n % 2 * 2],
                  b[n / 2][n % 2 * 2 + 1]);
      }
  }
};

//===----------------------------------------------------------------------===//
// Blocks
//===----------------------------------------------------------------------===//

/// What the emitted code gives:
///
///   struct Kernel {
///     using Element = Fp32;              // or Tf32, Bf16
///     static constexpr int workspace;    // its place in Arguments::buffers
///     // Channels of x and dy that a thread loads at a time.
///     static constexpr int inputVector, gradientVector;
///     static constexpr FilterTile tile();
///     FilterPlan plan(args);
///     // x at a place, as the contraction reads it.
///     void input(args, place, Vec<N> &x);
///     // What the forward contraction gave in a branch, if dy depends on it.
///     const float *kept(args, branch);
///     // dy, and the vectors that are summed over pixels.
///     void gradient(args, kept, place, Vec<N> &dy, Vec<N> (&sums)[...]);
///     // Passes on dw at a place: row of the filter and channels of dy.
///     void finish(args, place, Vec<N> &dw);
///     // Where the branch's sum number `index` goes.
///     float *sum(args, branch, index);
///   };
template <class Kernel> class FilterBlock {
  using Element = typename Kernel::Element;
  using Product = FilterProduct<Element>;
  using Stored = typename Product::Stored;

  static constexpr FilterTile tile = Kernel::tile();
  static constexpr int sums = tile.sums;
  static constexpr int threads = tile.threads();
  static constexpr int inputPitch = tile.inputs + Product::padding;
  static constexpr int gradientPitch = tile.outputs + Product::padding;
  static constexpr int inputRows = tile.inputRows();
  static constexpr int inputColumns = tile.inputColumns();
  static constexpr int inputPixels = tile.inputPixels();
  static constexpr long long tileFloats = tile.quads() * 4;
  static constexpr int stageElements = tile.stageElements(Product::padding);
  /// Threads that load dy: each has its own channels and every so many-th
  /// pixel, and sums up what it meets.
  static constexpr int gradientLanes = tile.outputs / Kernel::gradientVector;
  static constexpr int gradientThreads =
      threads / gradientLanes * gradientLanes;

  /// A tile of the gradient: its group, first tap and first channels in it.
  /// Here and below numbers are divided without signs, which cost instructions.
  struct Tile {
    __device__ __forceinline__ Tile(const FilterPlan &plan, unsigned index)
        : index(index) {
      output = index % plan.outputBlocks * tile.outputs;
      index /= plan.outputBlocks;
      input = index % plan.inputBlocks * tile.inputs;
      index /= plan.inputBlocks;
      const unsigned taps = index % plan.tapBlocks;
      tapRow = taps / plan.tapBlockColumns * tile.tapRows;
      tapColumn = taps % plan.tapBlockColumns * tile.tapColumns;
      group = index / plan.tapBlocks;
    }
    int index, group, tapRow, tapColumn, input, output;
  };

  /// A patch: the first image, and the first row and column of dy.
  struct Patch {
    int image, row, column;
  };

public:
  /// Adds up the part of a gradient that is `task`'s and stores it in the
  /// workspace.
  template <class Args>
  static __device__ __forceinline__ void accumulate(const Args &args,
                                                    int task) {
    const FilterPlan plan = Kernel::plan(args);
    FilterBlock block(plan, task);
    if (block.branch < plan.extents.branches)
      block.run(args);
  }

  /// Adds up the parts' gradients and sums that are `task`'s and passes them
  /// on.
  template <class Args>
  static __device__ __forceinline__ void finish(const Args &args, int task) {
    const FilterPlan plan = Kernel::plan(args);
    const int branch = task / plan.finishBlocksPerBranch();
    const int block = task % plan.finishBlocksPerBranch();
    if (branch >= plan.extents.branches)
      return;
    const float *partials =
        static_cast<const float *>(args.buffers[Kernel::workspace]) +
        plan.partial(branch, 0);
    if (block < plan.gradientBlocks())
      finishGradient(args, plan, branch, block, partials);
    else if constexpr (sums > 0)
      finishSums(args, plan, branch, block - plan.gradientBlocks(),
                 partials + plan.gradientFloats);
  }

private:
  __device__ __forceinline__ FilterBlock(const FilterPlan &plan, int task)
      : plan(plan), at(plan, task % plan.tiles()) {
    branch = task / plan.blocksPerBranch();
    part = task / plan.tiles() % plan.parts;
    warp = static_cast<int>(threadIdx.x) / 32;
    lane = static_cast<int>(threadIdx.x) % 32;
  }

  template <class Args> __device__ __forceinline__ void run(const Args &args) {
    kept = Kernel::kept(args, branch);
    float acc[tile.units][32];
#pragma unroll
    for (int u = 0; u < tile.units; ++u)
#pragma unroll
      for (int i = 0; i < 32; ++i)
        acc[u][i] = 0.0f;
    float totals[sums > 0 ? sums : 1][Kernel::gradientVector] = {};
    int offsets[tile.units];
#pragma unroll
    for (int u = 0; u < tile.units; ++u)
      offsets[u] = unitOffset(u);

    const int begin = static_cast<int>(static_cast<long long>(part) *
                                       plan.patches / plan.parts);
    const int end = static_cast<int>(static_cast<long long>(part + 1) *
                                     plan.patches / plan.parts);
    // With two stages half of the warps multiply a patch first and then load
    // the next, the others the other way round: loads and products overlap.
    const int turn = tile.stages == 2 ? warp / 4 % 2 : 0;
    for (int patch = begin - 1; patch < end; ++patch) {
#pragma unroll 1
      for (int half = 0; half < 2; ++half) {
        if (half == turn && patch >= begin)
          multiply(acc, offsets, stage(patch));
        if (tile.stages == 1)
          __syncthreads();
        if (half != turn && patch + 1 < end)
          loadPatch(args, patch + 1, stage(patch + 1), totals);
      }
      __syncthreads();
    }
    float *partial = static_cast<float *>(args.buffers[Kernel::workspace]) +
                     plan.partial(branch, part);
    storeGradient(acc, partial);
    if constexpr (sums > 0)
      if (at.tapRow == 0 && at.tapColumn == 0 && at.input == 0)
        storeSums(totals, partial + plan.gradientFloats);
  }

  static __device__ __forceinline__ Stored *stage(int patch) {
    return reinterpret_cast<Stored *>(sharedMemory()) +
           (tile.stages == 2 ? patch & 1 : 0) * stageElements;
  }

  //===--------------------------------------------------------------------===//
  // Loads
  //===--------------------------------------------------------------------===//

  template <class Args, int S>
  __device__ __forceinline__ void
  loadPatch(const Args &args, unsigned index, Stored *to,
            float (&totals)[S][Kernel::gradientVector]) {
    Patch patch;
    patch.column = index % plan.patchColumns * tile.columns;
    index /= plan.patchColumns;
    patch.row = index % plan.patchRows * tile.rows;
    patch.image = index / plan.patchRows * tile.images;
    loadInput(args, patch, to);
    loadGradient(args, patch, to + inputPixels * inputPitch, totals);
  }

  /// Neighbouring threads load neighbouring channels, then pixels.
  template <class Args>
  __device__ __forceinline__ void loadInput(const Args &args,
                                            const Patch &patch, Stored *to) {
    constexpr int N = Kernel::inputVector, lanes = tile.inputs / N;
    const int firstRow =
        patch.row * tile.strideH - tile.padTop + at.tapRow * tile.dilationH;
    const int firstColumn = patch.column * tile.strideW - tile.padLeft +
                            at.tapColumn * tile.dilationW;
    const int left = plan.groupInputs - at.input;
#pragma unroll 1
    for (unsigned i = threadIdx.x; i < inputPixels * lanes; i += threads) {
      const unsigned pixel = i / lanes;
      const int channel = i % lanes * N;
      const int image = patch.image + pixel / (inputRows * inputColumns);
      const int row =
          firstRow + pixel / inputColumns % inputRows * tile.rowStep();
      const int column = firstColumn + pixel % inputColumns * tile.columnStep();
      Vec<N> x = {};
      if (image < plan.extents.batch && row >= 0 && row < plan.extents.inH &&
          column >= 0 && column < plan.extents.inW && channel < left) {
        Place place;
        place.pixel = (static_cast<long long>(image) * plan.extents.inH + row) *
                          plan.extents.inW +
                      column;
        place.channel = at.group * plan.groupInputs + at.input + channel;
        place.channels = plan.extents.inC;
        place.branch = 0;
        place.branches = 1;
        place.lanes = minOf(left - channel, N);
        Kernel::input(args, place, x);
      }
      Product::store(to + pixel * inputPitch + channel, x);
    }
  }

  template <class Args, int S>
  __device__ __forceinline__ void
  loadGradient(const Args &args, const Patch &patch, Stored *to,
               float (&totals)[S][Kernel::gradientVector]) {
    constexpr int N = Kernel::gradientVector;
    const int thread = static_cast<int>(threadIdx.x);
    const int channel = thread % gradientLanes * N;
    const int left = plan.groupOutputs - at.output;
    if (thread >= gradientThreads)
      return;
#pragma unroll 1
    for (unsigned pixel = thread / gradientLanes; pixel < tile.pixels();
         pixel += gradientThreads / gradientLanes) {
      const int image = patch.image + pixel / (tile.rows * tile.columns);
      const int row = patch.row + pixel / tile.columns % tile.rows;
      const int column = patch.column + pixel % tile.columns;
      Vec<N> dy = {};
      if (image < plan.extents.batch && row < plan.extents.outH &&
          column < plan.extents.outW && channel < left) {
        Place place;
        place.pixel =
            (static_cast<long long>(image) * plan.extents.outH + row) *
                plan.extents.outW +
            column;
        place.channel = at.group * plan.groupOutputs + at.output + channel;
        place.channels = plan.extents.outC;
        place.branch = branch;
        place.branches = plan.extents.branches;
        place.lanes = minOf(left - channel, N);
        Vec<N> terms[S] = {};
        Kernel::gradient(args, kept, place, dy, terms);
        if constexpr (sums > 0)
#pragma unroll
          for (int s = 0; s < S; ++s)
#pragma unroll
            for (int j = 0; j < N; ++j)
              totals[s][j] += terms[s][j];
      }
      Product::store(to + pixel * gradientPitch + channel, dy);
    }
  }

  //===--------------------------------------------------------------------===//
  // Products
  //===--------------------------------------------------------------------===//

  /// The tap and the 32 channels of a warp's unit; units behind the last are
  /// computed like the last and not stored.
  static __device__ __forceinline__ int unitOf(int warp, int u) {
    return warp / tile.warpColumns() * tile.units + u;
  }
  __device__ __forceinline__ int unitOffset(int u) const {
    const int unit = minOf(unitOf(warp, u), tile.blockUnits() - 1);
    const int tap = unit / tile.unitsPerTap();
    const int row =
        tap / tile.tapColumns * tapDistance(tile.dilationH, tile.rowStep());
    const int column =
        tap % tile.tapColumns * tapDistance(tile.dilationW, tile.columnStep());
    return (row * inputColumns + column) * inputPitch +
           unit % tile.unitsPerTap() * FilterTile::unitRows;
  }
  /// A block with one row (column) of taps has no distance between them.
  static constexpr __device__ __forceinline__ int tapDistance(int dilation,
                                                              int step) {
    return dilation / step;
  }

  __device__ __forceinline__ void multiply(float (&acc)[tile.units][32],
                                           const int (&offsets)[tile.units],
                                           const Stored *x) const {
    const Stored *dy = x + inputPixels * inputPitch +
                       warp % tile.warpColumns() * FilterTile::unitColumns;
    auto pixel = [](int p) {
      constexpr int rowFactor = tile.strideH / tile.rowStep();
      constexpr int columnFactor = tile.strideW / tile.columnStep();
      const int image = p / (tile.rows * tile.columns);
      const int row = p / tile.columns % tile.rows;
      const int column = p % tile.columns;
      return ((image * inputRows + row * rowFactor) * inputColumns +
              column * columnFactor) *
             inputPitch;
    };
#pragma unroll 1
    for (int p = 0; p < tile.pixels(); p += Product::step)
      Product::multiply(acc, x, offsets, pixel, dy, p, gradientPitch, lane);
  }

  //===--------------------------------------------------------------------===//
  // Sums
  //===--------------------------------------------------------------------===//

  __device__ __forceinline__ void
  storeGradient(const float (&acc)[tile.units][32], float *partial) const {
    float *to = partial + at.index * tileFloats + threadIdx.x * 4;
#pragma unroll
    for (int u = 0; u < tile.units; ++u)
#pragma unroll
      for (int i = 0; i < 8; ++i) {
        Vec<4> quad;
#pragma unroll
        for (int j = 0; j < 4; ++j)
          quad[j] = acc[u][i * 4 + j];
        cambium::store<4>(to + (u * 8 + i) * threads * 4, quad, true);
      }
  }

  /// Adds up the threads' totals through shared memory, in the threads' order.
  template <int S>
  __device__ __forceinline__ void
  storeSums(const float (&totals)[S][Kernel::gradientVector],
            float *partial) const {
    constexpr int N = Kernel::gradientVector;
    constexpr int rows = gradientThreads / gradientLanes;
    float *shared = reinterpret_cast<float *>(sharedMemory());
    const int thread = static_cast<int>(threadIdx.x);
    const int left = plan.groupOutputs - at.output;
#pragma unroll 1
    for (int s = 0; s < S; ++s) {
      __syncthreads();
      if (thread < gradientThreads)
#pragma unroll
        for (int j = 0; j < N; ++j) {
          float total = totals[0][j];
#pragma unroll
          for (int other = 1; other < S; ++other)
            total = other == s ? totals[other][j] : total;
          shared[thread * N + j] = total;
        }
      __syncthreads();
      for (int channel = thread; channel < minOf(left, tile.outputs);
           channel += threads) {
        float total = 0.0f;
#pragma unroll 1
        for (int row = 0; row < rows; ++row)
          total += shared[row * tile.outputs + channel];
        partial[s * plan.extents.outC + at.group * plan.groupOutputs +
                at.output + channel] = total;
      }
    }
  }

  /// A thread adds up one quad of accumulators over all parts.
  template <class Args>
  static __device__ __forceinline__ void
  finishGradient(const Args &args, const FilterPlan &plan, int branch,
                 int block, const float *partials) {
    constexpr int V = Product::vector, N = minOf(V, Kernel::gradientVector);
    const unsigned index = block * FilterPlan::finishThreads + threadIdx.x;
    if (index >= plan.tiles() * tile.quads())
      return;
    Vec<4> sum = {};
    const float *from = partials + index * 4ll;
    for (int part = 0; part < plan.parts; ++part, from += plan.partialFloats) {
      const Vec<4> term = cambium::load<4>(from, true);
#pragma unroll
      for (int j = 0; j < 4; ++j)
        sum[j] += term[j];
    }
    const unsigned thread = index % threads, quad = index / threads % 8;
    const unsigned unit = unitOf(thread / 32, index / threads / 8 % tile.units);
    const unsigned tap = unit / tile.unitsPerTap();
    const Tile at(plan, index / tile.quads());
    const int tapRow = at.tapRow + tap / tile.tapColumns;
    const int tapColumn = at.tapColumn + tap % tile.tapColumns;
    if (unit >= tile.blockUnits() || tapRow >= tile.kernelH ||
        tapColumn >= tile.kernelW)
      return;
#pragma unroll
    for (int i = 0; i < 4; i += N) {
      const int vector = (quad * 4 + i) / V;
      const int input = at.input +
                        unit % tile.unitsPerTap() * FilterTile::unitRows +
                        Product::row(vector, thread % 32);
      const int output =
          at.output +
          thread / 32 % tile.warpColumns() * FilterTile::unitColumns +
          Product::column(vector, thread % 32) + i % V;
      Vec<N> dw;
#pragma unroll
      for (int j = 0; j < N; ++j)
        dw[j] = sum[i + j];
      Place place;
      place.pixel =
          (tapRow * tile.kernelW + tapColumn) * plan.groupInputs + input;
      place.channel = at.group * plan.groupOutputs + output;
      place.channels = plan.extents.outC;
      place.branch = branch;
      place.branches = plan.extents.branches;
      place.lanes = minOf(plan.groupOutputs - output, N);
      if (input < plan.groupInputs && place.lanes > 0)
        Kernel::finish(args, place, dw);
    }
  }

  template <class Args>
  static __device__ __forceinline__ void
  finishSums(const Args &args, const FilterPlan &plan, int branch, int block,
             const float *partials) {
    const int index =
        block * FilterPlan::finishThreads + static_cast<int>(threadIdx.x);
    if (index >= sums * plan.extents.outC)
      return;
    float total = 0.0f;
    for (int part = 0; part < plan.parts; ++part)
      total += partials[part * plan.partialFloats + index];
    Kernel::sum(args, branch,
                index / plan.extents.outC)[index % plan.extents.outC] = total;
  }

  const FilterPlan &plan;
  const Tile at;
  const float *kept;
  int branch, part;
  int warp, lane;
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_FILTER_CUH
