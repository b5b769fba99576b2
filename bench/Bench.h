//===- Bench.h - What all benchmarks share ----------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_BENCH_H
#define CAMBIUM_BENCH_BENCH_H

#include "cambium/Runtime/ParameterStore.h"

#include <benchmark/benchmark.h>

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace cambium::bench {

/// Read from the environment:
///   CAMBIUM_BENCH_THREADS    threads of Cambium and its peers (all cores)
///   CAMBIUM_BENCH_ROUNDS     turns that each contender gets (15)
///   CAMBIUM_BENCH_BREAKDOWN  if set, steps print the time of every kernel
struct Settings {
  unsigned threads = 1;
  int rounds = 15;
  bool breakdown = false;
};
const Settings &settings();

/// Rounds of cases whose contenders run for longer than a turn.
inline constexpr int maximalLongRounds = 5;

/// Something to be timed against others.
struct Contender {
  std::function<void()> run;
  /// Whether it runs on OpenMP's threads rather than oneTBB's.
  bool openMP = false;
  /// Runs it once and gives the seconds by a clock of its own, such as a
  /// device's; null for this process's clock.
  std::function<double()> timed = nullptr;
};

/// Seconds of a run: for each round and contender the median run of its turn.
/// The contenders take turns, so that what slows the machine for a while slows
/// all of them.
class Rounds {
public:
  void add(const std::vector<Contender> &contenders);
  /// Median over the rounds.
  double seconds(size_t contender) const;
  /// Median over the rounds of one contender's time divided by another's.
  double ratio(size_t numerator, size_t denominator) const;
  /// Of the last round.
  double last(size_t contender) const { return all.back()[contender]; }

private:
  std::vector<std::vector<double>> all;
};

double median(std::vector<double> values);

/// Uniform in [-1, 1), the same for the same seed.
void fillRandom(Block &block, unsigned seed);

/// |actual - expected| / |expected| in the L2 norm.
double relativeError(const float *actual, const float *expected, int64_t count);

/// Ends the case with an error, which also makes the program's exit status 1.
void fail(benchmark::State &state, const std::string &message);
bool anyFailed();

void registerConv2d();
void registerLaunch();
void registerMemoryBound();
void registerGrowthCurve();
void registerLinearBranches();
void registerManyBranches();
void registerReluBranches();
void registerFashionStep();

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_BENCH_H
