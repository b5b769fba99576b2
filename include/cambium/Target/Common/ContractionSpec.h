//===- ContractionSpec.h - What contractions compute --------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_COMMON_CONTRACTIONSPEC_H
#define CAMBIUM_TARGET_COMMON_CONTRACTIONSPEC_H

#include <cstdint>
#include <string>

namespace cambium {

/// What a contraction computes. Positions outside the input count as zeros.
struct ContractionSpec {
  enum class Kind { Forward, BackwardData, BackwardFilter };

  Kind kind = Kind::Forward;
  /// Tensors have two dimensions; the window fields keep their defaults.
  bool linear = false;
  int64_t kernelH = 1, kernelW = 1;
  int64_t strideH = 1, strideW = 1;
  int64_t padTop = 0, padBottom = 0, padLeft = 0, padRight = 0;
  int64_t dilationH = 1, dilationW = 1;
  int64_t groups = 1;

  bool operator==(const ContractionSpec &other) const;
  bool operator!=(const ContractionSpec &other) const {
    return !(*this == other);
  }
  /// All fields as text, equal for equal specs only; serves as a cache key.
  std::string str() const;
};

/// What a register tile of Forward or BackwardData is. The source is x or dy.
enum class TileOrder {
  /// Neighbouring pixels of a row, by vectors of channels.
  Rows,
  /// Pixels of one column in neighbouring rows and images, by vectors of
  /// channels. The source is read in place.
  Columns,
  /// Channels, by vectors of neighbouring pixels of a row. The source is
  /// transposed to planes of pixels.
  Planes,
};
/// "rows", "columns" or "planes".
const char *tileOrderName(TileOrder order);

/// Extents of x, w and y. In chooseSchedule, -1 means not known yet.
struct ContractionExtents {
  int64_t batch = -1;
  int64_t inH = -1, inW = -1, inC = -1;
  int64_t outH = -1, outW = -1, outC = -1;
};

/// Equal contractions, one for each branch, and how their results meet.
struct BranchSpec {
  /// How the results of Forward and BackwardData meet. Each branch of a
  /// BackwardFilter has its own.
  enum class Join { Sum, Mean, Concat };

  ContractionSpec contraction;
  Join join = Join::Sum;
  /// BackwardData, BackwardFilter: the gradient hook takes the accumulators of
  /// the forward contraction, which are computed again. They have the bits that
  /// the Forward kernel with the same schedule gave.
  bool recompute = false;
  /// BackwardFilter: number of vectors for each branch whose sums over all
  /// pixels are results.
  int64_t sums = 0;
};

/// True for contractions that Winograd's algorithm computes: windows of 3x3
/// with stride and dilation 1, padding of at most 2, and one group.
bool isWinograd(const ContractionSpec &spec);

} // namespace cambium

#endif // CAMBIUM_TARGET_COMMON_CONTRACTIONSPEC_H
