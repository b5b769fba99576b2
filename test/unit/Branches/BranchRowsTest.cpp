//===- BranchRowsTest.cpp - Branches joined in direct kernels -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchHarness.h"
#include "llvm/Support/Error.h"
#include "gtest/gtest.h"

using namespace cambium;
using namespace cambium::test;
using Kind = ContractionSpec::Kind;
using Join = BranchSpec::Join;

namespace {

Jit &jit() {
  static std::unique_ptr<Jit> jit = llvm::cantFail(Jit::create());
  return *jit;
}

Problem makeConv(int64_t batch, int64_t size, int64_t inC, int64_t outC,
                 int64_t kernel, int64_t padding) {
  Problem problem;
  problem.window.kernelH = problem.window.kernelW = kernel;
  problem.window.padTop = problem.window.padLeft = padding;
  problem.window.padBottom = problem.window.padRight = padding;
  problem.extents = {batch, size, size, inC, 0, 0, outC};
  problem.inferOutput();
  return problem;
}

Problem makeLinear(int64_t batch, int64_t in, int64_t out) {
  Problem problem;
  problem.window.linear = true;
  problem.extents = {batch, 1, 1, in, 1, 1, out};
  return problem;
}

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

} // namespace
