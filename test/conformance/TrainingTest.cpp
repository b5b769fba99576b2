//===- TrainingTest.cpp - Steps of optimizers on every backend ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Environment.h"
#include "OpCases.h"

using namespace cambium;
using namespace cambium::conformance;

namespace {

using Parameters =
    std::tuple<std::string, std::pair<const char *, const char *>>;

class TrainingTest : public ::testing::TestWithParam<Parameters> {};

/// Three branches of a collapsed sum, two of them in one group, a bias, batch
/// normalisation and a linear layer.
std::string network(const std::string &old, const std::string &grown) {
  return "grow.group @old {optimizer = " + old +
         ", lr = 0.05, weight_decay = 0.01}\n"
         "grow.group @grown {optimizer = " +
         grown + R"(, lr = 0.02, weight_decay = 0.02}
grow.param @w0 : tensor<3x3x2x5xf32> in @old init(#grow.kaiming)
grow.param @w1 : tensor<3x3x2x5xf32> in @grown init(#grow.kaiming)
grow.param @w2 : tensor<3x3x2x5xf32> in @old init(#grow.kaiming)
grow.param @scale : tensor<5xf32> in @old init(#grow.constant<1.0>)
grow.param @shift : tensor<5xf32> in @grown init(#grow.constant<0.1>)
grow.state @mean : tensor<5xf32> init(#grow.zero)
grow.state @variance : tensor<5xf32> init(#grow.constant<1.0>)
grow.param @fc : tensor<80x3xf32> in @old init(#grow.kaiming)
grow.param @unused : tensor<4xf32> in @grown init(#grow.constant<1.0>)
func.func @forward(%x: tensor<?x8x8x2xf32>) -> tensor<?x3xf32> {
  %w0 = grow.get @w0 : tensor<3x3x2x5xf32>
  %w1 = grow.get @w1 : tensor<3x3x2x5xf32>
  %w2 = grow.get @w2 : tensor<3x3x2x5xf32>
  %0 = grow.map "block" sum (%x) over [(%w0), (%w1), (%w2)] {
  ^bb0(%in: tensor<?x8x8x2xf32>, %w: tensor<3x3x2x5xf32>):
    %c = grow.conv2d %in, %w padding [1, 1]
        : (tensor<?x8x8x2xf32>, tensor<3x3x2x5xf32>) -> tensor<?x8x8x5xf32>
    grow.yield %c : tensor<?x8x8x5xf32>
  }
  %scale = grow.get @scale : tensor<5xf32>
  %shift = grow.get @shift : tensor<5xf32>
  %mean = grow.get @mean : tensor<5xf32>
  %variance = grow.get @variance : tensor<5xf32>
  %1 = grow.batch_norm %0, %scale, %shift, %mean, %variance momentum 0.2
      : (tensor<?x8x8x5xf32>, tensor<5xf32>, tensor<5xf32>, tensor<5xf32>,
         tensor<5xf32>) -> tensor<?x8x8x5xf32>
  %2 = grow.relu %1 : tensor<?x8x8x5xf32>
  %3 = grow.max_pool2d %2 window [2, 2] stride [2, 2]
      : (tensor<?x8x8x5xf32>) -> tensor<?x4x4x5xf32>
  %4 = grow.flatten %3 : (tensor<?x4x4x5xf32>) -> tensor<?x80xf32>
  %fc = grow.get @fc : tensor<80x3xf32>
  %5 = grow.linear %4, %fc
      : (tensor<?x80xf32>, tensor<80x3xf32>) -> tensor<?x3xf32>
  return %5 : tensor<?x3xf32>
}
func.func @loss(%x: tensor<?x8x8x2xf32>, %labels: tensor<?xi32>)
    -> tensor<f32> {
  %0 = func.call @forward(%x) : (tensor<?x8x8x2xf32>) -> tensor<?x3xf32>
  %1 = grow.softmax_cross_entropy %0, %labels
      : (tensor<?x3xf32>, tensor<?xi32>) -> tensor<f32>
  return %1 : tensor<f32>
}
)";
}

TEST_P(TrainingTest, StepsThenInference) {
  auto [name, optimizers] = GetParam();
  Environment &environment = Environment::of(name);
  ASSERT_TRUE(environment.backend);
  auto module = environment.parse(network(optimizers.first, optimizers.second));
  ASSERT_TRUE(module);
  auto expected =
      environment.load(*environment.reference, *module, ProgramKind::Training);
  auto actual =
      environment.load(*environment.backend, *module, ProgramKind::Training);
  ASSERT_TRUE(expected && actual);
  Random random(1);
  double tolerance = 10 * Environment::tolerance(name);
  for (int64_t batch : {4, 4, 7, 1}) {
    SCOPED_TRACE(batch);
    ReferenceTensor x({batch, 8, 8, 2}), labels({batch});
    for (double &value : x.data)
      value = random.normal();
    for (double &value : labels.data)
      value = static_cast<double>(random.draw(0, 2));
    expectClose(environment.call(*actual, "step", {x, labels}),
                environment.call(*expected, "step", {x, labels}), tolerance);
    Tensors after, wanted;
    for (const char *symbol : {"w0", "w1", "w2", "scale", "shift", "mean",
                               "variance", "fc", "unused"}) {
      after.push_back(*actual->value(symbol));
      wanted.push_back(*expected->value(symbol));
    }
    expectClose(after, wanted, tolerance);
    for (const char *function : {"forward", "loss"}) {
      Tensors inputs = {x, labels};
      if (function == std::string("forward"))
        inputs.pop_back();
      expectClose(environment.call(*actual, function, inputs),
                  environment.call(*expected, function, inputs), tolerance);
    }
  }
}

class StoredTest : public ::testing::TestWithParam<std::string> {};

/// What functions return and set are values at entry, although updates and sets
/// act one after the other.
TEST_P(StoredTest, ValuesAtEntry) {
  Environment &environment = Environment::of(GetParam());
  ASSERT_TRUE(environment.backend);
  auto module = environment.parse(R"(
grow.group @g {optimizer = #grow.sgd, lr = 0.5}
grow.param @w : tensor<f32> in @g init(#grow.constant<2.0>)
grow.state @a : tensor<2xf32> init(#grow.constant<3.0>)
grow.state @b : tensor<2xf32> init(#grow.constant<4.0>)
grow.state @last : tensor<f32> init(#grow.zero)
func.func @loss() -> tensor<f32> {
  %w = grow.get @w : tensor<f32>
  %a = grow.get @a : tensor<2xf32>
  %b = grow.get @b : tensor<2xf32>
  grow.set @a, %b : tensor<2xf32>
  grow.set @b, %a : tensor<2xf32>
  grow.set @last, %w : tensor<f32>
  return %w : tensor<f32>
}
)");
  ASSERT_TRUE(module);
  auto program =
      environment.load(*environment.backend, *module, ProgramKind::Training);
  ASSERT_TRUE(program);
  EXPECT_EQ(environment.call(*program, "step", {})[0].data[0], 2.0);
  EXPECT_EQ(program->value("w")->data[0], 1.5);
  EXPECT_EQ(program->value("last")->data[0], 2.0);
  EXPECT_EQ(program->value("a")->data[1], 4.0);
  EXPECT_EQ(program->value("b")->data[1], 3.0);
}

INSTANTIATE_TEST_SUITE_P(Backends, StoredTest,
                         ::testing::ValuesIn(Environment::names()));
INSTANTIATE_TEST_SUITE_P(Cuda, StoredTest, ::testing::Values("cuda"));

std::string nameOf(const ::testing::TestParamInfo<Parameters> &info) {
  return std::get<0>(info.param) + "_" + std::to_string(info.index);
}

// AdamW's epsilon keeps rounding of tiny second moments out of the comparison.
INSTANTIATE_TEST_SUITE_P(
    Optimizers, TrainingTest,
    ::testing::Combine(
        ::testing::ValuesIn(Environment::names()),
        ::testing::Values(
            std::pair("#grow.sgd", "#grow.sgd"),
            std::pair("#grow.sgd<momentum = 0.9>",
                      "#grow.sgd<momentum = 0.5, nesterov = true>"),
            std::pair("#grow.sgd<momentum = 0.9>",
                      "#grow.adamw<epsilon = 1.0e-2>"),
            std::pair(
                "#grow.adamw<beta1 = 0.8, beta2 = 0.95, epsilon = 1.0e-2>",
                "#grow.adamw<epsilon = 1.0e-2>"))),
    nameOf);

} // namespace
