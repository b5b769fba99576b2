//===- ConformanceTest.cpp - Every operation on every backend -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "../Trials.h"
#include "Environment.h"
#include "OpCases.h"
#include "cambium/IR/Grow.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace cambium;
using namespace cambium::conformance;

namespace {

using Parameters = std::tuple<std::string, size_t, int>;

/// A case on one backend and on the oracle, with the same values.
class ConformanceTest : public ::testing::TestWithParam<Parameters> {
protected:
  ConformanceTest()
      : random(1000 * std::get<1>(GetParam()) + std::get<2>(GetParam())),
        opCase(generators()[std::get<1>(GetParam())].make(random)) {}

  const std::string &backendName() { return std::get<0>(GetParam()); }

  ReferenceTensor drawTensor(Operand::Kind kind,
                             llvm::ArrayRef<int64_t> shape) {
    ReferenceTensor tensor(shape);
    for (double &value : tensor.data) {
      if (kind == Operand::Kind::Labels)
        value = static_cast<double>(
            random.draw(0, opCase.operands[0].shape[1] - 1));
      else if (kind == Operand::Kind::Variance)
        value = random.uniform(0.5f, 1.5f);
      else
        value = random.normal();
    }
    return tensor;
  }

  /// Arguments of @loss; those of @forward come first.
  Tensors drawInputs(bool dynamic) {
    Tensors inputs;
    for (const Operand &operand : opCase.operands) {
      bool activation = operand.kind == Operand::Kind::Activation && dynamic;
      if (activation || operand.kind == Operand::Kind::Labels ||
          operand.kind == Operand::Kind::Target)
        inputs.push_back(drawTensor(operand.kind, operand.shape));
    }
    if (!opCase.isLoss())
      inputs.push_back(drawTensor(Operand::Kind::Target, opCase.result));
    return inputs;
  }

  /// Names of parameters and states, in the order of operands.
  std::vector<std::string> storedNames() {
    std::vector<std::string> names;
    for (size_t i = 0; i < opCase.operands.size(); ++i)
      for (const char *prefix : {"p", "s"})
        names.push_back(prefix + std::to_string(i));
    return names;
  }

  void setStored(Program &a, Program &b) {
    for (const std::string &name : storedNames()) {
      std::optional<ReferenceTensor> old = a.value(name);
      if (!old)
        continue;
      size_t operand = std::stoul(name.substr(1));
      ReferenceTensor value =
          drawTensor(opCase.operands[operand].kind, old->shape);
      ASSERT_TRUE(a.setValue(name, value));
      ASSERT_TRUE(b.setValue(name, value));
    }
  }

  Tensors storedValues(Program &program) {
    Tensors values;
    for (const std::string &name : storedNames())
      if (auto value = program.value(name))
        values.push_back(*value);
    return values;
  }

  /// Runs one function made of the case on the environment's backend and on its
  /// oracle.
  void check(bool dynamic, ProgramKind kind, const char *function) {
    Environment &environment = Environment::of(backendName());
    ASSERT_TRUE(environment.backend);
    std::string text = opCase.text(dynamic);
    SCOPED_TRACE(text);
    auto module = environment.parse(text);
    ASSERT_TRUE(module);
    auto expected = environment.load(*environment.reference, *module, kind);
    auto actual = environment.load(*environment.backend, *module, kind);
    ASSERT_TRUE(expected && actual);
    setStored(*expected, *actual);
    Tensors inputs = drawInputs(dynamic);
    if (kind == ProgramKind::Forward && !opCase.isLoss())
      inputs.pop_back();
    double tolerance = Environment::tolerance(backendName());
    expectClose(environment.call(*actual, function, inputs),
                environment.call(*expected, function, inputs), tolerance);
    expectClose(storedValues(*actual), storedValues(*expected), tolerance);
  }

  Random random;
  OpCase opCase;
};

TEST_P(ConformanceTest, Forward) {
  check(/*dynamic=*/true, ProgramKind::Forward, "forward");
}

TEST_P(ConformanceTest, GradientsOfBatches) {
  check(/*dynamic=*/true, ProgramKind::Gradients, "step");
}

TEST_P(ConformanceTest, GradientsOfElements) {
  check(/*dynamic=*/false, ProgramKind::Gradients, "step");
}

std::string nameOf(const ::testing::TestParamInfo<Parameters> &info) {
  auto [backend, op, seed] = info.param;
  return backend + "_" + generators()[op].name + "_" + std::to_string(seed);
}

INSTANTIATE_TEST_SUITE_P(
    Ops, ConformanceTest,
    ::testing::Combine(::testing::ValuesIn(Environment::names()),
                       ::testing::Range<size_t>(0, generators().size()),
                       ::testing::Range(0, test::trials(3))),
    nameOf);
INSTANTIATE_TEST_SUITE_P(
    CudaOps, ConformanceTest,
    ::testing::Combine(::testing::Values("cuda"),
                       ::testing::Range<size_t>(0, generators().size()),
                       ::testing::Values(0)),
    nameOf);

/// The rules of differentiation, against finite differences of the loss in the
/// interpreter: what the backends are compared with is right.
class DifferentiationTest : public ConformanceTest {
protected:
  /// Compares a few elements of the gradient of a parameter.
  void checkParameter(Program &program, const std::string &name,
                      llvm::ArrayRef<ReferenceTensor> inputs,
                      const ReferenceTensor &gradient) {
    constexpr double step = 1e-6;
    ReferenceTensor value = *program.value(name);
    ASSERT_EQ(value.shape, gradient.shape);
    double largest = 0.0;
    for (double element : gradient.data)
      largest = std::max(largest, std::abs(element));
    for (int64_t i = 0; i < std::min<int64_t>(8, value.elements()); ++i) {
      int64_t element = random.draw(0, value.elements() - 1);
      double losses[2];
      for (int side : {0, 1}) {
        ReferenceTensor moved = value;
        moved.data[element] += side ? step : -step;
        ASSERT_TRUE(program.setValue(name, moved));
        Environment &environment = Environment::of("kernels");
        losses[side] = environment.call(program, "step", inputs)[0].data[0];
      }
      EXPECT_NEAR(gradient.data[element], (losses[1] - losses[0]) / (2 * step),
                  1e-6 * std::max(1.0, largest))
          << name << ", element " << element;
    }
    ASSERT_TRUE(program.setValue(name, value));
  }

  void checkCase(bool dynamic) {
    Environment &environment = Environment::of("kernels");
    std::string text = opCase.text(dynamic);
    SCOPED_TRACE(text);
    auto module = environment.parse(text);
    ASSERT_TRUE(module);
    auto program = environment.load(*environment.reference, *module,
                                    ProgramKind::Gradients);
    ASSERT_TRUE(program);
    setStored(*program, *program);
    Tensors inputs = drawInputs(dynamic);
    Tensors results = environment.call(*program, "step", inputs);
    size_t next = 1;
    for (size_t i = 0; i < opCase.operands.size(); ++i) {
      std::string name = "p" + std::to_string(i);
      if (!program->value(name))
        continue;
      ASSERT_LT(next, results.size());
      checkParameter(*program, name, inputs, results[next++]);
    }
    EXPECT_EQ(next, results.size());
    EXPECT_GT(next, 1u);
  }
};

TEST_P(DifferentiationTest, AgreesWithFiniteDifferences) {
  checkCase(/*dynamic=*/true);
  checkCase(/*dynamic=*/false);
}

INSTANTIATE_TEST_SUITE_P(
    Ops, DifferentiationTest,
    ::testing::Combine(::testing::Values("reference"),
                       ::testing::Range<size_t>(0, generators().size()),
                       ::testing::Range(0, test::trials(2))),
    nameOf);

/// Results do not depend on the number of threads, to the bit.
class ThreadsTest : public ConformanceTest {};

TEST_P(ThreadsTest, ChangeNothing) {
  Environment &one = Environment::of("host_one_thread");
  Environment &five = Environment::of("host_five_threads");
  ASSERT_TRUE(one.backend && five.backend);
  std::string text = opCase.text(/*dynamic=*/true);
  auto moduleOne = one.parse(text), moduleFive = five.parse(text);
  ASSERT_TRUE(moduleOne && moduleFive);
  auto a = one.load(*one.backend, *moduleOne, ProgramKind::Gradients);
  auto b = five.load(*five.backend, *moduleFive, ProgramKind::Gradients);
  ASSERT_TRUE(a && b);
  setStored(*a, *b);
  Tensors inputs = drawInputs(/*dynamic=*/true);
  Tensors alone = one.call(*a, "step", inputs);
  Tensors together = five.call(*b, "step", inputs);
  ASSERT_EQ(alone.size(), together.size());
  for (size_t i = 0; i < alone.size(); ++i)
    EXPECT_EQ(alone[i].data, together[i].data) << "result " << i << "\n"
                                               << text;
}

INSTANTIATE_TEST_SUITE_P(
    Ops, ThreadsTest,
    ::testing::Combine(::testing::Values("host"),
                       ::testing::Range<size_t>(0, generators().size()),
                       ::testing::Values(0)),
    nameOf);

} // namespace
