//===- ContractionAssemblyTest.cpp - The inner loops' machine code --------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "../../Trials.h"
#include "ContractionHarness.h"
#include "InnerLoops.h"
#include "llvm/Support/Error.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"
#include "gtest/gtest.h"

using namespace cambium;
using namespace cambium::test;
using Kind = ContractionSpec::Kind;

namespace {

class ContractionAssembly
    : public testing::TestWithParam<std::tuple<Isa, Kind, int64_t>> {};

TEST_P(ContractionAssembly, AccumulatorsStayInRegisters) {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    GTEST_SKIP() << "the schedules are for x86-64";
  auto [isa, kind, channels] = GetParam();
  ContractionSpec conv, strided, dilated, linear;
  conv.kernelH = conv.kernelW = 3;
  conv.padTop = conv.padLeft = conv.padBottom = conv.padRight = 1;
  strided = dilated = conv;
  strided.strideH = strided.strideW = 2;
  dilated.dilationH = dilated.dilationW = 2;
  linear.linear = true;
  for (ContractionSpec spec : {conv, strided, dilated, linear}) {
    spec.kind = kind;
    ContractionExtents extents;
    extents.inC = extents.outC = channels;
    ContractionSchedule schedule =
        chooseSchedule(spec, vectorWidth(isa), extents);
    auto module = contractionModule(spec, schedule,
                                    ContractionLayout::plain(spec), nullptr);
    std::string assembly = llvm::cantFail(emitAssembly(*module, isa));
    EXPECT_EQ(vectorSpills(assembly), 0) << spec.str() << ' ' << schedule.str();

    int64_t found = 0;
    for (const InnerLoop &loop : innerLoops(assembly)) {
      if (loop.multiplyAdds == 0)
        continue;
      found += loop.multiplyAdds;
      EXPECT_EQ(loop.vectorsOnStack, 0) << spec.str() << ' ' << schedule.str();
    }
    EXPECT_EQ(found, (schedule.tile + schedule.tailTile) * schedule.vectors)
        << spec.str() << ' ' << schedule.str();
  }
}

TEST_P(ContractionAssembly, AccumulatorsStayInRegistersInEveryOrder) {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    GTEST_SKIP() << "the schedules are for x86-64";
  auto [isa, kind, channels] = GetParam();
  ContractionSpec spec;
  spec.kind = kind;
  spec.kernelH = spec.kernelW = 3;
  spec.padTop = spec.padLeft = spec.padBottom = spec.padRight = 1;
  // Few channels ask for planes of one, two and three.
  for (int64_t few : {channels, int64_t{1}, int64_t{2}, int64_t{3}})
    for (TileOrder order : {TileOrder::Columns, TileOrder::Planes}) {
      if (!supportsOrder(spec, order))
        continue;
      ContractionExtents extents{1, 28, 28, few, 28, 28, few};
      ContractionSchedule schedule =
          chooseSchedule(spec, vectorWidth(isa), extents, order);
      auto module = contractionModule(spec, schedule,
                                      ContractionLayout::plain(spec), nullptr);
      std::string assembly = llvm::cantFail(emitAssembly(*module, isa));
      EXPECT_EQ(vectorSpills(assembly), 0) << schedule.str();
      int64_t found = 0;
      for (const InnerLoop &loop : innerLoops(assembly))
        found += loop.multiplyAdds;
      EXPECT_EQ(found, (schedule.tile + schedule.tailTile) * schedule.vectors)
          << schedule.str();
    }
}

std::string
parameterName(const testing::TestParamInfo<ContractionAssembly::ParamType> &p) {
  static const char *const kinds[] = {"Forward", "BackwardData",
                                      "BackwardFilter"};
  auto [isa, kind, channels] = p.param;
  return isaName(isa) + std::string(kinds[static_cast<int>(kind)]) +
         std::to_string(channels);
}

INSTANTIATE_TEST_SUITE_P(
    Schedules, ContractionAssembly,
    testing::Combine(testing::Values(Isa::AVX2, Isa::AVX512),
                     testing::Values(Kind::Forward, Kind::BackwardData,
                                     Kind::BackwardFilter),
                     testing::ValuesIn(assemblyChannels())),
    parameterName);

TEST(ContractionAssemblyParser, SpillsWouldBeSeen) {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    GTEST_SKIP() << "the schedules are for x86-64";
  ContractionSpec spec;
  spec.kernelH = spec.kernelW = 3;
  // 20 accumulators in 16 registers.
  auto module = contractionModule(spec, {8, 2, 10, 10},
                                  ContractionLayout::plain(spec), nullptr);
  std::string assembly = llvm::cantFail(emitAssembly(*module, Isa::AVX2));
  EXPECT_GT(vectorSpills(assembly), 0);
}

} // namespace
