//===- TransposeTest.cpp - The kernel beside cuDNN's calls ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Error.h"
#include "cambium/Runtime/CudaCompiler.h"
#include "cambium/Target/CUDA/CudaEmitter.h"

#include "gtest/gtest.h"

#include <optional>

using namespace cambium;
using namespace cambium::cuda;

namespace {

TEST(Transpose, IsOneFunctionThatSpillsNothing) {
  std::vector<Header> headers;
  for (const grow::DeviceHeader &header : grow::deviceHeaders())
    headers.push_back({header.name, header.text});
  std::optional<Compiler> compiler;
  try {
    compiler.emplace(headers);
  } catch (const Error &error) {
    GTEST_SKIP() << error.what();
  }
  for (const char *architecture : {"sm_80", "sm_90a", "sm_100"}) {
    Binary binary = compiler->compile(grow::transposeSource(), architecture);
    std::vector<FunctionUsage> functions = parseFunctionUsage(binary.log);
    ASSERT_EQ(functions.size(), 1u) << architecture;
    const FunctionUsage &function = functions.front();
    EXPECT_EQ(function.name, "transpose_phase0");
    EXPECT_TRUE(function.entry);
    EXPECT_EQ(function.stackBytes, 0) << architecture;
    EXPECT_EQ(function.spillStoreBytes + function.spillLoadBytes, 0)
        << architecture;
    EXPECT_EQ(function.sharedBytes, 0) << architecture;
    // Eight blocks of 256 threads share a multiprocessor's registers.
    EXPECT_LE(function.registers, 32) << architecture;
  }
}

TEST(Transpose, HasABlockForEachTile) {
  LaunchSizes sizes = grow::transposeSizes(33, 64);
  ASSERT_EQ(sizes.tasks, std::vector<int64_t>{4});
  ASSERT_EQ(sizes.blocks.size(), 1u);
  EXPECT_EQ(sizes.blocks[0].threads, 256);
  EXPECT_EQ(sizes.blocks[0].sharedBytes, 32 * 33 * 4);
}

} // namespace
