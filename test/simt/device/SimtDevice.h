//===- SimtDevice.h - CUDA C++ for the CPU ------------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Included before every kernel: the part of CUDA C++ that NVRTC knows without a
// header.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_SIMTDEVICE_H
#define CAMBIUM_TEST_SIMT_SIMTDEVICE_H

#include "SimtCalls.h"

#define __global__
#define __device__
#define __host__
#define __constant__ const
#define __grid_constant__
#define __launch_bounds__(...)
#define __maxnreg__(n)
#define __cluster_dims__(...)
#define __forceinline__ inline __attribute__((always_inline))
#define __noinline__ __attribute__((noinline))
#define __align__(n) alignas(n)

#define threadIdx (::cambium::simt::currentThread()->thread)
#define blockIdx (::cambium::simt::currentThread()->block)
#define blockDim (::cambium::simt::currentThread()->blockSize)
#define gridDim (::cambium::simt::currentThread()->gridSize)
#define warpSize 32

#define SIMT_INLINE static inline __attribute__((always_inline, unused))

typedef unsigned long size_t;

//===----------------------------------------------------------------------===//
// Vector types
//===----------------------------------------------------------------------===//

#define SIMT_VECTORS(T, NAME, ALIGN2, ALIGN4)                                  \
  struct NAME##1 { T x; };                                                     \
  struct alignas(ALIGN2) NAME##2 { T x, y; };                                  \
  struct NAME##3 { T x, y, z; };                                               \
  struct alignas(ALIGN4) NAME##4 { T x, y, z, w; };                            \
  SIMT_INLINE NAME##1 make_##NAME##1(T x) { return {x}; }                      \
  SIMT_INLINE NAME##2 make_##NAME##2(T x, T y) { return {x, y}; }              \
  SIMT_INLINE NAME##3 make_##NAME##3(T x, T y, T z) { return {x, y, z}; }      \
  SIMT_INLINE NAME##4 make_##NAME##4(T x, T y, T z, T w) {                     \
    return {x, y, z, w};                                                       \
  }

SIMT_VECTORS(char, char, 2, 4)
SIMT_VECTORS(unsigned char, uchar, 2, 4)
SIMT_VECTORS(short, short, 4, 8)
SIMT_VECTORS(unsigned short, ushort, 4, 8)
SIMT_VECTORS(int, int, 8, 16)
SIMT_VECTORS(unsigned, uint, 8, 16)
SIMT_VECTORS(long long, longlong, 16, 16)
SIMT_VECTORS(unsigned long long, ulonglong, 16, 16)
SIMT_VECTORS(float, float, 8, 16)
SIMT_VECTORS(double, double, 16, 16)
#undef SIMT_VECTORS

//===----------------------------------------------------------------------===//
// Mathematics
//===----------------------------------------------------------------------===//

extern "C" {
#define SIMT_UNARY(NAME)                                                       \
  float NAME##f(float) noexcept;                                               \
  double NAME(double) noexcept;
#define SIMT_BINARY(NAME)                                                      \
  float NAME##f(float, float) noexcept;                                        \
  double NAME(double, double) noexcept;
SIMT_UNARY(exp)
SIMT_UNARY(exp2)
SIMT_UNARY(expm1)
SIMT_UNARY(log)
SIMT_UNARY(log2)
SIMT_UNARY(log10)
SIMT_UNARY(log1p)
SIMT_UNARY(tanh)
SIMT_UNARY(sinh)
SIMT_UNARY(cosh)
SIMT_UNARY(sin)
SIMT_UNARY(cos)
SIMT_UNARY(tan)
SIMT_UNARY(atan)
SIMT_UNARY(erf)
SIMT_UNARY(erfc)
SIMT_UNARY(sqrt)
SIMT_UNARY(cbrt)
SIMT_UNARY(fabs)
SIMT_UNARY(floor)
SIMT_UNARY(ceil)
SIMT_UNARY(trunc)
SIMT_UNARY(round)
SIMT_UNARY(rint)
SIMT_BINARY(pow)
SIMT_BINARY(fmod)
SIMT_BINARY(fmin)
SIMT_BINARY(fmax)
SIMT_BINARY(copysign)
SIMT_BINARY(atan2)
#undef SIMT_UNARY
#undef SIMT_BINARY
float fmaf(float, float, float) noexcept;
double fma(double, double, double) noexcept;
float ldexpf(float, int) noexcept;
double ldexp(double, int) noexcept;
int abs(int) noexcept;
}

SIMT_INLINE float rsqrtf(float x) { return 1.0f / __builtin_sqrtf(x); }
SIMT_INLINE double rsqrt(double x) { return 1.0 / __builtin_sqrt(x); }
SIMT_INLINE bool isnan(float x) { return __builtin_isnan(x); }
SIMT_INLINE bool isinf(float x) { return __builtin_isinf(x); }
SIMT_INLINE bool isfinite(float x) { return __builtin_isfinite(x); }
SIMT_INLINE float __expf(float x) { return expf(x); }
SIMT_INLINE float __logf(float x) { return logf(x); }
SIMT_INLINE float __powf(float x, float y) { return powf(x, y); }
SIMT_INLINE float __fdividef(float x, float y) { return x / y; }
SIMT_INLINE float __saturatef(float x) {
  return __builtin_fminf(__builtin_fmaxf(x, 0.0f), 1.0f);
}

// Optimisation barriers are not needed: contraction stays within expressions.
SIMT_INLINE float __fadd_rn(float x, float y) { return x + y; }
SIMT_INLINE float __fsub_rn(float x, float y) { return x - y; }
SIMT_INLINE float __fmul_rn(float x, float y) { return x * y; }
SIMT_INLINE float __fmaf_rn(float x, float y, float z) { return fmaf(x, y, z); }
SIMT_INLINE float __fdiv_rn(float x, float y) { return x / y; }
SIMT_INLINE float __frcp_rn(float x) { return 1.0f / x; }
SIMT_INLINE float __fsqrt_rn(float x) { return __builtin_sqrtf(x); }
SIMT_INLINE float __frsqrt_rn(float x) { return rsqrtf(x); }
SIMT_INLINE double __dadd_rn(double x, double y) { return x + y; }
SIMT_INLINE double __dmul_rn(double x, double y) { return x * y; }
SIMT_INLINE double __fma_rn(double x, double y, double z) {
  return fma(x, y, z);
}

#define SIMT_MIN_MAX(T)                                                        \
  SIMT_INLINE T min(T a, T b) { return b < a ? b : a; }                        \
  SIMT_INLINE T max(T a, T b) { return a < b ? b : a; }
SIMT_MIN_MAX(int)
SIMT_MIN_MAX(unsigned)
SIMT_MIN_MAX(long)
SIMT_MIN_MAX(unsigned long)
SIMT_MIN_MAX(long long)
SIMT_MIN_MAX(unsigned long long)
#undef SIMT_MIN_MAX
SIMT_INLINE float min(float a, float b) { return __builtin_fminf(a, b); }
SIMT_INLINE float max(float a, float b) { return __builtin_fmaxf(a, b); }
SIMT_INLINE double min(double a, double b) { return __builtin_fmin(a, b); }
SIMT_INLINE double max(double a, double b) { return __builtin_fmax(a, b); }

//===----------------------------------------------------------------------===//
// Bits and conversions
//===----------------------------------------------------------------------===//

template <class To, class From> SIMT_INLINE To simtBitCast(From from) {
  static_assert(sizeof(To) == sizeof(From), "");
  return __builtin_bit_cast(To, from);
}
SIMT_INLINE int __float_as_int(float x) { return simtBitCast<int>(x); }
SIMT_INLINE unsigned __float_as_uint(float x) {
  return simtBitCast<unsigned>(x);
}
SIMT_INLINE float __int_as_float(int x) { return simtBitCast<float>(x); }
SIMT_INLINE float __uint_as_float(unsigned x) { return simtBitCast<float>(x); }
SIMT_INLINE long long __double_as_longlong(double x) {
  return simtBitCast<long long>(x);
}
SIMT_INLINE double __longlong_as_double(long long x) {
  return simtBitCast<double>(x);
}
SIMT_INLINE int __float2int_rn(float x) {
  return static_cast<int>(__builtin_rintf(x));
}
SIMT_INLINE int __float2int_rz(float x) { return static_cast<int>(x); }
SIMT_INLINE float __int2float_rn(int x) { return static_cast<float>(x); }
SIMT_INLINE float __double2float_rn(double x) { return static_cast<float>(x); }

SIMT_INLINE int __popc(unsigned x) { return __builtin_popcount(x); }
SIMT_INLINE int __popcll(unsigned long long x) {
  return __builtin_popcountll(x);
}
SIMT_INLINE int __clz(int x) { return x ? __builtin_clz(x) : 32; }
SIMT_INLINE int __clzll(long long x) { return x ? __builtin_clzll(x) : 64; }
SIMT_INLINE int __ffs(int x) { return __builtin_ffs(x); }
SIMT_INLINE unsigned __brev(unsigned x) { return __builtin_bitreverse32(x); }
SIMT_INLINE unsigned __umulhi(unsigned x, unsigned y) {
  return static_cast<unsigned>((static_cast<unsigned long long>(x) * y) >> 32);
}
SIMT_INLINE unsigned __byte_perm(unsigned x, unsigned y, unsigned selector) {
  unsigned long long bytes = (static_cast<unsigned long long>(y) << 32) | x;
  unsigned result = 0;
  for (int i = 0; i < 4; ++i)
    result |=
        static_cast<unsigned>((bytes >> (8 * (selector >> (4 * i) & 7))) & 255)
        << (8 * i);
  return result;
}
template <class T> SIMT_INLINE T __ldg(const T *pointer) { return *pointer; }
template <class T> SIMT_INLINE T __ldcs(const T *pointer) { return *pointer; }
template <class T> SIMT_INLINE T __ldcg(const T *pointer) { return *pointer; }
template <class T> SIMT_INLINE void __stcs(T *pointer, T value) {
  *pointer = value;
}

//===----------------------------------------------------------------------===//
// Threads of a block
//===----------------------------------------------------------------------===//

using SimtPlace = cambium::simt::Place;
/// As a default argument: where the caller is.
#define SIMT_HERE                                                              \
  SimtPlace { __builtin_FILE(), __builtin_LINE() }

/// Set when the kernel is loaded.
extern "C" __attribute__((visibility("default")))
const cambium::simt::SimtCalls *simt_calls = nullptr;
SIMT_INLINE const cambium::simt::SimtCalls &simtCalls() { return *simt_calls; }
/// What `extern __shared__ T name[]` becomes a pointer to.
SIMT_INLINE void *simtSharedMemory() {
  return cambium::simt::currentThread()->shared;
}
SIMT_INLINE int simtLane() {
  cambium::simt::SimtThread *t = cambium::simt::currentThread();
  return static_cast<int>(
      (t->thread.x +
       t->blockSize.x * (t->thread.y + t->blockSize.y * t->thread.z)) %
      32);
}

SIMT_INLINE void __syncthreads(SimtPlace place = SIMT_HERE) {
  simtCalls().barrier(0, 0, place);
}
SIMT_INLINE void __syncwarp(unsigned mask = 0xffffffffu,
                            SimtPlace place = SIMT_HERE) {
  simtCalls().warp(cambium::simt::WarpSync, mask, nullptr, place);
}
SIMT_INLINE void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
SIMT_INLINE void __threadfence_block() {
  __atomic_thread_fence(__ATOMIC_SEQ_CST);
}
SIMT_INLINE void __nanosleep(unsigned) { simtCalls().yield(); }
SIMT_INLINE void __trap() { simtCalls().trap("__trap()"); }
SIMT_INLINE size_t __cvta_generic_to_shared(const void *pointer) {
  return simtCalls().sharedOffset(pointer);
}

SIMT_INLINE unsigned __ballot_sync(unsigned mask, int predicate,
                                   SimtPlace place = SIMT_HERE) {
  cambium::simt::WarpBallot vote{predicate != 0, 0};
  simtCalls().warp(cambium::simt::WarpVote, mask, &vote, place);
  return vote.result;
}
SIMT_INLINE int __any_sync(unsigned mask, int predicate,
                           SimtPlace place = SIMT_HERE) {
  return __ballot_sync(mask, predicate, place) != 0;
}
SIMT_INLINE int __all_sync(unsigned mask, int predicate,
                           SimtPlace place = SIMT_HERE) {
  return __ballot_sync(mask, predicate, place) == mask;
}

template <class T>
SIMT_INLINE T simtShuffle(unsigned mask, T value, int source, SimtPlace place) {
  static_assert(sizeof(T) % 4 == 0, "shuffles move words");
  struct Words {
    unsigned word[sizeof(T) / 4];
  };
  Words words = __builtin_bit_cast(Words, value);
  for (unsigned &word : words.word) {
    cambium::simt::WarpShuffle shuffle{word, source, 0};
    simtCalls().warp(cambium::simt::WarpExchange, mask, &shuffle, place);
    word = shuffle.result;
  }
  return __builtin_bit_cast(T, words);
}
template <class T>
SIMT_INLINE T __shfl_sync(unsigned mask, T value, int source, int width = 32,
                          SimtPlace place = SIMT_HERE) {
  int first = simtLane() & -width;
  return simtShuffle(mask, value, first + (source & (width - 1)), place);
}
template <class T>
SIMT_INLINE T __shfl_up_sync(unsigned mask, T value, unsigned delta,
                             int width = 32, SimtPlace place = SIMT_HERE) {
  int lane = simtLane(), source = lane - static_cast<int>(delta);
  return simtShuffle(mask, value, source < (lane & -width) ? lane : source,
                     place);
}
template <class T>
SIMT_INLINE T __shfl_down_sync(unsigned mask, T value, unsigned delta,
                               int width = 32, SimtPlace place = SIMT_HERE) {
  int lane = simtLane(), source = lane + static_cast<int>(delta);
  return simtShuffle(mask, value,
                     source >= (lane & -width) + width ? lane : source, place);
}
template <class T>
SIMT_INLINE T __shfl_xor_sync(unsigned mask, T value, int laneMask,
                              int width = 32, SimtPlace place = SIMT_HERE) {
  int lane = simtLane(), source = lane ^ laneMask;
  return simtShuffle(mask, value,
                     source >= (lane & -width) + width ? lane : source, place);
}

//===----------------------------------------------------------------------===//
// Entries
//===----------------------------------------------------------------------===//

namespace cambium::simt {
template <class T, T... I> struct Indices {};
template <class... Params, unsigned... I>
SIMT_INLINE void runEntry(void (*kernel)(Params...), void *const *params,
                          Indices<unsigned, I...>) {
  kernel(*static_cast<const Params *>(params[I])...);
}
template <class... Params>
SIMT_INLINE void runEntry(void (*kernel)(Params...), void *const *params) {
  runEntry(kernel, params,
           __make_integer_seq<Indices, unsigned, sizeof...(Params)>());
}
template <class... Params>
constexpr SimtEntry describeEntry(void (*)(Params...),
                                  void (*run)(void *const *), int maxThreads) {
  return {run, sizeof...(Params), {sizeof(Params)...}, maxThreads};
}
} // namespace cambium::simt

/// Appended to a kernel's source for each `__global__` function.
#define SIMT_ENTRY(NAME, FUNCTION, MAX_THREADS)                                \
  static void simt_run_##NAME(void *const *params) {                           \
    ::cambium::simt::runEntry(&FUNCTION, params);                              \
  }                                                                            \
  extern "C" __attribute__((visibility("default")))                            \
  const ::cambium::simt::SimtEntry simt_entry_##NAME =                         \
      ::cambium::simt::describeEntry(&FUNCTION, &simt_run_##NAME,              \
                                     MAX_THREADS);

#endif // CAMBIUM_TEST_SIMT_SIMTDEVICE_H
