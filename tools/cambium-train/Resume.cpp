//===- Resume.cpp - What a run goes on from -------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Resume.h"

#include "Format.h"

#include <nlohmann/json.hpp>

using Json = nlohmann::json;

// The library finds these by the types' namespaces.
namespace cambium {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(MemoryReport, parameters, state, gradients,
                                   keptForBackward, workspace, arena)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Diagnostic, severity, location, message)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GrowthReport, parametersAdded,
                                   kernelsCompiled, kernelsReused, milliseconds,
                                   remarks)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Init, kind, value, branch)

// NOLINTNEXTLINE(readability-identifier-naming)
static void to_json(Json &json, const AddBranches &growth) {
  json = {{"map", growth.map},
          {"count", growth.count},
          {"group", growth.group},
          {"init", growth.init}};
  if (growth.kernel)
    json["kernel"] = *growth.kernel;
}

// NOLINTNEXTLINE(readability-identifier-naming)
static void from_json(const Json &json, AddBranches &growth) {
  growth.map = json.at("map");
  growth.count = json.at("count");
  growth.group = json.at("group");
  growth.init = json.at("init");
  if (json.contains("kernel"))
    growth.kernel = json["kernel"].get<std::array<int64_t, 2>>();
}

} // namespace cambium

namespace cambium::train {

NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(EpochRecord, epoch, seconds, trainLoss,
                                   testLoss, testAccuracy, imagesPerSecond,
                                   parameters, residentBytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GrowthRecord, step, epoch, seconds, growth,
                                   optimizer, learningRate, newGroup, report,
                                   parametersAfter, error)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(GroupRecord, name, optimizer, learningRate,
                                   finalLearningRate, weightDecay, growth,
                                   parameters)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(StageRecord, firstStep, parameters, memory,
                                   residentBytes)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Course, batch, trainImages, seed, augment,
                                   growths, taken)

namespace {

/// Columns: a long run has many steps.
Json columnsOf(const std::vector<StepRecord> &steps) {
  Json seconds = Json::array(), milliseconds = Json::array(),
       loss = Json::array();
  for (const StepRecord &step : steps) {
    seconds.push_back(step.seconds);
    milliseconds.push_back(step.milliseconds);
    loss.push_back(step.loss);
  }
  return {{"seconds", seconds}, {"milliseconds", milliseconds}, {"loss", loss}};
}

std::vector<StepRecord> stepsOf(const Json &columns) {
  std::vector<StepRecord> steps(columns.at("loss").size());
  for (size_t i = 0; i < steps.size(); ++i)
    steps[i] = {columns.at("seconds").at(i), columns.at("milliseconds").at(i),
                columns.at("loss").at(i)};
  return steps;
}

/// Throws unless the numbers of steps and epochs fit each other.
void checkCounts(const Course &course, const History &history) {
  if (course.batch < 1 || course.trainImages < course.batch)
    throw Error("its batches are larger than its data");
  int64_t perEpoch = course.trainImages / course.batch;
  int64_t steps = history.steps.size(), epochs = history.epochs.size();
  if (steps / perEpoch < epochs || steps > (epochs + 1) * perEpoch)
    throw Error(counted(steps, "step", "steps") + " and " +
                counted(epochs, "epoch", "epochs") + " contradict each other");
  for (const GrowthRecord &growth : history.growths)
    if (growth.step < 0 || growth.step > steps)
      throw Error("a growth comes after its last step");
  if (history.stages.empty())
    throw Error("it has no stage");
}

} // namespace

void checkSameData(const Course &course, const Course &saved) {
  auto expect = [](const std::string &what, auto now, auto then) {
    if (now != then)
      throw Error("its run has " + what + " " + std::to_string(then) +
                  ", this one " + std::to_string(now) +
                  "; a run goes on with the data in the same order");
  };
  expect("--batch", course.batch, saved.batch);
  expect("--seed", course.seed, saved.seed);
  expect("--augment", course.augment, saved.augment);
  expect("a number of training images of", course.trainImages,
         saved.trainImages);
}

std::string toText(const Course &course, const History &history) {
  Json json = {{"course", course},
               {"seconds", history.trainSeconds},
               {"steps", columnsOf(history.steps)},
               {"epochs", history.epochs},
               {"growths", history.growths},
               {"groups", history.groups},
               {"stages", history.stages}};
  // Remarks may name files by any bytes; replace what is not UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

void fromText(const std::string &text, Course &course, History &history) {
  try {
    Json json = Json::parse(text);
    course = json.at("course");
    history.trainSeconds = json.at("seconds");
    history.steps = stepsOf(json.at("steps"));
    history.epochs = json.at("epochs").get<std::vector<EpochRecord>>();
    history.growths = json.at("growths").get<std::vector<GrowthRecord>>();
    history.groups = json.at("groups").get<std::vector<GroupRecord>>();
    history.stages = json.at("stages").get<std::vector<StageRecord>>();
  } catch (const Json::exception &error) {
    throw Error(std::string("what it holds of the run is malformed: ") +
                error.what());
  }
  checkCounts(course, history);
}

} // namespace cambium::train
