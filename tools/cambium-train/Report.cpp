//===- Report.cpp - The report of a run -----------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Report.h"

#include "Chart.h"
#include "Format.h"
#include "ReportStyle.h"

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <set>

namespace cambium::train {
namespace {

const char *const thinSpace = "\u202f";

std::string count(int64_t value) { return grouped(value, thinSpace); }

std::string percent(double fraction, int digits = 2) {
  return std::isnan(fraction) ? "–"
                              : format("%.*f %%", digits, fraction * 100.0);
}

std::string mebibytes(int64_t value) {
  return format("%.1f", static_cast<double>(value) / (1 << 20));
}

/// "+12 %" for the way from `before` to `after`.
std::string change(double before, double after) {
  if (!(before > 0.0))
    return "";
  double percentage = (after / before - 1.0) * 100.0;
  return (percentage < 0.0 ? "−" : "+") +
         format(std::abs(percentage) < 10.0 ? "%.1f %%" : "%.0f %%",
                std::abs(percentage));
}

int64_t total(const MemoryReport &memory) {
  return memory.parameters + memory.state + memory.arena;
}

/// A table row by row; cells that start a number column are right-aligned.
class Table {
public:
  /// Column titles; a leading '#' marks a column of numbers.
  explicit Table(const std::vector<std::string> &titles) {
    html = "<div class=\"scroll\"><table><thead><tr>";
    for (const std::string &title : titles) {
      numeric.push_back(!title.empty() && title[0] == '#');
      html += std::string("<th") + (numeric.back() ? " class=\"n\"" : "") +
              ">" + escaped(title.substr(numeric.back() ? 1 : 0)) + "</th>";
    }
    html += "</tr></thead><tbody>\n";
  }

  void row(const std::vector<std::string> &cells, const char *type = "") {
    html += *type ? std::string("<tr class=\"") + type + "\">" : "<tr>";
    for (size_t i = 0; i < cells.size(); ++i)
      html += std::string("<td") + (numeric[i] ? " class=\"n\"" : "") + ">" +
              escaped(cells[i]) + "</td>";
    html += "</tr>\n";
  }

  /// A row whose second cell takes all other columns.
  void errorRow(const std::string &first, const std::string &message) {
    html += "<tr><td" + std::string(numeric[0] ? " class=\"n\"" : "") + ">" +
            escaped(first) + "</td><td class=\"error\" colspan=\"" +
            std::to_string(numeric.size() - 1) + "\">" + escaped(message) +
            "</td></tr>\n";
  }

  std::string str() const { return html + "</tbody></table></div>\n"; }

private:
  std::string html;
  std::vector<bool> numeric;
};

std::string
facts(const std::vector<std::pair<std::string, std::string>> &rows) {
  std::string html = "<table class=\"facts\"><tbody>\n";
  for (const auto &[name, value] : rows)
    html += "<tr><td>" + escaped(name) + "</td><td>" + escaped(value) +
            "</td></tr>\n";
  return html + "</tbody></table>\n";
}

std::vector<const GrowthRecord *> succeeded(const History &history) {
  std::vector<const GrowthRecord *> growths;
  for (const GrowthRecord &growth : history.growths)
    if (growth.error.empty())
      growths.push_back(&growth);
  return growths;
}

/// The steps' losses in at most 150 buckets: means as points, and a band from
/// the 10th to the 90th percentile.
Series trainingLoss(const std::vector<StepRecord> &steps) {
  Series series;
  series.label = "training";
  series.color = "blue";
  const size_t width = std::max<size_t>(1, (steps.size() + 149) / 150);
  for (size_t first = 0; first < steps.size(); first += width) {
    size_t last = std::min(first + width, steps.size());
    std::vector<double> losses;
    double sum = 0.0;
    for (size_t i = first; i < last; ++i)
      if (std::isfinite(steps[i].loss)) {
        losses.push_back(steps[i].loss);
        sum += steps[i].loss;
      }
    if (losses.empty())
      continue;
    std::sort(losses.begin(), losses.end());
    double x = (steps[first].seconds + steps[last - 1].seconds) / 2;
    series.points.push_back({x, sum / losses.size(), ""});
    series.band.push_back({x, losses[losses.size() / 10],
                           losses[losses.size() - 1 - losses.size() / 10]});
  }
  return series;
}

/// Widens low … high by every value that a series shows.
void cover(const Series &series, double &low, double &high) {
  for (const Point &point : series.points) {
    low = std::min(low, point.y);
    high = std::max(high, point.y);
  }
  for (const Band &band : series.band) {
    low = std::min(low, band.low);
    high = std::max(high, band.high);
  }
}

Panel lossPanel(const History &history) {
  Series train = trainingLoss(history.steps);
  Series test;
  test.label = "test";
  test.color = "orange";
  test.dots = true;
  for (const EpochRecord &epoch : history.epochs)
    if (std::isfinite(epoch.testLoss))
      test.points.push_back({epoch.seconds, epoch.testLoss,
                             format("epoch %d: test loss %.4f",
                                    int(epoch.epoch), epoch.testLoss)});
  double low = HUGE_VAL, high = -HUGE_VAL;
  cover(train, low, high);
  cover(test, low, high);
  auto label = [](double value) { return format("%g", value); };
  Panel panel;
  panel.title = "Loss";
  if (low > 0.0 && high / low > 4.0) {
    panel.title += ", logarithmic";
    panel.y = logAxis(low, high, label);
  } else {
    panel.y = linearAxis(std::min(low, 0.0), high, 5, label);
  }
  panel.series = {train, test};
  return panel;
}

Panel accuracyPanel(const History &history) {
  Series series;
  series.label = percent(history.accuracy());
  series.color = "orange";
  series.dots = true;
  for (const EpochRecord &epoch : history.epochs)
    if (std::isfinite(epoch.testAccuracy))
      series.points.push_back({epoch.seconds, epoch.testAccuracy * 100.0,
                               format("epoch %d: ", int(epoch.epoch)) +
                                   percent(epoch.testAccuracy)});
  double low = HUGE_VAL, high = -HUGE_VAL;
  cover(series, low, high);
  Panel panel;
  panel.title = "Test accuracy, %";
  double margin = std::max(0.5, (high - low) * 0.1);
  panel.y =
      linearAxis(std::max(0.0, low - margin), std::min(100.0, high + margin), 5,
                 [](double value) { return format("%g", value); });
  panel.series = {series};
  return panel;
}

std::string learningSection(const History &history) {
  if (history.steps.empty())
    return "<p class=\"note\">No step was trained.</p>\n";
  Chart chart;
  chart.description = "Loss and test accuracy over training time";
  chart.x =
      timeAxis(std::max(history.trainSeconds, history.steps.back().seconds));
  chart.panels.push_back(lossPanel(history));
  if (!history.epochs.empty())
    chart.panels.push_back(accuracyPanel(history));
  unsigned number = 0;
  for (const GrowthRecord *growth : succeeded(history))
    chart.marks.push_back(
        {growth->seconds, std::to_string(++number) + " · " +
                              growth->growth.map + " +" +
                              std::to_string(growth->growth.count)});
  size_t bucket = (history.steps.size() + 149) / 150;
  return "<div class=\"card wide\">" + chart.svg() + "</div>\n" +
         "<p class=\"note\">Training loss: mean of " +
         counted(bucket, "step", "steps") +
         " (line), 10th to 90th percentile of single steps (band). Test: the "
         "whole test set after each epoch. Green lines: growths.</p>\n";
}

std::string compact(double value) {
  if (value >= 1e6)
    return format("%g M", value / 1e6);
  return value >= 1e3 ? format("%g k", value / 1e3) : format("%g", value);
}

/// What `series` would be at the end if it grew like the parameters.
Series inProportion(const Series &series) {
  Series line;
  line.label = "∝ parameters";
  line.color = "soft";
  line.dashed = true;
  if (series.points.size() < 2)
    return line;
  const Point &first = series.points.front(), &last = series.points.back();
  line.points = {{first.x, first.y, ""},
                 {last.x, first.y * last.x / first.x, ""}};
  return line;
}

/// A chart over the parameters of each stage, both axes from zero.
std::string overParameters(const History &history, const std::string &title,
                           const Series &series) {
  Chart chart;
  chart.width = 490;
  chart.panelHeight = 210;
  chart.labelWidth = 104;
  chart.description = title + " against parameters";
  chart.x = openAxis(0.0, history.stages.back().parameters, 5, compact);
  chart.x.title = "parameters";
  Panel panel;
  panel.title = title;
  panel.series = {inProportion(series), series};
  double low = 0.0, high = 0.0;
  for (const Series &one : panel.series)
    cover(one, low, high);
  panel.y = linearAxis(0.0, high, 5,
                       [](double value) { return format("%g", value); });
  chart.panels.push_back(panel);
  return "<div class=\"card\">" + chart.svg() + "</div>";
}

/// The number of the last growth before the stage; 0 for the first stage.
int64_t stageGrowth(const History &history, size_t stage) {
  int64_t number = 0;
  for (const GrowthRecord *growth : succeeded(history))
    number += growth->step <= history.stages[stage].firstStep ? 1 : 0;
  return number;
}

std::string stageName(const History &history, size_t stage) {
  int64_t number = stageGrowth(history, stage);
  return number == 0 ? "start" : "after growth " + std::to_string(number);
}

std::string costCharts(const History &history) {
  Series time, memory;
  time.label = "measured";
  time.color = "blue";
  time.dots = true;
  memory = time;
  for (size_t i = 0; i < history.stages.size(); ++i) {
    const StageRecord &stage = history.stages[i];
    double x = stage.parameters;
    int64_t number = stageGrowth(history, i);
    std::string name = number == 0 ? "start" : std::to_string(number);
    std::string tip = stageName(history, i) + ": " + count(stage.parameters) +
                      " parameters, ";
    double median = history.stageMilliseconds(i);
    if (median > 0.0) {
      time.points.push_back({x, median, tip + format("%.2f ms", median), name});
      time.band.push_back({x, history.stageMilliseconds(i, 0.1),
                           history.stageMilliseconds(i, 0.9)});
    }
    int64_t size = total(stage.memory);
    memory.points.push_back({x, static_cast<double>(size) / (1 << 20),
                             tip + mebibytes(size) + " MiB", name});
  }
  return "<div class=\"pair\">" +
         overParameters(history, "Step time, ms", time) +
         overParameters(history, "Network memory, MiB", memory) + "</div>\n";
}

std::string costTable(const History &history) {
  std::vector<std::string> titles = {""};
  for (size_t i = 0; i < history.stages.size(); ++i)
    titles.push_back("#" + stageName(history, i));
  Table table(titles);
  auto add = [&](const char *name, const char *type, auto value) {
    std::vector<std::string> cells = {name};
    for (size_t i = 0; i < history.stages.size(); ++i)
      cells.push_back(value(i));
    table.row(cells, type);
  };
  auto memory = [&](const char *name, const char *type, auto bytesOf) {
    add(name, type,
        [&](size_t i) { return mebibytes(bytesOf(history.stages[i].memory)); });
  };
  auto milliseconds = [&](double quantile) {
    return [&history, quantile](size_t i) {
      return format("%.2f", history.stageMilliseconds(i, quantile));
    };
  };
  add("Parameters", "sum",
      [&](size_t i) { return count(history.stages[i].parameters); });
  add("Step time, median, ms", "sum", milliseconds(0.5));
  add("90th percentile", "part", milliseconds(0.9));
  add("Images a second", "", [&](size_t i) {
    double median = history.stageMilliseconds(i);
    return median > 0.0 ? count(std::llround(history.batch * 1e3 / median))
                        : std::string("–");
  });
  memory("Network memory, MiB", "sum", total);
  using Memory = const MemoryReport &;
  memory("parameters", "part", [](Memory m) { return m.parameters; });
  memory("optimizer state, statistics", "part",
         [](Memory m) { return m.state; });
  memory("arena", "part", [](Memory m) { return m.arena; });
  memory("Within the arena: gradients", "",
         [](Memory m) { return m.gradients; });
  memory("kept for backward", "part",
         [](Memory m) { return m.keptForBackward; });
  memory("workspace", "part", [](Memory m) { return m.workspace; });
  add("Process, resident, MiB", "",
      [&](size_t i) { return mebibytes(history.stages[i].residentBytes); });
  return table.str();
}

std::string costSection(const History &history) {
  if (history.stages.empty())
    return "";
  const StageRecord &first = history.stages.front();
  const StageRecord &last = history.stages.back();
  std::string html = "<h2>What growing cost</h2>\n";
  if (history.stages.size() > 1)
    html += "<p>From start to end: parameters " +
            change(first.parameters, last.parameters) + ", step time " +
            change(history.stageMilliseconds(0),
                   history.stageMilliseconds(history.stages.size() - 1)) +
            ", network memory " +
            change(total(first.memory), total(last.memory)) + ".</p>\n";
  return html + costCharts(history) +
         "<p class=\"note\">A dot for the start and one for the steps after "
         "each growth. Step time: median; band: 10th to 90th percentile. "
         "Dotted: what it would be in proportion to the parameters. The arena "
         "holds gradients, kept activations and workspace by lifetime, so it "
         "is less than their sum.</p>\n" +
         costTable(history);
}

std::string initName(const Init &init) {
  switch (init.kind) {
  case Init::Kind::Zero:
    return "zero";
  case Init::Kind::Kaiming:
    return "kaiming";
  case Init::Kind::Constant:
    return format("constant %g", init.value);
  case Init::Kind::Copy:
    return "copy of branch " + std::to_string(init.branch);
  }
  return "";
}

std::string growthSection(const History &history) {
  if (history.growths.empty())
    return "";
  Table table({"#no.", "#epoch", "#time", "map", "#branches", "kernel", "group",
               "initial values", "#parameters added", "#kernels compiled",
               "#kernels reused", "#ms"});
  std::string remarks;
  unsigned number = 0;
  for (const GrowthRecord &record : history.growths) {
    if (!record.error.empty()) {
      table.errorRow("–", format("epoch %.2f, map ", record.epoch) +
                              record.growth.map +
                              ": did not grow: " + record.error);
      continue;
    }
    const auto &kernel = record.growth.kernel;
    table.row({std::to_string(++number), format("%.2f", record.epoch),
               duration(record.seconds), record.growth.map,
               "+" + std::to_string(record.growth.count),
               kernel ? extents({(*kernel)[0], (*kernel)[1]}) : "same",
               record.growth.group, initName(record.growth.init),
               count(record.report.parametersAdded),
               count(record.report.kernelsCompiled),
               count(record.report.kernelsReused),
               format("%.1f", record.report.milliseconds)});
    // Forward, backward and inference may remark the same.
    std::set<std::string> messages;
    for (const Diagnostic &remark : record.report.remarks)
      if (messages.insert(remark.message).second)
        remarks += "<li>Growth " + std::to_string(number) + ": " +
                   escaped(remark.message) + "</li>\n";
  }
  return "<h2>Growths</h2>\n" + table.str() +
         (remarks.empty() ? ""
                          : "<p class=\"note\">Remarks of the compiler:</p><ul "
                            "class=\"note\">\n" +
                                remarks + "</ul>\n");
}

std::string groupSection(const History &history) {
  if (history.groups.empty())
    return "";
  Table table({"group", "optimizer", "#learning rate", "#rate at the end",
               "#weight decay", "#parameters", "since"});
  for (const GroupRecord &group : history.groups) {
    // The group of a growth that failed.
    if (group.growth != 0 && group.parameters == 0)
      continue;
    table.row({group.name, group.optimizer, format("%g", group.learningRate),
               format("%.3g", group.finalLearningRate),
               format("%g", group.weightDecay),
               group.parameters < 0 ? "–" : count(group.parameters),
               group.growth == 0 ? "start"
                                 : "growth " + std::to_string(group.growth)});
  }
  return "<h2>Optimizer groups</h2>\n" + table.str();
}

std::string epochSection(const History &history) {
  if (history.epochs.empty())
    return "";
  Table table({"#epoch", "#time", "#training loss", "#test loss",
               "#test accuracy", "#images a second", "#parameters",
               "#resident, MiB"});
  for (const EpochRecord &epoch : history.epochs)
    table.row({std::to_string(epoch.epoch), duration(epoch.seconds),
               format("%.4f", epoch.trainLoss), format("%.4f", epoch.testLoss),
               percent(epoch.testAccuracy),
               count(std::llround(epoch.imagesPerSecond)),
               count(epoch.parameters), mebibytes(epoch.residentBytes)});
  return "<h2>Epochs</h2>\n" + table.str();
}

std::string tile(const std::string &name, const std::string &value,
                 const std::string &detail) {
  return "<div><dt>" + escaped(name) + "</dt><dd>" + escaped(value) +
         "<small>" + escaped(detail) + "</small></dd></div>\n";
}

std::string tiles(const History &history) {
  std::string html = "<dl class=\"tiles\">\n";
  html += tile("Training time", format("%.1f s", history.trainSeconds),
               format("and %.1f s to read, %.1f s to compile",
                      history.loadSeconds, history.compileSeconds));
  if (!history.stages.empty()) {
    const StageRecord &first = history.stages.front();
    const StageRecord &last = history.stages.back();
    const size_t end = history.stages.size() - 1;
    const double before = history.stageMilliseconds(0),
                 after = history.stageMilliseconds(end);
    html += tile("Parameters", count(last.parameters),
                 "from " + count(first.parameters) + ", " +
                     change(first.parameters, last.parameters));
    html += tile("Step time", format("%.1f ms", after),
                 format("from %.1f ms, ", before) + change(before, after));
    html += tile("Network memory", bytes(total(last.memory)),
                 "from " + bytes(total(first.memory)) + ", " +
                     change(total(first.memory), total(last.memory)) +
                     "; process peak " + bytes(history.peakResidentBytes));
  }
  return html + "</dl>\n";
}

std::string header(const History &history, const std::string &resultLine) {
  std::string growths = counted(history.growthCount(), "growth", "growths");
  std::string title =
      history.epochs.empty()
          ? "No test result, " + growths
          : percent(history.accuracy()) + " test accuracy after " + growths;
  std::string html = "<p class=\"kicker\">Cambium training report</p>\n<h1>" +
                     escaped(title) + "</h1>\n<p class=\"soft\">";
  html += "<code>" + escaped(history.networkPath) + "</code> on <code>" +
          escaped(history.dataPath) + "</code>: " + count(history.trainImages) +
          " training and " + count(history.testImages) + " test images of " +
          escaped(history.imageShape) + ". " + escaped(history.date) + ".";
  if (history.interrupted)
    html += " <strong>Interrupted: this is the run so far.</strong>";
  return html + "</p>\n<pre>" + escaped(resultLine) + "</pre>\n" +
         tiles(history);
}

void writeFile(const std::filesystem::path &path, const std::string &content) {
  std::ofstream file(path, std::ios::binary);
  file << content;
  file.close();
  if (!file)
    throw Error("'" + path.string() +
                "': cannot be written: " + std::strerror(errno));
}

} // namespace

std::string resultLine(const History &history, const std::string &reportPath) {
  return format("result: accuracy=%.4f growths=%d train_seconds=%.1f report=",
                history.accuracy(), static_cast<int>(history.growthCount()),
                history.trainSeconds) +
         reportPath;
}

std::string renderReport(const History &history,
                         const std::string &resultLine) {
  std::vector<std::string> quoted;
  for (const std::string &argument : history.command)
    quoted.push_back(shellQuoted(argument));
  return std::string("<!DOCTYPE html>\n<html lang=\"en\"><head>"
                     "<meta charset=\"utf-8\">\n<meta name=\"viewport\" "
                     "content=\"width=device-width, initial-scale=1\">\n"
                     "<title>Cambium training report</title>\n<style>") +
         reportStyle + "</style></head>\n<body><main>\n" +
         header(history, resultLine) + "<h2>Learning</h2>\n" +
         learningSection(history) + costSection(history) +
         growthSection(history) + groupSection(history) +
         epochSection(history) +
         "<div class=\"columns\"><section><h2>Configuration</h2>\n" +
         facts(history.configuration) +
         "</section><section><h2>Machine</h2>\n" + facts(history.machine) +
         "</section></div>\n<h2>Once more</h2>\n<p class=\"note\">This "
         "command repeats the run; on the same instruction set the losses are "
         "the same, bit for bit, on any number of threads, and so they are on "
         "the same CUDA device.</p>\n<pre>" +
         escaped(join(quoted, " ")) +
         "</pre>\n<footer>The numbers behind this page: "
         "<code>history.json</code> beside it.</footer>\n"
         "</main></body></html>\n";
}

std::string writeReport(const History &history, const std::string &folder) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error)
    throw Error("'" + folder + "': cannot be made: " + error.message());
  fs::path page = fs::path(folder) / "report.html";
  writeFile(page, renderReport(history, resultLine(history, page.string())));
  writeFile(fs::path(folder) / "history.json", toJson(history));
  return page.string();
}

} // namespace cambium::train
