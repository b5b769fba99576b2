//===- ReferenceTest.cpp - Semantics and faults of the reference ----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReferenceFixture.h"

#include <cmath>

using namespace cambium;

namespace {

using ReferenceTest = ReferenceFixture;

//===----------------------------------------------------------------------===//
// Layers, by hand
//===----------------------------------------------------------------------===//

TEST_F(ReferenceTest, ConvolutionIsCrossCorrelationWithTopLeftPadding) {
  // A 2x2 image under a 2x2 window with one row of padding above.
  Tensors y = run(R"(
    func.func @f(%x: tensor<?x2x2x1xf32>, %w: tensor<2x2x1x1xf32>)
        -> tensor<?x2x1x1xf32> {
      %y = grow.conv2d %x, %w padding [1, 0, 0, 0]
          : (tensor<?x2x2x1xf32>, tensor<2x2x1x1xf32>) -> tensor<?x2x1x1xf32>
      return %y : tensor<?x2x1x1xf32>
    })",
                  {tensor({1, 2, 2, 1}, {1, 2, 3, 4}),
                   tensor({2, 2, 1, 1}, {10, 20, 30, 40})});
  ASSERT_EQ(y.size(), 1u);
  EXPECT_EQ(y[0].shape, Shape({1, 2, 1, 1}));
  expectNear(y[0].data, {30 * 1 + 40 * 2, 10 * 1 + 20 * 2 + 30 * 3 + 40 * 4});
}

TEST_F(ReferenceTest, ConvolutionGroupsSplitChannelsAndFilters) {
  Tensors y = run(
      R"(
    func.func @f(%x: tensor<?x1x1x2xf32>, %w: tensor<1x1x1x4xf32>)
        -> tensor<?x1x1x4xf32> {
      %y = grow.conv2d %x, %w groups 2
          : (tensor<?x1x1x2xf32>, tensor<1x1x1x4xf32>) -> tensor<?x1x1x4xf32>
      return %y : tensor<?x1x1x4xf32>
    })",
      {tensor({1, 1, 1, 2}, {3, 5}), tensor({1, 1, 1, 4}, {1, 10, 100, 1000})});
  ASSERT_EQ(y.size(), 1u);
  expectNear(y[0].data, {3, 30, 500, 5000});
}

TEST_F(ReferenceTest, ConvolutionStrideAndDilation) {
  Tensors y = run(R"(
    func.func @f(%x: tensor<?x1x7x1xf32>, %w: tensor<1x2x1x1xf32>)
        -> tensor<?x1x2x1xf32> {
      %y = grow.conv2d %x, %w stride [1, 3] dilation [1, 2]
          : (tensor<?x1x7x1xf32>, tensor<1x2x1x1xf32>) -> tensor<?x1x2x1xf32>
      return %y : tensor<?x1x2x1xf32>
    })",
                  {tensor({1, 1, 7, 1}, {1, 2, 3, 4, 5, 6, 7}),
                   tensor({1, 2, 1, 1}, {1, 10})});
  ASSERT_EQ(y.size(), 1u);
  expectNear(y[0].data, {1 + 30, 4 + 60});
}

TEST_F(ReferenceTest, ActivationsAtKnownPoints) {
  Tensors y = run(R"(
    func.func @f(%x: tensor<4xf32>) -> (tensor<4xf32>, tensor<4xf32>,
        tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
      %0 = grow.relu %x : tensor<4xf32>
      %1 = grow.leaky_relu %x slope 0.5 : tensor<4xf32>
      %2 = grow.gelu %x : tensor<4xf32>
      %3 = grow.silu %x : tensor<4xf32>
      %4 = grow.tanh %x : tensor<4xf32>
      %5 = grow.sigmoid %x : tensor<4xf32>
      return %0, %1, %2, %3, %4, %5 : tensor<4xf32>, tensor<4xf32>,
          tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
    })",
                  {tensor({4}, {-2, 0, 1, 3})});
  ASSERT_EQ(y.size(), 6u);
  expectNear(y[0].data, {0, 0, 1, 3});
  expectNear(y[1].data, {-1, 0, 1, 3});
  expectNear(y[2].data,
             {-0.04550026389635842, 0, 0.8413447460685429, 2.99595030590511},
             1e-9);
  expectNear(y[3].data, {-2 / (1 + std::exp(2)), 0, 1 / (1 + std::exp(-1)),
                         3 / (1 + std::exp(-3))});
  expectNear(y[4].data, {std::tanh(-2), 0, std::tanh(1), std::tanh(3)});
  expectNear(y[5].data, {1 / (1 + std::exp(2)), 0.5, 1 / (1 + std::exp(-1)),
                         1 / (1 + std::exp(-3))});
}

TEST_F(ReferenceTest, ActivationGradientsAtZeroTakeTheNegativeSide) {
  Tensors d = run(R"(
    func.func @f(%y: tensor<1xf32>, %dy: tensor<1xf32>)
        -> (tensor<1xf32>, tensor<1xf32>) {
      %0 = grow.relu_grad %y, %dy : tensor<1xf32>
      %1 = grow.leaky_relu_grad %y, %dy slope 0.25 : tensor<1xf32>
      return %0, %1 : tensor<1xf32>, tensor<1xf32>
    })",
                  {tensor({1}, {0}), tensor({1}, {8})});
  ASSERT_EQ(d.size(), 2u);
  expectNear(d[0].data, {0});
  expectNear(d[1].data, {2});
}

TEST_F(ReferenceTest, MaxPoolIgnoresPaddingAndGivesTiesToTheFirst) {
  const char *text = R"(
    func.func @f(%x: tensor<?x2x2x1xf32>, %dy: tensor<?x2x2x1xf32>)
        -> (tensor<?x2x2x1xf32>, tensor<?x2x2x1xf32>) {
      %y = grow.max_pool2d %x window [2, 2] padding [1, 1, 0, 0]
          : (tensor<?x2x2x1xf32>) -> tensor<?x2x2x1xf32>
      %dx = grow.max_pool2d_grad %x, %dy window [2, 2] padding [1, 1, 0, 0]
          : (tensor<?x2x2x1xf32>, tensor<?x2x2x1xf32>) -> tensor<?x2x2x1xf32>
      return %y, %dx : tensor<?x2x2x1xf32>, tensor<?x2x2x1xf32>
    })";
  Tensors y = run(text, {tensor({1, 2, 2, 1}, {-3, -3, -3, -5}),
                         tensor({1, 2, 2, 1}, {1, 2, 4, 8})});
  ASSERT_EQ(y.size(), 2u);
  expectNear(y[0].data, {-3, -3, -3, -3});
  expectNear(y[1].data, {15, 0, 0, 0});
}

TEST_F(ReferenceTest, AvgPoolCountsPaddingAsZeros) {
  Tensors y = run(R"(
    func.func @f(%x: tensor<?x1x2x1xf32>) -> tensor<?x1x2x1xf32> {
      %y = grow.avg_pool2d %x window [1, 2] padding [0, 1, 0, 0]
          : (tensor<?x1x2x1xf32>) -> tensor<?x1x2x1xf32>
      return %y : tensor<?x1x2x1xf32>
    })",
                  {tensor({1, 1, 2, 1}, {4, 6})});
  ASSERT_EQ(y.size(), 1u);
  expectNear(y[0].data, {2, 5});
}

TEST_F(ReferenceTest, BatchNormUsesTheBiasedVarianceAndRunsTheUnbiasedOne) {
  Tensors y = run(R"(
    func.func @f(%x: tensor<?x1xf32>, %scale: tensor<1xf32>,
        %shift: tensor<1xf32>, %m: tensor<1xf32>, %v: tensor<1xf32>)
        -> (tensor<?x1xf32>, tensor<?x1xf32>, tensor<1xf32>, tensor<1xf32>,
            tensor<1xf32>, tensor<1xf32>) {
      %train = grow.batch_norm %x, %scale, %shift, %m, %v epsilon 1.0
          : (tensor<?x1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>,
             tensor<1xf32>) -> tensor<?x1xf32>
      %infer = grow.batch_norm %x, %scale, %shift, %m, %v epsilon 1.0 inference
          : (tensor<?x1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>,
             tensor<1xf32>) -> tensor<?x1xf32>
      %mean, %var, %nm, %nv = grow.batch_norm_stats %x, %m, %v momentum 0.25
          : (tensor<?x1xf32>, tensor<1xf32>, tensor<1xf32>)
          -> (tensor<1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>)
      return %train, %infer, %mean, %var, %nm, %nv : tensor<?x1xf32>,
          tensor<?x1xf32>, tensor<1xf32>, tensor<1xf32>, tensor<1xf32>,
          tensor<1xf32>
    })",
                  {tensor({3, 1}, {1, 4, 7}), tensor({1}, {2}),
                   tensor({1}, {10}), tensor({1}, {8}), tensor({1}, {3})});
  ASSERT_EQ(y.size(), 6u);
  double batch = std::sqrt(6.0 + 1.0);
  expectNear(y[0].data, {10 - 6 / batch, 10, 10 + 6 / batch});
  expectNear(y[1].data, {3, 6, 9});
  expectNear(y[2].data, {4});
  expectNear(y[3].data, {6});
  expectNear(y[4].data, {0.75 * 8 + 0.25 * 4});
  expectNear(y[5].data, {0.75 * 3 + 0.25 * 9});
}

TEST_F(ReferenceTest, SoftmaxCrossEntropyIsStable) {
  Tensors y =
      run(R"(
    func.func @f(%x: tensor<?x2xf32>, %l: tensor<?xi32>) -> tensor<f32> {
      %y = grow.softmax_cross_entropy %x, %l
          : (tensor<?x2xf32>, tensor<?xi32>) -> tensor<f32>
      return %y : tensor<f32>
    })",
          {tensor({2, 2}, {1e4, 0, 0, std::log(3.0)}), tensor({2}, {0, 1})});
  ASSERT_EQ(y.size(), 1u);
  expectNear(y[0].data, {std::log(4.0 / 3.0) / 2});
}

TEST_F(ReferenceTest, ConcatAndSliceMoveTheLastDimension) {
  Tensors y = run(R"(
    func.func @f(%a: tensor<?x1xf32>, %b: tensor<?x2xf32>)
        -> (tensor<?x3xf32>, tensor<?x2xf32>) {
      %y = grow.concat %a, %b : (tensor<?x1xf32>, tensor<?x2xf32>) -> tensor<?x3xf32>
      %s = grow.slice %y offset 1 size 2 : (tensor<?x3xf32>) -> tensor<?x2xf32>
      return %y, %s : tensor<?x3xf32>, tensor<?x2xf32>
    })",
                  {tensor({2, 1}, {1, 2}), tensor({2, 2}, {3, 4, 5, 6})});
  ASSERT_EQ(y.size(), 2u);
  expectNear(y[0].data, {1, 3, 4, 2, 5, 6});
  expectNear(y[1].data, {3, 4, 5, 6});
}

TEST_F(ReferenceTest, WeightExpressions) {
  Tensors y = run(R"(
    func.func @f(%a: tensor<1x1x1x1xf32>, %b: tensor<1x1x1x1xf32>)
        -> (tensor<1x3x1x1xf32>, tensor<1x1x1x2xf32>) {
      %s = grow.weight_sum %a, %b, %b : tensor<1x1x1x1xf32>
      %t = grow.weight_scale %s by 0.5 : tensor<1x1x1x1xf32>
      %p = grow.weight_pad %t [0, 2, 0, 0]
          : (tensor<1x1x1x1xf32>) -> tensor<1x3x1x1xf32>
      %c = grow.weight_concat %a, %b
          : (tensor<1x1x1x1xf32>, tensor<1x1x1x1xf32>) -> tensor<1x1x1x2xf32>
      return %p, %c : tensor<1x3x1x1xf32>, tensor<1x1x1x2xf32>
    })",
                  {tensor({1, 1, 1, 1}, {2}), tensor({1, 1, 1, 1}, {5})});
  ASSERT_EQ(y.size(), 2u);
  expectNear(y[0].data, {0, 0, 6});
  expectNear(y[1].data, {2, 5});
}

TEST_F(ReferenceTest, Constants) {
  Tensors y = run(R"(
    func.func @f() -> (tensor<2xf32>, tensor<2xi32>, tensor<2xf32>) {
      %0 = arith.constant dense<[1.5, -2.0]> : tensor<2xf32>
      %1 = arith.constant dense<[3, -4]> : tensor<2xi32>
      %2 = grow.fill 0.25 : tensor<2xf32>
      return %0, %1, %2 : tensor<2xf32>, tensor<2xi32>, tensor<2xf32>
    })",
                  {});
  ASSERT_EQ(y.size(), 3u);
  expectNear(y[0].data, {1.5, -2});
  expectNear(y[1].data, {3, -4});
  expectNear(y[2].data, {0.25, 0.25});
}

//===----------------------------------------------------------------------===//
// Maps and calls
//===----------------------------------------------------------------------===//

std::string mapText(const std::string &reduction, const std::string &over,
                    const std::string &result) {
  return R"(
    func.func @f(%x: tensor<?x2xf32>, %a: tensor<2xf32>, %b: tensor<2xf32>)
        -> )" +
         result + R"( {
      %y = grow.map "m" )" +
         reduction + " (%x) over [" + over + R"(] {
      ^bb0(%in: tensor<?x2xf32>, %w: tensor<2xf32>):
        %c = grow.bias_add %in, %w : (tensor<?x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
        %r = grow.relu %c : tensor<?x2xf32>
        grow.yield %r : tensor<?x2xf32>
      }
      return %y : )" +
         result + "\n}";
}

TEST_F(ReferenceTest, MapJoinsBranches) {
  const Tensors inputs = {tensor({2, 2}, {1, 2, 3, 4}), tensor({2}, {-2, 0}),
                          tensor({2}, {10, 20})};
  const std::string both = "(%a), (%b)";
  Tensors sum = run(mapText("sum", both, "tensor<?x2xf32>"), inputs);
  ASSERT_EQ(sum.size(), 1u);
  expectNear(sum[0].data, {0 + 11, 2 + 22, 1 + 13, 4 + 24});
  Tensors mean = run(mapText("mean", both, "tensor<?x2xf32>"), inputs);
  ASSERT_EQ(mean.size(), 1u);
  expectNear(mean[0].data, {5.5, 12, 7, 14});
  Tensors concat = run(mapText("concat", both, "tensor<?x4xf32>"), inputs);
  ASSERT_EQ(concat.size(), 1u);
  EXPECT_EQ(concat[0].shape, Shape({2, 4}));
  expectNear(concat[0].data, {0, 2, 11, 22, 1, 4, 13, 24});
}

TEST_F(ReferenceTest, MapOfNoBranchIsZero) {
  Tensors y = run(mapText("sum", "", "tensor<?x2xf32>"),
                  {tensor({3, 2}, {1, 2, 3, 4, 5, 6}), tensor({2}, {1, 1}),
                   tensor({2}, {1, 1})});
  ASSERT_EQ(y.size(), 1u);
  EXPECT_EQ(y[0].shape, Shape({3, 2}));
  expectNear(y[0].data, std::vector<double>(6, 0.0));
}

TEST_F(ReferenceTest, CallsOtherFunctions) {
  Tensors y = run(R"(
    func.func @double(%x: tensor<?xf32>) -> tensor<?xf32> {
      %y = grow.scale %x by 2.0 : tensor<?xf32>
      return %y : tensor<?xf32>
    }
    func.func @f(%x: tensor<?xf32>) -> tensor<?xf32> {
      %y = func.call @double(%x) : (tensor<?xf32>) -> tensor<?xf32>
      %z = func.call @double(%y) : (tensor<?xf32>) -> tensor<?xf32>
      return %z : tensor<?xf32>
    })",
                  {tensor({2}, {1, 3})});
  ASSERT_EQ(y.size(), 1u);
  expectNear(y[0].data, {4, 12});
}

//===----------------------------------------------------------------------===//
// Parameters, states and updates
//===----------------------------------------------------------------------===//

TEST_F(ReferenceTest, InitialValues) {
  ASSERT_TRUE(load(R"(
    grow.group @g {optimizer = #grow.sgd, lr = 0.1}
    grow.param @copy : tensor<3x4xf32> in @g init(#grow.copy<@w>)
    grow.param @w : tensor<3x4xf32> in @g init(#grow.kaiming)
    grow.param @other : tensor<3x4xf32> in @g init(#grow.kaiming)
    grow.param @half : tensor<2xf32> in @g init(#grow.constant<0.5>)
    grow.state @zero : tensor<2xf32> init(#grow.zero)
    grow.derived @sum : tensor<3x4xf32> sum [@w, @other])",
                   5));
  EXPECT_EQ(valueOf("copy"), valueOf("w"));
  EXPECT_NE(valueOf("other"), valueOf("w"));
  expectNear(valueOf("half"), {0.5, 0.5});
  expectNear(valueOf("zero"), {0, 0});
  std::vector<double> w = valueOf("w"), other = valueOf("other");
  for (size_t i = 0; i < w.size(); ++i) {
    EXPECT_EQ(w[i], double(float(w[i])));
    EXPECT_EQ(valueOf("sum")[i], w[i] + other[i]);
  }
}

TEST_F(ReferenceTest, GetReadsTheEntryAndSetTakesEffectAtTheEnd) {
  ASSERT_TRUE(load(R"(
    grow.state @s : tensor<1xf32> init(#grow.constant<3.0>)
    func.func @bump(%x: tensor<1xf32>) -> tensor<1xf32> {
      %old = grow.get @s : tensor<1xf32>
      %new = grow.add %old, %x : tensor<1xf32>
      grow.set @s, %new : tensor<1xf32>
      return %old : tensor<1xf32>
    }
    func.func @f(%x: tensor<1xf32>) -> (tensor<1xf32>, tensor<1xf32>) {
      %before = func.call @bump(%x) : (tensor<1xf32>) -> tensor<1xf32>
      %after = grow.get @s : tensor<1xf32>
      return %before, %after : tensor<1xf32>, tensor<1xf32>
    })"));
  Tensors first = call("f", {tensor({1}, {4})});
  ASSERT_EQ(first.size(), 2u);
  expectNear(first[0].data, {3});
  expectNear(first[1].data, {3});
  expectNear(valueOf("s"), {7});
  Tensors second = call("f", {tensor({1}, {4})});
  expectNear(second[1].data, {7});
}

std::string updateText(const std::string &optimizer) {
  return "grow.group @g {optimizer = " + optimizer +
         R"(, lr = 0.1, weight_decay = 0.5}
    grow.param @w : tensor<1xf32> in @g init(#grow.constant<2.0>)
    func.func @f(%g: tensor<1xf32>) {
      grow.update [@w] by %g : tensor<1xf32>
      return
    })";
}

TEST_F(ReferenceTest, SgdWithMomentum) {
  ASSERT_TRUE(load(updateText("#grow.sgd<momentum = 0.9>")));
  call("f", {tensor({1}, {3})});
  double m = 3 + 0.5 * 2.0, w = 2.0 - 0.1 * m;
  expectNear(valueOf("w"), {w});
  call("f", {tensor({1}, {-1})});
  m = 0.9 * m + (-1 + 0.5 * w);
  w -= 0.1 * m;
  expectNear(valueOf("w"), {w});
  expectNear(interpreter->variable("w")->optimizerState[0].data, {m});
  EXPECT_EQ(interpreter->variable("w")->steps, 2);
}

TEST_F(ReferenceTest, SgdWithNesterov) {
  ASSERT_TRUE(load(updateText("#grow.sgd<momentum = 0.9, nesterov = true>")));
  call("f", {tensor({1}, {3})});
  double g = 3 + 0.5 * 2.0;
  expectNear(valueOf("w"), {2.0 - 0.1 * (g + 0.9 * g)});
}

TEST_F(ReferenceTest, AdamW) {
  ASSERT_TRUE(load(
      updateText("#grow.adamw<beta1 = 0.8, beta2 = 0.9, epsilon = 0.01>")));
  double w = 2.0, m = 0.0, v = 0.0;
  int t = 0;
  for (double g : {3.0, -1.0, 0.5}) {
    call("f", {tensor({1}, {g})});
    ++t;
    m = 0.8 * m + 0.2 * g;
    v = 0.9 * v + 0.1 * g * g;
    w = w - 0.1 * 0.5 * w -
        0.1 * (m / (1 - std::pow(0.8, t))) /
            (std::sqrt(v / (1 - std::pow(0.9, t))) + 0.01);
    expectNear(valueOf("w"), {w});
  }
  expectNear(interpreter->variable("w")->optimizerState[0].data, {m});
  expectNear(interpreter->variable("w")->optimizerState[1].data, {v});
}

TEST_F(ReferenceTest, UpdateWritesTheSumOfBranchesInDifferentGroups) {
  ASSERT_TRUE(load(R"(
    grow.group @slow {optimizer = #grow.sgd, lr = 0.1}
    grow.group @fast {optimizer = #grow.sgd, lr = 1.0}
    grow.param @a : tensor<2xf32> in @slow init(#grow.constant<1.0>)
    grow.param @b : tensor<2xf32> in @fast init(#grow.constant<2.0>)
    grow.derived @sum : tensor<2xf32> sum [@a, @b]
    func.func @f(%g: tensor<2xf32>) -> tensor<2xf32> {
      %s = grow.get @sum : tensor<2xf32>
      grow.update [@a, @b] by %g into @sum : tensor<2xf32>
      return %s : tensor<2xf32>
    })"));
  Tensors y = call("f", {tensor({2}, {1, -1})});
  ASSERT_EQ(y.size(), 1u);
  expectNear(y[0].data, {3, 3});
  expectNear(valueOf("a"), {0.9, 1.1});
  expectNear(valueOf("b"), {1, 3});
  expectNear(valueOf("sum"), {1.9, 4.1});
  ASSERT_TRUE(succeeded(interpreter->setGroup("slow", {0.0, 0.0})));
  ASSERT_TRUE(succeeded(interpreter->setValue("b", tensor({2}, {5, 5}))));
  expectNear(valueOf("sum"), {5.9, 6.1});
  call("f", {tensor({2}, {1, 1})});
  expectNear(valueOf("a"), {0.9, 1.1});
  expectNear(valueOf("sum"), {4.9, 5.1});
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

TEST_F(ReferenceTest, KernelsTakeExtentsFromTheLaunch) {
  // Stride 2 leaves the input's size open: 6 and 5 rows both give 3. The launch
  // decides, through the activation's gradient behind the convolution's.
  auto text = [](const std::string &x) {
    return R"(
      grow.kernel @k {
      ^bb0(%y: tensor<?x?x?x?xf32>, %dy: tensor<?x?x?x?xf32>,
           %w: tensor<3x3x?x?xf32>):
        %d = grow.conv2d_grad_input %dy, %w stride [2, 2] padding [1, 1]
            : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
        %r = grow.scale %d by 2.0 : tensor<?x?x?x?xf32>
        %s = grow.relu_grad %y, %r : tensor<?x?x?x?xf32>
        grow.yield %s : tensor<?x?x?x?xf32>
      }
      func.func @f(%y: )" +
           x + R"(, %dy: tensor<?x3x3x2xf32>, %w: tensor<3x3x1x2xf32>) -> )" +
           x + R"( {
        %0 = grow.launch @k(%y, %dy, %w) : ()" +
           x + R"(, tensor<?x3x3x2xf32>, tensor<3x3x1x2xf32>) -> )" + x + R"(
        return %0 : )" +
           x + "\n}";
  };
  for (int64_t size : {5, 6}) {
    Shape shape = {2, size, size, 1};
    std::string type = "tensor<?x" + std::to_string(size) + "x" +
                       std::to_string(size) + "x1xf32>";
    Tensors y = run(text(type), {ReferenceTensor(shape, 1.0),
                                 ReferenceTensor({2, 3, 3, 2}, 1.0),
                                 ReferenceTensor({3, 3, 1, 2}, 1.0)});
    ASSERT_EQ(y.size(), 1u);
    EXPECT_EQ(y[0].shape, shape);
    // One window covers element (0, 0), two filters, scaled by two.
    EXPECT_EQ(y[0].data[0], 4.0);
  }
}

TEST_F(ReferenceTest, OptimizerKernelsWriteAndAccumulateSums) {
  ASSERT_TRUE(load(R"(
    grow.group @sgd {optimizer = #grow.sgd, lr = 1.0}
    grow.group @adam {optimizer = #grow.adamw, lr = 0.0}
    grow.param @a : tensor<2xf32> in @sgd init(#grow.constant<1.0>)
    grow.param @b : tensor<2xf32> in @sgd init(#grow.constant<2.0>)
    grow.param @c : tensor<2xf32> in @adam init(#grow.constant<10.0>)
    grow.derived @sum : tensor<2xf32> sum [@a, @b, @c]
    grow.kernel @first {
    ^bb0(%g: tensor<?xf32>):
      grow.optimizer #grow.sgd sum by %g : tensor<?xf32>
      grow.yield
    }
    grow.kernel @second {
    ^bb0(%g: tensor<?xf32>):
      grow.optimizer #grow.adamw accumulate by %g : tensor<?xf32>
      grow.yield
    }
    func.func @f(%g: tensor<2xf32>) {
      grow.launch @first(%g) updates [@a, @b] into @sum : (tensor<2xf32>) -> ()
      grow.launch @second(%g) updates [@c] into @sum : (tensor<2xf32>) -> ()
      return
    })"));
  call("f", {tensor({2}, {0.5, -1})});
  expectNear(valueOf("a"), {0.5, 2});
  expectNear(valueOf("b"), {1.5, 3});
  expectNear(valueOf("c"), {10, 10});
  expectNear(valueOf("sum"), {12, 15});
}

//===----------------------------------------------------------------------===//
// Faults
//===----------------------------------------------------------------------===//

class ReferenceFaultTest : public ReferenceFixture {
protected:
  /// Runs `@f`, which must fail with a message that contains `expected`.
  void expectFault(llvm::ArrayRef<ReferenceTensor> inputs,
                   const std::string &expected) {
    diagnostics.clear();
    EXPECT_TRUE(failed(interpreter->call("f", inputs)));
    EXPECT_NE(diagnostics.find(expected), std::string::npos)
        << "got: " << diagnostics;
  }
};

TEST_F(ReferenceFaultTest, UnknownNames) {
  ASSERT_TRUE(load("grow.state @s : tensor<1xf32> init(#grow.zero)"));
  expectFault({}, "there is no function 'f'");
  EXPECT_EQ(interpreter->variable("t"), nullptr);
  EXPECT_EQ(interpreter->group("g"), nullptr);
  EXPECT_TRUE(failed(interpreter->setValue("t", ReferenceTensor({1}))));
  EXPECT_TRUE(failed(interpreter->setValue("s", ReferenceTensor({2}))));
  EXPECT_TRUE(failed(interpreter->setGroup("g", {})));
}

TEST_F(ReferenceFaultTest, InputsThatDoNotFit) {
  ASSERT_TRUE(load(R"(
    func.func @f(%x: tensor<?x2xf32>, %y: tensor<?x2xf32>) -> tensor<?x2xf32> {
      %z = grow.add %x, %y : tensor<?x2xf32>
      return %z : tensor<?x2xf32>
    })"));
  ReferenceTensor one({1, 2}), two({2, 2});
  expectFault({one}, "takes 2 inputs but is given 1");
  expectFault({one, ReferenceTensor({1, 3})}, "is given extents 1x3");
  expectFault({one, ReferenceTensor({2})}, "is given extents 2");
  expectFault({one, tensor({1, 2}, {1.0})}, "is given 1 elements");
  expectFault({one, two}, "requires the same");
  EXPECT_EQ(call("f", {two, two}).size(), 1u);
}

TEST_F(ReferenceFaultTest, LabelsOutOfRange) {
  ASSERT_TRUE(load(R"(
    func.func @f(%x: tensor<?x2xf32>, %l: tensor<?xi32>) -> tensor<f32> {
      %y = grow.softmax_cross_entropy %x, %l
          : (tensor<?x2xf32>, tensor<?xi32>) -> tensor<f32>
      return %y : tensor<f32>
    })"));
  ReferenceTensor x({2, 2});
  expectFault({x, tensor({2}, {0, 2})}, "has label 2");
  expectFault({x, tensor({2}, {-1, 0})}, "has label -1");
  expectFault({x, ReferenceTensor({3})}, "differ in the batch");
}

TEST_F(ReferenceFaultTest, FailedCallsChangeNothing) {
  ASSERT_TRUE(load(R"(
    grow.state @s : tensor<2xf32> init(#grow.constant<1.0>)
    func.func @f(%x: tensor<2xf32>, %y: tensor<?xf32>, %z: tensor<?xf32>)
        -> tensor<?xf32> {
      grow.set @s, %x : tensor<2xf32>
      %0 = grow.add %y, %z : tensor<?xf32>
      return %0 : tensor<?xf32>
    })"));
  ReferenceTensor three({2}, 3.0);
  expectFault({three, three, ReferenceTensor({1})}, "requires the same");
  expectNear(valueOf("s"), {1, 1});
  call("f", {three, three, three});
  expectNear(valueOf("s"), {3, 3});
}

TEST_F(ReferenceFaultTest, Recursion) {
  ASSERT_TRUE(load(R"(
    func.func @f(%x: tensor<1xf32>) -> tensor<1xf32> {
      %y = func.call @f(%x) : (tensor<1xf32>) -> tensor<1xf32>
      return %y : tensor<1xf32>
    })"));
  expectFault({ReferenceTensor({1})}, "calls itself");
}

TEST_F(ReferenceFaultTest, OperationsWithoutMeaning) {
  ASSERT_TRUE(load(R"(
    func.func @f(%x: tensor<1xf32>) -> tensor<1xf32> {
      %y = arith.negf %x : tensor<1xf32>
      return %y : tensor<1xf32>
    })"));
  expectFault({ReferenceTensor({1})}, "has no meaning to the reference");
}

TEST_F(ReferenceFaultTest, CircularCopies) {
  mlir::ParserConfig unverified(&context, /*verifyAfterParse=*/false);
  module = mlir::parseSourceString<mlir::ModuleOp>(R"(
    grow.group @g {optimizer = #grow.sgd, lr = 0.1}
    grow.param @a : tensor<1xf32> in @g init(#grow.copy<@b>)
    grow.param @b : tensor<1xf32> in @g init(#grow.copy<@a>))",
                                                   unverified);
  ASSERT_TRUE(module) << diagnostics;
  EXPECT_TRUE(failed(ReferenceInterpreter::create(*module)));
  EXPECT_NE(diagnostics.find("copies it in turn"), std::string::npos);
}

} // namespace
