//===- CudaCompilerTest.cpp - NVRTC and its log ---------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/CudaCompiler.h"
#include "cambium/Error.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"

#include <thread>

using namespace cambium;
using namespace cambium::cuda;
using ::testing::HasSubstr;

namespace {

const char *const logOfTwo =
    R"(ptxas info    : 0 bytes gmem
ptxas info    : Compiling entry function 'first' for 'sm_80'
ptxas info    : Function properties for first
ptxas         .     888 bytes stack frame, 1268 bytes spill stores, 1572 bytes spill loads
ptxas info    : Used 32 registers, used 1 barriers, 888 bytes cumulative stack size, 364 bytes cmem[0]
ptxas info    : Compile time = 25.041 ms
ptxas info    : Function properties for _Z1fv
ptxas         .     16 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Compiling entry function 'second' for 'sm_80'
ptxas info    : Function properties for second
ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 19 registers, used 4 barriers, 256 bytes smem, 364 bytes cmem[0]
ptxas info    : Compile time = 11.158 ms
)";

/// What parsing a log throws; empty if it throws nothing.
std::string faultOf(const std::string &log) {
  try {
    parseFunctionUsage(log);
  } catch (const Error &error) {
    return error.what();
  }
  return "";
}

std::string without(std::string text, const std::string &part) {
  return text.replace(text.find(part), part.size(), "");
}

TEST(FunctionUsage, IsReadFromTheLog) {
  std::vector<FunctionUsage> functions = parseFunctionUsage(logOfTwo);
  ASSERT_EQ(functions.size(), 3u);
  EXPECT_EQ(functions[0].name, "first");
  EXPECT_TRUE(functions[0].entry);
  EXPECT_EQ(functions[0].registers, 32);
  EXPECT_EQ(functions[0].stackBytes, 888);
  EXPECT_EQ(functions[0].spillStoreBytes, 1268);
  EXPECT_EQ(functions[0].spillLoadBytes, 1572);
  EXPECT_EQ(functions[0].sharedBytes, 0);
  EXPECT_EQ(functions[1].name, "_Z1fv");
  EXPECT_FALSE(functions[1].entry);
  EXPECT_EQ(functions[1].stackBytes, 16);
  EXPECT_EQ(functions[2].name, "second");
  EXPECT_EQ(functions[2].registers, 19);
  EXPECT_EQ(functions[2].sharedBytes, 256);
}

TEST(FunctionUsage, MustBeComplete) {
  EXPECT_THAT(faultOf(""), HasSubstr("says nothing of a kernel"));
  EXPECT_THAT(faultOf("ptxas info    : 0 bytes gmem\n"),
              HasSubstr("says nothing of a kernel"));
  EXPECT_THAT(faultOf(without(logOfTwo, "1268 bytes spill stores, ")),
              HasSubstr("cannot be read"));
  EXPECT_THAT(faultOf(without(logOfTwo, "32 registers, ")),
              HasSubstr("cannot be read"));
  std::string log = logOfTwo;
  EXPECT_THAT(faultOf(log.substr(0, log.find("ptxas info    : Used 19"))),
              HasSubstr("lacks figures of 'second'"));
  EXPECT_THAT(
      faultOf(without(logOfTwo, "ptxas info    : Function properties for "
                                "first\n")),
      HasSubstr("cannot be read"));
}

TEST(Architecture, IsTheDevices) {
  EXPECT_EQ(architectureName(8, 0), "sm_80");
  EXPECT_EQ(architectureName(8, 9), "sm_89");
  EXPECT_EQ(architectureName(9, 0), "sm_90a");
  EXPECT_EQ(architectureName(10, 0), "sm_100");
  EXPECT_EQ(architectureName(12, 0), "sm_120");
}

const char *const saxpy = R"(#include "lib/Axpy.cuh"
extern "C" __global__ void saxpy(float *y, const float *x, float a, int n) {
  int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n)
    y[i] = axpy(a, x[i], y[i]);
}
)";

/// With NVRTC, or skipped.
class CudaCompilerTest : public ::testing::Test {
protected:
  void SetUp() override {
    try {
      Nvrtc::get();
    } catch (const Error &error) {
      GTEST_SKIP() << error.what();
    }
  }

  static Compiler compiler() {
    return Compiler({{"lib/Axpy.cuh",
                      "inline __device__ float axpy(float a, float x, float y) "
                      "{ return a * x + y; }\n"}});
  }
};

TEST_F(CudaCompilerTest, MakesElfFilesForAnyArchitecture) {
  for (const char *architecture : {"sm_80", "sm_90a", "sm_100"}) {
    Binary binary = compiler().compile(saxpy, architecture);
    ASSERT_GT(binary.cubin.size(), 4u);
    EXPECT_EQ(std::string(binary.cubin.data(), 4), "\177ELF");
    std::vector<FunctionUsage> functions = parseFunctionUsage(binary.log);
    ASSERT_EQ(functions.size(), 1u);
    EXPECT_EQ(functions[0].name, "saxpy");
    EXPECT_GT(functions[0].registers, 0);
    EXPECT_EQ(functions[0].stackBytes, 0);
  }
}

TEST_F(CudaCompilerTest, GivesTheSameCodeAgainAndInThreads) {
  Compiler shared = compiler();
  std::vector<char> alone = shared.compile(saxpy, "sm_80").cubin;
  std::vector<char> cubins[4];
  std::vector<std::thread> threads;
  for (std::vector<char> &cubin : cubins)
    threads.emplace_back([&] { cubin = shared.compile(saxpy, "sm_80").cubin; });
  for (std::thread &thread : threads)
    thread.join();
  for (const std::vector<char> &cubin : cubins)
    EXPECT_EQ(cubin, alone);
}

/// What the device library finds wgmma by.
TEST_F(CudaCompilerTest, KnowsTheFeaturesOfSm90a) {
  const std::string source = "#ifdef __CUDA_ARCH_FEAT_SM90_ALL\n"
                             "extern \"C\" __global__ void found() {}\n"
                             "#else\n"
                             "extern \"C\" __global__ void missed() {}\n"
                             "#endif\n";
  for (const char *architecture : {"sm_80", "sm_90a", "sm_100"}) {
    Binary binary = compiler().compile(source, architecture);
    EXPECT_EQ(parseFunctionUsage(binary.log).at(0).name,
              architecture == std::string("sm_90a") ? "found" : "missed");
  }
}

TEST_F(CudaCompilerTest, SaysWhereASourceIsWrong) {
  try {
    compiler().compile("extern \"C\" __global__ void f() {\n  missing();\n}\n",
                       "sm_80", "wrong.cu");
    FAIL() << "compiled";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("wrong.cu(2)"));
    EXPECT_THAT(error.what(), HasSubstr("\"missing\" is undefined"));
  }
}

TEST_F(CudaCompilerTest, RefusesUnknownArchitectures) {
  try {
    compiler().compile(saxpy, "sm_81x");
    FAIL() << "compiled";
  } catch (const Error &error) {
    EXPECT_THAT(error.what(), HasSubstr("gpu-architecture"));
  }
}

} // namespace
