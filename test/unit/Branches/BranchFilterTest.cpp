//===- BranchFilterTest.cpp - Filter gradients of branches ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "../../Trials.h"
#include "../Contraction/InnerLoops.h"
#include "BranchHarness.h"
#include "llvm/Support/Error.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include "gtest/gtest.h"

using namespace cambium;
using namespace cambium::test;
using Kind = ContractionSpec::Kind;

namespace {

BranchCase makeCase(const Problem &problem, int64_t branches,
                    Activation activation, bool recompute, int64_t sums) {
  BranchCase test;
  test.problem = problem;
  test.kind = Kind::BackwardFilter;
  test.branches = branches;
  test.activation = activation;
  test.recompute = recompute;
  test.sums = sums;
  return test;
}

void expectMatches(const BranchCase &test, unsigned seed) {
  cambium::test::expectMatches(jit(), test, branchSchedule(jit(), test), seed);
}

/// True if the bits of a group begin at a byte.
bool bitsAreAligned(const Problem &problem) {
  int64_t groups = problem.window.groups;
  return groups == 1 || problem.extents.outC / groups % 8 == 0;
}

/// Every body, with sums of its gradient and without, from a dy of one branch
/// and of all.
void expectBodiesMatch(const Problem &problem, unsigned seed) {
  int64_t branches = 1 + seed % 4;
  for (auto [activation, recompute] :
       {std::pair(Activation::None, false), std::pair(Activation::Relu, false),
        std::pair(Activation::Relu, true),
        std::pair(Activation::Smooth, true)}) {
    if (activation == Activation::Relu && !bitsAreAligned(problem))
      continue;
    BranchCase test =
        makeCase(problem, branches, activation, recompute, seed % 3);
    test.inputRelu = seed % 2 == 0;
    test.slicedGradient = seed % 5 == 0;
    expectMatches(test, seed++);
  }
}

TEST(BranchFilter, Conv) {
  expectBodiesMatch(makeConv(3, 9, 10, 17, 3, 1), 0);
  expectBodiesMatch(makeConv(2, 13, 16, 32, 3, 1), 1);
  expectBodiesMatch(makeConv(2, 12, 8, 48, 3, 1), 2);
  expectBodiesMatch(makeConv(5, 11, 3, 8, 5, 2), 3);
}

TEST(BranchFilter, OneChannel) {
  expectBodiesMatch(makeConv(2, 8, 1, 1, 3, 1), 4);
  expectBodiesMatch(makeConv(2, 8, 1, 16, 3, 1), 5);
  expectBodiesMatch(makeConv(2, 8, 16, 1, 3, 1), 6);
}

TEST(BranchFilter, Pointwise) {
  expectBodiesMatch(makeConv(3, 7, 17, 24, 1, 0), 7);
  expectBodiesMatch(makeConv(1, 5, 1, 1, 1, 0), 8);
  expectBodiesMatch(makeConv(4, 14, 32, 64, 1, 0), 9);
}

TEST(BranchFilter, PointwiseWithPaddingOnOneSide) {
  Problem problem = makeConv(2, 6, 8, 8, 1, 0);
  problem.window.padBottom = 1;
  problem.window.padRight = 2;
  problem.inferOutput();
  expectBodiesMatch(problem, 10);
}

TEST(BranchFilter, Linear) {
  expectBodiesMatch(makeLinear(50, 20, 72), 11);
  expectBodiesMatch(makeLinear(1, 1, 1), 12);
  expectBodiesMatch(makeLinear(131, 129, 10), 13);
  expectBodiesMatch(makeLinear(300, 50, 70), 14);
}

TEST(BranchFilter, Groups) {
  Problem problem = makeConv(2, 9, 12, 18, 3, 1);
  problem.window.groups = 3;
  expectBodiesMatch(problem, 15);
  Problem aligned = makeConv(2, 9, 6, 48, 3, 1);
  aligned.window.groups = 2;
  expectBodiesMatch(aligned, 15);
  Problem pointwise = makeConv(2, 9, 12, 18, 1, 0);
  pointwise.window.groups = 3;
  expectBodiesMatch(pointwise, 16);
  Problem depthwise = makeConv(2, 9, 20, 20, 3, 1);
  depthwise.window.groups = 20;
  expectBodiesMatch(depthwise, 17);
}

TEST(BranchFilter, Windows) {
  Problem strided = makeConv(2, 15, 10, 20, 3, 1);
  strided.window.strideH = strided.window.strideW = 2;
  strided.inferOutput();
  expectBodiesMatch(strided, 18);
  Problem dilated = makeConv(2, 15, 10, 20, 3, 2);
  dilated.window.dilationH = dilated.window.dilationW = 2;
  dilated.inferOutput();
  expectBodiesMatch(dilated, 19);
  Problem oblong = makeConv(2, 10, 6, 20, 1, 0);
  oblong.window.kernelW = 5;
  oblong.window.padLeft = 4;
  oblong.window.padRight = 7;
  oblong.window.strideH = 3;
  oblong.window.padTop = 3;
  oblong.inferOutput();
  expectBodiesMatch(oblong, 20);
}

TEST(BranchFilter, EmptyBatch) {
  expectBodiesMatch(makeConv(0, 6, 3, 8, 3, 1), 21);
  expectBodiesMatch(makeLinear(0, 5, 6), 22);
}

int64_t between(std::mt19937 &random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % (high - low + 1));
}

Problem randomConv(std::mt19937 &random) {
  Problem problem;
  ContractionSpec &w = problem.window;
  ContractionExtents &e = problem.extents;
  w.kernelH = between(random, 1, 5);
  w.kernelW = between(random, 1, 5);
  w.strideH = between(random, 1, 3);
  w.strideW = between(random, 1, 3);
  w.dilationH = between(random, 1, 2);
  w.dilationW = between(random, 1, 2);
  w.padTop = between(random, 0, w.kernelH + 1);
  w.padBottom = between(random, 0, w.kernelH + 1);
  w.padLeft = between(random, 0, w.kernelW + 1);
  w.padRight = between(random, 0, w.kernelW + 1);
  w.groups = random() % 4 == 0 ? between(random, 2, 3) : 1;
  e.batch = between(random, 1, 3);
  e.inC = w.groups * between(random, 1, 17);
  e.outC = w.groups * between(random, 1, 33);
  e.inH = std::max(between(random, 1, 15),
                   (w.kernelH - 1) * w.dilationH + 1 - w.padTop - w.padBottom);
  e.inW = std::max(between(random, 1, 30),
                   (w.kernelW - 1) * w.dilationW + 1 - w.padLeft - w.padRight);
  problem.inferOutput();
  return problem;
}

class RandomBranchFilter : public testing::TestWithParam<unsigned> {};

TEST_P(RandomBranchFilter, MatchesNaiveLoop) {
  std::mt19937 random(GetParam());
  for (unsigned i = 0; i < 3; ++i)
    expectBodiesMatch(randomConv(random), GetParam() * 7 + i);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomBranchFilter,
                         testing::Range(0u, trials(4u)));

TEST(BranchFilter, OneKernelServesAllCountsAndExtents) {
  for (bool recompute : {false, true}) {
    BranchCase test =
        makeCase(makeConv(2, 7, 10, 20, 3, 1), 1, Activation::Relu, false, 1);
    if (recompute) {
      test.activation = Activation::Smooth;
      test.recompute = true;
    }
    BranchKernel kernel(jit(), test, branchSchedule(jit(), test));
    unsigned seed = 0;
    for (int64_t branches : {1, 2, 3, 7, 32, 64}) {
      test.branches = branches;
      cambium::test::expectMatches(kernel, test, seed++);
    }
    for (const Problem &problem :
         {makeConv(1, 1, 1, 1, 3, 1), makeConv(3, 12, 16, 64, 3, 1),
          makeConv(40, 3, 3, 3, 3, 1)}) {
      test.problem = problem;
      test.branches = 5;
      cambium::test::expectMatches(kernel, test, seed++);
    }
  }
}

// Many rounds, the last of which is not full; and filters of which one alone
// is more than a round has room for.
TEST(BranchFilter, Rounds) {
  for (auto [problem, branches] :
       {std::pair(makeConv(1, 4, 48, 64, 3, 1), 37),
        std::pair(makeConv(2, 3, 300, 220, 3, 1), 3)})
    for (bool recompute : {false, true}) {
      BranchCase test =
          makeCase(problem, branches, Activation::Relu, recompute, 1);
      LaunchSizes sizes = branchSizes(test, branchSchedule(jit(), test));
      EXPECT_GT(sizes.rounds, 1);
      expectMatches(test, branches);
    }
}

TEST(BranchFilter, EveryTile) {
  Problem problem = makeConv(2, 13, 5, 37, 3, 1);
  for (int64_t tile : registerTiles())
    for (int64_t tail : {1, 2, 6})
      for (int64_t vectors : {1, 2})
        for (bool recompute : {false, true}) {
          BranchCase test =
              makeCase(problem, 2, Activation::Relu, recompute, 1);
          ContractionSchedule schedule = branchSchedule(jit(), test);
          schedule.vectors = vectors;
          schedule.tile = tile;
          schedule.tailTile = std::min(tail, tile);
          cambium::test::expectMatches(jit(), test, schedule, tile + tail);
        }
}

TEST(BranchFilter, OtherInstructionSets) {
  for (Isa isa : {Isa::Generic, Isa::AVX2, Isa::AVX512}) {
    auto other = Jit::create(isa);
    if (!other) {
      llvm::consumeError(other.takeError());
      continue;
    }
    for (bool recompute : {false, true}) {
      BranchCase test = makeCase(makeConv(2, 9, 10, 17, 3, 1), 3,
                                 Activation::Relu, recompute, 1);
      cambium::test::expectMatches(**other, test, branchSchedule(**other, test),
                                   23);
    }
  }
}

// A sum in single precision would be off by some 1e-4.
TEST(BranchFilter, SumsAreInDoublePrecision) {
  Problem problem = makeConv(64, 40, 2, 3, 1, 0);
  BranchCase test = makeCase(problem, 2, Activation::None, false, 1);
  BranchOperands operands(test, 24);
  std::fill(operands.dy.begin(), operands.dy.end(), 0.1f);
  BranchKernel kernel(jit(), test, branchSchedule(jit(), test));
  BranchResults results = kernel.run(test, operands);
  auto expected = static_cast<float>(0.1f * (64.0 * 40 * 40));
  ASSERT_EQ(results.sums.size(), 2u);
  for (const Floats &sums : results.sums)
    EXPECT_EQ(sums, Floats(3, expected));
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

TEST(BranchFilterLaunch, SplitsWorkIntoTasks) {
  for (int64_t branches : {1, 2, 3, 7, 8, 16, 32, 64})
    for (bool recompute : {false, true}) {
      BranchCase test = makeCase(makeConv(16, 32, 64, 64, 3, 1), branches,
                                 Activation::Relu, recompute, 1);
      LaunchSizes sizes = branchSizes(test, branchSchedule(jit(), test));
      EXPECT_GE(sizes.tasks[recompute ? 1 : 0], 28) << test.str();
    }
}

TEST(BranchFilterLaunch, MemoryIsBounded) {
  constexpr int64_t mebibyte = 1024 * 1024;
  for (const Problem &problem :
       {makeConv(16, 32, 64, 64, 3, 1), makeConv(256, 28, 32, 32, 3, 1),
        makeConv(8, 56, 64, 256, 1, 0), makeLinear(1024, 256, 256)})
    for (int64_t branches : {1, 2, 7, 32, 200})
      for (bool recompute : {false, true}) {
        BranchCase test =
            makeCase(problem, branches, Activation::Relu, recompute, 2);
        LaunchSizes sizes = branchSizes(test, branchSchedule(jit(), test));
        EXPECT_LE(sizes.workspaceBytes, 9 * mebibyte / 2) << test.str();
        EXPECT_LE(sizes.scratchBytes, mebibyte / 2) << test.str();
      }
}

//===----------------------------------------------------------------------===//
// Machine code
//===----------------------------------------------------------------------===//

class BranchFilterAssembly
    : public testing::TestWithParam<std::tuple<Isa, int64_t>> {};

TEST_P(BranchFilterAssembly, AccumulatorsStayInRegisters) {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    GTEST_SKIP() << "the schedules are for x86-64";
  auto [isa, channels] = GetParam();
  Problem strided = makeConv(2, 9, channels, channels, 3, 1);
  strided.window.strideH = strided.window.strideW = 2;
  for (const Problem &problem : {makeConv(2, 9, channels, channels, 3, 1),
                                 strided, makeLinear(9, channels, channels)})
    for (bool recompute : {false, true}) {
      BranchCase test = makeCase(problem, 2, Activation::Relu, recompute, 1);
      ContractionSchedule schedule =
          chooseSchedule(test.spec().contraction, vectorWidth(isa),
                         problem.extents, TileOrder::Rows);
      auto module = branchModule(test, schedule);
      std::string assembly = llvm::cantFail(emitAssembly(*module, isa));
      int64_t found = 0;
      for (const InnerLoop &loop : innerLoops(assembly)) {
        if (loop.multiplyAdds == 0)
          continue;
        found += loop.multiplyAdds;
        EXPECT_EQ(loop.vectorsOnStack, 0)
            << test.str() << ' ' << schedule.str();
      }
      int64_t tiles = (schedule.tile + schedule.tailTile) * schedule.vectors;
      EXPECT_EQ(found, recompute ? 2 * tiles : tiles)
          << test.str() << ' ' << schedule.str();
    }
}

INSTANTIATE_TEST_SUITE_P(
    Schedules, BranchFilterAssembly,
    testing::Combine(testing::Values(Isa::AVX2, Isa::AVX512),
                     testing::ValuesIn(assemblyChannels())),
    [](const testing::TestParamInfo<std::tuple<Isa, int64_t>> &info) {
      return isaName(std::get<0>(info.param)) +
             std::to_string(std::get<1>(info.param));
    });

} // namespace
