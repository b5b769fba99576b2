//===- Main.cpp - cambium-cuda-bench --------------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// On machines without a GPU it runs on the processor by test/simt, as
// docs/CUDA.md says: that shows that the cases start and compute what they
// should, and their times mean nothing.
//
//===----------------------------------------------------------------------===//

#include "Gpu.h"

#include "cambium/Error.h"
#include "cambium/Runtime/CudaCompiler.h"

#include <iostream>

using namespace cambium;
using namespace cambium::bench;

static std::string driverVersion() {
  int version = 0;
  cuda::check(cuda::Driver::get().cuDriverGetVersion(&version),
              "cannot ask the driver for its version");
  return std::to_string(version / 1000) + "." +
         std::to_string(version / 10 % 100);
}

int main(int argc, char **argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 1;
  try {
    Gpus gpus;
    benchmark::AddCustomContext("card", gpus.ours.device.name());
    benchmark::AddCustomContext("driver", driverVersion());
    benchmark::AddCustomContext("nvrtc", cuda::Compiler({}).version());
    benchmark::AddCustomContext("peer", gpus.peers.cudnnName);
    benchmark::AddCustomContext("rounds", std::to_string(settings().rounds));
    benchmark::AddCustomContext("l2", "cold: overwritten before each run");
    registerCudaConv2d(gpus);
    registerCudaRelu(gpus);
    registerCudaFashionStep(gpus);
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
  } catch (const std::exception &error) {
    std::cerr << "cambium-cuda-bench: " << error.what() << "\n";
    return 1;
  }
  return anyFailed() ? 1 : 0;
}
