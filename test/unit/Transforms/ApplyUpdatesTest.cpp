//===- ApplyUpdatesTest.cpp - Derived sums stay up to date ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"
#include "cambium/Reference/ReferenceInterpreter.h"
#include "cambium/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "gtest/gtest.h"

#include <cmath>

using namespace cambium;
using namespace mlir;

namespace {

/// Two branches of one size in groups of their own, and one of another.
constexpr StringLiteral network = R"mlir(
grow.group @old {optimizer = #grow.sgd, lr = 0.5}
grow.group @new {optimizer = #grow.adamw, lr = 0.125}
grow.param @a : tensor<3x3x2x2xf32> in @old init(#grow.kaiming)
grow.param @b : tensor<3x3x2x2xf32> in @new init(#grow.kaiming)
grow.param @c : tensor<1x1x2x2xf32> in @old init(#grow.kaiming)

func.func @loss(%x: tensor<?x4x4x2xf32>, %t: tensor<?x4x4x2xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<3x3x2x2xf32>
  %b = grow.get @b : tensor<3x3x2x2xf32>
  %c = grow.get @c : tensor<1x1x2x2xf32>
  %p = grow.weight_pad %c [1, 1, 1, 1] : (tensor<1x1x2x2xf32>) -> tensor<3x3x2x2xf32>
  %w = grow.weight_sum %a, %b, %p : tensor<3x3x2x2xf32>
  %y = grow.conv2d %x, %w padding [1, 1]
      : (tensor<?x4x4x2xf32>, tensor<3x3x2x2xf32>) -> tensor<?x4x4x2xf32>
  %loss = grow.mse %y, %t : (tensor<?x4x4x2xf32>, tensor<?x4x4x2xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}
)mlir";

class ApplyUpdatesTest : public ::testing::Test {
protected:
  ApplyUpdatesTest() {
    context.loadDialect<grow::GrowDialect, func::FuncDialect>();
  }

  OwningOpRef<ModuleOp> compile(bool updates) {
    auto module = parseSourceString<ModuleOp>(network, &context);
    PassManager passes(&context);
    passes.addPass(grow::createGrowDifferentiate());
    if (updates)
      passes.addPass(grow::createGrowApplyUpdates());
    EXPECT_TRUE(module && succeeded(passes.run(*module)));
    return module;
  }

  std::vector<double> values(const ReferenceInterpreter &interpreter,
                             StringRef symbol) {
    const ReferenceVariable *variable = interpreter.variable(symbol);
    EXPECT_TRUE(variable) << symbol.str();
    return variable ? variable->value.data : std::vector<double>();
  }

  MLIRContext context;
};

void expectNear(ArrayRef<double> actual, ArrayRef<double> expected) {
  ASSERT_EQ(actual.size(), expected.size());
  for (auto [a, e] : llvm::zip(actual, expected))
    EXPECT_NEAR(a, e, 1e-12);
}

TEST_F(ApplyUpdatesTest, StepsLikeGradients) {
  OwningOpRef<ModuleOp> withGradients = compile(/*updates=*/false);
  OwningOpRef<ModuleOp> withUpdates = compile(/*updates=*/true);
  auto plain = ReferenceInterpreter::create(*withGradients);
  auto updating = ReferenceInterpreter::create(*withUpdates);
  ASSERT_TRUE(succeeded(plain) && succeeded(updating));

  ReferenceTensor x({2, 4, 4, 2}), t({2, 4, 4, 2});
  for (auto [i, value] : llvm::enumerate(x.data))
    value = std::sin(static_cast<double>(i));

  for (int step = 0; step < 3; ++step) {
    auto gradients = plain->call("step", {x, t});
    auto results = updating->call("step", {x, t});
    ASSERT_TRUE(succeeded(gradients) && succeeded(results));
    ASSERT_EQ(results->size(), 1u);
    expectNear(results->front().data, gradients->front().data);

    // Plain SGD for the parameters of @old; AdamW is the interpreter's.
    for (auto [symbol, index] : {std::pair("a", 1), std::pair("c", 3)}) {
      std::vector<double> expected = values(*plain, symbol);
      for (auto [w, g] : llvm::zip(expected, (*gradients)[index].data))
        w -= 0.5 * g;
      expectNear(values(*updating, symbol), expected);
    }
    EXPECT_NE(values(*updating, "b"), values(*plain, "b"));

    std::vector<double> sum = values(*updating, "a");
    for (auto [s, b] : llvm::zip(sum, values(*updating, "b")))
      s += b;
    expectNear(values(*updating, "a.sum"), sum);

    for (StringRef symbol : {"a", "b", "c"})
      ASSERT_TRUE(succeeded(
          plain->setValue(symbol, updating->variable(symbol)->value)));
  }
}

} // namespace
