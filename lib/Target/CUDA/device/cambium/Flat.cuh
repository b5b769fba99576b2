//===- Flat.cuh - Blocks of consecutive elements -------------- -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_FLAT_CUH
#define CAMBIUM_DEVICE_FLAT_CUH

#include "cambium/Base.cuh"

namespace cambium {

/// Threads of a block that computes element by element.
constexpr int flatThreads = 256;
/// Elements of such a block: 16 bytes for each thread.
constexpr int flatElements = 4 * flatThreads;

/// The product of `Count` extents from the kernel's `First` on.
template <int First, int Count, class Args>
__device__ __forceinline__ long long product(const Args &args) {
  long long result = 1;
#pragma unroll
  for (int i = 0; i < Count; ++i)
    result *= args.dims[First + i];
  return result;
}

struct Division {
  long long quotient;
  int remainder;
};

/// Of numbers that are not negative. In 32 bits where they suffice. Beyond, bit
/// by bit: a 64-bit division is a call of a function, around which registers
/// would be spilled.
__device__ __forceinline__ Division divide(long long a, int b) {
  const unsigned divisor = static_cast<unsigned>(b);
  if (a <= 0xffffffffll) {
    const unsigned dividend = static_cast<unsigned>(a);
    const unsigned quotient = dividend / divisor;
    return {quotient, static_cast<int>(dividend - quotient * divisor)};
  }
  long long quotient = 0;
  unsigned remainder = 0;
#pragma unroll 1
  for (int bit = 62; bit >= 0; --bit) {
    remainder = 2 * remainder + static_cast<unsigned>(a >> bit & 1);
    const bool fits = remainder >= divisor;
    quotient = 2 * quotient + fits;
    remainder -= fits ? divisor : 0;
  }
  return {quotient, static_cast<int>(remainder)};
}

/// Calls `work.at<N>(offset)` for block `task`'s part of `elements`: N = 4 and
/// offset a multiple of 4 if `wide`, but for the last elements % 4 elements;
/// else N = 1 for all. Neighbouring threads get neighbouring elements.
template <class Work>
__device__ __forceinline__ void
forElements(const Work &work, long long elements, bool wide, int task) {
  const long long begin = static_cast<long long>(task) * flatElements;
  const int thread = static_cast<int>(threadIdx.x);
  if (wide) {
    const long long offset = begin + 4 * thread;
    if (offset + 4 <= elements)
      work.template at<4>(offset);
    else
      for (long long i = offset; i < elements; ++i)
        work.template at<1>(i);
    return;
  }
#pragma unroll 1
  for (int i = thread; i < flatElements; i += flatThreads)
    if (begin + i < elements)
      work.template at<1>(begin + i);
}

} // namespace cambium

#endif // CAMBIUM_DEVICE_FLAT_CUH
