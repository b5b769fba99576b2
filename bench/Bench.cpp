//===- Bench.cpp - What all benchmarks share ------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Bench.h"

#include "peers/OpenMP.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <limits>
#include <random>
#include <thread>

using namespace cambium;
using namespace cambium::bench;

static int numberFromEnvironment(const char *name, int otherwise) {
  const char *text = std::getenv(name);
  int number = text ? std::atoi(text) : 0;
  return number > 0 ? number : otherwise;
}

const Settings &bench::settings() {
  static const Settings settings = [] {
    Settings read;
    read.threads = numberFromEnvironment("CAMBIUM_BENCH_THREADS",
                                         std::thread::hardware_concurrency());
    read.rounds = numberFromEnvironment("CAMBIUM_BENCH_ROUNDS", read.rounds);
    read.breakdown = std::getenv("CAMBIUM_BENCH_BREAKDOWN") != nullptr;
    return read;
  }();
  return settings;
}

double bench::median(std::vector<double> values) {
  auto middle = values.begin() + values.size() / 2;
  std::nth_element(values.begin(), middle, values.end());
  return *middle;
}

/// The median of as many runs as fit in a turn, and at least three unless they
/// are long.
static double timeTurn(const Contender &contender) {
  using Clock = std::chrono::steady_clock;
  constexpr std::chrono::milliseconds turn(30), longest(400);
  enterThreading(contender.openMP);
  contender.run();
  std::vector<double> runs;
  for (auto begin = Clock::now();
       Clock::now() - begin < (runs.size() < 3 ? longest : turn);) {
    if (contender.timed) {
      runs.push_back(contender.timed());
      continue;
    }
    auto start = Clock::now();
    contender.run();
    runs.push_back(std::chrono::duration<double>(Clock::now() - start).count());
  }
  return median(std::move(runs));
}

void Rounds::add(const std::vector<Contender> &contenders) {
  std::vector<double> &times = all.emplace_back();
  for (const Contender &contender : contenders)
    times.push_back(timeTurn(contender));
  enterThreading(/*openMP=*/false);
}

double Rounds::seconds(size_t contender) const {
  std::vector<double> times;
  for (const std::vector<double> &round : all)
    times.push_back(round[contender]);
  return median(std::move(times));
}

double Rounds::ratio(size_t numerator, size_t denominator) const {
  std::vector<double> ratios;
  for (const std::vector<double> &round : all)
    ratios.push_back(round[numerator] / round[denominator]);
  return median(std::move(ratios));
}

void bench::fillRandom(Block &block, unsigned seed) {
  std::mt19937 random(seed);
  for (int64_t i = 0; i < block.size(); ++i)
    block.data()[i] = static_cast<int32_t>(random()) * 0x1p-31f;
}

double bench::relativeError(const float *actual, const float *expected,
                            int64_t count) {
  double error = 0, norm = 0;
  for (int64_t i = 0; i < count; ++i) {
    double difference = static_cast<double>(actual[i]) - expected[i];
    error += difference * difference;
    norm += static_cast<double>(expected[i]) * expected[i];
  }
  // Neither NaN nor an error against zeros passes a comparison with a bound.
  if (norm == 0)
    return error == 0 ? 0 : std::numeric_limits<double>::infinity();
  return std::sqrt(error / norm);
}

static bool failed = false;

void bench::fail(benchmark::State &state, const std::string &message) {
  failed = true;
  state.SkipWithError(message.c_str());
}

bool bench::anyFailed() { return failed; }
