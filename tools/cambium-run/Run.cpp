//===- Run.cpp - One run of a network's function --------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Run.h"
#include "Compare.h"
#include "RandomInputs.h"
#include "cambium/IR/Frozen.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

#include <chrono>
#include <numeric>

using namespace mlir;
using namespace cambium;

namespace {

using Clock = std::chrono::steady_clock;

double millisecondsSince(Clock::time_point start) {
  return std::chrono::duration<double, std::milli>(Clock::now() - start)
      .count();
}

std::string shapeText(ArrayRef<int64_t> shape) {
  std::string text;
  for (auto [i, extent] : llvm::enumerate(shape))
    text += (i ? "x" : "") + std::to_string(extent);
  return text.empty() ? "scalar" : text;
}

/// Names of the results of `function` or, with gradients, of @step.
std::vector<std::string> resultNames(ModuleOp network, func::FuncOp function,
                                     bool gradients) {
  std::vector<std::string> names;
  if (!gradients) {
    for (unsigned i = 0; i < function.getNumResults(); ++i)
      names.push_back("result " + std::to_string(i));
    return names;
  }
  names.push_back("loss");
  for (auto param : network.getOps<grow::ParamOp>())
    if (!grow::isFrozen(param))
      names.push_back(("gradient of @" + param.getSymName()).str());
  return names;
}

/// Small tensors in full, large ones as their ends and statistics.
void printValues(StringRef name, const ReferenceTensor &tensor,
                 raw_ostream &out) {
  constexpr size_t few = 32, ends = 4;
  ArrayRef<double> data(tensor.data);
  out << name << ": " << shapeText(tensor.shape) << " = ";
  auto printRange = [&](ArrayRef<double> range) {
    llvm::interleaveComma(
        range, out, [&](double value) { out << llvm::format("%.6g", value); });
  };
  if (tensor.shape.empty() && data.size() == 1) {
    printRange(data);
  } else if (data.size() <= few) {
    out << "[";
    printRange(data);
    out << "]";
  } else {
    out << "[";
    printRange(data.take_front(ends));
    out << ", ..., ";
    printRange(data.take_back(ends));
    double mean = std::accumulate(data.begin(), data.end(), 0.0) /
                  static_cast<double>(data.size());
    out << "] min " << llvm::format("%.6g", *llvm::min_element(data))
        << " mean " << llvm::format("%.6g", mean) << " max "
        << llvm::format("%.6g", *llvm::max_element(data));
  }
  out << "\n";
}

/// One line a result; true if all are within the tolerance.
bool printComparison(ArrayRef<std::string> names,
                     ArrayRef<ReferenceTensor> actual,
                     ArrayRef<ReferenceTensor> expected, double tolerance,
                     raw_ostream &out) {
  size_t width = 0;
  for (const std::string &name : names)
    width = std::max(width, name.size());
  double worst = 0.0;
  std::vector<Comparison> comparisons = compare(actual, expected);
  for (auto [i, comparison] : llvm::enumerate(comparisons)) {
    out << llvm::left_justify(names[i], width + 2)
        << llvm::left_justify(shapeText(expected[i].shape), 16)
        << llvm::format("magnitude %-11.4g error %.2e", comparison.magnitude,
                        comparison.error)
        << (comparison.error <= tolerance ? "\n" : "  above tolerance\n");
    worst = std::max(worst, comparison.error);
  }
  bool within = worst <= tolerance;
  out << llvm::format("largest relative error: %.2e, ", worst)
      << (within ? "within" : "above")
      << llvm::format(" the tolerance of %g\n", tolerance);
  return within;
}

/// Median of repeated calls: at least 3, and for about half a second.
LogicalResult printTime(Program &program, StringRef function,
                        ArrayRef<ReferenceTensor> inputs, double loading,
                        raw_ostream &out) {
  std::vector<double> times;
  Clock::time_point start = Clock::now();
  while (times.size() < 3 ||
         (millisecondsSince(start) < 500.0 && times.size() < 100)) {
    Clock::time_point begin = Clock::now();
    if (failed(program.call(function, inputs)))
      return failure();
    times.push_back(millisecondsSince(begin));
  }
  llvm::sort(times);
  out << llvm::format("loading: %.1f ms; running: %.3f ms, the median of %zu\n",
                      loading, times[times.size() / 2], times.size());
  return success();
}

/// The checked entry and what it is called with.
struct Entry {
  func::FuncOp function;
  Tensors inputs;
  std::vector<std::string> names;
};

FailureOr<Entry> findEntry(ModuleOp network, const RunOptions &options) {
  Entry entry;
  entry.function = network.lookupSymbol<func::FuncOp>(options.entry);
  if (!entry.function) {
    std::string known;
    for (auto function : network.getOps<func::FuncOp>())
      known += (known.empty() ? "" : ", ") + function.getSymName().str();
    return network.emitError()
           << "there is no function '" << options.entry << "' to run; "
           << (known.empty() ? "the file has no functions"
                             : "the file has " + known);
  }
  FailureOr<Tensors> inputs =
      drawInputs(entry.function, options.batch, options.seed);
  if (failed(inputs))
    return failure();
  entry.inputs = std::move(*inputs);
  entry.names = resultNames(network, entry.function, options.gradients);
  return entry;
}

FailureOr<std::unique_ptr<Backend>> createBackend(MLIRContext &context,
                                                  const RunOptions &options) {
  switch (options.backend) {
  case BackendKind::Reference:
    return createReferenceBackend();
  case BackendKind::Kernels:
    return createKernelBackend();
  case BackendKind::Host:
    return createHostBackend(context, options.isa, options.threads);
  case BackendKind::Cuda:
    return createCudaBackend(context);
  }
  return failure();
}

/// Runs a function of a fresh reference program.
FailureOr<Tensors> runReference(ModuleOp network, const ProgramOptions &options,
                                StringRef function,
                                ArrayRef<ReferenceTensor> inputs) {
  FailureOr<std::unique_ptr<Program>> program =
      createReferenceBackend()->load(network, options);
  if (failed(program))
    return failure();
  return (*program)->call(function, inputs);
}

} // namespace

RunOutcome cambium::run(ModuleOp network, const RunOptions &options,
                        raw_ostream &out) {
  FailureOr<Entry> entry = findEntry(network, options);
  if (failed(entry))
    return RunOutcome::BadInput;
  FailureOr<std::unique_ptr<Backend>> backend =
      createBackend(*network.getContext(), options);
  if (failed(backend))
    return RunOutcome::BadInput;
  ProgramOptions programOptions = {
      options.gradients ? ProgramKind::Gradients : ProgramKind::Forward,
      options.entry, options.seed, options.compile};
  std::string function = options.gradients ? "step" : options.entry;
  Clock::time_point start = Clock::now();
  FailureOr<std::unique_ptr<Program>> program =
      (*backend)->load(network, programOptions);
  double loading = millisecondsSince(start);
  if (failed(program))
    return RunOutcome::BadInput;
  FailureOr<Tensors> results = (*program)->call(function, entry->inputs);
  if (failed(results))
    return RunOutcome::BadInput;
  bool within = true;
  if (options.compare) {
    FailureOr<Tensors> expected =
        runReference(network, programOptions, function, entry->inputs);
    if (failed(expected))
      return RunOutcome::BadInput;
    within = printComparison(entry->names, *results, *expected,
                             options.tolerance, out);
  } else {
    for (auto [name, result] : llvm::zip_equal(entry->names, *results))
      printValues(name, result, out);
  }
  if (options.time &&
      failed(printTime(**program, function, entry->inputs, loading, out)))
    return RunOutcome::BadInput;
  return within ? RunOutcome::Done : RunOutcome::AboveTolerance;
}
