//===- FashionStep.cpp - A step of the Fashion-MNIST network --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// One training step of cambium-train's network on random images, as it starts
// and after three growths of both its layers, beside LibTorch: there the linear
// branches are collapsed by hand, since PyTorch's users would.
//
//===----------------------------------------------------------------------===//

#include "../Bench.h"
#include "../Program.h"
#include "../peers/LibTorch.h"
#include "../peers/OpenMP.h"

#include "cambium/Trainer.h"

#include <cmath>

using namespace cambium;
using namespace cambium::bench;

namespace {

constexpr int64_t growths = 3;

void grow(Trainer &trainer) {
  for (int64_t growth = 0; growth < growths; ++growth) {
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

std::unique_ptr<TorchFashion> makePeer(const Trainer &trainer, bool grown,
                                       const TensorView &images,
                                       const TensorView &labels) {
  TorchFashionCase peer;
  peer.batch = images.shape[0];
  peer.branches = grown ? growths + 1 : 1;
  for (const std::string &name : trainer.parameterNames())
    peer.parameters[name] = trainer.parameter(name).data;
  peer.images = static_cast<const float *>(images.data);
  peer.labels = static_cast<const int32_t *>(labels.data);
  return makeTorchFashion(peer, settings().threads);
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

  std::unique_ptr<TorchFashion> peer = makePeer(trainer, grown, images, labels);
  // Learning the batch by heart shows that the step does its work.
  float first = trainer.step(images, labels);
  if (peer) {
    enterThreading(/*openMP=*/true);
    float theirs = peer->step();
    enterThreading(/*openMP=*/false);
    if (!(std::abs(theirs - first) <= 1e-4f * first))
      return fail(state, "the loss is " + std::to_string(first) +
                             ", LibTorch's " + std::to_string(theirs));
  }
  for (int i = 0; i < 30; ++i)
    trainer.step(images, labels);
  float loss = trainer.step(images, labels);
  if (!(loss < first))
    return fail(state, "the loss went from " + std::to_string(first) + " to " +
                           std::to_string(loss));

  std::vector<Contender> contenders = {
      {[&] { trainer.step(images, labels); }, false}};
  if (peer)
    contenders.push_back({[&] { peer->step(); }, true});
  Rounds rounds;
  for (auto _ : state) {
    rounds.add(contenders);
    state.SetIterationTime(rounds.last(0));
  }
  state.counters["step_ms"] = rounds.seconds(0) * 1e3;
  state.counters["images_per_second"] = batch / rounds.seconds(0);
  if (peer) {
    state.counters["ratio"] = rounds.ratio(1, 0);
    state.counters["peer_images_per_second"] = batch / rounds.seconds(1);
  }
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
