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
              const std::string &text) {
  using Loaded =
      std::pair<mlir::OwningOpRef<mlir::ModuleOp>, std::unique_ptr<Program>>;
  static std::vector<Loaded> all;
  auto module = environment.parse(text);
  if (!module)
    return nullptr;
  auto program = environment.load(backend, *module, ProgramKind::Gradients);
  all.emplace_back(std::move(module), std::move(program));
  return all.back().second.get();
}

/// What @forward gives, and @step: the loss and all gradients.
struct Results {
  Tensors forward, step;
};

Results runNetwork(Environment &environment, Backend &backend,
                   const BranchNetwork &network, const Values &values) {
  Program *program = load(environment, backend, network.text);
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

std::string formName(size_t form) { return branchForms()[form].name; }

//===----------------------------------------------------------------------===//
// Against the oracle
//===----------------------------------------------------------------------===//

using Parameters = std::tuple<std::string, size_t>;

class BranchesTest : public ::testing::TestWithParam<Parameters> {};

TEST_P(BranchesTest, GradientsAreTheReferences) {
  auto [name, form] = GetParam();
  Environment &environment = Environment::of(name);
  ASSERT_TRUE(environment.backend);
  // Activations are parameters, so that all their gradients are seen, or have a
  // dynamic batch.
  struct {
    int64_t branches, batch;
    bool dynamic;
  } cases[] = {
      {1, 3, false}, {2, 1, true}, {3, 3, true}, {7, 1, false}, {32, 1, false}};
  for (auto [branches, batch, dynamic] : cases) {
    SCOPED_TRACE(branches);
    BranchNetwork network(branchForms()[form], {branches, ""}, batch, dynamic);
    SCOPED_TRACE(network.text);
    Values values(network, 100 * form + branches);
    Results expected =
        runNetwork(environment, *environment.reference, network, values);
    Results actual =
        runNetwork(environment, *environment.backend, network, values);
    ASSERT_GT(expected.step.size(), 1u);
    double tolerance = Environment::tolerance(name);
    expectClose(actual.forward, expected.forward, tolerance);
    expectClose(actual.step, expected.step, tolerance);
    if (HasFailure())
      return;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Forms, BranchesTest,
    ::testing::Combine(::testing::ValuesIn(Environment::names()),
                       ::testing::Range<size_t>(0, branchForms().size())),
    [](const ::testing::TestParamInfo<Parameters> &info) {
      return std::get<0>(info.param) + "_" + formName(std::get<1>(info.param));
    });

//===----------------------------------------------------------------------===//
// Policies
//===----------------------------------------------------------------------===//

class KeepTest : public ::testing::TestWithParam<size_t> {};

/// Whatever is kept for backward, gradients are the same, to the bit.
TEST_P(KeepTest, ChangesNoBit) {
  Environment &environment = Environment::of("host");
  ASSERT_TRUE(environment.backend);
  const BranchForm &form = branchForms()[GetParam()];
  BranchNetwork stored(form, {3, "store"}, /*batch=*/2, /*dynamic=*/false);
  SCOPED_TRACE(stored.text);
  Values values(stored, GetParam());
  Results expected =
      runNetwork(environment, *environment.reference, stored, values);
  Results all = runNetwork(environment, *environment.backend, stored, values);
  expectClose(all.step, expected.step, Environment::tolerance("host"));
  for (const char *keep : {"mask", "recompute"}) {
    SCOPED_TRACE(keep);
    BranchNetwork network(form, {3, keep}, /*batch=*/2, /*dynamic=*/false);
    Results some =
        runNetwork(environment, *environment.backend, network, values);
    ASSERT_EQ(some.step.size(), all.step.size());
    for (size_t i = 0; i < all.step.size(); ++i)
      EXPECT_EQ(some.step[i].data, all.step[i].data) << "result " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Forms, KeepTest,
                         ::testing::Range<size_t>(0, branchForms().size()),
                         [](const ::testing::TestParamInfo<size_t> &info) {
                           return formName(info.param);
                         });

} // namespace
