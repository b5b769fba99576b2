//===- Intrinsics.cuh - What only PTX says, on the CPU ------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Stands in for the device library's header of this name. An address of shared
// memory is an offset from its begin.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_INTRINSICS_CUH
#define CAMBIUM_DEVICE_INTRINSICS_CUH

namespace cambium {

struct alignas(16) Words4 {
  unsigned w[4];
};

/// Offsets below zero are before shared memory, in its guard.
template <class T> __device__ __forceinline__ T *simtShared(unsigned address) {
  return reinterpret_cast<T *>(static_cast<char *>(simtSharedMemory()) +
                               static_cast<int>(address));
}

__device__ __forceinline__ unsigned sharedAddress(const void *shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

__device__ __forceinline__ Words4 loadShared16(unsigned address) {
  return *simtShared<const Words4>(address);
}

__device__ __forceinline__ unsigned loadShared4(unsigned address) {
  return *simtShared<const unsigned>(address);
}

__device__ __forceinline__ void storeShared16(unsigned address,
                                              const Words4 &v) {
  *simtShared<Words4>(address) = v;
}

__device__ __forceinline__ void storeShared4(unsigned address, unsigned v) {
  *simtShared<unsigned>(address) = v;
}

__device__ __forceinline__ void copyAsync16(unsigned to, const void *from,
                                            bool exists = true) {
  simtCalls().copyAsync(simtShared<void>(to), from, 16, exists ? 16 : 0);
}

__device__ __forceinline__ void commitCopies() { simtCalls().commitCopies(); }

template <int Groups> __device__ __forceinline__ void waitCopies() {
  static_assert(Groups >= 0, "a number of groups");
  simtCalls().waitCopies(Groups);
}

__device__ __forceinline__ void loadMatrices(unsigned (&r)[4], unsigned address,
                                             SimtPlace place = SIMT_HERE) {
  simt::WarpMatrices matrices{simtShared<void>(address), r, 4};
  simtCalls().warp(simt::WarpLoadMatrices, 0xffffffffu, &matrices, place);
}

__device__ __forceinline__ void
loadMatricesTransposed(unsigned (&r)[4], unsigned address,
                       SimtPlace place = SIMT_HERE) {
  simt::WarpMatrices matrices{simtShared<void>(address), r, 4};
  simtCalls().warp(simt::WarpLoadMatricesTransposed, 0xffffffffu, &matrices,
                   place);
}

__device__ __forceinline__ void mmaBf16(float (&c)[4], const unsigned (&a)[4],
                                        unsigned b0, unsigned b1,
                                        SimtPlace place = SIMT_HERE) {
  const unsigned b[2] = {b0, b1};
  simt::WarpMma mma{c, a, b, c};
  simtCalls().warp(simt::WarpMmaBf16, 0xffffffffu, &mma, place);
}

__device__ __forceinline__ void mmaTf32(float (&c)[4], const unsigned (&a)[4],
                                        unsigned b0, unsigned b1,
                                        SimtPlace place = SIMT_HERE) {
  const unsigned b[2] = {b0, b1};
  simt::WarpMma mma{c, a, b, c};
  simtCalls().warp(simt::WarpMmaTf32, 0xffffffffu, &mma, place);
}

__device__ __forceinline__ void fenceShared() { simtCalls().fenceShared(); }

__device__ __forceinline__ void prepareArrivals(unsigned barrier) {
  simtCalls().prepareArrivals(simtShared<void>(barrier));
}

__device__ __forceinline__ void expectArrival(unsigned barrier, int bytes) {
  simtCalls().expectArrival(simtShared<void>(barrier), bytes);
}

__device__ __forceinline__ void copyBulk(unsigned to, const void *from,
                                         int bytes, unsigned barrier) {
  simtCalls().copyBulk(simtShared<void>(to), from, bytes,
                       simtShared<void>(barrier));
}

__device__ __forceinline__ void waitArrival(unsigned barrier, int parity) {
  simtCalls().waitArrival(simtShared<void>(barrier), parity);
  __syncwarp();
}

__device__ __forceinline__ unsigned long long
describeColumns(unsigned address, int kBytes, int columnBytes) {
  auto field = [](unsigned long long bytes) { return (bytes & 0x3ffff) >> 4; };
  return field(address) | field(kBytes) << 16 | field(columnBytes) << 32;
}

__device__ __forceinline__ void beginProducts(SimtPlace place = SIMT_HERE) {
  simtCalls().warp(simt::WarpBeginProducts, 0xffffffffu, nullptr, place);
}

__device__ __forceinline__ void commitProducts(SimtPlace place = SIMT_HERE) {
  simtCalls().warp(simt::WarpCommitProducts, 0xffffffffu, nullptr, place);
}

__device__ __forceinline__ void waitProducts(SimtPlace place = SIMT_HERE) {
  simtCalls().warp(simt::WarpWaitProducts, 0xffffffffu, nullptr, place);
}

template <int N>
__device__ __forceinline__ void holdAccumulators(float (&)[N][4]) {}

template <int N>
__device__ __forceinline__ void
multiplyBf16(float (&c)[N][4], const unsigned (&a)[4],
             unsigned long long columns, SimtPlace place = SIMT_HERE) {
  simt::WarpgroupProduct product{&c[0][0], a, columns, 8 * N};
  simtCalls().warp(simt::WarpProductBf16, 0xffffffffu, &product, place);
}

template <int N>
__device__ __forceinline__ void
multiplyTf32(float (&c)[N][4], const unsigned (&a)[4],
             unsigned long long columns, SimtPlace place = SIMT_HERE) {
  simt::WarpgroupProduct product{&c[0][0], a, columns, 8 * N};
  simtCalls().warp(simt::WarpProductTf32, 0xffffffffu, &product, place);
}

/// cvt.rn: to the nearest, ties to even; NaN to the one that has all bits.
__device__ __forceinline__ unsigned simtBf16(float value) {
  unsigned bits = __float_as_uint(value);
  if (value != value)
    return 0x7fff;
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

__device__ __forceinline__ unsigned toBf16(float low, float high) {
  return simtBf16(low) | simtBf16(high) << 16;
}

/// cvt.rna: to the nearest, ties away from zero.
__device__ __forceinline__ unsigned toTf32(float v) {
  unsigned bits = __float_as_uint(v);
  if (v != v)
    return 0x7fffffff;
  bool finite = (bits & 0x7f800000) != 0x7f800000;
  return (finite ? bits + 0x1000 : bits) & 0xffffe000;
}

__device__ __forceinline__ unsigned bitsOf(float v) {
  return __float_as_uint(v);
}
__device__ __forceinline__ float floatOf(unsigned bits) {
  return __uint_as_float(bits);
}

} // namespace cambium

#endif // CAMBIUM_DEVICE_INTRINSICS_CUH
