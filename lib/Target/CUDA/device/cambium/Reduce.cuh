//===- Reduce.cuh - Sums over pixels, by channel -------------- -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A tensor is rows (pixels) times channels. Its sums take two phases: blocks
// add chunks of rows into the workspace, then blocks add the chunks in order.
// All sums are in double precision: a variance then follows from the sum of
// squares, whatever the mean, and what is added up to what is fixed by extents.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_REDUCE_CUH
#define CAMBIUM_DEVICE_REDUCE_CUH

#include "cambium/Flat.cuh"

namespace cambium {

constexpr int reduceThreads = 256;
/// Threads of a block that are side by side in a row, at most.
constexpr int reduceColumns = 32;
/// A block adds at least this many elements, and there are at most about as
/// many blocks, unless the channels ask for more.
constexpr int chunkElements = 16384;
constexpr int maxChunkBlocks = 512;

//===----------------------------------------------------------------------===//
// Sums of a block
//===----------------------------------------------------------------------===//

/// Adds up what threads hold that are `columns` apart. The first `columns`
/// threads get the sums. `columns` is a power of two; shared memory has room
/// for reduceThreads * Count doubles.
template <int Count>
__device__ __forceinline__ void addThreads(double (&sums)[Count], int columns) {
  double *shared = reinterpret_cast<double *>(sharedMemory());
  const int thread = static_cast<int>(threadIdx.x);
  // Each round, the upper half of the threads hands its sums to the lower one.
  // No round writes where an earlier one reads, so one barrier is enough.
  for (int half = reduceThreads / 2; half >= columns; half /= 2) {
    if (thread >= half && thread < 2 * half) {
#pragma unroll
      for (int i = 0; i < Count; ++i)
        shared[i * reduceThreads + thread] = sums[i];
    }
    __syncthreads();
    if (thread < half) {
#pragma unroll
      for (int i = 0; i < Count; ++i)
        sums[i] += shared[i * reduceThreads + thread + half];
    }
  }
}

/// The sum of all threads' values, for thread 0.
__device__ __forceinline__ double addBlock(double value) {
  double sums[1] = {value};
  addThreads<1>(sums, 1);
  return sums[0];
}

/// Sums over a range of rows for the columns of one block: threads side by side
/// take N channels each, the others take other rows.
template <int N, class Terms> struct RowSums {
  static constexpr int count = Terms::sums * N;

  int channels;
  int channel;
  int columns = 1;
  double sums[count] = {};

  __device__ __forceinline__ RowSums(int channels, int channelBlock)
      : channels(channels) {
    while (columns < reduceColumns && columns * N < channels)
      columns *= 2;
    const int column = static_cast<int>(threadIdx.x) % columns;
    channel = (channelBlock * reduceColumns + column) * N;
  }

  __device__ __forceinline__ void add(const Terms &terms, long long first,
                                      long long last) {
    const int lanes = reduceThreads / columns;
    const int lane = static_cast<int>(threadIdx.x) / columns;
    if (channel < channels) {
#pragma unroll 4
      for (long long row = first + lane; row < last; row += lanes)
        terms.template add<N>(row * channels + channel, sums);
    }
    addThreads<count>(sums, columns);
  }

  /// True for the threads that have sums after `add`.
  __device__ __forceinline__ bool owner() const {
    return static_cast<int>(threadIdx.x) < columns && channel < channels;
  }
};

//===----------------------------------------------------------------------===//
// Chunks
//===----------------------------------------------------------------------===//

/// How rows are divided among blocks. The host computes the same.
struct RowChunks {
  int channelBlocks;
  long long rows;
  int count;

  __device__ __forceinline__ RowChunks(long long allRows, int channels) {
    const int width = reduceColumns * (channels % 4 == 0 ? 4 : 1);
    channelBlocks = ceilDiv(channels, width);
    const int least = maxOf(chunkElements / minOf(channels, width), 1);
    const int most = maxOf(maxChunkBlocks / channelBlocks, 1);
    rows = maxOf<long long>(least, ceilDiv<long long>(allRows, most));
    count = static_cast<int>(ceilDiv(allRows, rows));
  }
};

template <int N, class Terms>
__device__ __forceinline__ void addChunkOf(const Terms &terms, long long rows,
                                           int channels, int task,
                                           double *partial) {
  const RowChunks chunks(rows, channels);
  const int chunk = task / chunks.channelBlocks;
  RowSums<N, Terms> block(channels, task % chunks.channelBlocks);
  const long long first = chunk * chunks.rows;
  block.add(terms, first, minOf(first + chunks.rows, rows));
  if (!block.owner())
    return;
  double *to = partial +
               static_cast<long long>(chunk) * Terms::sums * channels +
               block.channel;
#pragma unroll
  for (int sum = 0; sum < Terms::sums; ++sum)
#pragma unroll
    for (int i = 0; i < N; ++i)
      to[static_cast<long long>(sum) * channels + i] = block.sums[sum * N + i];
}

/// First phase: the sums of one chunk of rows and one block of channels, to
/// partial[chunk][sum][channel].
template <class Terms>
__device__ __forceinline__ void addChunk(const Terms &terms, long long rows,
                                         int channels, int task,
                                         double *partial) {
  if (channels % 4 == 0)
    addChunkOf<4>(terms, rows, channels, task, partial);
  else
    addChunkOf<1>(terms, rows, channels, task, partial);
}

/// Second phase: calls `finish.at(channel, totals)` with the sums over all rows
/// for a block of reduceColumns channels.
template <class Finish>
__device__ __forceinline__ void addChunks(const Finish &finish, long long rows,
                                          int channels, int task,
                                          const double *partial) {
  const RowChunks chunks(rows, channels);
  const int thread = static_cast<int>(threadIdx.x);
  const int channel = task * reduceColumns + thread % reduceColumns;
  double totals[Finish::sums] = {};
  if (channel < channels) {
    for (int chunk = thread / reduceColumns; chunk < chunks.count;
         chunk += reduceThreads / reduceColumns) {
#pragma unroll
      for (int sum = 0; sum < Finish::sums; ++sum)
        totals[sum] +=
            partial[(static_cast<long long>(chunk) * Finish::sums + sum) *
                        channels +
                    channel];
    }
  }
  addThreads<Finish::sums>(totals, reduceColumns);
  if (thread < reduceColumns && channel < channels)
    finish.at(channel, totals);
}

/// Where the workspace goes on behind the chunks' sums.
__device__ __forceinline__ float *behindChunks(double *partial, long long rows,
                                               int channels, int sums) {
  const RowChunks chunks(rows, channels);
  return reinterpret_cast<float *>(
      partial + static_cast<long long>(chunks.count) * sums * channels);
}

//===----------------------------------------------------------------------===//
// Channel sums
//===----------------------------------------------------------------------===//

/// The elements themselves.
struct PlainTerms {
  static constexpr int sums = 1;
  const float *x;

  template <int N>
  __device__ __forceinline__ void add(long long offset,
                                      double (&sums)[N]) const {
    const Vec<N> values = load<N>(x + offset, true);
#pragma unroll
    for (int i = 0; i < N; ++i)
      sums[i] += values[i];
  }
};

struct StoreSum {
  static constexpr int sums = 1;
  float *y;

  __device__ __forceinline__ void at(int channel,
                                     const double (&totals)[1]) const {
    y[channel] = static_cast<float>(totals[0]);
  }
};

//===----------------------------------------------------------------------===//
// Batch normalisation
//===----------------------------------------------------------------------===//

/// Elements and their squares.
struct MomentTerms {
  static constexpr int sums = 2;
  const float *x;

  template <int N>
  __device__ __forceinline__ void add(long long offset,
                                      double (&sums)[2 * N]) const {
    const Vec<N> values = load<N>(x + offset, true);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const double value = values[i];
      sums[i] += value;
      sums[N + i] += value * value;
    }
  }
};

/// Statistics of a batch of `rows`, from its MomentTerms. Results may be null.
struct NormStats {
  static constexpr int sums = 2;
  double momentum;
  long long rows;
  const float *runningMean, *runningVariance;
  float *mean, *variance, *nextMean, *nextVariance;

  __device__ __forceinline__ void at(int channel,
                                     const double (&totals)[2]) const {
    const double count = static_cast<double>(rows);
    const double average = totals[0] / count;
    // Rounding may leave a tiny negative number.
    const double square = maxOf(totals[1] / count - average * average, 0.0);
    // One element has no unbiased variance; its biased one stands in.
    const double unbiased = square * count / maxOf(count - 1.0, 1.0);
    if (mean)
      mean[channel] = static_cast<float>(average);
    if (variance)
      variance[channel] = static_cast<float>(square);
    if (nextMean)
      nextMean[channel] = moved(runningMean[channel], average);
    if (nextVariance)
      nextVariance[channel] = moved(runningVariance[channel], unbiased);
  }

private:
  __device__ __forceinline__ float moved(float running, double batch) const {
    return static_cast<float>((1.0 - momentum) * running + momentum * batch);
  }
};

/// Gradients dy and their products with x.
struct NormGradTerms {
  static constexpr int sums = 2;
  const float *x, *dy;

  template <int N>
  __device__ __forceinline__ void add(long long offset,
                                      double (&sums)[2 * N]) const {
    const Vec<N> values = load<N>(x + offset, true);
    const Vec<N> gradients = load<N>(dy + offset, true);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      const double gradient = gradients[i];
      sums[i] += gradient;
      sums[N + i] += gradient * values[i];
    }
  }
};

/// With d = x - mean and r = 1 / sqrt(variance + epsilon), of n rows:
/// dshift = sum dy, dscale = r * sum dy * d, and
/// dx = factor * (dy - shift - d * slope), where factor = scale * r,
/// shift = dshift / n and slope = r * dscale / n. Results may be null.
struct NormGradSums {
  static constexpr int sums = 2;
  double epsilon;
  long long rows;
  int channels;
  const float *scale, *mean, *variance;
  float *dScale, *dShift;
  /// Factor, shift and slope of all channels, one after the other.
  float *coefficients;

  __device__ __forceinline__ void at(int channel,
                                     const double (&totals)[2]) const {
    const double count = static_cast<double>(rows);
    const double inverse = 1.0 / sqrt(variance[channel] + epsilon);
    // sum dy * d from sum dy * x: both are exact enough.
    const double scaled = inverse * (totals[1] - mean[channel] * totals[0]);
    if (dShift)
      dShift[channel] = static_cast<float>(totals[0]);
    if (dScale)
      dScale[channel] = static_cast<float>(scaled);
    if (!coefficients)
      return;
    coefficients[channel] = static_cast<float>(scale[channel] * inverse);
    coefficients[channels + channel] = static_cast<float>(totals[0] / count);
    coefficients[2ll * channels + channel] =
        static_cast<float>(inverse * scaled / count);
  }
};

/// Third phase of the gradient, element by element; see NormGradSums.
struct NormGradInput {
  int channels;
  const float *x, *dy, *mean, *coefficients;
  float *dx;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const int channel = divide(offset, channels).remainder;
    const Vec<N> factor = load<N>(coefficients + channel, true);
    const Vec<N> shift = load<N>(coefficients + channels + channel, true);
    const Vec<N> slope = load<N>(coefficients + 2ll * channels + channel, true);
    const Vec<N> average = load<N>(mean + channel, true);
    const Vec<N> values = load<N>(x + offset, true);
    const Vec<N> gradients = load<N>(dy + offset, true);
    Vec<N> result;
#pragma unroll
    for (int i = 0; i < N; ++i)
      result[i] = factor[i] * (gradients[i] - shift[i] -
                               (values[i] - average[i]) * slope[i]);
    store<N>(dx + offset, result, true);
  }
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_REDUCE_CUH
