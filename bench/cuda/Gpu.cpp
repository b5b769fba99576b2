//===- Gpu.cpp - A CUDA device with a clock -------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Gpu.h"

#include "cambium/Error.h"

using namespace cambium;
using namespace cambium::bench;

static std::string versionText(int64_t version) {
  return std::to_string(version / 10000) + "." +
         std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100);
}

Gpu::Gpu() {
  const cuda::Driver &driver = cuda::Driver::get();
  // The constructor of `device` has opened the first one.
  cuda::CUdevice first = 0;
  int bytes = 0;
  cuda::check(driver.cuDeviceGet(&first, 0), "cannot open the CUDA device");
  cuda::check(driver.cuDeviceGetAttribute(
                  &bytes, cuda::CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE, first),
              "cannot ask for the size of the L2 cache");
  cold = std::make_unique<Block>(2 * int64_t(bytes) / sizeof(float),
                                 device.memory());
  for (cuda::CUevent *event : {&begin, &end})
    cuda::check(driver.cuEventCreate(event, cuda::CU_EVENT_DEFAULT),
                "cannot make a CUDA event");
  try {
    device.stream();
    cudnn = device.convolutions();
    cudnnName = "cuDNN " + versionText(cudnn->version());
  } catch (const Error &error) {
    cudnnName = std::string("none: ") + error.what();
  }
}

Gpu::~Gpu() {
  const cuda::Driver &driver = cuda::Driver::get();
  device.stream();
  for (cuda::CUevent event : {begin, end})
    driver.cuEventDestroy_v2(event);
}

double Gpu::seconds(const std::function<void()> &run) {
  const cuda::Driver &driver = cuda::Driver::get();
  cuda::CUstream stream = device.stream();
  device.memory().zero(cold->data(), cold->size() * sizeof(float));
  cuda::check(driver.cuEventRecord(begin, stream), "cannot record an event");
  run();
  cuda::check(driver.cuEventRecord(end, stream), "cannot record an event");
  cuda::check(driver.cuEventSynchronize(end), "the CUDA device failed");
  float milliseconds = 0.0f;
  cuda::check(driver.cuEventElapsedTime(&milliseconds, begin, end),
              "cannot read an event");
  return milliseconds * 1e-3;
}

Contender Gpu::contender(std::function<void()> run) {
  // Plans are captured as graphs at their second run.
  run();
  run();
  device.synchronize();
  return {run, /*openMP=*/false, [this, run] { return seconds(run); }};
}

double bench::maximalError(Precision precision) {
  switch (precision) {
  case Precision::Fp32:
    return 1e-4;
  case Precision::Tf32:
    return 2e-3;
  case Precision::Bf16:
    return 1e-2;
  }
  return 0;
}
