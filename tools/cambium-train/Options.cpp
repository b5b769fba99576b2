//===- Options.cpp - The command line -------------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Options.h"

#include <CLI/CLI.hpp>
#include <cmath>
#include <filesystem>
#include <sstream>

namespace cambium::train {
namespace {

const char *const description =
    "Trains a network that grows while it trains, on images in IDX format "
    "(MNIST's).";

const char *const footer = R"(Growths: --grow=KEY=VALUE,...
  when     epoch=2 (fractions too), step=1000, or plateau=0.01,patience=200steps;
           with none of them the growth waits for a plateau
  what     map=NAME (required), branches=1, kernel=3x3,
           init=zero | kaiming | constant:VALUE | copy:BRANCH
  where    group=NAME: an existing group, or a new one with
           optimizer=sgd, lr=0.01, momentum=0.9, nesterov=false, decay=0 or
           optimizer=adamw, lr=0.001, beta1=0.9, beta2=0.999, epsilon=1e-8
  Without --grow the network grows three times, each into a group of its own.

Examples:
  cambium-train
  cambium-train --data=mnist --epochs=4 --output=mnist-report
  cambium-train --grow=epoch=1,map=block1,branches=4,init=zero,lr=0.1 \
                --grow=epoch=2.5,map=block2,kernel=5x5,optimizer=adamw
  cambium-train --network=net.mlir --plateau=0.02 --patience=0.5epochs
  cambium-train --network=net.mlir --grow=none --schedule=step --drop-every=3epochs

Exit codes: 0 trained, 1 bad data, network or output, 2 bad command line,
130 interrupted (the report holds the run so far).
)";

/// The network that comes with the tool: beside its folder, both in the build
/// tree and wherever both are copied to.
std::string defaultNetwork() {
  namespace fs = std::filesystem;
  std::error_code ignored;
  fs::path self = fs::read_symlink("/proc/self/exe", ignored);
  return (self.parent_path().parent_path() / "share" / "cambium" /
          "fashion-mnist.mlir")
      .string();
}

/// The same check without its own words in the help.
CLI::Validator hidden(CLI::Validator validator) {
  return validator.description("");
}

/// CLI11's own lets `nan` pass.
CLI::Validator rate() {
  auto check = [](const std::string &text) -> std::string {
    double value;
    if (CLI::detail::lexical_cast(text, value) && value >= 0.0 &&
        std::isfinite(value))
      return "";
    return "Value " + text + " is not a finite number from 0 up";
  };
  return CLI::Validator(check, "");
}

CLI::Validator target() {
  auto check = [](const std::string &text) -> std::string {
    int device;
    bool numbered = text.rfind("cuda:", 0) == 0 &&
                    CLI::detail::lexical_cast(text.substr(5), device) &&
                    device >= 0;
    if (text == "host" || text == "cuda" || numbered)
      return "";
    return text + " is not host, cuda or cuda:N";
  };
  return CLI::Validator(check, "");
}

CLI::Validator aboveZero() {
  return hidden(CLI::Range(int64_t(1), int64_t(1) << 31));
}

void addDataFlags(CLI::App &app, Options &options) {
  app.add_option("--data", options.data,
                 "Folder with train-images-idx3-ubyte[.gz] and so on")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--network", options.network,
                 "Network in the grow dialect (default: the Fashion-MNIST\n"
                 "network that comes with the tool)")
      ->type_name("FILE");
  app.add_option("--output", options.output,
                 "Folder for report.html and history.json")
      ->type_name("DIR")
      ->capture_default_str();
  app.add_option("--limit-train", options.limitTrain,
                 "Use the first N training images only")
      ->type_name("N")
      ->check(aboveZero());
  app.add_option("--limit-test", options.limitTest,
                 "Use the first N test images only")
      ->type_name("N")
      ->check(aboveZero());
  app.add_flag("--augment", options.augment,
               "Flip half of the training images and shift each by up\n"
               "to two pixels (not for digits)");
}

void addRunFlags(CLI::App &app, Options &options) {
  app.add_option("--epochs", options.epochs, "Passes over the training images")
      ->type_name("N")
      ->check(aboveZero())
      ->capture_default_str();
  app.add_option("--batch", options.batch, "Images in a step")
      ->type_name("N")
      ->check(aboveZero())
      ->capture_default_str();
  app.add_option("--threads", options.threads,
                 "Threads (default: one for each core); the result does\n"
                 "not depend on them")
      ->type_name("N")
      ->check(hidden(CLI::Range(1, 1024)));
  app.add_option("--seed", options.seed,
                 "Seed of initial values, order and augmentation")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--isa", options.isaName, "Instruction set of the kernels")
      ->type_name("native|generic|avx2|avx512")
      ->check(hidden(CLI::IsMember({"native", "generic", "avx2", "avx512"})))
      ->capture_default_str();
  app.add_option("--target", options.targetName,
                 "Where to train: the processor or a CUDA device")
      ->type_name("host|cuda[:N]")
      ->check(target())
      ->capture_default_str();
  app.add_option("--precision", options.precisionName,
                 "What contractions on a CUDA device multiply")
      ->type_name("fp32|tf32|bf16")
      ->check(hidden(CLI::IsMember({"fp32", "tf32", "bf16"})))
      ->capture_default_str();
  app.add_option("--conv-library", options.convLibraryName,
                 "What computes plain convolutions on a CUDA device: kernels,\n"
                 "cuDNN, or the faster one")
      ->type_name("generated|cudnn|auto")
      ->check(hidden(CLI::IsMember({"generated", "cudnn", "auto"})))
      ->capture_default_str();
  app.add_flag("--quiet", options.quiet, "Print the result line only");
}

struct Texts {
  std::string schedule = "cosine", warmup, dropEvery, patience, saveEvery;
};

void addCheckpointFlags(CLI::App &app, Options &options, Texts &texts) {
  app.add_option("--save", options.save,
                 "Checkpoint of the run, to resume it and for other\n"
                 "programs (safetensors)")
      ->type_name("FILE");
  app.add_option("--save-every", texts.saveEvery,
                 "With --save: time between checkpoints (default:\n"
                 "1epochs); the last one is at the end")
      ->type_name("SPAN");
  app.add_option("--resume", options.resume,
                 "Go on from a checkpoint, with its network; the same\n"
                 "flags give the run that was not interrupted")
      ->type_name("FILE");
  app.add_option("--export", options.exported,
                 "At the end, the network for inference with its\n"
                 "branches collapsed (safetensors)")
      ->type_name("FILE");
}

void addScheduleFlags(CLI::App &app, Options &options, Texts &texts) {
  app.add_option("--learning-rate", options.learningRate,
                 "Rate of the network's own groups, in place of theirs")
      ->type_name("RATE")
      ->check(rate());
  app.add_option("--schedule", texts.schedule,
                 "Course of every group's rate over the run")
      ->type_name("cosine|constant|step")
      ->check(hidden(CLI::IsMember({"cosine", "constant", "step"})))
      ->capture_default_str();
  app.add_option("--warmup", texts.warmup,
                 "Raise the rates from zero over this time: 100steps")
      ->type_name("SPAN");
  app.add_option("--drop-every", texts.dropEvery,
                 "With --schedule=step: time between drops\n"
                 "(default: 2epochs)")
      ->type_name("SPAN");
  app.add_option("--drop-factor", options.dropFactor,
                 "With --schedule=step: factor of a drop")
      ->type_name("FACTOR")
      ->check(hidden(CLI::Range(0.0, 1.0)))
      ->capture_default_str();
  app.add_option("--grow", options.growTexts,
                 "A growth, see below; repeat the flag for more;\n"
                 "none: the network stays as it is")
      ->type_name("SPEC")
      ->take_all()
      ->allow_extra_args(false);
  app.add_option("--plateau", options.plateau.threshold,
                 "Growths without a time come when the mean loss falls\n"
                 "by less than this fraction from one --patience to the\n"
                 "next")
      ->type_name("FRACTION")
      ->check(hidden(CLI::Range(0.0, 1.0)))
      ->capture_default_str();
  app.add_option("--patience", texts.patience,
                 "See --plateau (default: 200steps)")
      ->type_name("SPAN");
}

[[noreturn]] void usageError(const std::string &message) {
  throw UsageExit{2, "error: " + message +
                         "\nTry 'cambium-train --help' for the flags.\n"};
}

/// What CLI11 cannot check by itself.
void finish(const CLI::App &app, Options &options, const Texts &texts) {
  using Kind = RateSchedule::Kind;
  options.rateName = texts.schedule;
  options.rateKind = texts.schedule == "cosine"     ? Kind::Cosine
                     : texts.schedule == "constant" ? Kind::Constant
                                                    : Kind::Step;
  if (!texts.warmup.empty())
    options.warmup = Span::parse(texts.warmup, "--warmup");
  if (!texts.dropEvery.empty())
    options.dropEvery = Span::parse(texts.dropEvery, "--drop-every");
  if (!texts.patience.empty())
    options.plateau.patience = Span::parse(texts.patience, "--patience");
  if (!texts.saveEvery.empty() && options.save.empty())
    throw Error("--save-every needs --save");
  if (!texts.saveEvery.empty())
    options.saveEvery = Span::parse(texts.saveEvery, "--save-every");
  if (options.rateKind != Kind::Step &&
      (app.count("--drop-every") || app.count("--drop-factor")))
    throw Error("--drop-every and --drop-factor need --schedule=step");
  if (options.onCuda() && (app.count("--isa") || app.count("--threads")))
    throw Error("--isa and --threads are of --target=host");
  if (!options.onCuda() && app.count("--precision"))
    throw Error("--precision needs --target=cuda; the host computes in fp32");
  if (!options.onCuda() && app.count("--conv-library"))
    throw Error("--conv-library needs --target=cuda; the host has its own "
                "kernels only");
  options.onPlateau = app.count("--plateau") || app.count("--patience");

  const std::vector<std::string> &growths = options.growTexts;
  bool none =
      std::find(growths.begin(), growths.end(), "none") != growths.end();
  if (none && growths.size() > 1)
    throw Error("--grow=none excludes every other --grow");
  for (size_t i = 0; i < growths.size() && !none; ++i)
    parseGrowth(growths[i], i + 1, options.plateau);
}

} // namespace

Isa Options::isa() const {
  if (isaName == "generic")
    return Isa::Generic;
  if (isaName == "avx2")
    return Isa::AVX2;
  return isaName == "avx512" ? Isa::AVX512 : Isa::Native;
}

Target Options::target() const {
  if (!onCuda())
    return Target::host(threads, isa());
  size_t colon = targetName.find(':');
  return Target::cuda(
      colon == std::string::npos ? 0 : std::stoi(targetName.substr(colon + 1)));
}

Precision Options::precision() const {
  if (precisionName == "tf32")
    return Precision::Tf32;
  return precisionName == "bf16" ? Precision::Bf16 : Precision::Fp32;
}

ConvLibrary Options::convLibrary() const {
  if (convLibraryName == "cudnn")
    return ConvLibrary::Cudnn;
  return convLibraryName == "auto" ? ConvLibrary::Auto : ConvLibrary::Generated;
}

Options parseOptions(int argc, const char *const *argv) {
  CLI::App app(description, "cambium-train");
  app.footer(footer);
  app.get_formatter()->column_width(30);
  Options options;
  Texts texts;
  addDataFlags(app, options);
  addRunFlags(app, options);
  addScheduleFlags(app, options, texts);
  addCheckpointFlags(app, options, texts);
  try {
    app.parse(argc, const_cast<char **>(argv));
    finish(app, options, texts);
  } catch (const CLI::CallForHelp &) {
    throw UsageExit{0, app.help()};
  } catch (const CLI::ParseError &error) {
    usageError(error.what());
  } catch (const Error &error) {
    usageError(error.diagnostics().front().message);
  }
  if (options.network.empty())
    options.network = defaultNetwork();
  options.command.assign(argv, argv + argc);
  return options;
}

} // namespace cambium::train
