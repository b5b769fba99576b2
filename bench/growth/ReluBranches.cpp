//===- ReluBranches.cpp - A sum of rectified branches ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// y = sum over i of relu(conv3x3(x, w_i) + b_i), the mean squared error between
// y and a target, and the gradients of x and of all w_i and b_i, beside
// LibTorch and beside the same convolutions without bias, relu and sum. x is
// declared as a parameter, because gradients are those of parameters.
//
//===----------------------------------------------------------------------===//

#include "../Bench.h"
#include "../Program.h"
#include "../peers/LibTorch.h"
#include "../peers/OpenMP.h"
#include "ReluLayer.h"

#include <algorithm>

using namespace cambium;
using namespace cambium::bench;

namespace {

constexpr double maximalError = 1e-4;

constexpr ConvShape layerShape = {16, 32, 64, 64, 3, 1, 1};
/// Small enough for the reference, with partial tiles.
constexpr ConvShape checkedShape = {2, 9, 16, 24, 3, 1, 1};

TorchLayerCase torchCase(const ReluLayerData &data) {
  TorchLayerCase layer;
  layer.shape = data.shape;
  layer.x = data.x.data();
  layer.target = data.target.data();
  for (size_t i = 0; i < data.filters.size(); ++i) {
    layer.filters.push_back(data.filters[i].data());
    layer.biases.push_back(data.biases[i].data());
  }
  return layer;
}

/// The compiled layer.
class CompiledLayer {
public:
  explicit CompiledLayer(const ReluLayerData &data,
                         const CompileOptions &options = {})
      : data(data), options(options),
        text(reluLayerText(data.shape, data.filters.size())),
        program(text, Program::Pipeline::Gradients, options) {
    for (const auto &[name, view] : data.parameters())
      std::copy_n(static_cast<const float *>(view.data), view.elements(),
                  program.values(name));
    bare = program.call("bare", {});
    forward = program.call("forward", {});
    step = program.call("step", {data.targetView()});
    stepForward = program.callBefore(step, /*input=*/0);
  }

  /// y, then the gradients of x and of each branch's w and b.
  std::vector<std::vector<float>> results() {
    program.repeat(forward);
    std::vector<std::vector<float>> all = {
        copy(forward, 0, elements(data.shape.y()))};
    program.repeat(step);
    // Result 0 is the loss.
    all.push_back(copy(step, 1, data.x.size()));
    for (size_t i = 0; i < data.filters.size(); ++i) {
      all.push_back(copy(step, 2 + 2 * i, data.filters[i].size()));
      all.push_back(copy(step, 3 + 2 * i, data.biases[i].size()));
    }
    return all;
  }

  std::vector<std::vector<float>> referenceResults() const {
    using Pipeline = Program::Pipeline;
    auto all =
        reference(text, "forward", {}, Pipeline::Gradients, data.parameters());
    auto step = reference(text, "step", {data.targetView()},
                          Pipeline::Gradients, data.parameters());
    all.insert(all.end(), step.begin() + 1, step.end());
    return all;
  }

  const ReluLayerData &data;
  CompileOptions options;
  std::string text;
  Program program;
  DeviceProgram::Call bare, forward, step;
  /// The forward part of the step, which also writes what backward needs.
  DeviceProgram::Call stepForward;

private:
  std::vector<float> copy(const DeviceProgram::Call &call, size_t number,
                          int64_t count) {
    const float *values = program.result(call, number);
    return std::vector<float>(values, values + count);
  }
};

/// NaN if any error is.
double largest(const std::vector<double> &errors) {
  double most = 0;
  for (double error : errors)
    if (!(error <= most))
      most = error;
  return most;
}

double largestError(const std::vector<std::vector<float>> &actual,
                    const std::vector<std::vector<float>> &expected) {
  std::vector<double> errors;
  for (size_t i = 0; i < actual.size(); ++i)
    errors.push_back(
        relativeError(actual[i].data(), expected[i].data(), actual[i].size()));
  return largest(errors);
}

std::vector<std::vector<float>> resultsOf(TorchLayer &peer) {
  enterThreading(/*openMP=*/true);
  TorchLayerResults results = peer.results();
  enterThreading(/*openMP=*/false);
  std::vector<std::vector<float>> all = {results.y, results.dx};
  for (size_t i = 0; i < results.filterGradients.size(); ++i) {
    all.push_back(results.filterGradients[i]);
    all.push_back(results.biasGradients[i]);
  }
  return all;
}

using Peers = std::vector<std::unique_ptr<TorchLayer>>;

Peers makePeers(const ReluLayerData &data) {
  enterThreading(/*openMP=*/true);
  Peers peers = makeTorchLayers(torchCase(data), settings().threads);
  enterThreading(/*openMP=*/false);
  return peers;
}

/// The largest error against the peers or, without them, that of a small layer
/// against the reference.
double check(CompiledLayer &layer, const Peers &peers) {
  if (peers.empty()) {
    ReluLayerData small(checkedShape, layer.data.filters.size());
    CompiledLayer compiled(small, layer.options);
    return largestError(compiled.results(), compiled.referenceResults());
  }
  std::vector<std::vector<float>> results = layer.results();
  std::vector<double> errors;
  for (const auto &peer : peers)
    errors.push_back(largestError(results, resultsOf(*peer)));
  return largest(errors);
}

void countMemory(benchmark::State &state, const CompiledLayer &layer,
                 const Peers &peers) {
  constexpr auto pipeline = Program::Pipeline::Gradients;
  const ReluLayerData &data = layer.data;
  const int64_t batch = data.shape.batch;
  const int64_t xBytes = data.x.size() * sizeof(float);
  const int64_t yElements = elements(data.shape.y());
  StepMemory memory = stepMemory(layer.text, pipeline, batch);
  StepMemory one = stepMemory(reluLayerText(data.shape, 1), pipeline, batch);
  CompileOptions options;
  options.keep = KeepPolicy::Recompute;
  StepMemory recomputed = stepMemory(layer.text, pipeline, batch, options);
  // x is stored rather than in the arena, and y is kept for the loss.
  const int64_t others = xBytes - yElements * int64_t(sizeof(float));
  int64_t kept = memory.keptForBackward + others;
  auto &counters = state.counters;
  counters["arena_bytes"] = memory.arena;
  counters["arena_bytes_without_gradients"] = memory.arenaWithoutGradients;
  counters["arena_over_one"] = double(memory.arenaWithoutGradients + xBytes) /
                               (one.arenaWithoutGradients + xBytes);
  counters["kept_bytes"] = kept;
  counters["kept_over_bound"] =
      kept / (xBytes + data.filters.size() / 8.0 * yElements);
  counters["recompute_kept_over_input"] =
      double(recomputed.keptForBackward + others) / xBytes;
  counters["peak_bytes"] =
      data.bytes() + memory.arena + settings().threads * memory.scratch;
  for (size_t i = 0; i < peers.size(); ++i) {
    TorchMemory used = peers[i]->memory();
    std::string name = nameOf(torchForms[i]);
    counters[name + "_kept_bytes"] = used.kept;
    counters[name + "_peak_bytes"] = used.peak;
  }
}

void reluBranches(benchmark::State &state) {
  ReluLayerData data(layerShape, state.range(0));
  CompileOptions withoutWinograd;
  withoutWinograd.convAlgorithm = ConvAlgorithm::Direct;
  CompiledLayer layer(data), direct(data, withoutWinograd);
  Peers peers = makePeers(data);
  double error = largest({check(layer, peers), check(direct, peers)});
  if (!(error <= maximalError))
    return fail(state, "relative error " + std::to_string(error));

  auto runs = [](CompiledLayer &layer, const DeviceProgram::Call &call) {
    return Contender{[&] { layer.program.repeat(call); }};
  };
  std::vector<Contender> contenders = {
      runs(layer, layer.step), runs(layer, layer.bare),
      runs(layer, layer.stepForward), runs(direct, direct.step),
      runs(direct, direct.stepForward)};
  const size_t firstPeer = contenders.size();
  for (const auto &peer : peers)
    contenders.push_back({[&] { peer->step(); }, /*openMP=*/true});
  Rounds rounds;
  for (auto _ : state) {
    rounds.add(contenders);
    state.SetIterationTime(rounds.last(0));
  }
  auto &counters = state.counters;
  counters["step_ms"] = rounds.seconds(0) * 1e3;
  counters["bare_ms"] = rounds.seconds(1) * 1e3;
  counters["forward_over_bare"] = rounds.ratio(2, 1);
  counters["direct_ms"] = rounds.seconds(3) * 1e3;
  counters["direct_forward_over_bare"] = rounds.ratio(4, 1);
  counters["relative_error"] = error;
  for (size_t i = 0; i < peers.size(); ++i) {
    std::string name = nameOf(torchForms[i]);
    counters[name + "_ms"] = rounds.seconds(firstPeer + i) * 1e3;
    counters["time_over_" + name] = rounds.ratio(0, firstPeer + i);
  }
  countMemory(state, layer, peers);
  state.SetLabel(peers.empty() ? "no peer: built without LibTorch"
                               : "peer " + torchName());
  if (settings().breakdown)
    printBreakdown("ReluBranches/" + std::to_string(state.range(0)),
                   layer.program.breakdown(layer.step));
}

} // namespace

void bench::registerReluBranches() {
  benchmark::RegisterBenchmark("ReluBranches", reluBranches)
      ->Arg(1)
      ->Arg(4)
      ->Arg(8)
      ->Arg(16)
      ->Arg(32)
      ->Iterations(std::min(settings().rounds, maximalLongRounds))
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}
