//===- TrainerTest.cpp - Training and growth through the public API -------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Trainer.h"
#include "cambium/Builder.h"

#include "gtest/gtest.h"

#include <cmath>
#include <cstring>
#include <random>

using namespace cambium;

namespace {

/// A network with a linear and a rectified growing layer, a norm, and both
/// optimizers.
Network makeNetwork() {
  Builder builder;
  builder.group({"base", Sgd{0.9f, true}, 0.05f, 5e-4f});
  Value x = builder.input({7, 5, 3});
  Value y =
      builder.map("linear", Builder::Reduction::Sum, 2, x, [](const Value &in) {
        return in.conv2d("w", 10, {3, 3}, {{1, 1}, {1, 1}});
      });
  y = y.batchNorm("norm").relu();
  builder.group({"adam", AdamW{}, 1e-3f, 1e-2f});
  y = builder.map(
      "rectified", Builder::Reduction::Sum, 1, y, [](const Value &in) {
        return in.conv2d("w", 6, {3, 3}, {{2, 2}, {1, 1}}).bias("b").relu();
      });
  return builder.softmaxCrossEntropy(
      y.flatten().linear("head.w", 4).bias("head.b"));
}

struct Batch {
  explicit Batch(int64_t size, unsigned seed = 1)
      : size(size), images(size * 7 * 5 * 3), labels(size) {
    std::mt19937 random(seed);
    for (float &value : images)
      value = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    for (int32_t &label : labels)
      label = random() % 4;
  }
  TensorView inputs() const { return {images.data(), {size, 7, 5, 3}}; }
  TensorView targets() const { return {labels.data(), {size}}; }

  int64_t size;
  std::vector<float> images;
  std::vector<int32_t> labels;
};

/// Everything a growth must leave alone, as bits.
struct Snapshot {
  explicit Snapshot(const Trainer &trainer) {
    for (const std::string &name : trainer.parameterNames()) {
      names.push_back(name);
      addresses.push_back(trainer.parameterAddress(name));
      tensors.push_back(trainer.parameter(name).data);
      for (const Tensor &state : trainer.optimizerState(name))
        tensors.push_back(state.data);
    }
    for (const char *state : {"norm.mean", "norm.variance"})
      tensors.push_back(trainer.parameter(state).data);
    for (const char *group : {"base", "adam"})
      rates.push_back(trainer.learningRate(group));
  }

  /// Equality of what this snapshot holds; a grown trainer may hold more.
  void expectKept(const Trainer &trainer) const {
    std::vector<std::vector<float>> now;
    for (size_t i = 0; i < names.size(); ++i) {
      EXPECT_EQ(trainer.parameterAddress(names[i]), addresses[i]) << names[i];
      now.push_back(trainer.parameter(names[i]).data);
      for (const Tensor &state : trainer.optimizerState(names[i]))
        now.push_back(state.data);
    }
    for (const char *state : {"norm.mean", "norm.variance"})
      now.push_back(trainer.parameter(state).data);
    ASSERT_EQ(now.size(), tensors.size());
    for (size_t i = 0; i < now.size(); ++i)
      EXPECT_TRUE(sameBits(now[i], tensors[i])) << "tensor " << i;
    EXPECT_EQ(trainer.learningRate("base"), rates[0]);
    EXPECT_EQ(trainer.learningRate("adam"), rates[1]);
  }

  static bool sameBits(const std::vector<float> &a,
                       const std::vector<float> &b) {
    return a.size() == b.size() &&
           std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
  }

  std::vector<std::string> names;
  std::vector<const float *> addresses;
  std::vector<std::vector<float>> tensors;
  std::vector<float> rates;
};

std::string messageOf(const std::function<void()> &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

void expectContains(const std::string &text, const std::string &part) {
  EXPECT_NE(text.find(part), std::string::npos) << text;
}

TEST(Trainer, LearnsABatch) {
  Trainer trainer(makeNetwork());
  Batch batch(16);
  float first = trainer.step(batch.inputs(), batch.targets()), last = first;
  for (int i = 0; i < 60; ++i)
    last = trainer.step(batch.inputs(), batch.targets());
  EXPECT_LT(last, 0.2f * first);
  Evaluation evaluation = trainer.evaluate(batch.inputs(), batch.targets());
  EXPECT_GT(evaluation.accuracy, 0.9);
}

TEST(Trainer, EvaluationAgreesWithPrediction) {
  Trainer trainer(makeNetwork());
  Batch batch(9);
  for (int i = 0; i < 3; ++i)
    trainer.step(batch.inputs(), batch.targets());
  Snapshot before(trainer);
  Evaluation evaluation = trainer.evaluate(batch.inputs(), batch.targets());
  Tensor logits = trainer.predict(batch.inputs());
  ASSERT_EQ(logits.shape, (std::vector<int64_t>{9, 4}));
  double loss = 0.0;
  int right = 0;
  for (int row = 0; row < 9; ++row) {
    const float *x = logits.data.data() + 4 * row;
    double sum = 0.0;
    for (int k = 0; k < 4; ++k)
      sum += std::exp(static_cast<double>(x[k]));
    loss += (std::log(sum) - x[batch.labels[row]]) / 9;
    right += std::max_element(x, x + 4) - x == batch.labels[row];
  }
  EXPECT_NEAR(evaluation.loss, loss, 1e-5);
  EXPECT_DOUBLE_EQ(evaluation.accuracy, right / 9.0);
  before.expectKept(trainer);
}

TEST(Trainer, ZeroGrowthKeepsEverything) {
  Trainer trainer(makeNetwork());
  Batch batch(8);
  for (int i = 0; i < 5; ++i)
    trainer.step(batch.inputs(), batch.targets());
  Snapshot before(trainer);
  Tensor logits = trainer.predict(batch.inputs());

  std::string group = trainer.addGroup({"", Sgd{0.8f}, 0.1f, 0.0f});
  std::string adam = trainer.addGroup({"more", AdamW{}, 1e-2f, 0.0f});
  trainer.grow({"linear", 2, group, Init::zero()});
  trainer.grow({"linear", 1, adam, Init::zero()});
  trainer.grow({"linear", 1, "base", Init::zero(), {{1, 1}}});
  trainer.grow({"linear", 2, group, Init::zero(), {{5, 5}}});
  GrowthReport report = trainer.grow({"rectified", 3, group, Init::zero()});
  EXPECT_EQ(report.parametersAdded, 3 * (3 * 3 * 10 * 6 + 6));

  Tensor after = trainer.predict(batch.inputs());
  EXPECT_TRUE(Snapshot::sameBits(logits.data, after.data));
  before.expectKept(trainer);
}

TEST(Trainer, ZeroGrowthKeepsLogitsOfMixedOptimizers) {
  Trainer trainer(makeNetwork());
  Batch batch(8);
  trainer.addGroup({"sgd", Sgd{}, 0.05f, 0.0f});
  // The optimizers of the sum's terms alternate.
  for (const char *group : {"adam", "sgd", "adam", "base"})
    trainer.grow({"linear", 1, group, Init::kaiming()});
  for (int i = 0; i < 5; ++i)
    trainer.step(batch.inputs(), batch.targets());
  Tensor logits = trainer.predict(batch.inputs());
  for (const char *group : {"adam", "sgd", "base"}) {
    trainer.grow({"linear", 1, group, Init::zero()});
    Tensor after = trainer.predict(batch.inputs());
    EXPECT_TRUE(Snapshot::sameBits(logits.data, after.data)) << group;
  }
}

TEST(Trainer, GrownBranchesLearnAtTheirOwnRate) {
  Trainer trainer(makeNetwork());
  Batch batch(8);
  trainer.step(batch.inputs(), batch.targets());
  trainer.addGroup({"still", Sgd{}, 0.0f, 0.0f});
  trainer.addGroup({"moving", Sgd{}, 0.5f, 0.0f});
  trainer.grow({"linear", 1, "still", Init::zero()});
  trainer.grow({"linear", 1, "moving", Init::zero()});
  trainer.step(batch.inputs(), batch.targets());
  auto isZero = [&](const char *name) {
    for (float value : trainer.parameter(name).data)
      if (value != 0.0f)
        return false;
    return true;
  };
  EXPECT_TRUE(isZero("linear.2.w"));
  EXPECT_FALSE(isZero("linear.3.w"));
  trainer.setLearningRate("still", 0.5f);
  trainer.step(batch.inputs(), batch.targets());
  EXPECT_FALSE(isZero("linear.2.w"));
}

TEST(Trainer, MoreEqualBranchesCompileNothing) {
  Trainer trainer(makeNetwork());
  trainer.grow({"linear", 1, "base", Init::kaiming()});
  GrowthReport report = trainer.grow({"linear", 4, "base", Init::kaiming()});
  EXPECT_EQ(report.kernelsCompiled, 0);
  EXPECT_GT(report.kernelsReused, 0);
}

/// The number of branches is a kernel's argument, also where they do not
/// collapse; a grown trainer computes what one of that size does.
TEST(Trainer, MoreRectifiedBranchesCompileNothing) {
  auto network = [](unsigned branches) {
    Builder builder;
    builder.group({"base", Sgd{}, 0.05f});
    Value y =
        builder.input({7, 5, 3}).conv2d("stem", 9, {3, 3}, {{1, 1}, {1, 1}});
    y = builder.map(
        "rectified", Builder::Reduction::Sum, branches, y, [](const Value &in) {
          return in.conv2d("w", 6, {3, 3}, {{1, 1}, {1, 1}}).bias("b").relu();
        });
    return builder.softmaxCrossEntropy(y.flatten().linear("head", 4));
  };
  Trainer trainer(network(1));
  Batch batch(5);
  trainer.step(batch.inputs(), batch.targets());
  for (unsigned branches : {2u, 3u}) {
    GrowthReport report =
        trainer.grow({"rectified", 1, "base", Init::kaiming()});
    EXPECT_EQ(report.kernelsCompiled, 0) << branches;
    EXPECT_GT(report.kernelsReused, 0) << branches;
    Trainer whole(network(branches));
    ASSERT_EQ(whole.parameterNames().size(), trainer.parameterNames().size());
    for (const std::string &name : trainer.parameterNames()) {
      Tensor values = trainer.parameter(name);
      whole.setParameter(name, {values.data.data(), values.shape});
    }
    EXPECT_EQ(trainer.step(batch.inputs(), batch.targets()),
              whole.step(batch.inputs(), batch.targets()));
    for (const std::string &name : trainer.parameterNames())
      EXPECT_TRUE(Snapshot::sameBits(trainer.parameter(name).data,
                                     whole.parameter(name).data))
          << name;
  }
}

TEST(Trainer, InitialValuesAreAsAsked) {
  Trainer trainer(makeNetwork());
  trainer.grow({"rectified", 1, "base", Init::constant(0.25f)});
  for (float value : trainer.parameter("rectified.1.w").data)
    EXPECT_EQ(value, 0.25f);
  trainer.grow({"rectified", 1, "base", Init::copy(0)});
  EXPECT_EQ(trainer.parameter("rectified.2.w").data,
            trainer.parameter("rectified.0.w").data);
  trainer.grow({"rectified", 1, "base", Init::kaiming()});
  double sum = 0.0;
  std::vector<float> values = trainer.parameter("rectified.3.w").data;
  for (float value : values)
    sum += static_cast<double>(value) * value;
  EXPECT_NEAR(std::sqrt(sum / values.size()), std::sqrt(2.0 / 90.0), 0.02);
}

TEST(Trainer, CopiedBranchesTakeRunningStatistics) {
  Builder builder;
  builder.group({"base", Sgd{0.9f}, 0.05f});
  Value y = builder.map(
      "block", Builder::Reduction::Mean, 1, builder.input({7, 5, 3}),
      [](const Value &in) { return in.conv2d("w", 4, {3, 3}).batchNorm("n"); });
  Trainer trainer(builder.softmaxCrossEntropy(y.relu().globalAvgPool()));
  Batch batch(8);
  for (int i = 0; i < 5; ++i)
    trainer.step(batch.inputs(), batch.targets());
  Tensor before = trainer.predict(batch.inputs());
  trainer.grow({"block", 1, "base", Init::copy(0)});
  for (const char *role : {"w", "n.scale", "n.shift", "n.mean", "n.variance"})
    EXPECT_EQ(trainer.parameter(std::string("block.1.") + role).data,
              trainer.parameter(std::string("block.0.") + role).data)
        << role;
  Tensor after = trainer.predict(batch.inputs());
  for (size_t i = 0; i < before.data.size(); ++i)
    EXPECT_NEAR(after.data[i], before.data[i], 1e-5f);
}

/// Losses and final parameters of a run that grows on the way.
std::vector<float> run(unsigned threads, Isa isa = Isa::Native) {
  TrainerOptions options;
  options.target = Target::host(threads, isa);
  options.seed = 7;
  Trainer trainer(makeNetwork(), options);
  std::vector<float> trace;
  for (int i = 0; i < 6; ++i) {
    Batch batch(i == 4 ? 5 : 12, i);
    if (i == 3)
      trainer.grow({"linear", 2, "adam", Init::kaiming(), {{5, 5}}});
    trace.push_back(trainer.step(batch.inputs(), batch.targets()));
  }
  for (const std::string &name : trainer.parameterNames()) {
    Tensor values = trainer.parameter(name);
    trace.insert(trace.end(), values.data.begin(), values.data.end());
  }
  return trace;
}

TEST(Trainer, ThreadsChangeNoBit) {
  std::vector<float> one = run(1);
  EXPECT_TRUE(Snapshot::sameBits(one, run(1)));
  EXPECT_TRUE(Snapshot::sameBits(one, run(2)));
  EXPECT_TRUE(Snapshot::sameBits(one, run(5)));
}

TEST(Trainer, InstructionSetsAgree) {
  std::vector<float> native = run(2), generic = run(2, Isa::Generic);
  ASSERT_EQ(native.size(), generic.size());
  for (size_t i = 0; i < native.size(); ++i)
    EXPECT_NEAR(native[i], generic[i], 2e-3) << i;
}

TEST(Trainer, MemoryIsAccounted) {
  Trainer trainer(makeNetwork());
  MemoryReport before = trainer.memory();
  EXPECT_EQ(before.parameters, 4 * trainer.parameterCount());
  EXPECT_EQ(before.arena, 0);
  Batch batch(8);
  trainer.step(batch.inputs(), batch.targets());
  MemoryReport report = trainer.memory();
  EXPECT_GT(report.arena, 0);
  EXPECT_GT(report.keptForBackward, 0);
  // At least that of the largest layer: others' may be used and gone.
  EXPECT_GE(report.gradients, 4 * 36 * 6);
  trainer.grow({"linear", 8, "base", Init::zero()});
  trainer.step(batch.inputs(), batch.targets());
  EXPECT_EQ(trainer.memory().arena, report.arena);
}

/// Eight rectified branches that keep what `keep` says.
Network rectifiedNetwork(KeepPolicy keep) {
  Builder builder;
  builder.group({"base", Sgd{0.9f}, 0.05f});
  Value x = builder.input({7, 5, 3});
  x = x.conv2d("stem", 16, {3, 3}, {{1, 1}, {1, 1}});
  Value y = builder.map(
      "rectified", Builder::Reduction::Sum, 8, x,
      [](const Value &in) {
        return in.conv2d("w", 16, {3, 3}, {{1, 1}, {1, 1}}).bias("b").relu();
      },
      keep);
  return builder.softmaxCrossEntropy(y.globalAvgPool().linear("head", 4));
}

// The map's own policy is stronger than the trainer's; none changes a loss.
TEST(Trainer, KeepsWhatItIsToldTo) {
  Batch batch(8);
  const int64_t element = 8 * 7 * 5 * 16;
  auto kept = [&](KeepPolicy ofMap, KeepPolicy ofTrainer) {
    TrainerOptions options;
    options.compile.keep = ofTrainer;
    Trainer trainer(rectifiedNetwork(ofMap), options);
    float first = trainer.step(batch.inputs(), batch.targets());
    float second = trainer.step(batch.inputs(), batch.targets());
    return std::tuple(trainer.memory().keptForBackward, first, second);
  };
  auto [mask, maskFirst, maskSecond] = kept(KeepPolicy::Auto, KeepPolicy::Auto);
  auto [none, noneFirst, noneSecond] =
      kept(KeepPolicy::Auto, KeepPolicy::Recompute);
  auto [all, allFirst, allSecond] =
      kept(KeepPolicy::Store, KeepPolicy::Recompute);
  EXPECT_EQ(mask - none, 8 * element / 8);
  EXPECT_EQ(all - none, 8 * element * 4);
  EXPECT_EQ(maskFirst, noneFirst);
  EXPECT_EQ(maskFirst, allFirst);
  EXPECT_EQ(maskSecond, noneSecond);
  EXPECT_EQ(maskSecond, allSecond);
}

TEST(Trainer, GrowthsThatDoNotFitChangeNothing) {
  Trainer trainer(makeNetwork());
  Batch batch(8);
  trainer.step(batch.inputs(), batch.targets());
  Snapshot before(trainer);
  std::string text = trainer.network().text();
  auto grow = [&](AddBranches growth) {
    return messageOf([&] { trainer.grow(growth); });
  };
  expectContains(grow({"nowhere", 1, "base"}),
                 "there is no map 'nowhere' to grow; the network has 'linear', "
                 "'rectified'");
  expectContains(grow({"linear", 0, "base"}), "at least one branch");
  expectContains(grow({"linear", 1, "nobody"}),
                 "there is no optimizer group 'nobody'");
  expectContains(grow({"linear", 1, "base", Init::copy(9)}),
                 "cannot copy branch 9 of 'linear', which has 2 branches");
  expectContains(grow({"linear", 1, "base", Init::zero(), {{0, 0}}}),
                 "does not fit 'linear'");
  EXPECT_EQ(trainer.network().text(), text);
  before.expectKept(trainer);
  EXPECT_TRUE(std::isfinite(trainer.step(batch.inputs(), batch.targets())));
}

TEST(Trainer, GrowingAConcatenationMustFitItsConsumers) {
  Builder builder;
  builder.group({"base"});
  Value x = builder.input({4, 4, 2});
  Value y =
      builder.map("wide", Builder::Reduction::Concat, 2, x,
                  [](const Value &in) { return in.conv2d("w", 4, {1, 1}); });
  Trainer trainer(builder.meanSquaredError(y.conv2d("next.w", 3, {1, 1})));
  std::string message = messageOf([&] { trainer.grow({"wide", 1, "base"}); });
  expectContains(message, "channels");
}

TEST(Trainer, InputsAreChecked) {
  Trainer trainer(makeNetwork());
  Batch batch(8);
  Snapshot before(trainer);
  std::vector<float> small(8 * 6 * 5 * 3);
  expectContains(messageOf([&] {
                   trainer.step({small.data(), {8, 6, 5, 3}}, batch.targets());
                 }),
                 "is 'tensor<?x7x5x3xf32>', but got 'tensor<8x6x5x3xf32>'");
  expectContains(messageOf([&] {
                   trainer.step(batch.inputs(), {batch.labels.data(), {7}});
                 }),
                 "differ in the batch: 8 against 7");
  batch.labels[3] = 4;
  expectContains(
      messageOf([&] { trainer.step(batch.inputs(), batch.targets()); }),
      "label 4 of row 3 is not in [0, 4)");
  expectContains(messageOf([&] { trainer.setLearningRate("nobody", 0.1f); }),
                 "no optimizer group 'nobody'");
  expectContains(messageOf([&] { trainer.setLearningRate("base", -1.0f); }),
                 "must be finite and not negative");
  expectContains(messageOf([&] { trainer.addGroup({"base"}); }),
                 "'base' is taken");
  expectContains(messageOf([&] { trainer.addGroup({"bad", Sgd{2.0f}}); }),
                 "momentum is 2; it must be in [0, 1)");
  before.expectKept(trainer);
}

TEST(Trainer, PredictionAloneNeedsNoLoss) {
  Network network = Network::parse(R"(
    func.func @forward(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
      %y = grow.scale %x by 2.0 : tensor<?x3xf32>
      return %y : tensor<?x3xf32>
    })");
  Trainer trainer(network);
  std::vector<float> x = {1.0f, 2.0f, 3.0f};
  EXPECT_EQ(trainer.predict({x.data(), {1, 3}}).data,
            (std::vector<float>{2.0f, 4.0f, 6.0f}));
  expectContains(
      messageOf([&] { trainer.step({x.data(), {1, 3}}, {x.data(), {1, 3}}); }),
      "no function `@loss");
}

TEST(Network, FaultsAreLocated) {
  expectContains(messageOf([] { Network::load("/nonexistent/net.mlir"); }),
                 "cannot read '/nonexistent/net.mlir'");
  std::string message = messageOf([] {
    Network::parse("func.func @forward(%x: tensor<?x4x4x3xf32>) {\n"
                   "  %w = grow.get @missing : tensor<3x3x3x8xf32>\n"
                   "  return\n}",
                   "net.mlir");
  });
  expectContains(message, "net.mlir:2:");
  expectContains(message, "'missing', which is not a declared parameter");
}

TEST(Network, TextRoundTrips) {
  std::string text = makeNetwork().text();
  EXPECT_EQ(Network::parse(text).text(), text);
}

TEST(Network, DescribesItself) {
  Network network = makeNetwork();
  std::vector<MapInfo> maps = network.maps();
  ASSERT_EQ(maps.size(), 2u);
  EXPECT_EQ(maps[0].name, "linear");
  EXPECT_EQ(maps[0].branches, 2);
  EXPECT_EQ(maps[1].body,
            (std::vector<std::string>{"conv2d", "bias_add", "relu"}));
  std::vector<GroupOptions> groups = network.groups();
  ASSERT_EQ(groups.size(), 2u);
  EXPECT_EQ(std::get<Sgd>(groups[0].optimizer).momentum, 0.9f);
  EXPECT_EQ(groups[1].name, "adam");
  EXPECT_EQ(groups[1].weightDecay, 1e-2f);
  std::vector<ParameterInfo> parameters = network.parameters();
  EXPECT_EQ(parameters.front().name, "linear.0.w");
  EXPECT_EQ(parameters.front().elements(), 3 * 3 * 3 * 10);
  EXPECT_EQ(parameters.back().group, "adam");
}

TEST(Builder, FaultsThrow) {
  Builder builder;
  Value x = builder.input({4, 4, 2});
  expectContains(messageOf([&] { x.conv2d("w", 3, {3, 3}); }),
                 "has no optimizer group");
  builder.group({"base"});
  expectContains(messageOf([&] { x.conv2d("w", 3, {5, 5}); }),
                 "does not fit a padded height of 4");
  expectContains(messageOf([&] { x.linear("w", 3); }), "flatten() makes one");
  expectContains(messageOf([&] { x.add(x.flatten()); }), "same type");
  expectContains(messageOf([&] { builder.input({3}); }), "one input");
}

} // namespace
