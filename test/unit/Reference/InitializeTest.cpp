//===- InitializeTest.cpp - Initial values of parameters ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/Initialize.h"
#include "gtest/gtest.h"

#include <cmath>

using namespace cambium;

static std::vector<float> kaiming(uint64_t seed, const std::string &symbol,
                                  const std::vector<int64_t> &shape) {
  int64_t elements = 1;
  for (int64_t extent : shape)
    elements *= extent;
  std::vector<float> values(elements);
  initialize(InitKind::Kaiming, 0.0, seed, symbol, shape, values.data());
  return values;
}

TEST(InitializeTest, KaimingIsNormalWithTheFanInsDeviation) {
  std::vector<float> values = kaiming(7, "conv.w", {3, 3, 64, 128});
  double mean = 0.0, square = 0.0, fourth = 0.0;
  for (float value : values) {
    mean += value;
    square += double(value) * value;
    fourth += std::pow(double(value), 4);
  }
  double count = double(values.size());
  double variance = 2.0 / (3 * 3 * 64);
  EXPECT_NEAR(mean / count, 0.0, 4.0 * std::sqrt(variance / count));
  EXPECT_NEAR(square / count / variance, 1.0, 4.0 * std::sqrt(2.0 / count));
  EXPECT_NEAR(fourth / count / (variance * variance), 3.0,
              4.0 * std::sqrt(96.0 / count));
}

TEST(InitializeTest, NeighboursAreUncorrelated) {
  std::vector<float> values = kaiming(7, "conv.w", {1000, 100});
  double variance = 2.0 / 1000;
  for (size_t lag : {1, 2, 3, 100}) {
    double product = 0.0;
    for (size_t i = lag; i < values.size(); ++i)
      product += double(values[i]) * values[i - lag];
    EXPECT_NEAR(product / double(values.size()) / variance, 0.0,
                4.0 / std::sqrt(double(values.size())))
        << "lag " << lag;
  }
}

TEST(InitializeTest, ValuesDependOnSeedSymbolAndIndexAlone) {
  std::vector<float> first = kaiming(1, "a", {4, 5});
  EXPECT_EQ(kaiming(1, "a", {4, 5}), first);
  EXPECT_NE(kaiming(2, "a", {4, 5}), first);
  EXPECT_NE(kaiming(1, "b", {4, 5}), first);
  // Same fan-in, more columns: the elements with the same index are the same.
  std::vector<float> more = kaiming(1, "a", {4, 7});
  EXPECT_TRUE(std::equal(first.begin(), first.end(), more.begin()));
}

TEST(InitializeTest, OddNumbersOfElementsStayInside) {
  std::vector<float> values(6, -5.0f);
  initialize(InitKind::Kaiming, 0.0, 3, "w", {5, 1}, values.data());
  EXPECT_EQ(values[5], -5.0f);
  EXPECT_NE(values[4], -5.0f);
}

TEST(InitializeTest, ZeroAndConstant) {
  std::vector<float> values(3, 9.0f);
  initialize(InitKind::Zero, 2.0, 0, "w", {3}, values.data());
  EXPECT_EQ(values, std::vector<float>(3, 0.0f));
  initialize(InitKind::Constant, 0.25, 0, "w", {3}, values.data());
  EXPECT_EQ(values, std::vector<float>(3, 0.25f));
  initialize(InitKind::Constant, 0.5, 0, "w", {}, values.data());
  EXPECT_EQ(values[0], 0.5f);
}
