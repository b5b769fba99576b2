//===- Progress.h - Bars and lines while training ---------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_PROGRESS_H
#define CAMBIUM_TRAIN_PROGRESS_H

#include "History.h"

#include <cstdint>
#include <cstdio>
#include <string>

namespace cambium::train {

/// What the bars show.
struct ProgressState {
  int64_t epoch = 0;
  int64_t epochs = 0;
  int64_t stepInEpoch = 0;
  int64_t stepsPerEpoch = 0;
  /// Of the latest steps.
  double loss = 0.0;
  double imagesPerSecond = 0.0;
  /// Negative before the first test.
  double accuracy = -1.0;
  double seconds = 0.0;
  int64_t residentBytes = 0;
  int64_t networkBytes = 0;
};

/// Prints how the run goes on: two bars that are redrawn in place on a
/// terminal, else a line every few seconds. Finished epochs, growths and
/// messages are lines that stay.
class Progress {
public:
  Progress(std::FILE *out, bool quiet);
  ~Progress();

  /// Whether it is time to show another state; asking is cheap.
  bool wants(double seconds) const;
  void show(const ProgressState &state);
  void epochDone(const EpochRecord &epoch, int64_t epochs);
  void grew(const GrowthRecord &growth);
  void message(const std::string &text);
  /// On standard error, also when quiet.
  void warning(const std::string &text);
  /// Removes the bars.
  void clear();

private:
  void draw(const ProgressState &state);
  void keep(const std::string &line);

  std::FILE *out;
  bool quiet;
  bool terminal;
  bool drawn = false;
  double last = -1.0;
};

/// `grew block1 +2 branches into grown1: +18 432 parameters, …`
std::string growthLine(const GrowthRecord &growth);

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_PROGRESS_H
