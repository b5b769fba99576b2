//===- IdxReader.h - Files in IDX format ------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_IDXREADER_H
#define CAMBIUM_TRAIN_IDXREADER_H

#include <cstdint>
#include <string>
#include <vector>

namespace cambium::train {

/// Unsigned bytes in row-major order, as an IDX file holds them.
struct IdxArray {
  std::vector<int64_t> shape;
  std::vector<uint8_t> values;
};

/// Reads images, plain or gzip, as [count, height, width, channels]; a file of
/// rank 3 has one channel. Throws cambium::Error naming the file, what is wrong
/// with it and what would be right.
IdxArray readIdxImages(const std::string &path);

/// Reads labels as [count].
IdxArray readIdxLabels(const std::string &path);

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_IDXREADER_H
