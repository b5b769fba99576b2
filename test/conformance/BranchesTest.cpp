//===- BranchesTest.cpp - Bodies of branches on every backend -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "../Trials.h"
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

void PrintTo(const Parameters &parameters, std::ostream *out) {
  *out << parameters.name();
}

/// Which forms run by Winograd's algorithm too.
enum class Winograd { None, Few, All };

bool takesWinograd(const BranchForm &form, Winograd which) {
  static const llvm::StringRef few[] = {
      "conv_bias_relu", "conv_bias_relu_17", "no_bias", "relu_first",
      "gelu",           "concat_odd",        "residual"};
  // To the algorithm, smooth activations are one like the other.
  static const llvm::StringRef others[] = {"silu", "tanh", "sigmoid",
                                           "mean_gelu", "concat_silu"};
  if (which == Winograd::None)
    return false;
  if (which == Winograd::All ? llvm::is_contained(others, form.name)
                             : !llvm::is_contained(few, form.name))
    return false;
  return BranchNetwork(form, {}, 1, false).winograd;
}

/// Forms on a backend, all unless some are named.
std::vector<Parameters> parameters(const std::string &backend, Winograd which,
                                   llvm::ArrayRef<llvm::StringRef> names = {}) {
  std::vector<Parameters> all;
  for (auto [form, what] : llvm::enumerate(branchForms())) {
    if (!names.empty() && !llvm::is_contained(names, what.name))
      continue;
    all.push_back({backend, form, ConvAlgorithm::Direct});
    if (takesWinograd(what, which))
      all.push_back({backend, form, ConvAlgorithm::Winograd});
  }
  return all;
}

/// Forms that differ in what rounding touches: operands, and how they come to
/// be.
constexpr llvm::StringRef roundedForms[] = {
    "conv_bias_relu", "conv_bias_relu_17", "gelu",  "linear_relu_wide",
    "strided",        "grouped",           "concat"};
/// Those that differ in what warpgroups multiply: pixels, channels and pieces.
constexpr llvm::StringRef warpgroupForms[] = {"conv_bias_relu_17", "strided",
                                              "linear_relu_wide"};
/// Sanitizers do not see the emulated threads.
const llvm::ArrayRef<llvm::StringRef> warpgroupFormsNow =
    llvm::ArrayRef(warpgroupForms).take_front(cambium::test::sanitized ? 1 : 3);

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
  if (cambium::test::sanitized)
    return;
  check(7, 1, false);
  // Threads that are emulated take their time.
  if (llvm::StringRef(GetParam().backend).starts_with("cuda"))
    return;
  check(32, 3, true);
}

INSTANTIATE_TEST_SUITE_P(Kernels, BranchesTest,
                         ::testing::ValuesIn(parameters("kernels",
                                                        Winograd::Few)),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(Host, BranchesTest,
                         ::testing::ValuesIn(parameters("host", Winograd::All)),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(
    Cuda, BranchesTest,
    ::testing::ValuesIn(parameters("cuda", Winograd::None,
                                   cambium::test::sanitized
                                       ? llvm::ArrayRef(roundedForms)
                                       : llvm::ArrayRef<llvm::StringRef>())),
    nameOf);
INSTANTIATE_TEST_SUITE_P(
    CudaTf32, BranchesTest,
    ::testing::ValuesIn(parameters("cuda_tf32", Winograd::None, roundedForms)),
    nameOf);
INSTANTIATE_TEST_SUITE_P(
    CudaBf16, BranchesTest,
    ::testing::ValuesIn(parameters("cuda_bf16", Winograd::None, roundedForms)),
    nameOf);
INSTANTIATE_TEST_SUITE_P(CudaSm90Tf32, BranchesTest,
                         ::testing::ValuesIn(parameters("cuda_sm_90a_tf32",
                                                        Winograd::None,
                                                        warpgroupFormsNow)),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(CudaSm90Bf16, BranchesTest,
                         ::testing::ValuesIn(parameters("cuda_sm_90a_bf16",
                                                        Winograd::None,
                                                        warpgroupFormsNow)),
                         nameOf);
INSTANTIATE_TEST_SUITE_P(Generic, BranchesTest,
                         ::testing::ValuesIn(parameters("host_generic",
                                                        Winograd::Few)),
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

INSTANTIATE_TEST_SUITE_P(Host, KeepTest,
                         ::testing::ValuesIn(parameters("host", Winograd::Few)),
                         nameOf);

//===----------------------------------------------------------------------===//
// Threads
//===----------------------------------------------------------------------===//

class BranchThreadsTest : public ::testing::TestWithParam<Parameters> {};

/// Results do not depend on the number of threads, to the bit.
TEST_P(BranchThreadsTest, ChangeNothing) {
  auto [name, index, algorithm] = GetParam();
  CompileOptions compile;
  compile.convAlgorithm = algorithm;
  BranchNetwork network(branchForms()[index], {7, ""}, /*batch=*/4,
                        /*dynamic=*/false);
  SCOPED_TRACE(network.text);
  Values values(network, index);
  Results results[2];
  for (int i : {0, 1}) {
    Environment &environment =
        Environment::of(i ? "host_five_threads" : "host_one_thread");
    ASSERT_TRUE(environment.backend);
    results[i] =
        runNetwork(environment, *environment.backend, network, values, compile);
  }
  const auto &[alone, together] = results;
  ASSERT_GT(alone.step.size(), 1u);
  ASSERT_EQ(alone.step.size(), together.step.size());
  EXPECT_EQ(alone.forward[0].data, together.forward[0].data);
  for (size_t i = 0; i < alone.step.size(); ++i)
    EXPECT_EQ(alone.step[i].data, together.step[i].data) << "result " << i;
}

INSTANTIATE_TEST_SUITE_P(Host, BranchThreadsTest,
                         ::testing::ValuesIn(parameters("host", Winograd::All,
                                                        {"conv_bias_relu_large",
                                                         "strided", "concat",
                                                         "linear_relu"})),
                         nameOf);

} // namespace
