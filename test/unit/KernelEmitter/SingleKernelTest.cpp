//===- SingleKernelTest.cpp - Kernels of one operation --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelFixture.h"

#include <cmath>
#include <limits>

using namespace cambium;
using namespace cambium::test;

namespace {

struct SingleKernel : KernelFixture {};

const std::string scalar = dynamicType(0), vector = dynamicType(1),
                  matrix = dynamicType(2), image = dynamicType(4);
const std::vector<int64_t> channelCounts = {1, 3, 8, 10, 17, 37};

//===----------------------------------------------------------------------===//
// Reductions
//===----------------------------------------------------------------------===//

TEST_F(SingleKernel, ChannelSum) {
  std::string kernel = singleKernel("grow.channel_sum %0", {image}, {vector});
  for (int64_t channels : channelCounts) {
    check(kernel, {random({1, 3, 5, channels})}, {{channels}});
    // Several chunks of rows.
    check(kernel, {random({3, 41, 83, channels})}, {{channels}});
  }
  check(singleKernel("grow.channel_sum %0", {matrix}, {vector}),
        {random({2, 20011})}, {{20011}});
}

TEST_F(SingleKernel, BatchNormStats) {
  std::string kernel =
      singleKernel("grow.batch_norm_stats %0, %1, %2 momentum 0.2",
                   {image, vector, vector}, {vector, vector, vector, vector});
  for (int64_t channels : channelCounts)
    for (const Shape &shape :
         {Shape{2, 3, 5, channels}, Shape{3, 41, 83, channels}}) {
      Operand x = random(shape);
      // The mean is a thousand deviations away from zero.
      for (float &value : x.data)
        value += 1000.0f;
      check(kernel, {x, random({channels}), positive({channels})},
            {{channels}, {channels}, {channels}, {channels}});
    }
}

TEST_F(SingleKernel, BatchNormStatsOfOneElement) {
  std::string kernel =
      singleKernel("grow.batch_norm_stats %0, %1, %2", {matrix, vector, vector},
                   {vector, vector, vector, vector});
  check(kernel, {random({1, 3}), random({3}), positive({3})},
        {{3}, {3}, {3}, {3}});
}

TEST_F(SingleKernel, BatchNormGradient) {
  std::string kernel = singleKernel(
      "grow.batch_norm_grad %0, %1, %2, %3, %4 epsilon 1.0e-4",
      {image, vector, vector, vector, image}, {image, vector, vector});
  for (int64_t channels : channelCounts)
    for (const Shape &shape :
         {Shape{2, 3, 5, channels}, Shape{3, 41, 83, channels}})
      check(kernel,
            {random(shape), random({channels}), random({channels}),
             positive({channels}), random(shape)},
            {shape, {channels}, {channels}});
}

TEST_F(SingleKernel, ResultsThatNobodyUses) {
  check(
      R"(grow.kernel @k {
           ^bb0(%x: tensor<?x?xf32>, %s: tensor<?xf32>, %m: tensor<?xf32>,
                %v: tensor<?xf32>, %dy: tensor<?x?xf32>):
             %dx, %ds, %dt = grow.batch_norm_grad %x, %s, %m, %v, %dy
                 : (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>,
                    tensor<?xf32>, tensor<?x?xf32>)
                   -> (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>)
             grow.yield %dt, %ds : tensor<?xf32>, tensor<?xf32>
           })",
      {random({9, 5}), random({5}), random({5}), positive({5}), random({9, 5})},
      {{5}, {5}});
}

//===----------------------------------------------------------------------===//
// Pooling
//===----------------------------------------------------------------------===//

struct Pool {
  std::string text;
  int64_t inH, inW, outH, outW;
};

/// Windows with and without padding, gaps and overlap; the last is too large
/// to be unrolled.
const std::vector<Pool> pools = {
    {"window [2, 2] stride [2, 2]", 6, 9, 3, 4},
    {"window [2, 2] stride [2, 2]", 7, 8, 3, 4},
    {"window [2, 1] stride [2, 3]", 5, 8, 2, 3},
    {"window [3, 3] padding [1, 1]", 4, 5, 4, 5},
    {"window [3, 2] stride [2, 1] padding [1, 0, 2, 1]", 5, 4, 3, 4},
    {"window [1, 2] stride [3, 3]", 7, 8, 3, 3},
    {"window [5, 4] stride [2, 2] padding [2, 3]", 6, 5, 3, 4}};

TEST_F(SingleKernel, MaxPool) {
  for (const Pool &pool : pools)
    for (int64_t channels : channelCounts)
      check(singleKernel("grow.max_pool2d %0 " + pool.text, {image}, {image}),
            {coarse({2, pool.inH, pool.inW, channels})},
            {{2, pool.outH, pool.outW, channels}}, 0.0);
}

TEST_F(SingleKernel, MaxPoolGradientGoesToTheFirstLargest) {
  for (const Pool &pool : pools)
    for (int64_t channels : {1, 3, 8, 10, 17, 70})
      check(singleKernel("grow.max_pool2d_grad %0, %1 " + pool.text,
                         {image, image}, {image}),
            {coarse({2, pool.inH, pool.inW, channels}),
             random({2, pool.outH, pool.outW, channels})},
            {{2, pool.inH, pool.inW, channels}});
}

TEST_F(SingleKernel, AvgPool) {
  for (const Pool &pool : pools)
    for (int64_t channels : channelCounts) {
      Shape in = {1, pool.inH, pool.inW, channels};
      Shape out = {1, pool.outH, pool.outW, channels};
      check(singleKernel("grow.avg_pool2d %0 " + pool.text, {image}, {image}),
            {random(in)}, {out});
      check(singleKernel("grow.avg_pool2d_grad %0 " + pool.text, {image},
                         {image}),
            {random(out)}, {in});
    }
}

TEST_F(SingleKernel, GlobalAvgPool) {
  for (int64_t channels : {1, 3, 8, 10, 17, 70}) {
    check(singleKernel("grow.global_avg_pool %0", {image}, {matrix}),
          {random({2, 7, 5, channels})}, {{2, channels}});
    check(singleKernel("grow.global_avg_pool_grad %0", {matrix}, {image}),
          {random({2, channels})}, {{2, 7, 5, channels}});
  }
}

//===----------------------------------------------------------------------===//
// Losses
//===----------------------------------------------------------------------===//

const std::string lossKernel = singleKernel(
    "grow.softmax_cross_entropy %0, %1", {matrix, "tensor<?xi32>"}, {scalar});
const std::string lossGradKernel =
    singleKernel("grow.softmax_cross_entropy_grad %0, %1, %2",
                 {matrix, "tensor<?xi32>", scalar}, {matrix});

TEST_F(SingleKernel, CrossEntropy) {
  for (int64_t batch : {1, 7, 1025})
    for (int64_t classes : {1, 3, 8, 10, 17}) {
      Operand logits = random({batch, classes}, 30.0);
      Operand targets = labels(batch, classes);
      check(lossKernel, {logits, targets}, {{}});
      check(lossGradKernel, {logits, targets, random({})}, {{batch, classes}});
    }
}

TEST_F(SingleKernel, LabelsThatAreNoClass) {
  Operand logits = random({2, 3}), targets = labels(2, 3), one{{}, {1.0f}};
  for (float label : {-1.0f, 3.0f, 2147483520.0f, -2147483648.0f}) {
    targets.data[1] = label;
    for (Isa isa : isas()) {
      auto loss = run(lossKernel, isa, {logits, targets}, {{}});
      EXPECT_TRUE(std::isnan(loss[0][0]));
      auto gradient =
          run(lossGradKernel, isa, {logits, targets, one}, {{2, 3}})[0];
      EXPECT_NEAR(gradient[3] + gradient[4] + gradient[5], 0.5, 1e-6)
          << "softmax alone";
    }
  }
}

TEST_F(SingleKernel, MeanSquaredError) {
  std::string loss =
      singleKernel("grow.mse %0, %1", {matrix, matrix}, {scalar});
  std::string gradient = singleKernel("grow.mse_grad %0, %1, %2",
                                      {matrix, matrix, scalar}, {matrix});
  for (const Shape &shape : {Shape{1, 1}, Shape{3, 17}, Shape{50, 301}}) {
    check(loss, {random(shape), random(shape)}, {{}});
    check(gradient, {random(shape), random(shape), random({})}, {shape});
  }
}

//===----------------------------------------------------------------------===//
// Moving elements
//===----------------------------------------------------------------------===//

TEST_F(SingleKernel, ConcatAndSlice) {
  check(singleKernel("grow.concat %0, %1, %2", {image, image, image}, {image}),
        {random({2, 3, 5, 3}), random({2, 3, 5, 17}), random({2, 3, 5, 1})},
        {{2, 3, 5, 21}}, 0.0);
  check(singleKernel("grow.slice %0 offset 5 size 10", {image},
                     {"tensor<?x?x?x10xf32>"}),
        {random({2, 3, 5, 16})}, {{2, 3, 5, 10}}, 0.0);
  check(singleKernel("grow.weight_concat %0, %1", {matrix, matrix}, {matrix}),
        {random({7, 3}), random({7, 8})}, {{7, 11}}, 0.0);
  check(singleKernel("grow.weight_slice %0 offset 0 size 3", {vector},
                     {"tensor<3xf32>"}),
        {random({20})}, {{3}}, 0.0);
}

TEST_F(SingleKernel, Fill) {
  check(R"(grow.kernel @k {
             %0 = grow.fill 0.25 : tensor<3x17xf32>
             grow.yield %0 : tensor<3x17xf32>
           })",
        {}, {{3, 17}}, 0.0);
}

TEST_F(SingleKernel, Flatten) {
  check(singleKernel("grow.flatten %0", {image}, {matrix}),
        {random({2, 3, 5, 7})}, {{2, 105}}, 0.0);
}

TEST_F(SingleKernel, PadAndCrop) {
  check(singleKernel("grow.weight_pad %0 [1, 0, 2, 1]", {image}, {image}),
        {random({2, 3, 3, 10})}, {{5, 4, 3, 10}}, 0.0);
  check(singleKernel("grow.weight_crop %0 [1, 0, 2, 1]", {image}, {image}),
        {random({5, 4, 3, 10})}, {{2, 3, 3, 10}}, 0.0);
}

TEST_F(SingleKernel, Compose) {
  for (int64_t filters : channelCounts) {
    Operand first = random({1, 1, 5, 4}), second = random({3, 2, 4, filters});
    Operand gradient = random({3, 2, 5, filters});
    std::string one = "tensor<1x1x?x?xf32>";
    check(singleKernel("grow.weight_compose %0, %1", {one, image}, {image}),
          {first, second}, {gradient.shape});
    check(singleKernel("grow.weight_compose_grad_first %0, %1", {image, image},
                       {one}),
          {gradient, second}, {first.shape});
    check(singleKernel("grow.weight_compose_grad_second %0, %1", {image, one},
                       {image}),
          {gradient, first}, {second.shape});
  }
}

} // namespace
