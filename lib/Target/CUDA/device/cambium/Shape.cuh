//===- Shape.cuh - Operations that move elements -------------- -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_SHAPE_CUH
#define CAMBIUM_DEVICE_SHAPE_CUH

#include "cambium/Flat.cuh"

namespace cambium {

struct Fill {
  float value;
  float *y;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    store<N>(y + offset, splat<N>(value), true);
  }
};

struct Copy {
  const float *x;
  float *y;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    store<N>(y + offset, load<N>(x + offset, true), true);
  }
};

//===----------------------------------------------------------------------===//
// Ranges of the last dimension
//===----------------------------------------------------------------------===//

/// Columns of a tensor, from `first` on; rows have `channels` elements.
template <typename T> struct Columns {
  T *tensor;
  int channels;
  int first;

  __device__ __forceinline__ bool aligned() const {
    return channels % 4 == 0 && first % 4 == 0;
  }
};

/// Copies `width` columns. Offsets count the elements that are copied.
struct CopyColumns {
  int width;
  Columns<const float> from;
  Columns<float> to;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const Division place = divide(offset, width);
    const long long row = place.quotient;
    const int column = place.remainder;
    const Vec<N> values =
        load<N>(from.tensor + row * from.channels + from.first + column, true);
    store<N>(to.tensor + row * to.channels + to.first + column, values, true);
  }
  /// True if rows can be copied by four.
  __device__ __forceinline__ bool wide() const {
    return width % 4 == 0 && from.aligned() && to.aligned();
  }
};

/// A block's task among those of a concatenation: the first part's blocks come
/// first, then those of the second, ...
struct Concat {
  long long rows;
  float *y;
  int channels;
  int task;
  int column = 0;

  __device__ __forceinline__ Concat(long long rows, float *y, int channels,
                                    int task)
      : rows(rows), y(y), channels(channels), task(task) {}

  /// Copies the block's elements if they are of this part, the next one.
  __device__ __forceinline__ void part(const float *x, int width) {
    const long long elements = rows * width;
    const int blocks =
        static_cast<int>(ceilDiv<long long>(elements, flatElements));
    if (task >= 0 && task < blocks) {
      const CopyColumns copy = {width, {x, width, 0}, {y, channels, column}};
      forElements(copy, elements, copy.wide(), task);
    }
    task -= blocks;
    column += width;
  }
};

//===----------------------------------------------------------------------===//
// Windows of filters
//===----------------------------------------------------------------------===//

/// A filter's window: the input moved by [top, left], and zeros where it has
/// nothing. `weights` is the number of those at one place of the window.
struct MoveWindow {
  int inHeight, inWidth, outWidth;
  int top, left;
  int weights;
  const float *x;
  float *y;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const Division place = divide(offset, weights);
    const Division line = divide(place.quotient, outWidth);
    const int row = static_cast<int>(line.quotient) - top;
    const int column = line.remainder - left;
    Vec<N> values = splat<N>(0.0f);
    if (row >= 0 && row < inHeight && column >= 0 && column < inWidth)
      values = load<N>(
          x + (static_cast<long long>(row) * inWidth + column) * weights +
              place.remainder,
          true);
    store<N>(y + offset, values, true);
  }
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_SHAPE_CUH
