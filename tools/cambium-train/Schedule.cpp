//===- Schedule.cpp - When to grow, and the learning rates ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Schedule.h"

#include "Format.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <functional>
#include <locale>
#include <map>
#include <numeric>
#include <set>
#include <sstream>

namespace cambium::train {
namespace {

std::optional<double> number(const std::string &text) {
  // Not strtod: it obeys the user's locale.
  std::istringstream stream(text);
  stream.imbue(std::locale::classic());
  double value;
  if (!(stream >> value) || !stream.eof() || !std::isfinite(value))
    return std::nullopt;
  return value;
}

std::optional<int64_t> integer(const std::string &text) {
  auto value = number(text);
  if (!value || *value != std::floor(*value) || std::abs(*value) > 1e15)
    return std::nullopt;
  return static_cast<int64_t>(*value);
}

double numberFor(const std::string &key, const std::string &text, double low,
                 double high) {
  auto value = number(text);
  if (!value || *value < low || *value > high)
    throw Error(key + "=" + text + ": expected a number from " +
                format("%g", low) +
                (std::isfinite(high) ? " to " + format("%g", high) : " up"));
  return *value;
}

/// For what must be below 1, also once it is rounded to float.
float fractionFor(const std::string &key, const std::string &text) {
  float value = static_cast<float>(numberFor(key, text, 0.0, 1.0));
  if (value == 1.0f)
    throw Error(key + "=" + text + ": expected a number below 1");
  return value;
}

int64_t integerFor(const std::string &key, const std::string &text, int64_t low,
                   int64_t high) {
  auto value = integer(text);
  if (!value || *value < low || *value > high)
    throw Error(key + "=" + text + ": expected a whole number from " +
                std::to_string(low) + " to " + std::to_string(high));
  return *value;
}

constexpr double unbounded = HUGE_VAL;

/// The pieces of a growth's text, taken out one by one.
class Fields {
public:
  explicit Fields(const std::string &text) {
    for (size_t start = 0; start <= text.size();) {
      size_t end = std::min(text.find(',', start), text.size());
      add(text.substr(start, end - start));
      start = end + 1;
    }
  }

  std::optional<std::string> take(const std::string &key) {
    known.push_back(key);
    auto found = values.find(key);
    if (found == values.end())
      return std::nullopt;
    std::string value = found->second;
    values.erase(found);
    return value;
  }

  /// Throws if a key is left that nothing asked for.
  void finish() const {
    if (!values.empty())
      throw Error("unknown key '" + values.begin()->first + "'; the keys are " +
                  join(known, ", "));
  }

private:
  void add(const std::string &field) {
    size_t equals = field.find('=');
    if (equals == std::string::npos || equals == 0 ||
        equals + 1 == field.size())
      throw Error("'" + field + "' is not of the form key=value");
    std::string key = field.substr(0, equals);
    if (!values.emplace(key, field.substr(equals + 1)).second)
      throw Error("'" + key + "' is given twice");
  }

  std::map<std::string, std::string> values;
  std::vector<std::string> known;
};

Init parseInit(const std::string &text) {
  size_t colon = text.find(':');
  std::string kind = text.substr(0, colon);
  std::string argument =
      colon == std::string::npos ? "" : text.substr(colon + 1);
  if (kind == "zero" && argument.empty())
    return Init::zero();
  if (kind == "kaiming" && argument.empty())
    return Init::kaiming();
  if (kind == "constant" && number(argument))
    return Init::constant(static_cast<float>(*number(argument)));
  if (kind == "copy" && integer(argument) && *integer(argument) >= 0)
    return Init::copy(static_cast<unsigned>(*integer(argument)));
  throw Error("init=" + text +
              ": expected zero, kaiming, constant:VALUE or "
              "copy:BRANCH");
}

std::array<int64_t, 2> parseKernel(const std::string &text) {
  size_t cross = text.find('x');
  auto height = integer(text.substr(0, cross));
  auto width = cross == std::string::npos ? std::nullopt
                                          : integer(text.substr(cross + 1));
  if (!height || !width || *height < 1 || *width < 1)
    throw Error("kernel=" + text + ": expected HEIGHTxWIDTH, such as 3x3");
  return {*height, *width};
}

void parseTrigger(Fields &fields, GrowthSpec &spec) {
  auto epoch = fields.take("epoch"), step = fields.take("step");
  auto plateau = fields.take("plateau"), patience = fields.take("patience");
  if ((epoch ? 1 : 0) + (step ? 1 : 0) + (plateau || patience ? 1 : 0) > 1)
    throw Error("epoch=, step= and plateau= exclude each other");
  if (epoch)
    spec.at = Span{numberFor("epoch", *epoch, 0.0, unbounded), true};
  if (step)
    spec.at = Span{
        static_cast<double>(integerFor("step", *step, 0, int64_t(1) << 40)),
        false};
  if (plateau)
    spec.plateau.threshold = numberFor("plateau", *plateau, 0.0, 1.0);
  if (patience)
    spec.plateau.patience = Span::parse(*patience, "patience");
}

/// Returns whether the text says anything about the optimizer.
bool parseOptimizer(Fields &fields, GroupOptions &group) {
  auto kind = fields.take("optimizer");
  auto rate = fields.take("lr"), decay = fields.take("decay");
  auto momentum = fields.take("momentum"), nesterov = fields.take("nesterov");
  auto beta1 = fields.take("beta1"), beta2 = fields.take("beta2");
  auto epsilon = fields.take("epsilon");
  std::string name = kind.value_or(beta1 || beta2 || epsilon ? "adamw" : "sgd");
  if (name != "sgd" && name != "adamw")
    throw Error("optimizer=" + name + ": expected sgd or adamw");
  if (name == "sgd" && (beta1 || beta2 || epsilon))
    throw Error("beta1=, beta2= and epsilon= belong to optimizer=adamw");
  if (name == "adamw" && (momentum || nesterov))
    throw Error("momentum= and nesterov= belong to optimizer=sgd");
  if (nesterov && *nesterov != "true" && *nesterov != "false")
    throw Error("nesterov=" + *nesterov + ": expected true or false");

  if (name == "sgd") {
    Sgd sgd;
    sgd.momentum = momentum ? fractionFor("momentum", *momentum) : 0.9f;
    sgd.nesterov = nesterov && *nesterov == "true";
    group.optimizer = sgd;
  } else {
    AdamW adam;
    if (beta1)
      adam.beta1 = fractionFor("beta1", *beta1);
    if (beta2)
      adam.beta2 = fractionFor("beta2", *beta2);
    if (epsilon)
      adam.epsilon = numberFor("epsilon", *epsilon, 0.0, 1.0);
    if (adam.epsilon == 0.0f)
      throw Error("epsilon=" + *epsilon + ": expected a number above 0");
    group.optimizer = adam;
  }
  group.learningRate = name == "sgd" ? 0.01f : 0.001f;
  if (rate)
    group.learningRate = numberFor("lr", *rate, 0.0, unbounded);
  if (decay)
    group.weightDecay = numberFor("decay", *decay, 0.0, unbounded);
  return kind || rate || decay || momentum || nesterov || beta1 || beta2 ||
         epsilon;
}

GrowthSpec parseFields(Fields fields, unsigned number,
                       const PlateauRule &plateau) {
  GrowthSpec spec;
  spec.plateau = plateau;
  parseTrigger(fields, spec);
  auto map = fields.take("map"), branches = fields.take("branches");
  auto kernel = fields.take("kernel"), init = fields.take("init");
  auto group = fields.take("group");
  spec.groupIsNew = parseOptimizer(fields, spec.group);
  fields.finish();

  if (!map)
    throw Error("map= is missing; it names the map that grows");
  spec.growth.map = *map;
  spec.growth.count =
      branches ? integerFor("branches", *branches, 1, 1 << 16) : 1;
  if (kernel)
    spec.growth.kernel = parseKernel(*kernel);
  if (init)
    spec.growth.init = parseInit(*init);
  spec.group.name = group.value_or("grown" + std::to_string(number));
  spec.growth.group = spec.group.name;
  return spec;
}

double mean(const float *begin, const float *end) {
  return std::accumulate(begin, end, 0.0) / static_cast<double>(end - begin);
}

} // namespace

int64_t Span::steps(int64_t stepsPerEpoch) const {
  if (!inEpochs)
    return std::llround(length);
  // A hair more, or 0.7 epochs of 10 steps would be 6.
  return static_cast<int64_t>(
      std::floor(length * static_cast<double>(stepsPerEpoch) + 1e-6));
}

Span Span::parse(const std::string &text, const std::string &what) {
  size_t unitStart = text.find_first_not_of("0123456789.");
  std::string unit =
      unitStart == std::string::npos ? "" : text.substr(unitStart);
  auto length = number(text.substr(0, unitStart));
  bool inSteps = unit.empty() || unit == "steps" || unit == "step";
  bool inEpochs = unit == "epochs" || unit == "epoch";
  if (!length || (!inSteps && !inEpochs) ||
      (inSteps && *length != std::floor(*length)))
    throw Error(what + "=" + text +
                ": expected a number of steps or epochs, such as 200steps or "
                "0.5epochs");
  return Span{*length, inEpochs};
}

GrowthSpec parseGrowth(const std::string &text, unsigned number,
                       const PlateauRule &plateau) {
  try {
    GrowthSpec spec = parseFields(Fields(text), number, plateau);
    spec.text = text;
    return spec;
  } catch (const Error &error) {
    throw Error("in growth '" + text +
                "': " + error.diagnostics().front().message);
  }
}

std::vector<std::string> defaultGrowths(const std::vector<MapInfo> &maps,
                                        double epochs, float learningRate,
                                        float weightDecay, bool onPlateau) {
  std::vector<std::string> texts;
  for (unsigned i = 0; i < 3 && !maps.empty(); ++i) {
    const MapInfo &map = maps[i % maps.size()];
    texts.push_back(
        (onPlateau ? "" : format("epoch=%g,", epochs * 0.2 * (i + 1))) +
        "map=" + map.name +
        (std::count(map.body.begin(), map.body.end(), "relu") > 0
             ? ",branches=1,init=constant:0.001"
             : ",branches=2,init=zero") +
        format(",group=grown%u,optimizer=sgd,momentum=0.9,lr=%g", i + 1,
               learningRate) +
        (weightDecay > 0.0f ? format(",decay=%g", weightDecay) : ""));
  }
  return texts;
}

GrowthSchedule::GrowthSchedule(std::vector<GrowthSpec> specs,
                               int64_t stepsPerEpoch)
    : specs(std::move(specs)), stepsPerEpoch(stepsPerEpoch) {}

std::vector<GrowthSpec> GrowthSchedule::due(int64_t step) {
  std::vector<GrowthSpec> now, later;
  bool plateauTaken = false;
  for (GrowthSpec &spec : specs) {
    bool ready = spec.at ? spec.at->steps(stepsPerEpoch) <= step
                         : !plateauTaken && onPlateau(spec.plateau);
    // Only the first that waits for a plateau is watched.
    plateauTaken |= !spec.at;
    (ready ? now : later).push_back(std::move(spec));
  }
  specs = std::move(later);
  if (!now.empty())
    losses.clear();
  return now;
}

void GrowthSchedule::take(const std::string &text) {
  auto found =
      std::find_if(specs.begin(), specs.end(),
                   [&](const GrowthSpec &spec) { return spec.text == text; });
  if (found != specs.end())
    specs.erase(found);
}

void GrowthSchedule::record(float loss) { losses.push_back(loss); }

std::vector<GrowthSpec> GrowthSchedule::beyond(int64_t totalSteps) const {
  std::vector<GrowthSpec> late;
  for (const GrowthSpec &spec : specs)
    if (spec.at && spec.at->steps(stepsPerEpoch) >= totalSteps)
      late.push_back(spec);
  return late;
}

bool GrowthSchedule::onPlateau(const PlateauRule &rule) const {
  const size_t window =
      std::max<int64_t>(1, rule.patience.steps(stepsPerEpoch));
  if (losses.size() < 2 * window)
    return false;
  const float *end = losses.data() + losses.size();
  double last = mean(end - window, end);
  double before = mean(end - 2 * window, end - window);
  return last > before * (1.0 - rule.threshold);
}

double RateSchedule::factor(int64_t step) const {
  if (step < warmupSteps)
    return static_cast<double>(step + 1) / static_cast<double>(warmupSteps);
  const double progress =
      static_cast<double>(step - warmupSteps) /
      static_cast<double>(std::max<int64_t>(1, totalSteps - warmupSteps));
  switch (kind) {
  case Kind::Constant:
    return 1.0;
  case Kind::Cosine:
    return 0.5 * (1.0 + std::cos(M_PI * std::min(progress, 1.0)));
  case Kind::Step:
    return std::pow(dropFactor,
                    static_cast<double>((step - warmupSteps) / dropEvery));
  }
  return 1.0;
}

} // namespace cambium::train
