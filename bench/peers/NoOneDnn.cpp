//===- NoOneDnn.cpp - Where oneDNN is not installed -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OneDnn.h"

using namespace cambium::bench;

std::unique_ptr<OneDnnConv> cambium::bench::makeOneDnnConv(ConvKind,
                                                           const ConvShape &,
                                                           const float *,
                                                           const float *) {
  return nullptr;
}

std::string cambium::bench::oneDnnName() {
  return "none (built without oneDNN)";
}
