//===- DriverTest.cpp - The shim's driver and compiler --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SimtFixture.h"

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <unistd.h>

using namespace cambium::cuda;
namespace fs = std::filesystem;

namespace {

using SimtDriver = SimtTest;

constexpr const char *addOne = R"(
extern "C" __global__ void __launch_bounds__(64, 2)
k(float *values, const int count) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < count)
    values[i] += 1;
})";

/// Holds an environment variable for a test.
class Variable {
public:
  Variable(const char *name, const std::string &value) : name(name) {
    if (const char *old = std::getenv(name))
      before = old;
    setenv(name, value.c_str(), 1);
  }
  Variable(const Variable &) = delete;
  Variable &operator=(const Variable &) = delete;
  ~Variable() {
    if (before.empty())
      unsetenv(name);
    else
      setenv(name, before.c_str(), 1);
  }

private:
  const char *name;
  std::string before;
};

} // namespace

TEST_F(SimtDriver, ReportsErrorsOfCompilation) {
  std::vector<char> cubin;
  EXPECT_EQ(compile("__global__ void k() { undeclared(); }", cubin),
            NVRTC_ERROR_COMPILATION);
  EXPECT_NE(log.find("kernel.cu:1:23: error"), std::string::npos) << log;
  EXPECT_TRUE(cubin.empty());
}

TEST_F(SimtDriver, FindsEntriesInAnyForm) {
  kernel(R"(
// __global__ void comment(int);
template <int N> __global__ void other(int *);
constexpr int threads = 64;
struct Other {};
namespace a {
namespace b {}
extern "C" __global__ void __launch_bounds__(2 * (threads / 2))
    k(int *values, const float factor) {}
} // namespace a
)");
}

TEST_F(SimtDriver, NothingIsDoneBeforeSomebodyWaits) {
  CUfunction function = kernel(addOne);
  CUdeviceptr values = upload<float>({1, 2, 3});
  void *host = nullptr;
  ASSERT_EQ(driver->cuMemHostAlloc(&host, 12, CU_MEMHOSTALLOC_PORTABLE),
            CUDA_SUCCESS);
  auto seen = static_cast<float *>(host);
  int count = 3;
  void *params[] = {&values, &count};
  ASSERT_EQ(driver->cuLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, stream,
                                   params, nullptr),
            CUDA_SUCCESS);
  // The parameters have been taken.
  count = 0;
  ASSERT_EQ(driver->cuMemcpyDtoHAsync_v2(host, values, 12, stream),
            CUDA_SUCCESS);
  EXPECT_TRUE(std::isnan(seen[0]));
  ASSERT_EQ(driver->cuStreamSynchronize(stream), CUDA_SUCCESS);
  EXPECT_EQ(seen[0], 2);
  EXPECT_EQ(seen[2], 4);
  EXPECT_EQ(driver->cuMemFreeHost(host), CUDA_SUCCESS);
}

TEST_F(SimtDriver, GraphsRepeatWhatWasCaptured) {
  CUfunction function = kernel(addOne);
  CUdeviceptr values = upload<float>({1, 2, 3}), copy = allocate(12);
  CUgraph graph = nullptr;
  CUgraphExec executable = nullptr;
  ASSERT_EQ(
      driver->cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
      CUDA_SUCCESS);
  int count = 3;
  void *params[] = {&values, &count};
  ASSERT_EQ(driver->cuLaunchKernel(function, 1, 1, 1, 64, 1, 1, 0, stream,
                                   params, nullptr),
            CUDA_SUCCESS);
  ASSERT_EQ(driver->cuMemcpyDtoDAsync_v2(copy, values, 12, stream),
            CUDA_SUCCESS);
  ASSERT_EQ(driver->cuStreamEndCapture(stream, &graph), CUDA_SUCCESS);
  ASSERT_EQ(driver->cuGraphInstantiateWithFlags(&executable, graph, 0),
            CUDA_SUCCESS);
  ASSERT_EQ(driver->cuGraphDestroy(graph), CUDA_SUCCESS);
  EXPECT_EQ(download<float>(values, 3), (std::vector<float>{1, 2, 3}));
  for (int i = 0; i < 2; ++i)
    ASSERT_EQ(driver->cuGraphLaunch(executable, stream), CUDA_SUCCESS);
  EXPECT_EQ(download<float>(copy, 3), (std::vector<float>{3, 4, 5}));
  EXPECT_EQ(driver->cuGraphExecDestroy(executable), CUDA_SUCCESS);
}

TEST_F(SimtDriver, WaitingInACaptureSpoilsIt) {
  CUgraph graph = nullptr;
  ASSERT_EQ(
      driver->cuStreamBeginCapture_v2(stream, CU_STREAM_CAPTURE_MODE_GLOBAL),
      CUDA_SUCCESS);
  EXPECT_EQ(driver->cuStreamSynchronize(stream),
            CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
  EXPECT_EQ(driver->cuStreamEndCapture(stream, &graph),
            CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
}

TEST_F(SimtDriver, LaunchesKeepToLimits) {
  CUfunction function = kernel(addOne);
  CUdeviceptr values = upload<float>({1});
  EXPECT_EQ(launch(function, 1, 65, 0, values, 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(function, 0, 64, 0, values, 1), CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(launch(function, 1, 64, 64 * 1024, values, 1),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(
      driver->cuFuncSetAttribute(
          function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES, 64 * 1024),
      CUDA_SUCCESS);
  EXPECT_EQ(launch(function, 1, 64, 64 * 1024, values, 1), CUDA_SUCCESS);
  EXPECT_EQ(driver->cuFuncSetAttribute(
                function, CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES,
                200 * 1024),
            CUDA_ERROR_INVALID_VALUE);
  EXPECT_EQ(driver->cuMemcpyDtoDAsync_v2(values, values, 8, stream),
            CUDA_ERROR_INVALID_VALUE);
}

TEST_F(SimtDriver, EventsHaveTimesWhenTheyHavePassed) {
  CUevent start = nullptr, end = nullptr;
  ASSERT_EQ(driver->cuEventCreate(&start, CU_EVENT_DEFAULT), CUDA_SUCCESS);
  ASSERT_EQ(driver->cuEventCreate(&end, CU_EVENT_DEFAULT), CUDA_SUCCESS);
  ASSERT_EQ(driver->cuEventRecord(start, stream), CUDA_SUCCESS);
  ASSERT_EQ(driver->cuEventRecord(end, stream), CUDA_SUCCESS);
  float milliseconds = -1;
  EXPECT_EQ(driver->cuEventElapsedTime(&milliseconds, start, end),
            CUDA_ERROR_NOT_READY);
  ASSERT_EQ(driver->cuEventSynchronize(end), CUDA_SUCCESS);
  EXPECT_EQ(driver->cuEventElapsedTime(&milliseconds, start, end),
            CUDA_SUCCESS);
  EXPECT_GE(milliseconds, 0);
}

TEST_F(SimtDriver, ModulesAreForTheDevice) {
  std::vector<char> cubin;
  ASSERT_EQ(compile(addOne, cubin), NVRTC_SUCCESS) << log;
  CUmodule module = nullptr;
  {
    Variable architecture("CAMBIUM_SIMT_ARCH", "90");
    EXPECT_EQ(driver->cuModuleLoadData(&module, cubin.data()),
              CUDA_ERROR_NO_BINARY_FOR_GPU);
  }
  ASSERT_EQ(driver->cuModuleLoadData(&module, cubin.data()), CUDA_SUCCESS);
  CUfunction function = nullptr;
  EXPECT_EQ(driver->cuModuleGetFunction(&function, module, "other"),
            CUDA_ERROR_NOT_FOUND);
  EXPECT_EQ(driver->cuModuleUnload(module), CUDA_SUCCESS);
  std::vector<char> text(64, 'x');
  EXPECT_EQ(driver->cuModuleLoadData(&module, text.data()),
            CUDA_ERROR_INVALID_IMAGE);
}

TEST_F(SimtDriver, KeepsWhatItHasCompiled) {
  fs::path folder = fs::temp_directory_path() /
                    ("cambium-simt-cache-" + std::to_string(getpid()));
  Variable cache("CAMBIUM_SIMT_CACHE", folder.string());
  std::vector<char> first, second, other;
  ASSERT_EQ(compile(addOne, first), NVRTC_SUCCESS) << log;
  ASSERT_EQ(std::distance(fs::directory_iterator(folder), {}), 1);
  std::ofstream(fs::directory_iterator(folder)->path()) << "kept";
  ASSERT_EQ(compile(addOne, second), NVRTC_SUCCESS) << log;
  EXPECT_EQ(std::string(second.begin(), second.end()), "kept");
  ASSERT_EQ(compile(std::string(addOne) + "// Other text.\n", other),
            NVRTC_SUCCESS)
      << log;
  EXPECT_EQ(std::distance(fs::directory_iterator(folder), {}), 2);
  fs::remove_all(folder);
}
