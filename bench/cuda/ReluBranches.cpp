//===- ReluBranches.cpp - Rectified branches on a GPU ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// y = sum over i of relu(conv3x3(x, w_i) + b_i), its gradient dx, and all dw_i
// and db_i, as one kernel each, beside cuDNN (PeerLayer.h). Both start from dy.
//
//===----------------------------------------------------------------------===//

#include "../Program.h"
#include "PeerLayer.h"

using namespace cambium;
using namespace cambium::bench;

namespace {

constexpr ConvShape layerShape = {256, 32, 64, 64, 3, 1, 1};
constexpr ConvShape smokeShape = {1, 6, 8, 8, 3, 1, 1};

/// The compiled layer, on the GPU or the host.
class Layer {
public:
  Layer(const ReluLayerData &data, const CompileOptions &options,
        cuda::Device *gpu)
      : branches(data.filters.size()),
        program(reluLayerText(data.shape, branches, /*withBare=*/false),
                Program::Pipeline::Gradients, options, gpu) {
    for (const auto &[name, values] : data.parameters())
      program.write(name, values);
    forward = program.call("forward", {});
    y = program.read(forward, 0);
    step = program.call("step", {data.targetView()});
    // Result 0 is the loss, then those of x, w0, b0, w1, ...
    dx = program.read(step, 1);
    for (size_t i = 0; i < branches; ++i) {
      gradients.push_back(program.read(step, 2 + 2 * i));
      gradients.push_back(program.read(step, 3 + 2 * i));
    }
  }

  /// The launches of the step that are of branches: those before the first of
  /// backward, those that compute dx, and those with results of each branch.
  DeviceProgram::Call part(const char *wanted) {
    bool inBackward = false;
    return program.callOf(step, [&, wanted](grow::KernelOp kernel) {
      grow::FusedMapOp map = kernel.getFusedMap();
      bool isForward = map && !inBackward;
      inBackward |= static_cast<bool>(map);
      if (!map)
        return false;
      std::string role = isForward                            ? "forward"
                         : map.getJoin(0) == grow::Join::Each ? "dw"
                                                              : "dx";
      return role == wanted;
    });
  }

  size_t branches;
  Program program;
  DeviceProgram::Call forward, step;
  std::vector<float> y, dx;
  /// Of w0, b0, w1, ...
  std::vector<std::vector<float>> gradients;
};

double errorOf(const std::vector<float> &actual,
               const std::vector<float> &expected) {
  return relativeError(actual.data(), expected.data(), expected.size());
}

/// NaN if any is.
double largest(std::initializer_list<double> errors) {
  double most = 0;
  for (double error : errors)
    if (!(error <= most))
      most = error;
  return most;
}

double errorOf(const Layer &layer, const Layer &expected) {
  double error =
      largest({errorOf(layer.y, expected.y), errorOf(layer.dx, expected.dx)});
  for (size_t i = 0; i < expected.gradients.size(); ++i)
    error =
        largest({error, errorOf(layer.gradients[i], expected.gradients[i])});
  return error;
}

double errorOf(PeerLayer &peer, const Layer &expected) {
  peer.runForward();
  peer.runBackward();
  double error =
      largest({errorOf(peer.y(), expected.y), errorOf(peer.dx(), expected.dx)});
  for (size_t i = 0; i < expected.branches; ++i)
    error = largest({error, errorOf(peer.dw(i), expected.gradients[2 * i])});
  return error;
}

std::vector<float> gradientOfLoss(const Layer &layer, const Block &target) {
  std::vector<float> dy(layer.y.size());
  for (size_t i = 0; i < dy.size(); ++i)
    dy[i] = 2.0f * (layer.y[i] - target.data()[i]) / dy.size();
  return dy;
}

void runCase(benchmark::State &state, Gpus &gpus, const ConvShape &shape,
             int64_t branches, Precision precision) {
  ReluLayerData data(shape, branches);
  CompileOptions options;
  options.precision = precision;
  Layer expected(data, options, nullptr);
  Layer layer(data, options, &gpus.ours.device);
  double error = errorOf(layer, expected);
  if (!(error <= maximalError(precision)))
    return fail(state, "relative error " + std::to_string(error));
  std::vector<Contender> contenders;
  auto addOurs = [&](const DeviceProgram::Call &call) {
    contenders.push_back(
        gpus.ours.contender([&layer, call] { layer.program.repeat(call); }));
  };
  addOurs(layer.forward);
  for (const char *role : {"forward", "dx", "dw"})
    addOurs(layer.part(role));

  auto peer = PeerLayer::create(gpus.peers, data, precision);
  if (peer) {
    peer->setGradient(gradientOfLoss(expected, data.target));
    // The sum over the branches is rounded after each.
    double peerError = errorOf(*peer, expected) / branches;
    if (!(peerError <= maximalError(precision)))
      return fail(state,
                  "relative error of the peer " + std::to_string(peerError));
    contenders.push_back(gpus.peers.contender([&] { peer->runForward(); }));
    contenders.push_back(gpus.peers.contender([&] { peer->runBackward(); }));
  }
  Rounds rounds;
  for (auto _ : state) {
    rounds.add(contenders);
    state.SetIterationTime(rounds.last(0));
  }
  auto &counters = state.counters;
  double dx = rounds.seconds(2), dw = rounds.seconds(3);
  counters["forward_ms"] = rounds.seconds(0) * 1e3;
  counters["training_forward_ms"] = rounds.seconds(1) * 1e3;
  counters["dx_ms"] = dx * 1e3;
  counters["dw_ms"] = dw * 1e3;
  counters["forward_tflops"] =
      branches * shape.flops() * 1e-12 / rounds.seconds(0);
  counters["dx_tflops"] = branches * shape.flops() * 1e-12 / dx;
  counters["dw_tflops"] = branches * shape.flops() * 1e-12 / dw;
  counters["relative_error"] = error;
  if (peer) {
    counters["peer_forward_ms"] = rounds.seconds(4) * 1e3;
    counters["peer_backward_ms"] = rounds.seconds(5) * 1e3;
    counters["forward_ratio"] = rounds.ratio(4, 0);
    counters["training_forward_ratio"] = rounds.ratio(4, 1);
    counters["backward_ratio"] = rounds.seconds(5) / (dx + dw);
  }
  state.SetLabel(peer ? "peer " + gpus.peers.cudnnName : "no peer");
}

} // namespace

void bench::registerCudaRelu(Gpus &gpus) {
  auto add = [&](const std::string &name, const ConvShape &shape,
                 int64_t branches, Precision precision) {
    benchmark::RegisterBenchmark(name.c_str(),
                                 [=, &gpus](benchmark::State &state) {
                                   runCase(state, gpus, shape, branches,
                                           precision);
                                 })
        ->Iterations(settings().rounds)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
  };
  for (Precision precision :
       {Precision::Fp32, Precision::Tf32, Precision::Bf16}) {
    std::string prefix =
        std::string("CudaReluBranches/") + precisionName(precision) + "/";
    for (int64_t branches : {1, 4, 8, 16})
      add(prefix + std::to_string(branches), layerShape, branches, precision);
    add(prefix + "smoke", smokeShape, 2, precision);
  }
}
