//===- CheckpointTest.cpp - Trainers saved and loaded ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Builder.h"
#include "cambium/Trainer.h"

#include "gtest/gtest.h"

#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <sstream>
#include <unistd.h>

using namespace cambium;

namespace {

/// A linear and a rectified growing layer, a norm, and both optimizers.
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

/// Little to compile.
Network makeSmall() {
  return Network::parse(R"(
grow.group @g {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.1}
grow.param @w : tensor<3x2xf32> in @g init(#grow.kaiming)
func.func @forward(%x: tensor<?x3xf32>) -> tensor<?x2xf32> {
  %w = grow.get @w : tensor<3x2xf32>
  %z = grow.linear %x, %w
      : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
  return %z : tensor<?x2xf32>
})");
}

struct Batch {
  explicit Batch(unsigned seed) : images(8 * 7 * 5 * 3), labels(8) {
    std::mt19937 random(seed);
    for (float &value : images)
      value = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    for (int32_t &label : labels)
      label = random() % 4;
  }
  TensorView inputs() const { return {images.data(), {8, 7, 5, 3}}; }
  TensorView targets() const { return {labels.data(), {8}}; }

  std::vector<float> images;
  std::vector<int32_t> labels;
};

std::vector<float> train(Trainer &trainer, unsigned first, unsigned steps) {
  std::vector<float> losses;
  for (unsigned i = first; i < first + steps; ++i) {
    Batch batch(i);
    losses.push_back(trainer.step(batch.inputs(), batch.targets()));
  }
  return losses;
}

/// The bits of all parameters, running statistics and optimizer state.
std::vector<std::vector<uint32_t>> bitsOf(const Trainer &trainer) {
  std::vector<std::vector<uint32_t>> all;
  auto add = [&](const Tensor &tensor) {
    all.emplace_back(tensor.data.size());
    std::memcpy(all.back().data(), tensor.data.data(),
                tensor.data.size() * sizeof(float));
  };
  for (const std::string &name : trainer.parameterNames()) {
    add(trainer.parameter(name));
    for (const Tensor &state : trainer.optimizerState(name))
      add(state);
  }
  for (const char *state : {"norm.mean", "norm.variance"})
    add(trainer.parameter(state));
  return all;
}

class Checkpoint : public ::testing::Test {
protected:
  Checkpoint() {
    const auto *info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder = ::testing::TempDir() + "checkpoint-" + info->name() + "-" +
             std::to_string(getpid());
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    path = folder + "/net.safetensors";
  }
  ~Checkpoint() override { std::filesystem::remove_all(folder); }

  void put(const std::string &bytes) const {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  std::string bytes() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  /// Replaces a text in the file's header.
  void edit(const std::string &from, const std::string &to) const {
    std::string all = bytes();
    uint64_t length;
    std::memcpy(&length, all.data(), sizeof(length));
    size_t at = all.find(from);
    ASSERT_LT(at, length) << from;
    all.replace(at, from.size(), to);
    length += to.size() - from.size();
    std::memcpy(all.data(), &length, sizeof(length));
    put(all);
  }
  std::string reason() const {
    try {
      Trainer::load(path);
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  }
  void expectReason(const std::string &part) const {
    std::string why = reason();
    EXPECT_NE(why.find(part), std::string::npos) << "the reason is: " << why;
    EXPECT_NE(why.find(path), std::string::npos) << "the reason is: " << why;
  }
  /// The file's elements of a tensor as another program sees them, after its
  /// extents.
  std::vector<std::string> wordsOf(const std::string &name) const {
    std::string command = "python3 " CAMBIUM_INPUTS "/read-safetensors.py '" +
                          path + "' '" + name + "'";
    FILE *pipe = popen(command.c_str(), "r");
    std::string text;
    for (int c; pipe && (c = fgetc(pipe)) != EOF;)
      text += static_cast<char>(c);
    EXPECT_TRUE(pipe && pclose(pipe) == 0) << command;
    std::istringstream stream(text);
    return {std::istream_iterator<std::string>(stream), {}};
  }

  std::string folder, path;
};

std::string wordOf(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  char text[9];
  std::snprintf(text, sizeof(text), "%08x", bits);
  return text;
}

TEST_F(Checkpoint, GoesOnBitForBit) {
  TrainerOptions options;
  options.seed = 42;
  Trainer trainer(makeNetwork(), options);
  train(trainer, 0, 3);
  trainer.addGroup({"fresh", AdamW{0.8f, 0.99f}, 0.003f, 0.01f});
  trainer.addGroup({"plain", Sgd{}, 0.02f, 0.0f});
  // The optimizers of the sum's terms alternate.
  trainer.grow({"linear", 1, "fresh", Init::zero()});
  trainer.grow({"linear", 2, "plain", Init::kaiming()});
  trainer.grow({"linear", 1, "fresh", Init::copy(0), {{3, 3}}});
  trainer.grow({"linear", 1, "adam", Init::kaiming(), {{5, 5}}});
  trainer.grow({"rectified", 2, "fresh", Init::kaiming()});
  trainer.setLearningRate("base", 0.1f / 3.0f);
  trainer.addGroup({"unused", Sgd{0.5f}, 1e-7f, 0.0f});
  train(trainer, 3, 4);
  trainer.save(path, {{"step", "7"}, {"text", "\"{\n\\"}});

  Trainer::Notes notes;
  TrainerOptions other;
  other.seed = 1;
  Trainer loaded = Trainer::load(path, other, &notes);
  EXPECT_EQ(notes, (Trainer::Notes{{"step", "7"}, {"text", "\"{\n\\"}}));
  EXPECT_EQ(loaded.network().text(), trainer.network().text());
  EXPECT_EQ(loaded.learningRate("base"), 0.1f / 3.0f);
  EXPECT_EQ(loaded.learningRate("unused"), 1e-7f);
  EXPECT_EQ(bitsOf(loaded), bitsOf(trainer));

  EXPECT_EQ(train(loaded, 7, 4), train(trainer, 7, 4));
  // New values depend on the saved seed.
  for (Trainer *each : {&trainer, &loaded}) {
    each->grow({"rectified", 1, "unused", Init::kaiming()});
    each->grow({"linear", 1, "base", Init::kaiming()});
  }
  EXPECT_EQ(train(loaded, 11, 4), train(trainer, 11, 4));
  EXPECT_EQ(bitsOf(loaded), bitsOf(trainer));
  Batch batch(99);
  EXPECT_EQ(loaded.predict(batch.inputs()).data,
            trainer.predict(batch.inputs()).data);
}

TEST_F(Checkpoint, SavedAgainIsTheSameFile) {
  Trainer trainer(makeNetwork());
  train(trainer, 0, 2);
  trainer.save(path);
  std::string first = bytes();
  Trainer::load(path).save(path);
  EXPECT_EQ(bytes(), first);
}

TEST_F(Checkpoint, OtherProgramsReadPyTorchsLayout) {
  Trainer trainer(makeNetwork());
  train(trainer, 0, 2);
  trainer.save(path);
  // Filters: HWCF to OIHW.
  Tensor filter = trainer.parameter("linear.1.w");
  ASSERT_EQ(filter.shape, (std::vector<int64_t>{3, 3, 3, 10}));
  std::vector<std::string> expected = {"linear.1.w", "10", "3", "3", "3"};
  for (int f = 0; f < 10; ++f)
    for (int c = 0; c < 3; ++c)
      for (int h = 0; h < 3; ++h)
        for (int w = 0; w < 3; ++w)
          expected.push_back(
              wordOf(filter.data[((h * 3 + w) * 3 + c) * 10 + f]));
  EXPECT_EQ(wordsOf("linear.1.w"), expected);
  // Linear layers: [in, out] to [out, in], their optimizer's state too.
  Tensor moment = trainer.optimizerState("head.w")[1];
  int64_t inputs = moment.shape[0];
  expected = {"optimizer/head.w/exp_avg_sq", "4", std::to_string(inputs)};
  for (int out = 0; out < 4; ++out)
    for (int in = 0; in < inputs; ++in)
      expected.push_back(wordOf(moment.data[in * 4 + out]));
  EXPECT_EQ(wordsOf("optimizer/head.w/exp_avg_sq"), expected);
  Tensor mean = trainer.parameter("norm.mean");
  expected = {"norm.mean", "10"};
  for (float value : mean.data)
    expected.push_back(wordOf(value));
  EXPECT_EQ(wordsOf("norm.mean"), expected);
}

TEST_F(Checkpoint, KeepsNotANumber) {
  Trainer trainer(makeSmall());
  float values[6] = {std::nanf("0x77"), INFINITY, -0.0f, 1e-42f, 3.0f, 4.0f};
  trainer.setParameter("w", {values, {3, 2}});
  trainer.save(path);
  Tensor loaded = Trainer::load(path).parameter("w");
  EXPECT_EQ(std::memcmp(loaded.data.data(), values, sizeof(values)), 0);
}

TEST_F(Checkpoint, RefusesWhatDoesNotFit) {
  Trainer trainer(makeSmall());
  trainer.save(path);
  std::string whole = bytes();
  EXPECT_EQ(reason(), "");
  auto refuses = [&](const std::string &from, const std::string &to,
                     const std::string &part) {
    put(whole);
    edit(from, to);
    expectReason(part);
  };
  refuses("cambium.version", "elsewhere", "no checkpoint of Cambium");
  refuses(R"("cambium.version":"1")", R"("cambium.version":"2")",
          "checkpoint of version 2; this build of Cambium reads version 1");
  refuses("cambium.network", "network", "'cambium.network' is missing");
  refuses("func.func @forward", "func.func forward", "(network):");
  put(whole);
  edit("func.func @forward", "func.func @backward");
  EXPECT_NE(reason().find("@forward(inputs)"), std::string::npos) << reason();
  refuses(R"("cambium.seed":"0")", R"("cambium.seed":"-1")",
          "'cambium.seed' is no number");
  refuses(R"({\"w\":0})", R"({\"w\":-1})", "no number of updates of 'w'");
  refuses(R"({\"w\":0})", "[]", "no number of updates of 'w'");
  refuses(R"({\"w\":0})", "{", "no number of updates of 'w'");
  refuses(R"("w":{)", R"("v":{)", "tensor 'w' of its network is missing");
  refuses("optimizer/w/momentum_buffer", "optimizer/w/exp_avg",
          "tensor 'optimizer/w/momentum_buffer' of its network is missing");
  refuses(R"("shape":[2,3])", R"("shape":[3,2])",
          "tensor 'w' has shape [3, 2]; its network needs [2, 3]");
  refuses("momentum = 9.000000e-01", "momentum = 0.0",
          "tensor 'optimizer/w/momentum_buffer' is none of its network's");
}

TEST_F(Checkpoint, RefusesEveryTruncation) {
  Trainer(makeSmall()).save(path);
  std::string whole = bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    put(whole.substr(0, length));
    ASSERT_NE(reason(), "") << length << " bytes";
  }
}

/// Whatever a flipped bit makes of the file, it is refused with a reason or
/// holds a network that can be saved.
TEST_F(Checkpoint, SurvivesBitFlips) {
  Trainer(makeSmall()).save(path);
  std::string whole = bytes();
  std::mt19937 random(1);
  int refused = 0, loaded = 0;
  for (size_t byte = 0; byte < whole.size(); byte += 1 + random() % 15) {
    std::string flipped = whole;
    flipped[byte] ^= char(1 << random() % 8);
    put(flipped);
    try {
      Trainer::load(path).save(folder + "/again");
      ++loaded;
    } catch (const Error &error) {
      EXPECT_STRNE(error.what(), "");
      ++refused;
    }
  }
  EXPECT_GT(refused, 30);
  EXPECT_GT(loaded, 3);
}

TEST_F(Checkpoint, ExportsTheCollapsedNetwork) {
  Trainer trainer(makeNetwork());
  trainer.grow({"linear", 2, "adam", Init::kaiming()});
  trainer.grow({"linear", 1, "base", Init::kaiming(), {{5, 5}}});
  trainer.grow({"rectified", 2, "base", Init::kaiming()});
  train(trainer, 0, 4);
  Batch batch(7);
  Tensor logits = trainer.predict(batch.inputs());
  std::vector<std::vector<uint32_t>> before = bitsOf(trainer);
  trainer.exportInference(path);

  Trainer exported = Trainer::load(path);
  EXPECT_EQ(exported.predict(batch.inputs()).data, logits.data);
  // Of four 3x3 filters and one of 5x5, the last is left; no state.
  EXPECT_EQ(exported.parameterCount(),
            trainer.parameterCount() - 4 * 3 * 3 * 3 * 10);
  for (const std::string &name : exported.parameterNames())
    EXPECT_TRUE(exported.optimizerState(name).empty()) << name;
  EXPECT_EQ(wordsOf("norm.mean").size(), 12u);
  // Training goes on as if nothing had been exported.
  Trainer other(makeNetwork());
  other.grow({"linear", 2, "adam", Init::kaiming()});
  other.grow({"linear", 1, "base", Init::kaiming(), {{5, 5}}});
  other.grow({"rectified", 2, "base", Init::kaiming()});
  train(other, 0, 4);
  EXPECT_EQ(bitsOf(trainer), before);
  EXPECT_EQ(train(trainer, 4, 2), train(other, 4, 2));
}

TEST_F(Checkpoint, FailedSavesLeaveTheOldFile) {
  Trainer trainer(makeSmall());
  trainer.save(path);
  std::string old = bytes();
  EXPECT_THROW(trainer.save(path, {{"a", "\xff"}}), Error);
  EXPECT_THROW(trainer.save(folder + "/missing/file"), Error);
  EXPECT_EQ(bytes(), old);
}

} // namespace
