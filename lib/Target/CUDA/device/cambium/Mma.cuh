//===- Mma.cuh - Products of a warp -------------------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What contractions multiply: Fp32, Tf32 or Bf16 elements, with sums in fp32.
//
// Operands lie in shared memory as rows of consecutive k, of the left matrix
// for each of its rows and of the right one for each of its columns. Rows are
// loaded in units of 16 bytes ("vectors"). Their pitch is an odd number of
// these, so that any 8 rows in succession begin in different groups of banks
// and neither ldmatrix nor 16-byte loads have bank conflicts.
//
// A warp's product has M times 16 rows and N times 8 columns. Whatever the
// precision, each lane has the same elements of it: with g = lane / 4 and
// t = lane % 4, acc[m][n][2 * half + i] is
//
//   row 16 * m + 8 * half + g, column 8 * n + 2 * t + i
//
// so that a quad of lanes has 8 consecutive columns of a row.
//
// On sm_90a, four warps (a warpgroup) multiply together, each with 16 of every
// 64 rows and with all columns. They take the right matrix from where it lies,
// in another order: matrices of 8 columns by 16 bytes, one after the other for
// all columns, then for the next 16 bytes of k.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_MMA_CUH
#define CAMBIUM_DEVICE_MMA_CUH

#include "cambium/Intrinsics.cuh"

namespace cambium {

/// Bytes from one row of `bytes` bytes (a multiple of 16) to the next.
constexpr __device__ __forceinline__ int rowPitch(int bytes) {
  return (bytes / 16 | 1) * 16;
}

/// Bytes of a row that one step of a product takes, whatever the precision.
constexpr int stepBytes = 32;

/// Is the architecture one whose warpgroups multiply?
#ifdef __CUDA_ARCH_FEAT_SM90_ALL
constexpr bool hasWarpgroups = true;
#else
constexpr bool hasWarpgroups = false;
#endif

/// Operands that ldmatrix loads. Element has mma, of a warp, and product, of a
/// warpgroup.
template <class Element> struct TensorCore {
  static constexpr bool warpgroups = hasWarpgroups;
  /// Rows of each 16 of the left matrix whose addresses a lane knows.
  static constexpr int laneRows = 1;
  static __device__ __forceinline__ int laneRow(int lane, int) {
    return lane & 15;
  }
  static __device__ __forceinline__ unsigned laneRowOffset(int lane) {
    return (lane >> 4) * 16;
  }
  /// Address of a lane's part of the right matrix, from its first column on.
  static __device__ __forceinline__ unsigned laneColumns(unsigned columns,
                                                         int pitch, int lane) {
    return columns + ((lane & 7) + (lane >> 4) * 8) * pitch +
           ((lane >> 3) & 1) * 16;
  }

  /// acc += left * right over stepBytes of the rows. `rows` are addresses of
  /// laneRow's rows, with laneRowOffset, and `columns` is laneColumns', both
  /// moved to the step's first k. N is even.
  template <int M, int N>
  static __device__ __forceinline__ void
  multiply(float (&acc)[M][N][4], const unsigned (&rows)[M][laneRows],
           unsigned rowOffset, unsigned columns, int pitch) {
    static_assert(N % 2 == 0, "columns are loaded by 16");
    unsigned a[M][4];
#pragma unroll
    for (int m = 0; m < M; ++m)
      loadMatrices(a[m], rows[m][0] + rowOffset);
#pragma unroll
    for (int n = 0; n < N; n += 2) {
      unsigned b[4];
      loadMatrices(b, columns + n * 8 * pitch);
#pragma unroll
      for (int m = 0; m < M; ++m) {
        Element::mma(acc[m][n], a[m], b[0], b[1]);
        Element::mma(acc[m][n + 1], a[m], b[2], b[3]);
      }
    }
  }

  /// acc += left * right over `Bytes` of k, by a warpgroup. `rows` as in
  /// multiply; the right matrix begins at the address `columns`.
  template <int Bytes, int M, int N>
  static __device__ __forceinline__ void
  multiplyGroup(float (&acc)[M][N][4], const unsigned (&rows)[M][laneRows],
                unsigned rowOffset, unsigned columns) {
    constexpr int steps = Bytes / stepBytes, vectorBytes = N * 8 * 16;
    unsigned a[steps][M][4];
#pragma unroll
    for (int k = 0; k < steps; ++k)
#pragma unroll
      for (int m = 0; m < M; ++m)
        loadMatrices(a[k][m], rows[m][0] + rowOffset + k * stepBytes);
#pragma unroll
    for (int m = 0; m < M; ++m)
      holdAccumulators(acc[m]);
    beginProducts();
#pragma unroll
    for (int k = 0; k < steps; ++k)
#pragma unroll
      for (int m = 0; m < M; ++m)
        Element::product(acc[m], a[k][m],
                         describeColumns(columns + k * 2 * vectorBytes,
                                         /*kBytes=*/vectorBytes,
                                         /*columnBytes=*/128));
    commitProducts();
    waitProducts();
#pragma unroll
    for (int m = 0; m < M; ++m)
      holdAccumulators(acc[m]);
  }
};

/// Bfloat16 on tensor cores.
struct Bf16 : TensorCore<Bf16> {
  static constexpr int bytes = 2;
  /// Elements in 16 bytes.
  static constexpr int vector = 8;
  static __device__ __forceinline__ Words4 pack(const float (&v)[8]) {
    return {{toBf16(v[0], v[1]), toBf16(v[2], v[3]), toBf16(v[4], v[5]),
             toBf16(v[6], v[7])}};
  }
  static __device__ __forceinline__ void
  mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    mmaBf16(c, a, b0, b1);
  }
  template <int N>
  static __device__ __forceinline__ void product(float (&c)[N][4],
                                                 const unsigned (&a)[4],
                                                 unsigned long long columns) {
    multiplyBf16(c, a, columns);
  }
};

/// Floats rounded to tf32 on tensor cores.
struct Tf32 : TensorCore<Tf32> {
  static constexpr int bytes = 4;
  static constexpr int vector = 4;
  static __device__ __forceinline__ Words4 pack(const float (&v)[4]) {
    return {{toTf32(v[0]), toTf32(v[1]), toTf32(v[2]), toTf32(v[3])}};
  }
  static __device__ __forceinline__ void
  mma(float (&c)[4], const unsigned (&a)[4], unsigned b0, unsigned b1) {
    mmaTf32(c, a, b0, b1);
  }
  template <int N>
  static __device__ __forceinline__ void product(float (&c)[N][4],
                                                 const unsigned (&a)[4],
                                                 unsigned long long columns) {
    multiplyTf32(c, a, columns);
  }
};

/// Exact products of floats by fused multiply-add, with the elements of lanes
/// as tensor cores have them.
struct Fp32 {
  static constexpr bool warpgroups = false;
  static constexpr int bytes = 4;
  static constexpr int vector = 4;
  static __device__ __forceinline__ Words4 pack(const float (&v)[4]) {
    return {{bitsOf(v[0]), bitsOf(v[1]), bitsOf(v[2]), bitsOf(v[3])}};
  }

  static constexpr int laneRows = 2;
  static __device__ __forceinline__ int laneRow(int lane, int half) {
    return (lane >> 2) + 8 * half;
  }
  static __device__ __forceinline__ unsigned laneRowOffset(int) { return 0; }
  static __device__ __forceinline__ unsigned laneColumns(unsigned columns,
                                                         int pitch, int lane) {
    return columns + (lane & 3) * 2 * pitch;
  }

  template <int M, int N>
  static __device__ __forceinline__ void
  multiply(float (&acc)[M][N][4], const unsigned (&rows)[M][laneRows],
           unsigned rowOffset, unsigned columns, int pitch) {
#pragma unroll
    for (int k = 0; k < stepBytes; k += 16) {
      Words4 b[N][2];
#pragma unroll
      for (int n = 0; n < N; ++n)
#pragma unroll
        for (int i = 0; i < 2; ++i)
          b[n][i] = loadShared16(columns + (n * 8 + i) * pitch + k);
#pragma unroll
      for (int m = 0; m < M; ++m)
#pragma unroll
        for (int half = 0; half < 2; ++half) {
          Words4 a = loadShared16(rows[m][half] + rowOffset + k);
#pragma unroll
          for (int n = 0; n < N; ++n)
#pragma unroll
            for (int i = 0; i < 2; ++i)
#pragma unroll
              for (int w = 0; w < 4; ++w)
                acc[m][n][2 * half + i] +=
                    floatOf(a.w[w]) * floatOf(b[n][i].w[w]);
        }
    }
  }
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_MMA_CUH
