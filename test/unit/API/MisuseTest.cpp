//===- MisuseTest.cpp - Faults leave trainers and builders as they were ---===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Builder.h"
#include "cambium/Trainer.h"

#include "gtest/gtest.h"

#include <cmath>
#include <cstdlib>
#include <functional>
#include <thread>

using namespace cambium;

namespace {

Network makeNetwork() {
  Builder builder;
  builder.group({"base", AdamW{}, 0.01f});
  Value sum = builder.map("block", Builder::Reduction::Sum, 1,
                          builder.input({4, 4, 2}), [](const Value &in) {
                            return in.conv2d("w", 3, {3, 3}, {{1, 1}, {1, 1}});
                          });
  return builder.softmaxCrossEntropy(sum.globalAvgPool());
}

struct Batch {
  TensorView inputs() const { return {images.data(), {6, 4, 4, 2}}; }
  TensorView targets() const { return {labels.data(), {6}}; }

  std::vector<float> images = std::vector<float>(6 * 4 * 4 * 2, 0.5f);
  std::vector<int32_t> labels = {0, 1, 2, 0, 1, 2};
};

std::string messageOf(const std::function<void()> &action) {
  try {
    action();
  } catch (const Error &error) {
    return error.what();
  }
  return "no error";
}

void expectFault(const std::string &part, const std::function<void()> &action) {
  std::string message = messageOf(action);
  EXPECT_NE(message.find(part), std::string::npos) << message;
}

const float *const noFloats = nullptr;
const int32_t *const noLabels = nullptr;

TEST(TrainerMisuse, CudaNeedsADriver) {
  setenv("CAMBIUM_CUDA_DRIVER", "/nowhere/libcuda.so", /*overwrite=*/1);
  TrainerOptions options;
  options.target = Target::cuda();
  expectFault("cannot load the CUDA driver library; tried:\n  /nowhere",
              [&] { Trainer trainer(makeNetwork(), options); });
}

TEST(TrainerMisuse, DataMustBeThere) {
  Trainer trainer(makeNetwork());
  Batch batch;
  expectFault("input 0 of 'step' has no data",
              [&] { trainer.step({noFloats, {6, 4, 4, 2}}, batch.targets()); });
  expectFault("input 1 of 'step' has no data",
              [&] { trainer.step(batch.inputs(), {noLabels, {6}}); });
  expectFault("has no data",
              [&] { trainer.predict({noFloats, {6, 4, 4, 2}}); });
  expectFault("have no data", [&] {
    trainer.setParameter("block.0.w", {noFloats, {3, 3, 2, 3}});
  });
  expectFault("but got 'tensor<0x4x4x2xf32>'",
              [&] { trainer.predict({batch.images.data(), {0, 4, 4, 2}}); });
}

/// The names of the trainer's own functions would make every growth fail.
TEST(TrainerMisuse, GroupsCannotTakeNamesOfFunctions) {
  Trainer trainer(makeNetwork());
  for (const char *name : {"step", "evaluate", "forward", "loss", "block.0.w"})
    expectFault("is taken", [&] { trainer.addGroup({name}); });
  // Kernels give way.
  trainer.addGroup({"conv2d"});
  trainer.grow({"block", 1, "conv2d"});
  Batch batch;
  EXPECT_TRUE(std::isfinite(trainer.step(batch.inputs(), batch.targets())));
  expectFault("declares 'evaluate'", [&] {
    Trainer other(Network::parse(R"(
      func.func @forward(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
        return %x : tensor<?x3xf32>
      }
      func.func @evaluate(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
        return %x : tensor<?x3xf32>
      })"));
  });
}

TEST(TrainerMisuse, GrowthsBeyondMemoryChangeNothing) {
  Trainer trainer(makeNetwork()), other(makeNetwork());
  Batch batch;
  const int64_t size = 4000000001;
  expectFault("not enough memory", [&] {
    trainer.grow({"block", 2, "base", Init::zero(), {{size, size}}});
  });
  expectFault("at most 65536 branches",
              [&] { trainer.grow({"block", 4000000000u, "base"}); });
  EXPECT_EQ(trainer.parameterNames(), other.parameterNames());
  for (Trainer *each : {&trainer, &other}) {
    each->step(batch.inputs(), batch.targets());
    each->grow({"block", 2, "base", Init::kaiming(), {{5, 5}}});
  }
  EXPECT_EQ(trainer.step(batch.inputs(), batch.targets()),
            other.step(batch.inputs(), batch.targets()));
}

TEST(TrainerMisuse, ThreadsAreBounded) {
  for (unsigned threads : {1025u, 0x80000000u, 0xffffffffu})
    expectFault("threads are too many",
                [&] { Trainer(makeNetwork(), {Target::host(threads)}); });
}

TEST(TrainerMisuse, OnlyTensorsCanBeGiven) {
  for (const char *type : {"f32", "tensor<*xf32>", "memref<?x3xf32>",
                           "tensor<?x3xf64>", "tensor<?x3xi64>"})
    expectFault("inputs are ranked tensors of f32 or i32", [&] {
      std::string text = type;
      Trainer(Network::parse("func.func @forward(%x: " + text + ") -> " + text +
                             " { return %x : " + text + " }"));
    });
}

/// A loss need not use what @forward returns.
TEST(TrainerMisuse, LabelsAreClassesOfTheLoss) {
  Trainer trainer(Network::parse(R"(
    grow.group @g {optimizer = #grow.sgd, lr = 0.1}
    grow.param @w : tensor<3x2xf32> in @g init(#grow.kaiming)
    func.func @forward(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
      return %x : tensor<?x3xf32>
    }
    func.func @loss(%x: tensor<?x3xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
      %w = grow.get @w : tensor<3x2xf32>
      %y = grow.linear %x, %w : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
      %l = grow.softmax_cross_entropy %y, %labels
          : (tensor<?x2xf32>, tensor<?xi32>) -> tensor<f32>
      return %l : tensor<f32>
    })"));
  std::vector<float> x = {1.0f, 2.0f, 3.0f};
  std::vector<int32_t> label = {2};
  expectFault("label 2 of row 0 is not in [0, 2)",
              [&] { trainer.step({x.data(), {1, 3}}, {label.data(), {1}}); });
}

/// A map may have the name that a growth of another size would choose.
TEST(TrainerMisuse, AMapElsewhereIsNoSibling) {
  Builder builder;
  builder.group({"base"});
  Value x = builder.input({6, 6, 2});
  Value y =
      builder.map("a", Builder::Reduction::Sum, 1, x, [](const Value &in) {
        return in.conv2d("w", 2, {3, 3}, {{1, 1}, {1, 1}});
      });
  Value z = builder.map("a.5x5", Builder::Reduction::Sum, 1, y,
                        [](const Value &in) { return in.bias("b"); });
  Trainer trainer(builder.meanSquaredError(z));
  expectFault("does not stand beside 'a'",
              [&] { trainer.grow({"a", 1, "base", Init::zero(), {{5, 5}}}); });
}

TEST(TrainerMisuse, TrainersOfOneNetworkShareNothing) {
  Network network = makeNetwork();
  std::vector<float> losses[3];
  std::vector<std::thread> threads;
  for (std::vector<float> &trace : losses)
    threads.emplace_back([&] {
      Trainer trainer(network, {Target::host(2), 5});
      Batch batch;
      for (int i = 0; i < 8; ++i) {
        if (i % 3 == 1)
          trainer.grow({"block", 2, "base", Init::kaiming(), {{5, 5}}});
        messageOf([&] { trainer.grow({"nowhere", 1, "base"}); });
        trace.push_back(trainer.step(batch.inputs(), batch.targets()));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  EXPECT_EQ(losses[0], losses[1]);
  EXPECT_EQ(losses[0], losses[2]);
}

TEST(BuilderMisuse, WhatFailsIsTakenBack) {
  auto describe = [](bool faults) {
    Builder builder;
    builder.group({"base"});
    Value x = builder.input({4, 4, 2});
    if (faults) {
      expectFault("does not fit", [&] { x.conv2d("w", 3, {9, 9}); });
      expectFault("momentum", [&] { x.batchNorm("n", std::nanf("")); });
      expectFault("region isolation", [&] {
        builder.map("m", Builder::Reduction::Sum, 2, x,
                    [&](const Value &in) { return in.add(x); });
      });
      expectFault("body says no", [&] {
        builder.map("m", Builder::Reduction::Sum, 2, x,
                    [&](const Value &in) -> Value {
                      in.conv2d("w", 3, {1, 1});
                      throw Error("body says no");
                    });
      });
      expectFault("must be 2D", [&] { builder.softmaxCrossEntropy(x); });
    }
    Value y =
        builder.map("m", Builder::Reduction::Sum, 2, x, [&](const Value &in) {
          if (faults)
            expectFault("does not fit", [&] { in.conv2d("w", 3, {9, 9}); });
          return in.conv2d("w", 3, {1, 1});
        });
    y = y.conv2d("w", 3, {1, 1}).batchNorm("n").globalAvgPool();
    return builder.softmaxCrossEntropy(y).text();
  };
  EXPECT_EQ(describe(true), describe(false));
}

TEST(BuilderMisuse, ABuilderEndsMoreThanOneNetwork) {
  Builder builder;
  builder.group({"base"});
  Value y = builder.input({3}).linear("w", 2);
  std::string text = builder.softmaxCrossEntropy(y).text();
  builder.meanSquaredError(y.relu());
  builder.map("m", Builder::Reduction::Sum, 1, y, [&](const Value &in) {
    expectFault("inside the body", [&] { builder.softmaxCrossEntropy(in); });
    return in;
  });
  EXPECT_EQ(builder.meanSquaredError(y).parameters().size(), 1u);
  EXPECT_NE(text.find("softmax_cross_entropy"), std::string::npos);
}

TEST(BuilderMisuse, ValuesStayWithTheirBuilder) {
  Builder one, two;
  Value x = one.input({3}), y = two.input({3});
  expectFault("another builder", [&] { x.add(y); });
  expectFault("another builder", [&] { x.mul(y); });
  expectFault("another builder", [&] { one.meanSquaredError(y); });
  expectFault("another builder", [&] {
    one.map("m", Builder::Reduction::Sum, 1, x,
            [&](const Value &) { return y; });
  });
}

} // namespace
