//===- History.h - What happened in a run -----------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_HISTORY_H
#define CAMBIUM_TRAIN_HISTORY_H

#include "cambium/Trainer.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cambium::train {

struct StepRecord {
  /// Training time at the end of the step.
  double seconds;
  double milliseconds;
  float loss;
};

struct EpochRecord {
  int64_t epoch;
  double seconds;
  double trainLoss;
  double testLoss;
  double testAccuracy;
  double imagesPerSecond;
  int64_t parameters;
  int64_t residentBytes;
};

/// A growth that happened or, with an error, did not.
struct GrowthRecord {
  int64_t step;
  /// Epochs trained so far, with their fraction.
  double epoch;
  double seconds;
  AddBranches growth;
  std::string optimizer;
  float learningRate;
  bool newGroup;
  GrowthReport report;
  int64_t parametersAfter;
  std::string error;
};

struct GroupRecord {
  std::string name;
  std::string optimizer;
  /// Base rate, and the rate that the schedule made of it in the end.
  float learningRate;
  float finalLearningRate;
  float weightDecay;
  /// The growth, counted from 1, that made it; 0 for the network's own.
  unsigned growth;
  /// Trained scalars; negative where it is not known.
  int64_t parameters;
};

/// The run between two growths.
struct StageRecord {
  int64_t firstStep;
  int64_t parameters;
  MemoryReport memory;
  int64_t residentBytes;
};

/// Everything that the report shows.
struct History {
  std::string networkPath;
  std::string dataPath;
  std::string imageShape;
  int64_t trainImages = 0;
  int64_t testImages = 0;
  int64_t batch = 0;
  /// Date and time of the start, for people.
  std::string date;
  std::vector<std::string> command;
  /// Name and value, in the order of the table.
  std::vector<std::pair<std::string, std::string>> configuration;
  std::vector<std::pair<std::string, std::string>> machine;

  std::vector<StepRecord> steps;
  std::vector<EpochRecord> epochs;
  std::vector<GrowthRecord> growths;
  std::vector<GroupRecord> groups;
  std::vector<StageRecord> stages;

  /// Reading the data; compiling the network; steps, growths and tests.
  double loadSeconds = 0.0;
  double compileSeconds = 0.0;
  double trainSeconds = 0.0;
  int64_t peakResidentBytes = 0;
  bool interrupted = false;

  /// Of the last test; NaN before the first.
  double accuracy() const;
  /// Growths that succeeded.
  int64_t growthCount() const;
  /// A quantile of the times of a stage's steps; 0 if it had none.
  double stageMilliseconds(size_t stage, double quantile = 0.5) const;
};

/// The history as JSON, for further analysis.
std::string toJson(const History &history);

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_HISTORY_H
