//===- ReluLayer.h - A sum of rectified branches ----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_GROWTH_RELULAYER_H
#define CAMBIUM_BENCH_GROWTH_RELULAYER_H

#include "../Bench.h"
#include "../peers/Convolution.h"

#include "cambium/Tensor.h"

#include <map>

namespace cambium::bench {

int64_t elements(const std::vector<int64_t> &shape);

/// IR: @forward() is y = sum over i of relu(conv(x, w_i) + b_i), @loss(target)
/// the mean squared error of y, and @bare(), if wanted, all the convolutions,
/// each with a result of its own, and nothing else. x, w0, b0, w1, ... are
/// parameters.
std::string reluLayerText(const ConvShape &shape, int64_t branches,
                          bool withBare = true);

/// The layer's tensors. x, filters and biases are multiples of such powers of
/// two that every sum before a relu is exact and none is zero: rounding then
/// never decides whether an element counts in backward.
struct ReluLayerData {
  ReluLayerData(const ConvShape &shape, int64_t branches);

  TensorView targetView() const { return {target.data(), shape.y()}; }
  std::map<std::string, TensorView> parameters() const;
  /// Of x, the target and the parameters.
  int64_t bytes() const;

  ConvShape shape;
  Block x, target;
  std::vector<Block> filters, biases;
};

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_GROWTH_RELULAYER_H
