//===- WarpgroupTest.cpp - Products of warpgroups and bulk copies ---------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// sm_90a: kernels that are right, and the same with something left out.
//
//===----------------------------------------------------------------------===//

#include "SimtFixture.h"

#include <cstdlib>
#include <cstring>
#include <gmock/gmock.h>
#include <random>

using namespace cambium::cuda;
using ::testing::HasSubstr;

namespace {

class SimtWarpgroup : public SimtTest {
protected:
  void SetUp() override {
    setenv("CAMBIUM_SIMT_ARCH", "90", 1);
    architecture = "sm_90a";
    SimtTest::SetUp();
    headers = {{"cambium/Intrinsics.cuh", ""}};
  }
  void TearDown() override {
    SimtTest::TearDown();
    unsetenv("CAMBIUM_SIMT_ARCH");
  }

  /// The launch failed for this reason; then the context is a new one.
  void expectFault(CUresult result, const std::string &why) {
    EXPECT_NE(result, CUDA_SUCCESS);
    EXPECT_THAT(text(result), HasSubstr(why));
    SimtTest::TearDown();
    SimtTest::SetUp();
  }
};

/// Exact in bfloat16, and so are products and sums of a few in float.
std::vector<float> smallNumbers(size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> values(count);
  for (float &value : values)
    value = static_cast<float>(static_cast<int>(random() % 17) - 8) / 4;
  return values;
}

constexpr int columns = 64, threads = 128;

/// d[64 x 64] = c + a[64 x K] * b[K x 64], with two instructions of 32 bytes
/// of k each. `b` is given as it lies in shared memory.
struct Texts {
  std::string fence = "fenceShared();";
  std::string begin = "beginProducts();";
  std::string meanwhile = "";
  std::string commit = "commitProducts();";
  std::string wait = "waitProducts();";
  std::string description =
      "describeColumns(at + step * 256, /*kBytes=*/128, /*columnBytes=*/512)";
};

std::string productSource(bool bf16, const Texts &texts) {
  return R"(
#include "cambium/Intrinsics.cuh"
using namespace cambium;
extern "C" __global__ void k(float *out, const unsigned *b, const unsigned *a,
                             const float *c) {
  extern __shared__ __align__(1024) unsigned char memory[];
  const unsigned at = sharedAddress(memory);
  const int thread = threadIdx.x;
  for (int i = 0; i < 8; ++i)
    reinterpret_cast<unsigned *>(memory)[8 * thread + i] = b[8 * thread + i];
  )" + texts.fence +
         R"(
  __syncthreads();
  unsigned registers[2][4];
  float d[8][4];
  for (int step = 0; step < 2; ++step)
    for (int i = 0; i < 4; ++i)
      registers[step][i] = a[8 * thread + 4 * step + i];
  for (int i = 0; i < 32; ++i)
    d[i / 4][i % 4] = c[32 * thread + i];
  )" + texts.begin +
         R"(
  for (int step = 0; step < 2; ++step)
    )" + (bf16 ? "multiplyBf16" : "multiplyTf32") +
         "(d, registers[step], " + texts.description + ");\n  " +
         texts.meanwhile + "\n  " + texts.commit + "\n  " + texts.wait + R"(
  for (int i = 0; i < 32; ++i)
    out[32 * thread + i] = d[i / 4][i % 4];
}
)";
}

/// The operands as the PTX ISA lays them out, and the product.
class Product {
public:
  explicit Product(bool bf16)
      : bf16(bf16), depth(bf16 ? 32 : 16), a(smallNumbers(64 * depth, 1)),
        b(smallNumbers(depth * columns, 2)), c(smallNumbers(64 * columns, 3)) {}

  /// Matrices of 8 columns by 16 bytes; four along k, then the next columns.
  std::vector<uint32_t> shared() const {
    std::vector<uint32_t> words(1024);
    int bytes = bf16 ? 2 : 4, perVector = 16 / bytes;
    for (int k = 0; k < depth; ++k)
      for (int n = 0; n < columns; ++n) {
        int at = n / 8 * 512 + k / perVector * 128 + n % 8 * 16 +
                 k % perVector * bytes;
        uint32_t bits = bitsOf(b[k * columns + n]);
        words[at / 4] |= bf16 ? bits >> 16 << at % 4 * 8 : bits;
      }
    return words;
  }

  std::vector<uint32_t> registers() const {
    std::vector<uint32_t> words;
    for (int thread = 0; thread < threads; ++thread)
      for (int step = 0; step < 2; ++step)
        for (int i = 0; i < 4; ++i) {
          int row = thread / 32 * 16 + thread % 32 / 4 + i % 2 * 8;
          const float *of = &a[row * depth];
          if (bf16) {
            int k = 16 * step + i / 2 * 8 + thread % 4 * 2;
            words.push_back(bitsOf(of[k]) >> 16 |
                            (bitsOf(of[k + 1]) & 0xffff0000u));
          } else {
            // What is below the 10 bits of tf32 must not count.
            words.push_back(bitsOf(of[8 * step + i / 2 * 4 + thread % 4]) |
                            0x1fff);
          }
        }
    return words;
  }

  /// In the order of the threads' accumulators.
  std::vector<float> accumulators(bool multiplied) const {
    std::vector<float> values;
    for (int thread = 0; thread < threads; ++thread)
      for (int i = 0; i < 32; ++i) {
        int row = thread / 32 * 16 + thread % 32 / 4 + i / 2 % 2 * 8;
        int column = i / 4 * 8 + thread % 4 * 2 + i % 2;
        float sum = c[row * columns + column];
        for (int k = 0; multiplied && k < depth; ++k)
          sum += a[row * depth + k] * b[k * columns + column];
        values.push_back(sum);
      }
    return values;
  }

  static uint32_t bitsOf(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
  }

private:
  bool bf16;
  int depth;
  std::vector<float> a, b, c;
};

class SimtWarpgroupProduct : public SimtWarpgroup {
protected:
  CUresult run(bool bf16, const Texts &texts, unsigned numThreads = threads) {
    Product product(bf16);
    out = allocate(size_t(threads) * 32 * 4);
    return launch(kernel(productSource(bf16, texts)), 1, numThreads, 4096, out,
                  upload(product.shared()), upload(product.registers()),
                  upload(product.accumulators(false)));
  }
  std::vector<float> results() {
    return download<float>(out, size_t(threads) * 32);
  }
  void expectRefused(const Texts &texts, const std::string &why,
                     unsigned numThreads = threads) {
    expectFault(run(true, texts, numThreads), why);
  }
  CUdeviceptr out = 0;
};

} // namespace

TEST_F(SimtWarpgroupProduct, IsThatOfTheMatrices) {
  for (bool bf16 : {false, true}) {
    SCOPED_TRACE(bf16 ? "bf16" : "tf32");
    ASSERT_EQ(run(bf16, {}), CUDA_SUCCESS);
    EXPECT_EQ(results(), Product(bf16).accumulators(true));
  }
}

TEST_F(SimtWarpgroupProduct, OffsetsAreNotExchanged) {
  Texts texts;
  texts.description = "describeColumns(at + step * 256, 512, 128)";
  ASSERT_EQ(run(true, texts), CUDA_SUCCESS);
  EXPECT_NE(results(), Product(true).accumulators(true));
}

TEST_F(SimtWarpgroupProduct, SeesSharedMemoryAfterAFenceOnly) {
  Texts texts;
  texts.fence = "";
  ASSERT_EQ(run(true, texts), CUDA_SUCCESS);
  for (float value : results())
    ASSERT_NE(value, value);
}

TEST_F(SimtWarpgroupProduct, HasItsAccumulatorsUntilItIsWaitedFor) {
  Texts texts;
  texts.meanwhile = "d[1][2] = 1.0f;";
  expectRefused(texts, "an accumulator was written to");
}

TEST_F(SimtWarpgroupProduct, IsPoisonBeforeItIsWaitedFor) {
  Texts texts;
  texts.wait = "for (int i = 0; i < 32; ++i)\n    out[32 * thread + i] = "
               "d[i / 4][i % 4];\n  waitProducts();\n  return;";
  ASSERT_EQ(run(true, texts), CUDA_SUCCESS);
  for (float value : results())
    ASSERT_NE(value, value);
}

TEST_F(SimtWarpgroupProduct, NeedsAllOfItsParts) {
  Texts texts;
  texts.begin = "";
  expectRefused(texts, "without a fence of its registers");
}

TEST_F(SimtWarpgroupProduct, MustBeWaitedFor) {
  Texts texts;
  texts.wait = "";
  expectRefused(texts, "does not wait for its products");
}

TEST_F(SimtWarpgroupProduct, MustBeCommitted) {
  Texts texts;
  texts.commit = "";
  expectRefused(texts, "does not wait for its products");
}

TEST_F(SimtWarpgroupProduct, HasItsOperandsUntilItIsWaitedFor) {
  Texts texts;
  texts.meanwhile = "registers[1][2] += 1u << 30;";
  expectRefused(texts, "a register of the left matrix was written to");
  texts.meanwhile = "if (thread == 0) {\n    memory[5] = 77;\n    "
                    "fenceShared();\n  }\n  __syncwarp();";
  expectRefused(texts, "shared memory was written to");
}

TEST_F(SimtWarpgroupProduct, IsOfWholeWarpgroups) {
  expectRefused({}, "is in no whole warpgroup", 96);
  Texts texts;
  texts.begin = "beginProducts();\n  if (thread < 96)";
  expectRefused(texts, "does not multiply what its warpgroup does");
}

TEST_F(SimtWarpgroupProduct, RefusesWhatIsNotEmulated) {
  Texts texts;
  texts.description = "describeColumns(at, 128, 512) | 1ull << 62";
  expectRefused(texts, "is swizzled");
  texts.description = "describeColumns(at + 4080, 128, 512)";
  expectRefused(texts, "of shared memory");
}

//===----------------------------------------------------------------------===//
// Bulk copies
//===----------------------------------------------------------------------===//

/// Copies 16 words from `in` twice, in two phases of a barrier, and stores
/// them.
static std::string copySource(const std::string &prepare,
                              const std::string &meet, const std::string &copy,
                              const std::string &wait) {
  return R"(
#include "cambium/Intrinsics.cuh"
using namespace cambium;
extern "C" __global__ void k(unsigned *out, const unsigned *in) {
  extern __shared__ __align__(1024) unsigned char memory[];
  const unsigned at = sharedAddress(memory), barrier = at + 64;
  const int thread = threadIdx.x;
  if (thread == 0) {
    )" + prepare +
         R"(
  }
  )" + meet +
         R"(
  for (int phase = 0; phase < 2; ++phase) {
    if (thread == 0) {
      )" +
         copy + R"(
    }
    )" + wait +
         R"(
    if (thread < 16)
      out[16 * phase + thread] = reinterpret_cast<unsigned *>(memory)[thread];
    __syncthreads();
  }
}
)";
}

namespace {

const std::string prepareText = "prepareArrivals(barrier); fenceShared();";
const std::string meetText = "__syncthreads();";
const std::string copyText = "expectArrival(barrier, 64);\n"
                             "copyBulk(at, in + 16 * phase, 64, barrier);";
const std::string waitText = "waitArrival(barrier, phase % 2);";

class SimtBulkCopy : public SimtWarpgroup {
protected:
  CUresult run(const std::string &prepare, const std::string &meet,
               const std::string &copy, const std::string &wait) {
    in.clear();
    for (uint32_t i = 0; i < 32; ++i)
      in.push_back(100 + i);
    out = allocate(32 * 4);
    return launch(kernel(copySource(prepare, meet, copy, wait)), 1, 64, 128,
                  out, upload(in));
  }
  void expectRefused(const std::string &prepare, const std::string &meet,
                     const std::string &copy, const std::string &wait,
                     const std::string &why) {
    expectFault(run(prepare, meet, copy, wait), why);
  }
  std::vector<uint32_t> in;
  CUdeviceptr out = 0;
};

} // namespace

TEST_F(SimtBulkCopy, ArrivesWhenWaitedFor) {
  ASSERT_EQ(run(prepareText, meetText, copyText, waitText), CUDA_SUCCESS);
  EXPECT_EQ(download<uint32_t>(out, 32), in);
}

TEST_F(SimtBulkCopy, EndsItsPhase) {
  expectRefused(prepareText, meetText, copyText, "", "twice in a phase");
}

TEST_F(SimtBulkCopy, MustArriveBeforeTheEnd) {
  expectRefused(prepareText, meetText, "if (phase == 1) {" + copyText + "}", "",
                "ends before a bulk copy has arrived");
}

TEST_F(SimtBulkCopy, NeedsItsBarrier) {
  expectRefused("fenceShared();", meetText, copyText, waitText,
                "is not prepared");
  expectRefused("prepareArrivals(barrier);", meetText, copyText, waitText,
                "is not fenced");
  expectRefused(prepareText, "", copyText, waitText, "prepared");
  expectRefused(prepareText, meetText,
                "reinterpret_cast<int *>(memory)[16] = 1;\n" + copyText,
                waitText, "has been overwritten");
}

TEST_F(SimtBulkCopy, IsWaitedForInVain) {
  expectRefused(prepareText, meetText, "", waitText, "nobody has begun");
  expectRefused(prepareText, meetText,
                "expectArrival(barrier, 80);\n"
                "copyBulk(at, in + 16 * phase, 64, barrier);",
                waitText, "nobody has begun");
}

TEST_F(SimtBulkCopy, IsWithinMemory) {
  expectRefused(prepareText, meetText,
                "copyBulk(at, in + 16 * phase + 1, 64, barrier);", waitText,
                "misaligned");
  expectRefused(prepareText, meetText,
                "copyBulk(at, in + 16 * phase, 160, barrier);", waitText,
                "not from global to shared");
}
