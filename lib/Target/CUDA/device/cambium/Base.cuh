//===- Base.cuh - Arguments, vectors and memory -------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What every kernel uses. No header is needed, nor anything that only one
// compiler has: NVRTC, nvcc and clang take it.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_BASE_CUH
#define CAMBIUM_DEVICE_BASE_CUH

namespace cambium {

/// What every phase of a kernel is given.
template <int Buffers, int Dims> struct Arguments {
  /// The kernel's tensors but those of single branches, then the workspace.
  void *buffers[Buffers];
  /// The branches' own tensors, one branch after the other.
  void *const *branches;
  /// Extents, and at the end the number of branches.
  int dims[Dims];
};

/// A shared buffer.
template <typename T, class Args>
__device__ __forceinline__ T *buffer(const Args &args, int index) {
  return static_cast<T *>(args.buffers[index]);
}

/// Buffer `slot` of the `tupleSize` that each branch has for itself.
template <typename T, class Args>
__device__ __forceinline__ T *branchBuffer(const Args &args, int branch,
                                           int tupleSize, int slot) {
  return static_cast<T *>(args.branches[branch * tupleSize + slot]);
}

//===----------------------------------------------------------------------===//
// Integers
//===----------------------------------------------------------------------===//

template <typename Int>
__host__ __device__ constexpr Int ceilDiv(Int a, Int b) {
  return (a + b - 1) / b;
}

template <typename Int>
__host__ __device__ constexpr Int roundUp(Int a, Int multiple) {
  return ceilDiv(a, multiple) * multiple;
}

template <typename Int> __host__ __device__ constexpr Int minOf(Int a, Int b) {
  return a < b ? a : b;
}

template <typename Int> __host__ __device__ constexpr Int maxOf(Int a, Int b) {
  return a < b ? b : a;
}

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

constexpr int warpThreads = 32;
constexpr unsigned fullWarp = 0xffffffffu;

/// The block's dynamic shared memory; 16-byte accesses may start at its begin.
__device__ __forceinline__ unsigned char *sharedMemory() {
  extern __shared__ __align__(1024) unsigned char dynamicSharedMemory[];
  return dynamicSharedMemory;
}

//===----------------------------------------------------------------------===//
// Vectors
//===----------------------------------------------------------------------===//

/// N floats in registers: neighbouring channels, or any others.
template <int N> struct alignas(4 * minOf(N, 4)) Vec {
  float v[N];

  __device__ __forceinline__ float &operator[](int i) { return v[i]; }
  __device__ __forceinline__ const float &operator[](int i) const {
    return v[i];
  }
};

template <int N> __device__ __forceinline__ Vec<N> splat(float value) {
  Vec<N> result;
#pragma unroll
  for (int i = 0; i < N; ++i)
    result[i] = value;
  return result;
}

/// Loads N floats, of which the first `lanes` exist; the others are 0. With
/// `aligned`, `from` is a multiple of 4 * min(N, 4) bytes, and accesses are as
/// wide.
template <int N>
__device__ __forceinline__ Vec<N> load(const float *from, bool aligned,
                                       int lanes = N) {
  constexpr int width = minOf(N, 4);
  Vec<N> result;
  if (aligned && lanes >= N) {
#pragma unroll
    for (int i = 0; i < N; i += width) {
      const Vec<width> part = *reinterpret_cast<const Vec<width> *>(from + i);
#pragma unroll
      for (int j = 0; j < width; ++j)
        result[i + j] = part[j];
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i)
      result[i] = i < lanes ? from[i] : 0.0f;
  }
  return result;
}

/// Stores the first `lanes` of N floats; see load.
template <int N>
__device__ __forceinline__ void store(float *to, const Vec<N> &values,
                                      bool aligned, int lanes = N) {
  constexpr int width = minOf(N, 4);
  if (aligned && lanes >= N) {
#pragma unroll
    for (int i = 0; i < N; i += width) {
      Vec<width> part;
#pragma unroll
      for (int j = 0; j < width; ++j)
        part[j] = values[i + j];
      *reinterpret_cast<Vec<width> *>(to + i) = part;
    }
  } else {
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (i < lanes)
        to[i] = values[i];
  }
}

//===----------------------------------------------------------------------===//
// Places in tensors
//===----------------------------------------------------------------------===//

/// N neighbouring channels of a pixel of a branch, where N is that of the
/// function which is given the place.
struct Place {
  /// Of all images, in row-major order.
  long long pixel;
  /// The first channel, a multiple of N.
  int channel;
  /// Channels that a branch has.
  int channels;
  int branch;
  int branches;
  /// How many of the N channels exist: less than N at the end of a pixel, not
  /// more than 0 outside of the tensor. Nothing is read or written beyond.
  int lanes;

  /// True if accesses to N floats at a place are aligned.
  template <int N> __device__ __forceinline__ bool aligned() const {
    return channels % minOf(N, 4) == 0;
  }
  __device__ __forceinline__ long long element() const {
    return pixel * channels + channel;
  }
  /// In a tensor that has the channels of all branches side by side.
  __device__ __forceinline__ long long sliceElement() const {
    return (pixel * branches + branch) * channels + channel;
  }
  /// In a vector that has the channels of all branches.
  __device__ __forceinline__ long long sliceChannel() const {
    return static_cast<long long>(branch) * channels + channel;
  }
  /// The byte that has the first channel's bit.
  __device__ __forceinline__ long long bitsByte() const {
    return pixel * ceilDiv(channels, 8) + channel / 8;
  }
};

/// From a tensor with the branch's channels.
template <int N>
__device__ __forceinline__ Vec<N> loadElements(const float *tensor,
                                               const Place &place) {
  return load<N>(tensor + place.element(), place.aligned<N>(), place.lanes);
}

template <int N>
__device__ __forceinline__ void storeElements(float *tensor, const Place &place,
                                              const Vec<N> &values) {
  store<N>(tensor + place.element(), values, place.aligned<N>(), place.lanes);
}

/// From a tensor with the channels of all branches.
template <int N>
__device__ __forceinline__ Vec<N> loadSlice(const float *tensor,
                                            const Place &place) {
  return load<N>(tensor + place.sliceElement(), place.aligned<N>(),
                 place.lanes);
}

template <int N>
__device__ __forceinline__ void storeSlice(float *tensor, const Place &place,
                                           const Vec<N> &values) {
  store<N>(tensor + place.sliceElement(), values, place.aligned<N>(),
           place.lanes);
}

/// From a vector over the branch's channels.
template <int N>
__device__ __forceinline__ Vec<N> loadChannels(const float *vector,
                                               const Place &place) {
  return load<N>(vector + place.channel, place.aligned<N>(), place.lanes);
}

/// From a vector over the channels of all branches.
template <int N>
__device__ __forceinline__ Vec<N> loadChannelSlice(const float *vector,
                                                   const Place &place) {
  return load<N>(vector + place.sliceChannel(), place.aligned<N>(),
                 place.lanes);
}

//===----------------------------------------------------------------------===//
// Bits: one for each channel, the first in the lowest bit; pixels begin bytes
//===----------------------------------------------------------------------===//

/// N truth values, N at most 8.
template <int N> struct Bits {
  unsigned mask = 0;

  __device__ __forceinline__ bool operator[](int i) const {
    return (mask >> i & 1u) != 0;
  }
  __device__ __forceinline__ void set(int i, bool value) {
    mask |= static_cast<unsigned>(value) << i;
  }
};

template <int N>
__device__ __forceinline__ Bits<N> loadBits(const unsigned char *tensor,
                                            const Place &place) {
  Bits<N> bits;
  if (place.lanes > 0)
    bits.mask = static_cast<unsigned>(tensor[place.bitsByte()]) >>
                (place.channel % 8);
  return bits;
}

/// Where N is less than 8, each aligned group of 8 / N lanes of the warp must
/// hold the bits of one byte, in order, and the whole warp must call, with
/// place.lanes 0 where there is nothing to store.
template <int N>
__device__ __forceinline__ void storeBits(unsigned char *tensor,
                                          const Place &place,
                                          const Bits<N> &bits) {
  const unsigned existing = (1u << minOf(maxOf(place.lanes, 0), N)) - 1;
  unsigned byte = (bits.mask & existing) << (place.channel % 8);
#pragma unroll
  for (int distance = 1; distance < 8 / N; distance *= 2)
    byte |= __shfl_xor_sync(fullWarp, byte, distance);
  if (place.channel % 8 == 0 && place.lanes > 0)
    tensor[place.bitsByte()] = static_cast<unsigned char>(byte);
}

} // namespace cambium

#endif // CAMBIUM_DEVICE_BASE_CUH
