//===- Conv2d.cpp - Convolutions and their gradients ----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each kind of convolution as a compiled kernel, run by a HostDevice, beside
// oneDNN. Cambium works on NHWC and HWCF tensors and packs the filter in each
// run; oneDNN works in the layouts that it prefers, already reordered.
//
//===----------------------------------------------------------------------===//

#include "../Bench.h"
#include "../Program.h"
#include "../peers/OneDnn.h"
#include "../peers/OpenMP.h"

#include <sstream>

using namespace cambium;
using namespace cambium::bench;

namespace {

constexpr double maximalError = 1e-4;

struct NamedShape {
  const char *origin;
  ConvShape shape;
};

//                     batch size  in out  k  s  p
const NamedShape shapes[] = {
    {"growing layer", {16, 32, 64, 64, 3, 1, 1}},
    {"growing layer", {16, 16, 128, 128, 3, 1, 1}},
    {"growing layer", {64, 28, 32, 32, 3, 1, 1}},
    {"5x5", {16, 32, 32, 32, 5, 1, 2}},
    {"Fashion-MNIST stem", {64, 28, 1, 16, 3, 1, 1}},
    {"Fashion-MNIST block1", {64, 14, 16, 32, 3, 1, 1}},
    {"Fashion-MNIST block2", {64, 7, 32, 64, 3, 1, 1}},
    {"ResNet stem", {4, 224, 3, 64, 7, 2, 3}},
    {"ResNet-18", {8, 56, 64, 64, 3, 1, 1}},
    {"ResNet-18", {8, 56, 64, 128, 3, 2, 1}},
    {"ResNet-18", {8, 28, 128, 128, 3, 1, 1}},
    {"ResNet-18", {8, 14, 256, 256, 3, 1, 1}},
    {"ResNet-18", {8, 7, 512, 512, 3, 1, 1}},
    {"ResNet-18", {8, 56, 64, 128, 1, 2, 0}},
    {"ResNet-50", {8, 56, 64, 256, 1, 1, 0}},
    {"ResNet-50", {8, 28, 512, 128, 1, 1, 0}},
    {"VGG", {2, 112, 64, 128, 3, 1, 1}},
};

const char *kindName(ConvKind kind) {
  switch (kind) {
  case ConvKind::Forward:
    return "forward";
  case ConvKind::BackwardData:
    return "backward_data";
  case ConvKind::BackwardFilter:
    return "backward_filter";
  }
  return "";
}

/// A tensor's type; activations have a dynamic batch, as in a network.
std::string typeText(const std::vector<int64_t> &shape, bool dynamicBatch) {
  std::ostringstream text;
  text << "tensor<";
  for (size_t i = 0; i < shape.size(); ++i)
    (i == 0 && dynamicBatch ? text << "?" : text << shape[i]) << "x";
  text << "f32>";
  return text.str();
}

/// @conv with the one operation.
std::string functionText(ConvKind kind, const ConvShape &shape) {
  std::string x = typeText(shape.x(), true), w = typeText(shape.w(), false),
              y = typeText(shape.y(), true);
  std::string op = "conv2d", lhs = x, rhs = w, result = y;
  if (kind == ConvKind::BackwardData) {
    op = "conv2d_grad_input";
    lhs = y;
    result = x;
  } else if (kind == ConvKind::BackwardFilter) {
    op = "conv2d_grad_filter";
    rhs = y;
    result = w;
  }
  std::ostringstream text;
  text << "func.func @conv(%lhs: " << lhs << ", %rhs: " << rhs << ") -> "
       << result << " {\n  %result = grow." << op << " %lhs, %rhs stride ["
       << shape.stride << ", " << shape.stride << "] padding [" << shape.padding
       << ", " << shape.padding << "] : (" << lhs << ", " << rhs << ") -> "
       << result << "\n  return %result : " << result << "\n}\n";
  return text.str();
}

int64_t elements(const std::vector<int64_t> &shape) {
  int64_t product = 1;
  for (int64_t extent : shape)
    product *= extent;
  return product;
}

/// The case's tensors, and what it should compute.
struct Case {
  Case(ConvKind kind, const ConvShape &shape)
      : text(functionText(kind, shape)),
        lhsShape(kind == ConvKind::BackwardData ? shape.y() : shape.x()),
        rhsShape(kind == ConvKind::BackwardFilter ? shape.y() : shape.w()),
        resultElements(elements(kind == ConvKind::Forward        ? shape.y()
                                : kind == ConvKind::BackwardData ? shape.x()
                                                                 : shape.w())),
        lhs(elements(lhsShape)), rhs(elements(rhsShape)) {
    fillRandom(lhs, 1);
    fillRandom(rhs, 2);
    peer = makeOneDnnConv(kind, shape, lhs.data(), rhs.data());
  }

  std::vector<TensorView> inputs() const {
    return {{lhs.data(), lhsShape}, {rhs.data(), rhsShape}};
  }

  /// As the peer computes it or, where there is none, the reference.
  std::vector<float> expected() {
    if (!peer)
      return reference(text, "conv", inputs())[0];
    std::vector<float> values(resultElements);
    enterThreading(true);
    peer->run();
    peer->read(values.data());
    enterThreading(false);
    return values;
  }

  std::string text;
  std::vector<int64_t> lhsShape, rhsShape;
  int64_t resultElements;
  Block lhs, rhs;
  std::unique_ptr<OneDnnConv> peer;
};

void runCase(benchmark::State &state, ConvKind kind, const NamedShape &named) {
  Case problem(kind, named.shape);
  Program program(problem.text, Program::Pipeline::Kernels);
  DeviceProgram::Call call = program.call("conv", problem.inputs());
  double error =
      relativeError(program.result(call, 0), problem.expected().data(),
                    problem.resultElements);
  if (!(error <= maximalError))
    return fail(state, "relative error " + std::to_string(error));

  std::vector<Contender> contenders = {{[&] { program.repeat(call); }, false}};
  if (problem.peer)
    contenders.push_back({[&] { problem.peer->run(); }, true});
  Rounds rounds;
  for (auto _ : state) {
    rounds.add(contenders);
    state.SetIterationTime(rounds.last(0));
  }
  double gflop = named.shape.flops() * 1e-9;
  state.counters["median_ms"] = rounds.seconds(0) * 1e3;
  state.counters["gflops"] = gflop / rounds.seconds(0);
  state.counters["relative_error"] = error;
  std::string label = named.origin;
  if (problem.peer) {
    state.counters["ratio"] = rounds.ratio(1, 0);
    state.counters["peer_gflops"] = gflop / rounds.seconds(1);
    label += "; peer oneDNN " + problem.peer->implementation();
  } else {
    label += "; no peer: built without oneDNN";
  }
  state.SetLabel(label);
}

} // namespace

void bench::registerConv2d() {
  for (ConvKind kind :
       {ConvKind::Forward, ConvKind::BackwardData, ConvKind::BackwardFilter})
    for (const NamedShape &named : shapes) {
      std::string name =
          std::string("Conv2d/") + kindName(kind) + "/" + named.shape.str();
      benchmark::RegisterBenchmark(name.c_str(),
                                   [kind, &named](benchmark::State &state) {
                                     runCase(state, kind, named);
                                   })
          ->Iterations(settings().rounds)
          ->UseManualTime()
          ->Unit(benchmark::kMillisecond);
    }
}
