//===- Launch.cpp - What it costs to launch a kernel ----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A chain of kernels that copy eight floats each: what takes time is to launch
// them. With several threads it should take no longer, since nothing is worth
// handing to another.
//
//===----------------------------------------------------------------------===//

#include "../Bench.h"
#include "../Program.h"

#include <sstream>

using namespace cambium;
using namespace cambium::bench;

namespace {

constexpr int64_t launches = 200;

/// Pooling of single pixels, which shares its kernel with nothing.
std::string chain() {
  std::ostringstream text;
  text << "func.func @chain(%v0: tensor<?x1x1x8xf32>) -> "
          "tensor<?x1x1x8xf32> {\n";
  for (int64_t i = 0; i < launches; ++i)
    text << "  %v" << i + 1 << " = grow.max_pool2d %v" << i
         << " window [1, 1] stride [1, 1] : (tensor<?x1x1x8xf32>) -> "
            "tensor<?x1x1x8xf32>\n";
  text << "  return %v" << launches << " : tensor<?x1x1x8xf32>\n}\n";
  return text.str();
}

void launchOverhead(benchmark::State &state) {
  Block x(8);
  fillRandom(x, 1);
  Program program(chain(), Program::Pipeline::Kernels);
  DeviceProgram::Call call =
      program.call("chain", {TensorView(x.data(), {1, 1, 1, 8})});
  if (call.plan->plan.launches.size() != launches)
    return fail(state, "launches were joined");
  if (relativeError(program.result(call, 0), x.data(), 8) != 0)
    return fail(state, "the chain changes what it copies");
  HostDevice single(1);
  Rounds rounds;
  for (auto _ : state) {
    rounds.add({{[&] { single.run(*call.plan, call.inputs); }},
                {[&] { program.repeat(call); }}});
    state.SetIterationTime(rounds.last(0));
  }
  state.counters["ns_a_launch"] = rounds.seconds(0) / launches * 1e9;
  state.counters["ns_a_launch_all_threads"] =
      rounds.seconds(1) / launches * 1e9;
}

} // namespace

void bench::registerLaunch() {
  benchmark::RegisterBenchmark("Launch", launchOverhead)
      ->Iterations(settings().rounds)
      ->UseManualTime()
      ->Unit(benchmark::kMicrosecond);
}
