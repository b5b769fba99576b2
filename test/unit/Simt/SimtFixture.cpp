//===- SimtFixture.cpp - Kernels of a test's own --------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SimtFixture.h"

#include <cstdlib>

using namespace cambium::cuda;

const Driver *SimtTest::driver = nullptr;
const Nvrtc *SimtTest::nvrtc = nullptr;

void SimtTest::SetUpTestSuite() {
  setenv("CAMBIUM_CUDA_DRIVER", CAMBIUM_SIMT_LIBRARY, 1);
  setenv("CAMBIUM_NVRTC", CAMBIUM_SIMT_LIBRARY, 1);
  driver = &Driver::get();
  nvrtc = &Nvrtc::get();
}

void SimtTest::SetUp() {
  ASSERT_EQ(driver->cuInit(0), CUDA_SUCCESS);
  ASSERT_EQ(driver->cuDevicePrimaryCtxRetain(&context, 0), CUDA_SUCCESS);
  ASSERT_EQ(driver->cuCtxSetCurrent(context), CUDA_SUCCESS);
  ASSERT_EQ(driver->cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING),
            CUDA_SUCCESS);
}

void SimtTest::TearDown() {
  ASSERT_EQ(driver->cuDevicePrimaryCtxRelease_v2(0), CUDA_SUCCESS);
}

nvrtcResult SimtTest::compile(const std::string &source,
                              std::vector<char> &cubin) {
  std::vector<const char *> names, texts;
  for (const Header &header : headers) {
    names.push_back(header.name);
    texts.push_back(header.text);
  }
  nvrtcProgram program = nullptr;
  nvrtc->nvrtcCreateProgram(&program, source.c_str(), "kernel.cu",
                            static_cast<int>(names.size()), texts.data(),
                            names.data());
  std::string target = "--gpu-architecture=" + architecture;
  const char *options[] = {target.c_str(), "--std=c++17", "--ptxas-options=-v"};
  nvrtcResult result = nvrtc->nvrtcCompileProgram(program, 3, options);
  size_t bytes = 0;
  nvrtc->nvrtcGetProgramLogSize(program, &bytes);
  log.resize(bytes);
  nvrtc->nvrtcGetProgramLog(program, log.data());
  nvrtc->nvrtcGetCUBINSize(program, &bytes);
  cubin.resize(bytes);
  if (bytes)
    nvrtc->nvrtcGetCUBIN(program, cubin.data());
  nvrtc->nvrtcDestroyProgram(&program);
  return result;
}

CUfunction SimtTest::kernel(const std::string &source) {
  std::vector<char> cubin;
  if (compile(source, cubin) != NVRTC_SUCCESS) {
    ADD_FAILURE() << log;
    return nullptr;
  }
  CUmodule module = nullptr;
  CUfunction function = nullptr;
  EXPECT_EQ(driver->cuModuleLoadData(&module, cubin.data()), CUDA_SUCCESS);
  EXPECT_EQ(driver->cuModuleGetFunction(&function, module, "k"), CUDA_SUCCESS);
  return function;
}

CUdeviceptr SimtTest::allocate(size_t bytes) {
  CUdeviceptr address = 0;
  EXPECT_EQ(driver->cuMemAlloc_v2(&address, bytes), CUDA_SUCCESS);
  return address;
}

std::string SimtTest::text(CUresult error) {
  const char *text = nullptr;
  driver->cuGetErrorString(error, &text);
  return text ? text : "";
}
