//===- DifferentiateTest.cpp - Gradients against differences --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every module of the lit tests of grow-differentiate is also run: the
// gradients that @step returns are compared with central differences of @loss,
// both in double precision by the reference interpreter.
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"
#include "cambium/Reference/ReferenceInterpreter.h"
#include "cambium/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
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
  void checkModule(StringRef text);

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

void DifferentiateTest::checkModule(StringRef text) {
  OwningOpRef<ModuleOp> module = parseSourceString<ModuleOp>(text, &context);
  ASSERT_TRUE(module);
  PassManager passes(&context);
  passes.addPass(grow::createGrowDifferentiate());
  ASSERT_TRUE(succeeded(passes.run(*module)));

  auto interpreter = ReferenceInterpreter::create(*module);
  ASSERT_TRUE(succeeded(interpreter));
  auto set = [&](StringRef name, RankedTensorType type, double low,
                 double high) {
    ASSERT_TRUE(
        succeeded(interpreter->setValue(name, random(type, low, high))));
  };
  for (auto param : module->getOps<grow::ParamOp>())
    set(param.getSymName(), param.getTensorType(), -1.0, 1.0);
  // Positive, as some are variances.
  for (auto state : module->getOps<grow::StateOp>())
    set(state.getSymName(), state.getTensorType(), 0.5, 1.5);
  auto step = module->lookupSymbol<func::FuncOp>("step");
  SmallVector<ReferenceTensor> inputs;
  for (Type type : step.getArgumentTypes())
    inputs.push_back(random(cast<RankedTensorType>(type), -1.0, 1.0));

  double before = loss(*interpreter, inputs);
  auto results = interpreter->call("step", inputs);
  ASSERT_TRUE(succeeded(results));
  EXPECT_EQ(results->front().data.front(), before);
  size_t next = 1;
  for (auto param : module->getOps<grow::ParamOp>()) {
    ASSERT_LT(next, results->size());
    const ReferenceTensor &gradient = (*results)[next++];
    // A target is a constant to its loss.
    if (param.getSymName() == "target")
      EXPECT_EQ(gradient.data, std::vector<double>(gradient.data.size(), 0.0));
    else
      checkParam(*interpreter, param, inputs, gradient);
  }
}

TEST_P(DifferentiateTest, MatchesDifferences) {
  std::string path =
      std::string(CAMBIUM_TEST_DIR "/../../Transforms/") + GetParam();
  auto buffer = llvm::MemoryBuffer::getFile(path);
  ASSERT_TRUE(buffer) << path;
  SmallVector<StringRef> modules;
  (*buffer)->getBuffer().split(modules, "// -----");
  ASSERT_GT(modules.size(), 3u);
  for (StringRef text : modules) {
    SCOPED_TRACE(text.str());
    checkModule(text);
  }
}

INSTANTIATE_TEST_SUITE_P(LitTests, DifferentiateTest,
                         ::testing::Values("differentiate.mlir",
                                           "differentiate-rules.mlir"));

} // namespace
