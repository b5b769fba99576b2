//===- Compose.cuh - Filters of two convolutions in a row ----- -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// With the 1x1 filter a[c, m], the second filter b[t, m, f] and their
// composition w[t, c, f], where t counts the places of the window:
//
//   w[t, c, f]  = sum over m of a[c, m] * b[t, m, f]
//   db[t, m, f] = sum over c of a[c, m] * dw[t, c, f]
//   da[c, m]    = sum over t and f of dw[t, c, f] * b[t, m, f]
//
// These are small: weights, not activations.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_COMPOSE_CUH
#define CAMBIUM_DEVICE_COMPOSE_CUH

#include "cambium/Flat.cuh"

namespace cambium {

/// w or, transposed, db: rows of the result are combinations of `terms` rows of
/// `from`, with factors a[row, term] or a[term, row].
template <bool Transposed> struct Combine {
  int rows, terms, filters;
  const float *a, *from;
  float *result;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const Division line = divide(offset, filters);
    const Division place = divide(line.quotient, rows);
    const int row = place.remainder;
    const float *weights =
        from + place.quotient * terms * filters + line.remainder;
    const float *factors =
        Transposed ? a + row : a + static_cast<long long>(row) * terms;
    const int step = Transposed ? rows : 1;
    Vec<N> sum = splat<N>(0.0f);
#pragma unroll 4
    for (int term = 0; term < terms; ++term) {
      const float factor = factors[static_cast<long long>(term) * step];
      const Vec<N> values =
          load<N>(weights + static_cast<long long>(term) * filters, true);
#pragma unroll
      for (int i = 0; i < N; ++i)
        sum[i] += factor * values[i];
    }
    store<N>(result + offset, sum, true);
  }
};

/// Elements of da that a block computes, one for each warp.
constexpr int composeThreads = 256;
constexpr int composeElements = composeThreads / warpThreads;

/// da: a warp multiplies filter by filter and adds in a butterfly.
__device__ __forceinline__ void
combineGradients(const float *dw, const float *b, float *da, int places,
                 int channels, int middle, int filters, int task) {
  const int thread = static_cast<int>(threadIdx.x);
  const long long element =
      static_cast<long long>(task) * composeElements + thread / warpThreads;
  if (element >= static_cast<long long>(channels) * middle)
    return;
  const Division place = divide(element, middle);
  const int lane = thread % warpThreads;
  float sum = 0.0f;
  for (int t = 0; t < places; ++t) {
    const float *left =
        dw + (static_cast<long long>(t) * channels + place.quotient) * filters;
    const float *right =
        b + (static_cast<long long>(t) * middle + place.remainder) * filters;
#pragma unroll 4
    for (int filter = lane; filter < filters; filter += warpThreads)
      sum += left[filter] * right[filter];
  }
#pragma unroll
  for (int distance = warpThreads / 2; distance > 0; distance /= 2)
    sum += __shfl_xor_sync(fullWarp, sum, distance);
  if (lane == 0)
    da[element] = sum;
}

} // namespace cambium

#endif // CAMBIUM_DEVICE_COMPOSE_CUH
