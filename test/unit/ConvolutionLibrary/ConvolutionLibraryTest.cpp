//===- ConvolutionLibraryTest.cpp - Plans of cuDNN without a device -------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// cuDNN makes plans for a device by its properties alone, so that what we tell
// it of a convolution is checked by cuDNN itself, on machines without a GPU.
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/ConvolutionLibrary.h"
#include "cambium/Error.h"
#include "cambium/Runtime/CudaLibraries.h"
#include "gtest/gtest.h"

using namespace cambium;

namespace {

using Kind = ContractionSpec::Kind;

std::string properties(const char *name, int version, int processors,
                       int shared) {
  return R"({"maxGridSize": [2147483647, 65535, 65535],
    "maxBlockSize": [1024, 1024, 64], "regsPerBlock": 65536, "warpSize": 32,
    "maxSharedMemoryPerBlock": 49152, "reservedSharedMemoryPerBlock": 1024,
    "maxRegistersPerSM": 65536, "maxCtasPerSM": 32, "maxThreadsPerBlock": 1024,
    "maxThreadsPerSM": 2048, "pciDeviceId": 0, "isTccDriver": 0,
    "supportCoopLaunch": 1, "smClockRateKHz": 1410000,
    "memClockRateKHz": 1215000, "l2CacheSize": 41943040, "driverVer": 13000,
    "cudaDeviceId": 0, "totalGlobalMem": 42949672960, "deviceName": ")" +
         std::string(name) + "\", \"deviceVer\": " + std::to_string(version) +
         ", \"multiProcessorCount\": " + std::to_string(processors) +
         ", \"maxSharedMemoryPerBlockOptin\": " + std::to_string(shared) + "}";
}

ConvolutionLibrary a100() {
  return ConvolutionLibrary::forProperties(
      properties("NVIDIA A100-SXM4-40GB", 800, 108, 166912));
}

/// A square window over square images, padded to keep their size at stride 1.
LibraryConvolution square(Kind kind, int64_t channels, int64_t size,
                          int64_t window, int64_t stride = 1,
                          int64_t groups = 1) {
  LibraryConvolution wanted;
  wanted.spec.kind = kind;
  wanted.spec.kernelH = wanted.spec.kernelW = window;
  wanted.spec.strideH = wanted.spec.strideW = stride;
  wanted.spec.padTop = wanted.spec.padBottom = wanted.spec.padLeft =
      wanted.spec.padRight = window / 2;
  wanted.spec.groups = groups;
  int64_t out = (size - 1) / stride + 1;
  wanted.extents = {16, size, size, channels, out, out, channels};
  wanted.precision = Precision::Tf32;
  return wanted;
}

class ConvolutionLibraryTest : public testing::Test {
protected:
  void SetUp() override {
    try {
      cuda::Cudnn::get();
    } catch (const Error &missing) {
      GTEST_SKIP() << missing.what();
    }
  }
};

TEST_F(ConvolutionLibraryTest, PlansEachDirection) {
  for (Kind kind : {Kind::Forward, Kind::BackwardData, Kind::BackwardFilter})
    EXPECT_FALSE(a100().plans(square(kind, 64, 32, 3)).empty())
        << static_cast<int>(kind);
}

TEST_F(ConvolutionLibraryTest, PlansWindowsStridesGroups) {
  for (Kind kind : {Kind::Forward, Kind::BackwardData, Kind::BackwardFilter})
    for (const LibraryConvolution &wanted :
         {square(kind, 32, 29, 1), square(kind, 32, 56, 5, 2),
          square(kind, 64, 14, 3, 1, 2), square(kind, 3, 17, 7, 3)})
      EXPECT_FALSE(a100().plans(wanted).empty())
          << wanted.spec.kernelH << "x" << wanted.spec.kernelW << ", kind "
          << static_cast<int>(kind);
}

TEST_F(ConvolutionLibraryTest, PlansDilatedWindowsWithUnequalPadding) {
  LibraryConvolution wanted = square(Kind::Forward, 32, 28, 3);
  wanted.spec.dilationH = 2;
  wanted.spec.padTop = 3;
  wanted.spec.padBottom = 1;
  EXPECT_FALSE(a100().plans(wanted).empty());
}

TEST_F(ConvolutionLibraryTest, PlansLinearLayers) {
  LibraryConvolution wanted;
  wanted.spec.linear = true;
  wanted.extents.batch = 64;
  wanted.extents.inC = 256;
  wanted.extents.outC = 10;
  EXPECT_FALSE(a100().plans(wanted).empty());
}

TEST_F(ConvolutionLibraryTest, PlansForHopper) {
  auto h100 = ConvolutionLibrary::forProperties(
      properties("NVIDIA H100 80GB HBM3", 900, 132, 232448));
  EXPECT_FALSE(h100.plans(square(Kind::Forward, 64, 32, 3)).empty());
}

TEST_F(ConvolutionLibraryTest, KeepsToTheNumberAskedFor) {
  auto plans = a100().plans(square(Kind::Forward, 64, 32, 3), 2);
  ASSERT_EQ(plans.size(), 2u);
  EXPECT_NE(plans[0].name(), plans[1].name());
  EXPECT_GE(plans[0].workspaceBytes(), 0);
}

TEST_F(ConvolutionLibraryTest, ExactPlansLeaveTensorCoresAside) {
  LibraryConvolution exact = square(Kind::Forward, 64, 32, 3);
  exact.precision = Precision::Fp32;
  auto fast = a100().plans(square(Kind::Forward, 64, 32, 3), 64);
  auto all = a100().plans(exact, 64);
  EXPECT_FALSE(all.empty());
  EXPECT_LT(all.size(), fast.size());
}

TEST_F(ConvolutionLibraryTest, HasNoPlansForBf16OnFp32Memory) {
  LibraryConvolution wanted = square(Kind::Forward, 64, 32, 3);
  wanted.precision = Precision::Bf16;
  EXPECT_TRUE(a100().plans(wanted).empty());
}

TEST_F(ConvolutionLibraryTest, PlansTensorsOfBf16) {
  for (Kind kind : {Kind::Forward, Kind::BackwardData, Kind::BackwardFilter}) {
    LibraryConvolution wanted = square(kind, 64, 32, 3);
    wanted.precision = Precision::Bf16;
    wanted.bf16Tensors = true;
    EXPECT_FALSE(a100().plans(wanted).empty()) << static_cast<int>(kind);
  }
}

TEST_F(ConvolutionLibraryTest, PlansSumsOfGradients) {
  LibraryConvolution wanted = square(Kind::BackwardData, 64, 32, 3);
  wanted.accumulate = true;
  EXPECT_FALSE(a100().plans(wanted).empty());
}

TEST_F(ConvolutionLibraryTest, OffersMoreWhereRunsMayDiffer) {
  LibraryConvolution wanted = square(Kind::BackwardFilter, 64, 32, 3);
  size_t reproducible = a100().plans(wanted, 64).size();
  wanted.reproducible = false;
  EXPECT_GT(a100().plans(wanted, 64).size(), reproducible);
}

TEST_F(ConvolutionLibraryTest, SaysWhatCudnnRefuses) {
  LibraryConvolution wanted = square(Kind::Forward, 64, 32, 3);
  wanted.extents.outH = 31;
  try {
    a100().plans(wanted);
    FAIL() << "cuDNN took extents that do not fit";
  } catch (const Error &error) {
    EXPECT_NE(std::string(error.what()).find("cuDNN cannot"), std::string::npos)
        << error.what();
  }
}

TEST_F(ConvolutionLibraryTest, RefusesToRunForAnAbsentDevice) {
  auto plans = a100().plans(square(Kind::Forward, 64, 32, 3), 1);
  ASSERT_EQ(plans.size(), 1u);
  EXPECT_THROW(plans[0].run(0, 0, 0, 0), Error);
}

} // namespace
