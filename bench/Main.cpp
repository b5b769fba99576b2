//===- Main.cpp - cambium-bench -------------------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Bench.h"

#include "cambium/Jit/Jit.h"
#include "peers/LibTorch.h"
#include "peers/OneDnn.h"
#include "peers/OpenMP.h"

#include <fstream>
#include <iostream>

using namespace cambium;
using namespace cambium::bench;

static std::string processorName() {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);)
    if (line.compare(0, 10, "model name") == 0)
      return line.substr(line.find(':') + 2);
  return "unknown";
}

int main(int argc, char **argv) {
  // Before anything counts the cores, or starts threads that inherit them.
  enterThreading(/*openMP=*/false);
  restartForOpenMP(argv, settings().threads);
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv))
    return 1;
  benchmark::AddCustomContext("processor", processorName());
  benchmark::AddCustomContext("isa", isaName(detectIsa()));
  benchmark::AddCustomContext("threads", std::to_string(settings().threads));
  benchmark::AddCustomContext("rounds", std::to_string(settings().rounds));
  benchmark::AddCustomContext("peer", oneDnnName() + "; " + torchName());
  try {
    registerConv2d();
    registerMemoryBound();
    registerLaunch();
    registerLinearBranches();
    registerManyBranches();
    registerReluBranches();
    registerGrowthCurve();
    registerFashionStep();
    benchmark::RunSpecifiedBenchmarks();
  } catch (const std::exception &error) {
    std::cerr << "cambium-bench: " << error.what() << "\n";
    return 1;
  }
  return anyFailed() ? 1 : 0;
}
