//===- Batches.h - Batches of normalised images -----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_BATCHES_H
#define CAMBIUM_TRAIN_BATCHES_H

#include "Dataset.h"
#include "cambium/Tensor.h"

#include <cstdint>
#include <vector>

namespace cambium::train {

/// Normalised images [size, height, width, channels] and labels [size].
struct Batch {
  int64_t size = 0;
  std::vector<int64_t> shape;
  std::vector<float> images;
  std::vector<int32_t> labels;

  TensorView imageView() const { return {images.data(), shape}; }
  TensorView labelView() const { return {labels.data(), {size}}; }
};

/// Cuts a set into batches of normalised images.
///
/// In training order every epoch is a new permutation that depends on seed and
/// epoch only, and a last batch that is not full is left out: other images
/// fall out in each epoch, and no step has the statistics of a few images. (A
/// set smaller than one batch makes one batch.) In file order, for evaluation,
/// every image comes, the last batch as small as need be.
class Batches {
public:
  enum class Order { File, Shuffled };

  struct Options {
    int64_t batch = 128;
    Order order = Order::File;
    /// Flip half of the images left to right and shift each by up to two pixels
    /// up, down, left and right.
    bool augment = false;
    uint64_t seed = 0;
  };

  /// The set and its normalization must outlive this object.
  Batches(const ImageSet &set, const Normalization &normalization,
          Options options);

  int64_t perEpoch() const;
  /// The next batch is the one with this index in the epoch.
  void start(int64_t epoch, int64_t first = 0);
  /// Fills the next batch; false after the epoch's last.
  bool next(Batch &batch);

private:
  void copyImage(int64_t index, float *to) const;
  void copyAugmented(int64_t index, float *to) const;

  const ImageSet &set;
  const Normalization &normalization;
  Options options;
  int64_t epoch = 0;
  int64_t position = 0;
  std::vector<int64_t> permutation;
};

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_BATCHES_H
