//===- Convolution.cpp - A convolution to benchmark -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Convolution.h"

#include <sstream>

using namespace cambium::bench;

std::string ConvShape::str() const {
  std::ostringstream text;
  text << "n" << batch << "_" << size << "x" << size << "_c" << inC << "-"
       << outC << "_k" << kernel << "_s" << stride << "_p" << padding;
  return text.str();
}

double ConvShape::flops() const {
  int64_t taps = 0;
  for (int64_t out = 0; out < outSize(); ++out)
    for (int64_t tap = 0; tap < kernel; ++tap) {
      int64_t in = out * stride + tap - padding;
      taps += in >= 0 && in < size;
    }
  return 2.0 * batch * taps * taps * inC * outC;
}
