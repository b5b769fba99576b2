//===- ReportTest.cpp - Charts, report and history ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Report.h"
#include "Chart.h"
#include "Format.h"
#include "History.h"
#include "Progress.h"
#include "cambium/Error.h"

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <limits>
#include <regex>

using namespace cambium;
using namespace cambium::train;

namespace {

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

/// A run of two epochs of ten steps that grew after 5 and 12 steps and failed
/// to grow after 15.
History sample() {
  History history;
  history.networkPath = "net <1>.mlir";
  history.dataPath = "data & more";
  history.imageShape = "28x28x1";
  history.trainImages = 1280;
  history.testImages = 640;
  history.batch = 128;
  history.command = {"cambium-train", "--data=data & more"};
  history.configuration = {{"Epochs", "2"}};
  history.machine = {{"Processor", "A \"fast\" one"}};
  for (int i = 0; i < 20; ++i)
    history.steps.push_back({0.1 * (i + 1), 90.0 + i, 2.0f / (i + 1)});
  history.epochs.push_back({1, 1.0, 0.6, 0.5, 0.8, 1400.0, 1100, 1 << 26});
  history.epochs.push_back({2, 2.0, 0.2, 0.3, 0.91234, 1400.0, 1200, 1 << 26});
  auto grow = [&](int64_t step, const char *error) {
    GrowthRecord growth = {};
    growth.step = step;
    growth.epoch = step / 10.0;
    growth.seconds = step * 0.1;
    growth.growth.map = "block1";
    growth.growth.count = 2;
    growth.growth.group = "grown";
    growth.report = {18432, 0, 9, 0.8, {}};
    growth.error = error;
    history.growths.push_back(growth);
  };
  grow(5, "");
  grow(12, "");
  grow(15, "no map 'block9'");
  history.groups.push_back({"base", "sgd", 0.05f, 0.0f, 0.0f, 0, 1000});
  MemoryReport memory;
  memory.parameters = 4000;
  memory.arena = 1 << 20;
  history.stages.push_back({0, 1000, memory, 1 << 26});
  history.stages.push_back({5, 1100, memory, 1 << 26});
  history.stages.push_back({12, 1200, memory, 1 << 26});
  history.trainSeconds = 2.04;
  return history;
}

TEST(Format, Numbers) {
  EXPECT_EQ(grouped(0), "0");
  EXPECT_EQ(grouped(999), "999");
  EXPECT_EQ(grouped(18432), "18 432");
  EXPECT_EQ(grouped(-1234567), "-1 234 567");
  EXPECT_EQ(bytes(1023), "1023 B");
  EXPECT_EQ(bytes(1536), "1.5 KiB");
  EXPECT_EQ(bytes(int64_t(300) << 20), "300 MiB");
  EXPECT_EQ(duration(59.4), "59 s");
  EXPECT_EQ(duration(59.6), "1:00");
  EXPECT_EQ(duration(3723), "1:02:03");
  EXPECT_EQ(counted(1, "branch", "branches"), "1 branch");
  EXPECT_EQ(counted(2, "branch", "branches"), "2 branches");
}

TEST(Format, QuotesForTheShell) {
  EXPECT_EQ(shellQuoted("--grow=epoch=1,map=a"), "--grow=epoch=1,map=a");
  EXPECT_EQ(shellQuoted("a b"), "'a b'");
  EXPECT_EQ(shellQuoted("it's"), "'it'\\''s'");
  EXPECT_EQ(shellQuoted(""), "''");
}

TEST(Progress, GrowthLine) {
  EXPECT_EQ(growthLine(sample().growths[0]),
            "grew block1 +2 branches into grown: +18 432 parameters, 0 kernels "
            "compiled, 9 reused, 0.8 ms");
}

TEST(Axis, LinearCoversItsRangeWithRoundTicks) {
  auto label = [](double value) { return format("%g", value); };
  for (auto [low, high] : std::vector<std::pair<double, double>>{
           {0, 1}, {0, 27.3}, {82.96, 84.3}, {-3, 5}, {0, 1e7}, {4, 4}}) {
    Axis axis = linearAxis(low, high, 5, label);
    EXPECT_LE(axis.low, low + 1e-9);
    EXPECT_GE(axis.high, high - 1e-9);
    EXPECT_GE(axis.ticks.size(), 3u);
    EXPECT_LE(axis.ticks.size(), 8u);
    EXPECT_DOUBLE_EQ(axis.position(axis.low), 0.0);
    EXPECT_DOUBLE_EQ(axis.position(axis.high), 1.0);
  }
}

TEST(Axis, LogarithmicHoldsItsTicks) {
  auto label = [](double value) { return format("%g", value); };
  for (auto [low, high] : std::vector<std::pair<double, double>>{
           {0.2, 2.3}, {0.001, 5.0}, {1e-6, 1e3}}) {
    Axis axis = logAxis(low, high, label);
    EXPECT_GE(axis.ticks.size(), 3u);
    EXPECT_LE(axis.ticks.size(), 14u);
    for (const Tick &tick : axis.ticks) {
      EXPECT_GE(axis.position(tick.at), 0.0);
      EXPECT_LE(axis.position(tick.at), 1.0);
    }
  }
}

TEST(Axis, TimeIsInSecondsOrMinutes) {
  EXPECT_EQ(timeAxis(40).ticks[1].label, "5");
  EXPECT_EQ(timeAxis(240).ticks[1].label, "0:30");
  EXPECT_LE(timeAxis(5000).ticks.size(), 10u);
}

TEST(Chart, MarkLabelsDoNotOverlap) {
  Chart chart;
  chart.x = timeAxis(100);
  Panel panel;
  panel.y = linearAxis(0, 1, 5, [](double) { return ""; });
  chart.panels.push_back(panel);
  for (int i = 0; i < 6; ++i)
    chart.marks.push_back({50.0 + i, "label " + std::to_string(i)});
  std::string svg = chart.svg();
  std::regex pattern("<text x=\"([0-9.]+)\" y=\"([-0-9.]+)\" "
                     "text-anchor=\"middle\" class=\"marklabel\">");
  std::vector<std::pair<double, double>> places;
  for (std::sregex_iterator it(svg.begin(), svg.end(), pattern), end; it != end;
       ++it)
    places.emplace_back(std::stod((*it)[1]), std::stod((*it)[2]));
  ASSERT_EQ(places.size(), 6u);
  for (size_t i = 0; i < places.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      EXPECT_TRUE(std::abs(places[i].first - places[j].first) > 50.0 ||
                  std::abs(places[i].second - places[j].second) > 12.0);
}

TEST(Report, ResultLine) {
  EXPECT_EQ(resultLine(sample(), "out/report.html"),
            "result: accuracy=0.9123 growths=2 train_seconds=2.0 "
            "report=out/report.html");
  EXPECT_EQ(resultLine(History(), "r"),
            "result: accuracy=nan growths=0 train_seconds=0.0 report=r");
}

/// Every element that is opened is closed, in order.
void expectBalanced(const std::string &html) {
  std::regex tag("<(/?)([a-z0-9]+)([^<>]*)>");
  const std::set<std::string> empty = {"meta"};
  std::vector<std::string> open;
  for (std::sregex_iterator it(html.begin(), html.end(), tag), end; it != end;
       ++it) {
    std::string name = (*it)[2], rest = (*it)[3];
    if (empty.count(name) || (!rest.empty() && rest.back() == '/'))
      continue;
    if ((*it)[1].length() == 0) {
      open.push_back(name);
      continue;
    }
    ASSERT_FALSE(open.empty()) << "stray </" << name << ">";
    ASSERT_EQ(open.back(), name);
    open.pop_back();
  }
  EXPECT_TRUE(open.empty());
}

TEST(Report, StandsAlone) {
  std::string html = renderReport(sample(), "result: x");
  expectBalanced(html);
  for (const char *foreign :
       {"http", "src=", "<script", "<link", "@import", "url("})
    EXPECT_FALSE(contains(html, foreign)) << foreign;
  EXPECT_FALSE(contains(html, "nan"));
  EXPECT_TRUE(contains(html, "prefers-color-scheme: dark"));
}

TEST(Report, ShowsTheRun) {
  std::string html = renderReport(sample(), "result: accuracy=0.9123");
  EXPECT_TRUE(contains(html, "91.23 % test accuracy after 2 growths"));
  EXPECT_TRUE(contains(html, "result: accuracy=0.9123"));
  EXPECT_TRUE(contains(html, ">1 · block1 +2</text>"));
  EXPECT_TRUE(contains(html, ">2 · block1 +2</text>"));
  EXPECT_FALSE(contains(html, ">3 · block1 +2</text>"));
  EXPECT_TRUE(contains(html, "did not grow: no map 'block9'"));
  EXPECT_TRUE(contains(html, "net &lt;1&gt;.mlir"));
  EXPECT_TRUE(contains(html, "'--data=data &amp; more'"));
  EXPECT_TRUE(contains(html, "A &quot;fast&quot; one"));
  EXPECT_TRUE(contains(html, "after growth 2"));
}

TEST(Report, TakesRunsThatDidNotGetFar) {
  History history = sample();
  history.interrupted = true;
  history.epochs.clear();
  std::string html = renderReport(history, "result: x");
  expectBalanced(html);
  EXPECT_TRUE(contains(html, "Interrupted"));
  EXPECT_TRUE(contains(html, "No test result"));
  expectBalanced(renderReport(History(), "result: x"));
  History diverged = sample();
  diverged.steps.back().loss = std::numeric_limits<float>::quiet_NaN();
  EXPECT_FALSE(contains(renderReport(diverged, "result: x"), "nan"));
}

TEST(History, MediansAreOfTheStage) {
  History history = sample();
  EXPECT_DOUBLE_EQ(history.stageMilliseconds(0), 92.0);
  EXPECT_DOUBLE_EQ(history.stageMilliseconds(1, 0.0), 95.0);
  EXPECT_DOUBLE_EQ(history.stageMilliseconds(2, 1.0), 109.0);
  history.stages.push_back({20, 1300, {}, 0});
  EXPECT_DOUBLE_EQ(history.stageMilliseconds(3), 0.0);
}

TEST(History, JsonHoldsTheRun) {
  auto json = nlohmann::json::parse(toJson(sample()));
  EXPECT_EQ(json["result"]["growths"], 2);
  EXPECT_EQ(json["result"]["accuracy"], 0.91234);
  EXPECT_EQ(json["steps"]["loss"].size(), 20u);
  EXPECT_EQ(json["growths"].size(), 3u);
  EXPECT_EQ(json["growths"][2]["error"], "no map 'block9'");
  EXPECT_EQ(json["stages"][1]["memory"]["arena"], 1 << 20);
  EXPECT_TRUE(
      nlohmann::json::parse(toJson(History()))["result"]["accuracy"].is_null());
}

TEST(Report, IsWritten) {
  namespace fs = std::filesystem;
  fs::path folder = fs::path(testing::TempDir()) / "cambium-report" / "deep";
  fs::remove_all(folder);
  std::string page = writeReport(sample(), folder.string());
  EXPECT_EQ(page, (folder / "report.html").string());
  EXPECT_GT(fs::file_size(page), 10000u);
  EXPECT_GT(fs::file_size(folder / "history.json"), 1000u);
  // A file where the folder should be.
  EXPECT_THROW(writeReport(sample(), page), Error);
  fs::remove_all(folder);
}

} // namespace
