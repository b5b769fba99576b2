//===- Loss.cuh - Losses and their gradients ------------------ -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_LOSS_CUH
#define CAMBIUM_DEVICE_LOSS_CUH

#include "cambium/Reduce.cuh"

namespace cambium {

constexpr int lossThreads = reduceThreads;

/// The mean of `count` terms, of which `parts` sums are in `partial`, by one
/// block.
__device__ __forceinline__ void storeMean(const double *partial,
                                          long long parts, long long count,
                                          float *result) {
  double sum = 0.0;
  for (long long i = threadIdx.x; i < parts; i += lossThreads)
    sum += partial[i];
  sum = addBlock(sum);
  if (threadIdx.x == 0)
    *result = static_cast<float>(sum / static_cast<double>(count));
}

//===----------------------------------------------------------------------===//
// Softmax and cross-entropy
//===----------------------------------------------------------------------===//

/// Rows of a block: one for each warp.
constexpr int lossRows = lossThreads / warpThreads;

/// What all threads of a warp know of its row of logits.
struct Softmax {
  float largest;
  /// Sum of exp(x - largest).
  float sum;

  /// Threads take every warpThreads-th class. A butterfly gives all of them
  /// the same bits.
  __device__ __forceinline__ Softmax(const float *logits, int classes) {
    const int lane = static_cast<int>(threadIdx.x) % warpThreads;
    largest = -__int_as_float(0x7f800000);
    for (int k = lane; k < classes; k += warpThreads)
      largest = logits[k] > largest ? logits[k] : largest;
#pragma unroll
    for (int distance = warpThreads / 2; distance > 0; distance /= 2) {
      const float other = __shfl_xor_sync(fullWarp, largest, distance);
      largest = other > largest ? other : largest;
    }
    sum = 0.0f;
    for (int k = lane; k < classes; k += warpThreads)
      sum += expf(logits[k] - largest);
#pragma unroll
    for (int distance = warpThreads / 2; distance > 0; distance /= 2)
      sum += __shfl_xor_sync(fullWarp, sum, distance);
  }
};

/// First phase: the loss of each row, a warp's task; not a number where the
/// label is no class.
__device__ __forceinline__ void crossEntropyRow(const float *logits,
                                                const int *labels,
                                                long long rows, int classes,
                                                int task, double *losses) {
  const int warp = static_cast<int>(threadIdx.x) / warpThreads;
  const long long row = static_cast<long long>(task) * lossRows + warp;
  if (row >= rows)
    return;
  const float *x = logits + row * classes;
  const Softmax softmax(x, classes);
  if (threadIdx.x % warpThreads != 0)
    return;
  const int label = labels[row];
  const float target =
      label >= 0 && label < classes ? x[label] : __int_as_float(0x7fffffff);
  losses[row] = logf(softmax.sum) + (softmax.largest - target);
}

/// A warp's row of (softmax(x) - one_hot(label)) * gradient / rows.
__device__ __forceinline__ void crossEntropyGradRow(const float *logits,
                                                    const int *labels,
                                                    const float *gradient,
                                                    long long rows, int classes,
                                                    int task, float *dLogits) {
  const int warp = static_cast<int>(threadIdx.x) / warpThreads;
  const long long row = static_cast<long long>(task) * lossRows + warp;
  if (row >= rows)
    return;
  const float *x = logits + row * classes;
  const Softmax softmax(x, classes);
  const float weight = *gradient / static_cast<float>(rows);
  const float factor = weight / softmax.sum;
  const int label = labels[row];
  for (int k = static_cast<int>(threadIdx.x) % warpThreads; k < classes;
       k += warpThreads) {
    const float share = expf(x[k] - softmax.largest) * factor;
    dLogits[row * classes + k] = k == label ? share - weight : share;
  }
}

//===----------------------------------------------------------------------===//
// Mean squared error
//===----------------------------------------------------------------------===//

/// A block adds at least this many terms, and there are at most as many blocks
/// as the second phase's threads add quickly. The host computes the same.
constexpr int leastErrors = 16 * lossThreads;
constexpr int mostErrorBlocks = 4 * lossThreads;

__device__ __forceinline__ long long errorsOfBlock(long long elements) {
  return maxOf<long long>(
      leastErrors,
      roundUp<long long>(ceilDiv<long long>(elements, mostErrorBlocks), 4));
}

/// First phase: the squared distances of a block of elements.
__device__ __forceinline__ void addSquaredErrors(const float *x,
                                                 const float *target,
                                                 long long elements, int task,
                                                 double *partial) {
  const long long size = errorsOfBlock(elements);
  const long long begin = task * size;
  const long long end = minOf(begin + size, elements);
  double sum = 0.0;
  for (long long i = begin + 4 * threadIdx.x; i < end; i += 4 * lossThreads) {
    const int lanes = static_cast<int>(minOf<long long>(end - i, 4));
    const Vec<4> values = load<4>(x + i, true, lanes);
    const Vec<4> targets = load<4>(target + i, true, lanes);
#pragma unroll
    for (int j = 0; j < 4; ++j) {
      const double distance = values[j] - targets[j];
      sum += distance * distance;
    }
  }
  sum = addBlock(sum);
  if (threadIdx.x == 0)
    partial[task] = sum;
}

/// 2 * (x - target) * gradient / elements.
struct SquaredErrorGrad {
  long long elements;
  const float *x, *target, *gradient;
  float *dx;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const float weight = 2.0f * *gradient / static_cast<float>(elements);
    const Vec<N> values = load<N>(x + offset, true);
    const Vec<N> targets = load<N>(target + offset, true);
    Vec<N> result;
#pragma unroll
    for (int i = 0; i < N; ++i)
      result[i] = (values[i] - targets[i]) * weight;
    store<N>(dx + offset, result, true);
  }
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_LOSS_CUH
