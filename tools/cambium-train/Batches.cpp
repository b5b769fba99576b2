//===- Batches.cpp - Batches of normalised images -------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Batches.h"

#include <algorithm>
#include <numeric>

namespace cambium::train {
namespace {

/// SplitMix64: small, and the same on every machine, which the distributions
/// of <random> are not.
class Random {
public:
  Random(uint64_t seed, uint64_t a, uint64_t b) : state(seed) {
    state = next() ^ a;
    state = next() ^ b;
  }

  uint64_t next() {
    state += 0x9e3779b97f4a7c15;
    uint64_t z = state;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }

  /// Uniform in 0 … bound - 1, for bounds far below 2^64.
  int64_t below(int64_t bound) {
    return static_cast<int64_t>(
        static_cast<unsigned __int128>(next()) * bound >> 64);
  }

private:
  uint64_t state;
};

constexpr uint64_t shuffleStream = ~uint64_t(0);

} // namespace

Batches::Batches(const ImageSet &set, const Normalization &normalization,
                 Options options)
    : set(set), normalization(normalization), options(options),
      permutation(set.count) {
  start(0);
}

int64_t Batches::perEpoch() const {
  if (options.order == Order::File)
    return (set.count + options.batch - 1) / options.batch;
  return std::max<int64_t>(1, set.count / options.batch);
}

void Batches::start(int64_t newEpoch, int64_t first) {
  epoch = newEpoch;
  position = first;
  std::iota(permutation.begin(), permutation.end(), 0);
  if (options.order == Order::File)
    return;
  Random random(options.seed, epoch, shuffleStream);
  for (int64_t i = set.count - 1; i > 0; --i)
    std::swap(permutation[i], permutation[random.below(i + 1)]);
}

bool Batches::next(Batch &batch) {
  if (position >= perEpoch())
    return false;
  const int64_t first = position * options.batch;
  const int64_t size = std::min(options.batch, set.count - first);
  const int64_t pixels = set.pixelsPerImage();
  batch.size = size;
  batch.shape = {size, set.height, set.width, set.channels};
  batch.images.resize(size * pixels);
  batch.labels.resize(size);
  for (int64_t i = 0; i < size; ++i) {
    int64_t index = permutation[first + i];
    batch.labels[i] = set.labels[index];
    if (options.augment)
      copyAugmented(index, batch.images.data() + i * pixels);
    else
      copyImage(index, batch.images.data() + i * pixels);
  }
  ++position;
  return true;
}

void Batches::copyImage(int64_t index, float *to) const {
  const int64_t pixels = set.pixelsPerImage();
  const uint8_t *from = set.pixels.data() + index * pixels;
  for (int64_t c = 0; c < set.channels; ++c) {
    const auto &table = normalization.table(c);
    for (int64_t i = c; i < pixels; i += set.channels)
      to[i] = table[from[i]];
  }
}

void Batches::copyAugmented(int64_t index, float *to) const {
  Random random(options.seed, epoch, index);
  const bool flip = random.below(2) != 0;
  const int64_t dy = random.below(5) - 2, dx = random.below(5) - 2;
  const uint8_t *from = set.pixels.data() + index * set.pixelsPerImage();
  for (int64_t y = 0; y < set.height; ++y)
    for (int64_t x = 0; x < set.width; ++x) {
      int64_t fromY = y - dy;
      int64_t fromX = (flip ? set.width - 1 - x : x) - dx;
      bool inside =
          fromY >= 0 && fromY < set.height && fromX >= 0 && fromX < set.width;
      const uint8_t *pixel =
          inside ? from + (fromY * set.width + fromX) * set.channels : nullptr;
      for (int64_t c = 0; c < set.channels; ++c)
        *to++ = normalization.table(c)[pixel ? pixel[c] : 0];
    }
}

} // namespace cambium::train
