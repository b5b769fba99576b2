//===- Transpose.cuh - Rows to columns ------------------------ -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_TRANSPOSE_CUH
#define CAMBIUM_DEVICE_TRANSPOSE_CUH

#include "cambium/Base.cuh"

namespace cambium {

/// A block has this many rows and columns of the matrix.
constexpr int transposeTile = 32;
constexpr int transposeThreads = 256;
/// Of a row of the tile in shared memory: neither rows nor columns meet in a
/// bank.
constexpr int transposePitch = transposeTile + 1;

/// y[column][row] = x[row][column]. A block moves one tile by shared memory; a
/// warp reads and writes 32 neighbours at once.
__device__ __forceinline__ void transpose(const float *x, float *y, int rows,
                                          int columns, int task) {
  float *tile = reinterpret_cast<float *>(sharedMemory());
  const int across = ceilDiv(columns, transposeTile);
  const int firstRow = task / across * transposeTile;
  const int firstColumn = task % across * transposeTile;
  const int lane = static_cast<int>(threadIdx.x) % warpThreads;
  const int warp = static_cast<int>(threadIdx.x) / warpThreads;
  constexpr int warps = transposeThreads / warpThreads;
  for (int i = warp; i < transposeTile; i += warps) {
    const int row = firstRow + i, column = firstColumn + lane;
    if (row < rows && column < columns)
      tile[i * transposePitch + lane] =
          x[static_cast<long long>(row) * columns + column];
  }
  __syncthreads();
  for (int i = warp; i < transposeTile; i += warps) {
    const int row = firstRow + lane, column = firstColumn + i;
    if (row < rows && column < columns)
      y[static_cast<long long>(column) * rows + row] =
          tile[lane * transposePitch + i];
  }
}

} // namespace cambium

#endif // CAMBIUM_DEVICE_TRANSPOSE_CUH
