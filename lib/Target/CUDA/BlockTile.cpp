//===- BlockTile.cpp - Tiles of contractions ------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/CUDA/CudaEmitter.h"

using namespace mlir;

namespace cambium::grow {

BlockTileAttr chooseBlockTile(MLIRContext *context, const ContractionSpec &,
                              const ContractionExtents &, Precision precision) {
  return BlockTileAttr::get(context, 128, 64, 32, 4, 2, 3, 8, 16, precision);
}

} // namespace cambium::grow
