//===- GrowthCurve.cpp - Memory and time of a network that grows ----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A training step of GrowingNetwork, which grows from 0.8 to 2 million
// parameters, as it is after each growth: Cambium's trainer beside LibTorch
// with the same parameters.
//
//===----------------------------------------------------------------------===//

#include "GrowingNetwork.h"

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

constexpr double maximalError = 1e-4;
constexpr int64_t firstBranches = 3, branchesAGrowth = 5, growths = 5;
constexpr const char *blocks[] = {"block1", "block2"};

GroupOptions groupOptions(const GrowingNetwork &net) {
  GroupOptions group;
  group.optimizer = Sgd{net.momentum, /*nesterov=*/false};
  group.learningRate = net.learningRate;
  return group;
}

Value rectified(const Value &x, const std::string &prefix, int64_t channels) {
  Value::ConvOptions options;
  options.padding = {1, 1};
  return x.conv2d(prefix + "w", channels, {3, 3}, options)
      .bias(prefix + "b")
      .relu();
}

Network describe(const GrowingNetwork &net) {
  Builder builder;
  GroupOptions group = groupOptions(net);
  group.name = "base";
  builder.group(group);
  Value x = builder.input({net.size, net.size, net.colours});
  for (size_t i = 0; i < 2; ++i) {
    int64_t channels = net.channels[i];
    x = rectified(x, i == 0 ? "stem." : "widen.", channels);
    x = builder
            .map(blocks[i], Builder::Reduction::Sum, net.branches, x,
                 [&](const Value &in) { return rectified(in, "", channels); })
            .maxPool2d({2, 2}, {2, 2});
  }
  x = x.flatten().linear("hidden.w", net.hidden).bias("hidden.b").relu();
  return builder.softmaxCrossEntropy(
      x.linear("head.w", net.classes).bias("head.b"));
}

NamedValues valuesOf(const Trainer &trainer) {
  NamedValues values;
  for (const std::string &name : trainer.parameterNames())
    values[name] = trainer.parameter(name).data;
  return values;
}

/// Gives biases values other than zero, and divides what is in the blocks by
/// the number of branches, so that the sums stay in range.
void setValues(Trainer &trainer, int64_t branches) {
  for (const std::string &name : trainer.parameterNames()) {
    Tensor tensor = trainer.parameter(name);
    if (tensor.shape.size() == 1)
      for (size_t i = 0; i < tensor.data.size(); ++i)
        tensor.data[i] = i % 2 ? 0.5f : -0.5f;
    if (name.compare(0, 5, "block") == 0)
      for (float &value : tensor.data)
        value /= branches;
    trainer.setParameter(name, {tensor.data.data(), tensor.shape});
  }
}

/// A trainer whose network has grown to `net.branches`.
struct Grown {
  explicit Grown(const GrowingNetwork &net)
      : trainer(describe(atStart(net)), options()) {
    for (int64_t branches = firstBranches; branches < net.branches;
         branches += branchesAGrowth) {
      std::string group = trainer.addGroup(groupOptions(net));
      for (const char *block : blocks) {
        AddBranches growth;
        growth.map = block;
        growth.count = branchesAGrowth;
        growth.group = group;
        growth.init = Init::kaiming();
        last = trainer.grow(growth);
      }
    }
    setValues(trainer, net.branches);
  }

  static GrowingNetwork atStart(GrowingNetwork net) {
    net.branches = firstBranches;
    return net;
  }
  static TrainerOptions options() {
    TrainerOptions options;
    options.target = Target::host(settings().threads);
    return options;
  }

  Trainer trainer;
  GrowthReport last;
};

struct Batch {
  explicit Batch(const GrowingNetwork &net)
      : net(net), pixels(net.imageElements()), classes(net.batch) {
    fillRandom(pixels, 1);
    for (int64_t i = 0; i < net.batch; ++i)
      classes[i] = i % net.classes;
  }
  TensorView images() const {
    return {pixels.data(), {net.batch, net.size, net.size, net.colours}};
  }
  TensorView labels() const { return {classes.data(), {net.batch}}; }
  int64_t bytes() const {
    return (pixels.size() + net.batch) * static_cast<int64_t>(sizeof(float));
  }

  GrowingNetwork net;
  Block pixels;
  std::vector<int32_t> classes;
};

using Peers = std::vector<std::unique_ptr<TorchNetwork>>;

Peers makePeers(const GrowingNetwork &net, const NamedValues &parameters,
                const Batch &batch) {
  enterThreading(/*openMP=*/true);
  Peers peers = makeTorchNetworks(net, parameters, batch.pixels.data(),
                                  batch.classes.data(), settings().threads);
  enterThreading(/*openMP=*/false);
  return peers;
}

/// The largest relative difference of a loss in three steps, or of a parameter
/// after the first. A later one would tell of rounding: an element near zero
/// that a relu lets pass in one program only moves a bias's gradient by 0.1 %.
double compare(Trainer &trainer, const Batch &batch, const Peers &peers) {
  constexpr int steps = 3;
  std::vector<float> losses;
  NamedValues values;
  for (int step = 0; step < steps; ++step) {
    losses.push_back(trainer.step(batch.images(), batch.labels()));
    if (step == 0)
      values = valuesOf(trainer);
  }
  double largest = losses.back() < losses.front() ? 0 : INFINITY;
  auto add = [&](double error) {
    // Unlike std::max keeps NaN.
    if (!(error <= largest))
      largest = error;
  };
  enterThreading(/*openMP=*/true);
  for (const auto &peer : peers)
    for (int step = 0; step < steps; ++step) {
      add(std::abs(peer->step() / losses[step] - 1.0));
      if (step == 0)
        for (const auto &[name, expected] : peer->parameters())
          add(relativeError(values.at(name).data(), expected.data(),
                            expected.size()));
    }
  enterThreading(/*openMP=*/false);
  return largest;
}

void countMemory(benchmark::State &state, const Trainer &trainer,
                 const Batch &batch, const Peers &peers) {
  auto &counters = state.counters;
  MemoryReport memory = trainer.memory();
  int64_t scratch = stepMemory(trainer.network().text(),
                               Program::Pipeline::Training, batch.net.batch)
                        .scratch;
  int64_t peak = batch.bytes() + memory.parameters + memory.state +
                 memory.arena + settings().threads * scratch;
  counters["parameters"] = trainer.parameterCount();
  counters["arena_bytes"] = memory.arena;
  counters["kept_bytes"] = memory.keptForBackward;
  counters["peak_bytes"] = peak;
  for (size_t i = 0; i < peers.size(); ++i) {
    TorchMemory used = peers[i]->memory();
    std::string name = nameOf(torchForms[i]);
    counters[name + "_kept_bytes"] = used.kept;
    counters[name + "_peak_bytes"] = used.peak;
    counters["peak_over_" + name] = double(peak) / used.peak;
  }
}

void growthCurve(benchmark::State &state) {
  GrowingNetwork net;
  net.branches = state.range(0);
  Grown grown(net);
  Trainer &trainer = grown.trainer;
  Batch batch(net);
  Peers peers = makePeers(net, valuesOf(trainer), batch);
  double error = compare(trainer, batch, peers);
  if (!(error <= maximalError))
    return fail(state, "the loss did not fall, or differs from the peers': "
                       "relative error " +
                           std::to_string(error));

  std::vector<Contender> contenders = {
      {[&] { trainer.step(batch.images(), batch.labels()); }}};
  for (const auto &peer : peers)
    contenders.push_back({[&] { peer->step(); }, /*openMP=*/true});
  Rounds rounds;
  for (auto _ : state) {
    rounds.add(contenders);
    state.SetIterationTime(rounds.last(0));
  }
  auto &counters = state.counters;
  counters["step_ms"] = rounds.seconds(0) * 1e3;
  counters["relative_error"] = error;
  counters["growth_ms"] = grown.last.milliseconds;
  counters["kernels_compiled"] = grown.last.kernelsCompiled;
  for (size_t i = 0; i < peers.size(); ++i) {
    std::string name = nameOf(torchForms[i]);
    counters[name + "_ms"] = rounds.seconds(i + 1) * 1e3;
    counters["time_over_" + name] = rounds.ratio(0, i + 1);
  }
  countMemory(state, trainer, batch, peers);
  state.SetLabel(peers.empty() ? "no peer: built without LibTorch"
                               : "peer " + torchName());
  if (settings().breakdown) {
    Program program(trainer.network().text(), Program::Pipeline::Training);
    DeviceProgram::Call call =
        program.call("step", {batch.images(), batch.labels()});
    printBreakdown("GrowthCurve/" + std::to_string(net.branches),
                   program.breakdown(call));
  }
}

} // namespace

void bench::registerGrowthCurve() {
  auto *cases = benchmark::RegisterBenchmark("GrowthCurve", growthCurve);
  for (int64_t growth = 0; growth <= growths; ++growth)
    cases->Arg(firstBranches + growth * branchesAGrowth);
  cases->Iterations(std::min(settings().rounds, maximalLongRounds))
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}
