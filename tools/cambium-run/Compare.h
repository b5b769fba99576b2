//===- Compare.h - How far results are apart --------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TOOLS_CAMBIUM_RUN_COMPARE_H
#define CAMBIUM_TOOLS_CAMBIUM_RUN_COMPARE_H

#include "cambium/Reference/ReferenceTensor.h"

#include <vector>

namespace cambium {

/// A result against its reference.
struct Comparison {
  /// Largest magnitude of the reference's elements.
  double magnitude = 0.0;
  /// Largest difference of an element, divided by that magnitude; infinite if
  /// the shapes differ or only one of two elements is finite.
  double error = 0.0;
};

/// Compares the results of one call. A reference whose magnitude is below a
/// thousandth of the largest one's is measured by that thousandth instead: what
/// is zero but for rounding, such as the gradient of a bias in front of a batch
/// normalisation, has no digits to compare.
std::vector<Comparison> compare(llvm::ArrayRef<ReferenceTensor> actual,
                                llvm::ArrayRef<ReferenceTensor> expected);

} // namespace cambium

#endif // CAMBIUM_TOOLS_CAMBIUM_RUN_COMPARE_H
