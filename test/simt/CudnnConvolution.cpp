//===- CudnnConvolution.cpp - A convolution by a loop nest ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudnnConvolution.h"

#include <cstring>
#include <vector>

using namespace cambium::simt;

/// To 10 bits of mantissa; a tie goes away from zero.
static float toTf32(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  bits = (bits + 0x1000u) & ~0x1fffu;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

void Convolution::run(float *w, float *x, float *y) const {
  const int64_t batch = this->x[0], inC = this->x[1], inH = this->x[2],
                inW = this->x[3];
  const int64_t outC = this->y[1], outH = this->y[2], outW = this->y[3];
  const int64_t groupC = this->w[1], kernelH = this->w[2], kernelW = this->w[3];
  const int64_t groups = inC / groupC, groupOut = outC / groups;
  float *made = direction == Forward ? y : direction == BackwardData ? x : w;
  const auto &extents = direction == Forward        ? this->y
                        : direction == BackwardData ? this->x
                                                    : this->w;
  std::vector<double> sums(extents[0] * extents[1] * extents[2] * extents[3]);
  auto read = [&](const float *from, int64_t index) -> double {
    return rounds ? toTf32(from[index]) : from[index];
  };
  auto add = [&](int64_t wAt, int64_t xAt, int64_t yAt) {
    switch (direction) {
    case Forward:
      sums[yAt] += read(x, xAt) * read(w, wAt);
      return;
    case BackwardData:
      sums[xAt] += read(y, yAt) * read(w, wAt);
      return;
    case BackwardFilter:
      sums[wAt] += read(x, xAt) * read(y, yAt);
      return;
    }
  };
  auto atPixel = [&](int64_t image, int64_t row, int64_t column) {
    for (int64_t kh = 0; kh < kernelH; ++kh)
      for (int64_t kw = 0; kw < kernelW; ++kw) {
        int64_t h = row * stride[0] + kh * dilation[0] - before[0];
        int64_t v = column * stride[1] + kw * dilation[1] - before[1];
        if (h < 0 || h >= inH || v < 0 || v >= inW)
          continue;
        for (int64_t out = 0; out < outC; ++out)
          for (int64_t in = 0; in < groupC; ++in)
            add(((out * kernelH + kh) * kernelW + kw) * groupC + in,
                ((image * inH + h) * inW + v) * inC + out / groupOut * groupC +
                    in,
                ((image * outH + row) * outW + column) * outC + out);
      }
  };
  for (int64_t image = 0; image < batch && !zeros; ++image)
    for (int64_t row = 0; row < outH; ++row)
      for (int64_t column = 0; column < outW; ++column)
        atPixel(image, row, column);
  for (size_t i = 0; i < sums.size(); ++i)
    made[i] = static_cast<float>(accumulates ? made[i] + sums[i] : sums[i]);
}
