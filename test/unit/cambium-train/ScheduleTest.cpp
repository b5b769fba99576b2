//===- ScheduleTest.cpp - Growth specs, schedules and rates ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Schedule.h"

#include <gtest/gtest.h>

using namespace cambium;
using namespace cambium::train;

namespace {

std::string errorOf(const std::string &text) {
  try {
    parseGrowth(text, 1);
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

TEST(GrowthSpec, ParsesEveryKey) {
  GrowthSpec spec = parseGrowth("epoch=2.5,map=block1,branches=3,init=kaiming,"
                                "kernel=3x5,group=wide,optimizer=sgd,lr=0.05,"
                                "momentum=0.8,nesterov=true,decay=0.0005",
                                1);
  ASSERT_TRUE(spec.at.has_value());
  EXPECT_EQ(spec.at->steps(100), 250);
  EXPECT_EQ(spec.growth.map, "block1");
  EXPECT_EQ(spec.growth.count, 3u);
  EXPECT_EQ(spec.growth.init.kind, Init::Kind::Kaiming);
  EXPECT_EQ(*spec.growth.kernel, (std::array<int64_t, 2>{3, 5}));
  EXPECT_EQ(spec.growth.group, "wide");
  EXPECT_EQ(spec.group.name, "wide");
  EXPECT_TRUE(spec.groupIsNew);
  const Sgd &sgd = std::get<Sgd>(spec.group.optimizer);
  EXPECT_FLOAT_EQ(sgd.momentum, 0.8f);
  EXPECT_TRUE(sgd.nesterov);
  EXPECT_FLOAT_EQ(spec.group.learningRate, 0.05f);
  EXPECT_FLOAT_EQ(spec.group.weightDecay, 0.0005f);
}

TEST(GrowthSpec, HasDefaults) {
  GrowthSpec spec = parseGrowth("map=m", 7);
  EXPECT_FALSE(spec.at.has_value());
  EXPECT_EQ(spec.growth.count, 1u);
  EXPECT_EQ(spec.growth.init.kind, Init::Kind::Zero);
  EXPECT_FALSE(spec.growth.kernel.has_value());
  EXPECT_EQ(spec.group.name, "grown7");
  EXPECT_FALSE(spec.groupIsNew);
}

TEST(GrowthSpec, ParsesAdamAndValues) {
  GrowthSpec spec =
      parseGrowth("map=m,beta1=0.8,epsilon=1e-6,init=constant:0.25", 1);
  const AdamW &adam = std::get<AdamW>(spec.group.optimizer);
  EXPECT_FLOAT_EQ(adam.beta1, 0.8f);
  EXPECT_FLOAT_EQ(adam.beta2, 0.999f);
  EXPECT_FLOAT_EQ(adam.epsilon, 1e-6f);
  EXPECT_FLOAT_EQ(spec.growth.init.value, 0.25f);
  EXPECT_EQ(parseGrowth("map=m,init=copy:2", 1).growth.init.branch, 2u);
}

TEST(GrowthSpec, RefusesNonsense) {
  const std::pair<const char *, const char *> cases[] = {
      {"", "'' is not of the form key=value"},
      {"epoch=1", "map= is missing"},
      {"map=m,", "'' is not of the form key=value"},
      {"map=m,colour=red", "unknown key 'colour'; the keys are epoch, step"},
      {"map=m,map=n", "'map' is given twice"},
      {"map=m,epoch=soon", "epoch=soon: expected a number from 0 up"},
      {"map=m,epoch=-1", "epoch=-1: expected a number"},
      {"map=m,step=1.5", "step=1.5: expected a whole number"},
      {"map=m,epoch=1,step=5", "exclude each other"},
      {"map=m,epoch=1,patience=5", "exclude each other"},
      {"map=m,patience=5days", "patience=5days: expected a number of steps"},
      {"map=m,branches=0", "branches=0: expected a whole number from 1"},
      {"map=m,kernel=3", "kernel=3: expected HEIGHTxWIDTH"},
      {"map=m,kernel=0x3", "kernel=0x3: expected HEIGHTxWIDTH"},
      {"map=m,init=random", "init=random: expected zero, kaiming"},
      {"map=m,init=copy:-1", "init=copy:-1: expected zero, kaiming"},
      {"map=m,optimizer=lion", "optimizer=lion: expected sgd or adamw"},
      {"map=m,optimizer=adamw,momentum=0.9", "belong to optimizer=sgd"},
      {"map=m,optimizer=sgd,beta1=0.9", "belong to optimizer=adamw"},
      {"map=m,lr=0.1x", "lr=0.1x: expected a number from 0 up"},
      {"map=m,momentum=1", "momentum=1: expected a number below 1"},
      {"map=m,beta1=0.99999999999", "beta1=0.99999999999: expected a number"},
      {"map=m,epsilon=1e-60", "epsilon=1e-60: expected a number above 0"},
      {"map=m,nesterov=maybe", "nesterov=maybe: expected true or false"},
  };
  for (const auto &[text, part] : cases)
    EXPECT_NE(errorOf(text).find(part), std::string::npos)
        << text << ": " << errorOf(text);
}

TEST(Span, CountsStepsOrEpochs) {
  EXPECT_EQ(Span::parse("200", "x").steps(50), 200);
  EXPECT_EQ(Span::parse("200steps", "x").steps(50), 200);
  EXPECT_EQ(Span::parse("0.5epochs", "x").steps(50), 25);
  EXPECT_EQ(Span::parse("1epoch", "x").steps(50), 50);
  EXPECT_THROW(Span::parse("0.5", "x"), Error);
  EXPECT_THROW(Span::parse("steps", "x"), Error);
}

std::vector<GrowthSpec> specs(const std::vector<std::string> &texts) {
  std::vector<GrowthSpec> all;
  for (const std::string &text : texts)
    all.push_back(parseGrowth(text, all.size() + 1));
  return all;
}

TEST(GrowthSchedule, GrowsAtItsTimeAndOnce) {
  GrowthSchedule schedule(
      specs({"map=late,epoch=1.5", "map=early,step=3", "map=both,step=15"}),
      10);
  std::vector<std::pair<int64_t, std::string>> seen;
  for (int64_t step = 0; step < 30; ++step) {
    for (const GrowthSpec &spec : schedule.due(step))
      seen.emplace_back(step, spec.growth.map);
    schedule.record(1.0f);
  }
  EXPECT_EQ(seen, (std::vector<std::pair<int64_t, std::string>>{
                      {3, "early"}, {15, "late"}, {15, "both"}}));
  EXPECT_TRUE(schedule.pending().empty());
}

TEST(GrowthSchedule, SaysWhatComesTooLate) {
  GrowthSchedule schedule(
      specs({"map=a,epoch=2", "map=b,epoch=1.9", "map=c,plateau=0.1"}), 10);
  auto late = schedule.beyond(20);
  ASSERT_EQ(late.size(), 1u);
  EXPECT_EQ(late[0].growth.map, "a");
}

/// The step at which a growth with patience 5 comes for these losses, or -1.
int64_t plateauAt(float (*loss)(int64_t)) {
  GrowthSchedule schedule(specs({"map=m,plateau=0.01,patience=5"}), 100);
  for (int64_t step = 0; step < 100; ++step) {
    if (!schedule.due(step).empty())
      return step;
    schedule.record(loss(step));
  }
  return -1;
}

TEST(GrowthSchedule, FindsThePlateau) {
  EXPECT_EQ(plateauAt([](int64_t) { return 1.0f; }), 10);
  EXPECT_EQ(plateauAt([](int64_t step) { return 200.0f - step; }), -1);
  // Falls until step 20: from step 30 on both windows lie behind it.
  int64_t step = plateauAt(
      [](int64_t step) { return 100.0f - 4.0f * std::min<int64_t>(step, 20); });
  EXPECT_GT(step, 25);
  EXPECT_LE(step, 30);
}

TEST(GrowthSchedule, PlateausComeOneAfterTheOther) {
  GrowthSchedule schedule(
      specs({"map=a,patience=4", "map=b,patience=4", "map=c,step=10"}), 100);
  std::vector<std::pair<int64_t, std::string>> seen;
  for (int64_t step = 0; step < 40; ++step) {
    for (const GrowthSpec &spec : schedule.due(step))
      seen.emplace_back(step, spec.growth.map);
    schedule.record(1.0f);
  }
  // c starts the search for the next plateau afresh.
  EXPECT_EQ(seen, (std::vector<std::pair<int64_t, std::string>>{
                      {8, "a"}, {10, "c"}, {18, "b"}}));
}

TEST(DefaultGrowths, TakeTurnsInGroupsOfTheirOwn) {
  auto texts =
      defaultGrowths({{"x", 1, {"conv2d"}}, {"y", 1, {"conv2d", "relu"}}}, 10.0,
                     0.05f, 0.0005f, false);
  ASSERT_EQ(texts.size(), 3u);
  const char *maps[] = {"x", "y", "x"};
  for (unsigned i = 0; i < 3; ++i) {
    GrowthSpec spec = parseGrowth(texts[i], i + 1);
    EXPECT_EQ(spec.growth.map, maps[i]);
    EXPECT_EQ(spec.growth.init.kind,
              i == 1 ? Init::Kind::Constant : Init::Kind::Zero);
    EXPECT_EQ(spec.at->steps(100), 200 * (i + 1));
    EXPECT_EQ(spec.group.name, "grown" + std::to_string(i + 1));
    EXPECT_FLOAT_EQ(spec.group.learningRate, 0.05f);
    EXPECT_FLOAT_EQ(spec.group.weightDecay, 0.0005f);
  }
  EXPECT_TRUE(defaultGrowths({}, 10.0, 0.05f, 0.0f, false).empty());
  auto waiting =
      defaultGrowths({{"x", 1, {"conv2d"}}}, 10.0, 0.05f, 0.0f, true);
  EXPECT_FALSE(parseGrowth(waiting[0], 1).at.has_value());
}

TEST(RateSchedule, Cosine) {
  RateSchedule rates;
  rates.totalSteps = 100;
  EXPECT_DOUBLE_EQ(rates.factor(0), 1.0);
  EXPECT_NEAR(rates.factor(50), 0.5, 1e-12);
  EXPECT_LT(rates.factor(99), 0.001);
  rates.warmupSteps = 20;
  EXPECT_DOUBLE_EQ(rates.factor(0), 0.05);
  EXPECT_DOUBLE_EQ(rates.factor(19), 1.0);
  EXPECT_DOUBLE_EQ(rates.factor(20), 1.0);
  EXPECT_NEAR(rates.factor(60), 0.5, 1e-12);
}

TEST(RateSchedule, ConstantAndStep) {
  RateSchedule rates;
  rates.kind = RateSchedule::Kind::Constant;
  rates.totalSteps = 10;
  EXPECT_DOUBLE_EQ(rates.factor(9), 1.0);
  rates.kind = RateSchedule::Kind::Step;
  rates.dropEvery = 4;
  rates.dropFactor = 0.5;
  EXPECT_DOUBLE_EQ(rates.factor(3), 1.0);
  EXPECT_DOUBLE_EQ(rates.factor(4), 0.5);
  EXPECT_DOUBLE_EQ(rates.factor(9), 0.25);
}

} // namespace
