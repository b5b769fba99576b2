//===- DifferentiateTest.cpp - Gradients against differences --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every module of the lit tests of grow-differentiate is also run: the
// gradients that @step returns are compared with central differences of @loss,
// both in double precision by the reference interpreter. Those of maps must be
// the same bits whatever is kept of the branches, also after the passes that
// might merge what is computed again with what was computed before; and what
// fuses must have a kernel, forward and for its gradients.
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"
#include "cambium/Reference/ReferenceInterpreter.h"
#include "cambium/Target/LLVM/KernelEmitter.h"
#include "cambium/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/Support/MemoryBuffer.h"
#include "gtest/gtest.h"

#include <cmath>
#include <random>

using namespace cambium;
using namespace mlir;

namespace {

constexpr int64_t batch = 3;
constexpr int classes = 3;

class DifferentiateTest : public ::testing::TestWithParam<const char *> {
protected:
  DifferentiateTest() {
    context.loadDialect<grow::GrowDialect, func::FuncDialect>();
  }

  double draw(double low, double high) {
    return std::uniform_real_distribution<double>(low, high)(generator);
  }

  ReferenceTensor random(RankedTensorType type, double low, double high) {
    SmallVector<int64_t> shape(type.getShape());
    for (int64_t &extent : shape)
      if (ShapedType::isDynamic(extent))
        extent = batch;
    ReferenceTensor tensor(shape);
    for (double &value : tensor.data)
      value = type.getElementType().isF32()
                  ? draw(low, high)
                  : static_cast<double>(generator() % classes);
    return tensor;
  }

  double loss(ReferenceInterpreter &interpreter,
              ArrayRef<ReferenceTensor> inputs) {
    auto results = interpreter.call("loss", inputs);
    EXPECT_TRUE(succeeded(results));
    return succeeded(results) ? results->front().data.front() : 0.0;
  }

  void checkParam(ReferenceInterpreter &interpreter, grow::ParamOp param,
                  ArrayRef<ReferenceTensor> inputs,
                  const ReferenceTensor &gradient);
  /// Makes @step after `prepare` has added other passes.
  void differentiate(ModuleOp module,
                     llvm::function_ref<void(PassManager &)> prepare);
  /// What @step returns for random parameters and inputs, the same in each
  /// module with the same declarations.
  std::vector<ReferenceTensor> run(ModuleOp module, bool check);

  MLIRContext context;
  std::mt19937 generator{7};
};

void DifferentiateTest::checkParam(ReferenceInterpreter &interpreter,
                                   grow::ParamOp param,
                                   ArrayRef<ReferenceTensor> inputs,
                                   const ReferenceTensor &gradient) {
  const double step = 1e-5;
  StringRef name = param.getSymName();
  const ReferenceTensor value = interpreter.variable(name)->value;
  ASSERT_EQ(gradient.shape, value.shape) << name.str();
  auto lossAt = [&](size_t element, double delta) {
    ReferenceTensor moved = value;
    moved.data[element] += delta;
    EXPECT_TRUE(succeeded(interpreter.setValue(name, moved)));
    return loss(interpreter, inputs);
  };
  for (size_t i = 0; i < value.data.size(); ++i) {
    double expected = (lossAt(i, step) - lossAt(i, -step)) / (2.0 * step);
    ASSERT_NEAR(gradient.data[i], expected, 1e-7 * (1.0 + std::abs(expected)))
        << "element " << i << " of @" << name.str();
  }
  ASSERT_TRUE(succeeded(interpreter.setValue(name, value)));
}

void DifferentiateTest::differentiate(
    ModuleOp module, llvm::function_ref<void(PassManager &)> prepare) {
  PassManager passes(&context);
  prepare(passes);
  passes.addPass(grow::createGrowDifferentiate());
  passes.addPass(createCanonicalizerPass());
  passes.addPass(createCSEPass());
  ASSERT_TRUE(succeeded(passes.run(module)));
}

std::vector<ReferenceTensor> DifferentiateTest::run(ModuleOp module,
                                                    bool check) {
  generator.seed(7);
  auto interpreter = ReferenceInterpreter::create(module);
  EXPECT_TRUE(succeeded(interpreter));
  if (failed(interpreter))
    return {};
  auto set = [&](StringRef name, RankedTensorType type, double low,
                 double high) {
    EXPECT_TRUE(
        succeeded(interpreter->setValue(name, random(type, low, high))));
  };
  for (auto param : module.getOps<grow::ParamOp>())
    set(param.getSymName(), param.getTensorType(), -1.0, 1.0);
  // Positive, as some are variances.
  for (auto state : module.getOps<grow::StateOp>())
    set(state.getSymName(), state.getTensorType(), 0.5, 1.5);
  auto step = module.lookupSymbol<func::FuncOp>("step");
  SmallVector<ReferenceTensor> inputs;
  for (Type type : step.getArgumentTypes())
    inputs.push_back(random(cast<RankedTensorType>(type), -1.0, 1.0));

  double before = loss(*interpreter, inputs);
  auto results = interpreter->call("step", inputs);
  EXPECT_TRUE(succeeded(results));
  if (failed(results))
    return {};
  EXPECT_EQ(results->front().data.front(), before);
  size_t next = 1;
  for (auto param : module.getOps<grow::ParamOp>()) {
    const ReferenceTensor &gradient = (*results)[next++];
    if (!check)
      continue;
    // A target is a constant to its loss.
    if (param.getSymName() == "target")
      EXPECT_EQ(gradient.data, std::vector<double>(gradient.data.size(), 0.0));
    else
      checkParam(*interpreter, param, inputs, gradient);
  }
  return {results->begin(), results->end()};
}

/// The modules of a lit test.
SmallVector<StringRef> split(const llvm::MemoryBuffer &buffer) {
  SmallVector<StringRef> modules;
  buffer.getBuffer().split(modules, "// -----");
  EXPECT_GT(modules.size(), 3u);
  return modules;
}

std::unique_ptr<llvm::MemoryBuffer> read(StringRef name) {
  auto buffer =
      llvm::MemoryBuffer::getFile(CAMBIUM_TEST_DIR "/../../Transforms/" + name);
  EXPECT_TRUE(buffer) << name.str();
  return buffer ? std::move(*buffer) : llvm::MemoryBuffer::getMemBuffer("");
}

TEST_P(DifferentiateTest, MatchesDifferences) {
  auto buffer = read(GetParam());
  for (StringRef text : split(*buffer)) {
    SCOPED_TRACE(text.str());
    OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
    ASSERT_TRUE(module);
    differentiate(*module, [](PassManager &) {});
    run(*module, /*check=*/true);
  }
}

INSTANTIATE_TEST_SUITE_P(LitTests, DifferentiateTest,
                         ::testing::Values("differentiate.mlir",
                                           "differentiate-rules.mlir"));

using DifferentiateMapsTest = DifferentiateTest;

TEST_F(DifferentiateMapsTest, AllPoliciesGiveTheSameBits) {
  auto buffer = read("differentiate-maps.mlir");
  for (StringRef text : split(*buffer)) {
    SCOPED_TRACE(text.str());
    std::vector<ReferenceTensor> expected;
    for (KeepPolicy keep : {KeepPolicy::Mask, KeepPolicy::Recompute,
                            KeepPolicy::Store, KeepPolicy::Auto}) {
      OwningOpRef<ModuleOp> module =
          parseSourceString<ModuleOp>(text, &context);
      ASSERT_TRUE(module);
      differentiate(*module, [&](PassManager &passes) {
        passes.addNestedPass<func::FuncOp>(grow::createGrowFuseMaps({keep}));
        passes.addNestedPass<func::FuncOp>(grow::createGrowUnrollMaps());
        passes.addPass(createCanonicalizerPass());
        passes.addPass(createCSEPass());
      });
      module->walk([](grow::FusedMapOp map) {
        EXPECT_TRUE(succeeded(grow::branchSpec(map))) << "has no kernel";
      });
      bool first = expected.empty();
      std::vector<ReferenceTensor> results = run(*module, /*check=*/first);
      if (first)
        expected = results;
      ASSERT_EQ(results.size(), expected.size());
      for (auto [result, wanted] : llvm::zip_equal(results, expected))
        EXPECT_EQ(result.data, wanted.data);
    }
  }
}

/// Unrolled, branches add up in another order.
TEST_F(DifferentiateMapsTest, FusedGivesWhatUnrolledGives) {
  auto buffer = read("differentiate-maps.mlir");
  for (StringRef text : split(*buffer)) {
    SCOPED_TRACE(text.str());
    auto resultsOf = [&](bool fuse) {
      OwningOpRef<ModuleOp> module =
          parseSourceString<ModuleOp>(text, &context);
      EXPECT_TRUE(module);
      differentiate(*module, [&](PassManager &passes) {
        if (fuse)
          passes.addNestedPass<func::FuncOp>(grow::createGrowFuseMaps());
        passes.addNestedPass<func::FuncOp>(grow::createGrowUnrollMaps());
      });
      return run(*module, /*check=*/false);
    };
    std::vector<ReferenceTensor> fused = resultsOf(true);
    std::vector<ReferenceTensor> unrolled = resultsOf(false);
    ASSERT_EQ(fused.size(), unrolled.size());
    for (auto [result, wanted] : llvm::zip_equal(fused, unrolled))
      for (auto [value, expected] : llvm::zip_equal(result.data, wanted.data))
        ASSERT_NEAR(value, expected, 1e-12 * (1.0 + std::abs(expected)));
  }
}

} // namespace
