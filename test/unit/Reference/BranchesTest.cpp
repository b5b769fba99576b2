//===- BranchesTest.cpp - Fused maps in the reference ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReferenceFixture.h"
#include "llvm/Support/FormatVariadic.h"

using namespace cambium;

namespace {

class BranchesTest : public ReferenceFixture {
protected:
  ReferenceTensor draw(const Shape &shape) {
    ReferenceTensor result(shape);
    for (double &value : result.data)
      value = std::uniform_real_distribution<double>(-1, 1)(random);
    return result;
  }

  void expectSame(llvm::ArrayRef<ReferenceTensor> actual,
                  llvm::ArrayRef<ReferenceTensor> expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      SCOPED_TRACE(i);
      EXPECT_EQ(actual[i].shape, expected[i].shape);
      expectNear(actual[i].data, expected[i].data, 0.0);
    }
  }

  std::mt19937 random;
};

//===----------------------------------------------------------------------===//
// Bits and barriers
//===----------------------------------------------------------------------===//

TEST_F(BranchesTest, BitsTellPositiveFromOther) {
  Tensors y = run(R"(
    func.func @f(%x: tensor<?x3xf32>, %g: tensor<?x3xf32>)
        -> (tensor<?x3xi1>, tensor<?x3xf32>) {
      %s, %d = grow.fused_map branches 1 (%x, %g) join (each, sum)
          : (tensor<?x3xf32>, tensor<?x3xf32>)
            -> (tensor<?x3xi1>, tensor<?x3xf32>) {
      ^bb0(%in: tensor<?x3xf32>, %dy: tensor<?x3xf32>):
        %0 = grow.sign_bits %in : tensor<?x3xf32> -> tensor<?x3xi1>
        %1 = grow.bits_grad %0, %dy slope 0.25
            : tensor<?x3xi1>, tensor<?x3xf32>
        grow.yield %0, %1 : tensor<?x3xi1>, tensor<?x3xf32>
      }
      return %s, %d : tensor<?x3xi1>, tensor<?x3xf32>
    })",
                  {tensor({2, 3}, {-1, 0, 2, -0.0, 1e-300, NAN}),
                   tensor({2, 3}, {4, 8, 12, 16, 20, 24})});
  ASSERT_EQ(y.size(), 2u);
  expectNear(y[0].data, {0, 0, 1, 0, 1, 0});
  expectNear(y[1].data, {1, 2, 12, 4, 20, 6});
}

TEST_F(BranchesTest, BarrierIsItsInput) {
  Tensors y = run(R"(
    func.func @f(%x: tensor<?x2xf32>, %after: tensor<f32>) -> tensor<?x2xf32> {
      %0 = grow.barrier %x after %after : tensor<?x2xf32>, tensor<f32>
      return %0 : tensor<?x2xf32>
    })",
                  {tensor({1, 2}, {3, 4}), tensor({}, {5})});
  ASSERT_EQ(y.size(), 1u);
  EXPECT_EQ(y[0].shape, (Shape{1, 2}));
  expectNear(y[0].data, {3, 4});
}

//===----------------------------------------------------------------------===//
// Fused maps
//===----------------------------------------------------------------------===//

TEST_F(BranchesTest, FusedMapsJoinAsMapsDo) {
  const char *body = R"({
      ^bb0(%in: tensor<?x3xf32>, %w: tensor<3x2xf32>):
        %l = grow.linear %in, %w
            : (tensor<?x3xf32>, tensor<3x2xf32>) -> tensor<?x2xf32>
        %r = grow.tanh %l : tensor<?x2xf32>
        grow.yield %r : tensor<?x2xf32>
      })";
  const Tensors inputs = {draw({4, 3}), draw({3, 2}), draw({3, 2}),
                          draw({3, 2})};
  for (const char *join : {"sum", "mean", "concat"})
    for (const char *keep : {"", "keep recompute", "keep mask", "keep store"}) {
      SCOPED_TRACE(join);
      const char *type =
          join == std::string("concat") ? "tensor<?x6xf32>" : "tensor<?x2xf32>";
      Tensors y = run(llvm::formatv(R"(
    func.func @f(%x: tensor<?x3xf32>, %a: tensor<3x2xf32>, %b: tensor<3x2xf32>,
                 %c: tensor<3x2xf32>) -> ({1}, {1}) {{
      %0 = grow.map "m" {0} (%x) over [(%a), (%b), (%c)] {3} {2}
      %1 = grow.fused_map branches 3 (%x) over (%a, %b, %c) join ({0})
          : (tensor<?x3xf32>, tensor<3x2xf32>, tensor<3x2xf32>,
             tensor<3x2xf32>) -> {1} {2}
      return %0, %1 : {1}, {1}
    })",
                                    join, type, body, keep),
                      inputs);
      ASSERT_EQ(y.size(), 2u);
      expectSame(y[1], y[0]);
    }
}

TEST_F(BranchesTest, ResultsFollowTheYieldsAndPartsTheBranches) {
  // Each branch b has the part [2b, 2b + 1] of the sliced input and adds its
  // parameter.
  Tensors y = run(R"(
    func.func @f(%x: tensor<?x4xf32>, %a: tensor<2xf32>, %b: tensor<2xf32>)
        -> (tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<2xf32>,
            tensor<2xf32>) {
      %0:5 = grow.fused_map branches 2 () sliced (%x) over (%a, %b)
          join (each, mean, each)
          : (tensor<?x4xf32>, tensor<2xf32>, tensor<2xf32>)
            -> (tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x2xf32>,
                tensor<2xf32>, tensor<2xf32>) {
      ^bb0(%in: tensor<?x2xf32>, %p: tensor<2xf32>):
        %s = grow.bias_add %in, %p
            : (tensor<?x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
        %n = grow.channel_sum %s : (tensor<?x2xf32>) -> tensor<2xf32>
        grow.yield %s, %in, %n
            : tensor<?x2xf32>, tensor<?x2xf32>, tensor<2xf32>
      }
      return %0#0, %0#1, %0#2, %0#3, %0#4
          : tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<2xf32>,
            tensor<2xf32>
    })",
                  {tensor({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8}),
                   tensor({2}, {10, 20}), tensor({2}, {30, 40})});
  ASSERT_EQ(y.size(), 5u);
  expectNear(y[0].data, {11, 22, 15, 26});
  expectNear(y[1].data, {33, 44, 37, 48});
  expectNear(y[2].data, {2, 3, 6, 7});
  expectNear(y[3].data, {26, 48});
  expectNear(y[4].data, {70, 92});
}

//===----------------------------------------------------------------------===//
// Kernels over branches
//===----------------------------------------------------------------------===//

TEST_F(BranchesTest, LaunchesGiveBranchesTheirOperandsAndResults) {
  auto text = [](int branches) {
    std::string params, types, results, names;
    for (int i = 0; i < branches; ++i) {
      params +=
          llvm::formatv(", %w{0}: tensor<2x2xf32>, %b{0}: tensor<2xf32>", i);
      names += llvm::formatv(", %w{0}, %b{0}", i);
      types += ", tensor<2x2xf32>, tensor<2xf32>";
      results += ", tensor<?x2xi1>, tensor<2xf32>";
    }
    return llvm::formatv(R"(
    grow.kernel @k {{
    ^bb0(%x: tensor<?x?xf32>, %y: tensor<?x?xf32>, %w: tensor<?x?xf32>,
         %b: tensor<?xf32>):
      %0:3 = grow.fused_map branches ? (%x) over (%w, %b)
          join (sum, each, each)
          : (tensor<?x?xf32>, tensor<?x?xf32>, tensor<?xf32>)
            -> (tensor<?x?xf32>, tensor<?x?xi1>, tensor<?xf32>) {{
      ^bb0(%in: tensor<?x?xf32>, %v: tensor<?x?xf32>, %a: tensor<?xf32>):
        %l = grow.linear %in, %v
            : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
        %z = grow.bias_add %l, %a
            : (tensor<?x?xf32>, tensor<?xf32>) -> tensor<?x?xf32>
        %r = grow.relu %z : tensor<?x?xf32>
        %s = grow.sign_bits %z : tensor<?x?xf32> -> tensor<?x?xi1>
        %n = grow.channel_sum %r : (tensor<?x?xf32>) -> tensor<?xf32>
        grow.yield %r, %s, %n : tensor<?x?xf32>, tensor<?x?xi1>, tensor<?xf32>
      }
      %1 = grow.add %0#0, %y : tensor<?x?xf32>
      grow.yield %1, %0#1, %0#2
          : tensor<?x?xf32>, tensor<?x?xi1>, tensor<?xf32>
    }
    func.func @f(%x: tensor<?x2xf32>, %y: tensor<?x2xf32>{0})
        -> (tensor<?x2xf32>{1}) {{
      %0:{2} = grow.launch @k(%x, %y{3}) branches {4}
          : (tensor<?x2xf32>, tensor<?x2xf32>{5}) -> (tensor<?x2xf32>{1})
      return {6} : tensor<?x2xf32>{1}
    })",
                         params, results, 1 + 2 * branches, names, branches,
                         types,
                         [&] {
                           std::string all = "%0#0";
                           for (int i = 1; i <= 2 * branches; ++i)
                             all += ", %0#" + std::to_string(i);
                           return all;
                         }())
        .str();
  };
  // z of branch 0 is [x0 + 1, x1 - 1], of branch 1 [x1 - 3, x0].
  Tensors inputs = {
      tensor({2, 2}, {1, 2, -3, 4}), tensor({2, 2}, {.5, 0, 0, 0}),
      tensor({2, 2}, {1, 0, 0, 1}),  tensor({2}, {1, -1}),
      tensor({2, 2}, {0, 1, 1, 0}),  tensor({2}, {-3, 0})};
  ASSERT_TRUE(load(text(2)));
  Tensors y = call("f", inputs);
  ASSERT_EQ(y.size(), 5u);
  EXPECT_EQ(y[0].shape, (Shape{2, 2}));
  expectNear(y[0].data, {2.5, 2, 1, 3});
  expectNear(y[1].data, {1, 1, 0, 1});
  expectNear(y[2].data, {2, 4});
  expectNear(y[3].data, {0, 1, 1, 0});
  expectNear(y[4].data, {1, 1});
  ASSERT_TRUE(load(text(1)));
  inputs.pop_back_n(2);
  y = call("f", inputs);
  ASSERT_EQ(y.size(), 3u);
  expectNear(y[0].data, {2.5, 1, 0, 3});
  expectNear(y[1].data, {1, 1, 0, 1});
}

TEST_F(BranchesTest, KernelsOverBranchesTakeExtentsFromTheLaunch) {
  // Stride 2 leaves the size of the convolution's input open: the launch's
  // result says it, through what follows the map.
  auto text = [](int64_t size) {
    return llvm::formatv(R"(
    grow.kernel @k {{
    ^bb0(%dy: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>):
      %0 = grow.fused_map branches ? () sliced (%dy) over (%w) join (mean)
          : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32> {{
      ^bb0(%g: tensor<?x?x?x?xf32>, %v: tensor<3x3x?x?xf32>):
        %d = grow.conv2d_grad_input %g, %v stride [2, 2] padding [1, 1]
            : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
        %e = grow.scale %d by 2.0 : tensor<?x?x?x?xf32>
        grow.yield %e : tensor<?x?x?x?xf32>
      }
      %1 = grow.scale %0 by 2.0 : tensor<?x?x?x?xf32>
      grow.yield %1 : tensor<?x?x?x?xf32>
    }
    func.func @f(%dy: tensor<?x3x3x4xf32>, %v: tensor<3x3x1x2xf32>,
                 %w: tensor<3x3x1x2xf32>) -> tensor<?x{0}x{0}x1xf32> {{
      %0 = grow.launch @k(%dy, %v, %w) branches 2
          : (tensor<?x3x3x4xf32>, tensor<3x3x1x2xf32>, tensor<3x3x1x2xf32>)
            -> tensor<?x{0}x{0}x1xf32>
      return %0 : tensor<?x{0}x{0}x1xf32>
    })",
                         size)
        .str();
  };
  for (int64_t size : {5, 6}) {
    Tensors y = run(text(size), {ReferenceTensor({2, 3, 3, 4}, 1.0),
                                 ReferenceTensor({3, 3, 1, 2}, 1.0),
                                 ReferenceTensor({3, 3, 1, 2}, 2.0)});
    ASSERT_EQ(y.size(), 1u);
    EXPECT_EQ(y[0].shape, (Shape{2, size, size, 1}));
    // One window covers element (0, 0), of two filters; means of 1 and 2.
    EXPECT_EQ(y[0].data[0], 4.0 * 2.0 * 1.5);
  }
}

TEST_F(BranchesTest, BranchesThatDoNotFit) {
  ASSERT_TRUE(load(R"(
    grow.kernel @k {
    ^bb0(%x: tensor<?x?xf32>):
      %0 = grow.fused_map branches ? () sliced (%x) join (sum)
          : (tensor<?x?xf32>) -> tensor<?x?xf32> {
      ^bb0(%in: tensor<?x?xf32>):
        grow.yield %in : tensor<?x?xf32>
      }
      grow.yield %0 : tensor<?x?xf32>
    }
    func.func @f(%x: tensor<?x3xf32>) -> tensor<?x1xf32> {
      %0 = grow.launch @k(%x) branches 2 : (tensor<?x3xf32>) -> tensor<?x1xf32>
      return %0 : tensor<?x1xf32>
    })"));
  EXPECT_TRUE(failed(interpreter->call("f", {ReferenceTensor({1, 3})})));
  EXPECT_NE(diagnostics.find("cuts extents 1x3 into 2 parts"),
            std::string::npos)
      << diagnostics;
}

} // namespace
