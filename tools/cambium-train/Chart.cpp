//===- Chart.cpp - Charts as inline SVG -----------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Chart.h"

#include "Format.h"

#include <algorithm>
#include <cmath>

namespace cambium::train {

std::string escaped(const std::string &text) {
  std::string result;
  for (char c : text)
    switch (c) {
    case '&':
      result += "&amp;";
      break;
    case '<':
      result += "&lt;";
      break;
    case '>':
      result += "&gt;";
      break;
    case '"':
      result += "&quot;";
      break;
    default:
      result += c;
    }
  return result;
}

double Axis::position(double value) const {
  if (logarithmic)
    return std::log(value / low) / std::log(high / low);
  return (value - low) / (high - low);
}

Axis linearAxis(double low, double high, int count, const Formatter &label) {
  if (!(high > low))
    high = low + (low == 0.0 ? 1.0 : std::abs(low) * 0.1);
  const double rough = (high - low) / count;
  const double power = std::pow(10.0, std::floor(std::log10(rough)));
  double step = 10.0 * power;
  for (double factor : {5.0, 2.0, 1.0})
    if (factor * power >= rough * 0.999)
      step = factor * power;
  Axis axis;
  // A hair of tolerance, or rounding adds an empty interval at either end.
  const int64_t first = std::floor(low / step + 1e-9);
  const int64_t last = std::ceil(high / step - 1e-9);
  for (int64_t i = first; i <= last; ++i)
    axis.ticks.push_back({i * step, label(i * step)});
  axis.low = first * step;
  axis.high = last * step;
  return axis;
}

Axis openAxis(double low, double high, int count, const Formatter &label) {
  Axis axis = linearAxis(low, high, count, label);
  axis.high = std::max(high * 1.04, axis.low + (axis.high - axis.low) * 0.1);
  while (axis.ticks.back().at > axis.high)
    axis.ticks.pop_back();
  return axis;
}

Axis logAxis(double low, double high, const Formatter &label) {
  Axis axis;
  axis.logarithmic = true;
  axis.low = low * 0.94;
  axis.high = high * 1.06;
  const double ratio = axis.high / axis.low;
  const std::vector<double> factors =
      ratio > 100.0  ? std::vector<double>{1.0}
      : ratio > 12.0 ? std::vector<double>{1.0, 2.0, 5.0}
                     : std::vector<double>{1.0, 1.5, 2.0, 3.0, 5.0, 7.0};
  for (int power = std::floor(std::log10(axis.low));
       power <= std::log10(axis.high); ++power)
    for (double factor : factors) {
      double at = factor * std::pow(10.0, power);
      if (at >= axis.low && at <= axis.high)
        axis.ticks.push_back({at, label(at)});
    }
  return axis;
}

Axis timeAxis(double end) {
  const double steps[] = {0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1,  0.2,
                          0.5,   1,     2,     5,    10,   15,   30,   60,
                          120,   300,   600,   900,  1800, 3600, 7200, 14400};
  double step = 86400;
  for (double candidate : steps)
    if (end / candidate <= 9) {
      step = candidate;
      break;
    }
  Axis axis;
  axis.high = std::max(end, 1e-3);
  const bool minutes = end > 120;
  for (int64_t i = 0; i * step <= axis.high * 1.0001; ++i) {
    int64_t seconds = std::llround(i * step);
    axis.ticks.push_back(
        {i * step, minutes
                       ? format("%d:%02d", int(seconds / 60), int(seconds % 60))
                       : format("%g", i * step)});
  }
  axis.title =
      minutes ? "training time, minutes:seconds" : "training time, seconds";
  return axis;
}

namespace {

constexpr double fontSize = 13.0;
constexpr double lineHeight = 17.0;
constexpr double leftMargin = 56.0;
constexpr double titleHeight = 38.0;
constexpr double bottomMargin = 46.0;

double textWidth(const std::string &text) {
  // Continuation bytes of UTF-8 take no room.
  auto glyphs = std::count_if(text.begin(), text.end(),
                              [](char c) { return (c & 0xc0) != 0x80; });
  return glyphs * fontSize * 0.58;
}

std::string text(double x, double y, const char *anchor,
                 const std::string &content, const std::string &type) {
  return format("<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" class=\"%s\">",
                x, y, anchor, type.c_str()) +
         escaped(content) + "</text>\n";
}

std::string line(double x1, double y1, double x2, double y2, const char *type) {
  return format("<line x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\" "
                "class=\"%s\"/>\n",
                x1, y1, x2, y2, type);
}

/// Draws one chart; holds where things lie.
class Painter {
public:
  explicit Painter(const Chart &chart) : chart(chart) {
    left = leftMargin;
    right = chart.width - chart.labelWidth;
    placeMarks();
    top = markRows * lineHeight;
  }

  std::string paint() {
    const double height =
        top + chart.panels.size() * (titleHeight + chart.panelHeight) +
        bottomMargin;
    std::string svg =
        format("<svg viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-label=\"",
               chart.width, height) +
        escaped(chart.description) + "\">\n";
    double bottom = top;
    for (const Panel &panel : chart.panels) {
      double panelTop = bottom + titleHeight;
      bottom = panelTop + chart.panelHeight;
      bool last = &panel == &chart.panels.back();
      svg += paintFrame(panel, panelTop, bottom, last);
      svg += paintMarkLines(panelTop, bottom);
      svg += paintSeries(panel, panelTop, bottom);
    }
    svg += paintMarkLabels();
    svg +=
        text((left + right) / 2, bottom + 38, "middle", chart.x.title, "axis");
    return svg + "</svg>\n";
  }

private:
  double xOf(double value) const {
    return left + chart.x.position(value) * (right - left);
  }
  static double yOf(const Panel &panel, double value, double top,
                    double bottom) {
    return bottom - panel.y.position(value) * (bottom - top);
  }

  /// Gives each mark's label the first row where it does not run into others.
  void placeMarks() {
    std::vector<double> ends;
    for (const Mark &mark : chart.marks) {
      double half = textWidth(mark.label) / 2;
      double center =
          std::clamp(xOf(mark.x), half, std::max(half, chart.width - half));
      size_t row = 0;
      while (row < ends.size() && ends[row] > center - half - 12)
        ++row;
      if (row == ends.size())
        ends.push_back(0.0);
      ends[row] = center + half;
      labels.push_back({center, row});
    }
    markRows = ends.size();
  }

  std::string paintFrame(const Panel &panel, double panelTop, double bottom,
                         bool last) const {
    std::string svg = text(0, panelTop - 17, "start", panel.title, "title");
    for (const Tick &tick : panel.y.ticks) {
      double y = yOf(panel, tick.at, panelTop, bottom);
      svg += line(left, y, right, y, "grid");
      svg += text(left - 8, y + 4.5, "end", tick.label, "tick");
    }
    for (const Tick &tick : chart.x.ticks) {
      svg += line(xOf(tick.at), bottom, xOf(tick.at), bottom + 5, "base");
      if (last)
        svg += text(xOf(tick.at), bottom + 19, "middle", tick.label, "tick");
    }
    return svg + line(left, bottom, right, bottom, "base");
  }

  std::string paintMarkLines(double panelTop, double bottom) const {
    std::string svg;
    for (const Mark &mark : chart.marks)
      svg += line(xOf(mark.x), panelTop, xOf(mark.x), bottom, "mark");
    return svg;
  }

  std::string paintMarkLabels() const {
    // The labels' halo hides the lines that pass behind them.
    std::string lines, texts;
    for (size_t i = 0; i < chart.marks.size(); ++i) {
      double x = xOf(chart.marks[i].x);
      double y = top - labels[i].row * lineHeight - 6;
      lines += line(x, y + 5, x, top + titleHeight, "mark");
      texts += text(labels[i].center, y, "middle", chart.marks[i].label,
                    "marklabel");
    }
    return lines + texts;
  }

  std::string paintBand(const Panel &panel, const Series &series, double top,
                        double bottom) const {
    if (series.band.size() < 2)
      return "";
    std::string path;
    for (const Band &band : series.band)
      path += format("%s%.1f %.1f", path.empty() ? "M" : "L", xOf(band.x),
                     yOf(panel, band.high, top, bottom));
    for (auto it = series.band.rbegin(); it != series.band.rend(); ++it)
      path +=
          format("L%.1f %.1f", xOf(it->x), yOf(panel, it->low, top, bottom));
    return "<path d=\"" + path + "Z\" class=\"band " + series.color + "\"/>\n";
  }

  std::string paintLine(const Panel &panel, const Series &series, double top,
                        double bottom) const {
    std::string path, dots;
    for (const Point &point : series.points) {
      double x = xOf(point.x), y = yOf(panel, point.y, top, bottom);
      path += format("%s%.1f %.1f", path.empty() ? "M" : "L", x, y);
      dots += format("<circle cx=\"%.1f\" cy=\"%.1f\" r=\"3.6\" class=\"dot ",
                     x, y) +
              series.color + "\"><title>" + escaped(point.tip) +
              "</title></circle>\n";
    }
    return "<path d=\"" + path + "\" class=\"line " + series.color +
           (series.dashed ? " dashed" : "") + "\"/>\n" +
           (series.dots ? dots : "") + paintNames(panel, series, top, bottom);
  }

  /// Names below the dots, or above them near the axis; one that would run into
  /// the one before is left out.
  std::string paintNames(const Panel &panel, const Series &series, double top,
                         double bottom) const {
    std::string svg;
    double end = 0.0;
    for (const Point &point : series.points) {
      double x = xOf(point.x), y = yOf(panel, point.y, top, bottom);
      double half = textWidth(point.name) / 2;
      if (point.name.empty() || x - half < end + 5)
        continue;
      svg += text(x, bottom - y > 30 ? y + 20 : y - 10, "middle", point.name,
                  "name");
      end = x + half;
    }
    return svg;
  }

  std::string paintSeries(const Panel &panel, double panelTop,
                          double bottom) const {
    std::string svg;
    struct End {
      double y;
      const Series *series;
    };
    std::vector<End> ends;
    for (const Series &series : panel.series) {
      if (series.points.empty())
        continue;
      svg += paintBand(panel, series, panelTop, bottom);
      svg += paintLine(panel, series, panelTop, bottom);
      ends.push_back(
          {yOf(panel, series.points.back().y, panelTop, bottom), &series});
    }
    std::sort(ends.begin(), ends.end(),
              [](const End &a, const End &b) { return a.y < b.y; });
    // Labels at the lines' ends, pushed apart from the bottom up.
    double limit = bottom + 4;
    for (auto it = ends.rbegin(); it != ends.rend(); ++it) {
      it->y = std::min(it->y, limit);
      limit = it->y - lineHeight;
    }
    for (const End &end : ends)
      svg += text(xOf(end.series->points.back().x) + 10, end.y + 4.5, "start",
                  end.series->label, "label " + end.series->color);
    return svg;
  }

  struct Placement {
    double center;
    size_t row;
  };

  const Chart &chart;
  double left, right, top;
  size_t markRows = 0;
  std::vector<Placement> labels;
};

} // namespace

std::string Chart::svg() const { return Painter(*this).paint(); }

} // namespace cambium::train
