//===- OneDnn.h - oneDNN's convolutions -------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_PEERS_ONEDNN_H
#define CAMBIUM_BENCH_PEERS_ONEDNN_H

#include "Convolution.h"

#include <memory>

namespace cambium::bench {

/// oneDNN's direct convolution in the layouts that it prefers. Reordering into
/// and out of them is no part of run().
class OneDnnConv {
public:
  virtual ~OneDnnConv() = default;
  virtual void run() = 0;
  /// Copies the result of the last run to dense NHWC or HWCF memory.
  virtual void read(float *result) = 0;
  /// oneDNN's name of the kernel, such as jit:avx2.
  virtual std::string implementation() const = 0;
};

/// Operands as for the `grow` op of the kind: x and w, dy and w, or x and dy.
/// Null if the program was built without oneDNN.
std::unique_ptr<OneDnnConv> makeOneDnnConv(ConvKind kind,
                                           const ConvShape &shape,
                                           const float *lhs, const float *rhs);

/// Name, version and instruction set.
std::string oneDnnName();

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_PEERS_ONEDNN_H
