//===- ManyBranches.cpp - Rectified branches beside direct convolutions ---===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// y = sum over i of relu(conv3x3(x, w_i) + b_i), the mean squared error, and
// all gradients, beside oneDNN's direct convolutions of the same branches:
// forward, backward-data and backward-filter of each, without bias, relu, sums
// and loss. Cambium transforms or packs its filters in each run.
//
//===----------------------------------------------------------------------===//

#include "../Bench.h"
#include "../Program.h"
#include "../growth/ReluLayer.h"
#include "../peers/OneDnn.h"
#include "../peers/OpenMP.h"

#include <algorithm>

using namespace cambium;
using namespace cambium::bench;

namespace {

/// What the double reference allows, in the L2 norm.
constexpr double maximalError = 3e-6;

constexpr ConvShape shapes[] = {
    {16, 32, 64, 64, 3, 1, 1},
    {64, 28, 32, 32, 3, 1, 1},
    {16, 16, 128, 128, 3, 1, 1},
};
/// Of each shape's channels, and small enough for the reference.
ConvShape checkedShape(ConvShape shape) {
  shape.batch = 1;
  shape.size = 14;
  return shape;
}

/// A network of one layer, with its parameters.
struct Layer {
  Layer(const ConvShape &shape, int64_t branches)
      : data(shape, branches),
        text(reluLayerText(shape, branches, /*withBare=*/false)),
        program(text, Program::Pipeline::Gradients) {
    for (const auto &[name, view] : data.parameters())
      std::copy_n(static_cast<const float *>(view.data), view.elements(),
                  program.values(name));
    forward = program.call("forward", {});
    step = program.call("step", {data.targetView()});
  }

  /// Largest error of y, dx, dw_i and db_i.
  double error() {
    using Pipeline = Program::Pipeline;
    auto y =
        reference(text, "forward", {}, Pipeline::Gradients, data.parameters());
    auto all = reference(text, "step", {data.targetView()}, Pipeline::Gradients,
                         data.parameters());
    program.repeat(forward);
    double most = relativeError(program.result(forward, 0), y[0].data(),
                                static_cast<int64_t>(y[0].size()));
    program.repeat(step);
    for (size_t i = 1; i < all.size(); ++i)
      most =
          std::max(most, relativeError(program.result(step, i), all[i].data(),
                                       static_cast<int64_t>(all[i].size())));
    return most;
  }

  ReluLayerData data;
  std::string text;
  Program program;
  DeviceProgram::Call forward, step;
};

/// All convolutions of the branches in oneDNN.
class DirectBranches {
public:
  explicit DirectBranches(const ReluLayerData &data) : dy(data.target) {
    const float *x = data.x.data();
    for (const Block &filter : data.filters) {
      add(ConvKind::Forward, data.shape, x, filter.data());
      add(ConvKind::BackwardData, data.shape, dy.data(), filter.data());
      add(ConvKind::BackwardFilter, data.shape, x, dy.data());
    }
  }

  bool exists() const { return convolutions.front() != nullptr; }
  void run() {
    for (const auto &convolution : convolutions)
      convolution->run();
  }

private:
  void add(ConvKind kind, const ConvShape &shape, const float *lhs,
           const float *rhs) {
    convolutions.push_back(makeOneDnnConv(kind, shape, lhs, rhs));
  }

  const Block &dy;
  std::vector<std::unique_ptr<OneDnnConv>> convolutions;
};

void runCase(benchmark::State &state, const ConvShape &shape,
             int64_t branches) {
  double error =
      Layer(checkedShape(shape), std::min<int64_t>(branches, 2)).error();
  if (!(error <= maximalError))
    return fail(state, "relative error " + std::to_string(error));
  Layer layer(shape, branches);
  DirectBranches peer(layer.data);
  std::vector<Contender> contenders = {
      {[&] { layer.program.repeat(layer.step); }, false}};
  if (peer.exists())
    contenders.push_back({[&] { peer.run(); }, true});
  Rounds rounds;
  for (auto _ : state) {
    rounds.add(contenders);
    state.SetIterationTime(rounds.last(0));
  }
  // Direct sums of forward, backward-data and backward-filter.
  double gflop = 3e-9 * shape.flops() * static_cast<double>(branches);
  state.counters["median_ms"] = rounds.seconds(0) * 1e3;
  state.counters["gflops"] = gflop / rounds.seconds(0);
  state.counters["relative_error"] = error;
  if (!peer.exists())
    return state.SetLabel("no peer: built without oneDNN");
  state.counters["ratio"] = rounds.ratio(1, 0);
  state.counters["peer_gflops"] = gflop / rounds.seconds(1);
}

} // namespace

void bench::registerManyBranches() {
  for (const ConvShape &shape : shapes)
    for (int64_t branches : {1, 8, 16}) {
      std::string name =
          "ManyBranches/" + shape.str() + "/" + std::to_string(branches);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [&shape, branches](benchmark::State &state) {
                                     runCase(state, shape, branches);
                                   })
          ->Iterations(std::min(settings().rounds, maximalLongRounds))
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
}
