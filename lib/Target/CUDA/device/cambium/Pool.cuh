//===- Pool.cuh - Pooling and its gradients ------------------- -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One thread computes N neighbouring channels of one pixel of the result, by
// gathering: the gradients need no atomics and add up in a fixed order.
//
// A Window has the constants height, width, strideH, strideW, top and left (the
// padding before the first row and column).
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_POOL_CUH
#define CAMBIUM_DEVICE_POOL_CUH

#include "cambium/Reduce.cuh"

namespace cambium {

/// Extents of images.
struct Image {
  int height, width, channels;

  /// Offset of an image's first element.
  __device__ __forceinline__ long long begin(int image) const {
    return static_cast<long long>(image) * height * width * channels;
  }
  __device__ __forceinline__ long long at(int row, int column) const {
    return (static_cast<long long>(row) * width + column) * channels;
  }
};

/// Where an element is.
struct ImagePlace {
  int image, row, column, channel;

  __device__ __forceinline__ ImagePlace(const Image &extents,
                                        long long offset) {
    const Division pixel = divide(offset, extents.channels);
    const Division line = divide(pixel.quotient, extents.width);
    const Division rows = divide(line.quotient, extents.height);
    image = static_cast<int>(rows.quotient);
    row = rows.remainder;
    column = line.remainder;
    channel = pixel.remainder;
  }
};

/// Rows (or columns) [begin, end).
struct Range {
  int begin, end;
};

/// Input rows in the window of an output row.
__device__ __forceinline__ Range inputsOf(int out, int size, int stride,
                                          int low, int extent) {
  const int begin = out * stride - low;
  return {maxOf(begin, 0), minOf(begin + size, extent)};
}

/// Output rows whose window holds an input row.
__device__ __forceinline__ Range outputsOf(int in, int size, int stride,
                                           int low, int extent) {
  const int last = in + low;
  return {ceilDiv(maxOf(last - (size - 1), 0), stride),
          minOf(last / stride + 1, extent)};
}

//===----------------------------------------------------------------------===//
// Max pooling
//===----------------------------------------------------------------------===//

/// So many elements of a window are loaded at once: one row where that is
/// short. More would take registers that occupancy needs.
constexpr int unrolledTaps = 4;

/// The largest elements of a window.
template <int N> struct Largest {
  Vec<N> value;
  /// Bit i: channel i has its largest element, the first of equals in row-major
  /// order, at the pixel that was asked for.
  unsigned atPixel = 0;
};

/// `x` is the place's image from its channel on, `pixel` one of its pixels.
/// Places in the padding are moved to the nearest element: it is in the window
/// too, since padding is smaller than the window, and seeing it twice changes
/// no maximum.
template <class Window, int N>
__device__ __forceinline__ Largest<N> largestOf(const float *x,
                                                const Image &input, int outRow,
                                                int outColumn, int pixel) {
  constexpr int taps = Window::height * Window::width;
  constexpr int unrolled = taps <= unrolledTaps            ? taps
                           : Window::width <= unrolledTaps ? Window::width
                                                           : 1;
  const int firstRow = outRow * Window::strideH - Window::top;
  const int firstColumn = outColumn * Window::strideW - Window::left;
  Largest<N> best;
#pragma unroll(unrolled)
  for (int tap = 0; tap < taps; ++tap) {
    const int row =
        minOf(maxOf(firstRow + tap / Window::width, 0), input.height - 1);
    const int column =
        minOf(maxOf(firstColumn + tap % Window::width, 0), input.width - 1);
    const unsigned asked = row * input.width + column == pixel;
    const Vec<N> values = load<N>(x + input.at(row, column), true);
#pragma unroll
    for (int i = 0; i < N; ++i)
      if (tap == 0 || values[i] > best.value[i]) {
        best.value[i] = values[i];
        best.atPixel = (best.atPixel & ~(1u << i)) | asked << i;
      }
  }
  return best;
}

template <class Window> struct MaxPool {
  Image input, output;
  const float *x;
  float *y;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const ImagePlace place(output, offset);
    const float *image = x + input.begin(place.image) + place.channel;
    const Largest<N> best =
        largestOf<Window, N>(image, input, place.row, place.column, 0);
    store<N>(y + offset, best.value, true);
  }
};

/// An input pixel's gradient: those of the windows in which it is the largest.
template <class Window> struct MaxPoolGrad {
  Image input, output;
  const float *x, *dy;
  float *dx;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const ImagePlace place(input, offset);
    const float *image = x + input.begin(place.image) + place.channel;
    const float *gradient = dy + output.begin(place.image) + place.channel;
    const int pixel = place.row * input.width + place.column;
    const Range rows = outputsOf(place.row, Window::height, Window::strideH,
                                 Window::top, output.height);
    const Range columns =
        outputsOf(place.column, Window::width, Window::strideW, Window::left,
                  output.width);
    Vec<N> sum = splat<N>(0.0f);
#pragma unroll 1
    for (int row = rows.begin; row < rows.end; ++row)
#pragma unroll 1
      for (int column = columns.begin; column < columns.end; ++column) {
        const Largest<N> best =
            largestOf<Window, N>(image, input, row, column, pixel);
        const Vec<N> values = load<N>(gradient + output.at(row, column), true);
#pragma unroll
        for (int i = 0; i < N; ++i)
          sum[i] += best.atPixel >> i & 1u ? values[i] : 0.0f;
      }
    store<N>(dx + offset, sum, true);
  }
};

//===----------------------------------------------------------------------===//
// Average pooling
//===----------------------------------------------------------------------===//

/// `from` is an image from the wanted channel on.
template <int N>
__device__ __forceinline__ Vec<N>
sumPixels(const float *from, const Image &extents, Range rows, Range columns) {
  Vec<N> sum = splat<N>(0.0f);
  for (int row = rows.begin; row < rows.end; ++row)
    for (int column = columns.begin; column < columns.end; ++column) {
      const Vec<N> values = load<N>(from + extents.at(row, column), true);
#pragma unroll
      for (int i = 0; i < N; ++i)
        sum[i] += values[i];
    }
  return sum;
}

template <class Window, int N>
__device__ __forceinline__ void storeAverage(float *to, Vec<N> sum) {
  constexpr float share = 1.0f / (Window::height * Window::width);
#pragma unroll
  for (int i = 0; i < N; ++i)
    sum[i] *= share;
  store<N>(to, sum, true);
}

/// Places in the padding count as zeros.
template <class Window> struct AvgPool {
  Image input, output;
  const float *x;
  float *y;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const ImagePlace place(output, offset);
    const float *image = x + input.begin(place.image) + place.channel;
    storeAverage<Window, N>(
        y + offset,
        sumPixels<N>(image, input,
                     inputsOf(place.row, Window::height, Window::strideH,
                              Window::top, input.height),
                     inputsOf(place.column, Window::width, Window::strideW,
                              Window::left, input.width)));
  }
};

template <class Window> struct AvgPoolGrad {
  Image input, output;
  const float *dy;
  float *dx;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const ImagePlace place(input, offset);
    const float *gradient = dy + output.begin(place.image) + place.channel;
    storeAverage<Window, N>(
        dx + offset,
        sumPixels<N>(gradient, output,
                     outputsOf(place.row, Window::height, Window::strideH,
                               Window::top, output.height),
                     outputsOf(place.column, Window::width, Window::strideW,
                               Window::left, output.width)));
  }
};

//===----------------------------------------------------------------------===//
// Global average pooling
//===----------------------------------------------------------------------===//

/// The mean over an image's `area` pixels, for N * reduceColumns channels.
template <int N>
__device__ __forceinline__ void
averageImageOf(const float *x, float *y, int area, int channels, int task) {
  const int blocks = ceilDiv(channels, N * reduceColumns);
  const long long image = task / blocks;
  RowSums<N, PlainTerms> block(channels, task % blocks);
  block.add(PlainTerms{x}, image * area, (image + 1) * area);
  if (!block.owner())
    return;
#pragma unroll
  for (int i = 0; i < N; ++i)
    y[image * channels + block.channel + i] =
        static_cast<float>(block.sums[i] / area);
}

__device__ __forceinline__ void averageImage(const float *x, float *y, int area,
                                             int channels, int task) {
  if (channels % 4 == 0)
    averageImageOf<4>(x, y, area, channels, task);
  else
    averageImageOf<1>(x, y, area, channels, task);
}

struct GlobalAvgPoolGrad {
  int area, channels;
  const float *dy;
  float *dx;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const Division pixel = divide(offset, channels);
    const long long image = divide(pixel.quotient, area).quotient;
    Vec<N> share = load<N>(dy + image * channels + pixel.remainder, true);
#pragma unroll
    for (int i = 0; i < N; ++i)
      share[i] /= static_cast<float>(area);
    store<N>(dx + offset, share, true);
  }
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_POOL_CUH
