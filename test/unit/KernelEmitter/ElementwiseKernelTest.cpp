//===- ElementwiseKernelTest.cpp - Clusters of elementwise operations -----===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelFixture.h"

#include <cmath>

using namespace cambium;
using namespace cambium::test;

namespace {

struct ElementwiseKernel : KernelFixture {
  /// Applies an activation, "grow.relu", to given values.
  void checkValues(const std::string &op, double tolerance,
                   double floor = 1e-30);
  void checkGradientValues(const std::string &op, double tolerance);
};

/// Values from -120 to 120, dense around 0.
Floats sampleValues() {
  Floats values = {0.0f, -0.0f};
  for (float magnitude = 1e-6f; magnitude < 120.0f; magnitude *= 1.02f) {
    values.push_back(magnitude);
    values.push_back(-magnitude);
  }
  return values;
}

/// Each element alone must be close: relative to its own magnitude, or to
/// `floor` where it is smaller.
void expectClose(const Floats &actual, const Doubles &expected,
                 const Floats &inputs, double tolerance, double floor) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    EXPECT_LE(std::abs(actual[i] - expected[i]),
              tolerance * std::max(std::abs(expected[i]), floor))
        << "at " << inputs[i] << ": " << actual[i] << " against "
        << expected[i];
}

void ElementwiseKernel::checkValues(const std::string &op, double tolerance,
                                    double floor) {
  std::string kernel =
      "grow.kernel @k {\n^bb0(%x: tensor<?xf32>):\n  %y = " + op +
      " : tensor<?xf32>\n  grow.yield %y : tensor<?xf32>\n}\n";
  Operand x{{0}, sampleValues()};
  x.shape[0] = static_cast<int64_t>(x.data.size());
  Doubles expected = reference(kernel, {x}, {x.shape})[0];
  for (Isa isa : isas())
    expectClose(run(kernel, isa, {x}, {x.shape})[0], expected, x.data,
                tolerance, floor);
}

void ElementwiseKernel::checkGradientValues(const std::string &op,
                                            double tolerance) {
  std::string kernel =
      "grow.kernel @k {\n^bb0(%x: tensor<?xf32>, %dy: tensor<?xf32>):\n  %dx "
      "= " +
      op + " : tensor<?xf32>\n  grow.yield %dx : tensor<?xf32>\n}\n";
  Operand x{{0}, sampleValues()};
  x.shape[0] = static_cast<int64_t>(x.data.size());
  Operand dy = x;
  std::fill(dy.data.begin(), dy.data.end(), 1.0f);
  Doubles expected = reference(kernel, {x, dy}, {x.shape})[0];
  // Sums of terms of both signs have no relative accuracy near their zeros.
  for (Isa isa : isas())
    expectClose(run(kernel, isa, {x, dy}, {x.shape})[0], expected, x.data,
                tolerance, 1.0);
}

TEST_F(ElementwiseKernel, Relu) { checkValues("grow.relu %x", 0.0); }
TEST_F(ElementwiseKernel, LeakyRelu) {
  checkValues("grow.leaky_relu %x slope 0.1", 1.2e-7);
}
TEST_F(ElementwiseKernel, Gelu) {
  // In the tail, rounding x^2 alone costs 1e-6.
  checkValues("grow.gelu %x", 3e-6, 1e-6);
}
TEST_F(ElementwiseKernel, Silu) { checkValues("grow.silu %x", 1e-6); }
TEST_F(ElementwiseKernel, Tanh) { checkValues("grow.tanh %x", 1e-6); }
TEST_F(ElementwiseKernel, Sigmoid) { checkValues("grow.sigmoid %x", 1e-6); }
TEST_F(ElementwiseKernel, Scale) {
  checkValues("grow.scale %x by 0.3", 1.2e-7);
}

TEST_F(ElementwiseKernel, ReluGradient) {
  checkGradientValues("grow.relu_grad %x, %dy", 0.0);
}
TEST_F(ElementwiseKernel, LeakyReluGradient) {
  checkGradientValues("grow.leaky_relu_grad %x, %dy slope 0.1", 1.2e-7);
}
TEST_F(ElementwiseKernel, GeluGradient) {
  checkGradientValues("grow.gelu_grad %x, %dy", 1e-6);
}
TEST_F(ElementwiseKernel, SiluGradient) {
  checkGradientValues("grow.silu_grad %x, %dy", 1e-6);
}
TEST_F(ElementwiseKernel, TanhGradient) {
  checkGradientValues("grow.tanh_grad %x, %dy", 1e-6);
}
TEST_F(ElementwiseKernel, SigmoidGradient) {
  checkGradientValues("grow.sigmoid_grad %x, %dy", 1e-6);
}

TEST_F(ElementwiseKernel, AnyRank) {
  for (const Shape &shape :
       {Shape{}, Shape{1}, Shape{5}, Shape{7, 3}, Shape{2, 33, 65}}) {
    std::string type = dynamicType(shape.size());
    check("grow.kernel @k {\n^bb0(%a: " + type + ", %b: " + type +
              "):\n  %s = grow.add %a, %b : " + type +
              "\n  %p = grow.mul %s, %a : " + type +
              "\n  grow.yield %p : " + type + "\n}\n",
          {random(shape), random(shape)}, {shape});
  }
}

TEST_F(ElementwiseKernel, ChannelVectorsAndSeveralResults) {
  const char *kernel = R"(
    grow.kernel @k {
    ^bb0(%x: tensor<?x?x?x?xf32>, %b: tensor<?xf32>, %r: tensor<?x?x?x?xf32>,
         %c: tensor<?xf32>):
      %0 = grow.bias_add %x, %b
          : (tensor<?x?x?x?xf32>, tensor<?xf32>) -> tensor<?x?x?x?xf32>
      %1 = grow.silu %0 : tensor<?x?x?x?xf32>
      %2 = grow.add %1, %r : tensor<?x?x?x?xf32>
      %3 = grow.bias_add %2, %c
          : (tensor<?x?x?x?xf32>, tensor<?xf32>) -> tensor<?x?x?x?xf32>
      grow.yield %3, %0 : tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>
    })";
  for (int64_t channels : {1, 3, 8, 10, 17, 100}) {
    Shape shape = {1, 9, 23, channels};
    check(
        kernel,
        {random(shape), random({channels}), random(shape), random({channels})},
        {shape, shape});
  }
}

TEST_F(ElementwiseKernel, MoreChannelsThanABlock) {
  check(R"(grow.kernel @k {
           ^bb0(%x: tensor<?x?xf32>, %b: tensor<?xf32>):
             %0 = grow.bias_add %x, %b
                 : (tensor<?x?xf32>, tensor<?xf32>) -> tensor<?x?xf32>
             grow.yield %0 : tensor<?x?xf32>
           })",
        {random({3, 5003}), random({5003})}, {{3, 5003}});
}

TEST_F(ElementwiseKernel, Normalization) {
  const char *kernel = R"(
    grow.kernel @k {
    ^bb0(%x: tensor<?x?x?x?xf32>, %s: tensor<?xf32>, %t: tensor<?xf32>,
         %m: tensor<?xf32>, %v: tensor<?xf32>):
      %0 = grow.batch_norm %x, %s, %t, %m, %v epsilon 1.0e-3 inference
          : (tensor<?x?x?x?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>,
             tensor<?xf32>) -> tensor<?x?x?x?xf32>
      %1 = grow.relu %0 : tensor<?x?x?x?xf32>
      grow.yield %1 : tensor<?x?x?x?xf32>
    })";
  for (int64_t channels : {1, 3, 8, 10, 17}) {
    Shape shape = {2, 5, 7, channels};
    check(kernel,
          {random(shape), random({channels}), random({channels}),
           random({channels}), positive({channels})},
          {shape});
  }
}

TEST_F(ElementwiseKernel, WeightExpressions) {
  const char *kernel = R"(
    grow.kernel @k {
    ^bb0(%a: tensor<?x?x?x?xf32>, %b: tensor<?x?x?x?xf32>,
         %c: tensor<?x?x?x?xf32>):
      %0 = grow.weight_scale %b by 0.5 : tensor<?x?x?x?xf32>
      %1 = grow.weight_sum %a, %0, %c : tensor<?x?x?x?xf32>
      grow.yield %1 : tensor<?x?x?x?xf32>
    })";
  Shape shape = {3, 3, 5, 10};
  check(kernel, {random(shape), random(shape), random(shape)}, {shape});
}

} // namespace
