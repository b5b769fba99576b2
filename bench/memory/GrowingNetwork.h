//===- GrowingNetwork.h - The network of the growth curve -------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_MEMORY_GROWINGNETWORK_H
#define CAMBIUM_BENCH_MEMORY_GROWINGNETWORK_H

#include <array>
#include <cstdint>

namespace cambium::bench {

/// A classifier of square images whose two blocks grow:
///
///   stem    conv3x3 + bias, relu
///   block1  sum over branches of relu(conv3x3 + bias), max-pool 2x2
///   widen   conv3x3 + bias, relu
///   block2  as block1
///   hidden  flatten, linear + bias, relu
///   head    linear + bias, mean cross-entropy
///
/// Parameters are called stem.w, stem.b and so on, those of a block's branches
/// block1.0.w, block1.0.b, block1.1.w, ...
struct GrowingNetwork {
  int64_t batch = 32, size = 32, colours = 3;
  /// Channels of stem and block1, and of widen and block2.
  std::array<int64_t, 2> channels = {32, 64};
  int64_t hidden = 160, classes = 10;
  int64_t branches = 3;
  float learningRate = 0.001f, momentum = 0.9f;

  int64_t imageElements() const { return batch * size * size * colours; }
};

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_MEMORY_GROWINGNETWORK_H
