//===- Initialize.cpp - Initial values of parameters ----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/Initialize.h"

#include <algorithm>
#include <cmath>

using namespace cambium;

namespace {

constexpr uint64_t goldenGamma = 0x9e3779b97f4a7c15u;

/// Output function of SplitMix64 (Steele et al., "Fast Splittable Pseudorandom
/// Number Generators", 2014): a bijection whose values at consecutive multiples
/// of the golden gamma pass statistical tests.
uint64_t mix(uint64_t bits) {
  bits = (bits ^ (bits >> 30)) * 0xbf58476d1ce4e5b9u;
  bits = (bits ^ (bits >> 27)) * 0x94d049bb133111ebu;
  return bits ^ (bits >> 31);
}

/// One stream a symbol: FNV-1a over its characters, mixed with the seed.
uint64_t streamKey(uint64_t seed, const std::string &symbol) {
  uint64_t hash = 0xcbf29ce484222325u;
  for (unsigned char character : symbol)
    hash = (hash ^ character) * 0x100000001b3u;
  return mix(hash ^ mix(seed + goldenGamma));
}

/// Uniform in (0, 1): 53 random bits and a half, so the logarithm is finite.
double uniform(uint64_t key, uint64_t counter) {
  uint64_t bits = mix(key + (counter + 1) * goldenGamma) >> 11;
  return (static_cast<double>(bits) + 0.5) * 0x1p-53;
}

/// Box-Muller: elements 2i and 2i + 1 are the two coordinates of one pair.
void fillNormal(uint64_t key, double deviation, int64_t elements, float *out) {
  constexpr double twoPi = 6.283185307179586476925286766559;
  for (int64_t i = 0; i < elements; i += 2) {
    double radius =
        deviation * std::sqrt(-2.0 * std::log(uniform(key, uint64_t(i))));
    double angle = twoPi * uniform(key, uint64_t(i) + 1);
    out[i] = static_cast<float>(radius * std::cos(angle));
    if (i + 1 < elements)
      out[i + 1] = static_cast<float>(radius * std::sin(angle));
  }
}

} // namespace

void cambium::initialize(InitKind kind, double value, uint64_t seed,
                         const std::string &symbol,
                         const std::vector<int64_t> &shape, float *out) {
  int64_t elements = 1;
  int64_t fanIn = 1;
  for (size_t i = 0; i < shape.size(); ++i) {
    elements *= shape[i];
    if (i + 1 < shape.size())
      fanIn *= shape[i];
  }
  switch (kind) {
  case InitKind::Zero:
    std::fill_n(out, elements, 0.0f);
    return;
  case InitKind::Constant:
    std::fill_n(out, elements, static_cast<float>(value));
    return;
  case InitKind::Kaiming:
    fillNormal(
        streamKey(seed, symbol),
        std::sqrt(2.0 / static_cast<double>(std::max<int64_t>(fanIn, 1))),
        elements, out);
    return;
  }
}
