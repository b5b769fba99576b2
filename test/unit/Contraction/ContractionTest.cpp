//===- ContractionTest.cpp - Convolutions against a naive loop ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "../../Trials.h"
#include "ContractionHarness.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/Support/Error.h"
#include "gtest/gtest.h"

using namespace cambium;
using namespace cambium::test;
using Kind = ContractionSpec::Kind;

namespace {

constexpr Kind allKinds[] = {Kind::Forward, Kind::BackwardData,
                             Kind::BackwardFilter};

struct Operands {
  Floats lhs, rhs;
  int64_t resultFloats;
};

Operands randomOperands(const Problem &problem, Kind kind, unsigned seed) {
  std::mt19937 random(seed);
  int64_t x = elements(problem.xShape()), w = elements(problem.wShape()),
          y = elements(problem.yShape());
  int64_t lhs = kind == Kind::BackwardData ? y : x;
  int64_t rhs = kind == Kind::BackwardFilter ? y : w;
  int64_t result = kind == Kind::Forward        ? y
                   : kind == Kind::BackwardData ? x
                                                : w;
  return {randomFloats(lhs, random), randomFloats(rhs, random), result};
}

void expectMatches(ContractionKernel &kernel, const Problem &problem,
                   unsigned seed) {
  Kind kind = kernel.spec.kind;
  Operands operands = randomOperands(problem, kind, seed);
  Floats actual = kernel.run(problem.dims(kind), {operands.lhs, operands.rhs},
                             operands.resultFloats, TaskOrder::AtOnce,
                             /*guardStart=*/seed % 2 == 0);
  Doubles expected =
      naiveContraction(problem, kind, operands.lhs, operands.rhs);
  EXPECT_LE(relativeError(actual.data(), expected), 1e-5)
      << problem.spec(kind).str() << " of " << problem.str() << " with "
      << kernel.schedule.str();
}

void expectAllKindsMatch(const Problem &problem, unsigned seed) {
  for (Kind kind : allKinds) {
    ContractionSpec spec = problem.spec(kind);
    ContractionKernel kernel(
        jit(), spec,
        chooseSchedule(spec, vectorWidth(jit().isa()), problem.extents));
    expectMatches(kernel, problem, seed);
  }
}

/// In each order that there is.
void expectOrdersMatch(const Problem &problem, unsigned seed) {
  for (Kind kind : {Kind::Forward, Kind::BackwardData}) {
    ContractionSpec spec = problem.spec(kind);
    for (TileOrder order : {TileOrder::Columns, TileOrder::Planes}) {
      if (!supportsOrder(spec, order))
        continue;
      ContractionKernel kernel(jit(), spec,
                               chooseSchedule(spec, vectorWidth(jit().isa()),
                                              problem.extents, order));
      expectMatches(kernel, problem, seed);
    }
  }
}

template <typename T>
T pick(std::mt19937 &random, std::initializer_list<T> values) {
  return values.begin()[random() % values.size()];
}

int64_t between(std::mt19937 &random, int64_t low, int64_t high) {
  return low + static_cast<int64_t>(random() % (high - low + 1));
}

Problem randomConv(std::mt19937 &random) {
  Problem problem;
  ContractionSpec &w = problem.window;
  ContractionExtents &e = problem.extents;
  w.kernelH = between(random, 1, 7);
  w.kernelW = between(random, 1, 7);
  w.strideH = between(random, 1, 3);
  w.strideW = between(random, 1, 3);
  w.dilationH = between(random, 1, 2);
  w.dilationW = between(random, 1, 2);
  w.padTop = between(random, 0, w.kernelH + 1);
  w.padBottom = between(random, 0, w.kernelH + 1);
  w.padLeft = between(random, 0, w.kernelW + 1);
  w.padRight = between(random, 0, w.kernelW + 1);
  e.batch = between(random, 1, 3);
  e.inC = pick<int64_t>(random, {1, 3, 8, 10, 16, 17, 20});
  e.outC = pick<int64_t>(random, {1, 3, 8, 10, 16, 17, 24, 33});
  if (random() % 4 == 0) {
    w.groups = between(random, 2, 3);
    e.inC = w.groups * between(random, 1, 6);
    e.outC = w.groups * between(random, 1, 17);
  }
  // Windows reach up to 13 elements, and must fit into the padded input.
  e.inH = std::max(between(random, 1, 17),
                   (w.kernelH - 1) * w.dilationH + 1 - w.padTop - w.padBottom);
  e.inW = std::max(between(random, 1, 40),
                   (w.kernelW - 1) * w.dilationW + 1 - w.padLeft - w.padRight);
  problem.inferOutput();
  return problem;
}

class RandomConv : public testing::TestWithParam<unsigned> {};

TEST_P(RandomConv, MatchesNaiveLoop) {
  std::mt19937 random(GetParam());
  for (unsigned i = 0; i < 8; ++i)
    expectAllKindsMatch(randomConv(random), GetParam() * 100 + i);
}

TEST_P(RandomConv, MatchesNaiveLoopInEveryOrder) {
  std::mt19937 random(GetParam() + 1000);
  for (unsigned i = 0; i < 4; ++i)
    expectOrdersMatch(randomConv(random), GetParam() * 100 + i);
}

INSTANTIATE_TEST_SUITE_P(Seeds, RandomConv, testing::Range(0u, trials(12u)));

TEST(Contraction, Linear) {
  unsigned seed = 0;
  for (int64_t batch : {1, 2, 7, 48, 50, 131})
    for (auto [in, out] :
         {std::pair(1, 1), std::pair(10, 17), std::pair(129, 10),
          std::pair(17, 64), std::pair(784, 33)})
      expectAllKindsMatch(makeLinear(batch, in, out), seed++);
}

TEST(Contraction, Pointwise) {
  unsigned seed = 0;
  for (int64_t size : {1, 5, 7, 12})
    for (auto [in, out] : {std::pair(1, 1), std::pair(3, 24), std::pair(64, 10),
                           std::pair(17, 64)})
      expectAllKindsMatch(makeConv(3, size, in, out, 1, 0), seed++);
}

TEST(Contraction, PointwiseWithPaddingOnOneSide) {
  Problem problem = makeConv(2, 6, 8, 8, 1, 0);
  problem.window.padBottom = 1;
  problem.window.padRight = 2;
  problem.inferOutput();
  expectAllKindsMatch(problem, 1);
}

TEST(Contraction, PointwiseInGroups) {
  Problem problem = makeConv(2, 9, 12, 18, 1, 0);
  problem.window.groups = 3;
  expectAllKindsMatch(problem, 2);
}

TEST(Contraction, Depthwise) {
  Problem problem = makeConv(2, 9, 20, 20, 3, 1);
  problem.window.groups = 20;
  expectAllKindsMatch(problem, 3);
}

TEST(Contraction, EmptyBatch) {
  for (const Problem &problem :
       {makeConv(0, 6, 3, 8, 3, 1), makeLinear(0, 5, 6)})
    expectAllKindsMatch(problem, 4);
}

TEST(Contraction, ManyChannels) {
  expectAllKindsMatch(makeConv(1, 5, 150, 200, 3, 1), 5);
  expectAllKindsMatch(makeConv(4, 8, 64, 64, 3, 1), 6);
}

TEST(Contraction, EveryTile) {
  Problem problem = makeConv(2, 13, 5, 37, 3, 1);
  int64_t width = vectorWidth(jit().isa());
  for (int64_t tile : registerTiles())
    for (int64_t tail : {1, 2, 6})
      for (int64_t vectors : {1, 2})
        for (Kind kind : allKinds) {
          ContractionKernel kernel(
              jit(), problem.spec(kind),
              {width, vectors, tile, std::min(tail, tile)});
          expectMatches(kernel, problem, tile + tail);
        }
}

TEST(Contraction, OtherInstructionSets) {
  for (Isa isa : {Isa::Generic, Isa::AVX2, Isa::AVX512}) {
    auto other = Jit::create(isa);
    if (!other) {
      llvm::consumeError(other.takeError());
      continue;
    }
    for (const Problem &problem :
         {makeConv(2, 9, 10, 17, 3, 1), makeLinear(50, 20, 72)})
      for (Kind kind : allKinds) {
        ContractionSpec spec = problem.spec(kind);
        ContractionKernel kernel(
            **other, spec,
            chooseSchedule(spec, vectorWidth(isa), problem.extents));
        expectMatches(kernel, problem, 7);
      }
  }
}

TEST(Contraction, OrdersServeSmallImagesAndFewChannels) {
  Problem stem = makeConv(2, 30, 3, 20, 7, 3);
  stem.window.strideH = stem.window.strideW = 2;
  stem.inferOutput();
  for (const Problem &problem :
       {makeConv(7, 7, 33, 40, 3, 1), makeConv(0, 7, 8, 8, 3, 1),
        makeConv(3, 2, 16, 16, 5, 2), stem, makeConv(2, 28, 1, 16, 3, 1)})
    expectOrdersMatch(problem, 21);
}

TEST(Contraction, OrdersGiveEqualBits) {
  Problem problem = makeConv(3, 11, 10, 12, 3, 1);
  for (Kind kind : {Kind::Forward, Kind::BackwardData}) {
    ContractionSpec spec = problem.spec(kind);
    Operands operands = randomOperands(problem, kind, 24);
    auto run = [&](TileOrder order) {
      ContractionKernel kernel(jit(), spec,
                               chooseSchedule(spec, vectorWidth(jit().isa()),
                                              problem.extents, order));
      return kernel.run(problem.dims(kind), {operands.lhs, operands.rhs},
                        operands.resultFloats);
    };
    Floats rows = run(TileOrder::Rows);
    EXPECT_EQ(rows, run(TileOrder::Columns));
    EXPECT_EQ(rows, run(TileOrder::Planes));
  }
}

TEST(Contraction, FilterGradientOfOneTapPacksPanels) {
  Problem strided = makeConv(3, 9, 600, 20, 1, 0);
  strided.window.strideH = strided.window.strideW = 2;
  strided.inferOutput();
  for (const Problem &problem :
       {strided, makeConv(2, 9, 505, 8, 1, 0), makeLinear(150, 1025, 10)}) {
    ContractionSpec spec = problem.spec(Kind::BackwardFilter);
    ContractionKernel kernel(
        jit(), spec,
        chooseSchedule(spec, vectorWidth(jit().isa()), problem.extents));
    expectMatches(kernel, problem, 22);
  }
}

TEST(Contraction, OneKernelServesAllExtents) {
  for (Kind kind : allKinds) {
    ContractionSpec spec = makeConv(1, 8, 3, 8, 3, 1).spec(kind);
    ContractionKernel kernel(jit(), spec,
                             chooseSchedule(spec, vectorWidth(jit().isa())));
    unsigned seed = 0;
    for (const Problem &problem :
         {makeConv(1, 1, 1, 1, 3, 1), makeConv(3, 7, 10, 17, 3, 1),
          makeConv(2, 32, 16, 64, 3, 1), makeConv(1, 50, 3, 3, 3, 1)})
      expectMatches(kernel, problem, seed++);
  }
}

TEST(Contraction, ResultsDoNotDependOnTaskSplits) {
  Problem strided = makeConv(3, 15, 12, 40, 3, 1);
  strided.window.strideH = strided.window.strideW = 2;
  strided.inferOutput();
  for (const Problem &problem :
       {makeConv(5, 17, 10, 40, 3, 1), strided, makeLinear(300, 50, 70)})
    for (Kind kind : allKinds) {
      ContractionSpec spec = problem.spec(kind);
      ContractionKernel kernel(
          jit(), spec,
          chooseSchedule(spec, vectorWidth(jit().isa()), problem.extents));
      Operands operands = randomOperands(problem, kind, 11);
      auto run = [&](TaskOrder order) {
        return kernel.run(problem.dims(kind), {operands.lhs, operands.rhs},
                          operands.resultFloats, order);
      };
      Floats atOnce = run(TaskOrder::AtOnce);
      EXPECT_EQ(atOnce, run(TaskOrder::OneByOne)) << problem.str();
      EXPECT_EQ(atOnce, run(TaskOrder::Backwards)) << problem.str();
    }
}

TEST(Contraction, ForwardRowsDoNotDependOnTheBatch) {
  Problem all = makeConv(6, 9, 7, 20, 3, 1), one = makeConv(1, 9, 7, 20, 3, 1);
  ContractionSpec spec = all.spec(Kind::Forward);
  ContractionKernel kernel(jit(), spec,
                           chooseSchedule(spec, vectorWidth(jit().isa())));
  Operands operands = randomOperands(all, Kind::Forward, 12);
  Floats batch =
      kernel.run(all.dims(Kind::Forward), {operands.lhs, operands.rhs},
                 operands.resultFloats);
  int64_t imageFloats = elements(one.xShape());
  int64_t resultFloats = elements(one.yShape());
  Floats first(operands.lhs.begin(), operands.lhs.begin() + imageFloats);
  Floats single =
      kernel.run(one.dims(Kind::Forward), {first, operands.rhs}, resultFloats);
  batch.resize(resultFloats);
  EXPECT_EQ(batch, single);
}

/// relu(accumulator + bias) + residual.
mlir::Value biasReluResidual(mlir::OpBuilder &builder, mlir::Location loc,
                             mlir::Value accumulator,
                             const OutputPoint &point) {
  using namespace mlir;
  int64_t width = cast<VectorType>(accumulator.getType()).getNumElements();
  Value bias = loadVector(builder, loc, point.buffers[2], point.channel, width,
                          point.mask);
  Value residual = loadVector(builder, loc, point.buffers[3], point.offset,
                              width, point.mask);
  Value zero = arith::ConstantOp::create(
      builder, loc, builder.getZeroAttr(accumulator.getType()));
  Value sum = arith::AddFOp::create(builder, loc, accumulator, bias);
  Value relu = arith::MaximumFOp::create(builder, loc, sum, zero);
  return arith::AddFOp::create(builder, loc, relu, residual);
}

TEST(Contraction, EpilogueReadsFurtherOperands) {
  for (const Problem &problem :
       {makeConv(2, 10, 6, 21, 3, 1), makeConv(2, 12, 6, 32, 3, 1)}) {
    ContractionSpec spec = problem.spec(Kind::Forward);
    ContractionLayout layout;
    layout.lhs = {0, 0};
    layout.rhs = {1, 4};
    layout.result = {4, 13};
    layout.workspace = 5;
    layout.numBuffers = 6;
    ContractionKernel kernel(
        jit(), spec,
        chooseSchedule(spec, vectorWidth(jit().isa()), problem.extents),
        biasReluResidual, &layout);
    std::mt19937 random(13);
    Floats x = randomFloats(elements(problem.xShape()), random);
    Floats w = randomFloats(elements(problem.wShape()), random);
    Floats bias = randomFloats(problem.extents.outC, random);
    int64_t outputs = elements(problem.yShape());
    Floats residual = randomFloats(outputs, random);
    std::vector<int64_t> dims;
    for (const auto &shape : {problem.xShape(), problem.wShape(),
                              std::vector<int64_t>{problem.extents.outC},
                              problem.yShape(), problem.yShape()})
      dims.insert(dims.end(), shape.begin(), shape.end());
    Floats actual = kernel.run(dims, {x, w, bias, residual}, outputs);
    Doubles expected = naiveContraction(problem, Kind::Forward, x, w);
    for (int64_t i = 0; i < outputs; ++i)
      expected[i] =
          std::max(expected[i] + bias[i % problem.extents.outC], 0.0) +
          residual[i];
    EXPECT_LE(relativeError(actual.data(), expected), 1e-5) << problem.str();
  }
}

TEST(Contraction, FilterGradientEpilogueSeesEveryElementOnce) {
  Problem problem = makeConv(3, 9, 5, 21, 3, 1);
  ContractionSpec spec = problem.spec(Kind::BackwardFilter);
  auto doubled = [](mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Value accumulator, const OutputPoint &) {
    return mlir::arith::AddFOp::create(builder, loc, accumulator, accumulator)
        .getResult();
  };
  ContractionSchedule schedule =
      chooseSchedule(spec, vectorWidth(jit().isa()), problem.extents);
  ContractionKernel kernel(jit(), spec, schedule, doubled);
  Operands operands = randomOperands(problem, spec.kind, 14);
  Floats actual =
      kernel.run(problem.dims(spec.kind), {operands.lhs, operands.rhs},
                 operands.resultFloats);
  Doubles expected =
      naiveContraction(problem, spec.kind, operands.lhs, operands.rhs);
  for (double &value : expected)
    value *= 2;
  EXPECT_LE(relativeError(actual.data(), expected), 1e-5);
}

TEST(Contraction, EpilogueSeesEveryElementOnceInEveryOrder) {
  Problem problem = makeConv(3, 9, 21, 3, 3, 1);
  ContractionSpec spec = problem.spec(Kind::Forward);
  auto doubled = [](mlir::OpBuilder &builder, mlir::Location loc,
                    mlir::Value accumulator, const OutputPoint &) {
    return mlir::arith::AddFOp::create(builder, loc, accumulator, accumulator)
        .getResult();
  };
  for (TileOrder order : {TileOrder::Columns, TileOrder::Planes}) {
    ContractionKernel kernel(
        jit(), spec,
        chooseSchedule(spec, vectorWidth(jit().isa()), problem.extents, order),
        doubled);
    Operands operands = randomOperands(problem, spec.kind, 23);
    Floats actual =
        kernel.run(problem.dims(spec.kind), {operands.lhs, operands.rhs},
                   operands.resultFloats);
    Doubles expected =
        naiveContraction(problem, spec.kind, operands.lhs, operands.rhs);
    for (double &value : expected)
      value *= 2;
    EXPECT_LE(relativeError(actual.data(), expected), 1e-5);
  }
}

TEST(ContractionSchedule, OrderFollowsFromTheShape) {
  auto order = [](const Problem &problem, Kind kind) {
    return chooseSchedule(problem.spec(kind), 8, problem.extents).order;
  };
  Problem stem = makeConv(4, 224, 3, 64, 7, 3);
  stem.window.strideH = stem.window.strideW = 2;
  stem.inferOutput();
  EXPECT_EQ(order(stem, Kind::BackwardData), TileOrder::Planes);
  EXPECT_EQ(order(makeConv(64, 28, 1, 16, 3, 1), Kind::BackwardData),
            TileOrder::Planes);
  EXPECT_EQ(order(makeConv(8, 7, 512, 512, 3, 1), Kind::Forward),
            TileOrder::Columns);
  EXPECT_EQ(order(makeConv(8, 56, 64, 64, 3, 1), Kind::Forward),
            TileOrder::Rows);
  EXPECT_EQ(order(makeConv(8, 7, 512, 512, 3, 1), Kind::BackwardFilter),
            TileOrder::Rows);
}

TEST(ContractionSpec, TextTellsSpecsApart) {
  ContractionSpec spec;
  std::vector<ContractionSpec> others(12, spec);
  others[0].kind = Kind::BackwardData;
  others[1].linear = true;
  others[2].kernelH = 3;
  others[3].kernelW = 3;
  others[4].strideH = 2;
  others[5].strideW = 2;
  others[6].padTop = 1;
  others[7].padBottom = 1;
  others[8].padLeft = 1;
  others[9].padRight = 1;
  others[10].dilationW = 2;
  others[11].groups = 2;
  for (const ContractionSpec &other : others) {
    EXPECT_NE(spec, other);
    EXPECT_NE(spec.str(), other.str());
  }
  EXPECT_EQ(spec, ContractionSpec());
  EXPECT_EQ(spec.str(), ContractionSpec().str());
}

TEST(ContractionLaunch, SplitsWorkIntoTasks) {
  Problem problem = makeConv(16, 32, 64, 64, 3, 1);
  for (Kind kind : allKinds) {
    ContractionSpec spec = problem.spec(kind);
    LaunchSizes sizes =
        contractionLaunch(spec, chooseSchedule(spec, 8, problem.extents),
                          ContractionLayout::plain(spec), problem.dims(kind));
    ASSERT_EQ(sizes.tasks.size(), 2u);
    EXPECT_GE(sizes.tasks[0], 8);
    EXPECT_GE(sizes.tasks[1], 8);
    EXPECT_LE(sizes.scratchBytes, 256 * 1024);
  }
}

} // namespace
