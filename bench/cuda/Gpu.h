//===- Gpu.h - A CUDA device with a clock -----------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_CUDA_GPU_H
#define CAMBIUM_BENCH_CUDA_GPU_H

#include "../Bench.h"

#include "cambium/CompileOptions.h"
#include "cambium/Runtime/ConvolutionLibrary.h"
#include "cambium/Runtime/CudaDevice.h"

#include <optional>

namespace cambium::bench {

/// The first CUDA device, with a stream and memory of its own, and its clock.
class Gpu {
public:
  /// Throws Error where there is none.
  Gpu();
  ~Gpu();

  cuda::Device device;
  /// cuDNN on the device's stream, if it is there.
  std::optional<ConvolutionLibrary> cudnn;
  /// "cuDNN 9.19.0", or why there is none.
  std::string cudnnName;

  /// Seconds that what `run` puts on the stream takes, by the device's events.
  /// Memory of twice the size of the L2 cache is written before: nothing of use
  /// is in the cache, and the device is busy until all is submitted.
  double seconds(const std::function<void()> &run);
  Contender contender(std::function<void()> run);

private:
  /// To be written over.
  std::unique_ptr<Block> cold;
  cuda::CUevent begin = nullptr, end = nullptr;
};

/// Two views of one device: ours, and the peer's, so that neither moves the
/// other's memory.
struct Gpus {
  Gpu ours, peers;
};

/// The largest error against results in fp32, in the L2 norm, that rounding the
/// operands of long sums to a precision explains.
double maximalError(Precision precision);

void registerCudaConv2d(Gpus &gpus);
void registerCudaRelu(Gpus &gpus);
void registerCudaFashionStep(Gpus &gpus);

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_CUDA_GPU_H
