//===- Dataset.cpp - Image sets named like MNIST --------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Dataset.h"

#include "Format.h"
#include "IdxReader.h"
#include "cambium/Error.h"

#include <cmath>
#include <filesystem>

namespace cambium::train {
namespace {

namespace fs = std::filesystem;

/// Finds e.g. train-images-idx3-ubyte.gz; some sets say "test" for "t10k" or
/// put a dot before "idx".
std::string findFile(const fs::path &directory, const char *what,
                     const std::vector<std::string> &prefixes,
                     const std::string &kind,
                     const std::vector<std::string> &ranks) {
  for (const std::string &prefix : prefixes)
    for (const char *separator : {"-", "."})
      for (const std::string &rank : ranks)
        for (const char *suffix : {"", ".gz"}) {
          fs::path path = directory / (prefix + "-" + kind + separator + rank +
                                       "-ubyte" + suffix);
          std::error_code ignored;
          if (fs::exists(path, ignored))
            return path.string();
        }
  std::string name = prefixes[0] + "-" + kind + "-" + ranks[0] + "-ubyte";
  throw Error("'" + directory.string() + "' holds no " + what + ": expected '" +
              name + "' or '" + name + ".gz'");
}

ImageSet loadSet(const fs::path &directory, const std::string &role,
                 const std::vector<std::string> &prefixes, int64_t limit) {
  ImageSet set;
  set.imagesPath = findFile(directory, (role + " images").c_str(), prefixes,
                            "images", {"idx3", "idx4"});
  set.labelsPath = findFile(directory, (role + " labels").c_str(), prefixes,
                            "labels", {"idx1"});
  IdxArray images = readIdxImages(set.imagesPath);
  IdxArray labels = readIdxLabels(set.labelsPath);
  if (images.shape[0] != labels.shape[0])
    throw Error("'" + set.labelsPath + "': holds " +
                counted(labels.shape[0], "label", "labels") + ", but '" +
                set.imagesPath + "' holds " +
                counted(images.shape[0], "image", "images") +
                "; every image needs one label");
  set.count = images.shape[0];
  set.height = images.shape[1];
  set.width = images.shape[2];
  set.channels = images.shape[3];
  set.pixels = std::move(images.values);
  set.labels.assign(labels.values.begin(), labels.values.end());
  if (limit > 0 && limit < set.count) {
    set.count = limit;
    set.pixels.resize(limit * set.pixelsPerImage());
    set.pixels.shrink_to_fit();
    set.labels.resize(limit);
  }
  return set;
}

} // namespace

void ImageSet::checkLabels(int64_t classes) const {
  for (size_t i = 0; i < labels.size(); ++i)
    if (labels[i] >= classes)
      throw Error("'" + labelsPath + "': label " + std::to_string(labels[i]) +
                  " of image " + std::to_string(i) +
                  " is out of range: the network has " +
                  counted(classes, "class", "classes") +
                  ", so labels are 0 to " + std::to_string(classes - 1));
}

Dataset loadDataset(const std::string &directory, int64_t limitTrain,
                    int64_t limitTest) {
  std::error_code ignored;
  if (!fs::is_directory(directory, ignored))
    throw Error("'" + directory +
                "' is not a directory; expected one with a data set in IDX "
                "format");
  Dataset data;
  data.train = loadSet(directory, "training", {"train"}, limitTrain);
  data.test = loadSet(directory, "test", {"t10k", "test"}, limitTest);
  auto shape = [](const ImageSet &set) {
    return extents({set.height, set.width, set.channels});
  };
  if (shape(data.train) != shape(data.test))
    throw Error("'" + data.test.imagesPath + "': test images are " +
                shape(data.test) + ", but the training images in '" +
                data.train.imagesPath + "' are " + shape(data.train) +
                "; both must agree");
  return data;
}

Normalization::Normalization(const ImageSet &set) {
  std::vector<std::array<int64_t, 256>> counts(set.channels);
  for (auto &count : counts)
    count.fill(0);
  for (size_t i = 0; i < set.pixels.size(); i += set.channels)
    for (int64_t c = 0; c < set.channels; ++c)
      ++counts[c][set.pixels[i + c]];
  const double total = static_cast<double>(set.pixels.size() / set.channels);
  for (int64_t c = 0; c < set.channels; ++c) {
    int64_t sum = 0, squares = 0;
    for (int64_t value = 0; value < 256; ++value) {
      sum += value * counts[c][value];
      squares += value * value * counts[c][value];
    }
    double mean = sum / total / 255.0;
    double variance = squares / total / (255.0 * 255.0) - mean * mean;
    // A channel of one colour stays as it is, at zero.
    double deviation = variance > 1e-12 ? std::sqrt(variance) : 1.0;
    means.push_back(mean);
    deviations.push_back(deviation);
    std::array<float, 256> table;
    for (int value = 0; value < 256; ++value)
      table[value] = static_cast<float>((value / 255.0 - mean) / deviation);
    tables.push_back(table);
  }
}

} // namespace cambium::train
