//===- History.cpp - What happened in a run -------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "History.h"

#include "Format.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

namespace cambium::train {
namespace {

using Json = nlohmann::ordered_json;

Json toJson(const MemoryReport &memory) {
  return {{"parameters", memory.parameters},
          {"state", memory.state},
          {"gradients", memory.gradients},
          {"kept_for_backward", memory.keptForBackward},
          {"workspace", memory.workspace},
          {"arena", memory.arena}};
}

Json toJson(const EpochRecord &epoch) {
  return {{"epoch", epoch.epoch},
          {"seconds", epoch.seconds},
          {"train_loss", epoch.trainLoss},
          {"test_loss", epoch.testLoss},
          {"test_accuracy", epoch.testAccuracy},
          {"images_per_second", epoch.imagesPerSecond},
          {"parameters", epoch.parameters},
          {"resident_bytes", epoch.residentBytes}};
}

Json toJson(const GrowthRecord &record) {
  Json json = {{"step", record.step},
               {"epoch", record.epoch},
               {"seconds", record.seconds},
               {"map", record.growth.map},
               {"branches", record.growth.count},
               {"group", record.growth.group},
               {"optimizer", record.optimizer},
               {"learning_rate", record.learningRate},
               {"parameters_added", record.report.parametersAdded},
               {"parameters_after", record.parametersAfter},
               {"kernels_compiled", record.report.kernelsCompiled},
               {"kernels_reused", record.report.kernelsReused},
               {"milliseconds", record.report.milliseconds}};
  if (record.growth.kernel)
    json["kernel"] = *record.growth.kernel;
  Json remarks = Json::array();
  for (const Diagnostic &remark : record.report.remarks)
    remarks.push_back(
        {{"location", remark.location}, {"message", remark.message}});
  json["remarks"] = remarks;
  if (!record.error.empty())
    json["error"] = record.error;
  return json;
}

Json toJson(const GroupRecord &group) {
  Json json = {{"name", group.name},
               {"optimizer", group.optimizer},
               {"learning_rate", group.learningRate},
               {"final_learning_rate", group.finalLearningRate},
               {"weight_decay", group.weightDecay},
               {"growth", group.growth}};
  if (group.parameters >= 0)
    json["parameters"] = group.parameters;
  return json;
}

Json toJson(const std::vector<StepRecord> &steps) {
  Json seconds = Json::array(), milliseconds = Json::array(),
       loss = Json::array();
  for (const StepRecord &step : steps) {
    seconds.push_back(std::round(step.seconds * 1e4) / 1e4);
    milliseconds.push_back(std::round(step.milliseconds * 1e3) / 1e3);
    loss.push_back(step.loss);
  }
  return {{"seconds", seconds}, {"milliseconds", milliseconds}, {"loss", loss}};
}

Json toJson(const std::vector<std::pair<std::string, std::string>> &table) {
  Json json = Json::object();
  for (const auto &[name, value] : table)
    json[name] = value;
  return json;
}

} // namespace

double History::accuracy() const {
  return epochs.empty() ? std::numeric_limits<double>::quiet_NaN()
                        : epochs.back().testAccuracy;
}

int64_t History::growthCount() const {
  return std::count_if(
      growths.begin(), growths.end(),
      [](const GrowthRecord &record) { return record.error.empty(); });
}

double History::stageMilliseconds(size_t stage, double quantile) const {
  size_t first = stages[stage].firstStep;
  size_t last =
      stage + 1 < stages.size() ? stages[stage + 1].firstStep : steps.size();
  std::vector<double> times;
  for (size_t i = first; i < last; ++i)
    times.push_back(steps[i].milliseconds);
  if (times.empty())
    return 0.0;
  auto at = times.begin() + std::llround(quantile * (times.size() - 1));
  std::nth_element(times.begin(), at, times.end());
  return *at;
}

std::string toJson(const History &history) {
  Json json;
  json["date"] = history.date;
  json["network"] = history.networkPath;
  json["data"] = {{"path", history.dataPath},
                  {"image_shape", history.imageShape},
                  {"train_images", history.trainImages},
                  {"test_images", history.testImages}};
  json["result"] = {{"accuracy", history.accuracy()},
                    {"growths", history.growthCount()},
                    {"train_seconds", history.trainSeconds},
                    {"load_seconds", history.loadSeconds},
                    {"compile_seconds", history.compileSeconds},
                    {"peak_resident_bytes", history.peakResidentBytes},
                    {"interrupted", history.interrupted}};
  json["command"] = history.command;
  json["configuration"] = toJson(history.configuration);
  json["machine"] = toJson(history.machine);
  for (const char *list : {"epochs", "growths", "groups", "stages"})
    json[list] = Json::array();
  for (const EpochRecord &epoch : history.epochs)
    json["epochs"].push_back(toJson(epoch));
  for (const GrowthRecord &growth : history.growths)
    json["growths"].push_back(toJson(growth));
  for (const GroupRecord &group : history.groups)
    json["groups"].push_back(toJson(group));
  for (size_t i = 0; i < history.stages.size(); ++i) {
    const StageRecord &stage = history.stages[i];
    json["stages"].push_back(
        {{"first_step", stage.firstStep},
         {"parameters", stage.parameters},
         {"median_step_milliseconds", history.stageMilliseconds(i)},
         {"memory", toJson(stage.memory)},
         {"resident_bytes", stage.residentBytes}});
  }
  json["steps"] = toJson(history.steps);
  // Names and paths may hold any bytes; replace what is not UTF-8.
  return json.dump(-1, ' ', false, Json::error_handler_t::replace) + "\n";
}

} // namespace cambium::train
