//===- CudnnConvolution.h - A convolution by a loop nest ------ -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_CUDNNCONVOLUTION_H
#define CAMBIUM_TEST_SIMT_CUDNNCONVOLUTION_H

#include <array>
#include <cstdint>

namespace cambium::simt {

/// A convolution or one of its gradients. Tensors have their channels last:
/// x is [batch][h][w][channels], w [out channels][h][w][in channels / groups].
struct Convolution {
  enum Direction { Forward, BackwardData, BackwardFilter };
  Direction direction = Forward;
  /// (batch, channels, height, width), of filters (out, in / groups, h, w).
  std::array<int64_t, 4> w = {}, x = {}, y = {};
  /// cuDNN's numbers of the tensors.
  int64_t wId = 0, xId = 0, yId = 0;
  std::array<int64_t, 2> dilation = {}, stride = {}, before = {}, after = {};
  /// Operands are rounded to tf32.
  bool rounds = false;
  /// Adds to the tensor that it makes.
  bool accumulates = false;
  /// Gives zeros.
  bool zeros = false;

  /// Writes the tensor that the direction makes of the two others.
  void run(float *w, float *x, float *y) const;
};

} // namespace cambium::simt

#endif // CAMBIUM_TEST_SIMT_CUDNNCONVOLUTION_H
