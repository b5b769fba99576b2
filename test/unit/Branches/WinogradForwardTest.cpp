//===- WinogradForwardTest.cpp - Branches joined by Winograd's algorithm --===//
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
using Join = BranchSpec::Join;

namespace {

/// A third of it is usual; points further from 1 come close to it.
constexpr double tolerance = 1.5e-6;

BranchCase makeCase(int64_t batch, int64_t height, int64_t width, int64_t inC,
                    int64_t outC) {
  BranchCase test;
  test.problem.window.kernelH = test.problem.window.kernelW = 3;
  test.problem.window.padTop = test.problem.window.padLeft = 1;
  test.problem.window.padBottom = test.problem.window.padRight = 1;
  test.problem.extents = {batch, height, width, inC, 0, 0, outC};
  test.problem.inferOutput();
  return test;
}

void expectForward(const BranchCase &test, unsigned seed, int64_t m = 4) {
  expectMatches(jit(), test, branchSchedule(jit(), test, m), seed, tolerance);
}

class WinogradForwardTile : public testing::TestWithParam<int64_t> {};

TEST_P(WinogradForwardTile, Channels) {
  unsigned seed = 0;
  for (int64_t inC : {1, 3, 8, 17})
    for (int64_t outC : {1, 10, 16, 24, 33}) {
      BranchCase test = makeCase(2, 9, 6, inC, outC);
      test.activation = seed % 2 ? Activation::Relu : Activation::None;
      expectForward(test, seed++, GetParam());
    }
}

TEST_P(WinogradForwardTile, Hooks) {
  unsigned seed = 20;
  for (Join join : {Join::Sum, Join::Mean, Join::Concat})
    for (bool inputRelu : {false, true}) {
      BranchCase test = makeCase(3, 7, 10, 9, 20);
      test.activation = Activation::Relu;
      test.join = join;
      test.inputRelu = inputRelu;
      test.residual = seed % 2;
      expectForward(test, seed++, GetParam());
    }
}

INSTANTIATE_TEST_SUITE_P(Tiles, WinogradForwardTile, testing::Values(2, 4),
                         testing::PrintToStringParamName());

TEST(WinogradForward, EveryPadding) {
  unsigned seed = 40;
  for (int64_t before : {0, 1, 2})
    for (int64_t after : {0, 1, 2}) {
      BranchCase test = makeCase(1, 5 + before, 8 - after, 3, 8);
      test.problem.window.padTop = test.problem.window.padRight = before;
      test.problem.window.padLeft = test.problem.window.padBottom = after;
      test.problem.inferOutput();
      expectForward(test, seed++);
    }
}

TEST(WinogradForward, OneKernelForAllExtents) {
  BranchCase test = makeCase(1, 4, 4, 4, 16);
  test.activation = Activation::Relu;
  BranchKernel kernel(jit(), test, branchSchedule(jit(), test, 4));
  unsigned seed = 50;
  for (auto [batch, height, width, inC, outC, branches] :
       {std::tuple(1, 1, 1, 1, 1, 1), std::tuple(0, 8, 8, 4, 8, 2),
        std::tuple(70, 4, 4, 2, 8, 2), std::tuple(2, 3, 50, 8, 16, 1),
        std::tuple(1, 40, 33, 20, 40, 7)}) {
    BranchCase other = makeCase(batch, height, width, inC, outC);
    other.activation = Activation::Relu;
    other.branches = branches;
    expectMatches(kernel, other, seed++, tolerance);
  }
}

/// Each branch's filters take a third of the workspace or more.
TEST(WinogradForward, Rounds) {
  BranchCase test = makeCase(1, 6, 5, 160, 96);
  test.branches = 5;
  test.activation = Activation::Relu;
  for (Join join : {Join::Mean, Join::Concat}) {
    test.join = join;
    ContractionSchedule schedule = branchSchedule(jit(), test, 4);
    EXPECT_GT(branchSizes(test, schedule).rounds, 1);
    expectForward(test, 60);
  }
}

/// Memory does not grow with branches and batch.
TEST(WinogradForward, MemoryIsBounded) {
  BranchCase some = makeCase(64, 32, 32, 64, 64);
  some.branches = 64;
  BranchCase many = makeCase(256, 32, 32, 64, 64);
  many.branches = 256;
  ContractionSchedule schedule = branchSchedule(jit(), some, 4);
  LaunchSizes of64 = branchSizes(some, schedule);
  LaunchSizes of256 = branchSizes(many, schedule);
  EXPECT_EQ(of64.workspaceBytes, of256.workspaceBytes);
  EXPECT_EQ(of64.scratchBytes, of256.scratchBytes);
  EXPECT_LE(of64.workspaceBytes, 5 * 1024 * 1024);
  EXPECT_LE(of64.scratchBytes, 1024 * 1024);

  BranchCase deep = makeCase(8, 16, 16, 2048, 64);
  LaunchSizes ofDeep = branchSizes(deep, branchSchedule(jit(), deep, 4));
  EXPECT_LE(ofDeep.scratchBytes, 4 * 1024 * 1024);
}

class WinogradAssembly
    : public testing::TestWithParam<std::tuple<Isa, int64_t>> {};

TEST_P(WinogradAssembly, AccumulatorsStayInRegisters) {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    GTEST_SKIP() << "the schedules are for x86-64";
  auto [isa, channels] = GetParam();
  BranchCase test = makeCase(1, 8, 8, channels, channels);
  test.activation = Activation::Relu;
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
  EXPECT_GE(registerTiles, 1) << schedule.str();
}

INSTANTIATE_TEST_SUITE_P(
    Schedules, WinogradAssembly,
    testing::Combine(testing::Values(Isa::AVX2, Isa::AVX512),
                     testing::ValuesIn(assemblyChannels())),
    [](const auto &info) {
      return isaName(std::get<0>(info.param)) +
             std::to_string(std::get<1>(info.param));
    });

} // namespace
