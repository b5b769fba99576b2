//===- Resume.h - What a run goes on from -----------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_RESUME_H
#define CAMBIUM_TRAIN_RESUME_H

#include "History.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cambium::train {

/// What decides how a run goes on, besides the trainer and the command line.
struct Course {
  /// The order of the images depends on these.
  int64_t batch = 0;
  int64_t trainImages = 0;
  uint64_t seed = 0;
  bool augment = false;
  /// The texts of all growths, and of those that have come up.
  std::vector<std::string> growths, taken;
};

/// Throws cambium::Error where a run with this course cannot go on from
/// `saved`.
void checkSameData(const Course &course, const Course &saved);

/// The course, and what has happened, as a text.
std::string toText(const Course &course, const History &history);
/// Of the history, steps, epochs, growths, groups, stages and the training time
/// are read. Throws cambium::Error for any other text.
void fromText(const std::string &text, Course &course, History &history);

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_RESUME_H
