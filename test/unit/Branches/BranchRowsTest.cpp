//===- BranchRowsTest.cpp - Branches joined in direct kernels -------------===//
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

void expectMatches(const BranchCase &test, unsigned seed) {
  cambium::test::expectMatches(jit(), test, branchSchedule(jit(), test), seed);
}

/// The bodies of Forward and BackwardData.
std::vector<BranchCase> bodies(const Problem &problem) {
  std::vector<BranchCase> cases;
  for (Kind kind : {Kind::Forward, Kind::BackwardData})
    for (Activation activation :
         {Activation::None, Activation::Relu, Activation::Smooth})
      for (bool recompute : {false, true}) {
        if (recompute &&
            (kind == Kind::Forward || activation == Activation::None))
          continue;
        if (!recompute && kind == Kind::BackwardData &&
            activation == Activation::Smooth)
          continue;
        BranchCase test;
        test.problem = problem;
        test.kind = kind;
        test.activation = activation;
        test.recompute = recompute;
        cases.push_back(test);
      }
  return cases;
}

void expectBodiesMatch(const Problem &problem, unsigned seed) {
  for (BranchCase test : bodies(problem)) {
    test.branches = 1 + seed % 4;
    test.inputRelu = seed % 3 == 0;
    expectMatches(test, seed++);
  }
}

TEST(BranchRows, Conv) {
  expectBodiesMatch(makeConv(3, 9, 10, 17, 3, 1), 0);
  expectBodiesMatch(makeConv(2, 13, 16, 32, 3, 1), 1);
}

TEST(BranchRows, Pointwise) {
  expectBodiesMatch(makeConv(3, 7, 17, 24, 1, 0), 2);
  expectBodiesMatch(makeConv(1, 5, 1, 1, 1, 0), 3);
}

TEST(BranchRows, Linear) {
  expectBodiesMatch(makeLinear(50, 20, 72), 4);
  expectBodiesMatch(makeLinear(1, 1, 1), 5);
}

TEST(BranchRows, StridedAndDilated) {
  Problem strided = makeConv(2, 12, 9, 16, 3, 1);
  strided.window.strideH = 2;
  strided.window.strideW = 3;
  strided.inferOutput();
  expectBodiesMatch(strided, 6);
  Problem dilated = makeConv(2, 11, 8, 12, 3, 2);
  dilated.window.dilationH = dilated.window.dilationW = 2;
  dilated.window.padRight = 0;
  dilated.inferOutput();
  expectBodiesMatch(dilated, 7);
  Problem sparse = makeConv(2, 9, 5, 8, 1, 0);
  sparse.window.strideH = sparse.window.strideW = 2;
  sparse.inferOutput();
  expectBodiesMatch(sparse, 8);
}

TEST(BranchRows, PaddingBeyondTheWindow) {
  Problem problem = makeConv(2, 5, 8, 9, 2, 3);
  problem.window.padTop = 0;
  expectBodiesMatch((problem.inferOutput(), problem), 9);
}

// Bits of a pixel start at a byte, so groups have whole bytes of channels.
TEST(BranchRows, Groups) {
  Problem problem = makeConv(2, 8, 12, 24, 3, 1);
  problem.window.groups = 3;
  expectBodiesMatch(problem, 10);
  Problem depthwise = makeConv(2, 8, 10, 10, 3, 1);
  depthwise.window.groups = 10;
  for (BranchCase test : bodies(depthwise))
    if (test.activation != Activation::Relu)
      expectMatches(test, 11);
}

TEST(BranchRows, Joins) {
  unsigned seed = 20;
  for (const Problem &problem :
       {makeConv(2, 7, 9, 19, 3, 1), makeLinear(30, 17, 24)})
    for (Join join : {Join::Sum, Join::Mean, Join::Concat})
      for (Kind kind : {Kind::Forward, Kind::BackwardData})
        for (bool residual : {false, true}) {
          BranchCase test;
          test.problem = problem;
          test.kind = kind;
          test.join = join;
          test.residual = residual;
          test.activation = Activation::Relu;
          test.inputRelu = residual;
          expectMatches(test, seed++);
        }
}

TEST(BranchRows, SlicedGradients) {
  unsigned seed = 40;
  for (Activation activation :
       {Activation::None, Activation::Relu, Activation::Smooth}) {
    BranchCase test;
    test.problem = makeConv(2, 7, 9, 19, 3, 1);
    test.kind = Kind::BackwardData;
    test.activation = activation;
    test.recompute = activation == Activation::Smooth;
    test.slicedGradient = true;
    expectMatches(test, seed++);
  }
}

TEST(BranchRows, SeveralRounds) {
  unsigned seed = 50;
  for (BranchCase test : bodies(makeConv(1, 6, 110, 130, 3, 1))) {
    test.branches = 7;
    EXPECT_GT(branchSizes(test, branchSchedule(jit(), test)).rounds, 1);
    test.join = seed % 2 ? Join::Mean : Join::Sum;
    test.residual = true;
    expectMatches(test, seed++);
  }
}

TEST(BranchRows, OneKernelServesAllExtentsAndBranchCounts) {
  for (BranchCase test : bodies(makeConv(1, 8, 3, 8, 3, 1))) {
    if (test.activation == Activation::Relu && test.recompute)
      continue;
    test.join = Join::Mean;
    ContractionSchedule schedule = branchSchedule(jit(), test);
    BranchKernel kernel(jit(), test, schedule);
    unsigned seed = 60;
    for (auto [problem, branches] :
         {std::pair(makeConv(1, 1, 1, 1, 3, 1), 2),
          std::pair(makeConv(2, 7, 10, 17, 3, 1), 33),
          std::pair(makeConv(2, 20, 16, 32, 3, 1), 5),
          std::pair(makeConv(1, 4, 3, 3, 3, 1), 64)}) {
      test.problem = problem;
      test.branches = branches;
      cambium::test::expectMatches(kernel, test, seed++);
    }
  }
}

TEST(BranchRows, EmptyBatch) {
  for (BranchCase test : bodies(makeConv(0, 6, 3, 8, 3, 1)))
    expectMatches(test, 70);
}

TEST(BranchRows, OtherInstructionSets) {
  for (Isa isa : {Isa::Generic, Isa::AVX2, Isa::AVX512}) {
    auto other = Jit::create(isa);
    if (!other) {
      llvm::consumeError(other.takeError());
      continue;
    }
    for (BranchCase test : bodies(makeConv(2, 9, 10, 19, 3, 1)))
      cambium::test::expectMatches(**other, test, branchSchedule(**other, test),
                                   80);
  }
}

template <typename T>
T pick(std::mt19937 &random, std::initializer_list<T> values) {
  return values.begin()[random() % values.size()];
}

BranchCase randomCase(std::mt19937 &random) {
  BranchCase test;
  ContractionSpec &w = test.problem.window;
  ContractionExtents &e = test.problem.extents;
  w.kernelH = 1 + random() % 4;
  w.kernelW = 1 + random() % 4;
  w.strideH = 1 + random() % 3;
  w.strideW = 1 + random() % 3;
  w.dilationH = 1 + random() % 2;
  w.dilationW = 1 + random() % 2;
  for (int64_t *padding : {&w.padTop, &w.padBottom, &w.padLeft, &w.padRight})
    *padding = random() % 4;
  e.batch = 1 + random() % 3;
  e.inC = pick<int64_t>(random, {1, 3, 8, 17, 20});
  e.outC = pick<int64_t>(random, {1, 3, 8, 17, 33});
  // Windows reach up to 7 elements, and must fit into the padded input.
  e.inH = 7 + random() % 9;
  e.inW = 7 + random() % 20;
  test.problem.inferOutput();
  test.kind = pick(random, {Kind::Forward, Kind::BackwardData});
  test.activation =
      pick(random, {Activation::None, Activation::Relu, Activation::Smooth});
  test.recompute = test.activation == Activation::Smooth || random() % 2;
  test.branches = 1 + random() % 5;
  test.join = pick(random, {Join::Sum, Join::Mean, Join::Concat});
  test.inputRelu = random() % 2;
  test.residual = random() % 2;
  test.slicedGradient = test.kind == Kind::BackwardData && random() % 3 == 0;
  return test;
}

class RandomBranchRows : public testing::TestWithParam<unsigned> {};

TEST_P(RandomBranchRows, MatchSumsInDouble) {
  std::mt19937 random(GetParam());
  for (unsigned i = 0; i < 8; ++i)
    expectMatches(randomCase(random), GetParam() * 100 + i);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomBranchRows,
                         testing::Range(0u, trials(4u)));

TEST(BranchRowsAssembly, AccumulatorsStayInRegisters) {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    GTEST_SKIP() << "the schedules are for x86-64";
  for (Isa isa : {Isa::AVX2, Isa::AVX512})
    for (int64_t channels : assemblyChannels())
      for (const BranchCase &test :
           bodies(makeConv(1, 8, channels, channels, 3, 1))) {
        ContractionSchedule schedule =
            chooseSchedule(test.spec().contraction, vectorWidth(isa),
                           test.problem.extents, TileOrder::Rows);
        auto module = branchModule(test, schedule);
        std::string assembly = llvm::cantFail(emitAssembly(*module, isa));
        int64_t found = 0;
        for (const InnerLoop &loop : innerLoops(assembly)) {
          if (loop.multiplyAdds == 0)
            continue;
          found += loop.multiplyAdds;
          EXPECT_EQ(loop.vectorsOnStack, 0) << test.str();
        }
        int64_t tiles = test.recomputes() ? 2 : 1;
        EXPECT_EQ(found, tiles * schedule.vectors *
                             (schedule.tile + schedule.tailTile))
            << test.str();
        std::string ir = llvm::cantFail(emitLLVMIR(*module, isa));
        EXPECT_EQ(ir.find("alloca"), std::string::npos) << test.str();
      }
}

TEST(BranchRowsLaunch, MemoryDoesNotGrowWithBranchesOrBatch) {
  for (bool recompute : {false, true})
    for (Kind kind : {Kind::Forward, Kind::BackwardData}) {
      BranchCase test;
      test.kind = kind;
      test.activation = Activation::Smooth;
      test.recompute = recompute;
      auto sizes = [&](int64_t batch, int64_t branches) {
        test.problem = makeConv(batch, 32, 64, 64, 3, 1);
        test.branches = branches;
        return branchSizes(test, {8, 2, 6, 4});
      };
      LaunchSizes few = sizes(16, 4), many = sizes(16, 64),
                  large = sizes(64, 4);
      EXPECT_EQ(few.scratchBytes, many.scratchBytes);
      EXPECT_EQ(few.scratchBytes, large.scratchBytes);
      EXPECT_LE(few.scratchBytes, 1024 * 1024);
      EXPECT_LE(many.workspaceBytes, 4 * 1024 * 1024);
      EXPECT_EQ(few.rounds, 1);
      EXPECT_GT(many.rounds, 1);
    }
}

} // namespace
