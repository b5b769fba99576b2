//===- TrainingRun.cpp - One training run ---------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "TrainingRun.h"

#include "Format.h"
#include "Interrupt.h"
#include "Machine.h"
#include "Report.h"
#include "cambium/Runtime/AtomicFile.h"

#include <algorithm>
#include <cmath>
#include <ctime>

namespace cambium::train {
namespace {

using Clock = std::chrono::steady_clock;

/// Under which a checkpoint keeps what it needs besides the trainer.
const char *const noteName = "cambium-train";

double secondsSince(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

/// The same error with a first line that says what was being done.
Error inContext(const std::string &context, const Error &error) {
  std::vector<Diagnostic> all = error.diagnostics();
  all.insert(all.begin(), {Diagnostic::Severity::Error, "", context});
  return Error(all);
}

/// All messages on one line.
std::string oneLine(const Error &error) {
  std::vector<std::string> parts;
  for (const Diagnostic &diagnostic : error.diagnostics())
    parts.push_back(
        (diagnostic.location.empty() ? "" : diagnostic.location + ": ") +
        diagnostic.message);
  return join(parts, "; ");
}

std::string nameOf(const std::variant<Sgd, AdamW> &optimizer) {
  if (const Sgd *sgd = std::get_if<Sgd>(&optimizer))
    return format("sgd, momentum %g", sgd->momentum) +
           (sgd->nesterov ? ", nesterov" : "");
  const AdamW &adam = std::get<AdamW>(optimizer);
  return format("adamw, beta1 %g, beta2 %g", adam.beta1, adam.beta2);
}

std::string now() {
  std::time_t time = std::time(nullptr);
  std::tm utc;
  gmtime_r(&time, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

void expectFinite(double loss, const std::string &where) {
  if (!std::isfinite(loss))
    throw Error(format("the loss is %g in ", loss) + where +
                "; lower the learning rates (--learning-rate, lr= in --grow) "
                "or use --warmup");
}

} // namespace

TrainingRun::TrainingRun(const Options &options, Progress &progress)
    : options(options), progress(progress) {}

void TrainingRun::prepare() {
  load();
  compile();
  checkFit();
  scheduleGrowths();
  describe();
  // Before the training, not after it, is the time to learn that the folder
  // cannot be written.
  writeReport(record, options.output);
  for (const std::string &path : {options.save, options.exported})
    if (!path.empty())
      AtomicFile probe(path);
}

void TrainingRun::load() {
  auto begin = Clock::now();
  data = loadDataset(options.data, options.limitTrain, options.limitTest);
  normalization = std::make_unique<Normalization>(data.train);
  Batches::Options order;
  order.batch = std::min(options.batch, data.train.count);
  order.order = Batches::Order::Shuffled;
  order.augment = options.augment;
  order.seed = options.seed;
  trainBatches = std::make_unique<Batches>(data.train, *normalization, order);
  // The same batch size: one plan of the memory serves both, and tests do not
  // hide in the memory of the report.
  order.order = Batches::Order::File;
  order.augment = false;
  testBatches = std::make_unique<Batches>(data.test, *normalization, order);
  stepsPerEpoch = trainBatches->perEpoch();
  record.batch = order.batch;
  record.imageShape =
      extents({data.train.height, data.train.width, data.train.channels});
  course = {order.batch, data.train.count, options.seed, options.augment, {},
            {}};
  record.loadSeconds = secondsSince(begin);
}

void TrainingRun::compile() {
  auto begin = Clock::now();
  record.networkPath =
      options.resume.empty() ? options.network : options.resume;
  TrainerOptions trainerOptions;
  trainerOptions.target = options.target();
  trainerOptions.compile.precision = options.precision();
  trainerOptions.compile.convLibrary = options.convLibrary();
  trainerOptions.seed = options.seed;
  if (!options.resume.empty()) {
    resume(trainerOptions);
  } else {
    try {
      trainer = std::make_unique<Trainer>(Network::load(options.network),
                                          trainerOptions);
    } catch (const Error &error) {
      throw inContext("cannot use the network '" + options.network + "'",
                      error);
    }
    noteGroups();
  }
  record.compileSeconds = secondsSince(begin);
}

void TrainingRun::resume(const TrainerOptions &trainerOptions) {
  Trainer::Notes notes;
  trainer = std::make_unique<Trainer>(
      Trainer::load(options.resume, trainerOptions, &notes));
  try {
    if (!notes.count(noteName))
      throw Error("it was not saved by cambium-train");
    Course saved;
    fromText(notes[noteName], saved, record);
    checkSameData(course, saved);
    course = saved;
  } catch (const Error &error) {
    throw inContext("cannot go on from '" + options.resume + "'", error);
  }
  for (GroupRecord &group : record.groups)
    if (options.learningRate && group.growth == 0)
      group.learningRate = *options.learningRate;
}

void TrainingRun::noteGroups() {
  for (const GroupOptions &group : trainer->network().groups()) {
    if (options.learningRate)
      trainer->setLearningRate(group.name, *options.learningRate);
    float rate = trainer->learningRate(group.name);
    record.groups.push_back({group.name, nameOf(group.optimizer), rate, rate,
                             group.weightDecay, 0, -1});
  }
}

void TrainingRun::checkFit() {
  auto begin = Clock::now();
  const ImageSet &train = data.train;
  std::vector<float> image(train.pixelsPerImage(), 0.0f);
  TensorView view(image.data(), {1, train.height, train.width, train.channels});
  const int32_t label = 0;
  int64_t classes;
  try {
    Tensor logits = trainer->predict(view);
    if (logits.shape.size() != 2)
      throw Error("@forward returns " + extents(logits.shape) +
                  " for one image; expected 1xCLASSES");
    classes = logits.shape[1];
    if (std::isnan(trainer->evaluate(view, {&label, {1}}).accuracy))
      throw Error("@loss does not take class labels; expected "
                  "softmax_cross_entropy with int32 labels");
  } catch (const Error &error) {
    throw inContext("the network '" + record.networkPath +
                        "' does not fit the images of " + record.imageShape +
                        " in '" + options.data + "'",
                    error);
  }
  train.checkLabels(classes);
  data.test.checkLabels(classes);
  record.compileSeconds += secondsSince(begin);
}

void TrainingRun::scheduleGrowths() {
  rates.kind = options.rateKind;
  rates.totalSteps = totalSteps();
  rates.warmupSteps = options.warmup.steps(stepsPerEpoch);
  rates.dropEvery =
      std::max<int64_t>(1, options.dropEvery.steps(stepsPerEpoch));
  rates.dropFactor = options.dropFactor;
  if (!options.save.empty())
    saveEvery = std::max<int64_t>(1, options.saveEvery.steps(stepsPerEpoch));

  const auto declared = trainer->network().maps();
  std::vector<std::string> texts = options.growTexts;
  if (texts.empty() && !options.resume.empty())
    texts = course.growths;
  else if (texts.empty() && !record.groups.empty())
    texts =
        defaultGrowths(declared, static_cast<double>(options.epochs),
                       record.groups.front().learningRate,
                       record.groups.front().weightDecay, options.onPlateau);
  std::vector<GrowthSpec> specs;
  for (size_t i = 0; i < texts.size() && texts[i] != "none"; ++i)
    specs.push_back(parseGrowth(texts[i], i + 1, options.plateau));
  course.growths = texts;
  growths = std::make_unique<GrowthSchedule>(specs, stepsPerEpoch);
  replayGrowths();
  warnOfMisfits(growths->pending(), declared);
  for (const GrowthSpec &spec : growths->beyond(totalSteps()))
    progress.warning("growth '" + spec.text + "' comes after the end of the " +
                     counted(options.epochs, "epoch", "epochs") +
                     " and will not happen");
}

/// Brings the schedule to where the earlier part of the run left it.
void TrainingRun::replayGrowths() {
  for (const std::string &text : course.taken)
    growths->take(text);
  int64_t first = record.growths.empty() ? 0 : record.growths.back().step;
  for (int64_t i = first; i < step(); ++i)
    growths->record(record.steps[i].loss);
}

/// Says at once what would fail in minutes.
void TrainingRun::warnOfMisfits(const std::vector<GrowthSpec> &specs,
                                const std::vector<MapInfo> &declared) {
  std::vector<std::string> maps;
  for (const MapInfo &map : declared)
    maps.push_back(map.name);
  std::set<std::string> groups;
  for (const GroupRecord &group : record.groups)
    groups.insert(group.name);
  for (const GrowthSpec &spec : specs) {
    if (std::find(maps.begin(), maps.end(), spec.growth.map) == maps.end())
      progress.warning(
          "growth '" + spec.text + "' will fail: the network has " +
          (maps.empty() ? "no map that could grow"
                        : "no map '" + spec.growth.map + "'; its maps are " +
                              join(maps, ", ")));
    if (!groups.insert(spec.group.name).second && spec.groupIsNew)
      progress.warning("growth '" + spec.text + "': the group '" +
                       spec.group.name +
                       "' exists by then and keeps its optimizer and rate");
  }
}

void TrainingRun::describe() {
  record.dataPath = options.data;
  record.trainImages = data.train.count;
  record.testImages = data.test.count;
  record.command = options.command;
  record.date = now();
  record.machine = describeMachine();
  if (options.onCuda())
    record.machine.emplace_back("CUDA device", trainer->deviceName());
  auto add = [&](const char *name, const std::string &value) {
    record.configuration.emplace_back(name, value);
  };
  if (!options.resume.empty())
    add("Resumed",
        options.resume + " after " + counted(step(), "step", "steps"));
  add("Epochs", std::to_string(options.epochs));
  add("Batch", grouped(record.batch));
  add("Steps in an epoch", grouped(stepsPerEpoch));
  add("Learning rate",
      options.rateName +
          (rates.warmupSteps > 0
               ? ", " + grouped(rates.warmupSteps) + " steps of warm-up"
               : "") +
          (rates.kind == RateSchedule::Kind::Step
               ? format(", times %g every ", rates.dropFactor) +
                     grouped(rates.dropEvery) + " steps"
               : ""));
  add("Augmentation", options.augment ? "flips and shifts" : "none");
  add("Seed", std::to_string(options.seed));
  if (options.onCuda()) {
    add("Target", options.targetName);
    add("Precision", options.precisionName);
  } else {
    add("Threads", options.threads == 0 ? "one for each core"
                                        : std::to_string(options.threads));
    add("Instruction set", options.isaName);
  }
  for (int64_t c = 0; c < data.train.channels; ++c)
    add("Normalization",
        format("mean %.4f, deviation %.4f", normalization->mean(c),
               normalization->deviation(c)));
  unsigned number = 0;
  for (const GrowthSpec &spec : growths->pending())
    add(("Growth " + std::to_string(++number)).c_str(), spec.text);
}

void TrainingRun::train() {
  start =
      Clock::now() - std::chrono::duration_cast<Clock::duration>(
                         std::chrono::duration<double>(record.trainSeconds));
  if (record.stages.empty())
    noteStage();
  progress.message(grouped(data.train.count) + " training and " +
                   grouped(data.test.count) + " test images of " +
                   record.imageShape + ", " +
                   grouped(trainer->parameterCount()) + " parameters, " +
                   counted(options.epochs, "epoch", "epochs") + " of " +
                   counted(stepsPerEpoch, "step", "steps"));
  if (!options.resume.empty())
    progress.message("going on after " + counted(step(), "step", "steps") +
                     " and " +
                     counted(record.growthCount(), "growth", "growths"));
  for (int64_t epoch = record.epochs.size() + 1; epoch <= options.epochs;
       ++epoch) {
    if (!trainEpoch(epoch))
      break;
    writeReport(record, options.output);
    if (saveEvery > 0 && step() % saveEvery == 0 && epoch < options.epochs)
      save(/*atEnd=*/false);
  }
  record.interrupted = notedSignal() != 0;
  if (saveEvery > 0)
    save(/*atEnd=*/true);
  if (!options.exported.empty())
    trainer->exportInference(options.exported);
}

std::string TrainingRun::finish() {
  progress.clear();
  record.trainSeconds = seconds();
  record.peakResidentBytes = peakResidentBytes();
  if (options.onCuda())
    record.machine.emplace_back("Convolutions", trainer->convolutions());
  countParameters();
  return writeReport(record, options.output);
}

void TrainingRun::save(bool atEnd) {
  record.trainSeconds = seconds();
  try {
    trainer->save(options.save, {{noteName, toText(course, record)}});
  } catch (const Error &error) {
    if (atEnd)
      throw;
    progress.warning("no checkpoint after step " + grouped(step()) +
                     ", training goes on: " + oneLine(error));
  }
}

/// Returns false if the run was interrupted.
bool TrainingRun::trainEpoch(int64_t epoch) {
  const int64_t firstStep = (epoch - 1) * stepsPerEpoch;
  trainBatches->start(epoch - 1, step() - firstStep);
  for (Batch batch; trainBatches->next(batch);) {
    growDue();
    applyRates();
    trainStep(batch);
    if (notedSignal() != 0)
      return false;
    showProgress(epoch);
    // An epoch's last step is saved with its test.
    if (saveEvery > 0 && step() % saveEvery == 0 &&
        step() < epoch * stepsPerEpoch)
      save(/*atEnd=*/false);
  }
  test(epoch, firstStep);
  record.trainSeconds = seconds();
  record.peakResidentBytes = peakResidentBytes();
  return notedSignal() == 0;
}

void TrainingRun::trainStep(const Batch &batch) {
  auto begin = Clock::now();
  float loss = trainer->step(batch.imageView(), batch.labelView());
  double milliseconds = secondsSince(begin) * 1e3;
  record.steps.push_back({seconds(), milliseconds, loss});
  growths->record(loss);
  StageRecord &stage = record.stages.back();
  if (step() == stage.firstStep + 1) {
    // The arena is planned in the first step.
    stage.memory = trainer->memory();
    stage.residentBytes = residentBytes();
  }
  expectFinite(loss, "step " + grouped(step()));
}

void TrainingRun::applyRates() {
  double factor = rates.factor(step());
  if (factor == appliedFactor)
    return;
  for (GroupRecord &group : record.groups) {
    group.finalLearningRate = static_cast<float>(group.learningRate * factor);
    trainer->setLearningRate(group.name, group.finalLearningRate);
  }
  appliedFactor = factor;
}

void TrainingRun::growDue() {
  for (const GrowthSpec &spec : growths->due(step())) {
    course.taken.push_back(spec.text);
    grow(spec);
  }
}

void TrainingRun::grow(const GrowthSpec &spec) {
  GrowthRecord growth;
  growth.step = step();
  growth.epoch = static_cast<double>(step()) / stepsPerEpoch;
  growth.seconds = seconds();
  growth.growth = spec.growth;
  try {
    ensureGroup(spec);
    growth.report = trainer->grow(spec.growth);
  } catch (const Error &error) {
    growth.error = oneLine(error);
    progress.warning("growth '" + spec.text +
                     "' failed, training goes on: " + growth.error);
  }
  for (const GroupRecord &group : record.groups)
    if (group.name == spec.group.name) {
      growth.optimizer = group.optimizer;
      growth.learningRate = group.learningRate;
    }
  growth.parametersAfter = trainer->parameterCount();
  record.growths.push_back(growth);
  if (!growth.error.empty())
    return;
  noteStage();
  progress.grew(growth);
}

void TrainingRun::ensureGroup(const GrowthSpec &spec) {
  for (const GroupRecord &group : record.groups)
    if (group.name == spec.group.name)
      return;
  trainer->addGroup(spec.group);
  record.groups.push_back(
      {spec.group.name, nameOf(spec.group.optimizer), spec.group.learningRate,
       spec.group.learningRate, spec.group.weightDecay,
       static_cast<unsigned>(record.growthCount() + 1), -1});
  appliedFactor = -1.0;
}

void TrainingRun::noteStage() {
  StageRecord stage = {step(), trainer->parameterCount(), trainer->memory(),
                       residentBytes()};
  // Two growths before the same step are one stage.
  if (!record.stages.empty() && record.stages.back().firstStep == step())
    record.stages.pop_back();
  record.stages.push_back(stage);
}

void TrainingRun::test(int64_t epoch, int64_t firstStep) {
  const double trained = record.steps.back().seconds;
  const double before = firstStep == 0 ? 0.0 : record.epochs.back().seconds;
  double loss = 0.0, hits = 0.0;
  testBatches->start(0);
  for (Batch batch; testBatches->next(batch);) {
    Evaluation result = trainer->evaluate(batch.imageView(), batch.labelView());
    loss += result.loss * batch.size;
    hits += result.accuracy * batch.size;
    if (notedSignal() != 0)
      return;
  }
  double trainLoss = 0.0;
  for (int64_t i = firstStep; i < step(); ++i)
    trainLoss += record.steps[i].loss;
  EpochRecord done;
  done.epoch = epoch;
  done.seconds = seconds();
  done.trainLoss = trainLoss / stepsPerEpoch;
  done.testLoss = loss / data.test.count;
  done.testAccuracy = hits / data.test.count;
  done.imagesPerSecond = stepsPerEpoch * record.batch / (trained - before);
  done.parameters = trainer->parameterCount();
  done.residentBytes = residentBytes();
  record.epochs.push_back(done);
  progress.epochDone(done, options.epochs);
  expectFinite(done.testLoss, "the test of epoch " + std::to_string(epoch));
}

void TrainingRun::showProgress(int64_t epoch) {
  if (!progress.wants(record.steps.back().seconds))
    return;
  const auto &steps = record.steps;
  const size_t window = std::min<size_t>(20, steps.size());
  ProgressState state;
  state.epoch = epoch;
  state.epochs = options.epochs;
  state.stepsPerEpoch = stepsPerEpoch;
  state.stepInEpoch = step() - (epoch - 1) * stepsPerEpoch;
  for (size_t i = steps.size() - window; i < steps.size(); ++i) {
    state.loss += steps[i].loss / window;
    state.imagesPerSecond += steps[i].milliseconds / window;
  }
  state.imagesPerSecond = record.batch * 1e3 / state.imagesPerSecond;
  if (!record.epochs.empty())
    state.accuracy = record.accuracy();
  state.seconds = steps.back().seconds;
  state.residentBytes = residentBytes();
  const MemoryReport &memory = record.stages.back().memory;
  state.networkBytes = memory.parameters + memory.state + memory.arena;
  progress.show(state);
}

/// How many parameters each group has in the end.
void TrainingRun::countParameters() {
  for (GroupRecord &group : record.groups)
    group.parameters = 0;
  for (const ParameterInfo &parameter : trainer->network().parameters())
    for (GroupRecord &group : record.groups)
      if (group.name == parameter.group)
        group.parameters += parameter.elements();
}

double TrainingRun::seconds() const { return secondsSince(start); }

} // namespace cambium::train
