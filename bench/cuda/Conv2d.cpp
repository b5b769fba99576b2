//===- Conv2d.cpp - Convolutions on a GPU beside cuDNN --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// Each kind of convolution as a generated kernel, beside the fastest of the
// plans that cuDNN's heuristics propose. Cambium works on fp32 tensors and
// packs its filter in each run; so does cuDNN, with filters in the order that
// it prefers, but for bf16, where all its tensors are bf16: half the bytes.
//
//===----------------------------------------------------------------------===//

#include "../Program.h"
#include "Peer.h"

#include <sstream>

using namespace cambium;
using namespace cambium::bench;

namespace {

struct NamedShape {
  const char *origin;
  ConvShape shape;
};

//                     batch size  in out  k  s  p
const NamedShape shapes[] = {
    {"growing layer", {256, 32, 64, 64, 3, 1, 1}},
    {"growing layer", {256, 16, 128, 128, 3, 1, 1}},
    {"growing layer", {256, 28, 32, 32, 3, 1, 1}},
    {"5x5", {256, 32, 32, 32, 5, 1, 2}},
    {"Fashion-MNIST block1", {256, 14, 16, 32, 3, 1, 1}},
    {"Fashion-MNIST block2", {256, 7, 32, 64, 3, 1, 1}},
    {"ResNet stem", {64, 224, 3, 64, 7, 2, 3}},
    {"ResNet-18", {64, 56, 64, 64, 3, 1, 1}},
    {"ResNet-18", {64, 56, 64, 128, 3, 2, 1}},
    {"ResNet-18", {64, 28, 128, 128, 3, 1, 1}},
    {"ResNet-18", {64, 14, 256, 256, 3, 1, 1}},
    {"ResNet-18", {64, 7, 512, 512, 3, 1, 1}},
    {"ResNet-50", {64, 56, 64, 256, 1, 1, 0}},
    {"ResNet-50", {64, 28, 512, 128, 1, 1, 0}},
    {"smoke test", {1, 6, 8, 8, 3, 1, 1}},
};

const char *kindName(ConvKind kind) {
  switch (kind) {
  case ConvKind::Forward:
    return "forward";
  case ConvKind::BackwardData:
    return "dx";
  case ConvKind::BackwardFilter:
    return "dw";
  }
  return "";
}

std::string typeText(const std::vector<int64_t> &shape) {
  std::string text = "tensor<";
  for (int64_t extent : shape)
    text += std::to_string(extent) + "x";
  return text + "f32>";
}

struct Operands {
  std::vector<int64_t> lhs, rhs, result;
};

Operands operandsOf(ConvKind kind, const ConvShape &shape) {
  switch (kind) {
  case ConvKind::Forward:
    return {shape.x(), shape.w(), shape.y()};
  case ConvKind::BackwardData:
    return {shape.y(), shape.w(), shape.x()};
  case ConvKind::BackwardFilter:
    break;
  }
  return {shape.x(), shape.y(), shape.w()};
}

/// @conv with the one operation on parameters, which are on the device already.
std::string functionText(ConvKind kind, const ConvShape &shape) {
  Operands operands = operandsOf(kind, shape);
  std::string lhs = typeText(operands.lhs), rhs = typeText(operands.rhs),
              result = typeText(operands.result);
  const char *op = kind == ConvKind::Forward        ? "conv2d"
                   : kind == ConvKind::BackwardData ? "conv2d_grad_input"
                                                    : "conv2d_grad_filter";
  std::ostringstream text;
  text << "grow.group @g {optimizer = #grow.sgd, lr = 0.1}\n";
  for (auto [name, type] : {std::pair("lhs", lhs), std::pair("rhs", rhs)})
    text << "grow.param @" << name << " : " << type
         << " in @g init(#grow.zero)\n";
  text << "func.func @conv() -> " << result
       << " {\n  %lhs = grow.get @lhs : " << lhs
       << "\n  %rhs = grow.get @rhs : " << rhs << "\n  %result = grow." << op
       << " %lhs, %rhs stride [" << shape.stride << ", " << shape.stride
       << "] padding [" << shape.padding << ", " << shape.padding << "] : ("
       << lhs << ", " << rhs << ") -> " << result
       << "\n  return %result : " << result << "\n}\n";
  return text.str();
}

/// cuDNN's convolution of the same tensors.
class Peer {
public:
  Peer(Gpu &gpu, ConvKind kind, const ConvShape &shape, Precision precision,
       const LibraryPlan &plan, const Block &lhs, const Block &rhs)
      : kind(kind), shape(shape), memory(gpu, precision == Precision::Bf16),
        work(memory) {
    auto values = [](const Block &block) {
      return std::vector<float>(block.data(), block.data() + block.size());
    };
    elements = elementsOf(kind, shape);
    Slot lhsSlot = memory.add(elements.lhs), rhsSlot = memory.add(elements.rhs);
    result = memory.add(elements.result);
    memory.reserve(plan.workspaceBytes());
    memory.write(lhsSlot, values(lhs));
    memory.write(rhsSlot, kind == ConvKind::BackwardFilter
                              ? values(rhs)
                              : toCudnnFilter(rhs.data(), shape));
    work.add(plan, lhsSlot, rhsSlot, result);
  }

  void run() { work.run(); }
  std::vector<float> read() {
    std::vector<float> values = memory.read(result, elements.result);
    return kind == ConvKind::BackwardFilter ? fromCudnnFilter(values, shape)
                                            : values;
  }

private:
  ConvKind kind;
  ConvShape shape;
  ConvElements elements;
  PeerMemory memory;
  PeerPlan work;
  Slot result;
};

void runCase(benchmark::State &state, Gpus &gpus, ConvKind kind,
             Precision precision, const NamedShape &named) {
  const ConvShape &shape = named.shape;
  Operands operands = operandsOf(kind, shape);
  ConvElements elements = elementsOf(kind, shape);
  Block lhs(elements.lhs), rhs(elements.rhs);
  fillRandom(lhs, 1);
  fillRandom(rhs, 2);
  CompileOptions options;
  options.precision = precision;
  std::string text = functionText(kind, shape);
  auto prepare = [&](Program &program) {
    program.write("lhs", {lhs.data(), operands.lhs});
    program.write("rhs", {rhs.data(), operands.rhs});
    return program.call("conv", {});
  };
  Program host(text, Program::Pipeline::Kernels);
  std::vector<float> expected = host.read(prepare(host), 0);
  Program program(text, Program::Pipeline::Kernels, options, &gpus.ours.device);
  DeviceProgram::Call call = prepare(program);
  double error = relativeError(program.read(call, 0).data(), expected.data(),
                               elements.result);
  if (!(error <= maximalError(precision)))
    return fail(state, "relative error " + std::to_string(error));
  std::vector<Contender> contenders = {
      gpus.ours.contender([&] { program.repeat(call); })};

  std::optional<LibraryPlan> plan = fastestPlan(
      gpus.peers, libraryConvolution(kind, shape, precision), elements);
  std::optional<Peer> peer;
  if (plan) {
    peer.emplace(gpus.peers, kind, shape, precision, *plan, lhs, rhs);
    peer->run();
    double peerError =
        relativeError(peer->read().data(), expected.data(), elements.result);
    if (!(peerError <= maximalError(precision)))
      return fail(state,
                  "relative error of the peer " + std::to_string(peerError));
    state.counters["peer_error"] = peerError;
    contenders.push_back(gpus.peers.contender([&] { peer->run(); }));
  }
  Rounds rounds;
  for (auto _ : state) {
    rounds.add(contenders);
    state.SetIterationTime(rounds.last(0));
  }
  double tflop = shape.flops() * 1e-12;
  state.counters["ms"] = rounds.seconds(0) * 1e3;
  state.counters["tflops"] = tflop / rounds.seconds(0);
  state.counters["relative_error"] = error;
  std::string label = named.origin;
  if (peer) {
    state.counters["peer_ms"] = rounds.seconds(1) * 1e3;
    state.counters["peer_tflops"] = tflop / rounds.seconds(1);
    state.counters["ratio"] = rounds.ratio(1, 0);
    label += "; peer " + gpus.peers.cudnnName + ", " + plan->name();
  } else {
    label += gpus.peers.cudnn ? "; no peer: cuDNN has no plan" : "; no peer";
  }
  state.SetLabel(label);
}

} // namespace

void bench::registerCudaConv2d(Gpus &gpus) {
  for (ConvKind kind :
       {ConvKind::Forward, ConvKind::BackwardData, ConvKind::BackwardFilter})
    for (Precision precision :
         {Precision::Fp32, Precision::Tf32, Precision::Bf16})
      for (const NamedShape &named : shapes) {
        std::string name = std::string("CudaConv2d/") + kindName(kind) + "/" +
                           precisionName(precision) + "/" + named.shape.str();
        benchmark::RegisterBenchmark(
            name.c_str(),
            [=, &gpus, &named](benchmark::State &state) {
              runCase(state, gpus, kind, precision, named);
            })
            ->Iterations(settings().rounds)
            ->UseManualTime()
            ->Unit(benchmark::kMillisecond);
      }
}
