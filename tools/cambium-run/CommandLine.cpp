//===- CommandLine.cpp - Flags of cambium-run -----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CommandLine.h"

#include <CLI/CLI.hpp>

using namespace cambium;

static constexpr char description[] =
    "Runs a function of a network on random inputs and prints its results.\n";

static constexpr char footer[] = R"(
Backends: reference interprets the network in double precision, kernels what the
pipelines make of it, host runs that on this machine's processor, and cuda on
its first CUDA device. Layers are in inference mode but for --grad.

With --compare, prints the relative error of every result (with --grad: of the
loss and of every parameter's gradient): the largest difference of an element,
divided by the largest magnitude in the reference's tensor, or by a thousandth
of the largest magnitude in any result if that is more. Exits with 1 if one is
above the tolerance, with 2 for bad input.

Examples:
  cambium-run net.mlir --entry=forward --backend=reference
  cambium-run net.mlir --grad --compare=reference
  cambium-run net.mlir --entry=forward --threads=2 --batch=64 --time
)";

static const std::map<std::string, BackendKind> backends = {
    {"reference", BackendKind::Reference},
    {"kernels", BackendKind::Kernels},
    {"host", BackendKind::Host},
    {"cuda", BackendKind::Cuda}};
static const std::map<std::string, Isa> isas = {{"native", Isa::Native},
                                                {"generic", Isa::Generic},
                                                {"avx2", Isa::AVX2},
                                                {"avx512", Isa::AVX512}};

static const std::map<std::string, KeepPolicy> keepPolicies = {
    {"auto", KeepPolicy::Auto},
    {"mask", KeepPolicy::Mask},
    {"recompute", KeepPolicy::Recompute},
    {"store", KeepPolicy::Store}};
static const std::map<std::string, ConvAlgorithm> algorithms = {
    {"auto", ConvAlgorithm::Auto},
    {"direct", ConvAlgorithm::Direct},
    {"winograd", ConvAlgorithm::Winograd}};

static const std::map<std::string, Precision> precisions = {
    {"fp32", Precision::Fp32},
    {"tf32", Precision::Tf32},
    {"bf16", Precision::Bf16}};

static const std::map<std::string, ConvLibrary> libraries = {
    {"generated", ConvLibrary::Generated},
    {"cudnn", ConvLibrary::Cudnn},
    {"auto", ConvLibrary::Auto}};

/// What the command line says, before names are looked up.
struct Arguments {
  std::string file, backend = "host", isa = "native", keep = "auto",
                    algorithm = "auto", precision = "fp32",
                    library = "generated";
  RunOptions options;
};

static void addFlags(CLI::App &app, Arguments &arguments) {
  RunOptions &options = arguments.options;
  app.footer(footer);
  app.add_option("FILE", arguments.file, "Network in the grow dialect")
      ->required();
  app.add_option("--entry", options.entry,
                 "Function to run (default: forward, with --grad loss)");
  app.add_option("--backend", arguments.backend, "What runs it")
      ->check(CLI::IsMember(backends))
      ->capture_default_str();
  app.add_option("--threads", options.threads, "0: one for each core")
      ->capture_default_str();
  app.add_option("--isa", arguments.isa, "Instruction set of the host")
      ->check(CLI::IsMember(isas))
      ->capture_default_str();
  app.add_option("--batch", options.batch, "Batch size")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--random-inputs", options.seed,
                 "Seed of inputs and initial values")
      ->capture_default_str();
  app.add_option("--compare", "Print differences from reference, not results")
      ->check(CLI::IsMember({"reference"}));
  app.add_option("--tolerance", options.tolerance,
                 "Largest relative error that is no failure")
      ->capture_default_str();
  app.add_flag("--grad", options.gradients,
               "Differentiate the function, a loss, and run the result");
  app.add_option("--keep", arguments.keep,
                 "What maps keep of their branches for gradients")
      ->check(CLI::IsMember(keepPolicies))
      ->capture_default_str();
  app.add_option("--conv-algorithm", arguments.algorithm,
                 "How maps' kernels compute 3x3 convolutions")
      ->check(CLI::IsMember(algorithms))
      ->capture_default_str();
  app.add_option("--precision", arguments.precision,
                 "What contractions of the cuda backend multiply")
      ->check(CLI::IsMember(precisions))
      ->capture_default_str();
  app.add_option("--conv-library", arguments.library,
                 "What computes convolutions of the cuda backend")
      ->check(CLI::IsMember(libraries))
      ->capture_default_str();
  app.add_flag("--time", options.time, "Print how long it takes");
}

std::variant<CommandLine, int> cambium::parseCommandLine(int argc,
                                                         char **argv) {
  CLI::App app(description, "cambium-run");
  Arguments arguments;
  addFlags(app, arguments);
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp &) {
    llvm::outs() << app.help();
    return static_cast<int>(RunOutcome::Done);
  } catch (const CLI::ParseError &error) {
    llvm::errs() << "error: " << error.what() << "\n";
    return static_cast<int>(RunOutcome::BadInput);
  }
  RunOptions &options = arguments.options;
  options.backend = backends.at(arguments.backend);
  options.isa = isas.at(arguments.isa);
  options.compile = {
      keepPolicies.at(arguments.keep), algorithms.at(arguments.algorithm),
      precisions.at(arguments.precision), libraries.at(arguments.library)};
  if (options.gradients && app.count("--entry") == 0)
    options.entry = "loss";
  options.compare = app.count("--compare") > 0;
  return CommandLine{arguments.file, options};
}
