//===- LinearBranches.cpp - What a linear branch costs --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One training step of a network whose only layer is a sum of N 3x3
// convolutions, beside the same step with one.
//
//===----------------------------------------------------------------------===//

#include "../Bench.h"
#include "../Program.h"

#include "cambium/Builder.h"
#include "cambium/Trainer.h"

#include <cmath>

using namespace cambium;
using namespace cambium::bench;

namespace {

constexpr int64_t batch = 16, size = 32, channels = 64;
constexpr float learningRate = 0.1f;

/// Steps of the sum of N branches are N times a branch's, so dividing the rate
/// makes a network of any N learn the same sum.
Network makeNetwork(int64_t branches) {
  Builder builder;
  GroupOptions group;
  group.name = "base";
  group.optimizer = Sgd{0.9f, false};
  group.learningRate = learningRate / branches;
  builder.group(group);
  Value::ConvOptions options;
  options.padding = {1, 1};
  Value input = builder.input({size, size, channels});
  Value output = builder.map(
      "layer", Builder::Reduction::Sum, branches, input,
      [&](const Value &x) { return x.conv2d("w", channels, {3, 3}, options); });
  return builder.meanSquaredError(output);
}

/// Gives every branch a share of one filter.
void shareFilter(Trainer &trainer, const std::vector<int64_t> &shape) {
  Block filter(9 * channels * channels);
  fillRandom(filter, 3);
  std::vector<std::string> names = trainer.parameterNames();
  float share = 0.05f / names.size();
  for (int64_t i = 0; i < filter.size(); ++i)
    filter.data()[i] *= share;
  for (const std::string &name : names)
    trainer.setParameter(name, {filter.data(), shape});
}

struct Data {
  Data() : inputs(batch * size * size * channels), targets(inputs.size()) {
    fillRandom(inputs, 1);
    fillRandom(targets, 2);
  }
  TensorView view(const Block &block) const {
    return {block.data(), {batch, size, size, channels}};
  }
  float step(Trainer &trainer) const {
    return trainer.step(view(inputs), view(targets));
  }
  Block inputs, targets;
};

void printStep(int64_t branches, const Network &network, const Data &data) {
  Program program(network.text(), Program::Pipeline::Training);
  HostProgram::Call call =
      program.call("step", {data.view(data.inputs), data.view(data.targets)});
  printBreakdown("LinearBranches/" + std::to_string(branches),
                 program.breakdown(call));
}

void linearBranches(benchmark::State &state) {
  const int64_t branches = state.range(0);
  Data data;
  TrainerOptions options;
  options.target = Target::host(settings().threads);
  Network network = makeNetwork(branches);
  Trainer one(makeNetwork(1), options), many(network, options);
  const std::vector<int64_t> filterShape = {3, 3, channels, channels};
  shareFilter(one, filterShape);
  shareFilter(many, filterShape);
  for (int i = 0; i < 4; ++i) {
    float expected = data.step(one), loss = data.step(many);
    if (!(std::abs(loss - expected) <= 1e-5f * expected))
      return fail(state, "the loss in step " + std::to_string(i) + " is " +
                             std::to_string(loss) + ", but with one branch " +
                             std::to_string(expected));
  }

  Rounds rounds;
  for (auto _ : state) {
    rounds.add({{[&] { data.step(many); }}, {[&] { data.step(one); }}});
    state.SetIterationTime(rounds.last(0));
  }
  StepMemory memory =
      stepMemory(network.text(), Program::Pipeline::Training, batch);
  state.counters["arena_bytes"] = memory.arena;
  state.counters["arena_bytes_without_gradients"] =
      memory.arenaWithoutGradients;
  state.counters["parameters"] = many.parameterCount();
  state.counters["step_ms"] = rounds.seconds(0) * 1e3;
  state.counters["ratio_to_one"] = rounds.ratio(0, 1);
  if (settings().breakdown)
    printStep(branches, network, data);
}

} // namespace

void bench::registerLinearBranches() {
  benchmark::RegisterBenchmark("LinearBranches", linearBranches)
      ->Arg(1)
      ->Arg(4)
      ->Arg(16)
      ->Arg(32)
      ->Iterations(settings().rounds)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}
