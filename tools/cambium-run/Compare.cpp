//===- Compare.cpp - How far results are apart ----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compare.h"
#include "llvm/ADT/STLExtras.h"

#include <cmath>
#include <limits>

using namespace cambium;

static double largestMagnitude(const ReferenceTensor &tensor) {
  double largest = 0.0;
  for (double value : tensor.data)
    if (std::isfinite(value))
      largest = std::max(largest, std::abs(value));
  return largest;
}

static double largestDifference(const ReferenceTensor &actual,
                                const ReferenceTensor &expected) {
  constexpr double infinity = std::numeric_limits<double>::infinity();
  if (actual.shape != expected.shape ||
      actual.elements() != expected.elements())
    return infinity;
  double largest = 0.0;
  for (auto [a, b] : llvm::zip_equal(actual.data, expected.data)) {
    if (a == b || (std::isnan(a) && std::isnan(b)))
      continue;
    double difference = std::abs(a - b);
    largest =
        std::max(largest, std::isfinite(difference) ? difference : infinity);
  }
  return largest;
}

std::vector<Comparison>
cambium::compare(llvm::ArrayRef<ReferenceTensor> actual,
                 llvm::ArrayRef<ReferenceTensor> expected) {
  constexpr double share = 1e-3;
  std::vector<Comparison> comparisons(expected.size());
  double largest = 0.0;
  for (auto [comparison, tensor] : llvm::zip_equal(comparisons, expected)) {
    comparison.magnitude = largestMagnitude(tensor);
    largest = std::max(largest, comparison.magnitude);
  }
  for (auto [i, comparison] : llvm::enumerate(comparisons)) {
    comparison.error = i < actual.size()
                           ? largestDifference(actual[i], expected[i])
                           : std::numeric_limits<double>::infinity();
    double scale = std::max(comparison.magnitude, share * largest);
    if (scale > 0.0)
      comparison.error /= scale;
  }
  return comparisons;
}
