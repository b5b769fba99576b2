//===- SimtFixture.h - Kernels of a test's own --------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_UNIT_SIMT_SIMTFIXTURE_H
#define CAMBIUM_TEST_UNIT_SIMT_SIMTFIXTURE_H

#include "cambium/Runtime/CudaCompiler.h"
#include "cambium/Runtime/CudaLibraries.h"

#include <gtest/gtest.h>
#include <string>
#include <vector>

namespace cambium::cuda {

/// Runs kernels on the shim: one context and one stream for each test.
class SimtTest : public ::testing::Test {
protected:
  static void SetUpTestSuite();
  void SetUp() override;
  void TearDown() override;

  /// NVRTC's result; the log is left in `log`.
  nvrtcResult compile(const std::string &source, std::vector<char> &cubin);
  /// The kernel `k` of a source that starts with `extern "C" __global__`.
  CUfunction kernel(const std::string &source);

  /// Device memory, freed with the test.
  CUdeviceptr allocate(size_t bytes);
  template <class T> CUdeviceptr upload(const std::vector<T> &values) {
    CUdeviceptr address = allocate(values.size() * sizeof(T));
    EXPECT_EQ(driver->cuMemcpyHtoDAsync_v2(address, values.data(),
                                           values.size() * sizeof(T), stream),
              CUDA_SUCCESS);
    return address;
  }
  template <class T>
  std::vector<T> download(CUdeviceptr address, size_t count) {
    std::vector<T> values(count);
    EXPECT_EQ(driver->cuMemcpyDtoHAsync_v2(values.data(), address,
                                           count * sizeof(T), stream),
              CUDA_SUCCESS);
    return values;
  }

  /// Launches and waits. The parameters' types are those of the kernel.
  template <class... Params>
  CUresult launch(CUfunction function, unsigned blocks, unsigned threads,
                  unsigned sharedBytes, Params... params) {
    void *pointers[] = {&params...};
    CUresult result =
        driver->cuLaunchKernel(function, blocks, 1, 1, threads, 1, 1,
                               sharedBytes, stream, pointers, nullptr);
    if (result != CUDA_SUCCESS)
      return result;
    return driver->cuStreamSynchronize(stream);
  }
  /// The driver's text of an error.
  std::string text(CUresult error);

  static const Driver *driver;
  static const Nvrtc *nvrtc;
  std::vector<Header> headers;
  /// Of CAMBIUM_SIMT_ARCH.
  std::string architecture = "sm_80";
  std::string log;
  CUcontext context = nullptr;
  CUstream stream = nullptr;
};

} // namespace cambium::cuda

#endif // CAMBIUM_TEST_UNIT_SIMT_SIMTFIXTURE_H
