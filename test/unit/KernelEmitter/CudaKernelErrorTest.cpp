//===- CudaKernelErrorTest.cpp - Kernels and launches without CUDA code ---===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelFixture.h"

#include "cambium/Target/CUDA/CudaEmitter.h"

using namespace cambium;
using namespace cambium::test;

namespace {

struct CudaKernelError : KernelFixture {
  /// Both the emitter and the host must refuse the kernel, and say why.
  void expectError(const std::string &text, const std::string &message) {
    grow::KernelOp kernel = parse(text);
    ASSERT_TRUE(kernel);
    EXPECT_TRUE(failed(grow::cudaSource(kernel)));
    EXPECT_NE(diagnostics.find(message), std::string::npos) << diagnostics;
    expectLaunchError(kernel, {}, message);
  }

  void expectLaunchError(grow::KernelOp kernel, std::vector<int64_t> dims,
                         const std::string &message) {
    diagnostics.clear();
    EXPECT_TRUE(failed(grow::cudaLaunchSizes(kernel, dims)));
    EXPECT_NE(diagnostics.find(message), std::string::npos) << diagnostics;
  }
};

const std::string reluKernel = R"(
  grow.kernel @k {
  ^bb0(%x: tensor<?x?xf32>):
    %0 = grow.relu %x : tensor<?x?xf32>
    grow.yield %0 : tensor<?x?xf32>
  })";

TEST_F(CudaKernelError, OperationWithoutCudaCode) {
  expectError(R"(grow.kernel @k {
                 ^bb0(%x: tensor<?x?xf32>, %s: tensor<?xf32>, %t: tensor<?xf32>,
                      %m: tensor<?xf32>, %v: tensor<?xf32>):
                   %0 = grow.batch_norm %x, %s, %t, %m, %v
                       : (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>,
                          tensor<?xf32>, tensor<?xf32>) -> tensor<?x?xf32>
                   grow.yield %0 : tensor<?x?xf32>
                 })",
              "has no CUDA code");
}

TEST_F(CudaKernelError, ResultYieldedTwice) {
  expectError(R"(grow.kernel @k {
                 ^bb0(%x: tensor<?x?x?x?xf32>):
                   %0 = grow.global_avg_pool %x
                       : (tensor<?x?x?x?xf32>) -> tensor<?x?xf32>
                   grow.yield %0, %0 : tensor<?x?xf32>, tensor<?x?xf32>
                 })",
              "each at most once");
}

TEST_F(CudaKernelError, WrongNumberOfExtents) {
  expectLaunchError(parse(reluKernel), {1, 2, 3}, "takes 4 extents, not 3");
}

TEST_F(CudaKernelError, ExtentBeyond32Bits) {
  int64_t extent = int64_t(1) << 31;
  expectLaunchError(parse(reluKernel), {extent, 1, extent, 1},
                    "has an extent of 2147483648; CUDA kernels take at most "
                    "2147483647");
}

TEST_F(CudaKernelError, MoreBlocksThanAGridHas) {
  int64_t rows = int64_t(1) << 30, columns = 4096;
  expectLaunchError(parse(reluKernel), {rows, columns, rows, columns},
                    "more than a grid has");
}

TEST_F(CudaKernelError, LaunchThatIsPossible) {
  auto sizes = grow::cudaLaunchSizes(parse(reluKernel), {33, 32, 33, 32});
  ASSERT_TRUE(succeeded(sizes)) << diagnostics;
  EXPECT_EQ(sizes->tasks, std::vector<int64_t>{2});
  ASSERT_EQ(sizes->blocks.size(), 1u);
  EXPECT_EQ(sizes->blocks[0].threads, 256);
  EXPECT_EQ(sizes->blocks[0].sharedBytes, 0);
}

} // namespace
