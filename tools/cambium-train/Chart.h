//===- Chart.h - Charts as inline SVG ---------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_CHART_H
#define CAMBIUM_TRAIN_CHART_H

#include <functional>
#include <string>
#include <vector>

namespace cambium::train {

/// The text with &, <, > and quotes as HTML entities.
std::string escaped(const std::string &text);

struct Tick {
  double at;
  std::string label;
};

/// A scale with its ticks.
struct Axis {
  double low = 0.0;
  double high = 1.0;
  bool logarithmic = false;
  std::vector<Tick> ticks;
  std::string title;

  /// Where `value` lies, 0 at the low end and 1 at the high end.
  double position(double value) const;
};

using Formatter = std::function<std::string(double)>;

/// A linear axis with about `count` round ticks, which cover low … high.
Axis linearAxis(double low, double high, int count, const Formatter &label);
/// The same axis from its first tick to a little above `high`, for a horizontal
/// axis, whose end needs no tick.
Axis openAxis(double low, double high, int count, const Formatter &label);
/// A logarithmic axis a little wider than low … high.
Axis logAxis(double low, double high, const Formatter &label);
/// Seconds from 0 to `end`, labelled in seconds or minutes:seconds.
Axis timeAxis(double end);

struct Point {
  double x;
  double y;
  /// Shown when the pointer rests on the point's dot.
  std::string tip;
  /// Written above the dot.
  std::string name = "";
};

struct Band {
  double x;
  double low;
  double high;
};

struct Series {
  /// Written at the end of the line.
  std::string label;
  /// A class of the page's style sheet, such as "blue".
  std::string color;
  std::vector<Point> points;
  bool dots = false;
  std::vector<Band> band;
  bool dashed = false;
};

/// A labelled vertical line.
struct Mark {
  double x;
  std::string label;
};

struct Panel {
  /// Quantity and unit of the vertical axis.
  std::string title;
  Axis y;
  std::vector<Series> series;
};

/// Panels one above the other on a common horizontal axis.
struct Chart {
  /// For those who cannot see the chart.
  std::string description;
  double width = 960;
  double panelHeight = 230;
  double labelWidth = 104;
  Axis x;
  std::vector<Panel> panels;
  std::vector<Mark> marks;

  /// An SVG element without a style of its own.
  std::string svg() const;
};

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_CHART_H
