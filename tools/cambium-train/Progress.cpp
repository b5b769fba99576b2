//===- Progress.cpp - Bars and lines while training -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Progress.h"

#include "Format.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <sys/ioctl.h>
#include <unistd.h>

namespace cambium::train {
namespace {

int terminalWidth(std::FILE *out) {
  winsize size;
  if (ioctl(fileno(out), TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
    return 80;
  return size.ws_col;
}

/// A bar of `width` cells, filled to half a cell.
std::string bar(double fraction, int width) {
  int halves = std::lround(std::clamp(fraction, 0.0, 1.0) * width * 2);
  std::string text = "\x1b[32m";
  for (int i = 0; i < halves / 2; ++i)
    text += "━";
  if (halves % 2 != 0)
    text += "╸";
  text += "\x1b[90m";
  for (int i = (halves + 1) / 2; i < width; ++i)
    text += "─";
  return text + "\x1b[0m";
}

std::string accuracyText(double accuracy) {
  return accuracy < 0.0 ? std::string("–")
                        : format("%.2f %%", accuracy * 100.0);
}

/// Time left, from the time that the steps so far took.
std::string timeLeft(const ProgressState &state, double fraction) {
  if (fraction <= 0.0)
    return "–";
  return duration(state.seconds * (1.0 - fraction) / fraction);
}

} // namespace

std::string growthLine(const GrowthRecord &record) {
  const GrowthReport &report = record.report;
  return "grew " + record.growth.map + " +" +
         counted(record.growth.count, "branch", "branches") + " into " +
         record.growth.group + ": +" + grouped(report.parametersAdded) +
         " parameters, " +
         counted(report.kernelsCompiled, "kernel", "kernels") + " compiled, " +
         grouped(report.kernelsReused) + " reused, " +
         format("%.1f ms", report.milliseconds);
}

Progress::Progress(std::FILE *out, bool quiet)
    : out(out), quiet(quiet), terminal(!quiet && isatty(fileno(out)) == 1) {
  const char *kind = std::getenv("TERM");
  if (terminal && (!kind || std::string(kind) == "dumb"))
    terminal = false;
}

Progress::~Progress() {
  clear();
  std::fflush(out);
}

bool Progress::wants(double seconds) const {
  return !quiet && (last<0.0 ? terminal || seconds > 10.0 : seconds - last>(
                       terminal ? 0.1 : 10.0));
}

void Progress::show(const ProgressState &state) {
  last = state.seconds;
  if (terminal) {
    draw(state);
    return;
  }
  double fraction = static_cast<double>(state.stepInEpoch) /
                    static_cast<double>(state.stepsPerEpoch);
  keep(format("epoch %d/%d %3.0f %%  loss %.4f  ", int(state.epoch),
              int(state.epochs), fraction * 100.0, state.loss) +
       grouped(std::llround(state.imagesPerSecond)) + " images/s  " +
       bytes(state.residentBytes) + " resident, " + bytes(state.networkBytes) +
       " network  " +
       timeLeft(state, (state.epoch - 1 + fraction) / state.epochs) + " left");
}

void Progress::draw(const ProgressState &state) {
  const int width = terminalWidth(out);
  const int cells = std::clamp(width - 72, 6, 40);
  const double inEpoch = static_cast<double>(state.stepInEpoch) /
                         static_cast<double>(state.stepsPerEpoch);
  const double inRun = (state.epoch - 1 + inEpoch) / state.epochs;
  std::string epochName =
      format("epoch %d/%d", int(state.epoch), int(state.epochs));
  std::string epochText =
      format(" %3.0f %%  loss %.4f  ", inEpoch * 100.0, state.loss) +
      grouped(std::llround(state.imagesPerSecond)) + " images/s";
  std::string runText = format(" %3.0f %%  test %s  ", inRun * 100.0,
                               accuracyText(state.accuracy).c_str()) +
                        bytes(state.residentBytes) + ", network " +
                        bytes(state.networkBytes) + "  " +
                        timeLeft(state, inRun) + " left";
  clear();
  // Autowrap off: a narrow terminal cuts the lines, and two stay two.
  std::fprintf(out, "\x1b[?7l%-12s%s%s\n%-12s%s%s\n\x1b[?7h", epochName.c_str(),
               bar(inEpoch, cells).c_str(), epochText.c_str(), "run",
               bar(inRun, cells).c_str(), runText.c_str());
  std::fflush(out);
  drawn = true;
}

void Progress::clear() {
  if (drawn)
    std::fputs("\x1b[2A\x1b[J", out);
  drawn = false;
}

void Progress::keep(const std::string &line) {
  if (quiet)
    return;
  clear();
  std::fprintf(out, "%s\n", line.c_str());
  std::fflush(out);
}

void Progress::epochDone(const EpochRecord &epoch, int64_t epochs) {
  last = std::max(last, epoch.seconds);
  keep(format("epoch %d/%d  loss %.4f  test loss %.4f  test accuracy %.2f %%  ",
              int(epoch.epoch), int(epochs), epoch.trainLoss, epoch.testLoss,
              epoch.testAccuracy * 100.0) +
       grouped(std::llround(epoch.imagesPerSecond)) + " images/s  " +
       bytes(epoch.residentBytes) + " resident  " + duration(epoch.seconds));
}

void Progress::grew(const GrowthRecord &growth) { keep(growthLine(growth)); }

void Progress::message(const std::string &text) { keep(text); }

void Progress::warning(const std::string &text) {
  clear();
  std::fflush(out);
  std::fprintf(stderr, "warning: %s\n", text.c_str());
}

} // namespace cambium::train
