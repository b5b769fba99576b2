//===- FaultTest.cpp - What is wrong with a kernel shows ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "SimtFixture.h"

#include <algorithm>
#include <cmath>

using namespace cambium::cuda;

namespace {

constexpr CUresult illegalInstruction = static_cast<CUresult>(715);
constexpr CUresult misalignedAddress = static_cast<CUresult>(716);
constexpr CUresult timeout = static_cast<CUresult>(702);

class SimtFault : public SimtTest {
protected:
  /// The text of the error that a launch of one block ends with.
  template <class... Params>
  std::string failure(CUresult expected, const std::string &source,
                      unsigned threads, unsigned sharedBytes,
                      Params... params) {
    CUresult result =
        launch(kernel(source), 1, threads, sharedBytes, params...);
    EXPECT_EQ(result, expected) << text(result);
    return text(result);
  }
};

/// Each thread reads what its neighbour, in the next warp, has written.
std::string exchange(const char *afterReading) {
  return std::string(R"(
extern "C" __global__ void k(float *out, int rounds) {
  extern __shared__ __align__(16) float memory[];
  int t = threadIdx.x;
  out[t] = 0;
  for (int i = 0; i < rounds; ++i) {
    memory[t] = t + i;
    __syncthreads();
    out[t] += memory[(t + 32) % blockDim.x];
    )") + afterReading +
         R"(
  }
})";
}

std::vector<float> exchanged(int threads, int rounds) {
  std::vector<float> expected(threads);
  for (int t = 0; t < threads; ++t)
    for (int i = 0; i < rounds; ++i)
      expected[t] += static_cast<float>((t + 32) % threads + i);
  return expected;
}

} // namespace

TEST_F(SimtFault, BarriersOrderThreads) {
  CUdeviceptr out = allocate(128 * 4);
  CUfunction function = kernel(exchange("__syncthreads();"));
  ASSERT_EQ(launch(function, 1, 128, 128 * 4, out, 3), CUDA_SUCCESS);
  EXPECT_EQ(download<float>(out, 128), exchanged(128, 3));
}

TEST_F(SimtFault, ReadBeforeWriteShows) {
  CUdeviceptr out = allocate(128 * 4);
  CUfunction without = kernel(R"(
extern "C" __global__ void k(float *out) {
  extern __shared__ float memory[];
  memory[threadIdx.x] = 1;
  out[threadIdx.x] = memory[threadIdx.x ^ 1];
})");
  ASSERT_EQ(launch(without, 1, 128, 128 * 4, out), CUDA_SUCCESS);
  int unwritten = 0;
  for (float value : download<float>(out, 128))
    unwritten += std::isnan(value);
  EXPECT_GT(unwritten, 32);
  EXPECT_LT(unwritten, 96);
}

/// A warp that is a round ahead writes over what another has not read.
TEST_F(SimtFault, WriteBeforeReadShows) {
  CUdeviceptr out = allocate(128 * 4);
  CUfunction without = kernel(exchange(""));
  ASSERT_EQ(launch(without, 1, 128, 128 * 4, out, 3), CUDA_SUCCESS);
  EXPECT_NE(download<float>(out, 128), exchanged(128, 3));
}

TEST_F(SimtFault, OrderOfBlocksIsMixed) {
  CUfunction order = kernel(R"(
extern "C" __global__ void k(int *next, int *order) {
  order[(*next)++] = blockIdx.x;
})");
  CUdeviceptr next = upload<int>({0}), numbers = allocate(64 * 4);
  ASSERT_EQ(launch(order, 64, 1, 0, next, numbers), CUDA_SUCCESS);
  std::vector<int> seen = download<int>(numbers, 64), sorted(64);
  for (int i = 0; i < 64; ++i)
    sorted[i] = i;
  EXPECT_NE(seen, sorted);
  std::sort(seen.begin(), seen.end());
  EXPECT_EQ(seen, sorted);
}

TEST_F(SimtFault, BarrierThatNotAllReach) {
  std::string message = failure(timeout, R"(
extern "C" __global__ void k() {
  if (threadIdx.x == 5)
    return;
  __syncthreads();
})",
                                64, 0);
  EXPECT_NE(message.find("kernel 'k'"), std::string::npos) << message;
  EXPECT_NE(message.find("thread 0 waits at barrier 0 (kernel.cu:5)"),
            std::string::npos)
      << message;
  EXPECT_NE(message.find("thread 5 has ended"), std::string::npos) << message;
}

TEST_F(SimtFault, ThreadsAtDifferentBarriers) {
  std::string message = failure(illegalInstruction, R"(
extern "C" __global__ void k() {
  if (threadIdx.x < 32)
    __syncthreads();
  else
    __syncthreads();
})",
                                64, 0);
  EXPECT_NE(message.find("kernel.cu:4"), std::string::npos) << message;
  EXPECT_NE(message.find("kernel.cu:6"), std::string::npos) << message;
}

TEST_F(SimtFault, ShuffleWithoutAllLanes) {
  failure(timeout, R"(
extern "C" __global__ void k() {
  if (threadIdx.x != 3)
    __shfl_xor_sync(0xffffffffu, 1, 1);
})",
          32, 0);
}

TEST_F(SimtFault, LaneOutsideItsMask) {
  failure(illegalInstruction, R"(
extern "C" __global__ void k() { __shfl_sync(0xffu, 1, 0); })",
          32, 0);
}

TEST_F(SimtFault, StoreBeyondAnAllocation) {
  CUdeviceptr out = allocate(256);
  std::string message = failure(CUDA_ERROR_ILLEGAL_ADDRESS, R"(
extern "C" __global__ void k(float *out) { out[threadIdx.x] = 0; })",
                                65, 0, out);
  EXPECT_NE(message.find("block 0, thread 64: writes byte 256 of an allocation "
                         "of 256 bytes"),
            std::string::npos)
      << message;
  // The context is of no use any more; a new one is.
  CUdeviceptr other = 0;
  EXPECT_EQ(driver->cuMemAlloc_v2(&other, 256), CUDA_ERROR_ILLEGAL_ADDRESS);
  TearDown();
  SetUp();
  EXPECT_EQ(driver->cuMemAlloc_v2(&other, 256), CUDA_SUCCESS);
}

TEST_F(SimtFault, StoreBetweenEndAndGuard) {
  CUdeviceptr out = allocate(100);
  std::string message = failure(CUDA_ERROR_ILLEGAL_ADDRESS, R"(
extern "C" __global__ void k(float *out) { out[25] = 0; })",
                                1, 0, out);
  EXPECT_NE(message.find("byte 100 of an allocation of 100 bytes"),
            std::string::npos)
      << message;
}

TEST_F(SimtFault, ReadBeforeAnAllocation) {
  CUdeviceptr out = allocate(4096);
  std::string message = failure(CUDA_ERROR_ILLEGAL_ADDRESS, R"(
extern "C" __global__ void k(float *out) { out[0] = out[-4]; })",
                                1, 0, out);
  EXPECT_NE(message.find("reads byte -16 of"), std::string::npos) << message;
}

TEST_F(SimtFault, NullPointer) {
  failure(CUDA_ERROR_ILLEGAL_ADDRESS, R"(
extern "C" __global__ void k(float *out) { *out = 1; })",
          1, 0, CUdeviceptr(0));
}

TEST_F(SimtFault, StoreBeyondSharedMemory) {
  const char *source = R"(
extern "C" __global__ void k(int at) {
  extern __shared__ __align__(1024) unsigned char memory[];
  memory[at] = 1;
})";
  std::string message =
      failure(CUDA_ERROR_ILLEGAL_ADDRESS, source, 1, 1024, 1024);
  EXPECT_NE(message.find("writes byte 1024 of 1024 bytes of shared memory"),
            std::string::npos)
      << message;
  TearDown();
  SetUp();
  message = failure(CUDA_ERROR_ILLEGAL_ADDRESS, source, 1, 1000, 1000);
  EXPECT_NE(message.find("byte 1000 of 1000 bytes of shared memory"),
            std::string::npos)
      << message;
}

TEST_F(SimtFault, WhatIsNotWrittenIsNaN) {
  CUfunction function = kernel(R"(
extern "C" __global__ void k(float *out, const float *in) {
  extern __shared__ float memory[];
  float local[4];
  if (in == out)
    local[threadIdx.x] = 1;
  out[0] = memory[3];
  out[1] = in[0];
  out[2] = local[threadIdx.x];
})");
  CUdeviceptr out = allocate(12), in = allocate(4);
  ASSERT_EQ(launch(function, 1, 1, 16, out, in), CUDA_SUCCESS);
  for (float value : download<float>(out, 3))
    EXPECT_TRUE(std::isnan(value));
}

TEST_F(SimtFault, MisalignedVector) {
  CUdeviceptr out = allocate(64);
  failure(misalignedAddress, R"(
extern "C" __global__ void k(float *out) {
  *reinterpret_cast<float4 *>(out + 1) = make_float4(1, 2, 3, 4);
})",
          1, 0, out);
}

TEST_F(SimtFault, BoundsOfRegisters) {
  std::string message = failure(illegalInstruction, R"(
extern "C" __global__ void k(float *out, int at) {
  float local[4] = {1, 2, 3, 4};
  *out = local[at];
})",
                                1, 0, allocate(64), 4);
  EXPECT_NE(message.find("beyond an array"), std::string::npos) << message;
}

TEST_F(SimtFault, DivisionByZero) {
  std::string message = failure(illegalInstruction, R"(
extern "C" __global__ void k(int *out, int by) { *out = 7 / by; })",
                                1, 0, allocate(4), 0);
  EXPECT_NE(message.find("divides by zero"), std::string::npos) << message;
}

TEST_F(SimtFault, EndlessRecursion) {
  std::string message = failure(CUDA_ERROR_ILLEGAL_ADDRESS, R"(
__device__ __noinline__ int down(volatile int *p, int i) {
  int local[64];
  volatile int *q = local;
  q[0] = *p;
  return down(q, i + 1) + q[1];
}
extern "C" __global__ void k(int *out) { *out = down(out, 0); })",
                                1, 0, upload<int>({0}));
  EXPECT_NE(message.find("stack"), std::string::npos) << message;
}

TEST_F(SimtFault, Trap) {
  failure(static_cast<CUresult>(710), R"(
extern "C" __global__ void k() { __trap(); })",
          1, 0);
}

/// cp.async, with and without waiting for it.
static std::string asyncCopy(const char *wait) {
  return std::string(R"(
#include "cambium/Intrinsics.cuh"
extern "C" __global__ void k(float *out, const float *in) {
  extern __shared__ __align__(16) unsigned char memory[];
  for (int i = 0; i < 4; ++i) {
    cambium::copyAsync16(cambium::sharedAddress(memory + 16 * i), in + 4 * i,
                         i != 1);
    cambium::commitCopies();
  }
  )") + wait +
         R"(
  for (int i = 0; i < 16; ++i)
    out[i] = reinterpret_cast<float *>(memory)[i];
})";
}

TEST_F(SimtFault, CopiesArriveWhenWaitedFor) {
  headers = {{"cambium/Intrinsics.cuh", ""}};
  std::vector<float> in;
  for (int i = 0; i < 16; ++i)
    in.push_back(static_cast<float>(i + 1));
  CUdeviceptr from = upload(in), out = allocate(64);
  const std::pair<const char *, int> waits[] = {
      {"", 0},
      {"cambium::waitCopies<3>();", 4},
      {"cambium::waitCopies<1>();", 12},
      {"cambium::waitCopies<0>();", 16}};
  for (auto [wait, arrived] : waits) {
    SCOPED_TRACE(wait);
    ASSERT_EQ(launch(kernel(asyncCopy(wait)), 1, 1, 64, out, from),
              CUDA_SUCCESS);
    std::vector<float> seen = download<float>(out, 16);
    for (int i = 0; i < 16; ++i) {
      if (i >= arrived)
        EXPECT_TRUE(std::isnan(seen[i])) << i;
      else
        EXPECT_EQ(seen[i], i / 4 == 1 ? 0 : in[i]) << i;
    }
  }
}

TEST_F(SimtFault, CopyFromBeyondAnAllocation) {
  headers = {{"cambium/Intrinsics.cuh", ""}};
  std::string message = failure(CUDA_ERROR_ILLEGAL_ADDRESS,
                                asyncCopy("cambium::waitCopies<0>();"), 1, 64,
                                allocate(64), allocate(48));
  EXPECT_NE(message.find("byte 48 of an allocation of 48 bytes"),
            std::string::npos)
      << message;
}
