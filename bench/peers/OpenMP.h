//===- OpenMP.h - Two thread pools in one process ---------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Cambium runs on oneTBB's threads and oneDNN on OpenMP's. For a fair race
// neither may disturb the other:
//
//   * OpenMP's threads are bound to cores, each to one, without which runs on
//     two threads sometimes take twice as long. libgomp then binds the main
//     thread as well, and threads that it starts inherit that; so the main
//     thread is bound while OpenMP runs and free while oneTBB does.
//   * OpenMP's threads spin between parallel regions, for 300 µs to minutes
//     depending on the environment. Here they spin for some milliseconds, much
//     longer than between two layers; and a pause longer than that, when the
//     pools take turns, has all of them asleep.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_PEERS_OPENMP_H
#define CAMBIUM_BENCH_PEERS_OPENMP_H

namespace cambium::bench {

/// libgomp reads its settings before main: sets them in the environment and
/// starts the program anew, once. To be called early in main, but after
/// enterThreading.
void restartForOpenMP(char **argv, unsigned threads);

/// Waits for the other pool's threads to sleep, and gives the main thread the
/// cores that this pool wants.
void enterThreading(bool openMP);

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_PEERS_OPENMP_H
