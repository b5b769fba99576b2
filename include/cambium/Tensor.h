//===- Tensor.h - Tensors that cross the public border ----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TENSOR_H
#define CAMBIUM_TENSOR_H

#include <cstdint>
#include <utility>
#include <vector>

namespace cambium {

enum class ElementType { F32, I32 };

/// A borrowed, dense, row-major tensor: images are NHWC, filters HWCF, class
/// labels int32. The memory stays the caller's and must live for the call.
struct TensorView {
  TensorView(const float *data, std::vector<int64_t> shape)
      : type(ElementType::F32), data(data), shape(std::move(shape)) {}
  TensorView(const int32_t *data, std::vector<int64_t> shape)
      : type(ElementType::I32), data(data), shape(std::move(shape)) {}

  int64_t elements() const {
    int64_t product = 1;
    for (int64_t extent : shape)
      product *= extent;
    return product;
  }

  ElementType type;
  const void *data;
  std::vector<int64_t> shape;
};

/// An owned, dense, row-major float32 tensor.
struct Tensor {
  std::vector<int64_t> shape;
  std::vector<float> data;
};

} // namespace cambium

#endif // CAMBIUM_TENSOR_H
