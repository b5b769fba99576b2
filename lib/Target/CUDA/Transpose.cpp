//===- Transpose.cpp - A kernel that transposes a matrix ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The template is in device/cambium/Transpose.cuh.
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/CUDA/CudaEmitter.h"

#include "llvm/Support/MathExtras.h"

using namespace cambium;

/// As in Transpose.cuh.
static constexpr int64_t kTile = 32, kPitch = kTile + 1;
static constexpr int kThreads = 256;

std::string grow::transposeSource() {
  return R"(#include "cambium/Transpose.cuh"

using namespace cambium;

extern "C" __global__ void __launch_bounds__(transposeThreads)
transpose_phase0(const __grid_constant__ Arguments<2, 2> args,
                 const int firstTask) {
  transpose(buffer<const float>(args, 0), buffer<float>(args, 1), args.dims[0],
            args.dims[1], firstTask + static_cast<int>(blockIdx.x));
}
)";
}

LaunchSizes grow::transposeSizes(int64_t rows, int64_t columns) {
  LaunchSizes sizes;
  sizes.tasks = {static_cast<int64_t>(llvm::divideCeil(rows, kTile) *
                                      llvm::divideCeil(columns, kTile))};
  sizes.blocks = {
      {kThreads, kTile * kPitch * static_cast<int64_t>(sizeof(float))}};
  return sizes;
}
