//===- OpenMP.cpp - Two thread pools in one process -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OpenMP.h"

#include <chrono>
#include <cstdlib>
#include <sched.h>
#include <sstream>
#include <string>
#include <thread>
#include <unistd.h>

using namespace cambium;

/// Holds the cores that the program was started on while it starts anew.
static constexpr const char *coresVariable = "CAMBIUM_BENCH_CORES";

/// 2.5 ms on a Zen 3 processor, where a spin is one pause instruction; up to
/// three times as long elsewhere.
static constexpr const char *spins = "100000";
static constexpr std::chrono::milliseconds untilAsleep(25);

static cpu_set_t currentCores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  sched_getaffinity(0, sizeof(cores), &cores);
  return cores;
}

void bench::restartForOpenMP(char **argv, unsigned threads) {
  if (std::getenv(coresVariable))
    return;
  cpu_set_t cores = currentCores();
  std::string list;
  for (int core = 0; core < CPU_SETSIZE; ++core)
    if (CPU_ISSET(core, &cores))
      list += std::to_string(core) + " ";
  setenv(coresVariable, list.c_str(), 1);
  setenv("OMP_NUM_THREADS", std::to_string(threads).c_str(), 1);
  setenv("OMP_PROC_BIND", "true", 1);
  setenv("OMP_WAIT_POLICY", "active", 1);
  setenv("GOMP_SPINCOUNT", spins, 1);
  // On failure the program runs on with OpenMP's defaults.
  execv("/proc/self/exe", argv);
}

static cpu_set_t allCores() {
  cpu_set_t cores;
  CPU_ZERO(&cores);
  const char *list = std::getenv(coresVariable);
  std::istringstream stream(list ? list : "");
  for (int core; stream >> core;)
    CPU_SET(core, &cores);
  return CPU_COUNT(&cores) > 0 ? cores : currentCores();
}

void bench::enterThreading(bool openMP) {
  // What libgomp bound the main thread to before main.
  static const cpu_set_t bound = currentCores();
  static const cpu_set_t all = allCores();
  static int current = -1;
  if (current == static_cast<int>(openMP))
    return;
  current = openMP;
  sched_setaffinity(0, sizeof(cpu_set_t), openMP ? &bound : &all);
  std::this_thread::sleep_for(untilAsleep);
}
