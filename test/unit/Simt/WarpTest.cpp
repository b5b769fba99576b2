//===- WarpTest.cpp - Shuffles, votes and matrices of a warp --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Fragments are filled and read by the element formulas of the PTX ISA, written
// here once more.
//
//===----------------------------------------------------------------------===//

#include "SimtFixture.h"

#include <cmath>
#include <cstring>
#include <random>

using namespace cambium::cuda;

namespace {

class SimtWarp : public SimtTest {
protected:
  void SetUp() override {
    SimtTest::SetUp();
    headers = {{"cambium/Intrinsics.cuh", ""}};
  }

  /// What the lanes of a warp store for an expression of `lane`.
  std::vector<int> ofLanes(const std::string &expression) {
    CUfunction function = kernel(R"(
extern "C" __global__ void k(int *out) {
  const int lane = threadIdx.x;
  out[lane] = )" + expression + ";\n}");
    CUdeviceptr out = allocate(32 * 4);
    EXPECT_EQ(launch(function, 1, 32, 0, out), CUDA_SUCCESS);
    return download<int>(out, 32);
  }

  template <class F> static std::vector<int> expected(F ofLane) {
    std::vector<int> values;
    for (int lane = 0; lane < 32; ++lane)
      values.push_back(ofLane(lane));
    return values;
  }
};

uint32_t bitsOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return bits;
}

float floatOf(uint32_t bits) {
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

/// Exact in bfloat16, and so are products and sums of a few in float.
std::vector<float> smallNumbers(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = static_cast<float>(static_cast<int>(random() % 17) - 8) / 4;
  return values;
}

/// 16 x 8.
std::vector<float> product(const std::vector<float> &a,
                           const std::vector<float> &b,
                           const std::vector<float> &c, int k) {
  std::vector<float> d = c;
  for (int row = 0; row < 16; ++row)
    for (int column = 0; column < 8; ++column)
      for (int i = 0; i < k; ++i)
        d[row * 8 + column] += a[row * k + i] * b[i * 8 + column];
  return d;
}

/// Of element i of lane's fragment of C and D.
int accumulatorAt(int lane, int i) {
  int row = i < 2 ? lane >> 2 : (lane >> 2) + 8;
  int column = (lane % 4) * 2 + (i & 1);
  return row * 8 + column;
}

} // namespace

TEST_F(SimtWarp, Shuffles) {
  EXPECT_EQ(ofLanes("__shfl_sync(0xffffffffu, lane * 10, (lane + 5) % 32)"),
            expected([](int lane) { return (lane + 5) % 32 * 10; }));
  EXPECT_EQ(ofLanes("__shfl_sync(0xffffffffu, lane, 2, 8)"),
            expected([](int lane) { return lane / 8 * 8 + 2; }));
  EXPECT_EQ(ofLanes("__shfl_xor_sync(0xffffffffu, lane, 3)"),
            expected([](int lane) { return lane ^ 3; }));
  EXPECT_EQ(ofLanes("__shfl_up_sync(0xffffffffu, lane, 3, 16)"),
            expected([](int lane) { return lane % 16 < 3 ? lane : lane - 3; }));
  EXPECT_EQ(
      ofLanes("__shfl_down_sync(0xffffffffu, lane, 3, 16)"),
      expected([](int lane) { return lane % 16 > 12 ? lane : lane + 3; }));
  EXPECT_EQ(ofLanes("__shfl_xor_sync(0xffffffffu, lane + 0.5, 1) * 2"),
            expected([](int lane) { return 2 * (lane ^ 1) + 1; }));
}

TEST_F(SimtWarp, HalvesOfAWarpApart) {
  EXPECT_EQ(
      ofLanes("lane < 16 ? __shfl_xor_sync(0x0000ffffu, lane, 1) "
              ": __shfl_xor_sync(0xffff0000u, __shfl_xor_sync(0xffff0000u, "
              "lane, 2), 4)"),
      expected([](int lane) { return lane < 16 ? lane ^ 1 : lane ^ 6; }));
}

TEST_F(SimtWarp, Votes) {
  EXPECT_EQ(ofLanes("static_cast<int>(__ballot_sync(0xffffffffu, lane % 3 == "
                    "0) & 0x7fffffff)"),
            expected([](int) { return 0x49249249; }));
  EXPECT_EQ(ofLanes("__any_sync(0xffffffffu, lane == 7) + 2 * "
                    "__all_sync(0xffffffffu, lane < 32) + 4 * "
                    "__all_sync(0xffffffffu, lane < 31)"),
            expected([](int) { return 3; }));
}

TEST_F(SimtWarp, MatrixProductOfBf16) {
  std::vector<float> a = smallNumbers(16 * 16, 1), b = smallNumbers(16 * 8, 2),
                     c = smallNumbers(16 * 8, 3);
  auto half = [](float value) { return bitsOf(value) >> 16; };
  std::vector<uint32_t> registers;
  for (int lane = 0; lane < 32; ++lane) {
    int group = lane >> 2, inGroup = lane % 4;
    uint32_t ofA[8], ofB[4];
    for (int i = 0; i < 8; ++i) {
      int row = (0 <= i && i < 2) || (4 <= i && i < 6) ? group : group + 8;
      int column = i < 4 ? inGroup * 2 + (i & 1) : inGroup * 2 + (i & 1) + 8;
      ofA[i] = half(a[row * 16 + column]);
    }
    for (int i = 0; i < 4; ++i) {
      int row = i < 2 ? inGroup * 2 + (i & 1) : inGroup * 2 + (i & 1) + 8;
      ofB[i] = half(b[row * 8 + group]);
    }
    for (int i = 0; i < 8; i += 2)
      registers.push_back(ofA[i] | ofA[i + 1] << 16);
    for (int i = 0; i < 4; i += 2)
      registers.push_back(ofB[i] | ofB[i + 1] << 16);
    for (int i = 0; i < 4; ++i)
      registers.push_back(bitsOf(c[accumulatorAt(lane, i)]));
  }
  CUfunction function = kernel(R"(
#include "cambium/Intrinsics.cuh"
extern "C" __global__ void k(float *out, const unsigned *in) {
  in += 10 * threadIdx.x;
  unsigned a[4] = {in[0], in[1], in[2], in[3]};
  float d[4];
  for (int i = 0; i < 4; ++i)
    d[i] = __uint_as_float(in[6 + i]);
  cambium::mmaBf16(d, a, in[4], in[5]);
  for (int i = 0; i < 4; ++i)
    out[4 * threadIdx.x + i] = d[i];
})");
  CUdeviceptr out = allocate(128 * 4);
  ASSERT_EQ(launch(function, 1, 32, 0, out, upload(registers)), CUDA_SUCCESS);
  std::vector<float> fragments = download<float>(out, 128), d(128);
  for (int i = 0; i < 128; ++i)
    d[accumulatorAt(i / 4, i % 4)] = fragments[i];
  EXPECT_EQ(d, product(a, b, c, 16));
}

TEST_F(SimtWarp, MatrixProductOfTf32) {
  std::vector<float> a = smallNumbers(16 * 8, 4), b = smallNumbers(8 * 8, 5),
                     c = smallNumbers(16 * 8, 6);
  // What is below the 10 bits of tf32 must not count.
  constexpr uint32_t noise = 0x1fff;
  std::vector<uint32_t> registers;
  for (int lane = 0; lane < 32; ++lane) {
    int group = lane >> 2, inGroup = lane % 4;
    for (int i = 0; i < 4; ++i) {
      int row = i == 0 || i == 2 ? group : group + 8;
      int column = i == 0 || i == 1 ? inGroup : inGroup + 4;
      registers.push_back(bitsOf(a[row * 8 + column]) | noise);
    }
    for (int i = 0; i < 2; ++i) {
      int row = i == 0 ? inGroup : inGroup + 4;
      registers.push_back(bitsOf(b[row * 8 + group]) | noise);
    }
    for (int i = 0; i < 4; ++i)
      registers.push_back(bitsOf(c[accumulatorAt(lane, i)]));
  }
  CUfunction function = kernel(R"(
#include "cambium/Intrinsics.cuh"
extern "C" __global__ void k(float *out, const unsigned *in) {
  in += 10 * threadIdx.x;
  unsigned a[4] = {in[0], in[1], in[2], in[3]};
  float d[4];
  for (int i = 0; i < 4; ++i)
    d[i] = __uint_as_float(in[6 + i]);
  cambium::mmaTf32(d, a, in[4], in[5]);
  for (int i = 0; i < 4; ++i)
    out[4 * threadIdx.x + i] = d[i];
})");
  CUdeviceptr out = allocate(128 * 4);
  ASSERT_EQ(launch(function, 1, 32, 0, out, upload(registers)), CUDA_SUCCESS);
  std::vector<float> fragments = download<float>(out, 128), d(128);
  for (int i = 0; i < 128; ++i)
    d[accumulatorAt(i / 4, i % 4)] = fragments[i];
  EXPECT_EQ(d, product(a, b, c, 8));
}

/// Element e of row r of matrix m is 100 m + 10 r + e.
static std::string loading(const char *load) {
  return std::string(R"(
#include "cambium/Intrinsics.cuh"
extern "C" __global__ void k(unsigned *out, int shift) {
  extern __shared__ __align__(1024) unsigned char memory[];
  const int lane = threadIdx.x;
  // Rows that a matrix has next to each other lie 32 bytes apart.
  for (int e = 0; e < 8; ++e)
    reinterpret_cast<unsigned short *>(memory)[16 * lane + e] =
        100 * (lane / 8) + 10 * (lane % 8) + e;
  __syncthreads();
  unsigned r[4];
  cambium::)") +
         load + R"((r, cambium::sharedAddress(memory) + 32 * lane + shift);
  for (int i = 0; i < 4; ++i)
    out[4 * lane + i] = r[i];
})";
}

TEST_F(SimtWarp, LoadsMatrices) {
  for (bool transposed : {false, true}) {
    SCOPED_TRACE(transposed ? "transposed" : "as they are");
    CUdeviceptr out = allocate(128 * 4);
    ASSERT_EQ(launch(kernel(loading(transposed ? "loadMatricesTransposed"
                                               : "loadMatrices")),
                     1, 32, 1024, out, 0),
              CUDA_SUCCESS);
    std::vector<uint32_t> seen = download<uint32_t>(out, 128);
    for (unsigned lane = 0; lane < 32; ++lane)
      for (unsigned matrix = 0; matrix < 4; ++matrix) {
        unsigned row = lane / 4, column = lane % 4 * 2;
        unsigned low =
            100 * matrix + (transposed ? 10 * column + row : 10 * row + column);
        unsigned high = low + (transposed ? 10 : 1);
        EXPECT_EQ(seen[4 * lane + matrix], low | high << 16);
      }
  }
}

TEST_F(SimtWarp, RowsOfMatricesAreAligned) {
  CUresult result = launch(kernel(loading("loadMatrices")), 1, 32, 1024,
                           allocate(128 * 4), 8);
  EXPECT_EQ(result, CUDA_ERROR_ILLEGAL_ADDRESS);
  EXPECT_NE(text(result).find("row of a matrix"), std::string::npos)
      << text(result);
}

TEST_F(SimtWarp, Conversions) {
  CUfunction function = kernel(R"(
#include "cambium/Intrinsics.cuh"
extern "C" __global__ void k(unsigned *out, const float *in, int count) {
  for (int i = 0; i < count; ++i) {
    out[2 * i] = cambium::toBf16(in[i], 1.0f);
    out[2 * i + 1] = cambium::toTf32(in[i]);
  }
})");
  struct Case {
    uint32_t value, bf16, tf32;
  };
  // Ties go to even for bfloat16, away from zero for tf32.
  const Case cases[] = {
      {0x3f808000, 0x3f80, 0x3f808000}, {0x3f818000, 0x3f82, 0x3f818000},
      {0x3f808001, 0x3f81, 0x3f808000}, {0xbf801000, 0xbf80, 0xbf802000},
      {0x3f800fff, 0x3f80, 0x3f800000}, {0x7f7fffff, 0x7f80, 0x7f800000},
      {0x7f800000, 0x7f80, 0x7f800000}, {0x80000000, 0x8000, 0x80000000}};
  std::vector<float> in;
  for (const Case &c : cases)
    in.push_back(floatOf(c.value));
  int count = static_cast<int>(in.size());
  CUdeviceptr out = allocate(2 * in.size() * 4);
  ASSERT_EQ(launch(function, 1, 1, 0, out, upload(in), count), CUDA_SUCCESS);
  std::vector<uint32_t> seen = download<uint32_t>(out, 2 * in.size());
  for (size_t i = 0; i < in.size(); ++i) {
    EXPECT_EQ(seen[2 * i], cases[i].bf16 | 0x3f800000) << i;
    EXPECT_EQ(seen[2 * i + 1], cases[i].tf32) << i;
  }
}
