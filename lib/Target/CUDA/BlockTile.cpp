//===- BlockTile.cpp - Tiles of contractions ------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A warp has 64 pixels by 32 channels on tensor cores, so that it loads less
// from shared memory than it multiplies, and half as much on CUDA cores, whose
// operands take more registers. Patches are those with which the fewest pixels
// fall beyond the image's border.
//
//===----------------------------------------------------------------------===//

#include "FilterForm.h"
#include "cambium/Target/CUDA/CudaEmitter.h"

#include "llvm/Support/MathExtras.h"

#include <algorithm>

using namespace mlir;

namespace cambium::grow {

using Kind = ContractionSpec::Kind;

namespace {

/// What a product of rows is made of; -1 where an extent is not known.
struct RowsShape {
  int64_t height, width;
  /// Of one group.
  int64_t source, result;
};

struct Patch {
  int64_t h = 0, w = 0;
};

} // namespace

static RowsShape shapeOf(const ContractionSpec &spec,
                         const ContractionExtents &extents) {
  auto ofGroup = [&](int64_t channels) {
    return channels < 0 ? -1 : std::max<int64_t>(channels / spec.groups, 1);
  };
  if (spec.kind == Kind::BackwardData)
    return {extents.inH, extents.inW, ofGroup(extents.outC),
            ofGroup(extents.inC)};
  return {extents.outH, extents.outW, ofGroup(extents.inC),
          ofGroup(extents.outC)};
}

/// Elements of k that one 32-byte step of a product takes.
static int64_t stepOf(Precision precision) {
  return precision == Precision::Bf16 ? 16 : 8;
}

/// The largest piece that pads a row by little more than the smallest does.
static int64_t chooseK(int64_t elements, Precision precision) {
  int64_t step = stepOf(precision), most = 4 * step;
  if (elements < 0)
    return most;
  auto padded = [&](int64_t k) {
    return static_cast<int64_t>(llvm::alignTo(elements, k));
  };
  for (int64_t k = most; k > step; k /= 2)
    if (padded(k) * 8 <= padded(step) * 9)
      return k;
  return step;
}

/// Rows of shared memory that a patch of m pixels takes.
static int64_t residentRows(const ContractionSpec &spec, const Patch &patch,
                            int64_t m) {
  bool data = spec.kind == Kind::BackwardData;
  auto side = [&](int64_t size, int64_t window, int64_t stride,
                  int64_t dilation) {
    int64_t halo = (window - 1) * dilation;
    return data ? size + halo / stride : (size - 1) * stride + halo + 1;
  };
  return m / (patch.h * patch.w) *
         side(patch.h, spec.kernelH, spec.strideH, spec.dilationH) *
         side(patch.w, spec.kernelW, spec.strideW, spec.dilationW);
}

/// A patch of m pixels; none where gathering is better.
static Patch choosePatch(const ContractionSpec &spec, const RowsShape &shape,
                         int64_t m, int64_t rowBytes) {
  constexpr int64_t mostBytes = 48 << 10, fewChannels = 4;
  bool single = spec.kernelH == 1 && spec.kernelW == 1 && spec.strideH == 1 &&
                spec.strideW == 1;
  if (spec.linear || single ||
      (shape.source >= 0 && shape.source <= fewChannels))
    return {};
  bool data = spec.kind == Kind::BackwardData;
  auto pixels = [&](int64_t extent, int64_t stride, int64_t size) {
    constexpr int64_t unknown = 32;
    int64_t known = extent < 0 ? unknown : std::max<int64_t>(extent, 1);
    return llvm::alignTo(llvm::divideCeil(known, data ? stride : 1), size);
  };
  Patch best;
  int64_t bestCost = 0;
  for (int64_t w = 4; w <= 32; w *= 2)
    for (int64_t h = 1; h <= 32 && h * w <= m; h *= 2) {
      Patch patch{h, w};
      int64_t rows = residentRows(spec, patch, m);
      if (rows * rowBytes > mostBytes)
        continue;
      // Products count for as much as loads of four rows.
      int64_t cost = pixels(shape.height, spec.strideH, h) *
                     pixels(shape.width, spec.strideW, w) * (4 * m + rows);
      if (best.h == 0 || cost < bestCost) {
        best = patch;
        bestCost = cost;
      }
    }
  return best;
}

BlockTileAttr chooseBlockTile(MLIRContext *context, const ContractionSpec &spec,
                              const ContractionExtents &extents,
                              Precision precision) {
  if (spec.kind == Kind::BackwardFilter)
    return chooseFilterTile(context, spec, extents, precision);
  constexpr int64_t m = 128, stages = 3, narrow = 16, middle = 32, wide = 64;
  RowsShape shape = shapeOf(spec, extents);
  int64_t n = shape.result < 0 || shape.result > middle ? wide
              : shape.result > narrow                   ? middle
                                                        : narrow;
  bool tensorCores = precision != Precision::Fp32;
  int64_t warpsN = n == wide ? 2 : 1;
  int64_t warpsM = n == wide && tensorCores ? 2 : 4;
  int64_t bytes = precision == Precision::Bf16 ? 2 : 4;
  int64_t k = chooseK(shape.source, precision);
  Patch patch = choosePatch(spec, shape, m, k * bytes + 16);
  if (patch.h == 0)
    k = chooseK(shape.source < 0 ? -1
                                 : shape.source * spec.kernelH * spec.kernelW,
                precision);
  return BlockTileAttr::get(context, m, n, k, warpsM, warpsN, stages, patch.h,
                            patch.w, precision);
}

} // namespace cambium::grow
