//===- OptimizerKernelTest.cpp - Updates of parameters --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelFixture.h"

#include <cmath>
#include <cstring>

using namespace cambium;
using namespace cambium::test;
using cambium::grow::optimizerRates;

namespace {

/// Memory of an update: gradient, sum, and for each parameter the rates, the
/// weight and its state.
struct Update {
  Floats gradient, sum;
  std::vector<std::vector<Floats>> params;
};

using Rule = std::function<void(const Floats &rates, double g, Doubles &old)>;

/// The same in double precision; `old` holds the weight, then the state.
void referenceUpdate(Update &update, const Rule &rule, bool accumulate) {
  for (size_t i = 0; i < update.gradient.size(); ++i) {
    double sum = accumulate ? update.sum[i] : 0.0;
    for (auto &tensors : update.params) {
      Doubles values;
      for (size_t t = 1; t < tensors.size(); ++t)
        values.push_back(tensors[t][i]);
      rule(tensors[0], update.gradient[i], values);
      for (size_t t = 1; t < tensors.size(); ++t)
        tensors[t][i] = static_cast<float>(values[t - 1]);
      sum += values[0];
    }
    update.sum[i] = static_cast<float>(sum);
  }
}

struct OptimizerKernel : KernelFixture {
  Update makeUpdate(int64_t elements, int64_t params, const Floats &rates,
                    int64_t states) {
    Update update{random({elements}).data, random({elements}).data, {}};
    for (int64_t i = 0; i < params; ++i) {
      std::vector<Floats> tensors = {rates, random({elements}).data};
      // Each parameter has its own learning rate.
      tensors[0][0] *= static_cast<float>(i + 1);
      for (int64_t s = 0; s < states; ++s)
        tensors.push_back(positive({elements}).data);
      update.params.push_back(tensors);
    }
    return update;
  }

  void runUpdate(const std::string &text, Isa isa, Update &update, bool sum,
                 TaskOrder order);
  void checkOptimizer(const std::string &optimizer, const Floats &rates,
                      int64_t states, const Rule &rule);
};

GuardedFloats copyOf(const Floats &floats) {
  GuardedFloats memory(floats.size(), false);
  std::copy(floats.begin(), floats.end(), memory.data());
  return memory;
}

void OptimizerKernel::runUpdate(const std::string &text, Isa isa,
                                Update &update, bool sum, TaskOrder order) {
  grow::KernelOp kernel = parse(text);
  const CompiledKernel &code = compile(text, kernel, isa);
  std::vector<Floats *> tensors = {&update.gradient};
  if (sum)
    tensors.push_back(&update.sum);
  for (auto &param : update.params)
    for (Floats &tensor : param)
      tensors.push_back(&tensor);
  std::vector<GuardedFloats> memory;
  for (Floats *tensor : tensors)
    memory.push_back(copyOf(*tensor));
  std::vector<void *> buffers;
  for (GuardedFloats &floats : memory)
    buffers.push_back(floats.data());
  std::vector<int64_t> dims = {static_cast<int64_t>(update.gradient.size()),
                               static_cast<int64_t>(update.params.size())};
  auto sizes = grow::launchSizes(kernel, dims);
  ASSERT_TRUE(succeeded(sizes)) << diagnostics;
  runPhases(code, *sizes, buffers, dims, order);
  for (size_t i = 0; i < tensors.size(); ++i)
    tensors[i]->assign(memory[i].data(), memory[i].data() + memory[i].size());
}

void expectEqual(const Update &actual, const Update &expected, bool sum) {
  auto close = [](const Floats &a, const Floats &b) {
    return relativeError(a.data(), Doubles(b.begin(), b.end()));
  };
  for (size_t i = 0; i < actual.params.size(); ++i)
    for (size_t t = 0; t < actual.params[i].size(); ++t)
      EXPECT_LE(close(actual.params[i][t], expected.params[i][t]), 1e-6)
          << "tensor " << t << " of parameter " << i;
  if (sum) {
    EXPECT_LE(close(actual.sum, expected.sum), 1e-6);
  }
}

void OptimizerKernel::checkOptimizer(const std::string &optimizer,
                                     const Floats &rates, int64_t states,
                                     const Rule &rule) {
  for (std::string flags : {"", "sum", "accumulate"})
    for (Isa isa : isas())
      for (auto [elements, params] :
           {std::pair<int64_t, int64_t>{1, 1}, {17, 3}, {5003, 2}}) {
        std::string text = "grow.kernel @k {\n^bb0(%g: tensor<?xf32>):\n  "
                           "grow.optimizer " +
                           optimizer + " " + flags +
                           " by %g : tensor<?xf32>\n  grow.yield\n}\n";
        SCOPED_TRACE(text);
        Update start = makeUpdate(elements, params, rates, states);
        Update expected = start, forward = start, backward = start;
        referenceUpdate(expected, rule, flags == "accumulate");
        runUpdate(text, isa, forward, !flags.empty(), TaskOrder::AtOnce);
        runUpdate(text, isa, backward, !flags.empty(), TaskOrder::Backwards);
        expectEqual(forward, expected, !flags.empty());
        EXPECT_EQ(forward.params, backward.params);
        EXPECT_EQ(forward.sum, backward.sum);
      }
}

/// lr, weight decay, momentum.
const Floats sgdRates = {0.05f, 0.01f, 0.9f, 0, 0, 0, 0, 0};

TEST_F(OptimizerKernel, Sgd) {
  checkOptimizer("#grow.sgd", sgdRates, 0,
                 [](const Floats &r, double g, Doubles &old) {
                   old[0] -= r[0] * (g + r[1] * old[0]);
                 });
}

TEST_F(OptimizerKernel, SgdWithMomentum) {
  // The momentum is read at run time: 0.9, whatever the attribute says.
  checkOptimizer("#grow.sgd<momentum = 0.5>", sgdRates, 1,
                 [](const Floats &r, double g, Doubles &old) {
                   old[1] = r[2] * old[1] + g + r[1] * old[0];
                   old[0] -= r[0] * old[1];
                 });
}

TEST_F(OptimizerKernel, SgdWithNesterovMomentum) {
  checkOptimizer("#grow.sgd<momentum = 0.9, nesterov = true>", sgdRates, 1,
                 [](const Floats &r, double g, Doubles &old) {
                   double decayed = g + r[1] * old[0];
                   old[1] = r[2] * old[1] + decayed;
                   old[0] -= r[0] * (decayed + r[2] * old[1]);
                 });
}

TEST_F(OptimizerKernel, AdamW) {
  Floats rates = {0.01f,
                  0.02f,
                  0.9f,
                  0.999f,
                  1e-8f,
                  static_cast<float>(1.0 / (1.0 - std::pow(0.9, 3))),
                  static_cast<float>(1.0 / (1.0 - std::pow(0.999, 3))),
                  0};
  checkOptimizer(
      "#grow.adamw", rates, 2, [](const Floats &r, double g, Doubles &old) {
        old[1] = r[2] * old[1] + (1.0 - r[2]) * g;
        old[2] = r[3] * old[2] + (1.0 - r[3]) * g * g;
        double direction = old[1] * r[5] / (std::sqrt(old[2] * r[6]) + r[4]);
        old[0] -= r[0] * (r[1] * old[0] + direction);
      });
}

/// What growth relies on: a branch of zeros leaves the sum as it was.
TEST_F(OptimizerKernel, ZeroBranchChangesNoBitOfTheSum) {
  std::string text = "grow.kernel @k {\n^bb0(%g: tensor<?xf32>):\n  "
                     "grow.optimizer #grow.sgd sum by %g : tensor<?xf32>\n  "
                     "grow.yield\n}\n";
  Update one = makeUpdate(100, 1, sgdRates, 0), two = one;
  two.params.push_back({Floats(optimizerRates, 0.0f), Floats(100, 0.0f)});
  runUpdate(text, Isa::Native, one, true, TaskOrder::AtOnce);
  runUpdate(text, Isa::Native, two, true, TaskOrder::AtOnce);
  EXPECT_EQ(std::memcmp(one.sum.data(), two.sum.data(), 100 * sizeof(float)),
            0);
}

} // namespace
