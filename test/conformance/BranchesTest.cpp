//===- BranchesTest.cpp - Bodies of branches on every backend -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchForms.h"
#include "Environment.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace cambium;
using namespace cambium::conformance;

namespace {

/// What parameters, states and arguments hold.
struct Values {
  Values(const BranchNetwork &network, uint64_t seed) {
    Random random(seed);
    for (const auto &[symbol, kind] : network.stored)
      stored.emplace_back(symbol, kind.draw(random));
    inputs = network.drawInputs(random);
  }

  std::vector<std::pair<std::string, ReferenceTensor>> stored;
  Tensors inputs;
};

/// A program that stays for the whole run, and its kernels with it: they serve
/// any number of branches, and many forms.
Program *load(Environment &environment, Backend &backend,
              const std::string &text, const CompileOptions &compile) {
  using Loaded =
      std::pair<mlir::OwningOpRef<mlir::ModuleOp>, std::unique_ptr<Program>>;
  static std::vector<Loaded> all;
  auto module = environment.parse(text);
  if (!module)
    return nullptr;
  auto program =
      environment.load(backend, *module, ProgramKind::Gradients, compile);
  all.emplace_back(std::move(module), std::move(program));
  return all.back().second.get();
}

/// What @forward gives, and @step: the loss and all gradients.
struct Results {
  Tensors forward, step;
};

Results runNetwork(Environment &environment, Backend &backend,
                   const BranchNetwork &network, const Values &values,
                   const CompileOptions &compile = {}) {
  Program *program = load(environment, backend, network.text, compile);
  if (!program)
    return {};
  for (const auto &[symbol, value] : values.stored)
    EXPECT_TRUE(program->setValue(symbol, value)) << symbol;
  Results results;
  results.forward = environment.call(*program, "forward",
                                     llvm::ArrayRef(values.inputs).drop_back());
  results.step = environment.call(*program, "step", values.inputs);
  return results;
}

struct Parameters {
  std::string backend;
  size_t form;
  ConvAlgorithm algorithm;

  std::string name() const {
    return backend + "_" + branchForms()[form].name +
           (algorithm == ConvAlgorithm::Winograd ? "_winograd" : "");
  }
};

/// Every form on some backends by every algorithm that there is for it.
std::vector<Parameters> parameters(llvm::ArrayRef<std::string> backends) {
  std::vector<Parameters> all;
  for (const std::string &backend : backends)
    for (size_t form = 0; form < branchForms().size(); ++form) {
      all.push_back({backend, form, ConvAlgorithm::Direct});
      if (BranchNetwork(branchForms()[form], {}, 1, false).winograd)
        all.push_back({backend, form, ConvAlgorithm::Winograd});
    }
  return all;
}

std::string nameOf(const ::testing::TestParamInfo<Parameters> &info) {
  return info.param.name();
}

//===----------------------------------------------------------------------===//
// Against the oracle
//===----------------------------------------------------------------------===//

class BranchesTest : public ::testing::TestWithParam<Parameters> {
protected:
  void check(int64_t branches, int64_t batch, bool dynamic) {
    auto [name, form, algorithm] = GetParam();
    Environment &environment = Environment::of(name);
    ASSERT_TRUE(environment.backend);
    BranchNetwork network(branchForms()[form], {branches, ""}, batch, dynamic);
    SCOPED_TRACE(network.text);
    Values values(network, 100 * form + branches);
    CompileOptions compile;
    compile.convAlgorithm = algorithm;
    Results expected =
        runNetwork(environment, *environment.reference, network, values);
    Results actual =
        runNetwork(environment, *environment.backend, network, values, compile);
    ASSERT_GT(expected.step.size(), 1u);
    double tolerance = Environment::tolerance(name);
    expectClose(actual.forward, expected.forward, tolerance);
    expectClose(actual.step, expected.step, tolerance);
  }
};

/// Activations are parameters, so that all their gradients are seen, or have a
/// dynamic batch.
TEST_P(BranchesTest, GradientsAreTheReferences) {
  check(/*branches=*/3, /*batch=*/3, /*dynamic=*/false);
  // The numbers of branches are the same code on all processors.
  if (GetParam().backend == "host_generic" || HasFailure())
    return;
  check(1, 3, false);
  check(2, 1, true);
  check(7, 1, false);
  check(32, 3, true);
}

INSTANTIATE_TEST_SUITE_P(Forms, BranchesTest,
                         ::testing::ValuesIn(parameters(Environment::names())),
                         nameOf);

//===----------------------------------------------------------------------===//
// Policies
//===----------------------------------------------------------------------===//

class KeepTest : public ::testing::TestWithParam<Parameters> {};

/// Whatever is kept for backward, gradients are the same, to the bit.
TEST_P(KeepTest, ChangesNoBit) {
  auto [name, index, algorithm] = GetParam();
  Environment &environment = Environment::of(name);
  ASSERT_TRUE(environment.backend);
  const BranchForm &form = branchForms()[index];
  CompileOptions compile;
  compile.convAlgorithm = algorithm;
  BranchNetwork stored(form, {3, "store"}, /*batch=*/2, /*dynamic=*/false);
  SCOPED_TRACE(stored.text);
  Values values(stored, index);
  Results expected =
      runNetwork(environment, *environment.reference, stored, values);
  Results all =
      runNetwork(environment, *environment.backend, stored, values, compile);
  expectClose(all.step, expected.step, Environment::tolerance(name));
  for (const char *keep : {"mask", "recompute"}) {
    SCOPED_TRACE(keep);
    BranchNetwork network(form, {3, keep}, /*batch=*/2, /*dynamic=*/false);
    Results some =
        runNetwork(environment, *environment.backend, network, values, compile);
    ASSERT_EQ(some.step.size(), all.step.size());
    for (size_t i = 0; i < all.step.size(); ++i)
      EXPECT_EQ(some.step[i].data, all.step[i].data) << "result " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, KeepTest,
                         ::testing::ValuesIn(parameters({"host"})), nameOf);

} // namespace
