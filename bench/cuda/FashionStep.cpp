//===- FashionStep.cpp - A step of the Fashion-MNIST network --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// One training step of cambium-train's network on a GPU: as the device sees it,
// copies of the batch included, and as who calls Trainer::step does, which
// waits for the loss. As it starts, and after three growths of both its layers.
//
//===----------------------------------------------------------------------===//

#include "../Program.h"
#include "Gpu.h"

#include "cambium/Trainer.h"

#include <cmath>
#include <filesystem>

using namespace cambium;
using namespace cambium::bench;

namespace {

/// Beside the folder of the program, both in the build tree and wherever both
/// are copied to.
std::string networkFile() {
  namespace fs = std::filesystem;
  fs::path self = fs::read_symlink("/proc/self/exe");
  return (self.parent_path().parent_path() / "share" / "cambium" /
          "fashion-mnist.mlir")
      .string();
}

/// Three more branches in both maps.
Network grown(const Network &network) {
  Trainer trainer(network);
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
  return trainer.network();
}

struct Batch {
  explicit Batch(int64_t size) : pixels(size * 28 * 28), classes(size) {
    fillRandom(pixels, 1);
    for (int64_t i = 0; i < size; ++i)
      classes[i] = i % 10;
  }
  std::vector<TensorView> views() const {
    int64_t size = classes.size();
    return {TensorView(pixels.data(), {size, 28, 28, 1}),
            TensorView(classes.data(), {size})};
  }
  Block pixels;
  std::vector<int32_t> classes;
};

void fashionStep(benchmark::State &state, Gpus &gpus, bool isGrown,
                 Precision precision, int64_t size) {
  Network network = Network::load(networkFile());
  if (isGrown)
    network = grown(network);
  Batch batch(size);
  auto views = batch.views();
  TrainerOptions hostOptions, options;
  options.target = Target::cuda();
  options.compile.precision = precision;
  Trainer host(network, hostOptions), trainer(network, options);
  double error = 0;
  for (int i = 0; i < 3; ++i) {
    double expected = host.step(views[0], views[1]);
    double loss = trainer.step(views[0], views[1]);
    double difference = std::abs(loss - expected) / std::abs(expected);
    // Not std::max, which hides NaN.
    if (!(difference <= error))
      error = difference;
  }
  if (!(error <= maximalError(precision)))
    return fail(state,
                "losses differ from the host's by " + std::to_string(error));

  Program program(network.text(), Program::Pipeline::Training, options.compile,
                  &gpus.ours.device);
  DeviceProgram::Call step = program.call("step", views);
  Rounds rounds;
  std::vector<Contender> contenders = {
      gpus.ours.contender([&] { program.repeat(step); }),
      {[&] { trainer.step(views[0], views[1]); }}};
  for (auto _ : state) {
    rounds.add(contenders);
    state.SetIterationTime(rounds.last(0));
  }
  state.counters["device_ms"] = rounds.seconds(0) * 1e3;
  state.counters["step_ms"] = rounds.seconds(1) * 1e3;
  state.counters["images_per_second"] = size / rounds.seconds(1);
  state.counters["loss_error"] = error;
}

} // namespace

void bench::registerCudaFashionStep(Gpus &gpus) {
  for (bool isGrown : {false, true})
    for (Precision precision :
         {Precision::Fp32, Precision::Tf32, Precision::Bf16})
      for (int64_t size : {4, 128, 1024}) {
        std::string name =
            std::string("CudaFashionStep/") + (isGrown ? "grown/" : "start/") +
            precisionName(precision) + "/" + std::to_string(size);
        benchmark::RegisterBenchmark(name.c_str(),
                                     [=, &gpus](benchmark::State &state) {
                                       fashionStep(state, gpus, isGrown,
                                                   precision, size);
                                     })
            ->Iterations(settings().rounds)
            ->UseManualTime()
            ->Unit(benchmark::kMillisecond);
      }
}
