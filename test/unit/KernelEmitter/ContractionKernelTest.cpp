//===- ContractionKernelTest.cpp - Contractions with epilogues ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelFixture.h"

using namespace cambium;
using namespace cambium::test;

namespace {

const char *schedule =
    "schedule <width = 4, vectors = 2, tile = 4, tail_tile = 2>";

/// Pairs of input and output channels that end in masked vectors.
const std::vector<std::pair<int64_t, int64_t>> channelPairs = {
    {1, 3}, {3, 8}, {8, 10}, {10, 17}, {17, 1}};

struct ContractionKernels : KernelFixture {
  std::string kernel(const std::string &body) {
    return std::string("grow.kernel @k ") + schedule + " {\n" + body + "\n}\n";
  }
};

TEST_F(ContractionKernels, ConvolutionWithEpilogue) {
  std::string text = kernel(R"(
    ^bb0(%x: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>, %b: tensor<?xf32>,
         %r: tensor<?x?x?x?xf32>):
      %0 = grow.conv2d %x, %w stride [2, 1] padding [1, 0, 0, 1]
          : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
      %1 = grow.bias_add %0, %b
          : (tensor<?x?x?x?xf32>, tensor<?xf32>) -> tensor<?x?x?x?xf32>
      %2 = grow.gelu %1 : tensor<?x?x?x?xf32>
      %3 = grow.add %r, %2 : tensor<?x?x?x?xf32>
      grow.yield %3 : tensor<?x?x?x?xf32>)");
  for (auto [in, out] : channelPairs)
    check(text,
          {random({1, 9, 11, in}), random({3, 3, in, out}), random({out}),
           random({1, 4, 10, out})},
          {{1, 4, 10, out}});
}

TEST_F(ContractionKernels, TwoResults) {
  std::string text = kernel(R"(
    ^bb0(%x: tensor<?x?x?x?xf32>, %w: tensor<1x1x?x?xf32>):
      %0 = grow.conv2d %x, %w
          : (tensor<?x?x?x?xf32>, tensor<1x1x?x?xf32>) -> tensor<?x?x?x?xf32>
      %1 = grow.silu %0 : tensor<?x?x?x?xf32>
      grow.yield %0, %1 : tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>)");
  check(text, {random({2, 5, 7, 3}), random({1, 1, 3, 10})},
        {{2, 5, 7, 10}, {2, 5, 7, 10}});
}

TEST_F(ContractionKernels, ConvolutionWithNormalization) {
  std::string text = kernel(R"(
    ^bb0(%x: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>, %s: tensor<?xf32>,
         %t: tensor<?xf32>, %m: tensor<?xf32>, %v: tensor<?xf32>):
      %0 = grow.conv2d %x, %w padding [2, 2] dilation [2, 2]
          : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
      %1 = grow.batch_norm %0, %s, %t, %m, %v inference
          : (tensor<?x?x?x?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>,
             tensor<?xf32>) -> tensor<?x?x?x?xf32>
      %2 = grow.leaky_relu %1 slope 0.2 : tensor<?x?x?x?xf32>
      grow.yield %2 : tensor<?x?x?x?xf32>)");
  for (auto [in, out] : channelPairs)
    check(text,
          {random({2, 6, 7, in}), random({3, 3, in, out}), random({out}),
           random({out}), random({out}), positive({out})},
          {{2, 6, 7, out}});
}

TEST_F(ContractionKernels, ConvolutionInGroups) {
  std::string text = kernel(R"(
    ^bb0(%x: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>):
      %0 = grow.conv2d %x, %w padding [1, 1] groups 2
          : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
      grow.yield %0 : tensor<?x?x?x?xf32>)");
  check(text, {random({2, 6, 7, 6}), random({3, 3, 3, 10})}, {{2, 6, 7, 10}});
}

TEST_F(ContractionKernels, ConvolutionGradients) {
  std::string data = kernel(R"(
    ^bb0(%dy: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>,
         %y: tensor<?x?x?x?xf32>):
      %0 = grow.conv2d_grad_input %dy, %w stride [2, 2] padding [1, 1]
          : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
      %1 = grow.relu_grad %y, %0 : tensor<?x?x?x?xf32>
      grow.yield %1 : tensor<?x?x?x?xf32>)");
  std::string filter = kernel(R"(
    ^bb0(%x: tensor<?x?x?x?xf32>, %dy: tensor<?x?x?x?xf32>):
      %0 = grow.conv2d_grad_filter %x, %dy stride [2, 2] padding [1, 1]
          : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<3x3x?x?xf32>
      grow.yield %0 : tensor<3x3x?x?xf32>)");
  for (auto [in, out] : channelPairs) {
    check(data,
          {random({2, 4, 5, out}), random({3, 3, in, out}),
           random({2, 8, 9, in})},
          {{2, 8, 9, in}});
    check(filter, {random({2, 8, 9, in}), random({2, 4, 5, out})},
          {{3, 3, in, out}});
  }
}

TEST_F(ContractionKernels, Linear) {
  std::string forward = kernel(R"(
    ^bb0(%b: tensor<?xf32>, %w: tensor<?x?xf32>, %x: tensor<?x?xf32>):
      %0 = grow.linear %x, %w
          : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
      %1 = grow.bias_add %0, %b
          : (tensor<?x?xf32>, tensor<?xf32>) -> tensor<?x?xf32>
      grow.yield %1 : tensor<?x?xf32>)");
  std::string data = kernel(R"(
    ^bb0(%dy: tensor<?x?xf32>, %w: tensor<?x?xf32>):
      %0 = grow.linear_grad_input %dy, %w
          : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
      grow.yield %0 : tensor<?x?xf32>)");
  std::string weight = kernel(R"(
    ^bb0(%x: tensor<?x?xf32>, %dy: tensor<?x?xf32>):
      %0 = grow.linear_grad_weight %x, %dy
          : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
      grow.yield %0 : tensor<?x?xf32>)");
  for (int64_t batch : {1, 13})
    for (auto [in, out] : channelPairs) {
      check(forward, {random({out}), random({in, out}), random({batch, in})},
            {{batch, out}});
      check(data, {random({batch, out}), random({in, out})}, {{batch, in}});
      check(weight, {random({batch, in}), random({batch, out})}, {{in, out}});
    }
}

} // namespace
