//===- ReferenceTensor.h - Tensors of the reference -------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_REFERENCE_REFERENCETENSOR_H
#define CAMBIUM_REFERENCE_REFERENCETENSOR_H

#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <vector>

namespace cambium {

/// A dense, row-major tensor in double precision. Class labels are held as
/// doubles of integer value. A scalar has an empty shape and one element.
struct ReferenceTensor {
  ReferenceTensor() = default;
  explicit ReferenceTensor(llvm::ArrayRef<int64_t> shape, double value = 0.0)
      : shape(shape), data(static_cast<size_t>(elementsOf(shape)), value) {}
  ReferenceTensor(llvm::ArrayRef<int64_t> shape, std::vector<double> data)
      : shape(shape), data(std::move(data)) {}

  static int64_t elementsOf(llvm::ArrayRef<int64_t> shape) {
    int64_t product = 1;
    for (int64_t extent : shape)
      product *= extent;
    return product;
  }

  int64_t elements() const { return static_cast<int64_t>(data.size()); }
  int64_t rank() const { return static_cast<int64_t>(shape.size()); }

  llvm::SmallVector<int64_t> shape;
  std::vector<double> data;
};

} // namespace cambium

#endif // CAMBIUM_REFERENCE_REFERENCETENSOR_H
