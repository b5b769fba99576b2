//===- LinearBranches.cpp - What a linear branch costs --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One training step of a network whose only layer is a sum of N 3x3
// convolutions, beside the same step with one, and beside LibTorch.
//
//===----------------------------------------------------------------------===//

#include "../Bench.h"
#include "../Program.h"
#include "../peers/LibTorch.h"
#include "../peers/OpenMP.h"

#include "cambium/Builder.h"
#include "cambium/Trainer.h"

#include <algorithm>
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

/// Each branch's share of one filter.
Block sharedFilter(int64_t branches) {
  Block filter(9 * channels * channels);
  fillRandom(filter, 3);
  for (int64_t i = 0; i < filter.size(); ++i)
    filter.data()[i] *= 0.05f / branches;
  return filter;
}

void setFilters(Trainer &trainer, const Block &filter) {
  for (const std::string &name : trainer.parameterNames())
    trainer.setParameter(name, {filter.data(), {3, 3, channels, channels}});
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

using Peers = std::vector<std::unique_ptr<TorchLayer>>;

Peers makePeers(int64_t branches, const Block &filter, const Data &data) {
  TorchLayerCase layer;
  layer.shape = {batch, size, channels, channels, 3, 1, 1};
  layer.x = data.inputs.data();
  layer.target = data.targets.data();
  layer.filters.assign(branches, filter.data());
  layer.inputGradient = false;
  layer.learningRate = learningRate / branches;
  enterThreading(/*openMP=*/true);
  Peers peers = makeTorchLayers(layer, settings().threads);
  enterThreading(/*openMP=*/false);
  return peers;
}

/// Trains all of them for some steps. Returns what is wrong, or nothing.
std::string compare(Trainer &one, Trainer &many, const Peers &peers,
                    const Data &data) {
  std::vector<float> losses;
  for (int i = 0; i < 4; ++i) {
    float expected = data.step(one);
    losses.push_back(data.step(many));
    if (!(std::abs(losses[i] - expected) <= 1e-5f * expected))
      return "the loss in step " + std::to_string(i) + " is " +
             std::to_string(losses[i]) + ", but with one branch " +
             std::to_string(expected);
  }
  std::string fault;
  enterThreading(/*openMP=*/true);
  for (size_t peer = 0; peer < peers.size(); ++peer)
    for (float loss : losses) {
      float expected = peers[peer]->step();
      if (!(std::abs(loss - expected) <= 1e-4f * expected))
        fault = "the loss is " + std::to_string(loss) + ", but with LibTorch " +
                std::to_string(expected);
    }
  enterThreading(/*openMP=*/false);
  return fault;
}

void printStep(int64_t branches, const Network &network, const Data &data) {
  Program program(network.text(), Program::Pipeline::Training);
  DeviceProgram::Call call =
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
  Block filter = sharedFilter(branches);
  setFilters(one, sharedFilter(1));
  setFilters(many, filter);
  Peers peers = makePeers(branches, filter, data);
  std::string fault = compare(one, many, peers, data);
  if (!fault.empty())
    return fail(state, fault);

  std::vector<Contender> contenders = {{[&] { data.step(many); }},
                                       {[&] { data.step(one); }}};
  for (const auto &peer : peers)
    contenders.push_back({[&] { peer->step(); }, /*openMP=*/true});
  Rounds rounds;
  for (auto _ : state) {
    rounds.add(contenders);
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
  for (size_t i = 0; i < peers.size(); ++i) {
    std::string name = nameOf(torchForms[i]);
    state.counters[name + "_ms"] = rounds.seconds(i + 2) * 1e3;
    state.counters["time_over_" + name] = rounds.ratio(0, i + 2);
  }
  state.SetLabel(peers.empty() ? "no peer: built without LibTorch"
                               : "peer " + torchName());
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
      ->Iterations(std::min(settings().rounds, maximalLongRounds))
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}
