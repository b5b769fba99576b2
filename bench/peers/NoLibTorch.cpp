//===- NoLibTorch.cpp - Where LibTorch is not installed -------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LibTorch.h"

using namespace cambium::bench;

std::vector<std::unique_ptr<TorchLayer>>
cambium::bench::makeTorchLayers(const TorchLayerCase &, unsigned) {
  return {};
}

std::vector<std::unique_ptr<TorchNetwork>>
cambium::bench::makeTorchNetworks(const GrowingNetwork &, const NamedValues &,
                                  const float *, const int32_t *, unsigned) {
  return {};
}

std::unique_ptr<TorchFashion>
cambium::bench::makeTorchFashion(const TorchFashionCase &, unsigned) {
  return nullptr;
}

std::string cambium::bench::torchName() {
  return "none (built without LibTorch)";
}
