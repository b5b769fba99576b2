//===- Dataset.h - Image sets named like MNIST ------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_DATASET_H
#define CAMBIUM_TRAIN_DATASET_H

#include <array>
#include <cstdint>
#include <string>
#include <vector>

namespace cambium::train {

/// Images as bytes in NHWC order and the class of each.
struct ImageSet {
  std::string imagesPath;
  std::string labelsPath;
  int64_t count = 0;
  int64_t height = 0;
  int64_t width = 0;
  int64_t channels = 0;
  std::vector<uint8_t> pixels;
  std::vector<int32_t> labels;

  int64_t pixelsPerImage() const { return height * width * channels; }
  /// Throws cambium::Error for the first label outside 0 … classes - 1.
  void checkLabels(int64_t classes) const;
};

struct Dataset {
  ImageSet train;
  ImageSet test;
};

/// Finds the four files of a set that is named like MNIST, reads all of each,
/// and checks them against each other. A limit above 0 keeps the first images
/// only. Throws cambium::Error.
Dataset loadDataset(const std::string &directory, int64_t limitTrain = 0,
                    int64_t limitTest = 0);

/// Maps bytes to floats of mean 0 and standard deviation 1 for each channel.
/// The statistics are exact sums over integers, so they are the same on every
/// machine.
class Normalization {
public:
  explicit Normalization(const ImageSet &set);

  double mean(int64_t channel) const { return means[channel]; }
  double deviation(int64_t channel) const { return deviations[channel]; }
  /// The values of a channel's 256 bytes.
  const std::array<float, 256> &table(int64_t channel) const {
    return tables[channel];
  }

private:
  std::vector<double> means;
  std::vector<double> deviations;
  std::vector<std::array<float, 256>> tables;
};

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_DATASET_H
