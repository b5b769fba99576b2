//===- TrainingRun.h - One training run -------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_TRAININGRUN_H
#define CAMBIUM_TRAIN_TRAININGRUN_H

#include "Batches.h"
#include "Dataset.h"
#include "History.h"
#include "Options.h"
#include "Progress.h"
#include "Resume.h"
#include "Schedule.h"
#include "cambium/Trainer.h"

#include <chrono>
#include <memory>
#include <set>

namespace cambium::train {

/// One run: reads, compiles, trains, grows, tests and keeps the history.
class TrainingRun {
public:
  TrainingRun(const Options &options, Progress &progress);

  /// Reads the data and compiles the network; throws cambium::Error if they
  /// cannot be used or do not fit each other.
  void prepare();
  /// Trains to the end, to an interrupt or until the loss is not finite, which
  /// throws cambium::Error. Growths that fail are warnings. The report on disk
  /// is brought up to date after every epoch.
  void train();
  /// Writes the report; returns its path.
  std::string finish();

  const History &history() const { return record; }

private:
  void load();
  void compile();
  void resume(const TrainerOptions &trainerOptions);
  void noteGroups();
  void checkFit();
  void scheduleGrowths();
  void warnOfMisfits(const std::vector<GrowthSpec> &specs,
                     const std::vector<MapInfo> &declared);
  void describe();

  void replayGrowths();
  /// The checkpoint at the end must be there; another may be missed.
  void save(bool atEnd);
  bool trainEpoch(int64_t epoch);
  void trainStep(const Batch &batch);
  void applyRates();
  void growDue();
  void grow(const GrowthSpec &spec);
  void ensureGroup(const GrowthSpec &spec);
  void test(int64_t epoch, int64_t firstStep);
  void noteStage();
  void showProgress(int64_t epoch);
  void countParameters();
  double seconds() const;
  int64_t step() const { return static_cast<int64_t>(record.steps.size()); }
  int64_t totalSteps() const { return stepsPerEpoch * options.epochs; }

  const Options &options;
  Progress &progress;
  History record;
  Course course;

  Dataset data;
  std::unique_ptr<Normalization> normalization;
  std::unique_ptr<Batches> trainBatches;
  std::unique_ptr<Batches> testBatches;
  std::unique_ptr<Trainer> trainer;
  std::unique_ptr<GrowthSchedule> growths;
  RateSchedule rates;
  int64_t stepsPerEpoch = 0;
  int64_t saveEvery = 0;
  double appliedFactor = -1.0;
  std::chrono::steady_clock::time_point start;
};

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_TRAININGRUN_H
