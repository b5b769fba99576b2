//===- Convolution.h - A convolution to benchmark ---------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_PEERS_CONVOLUTION_H
#define CAMBIUM_BENCH_PEERS_CONVOLUTION_H

#include <cstdint>
#include <string>
#include <vector>

namespace cambium::bench {

enum class ConvKind { Forward, BackwardData, BackwardFilter };

/// Square images, windows, strides and padding; one group.
struct ConvShape {
  int64_t batch, size, inC, outC, kernel, stride, padding;

  int64_t outSize() const { return (size + 2 * padding - kernel) / stride + 1; }
  /// x and y are NHWC, w is HWCF.
  std::vector<int64_t> x() const { return {batch, size, size, inC}; }
  std::vector<int64_t> w() const { return {kernel, kernel, inC, outC}; }
  std::vector<int64_t> y() const { return {batch, outSize(), outSize(), outC}; }
  /// Such as n16_32x32_c64-64_k3_s1_p1.
  std::string str() const;
  /// Floating-point operations of any kind; taps on padding do not count.
  double flops() const;
};

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_PEERS_CONVOLUTION_H
