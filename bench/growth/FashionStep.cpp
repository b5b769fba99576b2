//===- FashionStep.cpp - A step of the Fashion-MNIST network --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One training step of cambium-train's network on random images, as it starts
// and after three growths of both its layers.
//
//===----------------------------------------------------------------------===//

#include "../Bench.h"
#include "../Program.h"

#include "cambium/Trainer.h"

#include <cmath>

using namespace cambium;
using namespace cambium::bench;

namespace {

void grow(Trainer &trainer) {
  for (int growth = 0; growth < 3; ++growth) {
    std::string group = trainer.addGroup({});
    for (const char *map : {"block1", "block2"}) {
      AddBranches branches;
      branches.map = map;
      branches.group = group;
      branches.init = Init::kaiming();
      trainer.grow(branches);
    }
  }
}

void fashionStep(benchmark::State &state, bool grown) {
  const int64_t batch = state.range(0);
  TrainerOptions options;
  options.target = Target::host(settings().threads);
  Trainer trainer(Network::load(CAMBIUM_FASHION_NETWORK), options);
  if (grown)
    grow(trainer);
  Block pixels(batch * 28 * 28);
  fillRandom(pixels, 1);
  std::vector<int32_t> classes(batch);
  for (int64_t i = 0; i < batch; ++i)
    classes[i] = i % 10;
  TensorView images(pixels.data(), {batch, 28, 28, 1});
  TensorView labels(classes.data(), {batch});

  // Learning the batch by heart shows that the step does its work.
  float first = trainer.step(images, labels);
  for (int i = 0; i < 30; ++i)
    trainer.step(images, labels);
  float loss = trainer.step(images, labels);
  if (!(loss < first))
    return fail(state, "the loss went from " + std::to_string(first) + " to " +
                           std::to_string(loss));

  Rounds rounds;
  for (auto _ : state) {
    rounds.add({{[&] { trainer.step(images, labels); }}});
    state.SetIterationTime(rounds.last(0));
  }
  state.counters["step_ms"] = rounds.seconds(0) * 1e3;
  state.counters["images_per_second"] = batch / rounds.seconds(0);
  state.counters["parameters"] = trainer.parameterCount();
  state.counters["arena_bytes"] = trainer.memory().arena;
  if (settings().breakdown) {
    Program program(trainer.network().text(), Program::Pipeline::Training);
    DeviceProgram::Call call = program.call("step", {images, labels});
    printBreakdown((grown ? "FashionStep/grown/" : "FashionStep/") +
                       std::to_string(batch),
                   program.breakdown(call));
  }
}

} // namespace

void bench::registerFashionStep() {
  for (bool grown : {false, true})
    benchmark::RegisterBenchmark(
        grown ? "FashionStep/grown" : "FashionStep",
        [grown](benchmark::State &state) { fashionStep(state, grown); })
        ->Arg(64)
        ->Arg(128)
        ->Iterations(settings().rounds)
        ->UseManualTime()
        ->Unit(benchmark::kMillisecond);
}
