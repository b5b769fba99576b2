//===- BranchMemoryTest.cpp - What branches take in the arena -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Memory plans of a training step: sum of N branches relu(conv3x3 + bias) with
// 64 channels on 32x32 images.
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"
#include "cambium/Pipelines/Pipelines.h"
#include "cambium/Transforms/MemoryPlan.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FormatVariadic.h"
#include "gtest/gtest.h"

using namespace cambium::grow;
using namespace mlir;
using llvm::formatv;

namespace {

constexpr int64_t batch = 16;
constexpr int64_t elements = batch * 32 * 32 * 64;
constexpr int64_t inputBytes = elements * 4;

/// The map's input is a convolution's result, so that backward needs it.
std::string network(int64_t branches, const std::string &keep) {
  std::string params, reads, tuples;
  for (int64_t i = 0; i < branches; ++i) {
    params += formatv(
        "grow.param @w{0} : tensor<3x3x64x64xf32> in @g init(#grow.kaiming)\n"
        "grow.param @b{0} : tensor<64xf32> in @g init(#grow.zero)\n",
        i);
    reads += formatv("%w{0} = grow.get @w{0} : tensor<3x3x64x64xf32>\n"
                     "%b{0} = grow.get @b{0} : tensor<64xf32>\n",
                     i);
    tuples += formatv("{0}(%w{1}, %b{1})", i ? ", " : "", i);
  }
  return formatv(R"(
grow.group @g {{optimizer = #grow.sgd<momentum = 0.9>, lr = 0.1}
grow.param @stem : tensor<3x3x3x64xf32> in @g init(#grow.kaiming)
{0}
func.func @loss(%images: tensor<?x32x32x3xf32>, %labels: tensor<?xi32>)
    -> tensor<f32> {{
  %stem = grow.get @stem : tensor<3x3x3x64xf32>
  {1}
  %x = grow.conv2d %images, %stem padding [1, 1]
      : (tensor<?x32x32x3xf32>, tensor<3x3x3x64xf32>) -> tensor<?x32x32x64xf32>
  %y = grow.map "block" sum (%x) over [{2}] keep {3} {{
  ^bb0(%in: tensor<?x32x32x64xf32>, %w: tensor<3x3x64x64xf32>,
       %b: tensor<64xf32>):
    %c = grow.conv2d %in, %w padding [1, 1]
        : (tensor<?x32x32x64xf32>, tensor<3x3x64x64xf32>)
          -> tensor<?x32x32x64xf32>
    %z = grow.bias_add %c, %b : (tensor<?x32x32x64xf32>, tensor<64xf32>)
        -> tensor<?x32x32x64xf32>
    %r = grow.relu %z : tensor<?x32x32x64xf32>
    grow.yield %r : tensor<?x32x32x64xf32>
  }
  %logits = grow.global_avg_pool %y
      : (tensor<?x32x32x64xf32>) -> tensor<?x64xf32>
  %l = grow.softmax_cross_entropy %logits, %labels
      : (tensor<?x64xf32>, tensor<?xi32>) -> tensor<f32>
  return %l : tensor<f32>
}
)",
                 params, reads, tuples, keep);
}

class BranchMemoryTest : public ::testing::Test {
protected:
  BranchMemoryTest() : context(registry()) {
    context.loadAllAvailableDialects();
  }

  /// The plan of @step; its launches without those of optimizers.
  MemoryPlan plan(int64_t branches, const std::string &keep) {
    auto module =
        parseSourceString<ModuleOp>(network(branches, keep), &context);
    PassManager passes(&context);
    PipelineOptions options;
    options.fuseMaps = true;
    buildTrainPipeline(passes, options);
    if (!module || failed(passes.run(*module))) {
      ADD_FAILURE();
      return MemoryPlan();
    }
    auto planned =
        planMemory(module->lookupSymbol<func::FuncOp>("step"), batch);
    if (failed(planned)) {
      ADD_FAILURE();
      return MemoryPlan();
    }
    llvm::erase_if(planned->launches, [](const MemoryPlan::Launch &launch) {
      return LaunchOp(launch.op).getUpdates().has_value();
    });
    return *planned;
  }

  /// The arena without gradients of parameters.
  static int64_t arenaBeside(MemoryPlan plan) {
    llvm::erase_if(plan.buffers, [](const Buffer &buffer) {
      return buffer.category == BufferCategory::Gradient;
    });
    return assignOffsets(plan.buffers);
  }

private:
  static const DialectRegistry &registry() {
    static const DialectRegistry all = [] {
      DialectRegistry registry;
      registerDialects(registry);
      return registry;
    }();
    return all;
  }

  MLIRContext context;
};

TEST_F(BranchMemoryTest, MasksKeepOneBitAnElement) {
  for (int64_t branches : {1, 4, 32}) {
    int64_t kept = plan(branches, "mask").peak(BufferCategory::Kept);
    int64_t bound = inputBytes + branches * elements / 8;
    EXPECT_LE(kept, bound * 105 / 100) << branches;
    EXPECT_GE(kept, inputBytes) << branches;
  }
}

TEST_F(BranchMemoryTest, RecomputingKeepsTheInputAlone) {
  for (int64_t branches : {1, 4, 32}) {
    int64_t kept = plan(branches, "recompute").peak(BufferCategory::Kept);
    EXPECT_LE(kept, inputBytes * 105 / 100) << branches;
    EXPECT_GE(kept, inputBytes) << branches;
  }
}

TEST_F(BranchMemoryTest, StoringKeepsATensorABranch) {
  EXPECT_GE(plan(4, "store").peak(BufferCategory::Kept),
            inputBytes + 4 * elements * 4);
}

TEST_F(BranchMemoryTest, TheArenaHardlyGrows) {
  for (const char *keep : {"mask", "recompute"}) {
    MemoryPlan one = plan(1, keep), many = plan(32, keep);
    EXPECT_LE(arenaBeside(many), arenaBeside(one) * 135 / 100) << keep;
    EXPECT_EQ(one.launches.size(), many.launches.size()) << keep;
    EXPECT_LE(many.scratchBytes, std::max(one.scratchBytes, int64_t(4) << 20))
        << keep;
  }
}

} // namespace
