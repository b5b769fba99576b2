//===- Schedule.h - When to grow, and the learning rates --------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_SCHEDULE_H
#define CAMBIUM_TRAIN_SCHEDULE_H

#include "cambium/Trainer.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cambium::train {

/// A length of training, in steps or epochs: "200", "200steps", "0.5epochs".
struct Span {
  double length = 0.0;
  bool inEpochs = false;

  int64_t steps(int64_t stepsPerEpoch) const;
  /// Throws cambium::Error; `what` names the option in the message.
  static Span parse(const std::string &text, const std::string &what);
};

/// The loss is on a plateau when its mean over the last `patience` steps is
/// less than `threshold` (a fraction) below its mean over the steps before.
struct PlateauRule {
  double threshold = 0.01;
  Span patience = {200.0, false};
};

/// One growth and when it happens.
struct GrowthSpec {
  /// Time from the start of training, or nothing: wait for a plateau.
  std::optional<Span> at;
  PlateauRule plateau;
  AddBranches growth;
  GroupOptions group;
  /// The text gives options of the group, which therefore must be new.
  bool groupIsNew = false;
  /// As the user wrote it.
  std::string text;
};

/// Parses `key=value,…`. `number` counts growths from 1 and names the group
/// where the text does not. Throws cambium::Error saying which keys and values
/// there are.
GrowthSpec parseGrowth(const std::string &text, unsigned number,
                       const PlateauRule &plateau = {});

/// A schedule for a network that came without one: three growths, spread over
/// the first 60 % of the run or, with `onPlateau`, each at a plateau. The maps
/// take turns: two branches of zeros or, for a map with a ReLU, one of a small
/// constant, which leaves the outputs nearly as they were and lets the gradient
/// through; two such branches would stay equal for ever. Each growth has its
/// own group, which has this rate and decay. Empty if the network has no map.
std::vector<std::string> defaultGrowths(const std::vector<MapInfo> &maps,
                                        double epochs, float learningRate,
                                        float weightDecay, bool onPlateau);

/// Says when growths are due. Growths with a time come at their time; those
/// that wait for a plateau come one after the other in the order given, and
/// every growth starts the search for the next plateau afresh.
class GrowthSchedule {
public:
  GrowthSchedule(std::vector<GrowthSpec> specs, int64_t stepsPerEpoch);

  /// The growths due before the step with this index, in the order given, each
  /// once. Ask before every step.
  std::vector<GrowthSpec> due(int64_t step);
  /// Takes out a growth that came up in an earlier part of the run.
  void take(const std::string &text);
  /// The loss of a step, for the plateau search.
  void record(float loss);

  /// Growths that have not come up so far.
  const std::vector<GrowthSpec> &pending() const { return specs; }
  /// Growths whose time is at or after `totalSteps`.
  std::vector<GrowthSpec> beyond(int64_t totalSteps) const;

private:
  bool onPlateau(const PlateauRule &rule) const;

  std::vector<GrowthSpec> specs;
  int64_t stepsPerEpoch;
  std::vector<float> losses;
};

/// The factor by which every group's rate is multiplied in a step: a linear
/// warm-up, then cosine to zero, constant, or a drop every so many steps.
struct RateSchedule {
  enum class Kind { Cosine, Constant, Step };

  double factor(int64_t step) const;

  Kind kind = Kind::Cosine;
  int64_t totalSteps = 1;
  int64_t warmupSteps = 0;
  int64_t dropEvery = 1;
  double dropFactor = 0.1;
};

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_SCHEDULE_H
