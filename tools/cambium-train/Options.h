//===- Options.h - The command line -----------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_OPTIONS_H
#define CAMBIUM_TRAIN_OPTIONS_H

#include "Schedule.h"
#include "cambium/Trainer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cambium::train {

/// The command line.
struct Options {
  std::string data = "/usr/share/datasets/fashion-mnist";
  std::string network;
  std::string output = "cambium-report";

  int64_t epochs = 8;
  int64_t batch = 128;
  int64_t limitTrain = 0;
  int64_t limitTest = 0;
  bool augment = false;
  uint64_t seed = 1;
  unsigned threads = 0;
  std::string isaName = "native";
  /// "host", "cuda", or "cuda:" and a device's number.
  std::string targetName = "host";
  std::string precisionName = "fp32";
  std::string convLibraryName = "generated";

  /// The --grow texts; "none" alone for a network that stays as it is.
  std::vector<std::string> growTexts;
  /// Set where --plateau or --patience is given.
  bool onPlateau = false;
  PlateauRule plateau;

  /// Checkpoint files, and that of the network for inference; empty for none.
  std::string save, resume, exported;
  Span saveEvery = {1.0, true};

  std::optional<float> learningRate;
  RateSchedule::Kind rateKind = RateSchedule::Kind::Cosine;
  std::string rateName = "cosine";
  Span warmup = {0.0, false};
  Span dropEvery = {2.0, true};
  double dropFactor = 0.1;

  bool quiet = false;
  /// The whole command, to repeat it.
  std::vector<std::string> command;

  Isa isa() const;
  bool onCuda() const { return targetName != "host"; }
  Target target() const;
  Precision precision() const;
  ConvLibrary convLibrary() const;
};

/// A command line that cannot be run: exit with `exitCode`. The message is for
/// standard output if the code is 0 (help), else for standard error.
struct UsageExit {
  int exitCode;
  std::string message;
};

/// Throws UsageExit.
Options parseOptions(int argc, const char *const *argv);

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_OPTIONS_H
