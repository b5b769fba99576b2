//===- WinogradBackwardTest.cpp - Gradients by Winograd's algorithm -------===//
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
using Join = BranchSpec::Join;

namespace {

/// Of the algorithm with good points; about a third of it is usual.
constexpr double tolerance = 2e-6;
/// The slope of Smooth is large only where the terms of z nearly cancel, which
/// leaves few digits; Relu's gradients, of the same bits as without
/// recomputation, are the sharper test.
constexpr double smoothTolerance = 2e-3;

double toleranceOf(const BranchCase &test) {
  return test.activation == Activation::Smooth ? smoothTolerance : tolerance;
}

BranchCase makeCase(Kind kind, int64_t batch, int64_t height, int64_t width,
                    int64_t inC, int64_t outC) {
  BranchCase test;
  test.kind = kind;
  test.problem.window.kernelH = test.problem.window.kernelW = 3;
  test.problem.window.padTop = test.problem.window.padLeft = 1;
  test.problem.window.padBottom = test.problem.window.padRight = 1;
  test.problem.extents = {batch, height, width, inC, 0, 0, outC};
  test.problem.inferOutput();
  return test;
}

void expectGradient(const BranchCase &test, unsigned seed, int64_t m = 4) {
  expectMatches(jit(), test, branchSchedule(jit(), test, m), seed,
                toleranceOf(test));
}

class WinogradBackward : public testing::TestWithParam<Kind> {
protected:
  static BranchCase makeCase(int64_t batch, int64_t height, int64_t width,
                             int64_t inC, int64_t outC) {
    return ::makeCase(GetParam(), batch, height, width, inC, outC);
  }

  /// Every body, with sums of its gradient and without.
  static void expectBodies(BranchCase test, unsigned seed, int64_t m = 4) {
    for (auto [activation, recompute] :
         {std::pair(Activation::None, false),
          std::pair(Activation::Relu, false), std::pair(Activation::Relu, true),
          std::pair(Activation::Smooth, true)}) {
      test.activation = activation;
      test.recompute = recompute;
      test.sums = seed % 3;
      expectGradient(test, seed++, m);
    }
  }
};

TEST_P(WinogradBackward, Channels) {
  unsigned seed = 0;
  for (auto [inC, outC] : {std::pair(1, 33), std::pair(3, 10),
                           std::pair(17, 24), std::pair(32, 1)})
    expectBodies(makeCase(2, 9, 6, inC, outC), seed++);
}

TEST_P(WinogradBackward, SmallTiles) {
  expectBodies(makeCase(2, 9, 6, 3, 20), 25, /*m=*/2);
  expectBodies(makeCase(3, 13, 12, 17, 10), 26, /*m=*/2);
}

TEST_P(WinogradBackward, Hooks) {
  unsigned seed = 30;
  for (bool sliced : {false, true})
    for (bool residual : {false, true})
      for (Join join : {Join::Sum, Join::Mean}) {
        BranchCase test = makeCase(3, 7, 10, 9, 20);
        test.slicedGradient = sliced;
        if (GetParam() == Kind::BackwardData) {
          test.residual = residual;
          test.join = join;
        } else {
          test.inputRelu = residual;
          test.sums = seed % 3;
        }
        test.activation = Activation::Relu;
        test.recompute = seed % 2;
        expectGradient(test, seed++);
      }
}

TEST_P(WinogradBackward, EveryPadding) {
  unsigned seed = 40;
  for (int64_t before : {0, 1, 2})
    for (int64_t after : {0, 1, 2}) {
      BranchCase test = makeCase(2, 5 + before, 8 - after, 3, 8);
      test.problem.window.padTop = test.problem.window.padRight = before;
      test.problem.window.padLeft = test.problem.window.padBottom = after;
      test.problem.inferOutput();
      test.activation = Activation::Relu;
      test.recompute = seed % 2;
      expectGradient(test, seed++);
    }
}

// Few large images are cut into bands, and small ones put together.
TEST_P(WinogradBackward, OneKernelForAllExtents) {
  for (bool recompute : {false, true}) {
    BranchCase test = makeCase(1, 4, 4, 4, 16);
    test.activation = recompute ? Activation::Smooth : Activation::Relu;
    test.recompute = recompute;
    test.sums = 1;
    BranchKernel kernel(jit(), test, branchSchedule(jit(), test, 4));
    unsigned seed = 50;
    for (auto [batch, height, width, inC, outC, branches] :
         {std::tuple(1, 1, 1, 1, 1, 1), std::tuple(0, 8, 8, 4, 8, 2),
          std::tuple(70, 4, 4, 2, 8, 2), std::tuple(2, 3, 50, 8, 16, 1),
          std::tuple(1, 67, 21, 5, 9, 2), std::tuple(3, 35, 9, 40, 6, 3),
          std::tuple(1, 40, 33, 20, 40, 7)}) {
      BranchCase other = makeCase(batch, height, width, inC, outC);
      other.activation = test.activation;
      other.recompute = recompute;
      other.sums = 1;
      other.branches = branches;
      expectMatches(kernel, other, seed++, toleranceOf(other));
    }
  }
}

// Of several branches each, and of one that alone exceeds the workspace.
TEST_P(WinogradBackward, Rounds) {
  for (auto [inC, outC, branches] :
       {std::tuple(64, 48, 13), std::tuple(300, 220, 3)})
    for (bool recompute : {false, true}) {
      BranchCase test = makeCase(2, 6, 5, inC, outC);
      test.branches = branches;
      test.activation = Activation::Relu;
      test.recompute = recompute;
      test.sums = 1;
      if (GetParam() == Kind::BackwardData)
        test.join = Join::Mean;
      ContractionSchedule schedule = branchSchedule(jit(), test, 4);
      if (GetParam() == Kind::BackwardData || recompute)
        EXPECT_GT(branchSizes(test, schedule).rounds, 1) << test.str();
      expectGradient(test, 60);
    }
}

TEST_P(WinogradBackward, OtherInstructionSets) {
  for (Isa isa : {Isa::Generic, Isa::AVX2, Isa::AVX512}) {
    auto other = Jit::create(isa);
    if (!other) {
      llvm::consumeError(other.takeError());
      continue;
    }
    for (bool recompute : {false, true}) {
      BranchCase test = makeCase(2, 9, 7, 10, 17);
      test.activation = Activation::Relu;
      test.recompute = recompute;
      test.sums = 1;
      expectMatches(**other, test, branchSchedule(**other, test, 4), 70,
                    tolerance);
    }
  }
}

// Neither grows with branches and batch.
TEST_P(WinogradBackward, MemoryIsBounded) {
  constexpr int64_t mebibyte = 1024 * 1024;
  for (bool recompute : {false, true})
    for (int64_t channels : {32, 64, 128})
      for (int64_t branches : {1, 2, 7, 32, 200}) {
        BranchCase test = makeCase(branches, 32, 32, channels, channels);
        test.branches = branches;
        test.activation = Activation::Relu;
        test.recompute = recompute;
        test.sums = 2;
        LaunchSizes sizes = branchSizes(test, branchSchedule(jit(), test, 4));
        // One branch's transformed filter may come on top of what rounds hold.
        int64_t filterBytes = recompute ? 37 * channels * channels * 4 : 0;
        EXPECT_LE(sizes.workspaceBytes, 5 * mebibyte + filterBytes)
            << test.str();
        EXPECT_LE(sizes.scratchBytes, 5 * mebibyte) << test.str();
      }
}

TEST_P(WinogradBackward, ManyTasks) {
  for (int64_t branches : {1, 2, 3, 7, 8, 16, 32})
    for (int64_t channels : {32, 64}) {
      BranchCase test = makeCase(16, 32, 32, channels, channels);
      test.branches = branches;
      test.activation = Activation::Relu;
      LaunchSizes sizes = branchSizes(test, branchSchedule(jit(), test, 4));
      size_t phase = GetParam() == Kind::BackwardData;
      EXPECT_GE(sizes.tasks[phase], 8) << test.str();
    }
}

// A sum in single precision would be off by some 1e-4.
TEST(WinogradBackwardFilter, SumsAreInDoublePrecision) {
  BranchCase test = makeCase(Kind::BackwardFilter, 64, 40, 40, 2, 3);
  test.branches = 2;
  test.sums = 1;
  BranchOperands operands(test, 71);
  std::fill(operands.dy.begin(), operands.dy.end(), 0.1f);
  BranchKernel kernel(jit(), test, branchSchedule(jit(), test, 4));
  BranchResults results = kernel.run(test, operands);
  auto expected = static_cast<float>(0.1f * (64.0 * 40 * 40));
  ASSERT_EQ(results.sums.size(), 2u);
  for (const Floats &sums : results.sums)
    EXPECT_EQ(sums, Floats(3, expected));
}

std::string kindName(const testing::TestParamInfo<Kind> &info) {
  return info.param == Kind::BackwardData ? "Data" : "Filter";
}

INSTANTIATE_TEST_SUITE_P(Kinds, WinogradBackward,
                         testing::Values(Kind::BackwardData,
                                         Kind::BackwardFilter),
                         kindName);

//===----------------------------------------------------------------------===//
// Machine code
//===----------------------------------------------------------------------===//

class WinogradBackwardAssembly
    : public testing::TestWithParam<std::tuple<Kind, Isa, int64_t>> {};

TEST_P(WinogradBackwardAssembly, AccumulatorsStayInRegisters) {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    GTEST_SKIP() << "the schedules are for x86-64";
  auto [kind, isa, channels] = GetParam();
  for (bool recompute : {false, true}) {
    BranchCase test = makeCase(kind, 1, 8, 8, channels, channels);
    test.activation = Activation::Relu;
    test.recompute = recompute;
    test.sums = 1;
    ContractionSchedule schedule =
        chooseSchedule(test.spec().contraction, vectorWidth(isa),
                       test.problem.extents, TileOrder::Rows);
    schedule.winograd = 4;
    std::string assembly =
        llvm::cantFail(emitAssembly(*branchModule(test, schedule), isa));

    int64_t registerTiles = 0;
    for (const InnerLoop &loop : innerLoops(assembly)) {
      if (loop.multiplyAdds == 0)
        continue;
      EXPECT_EQ(loop.vectorsOnStack, 0) << schedule.str();
      registerTiles += loop.multiplyAdds == schedule.tile * schedule.vectors;
    }
    EXPECT_GE(registerTiles, recompute ? 2 : 1) << schedule.str();
  }
}

INSTANTIATE_TEST_SUITE_P(
    Schedules, WinogradBackwardAssembly,
    testing::Combine(testing::Values(Kind::BackwardData, Kind::BackwardFilter),
                     testing::Values(Isa::AVX2, Isa::AVX512),
                     testing::ValuesIn(assemblyChannels())),
    [](const auto &info) {
      return std::string(std::get<0>(info.param) == Kind::BackwardData
                             ? "Data"
                             : "Filter") +
             isaName(std::get<1>(info.param)) +
             std::to_string(std::get<2>(info.param));
    });

} // namespace
