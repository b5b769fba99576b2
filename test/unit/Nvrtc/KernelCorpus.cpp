//===- KernelCorpus.cpp - Every kernel of the tests -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelCorpus.h"

#include "BranchForms.h"
#include "OpCases.h"
#include "cambium/IR/Grow.h"
#include "cambium/Pipelines/Pipelines.h"
#include "cambium/Target/CUDA/CudaEmitter.h"
#include "cambium/Transforms/MemoryPlan.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/Support/MemoryBuffer.h"

#include <map>

using namespace mlir;
using namespace cambium;
using namespace cambium::conformance;
using namespace cambium::nvrtc;
namespace grow = cambium::grow;

namespace {

enum class Kind { Gradients, Training };

/// Emits the kernels of network after network.
class Collector {
public:
  explicit Collector(Precision precision)
      : precision(precision), context(registry()) {
    context.printOpOnDiagnostic(false);
    context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) {
      if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
        diagnostics += diagnostic.str() + "\n";
    });
  }

  void add(const std::string &origin, const std::string &text, Kind kind) {
    diagnostics.clear();
    auto module = parseSourceString<ModuleOp>(text, &context);
    if (!module || failed(lower(*module, kind)))
      return fault(origin, "");
    llvm::StringMap<size_t> known;
    for (auto kernel : module->getOps<grow::KernelOp>())
      addKernel(origin, kernel, known);
    for (auto function : module->getOps<func::FuncOp>())
      addLaunches(origin, function, known);
  }

  Corpus take() { return std::move(found); }

private:
  static DialectRegistry registry() {
    DialectRegistry registry;
    grow::registerDialects(registry);
    return registry;
  }

  LogicalResult lower(ModuleOp module, Kind kind) {
    PassManager passes(&context);
    grow::PipelineOptions options;
    options.target = TargetKind::Cuda;
    options.precision = precision;
    if (kind == Kind::Training) {
      grow::buildTrainPipeline(passes, options);
    } else {
      grow::buildGradientsPipeline(passes, options);
      passes.addNestedPass<func::FuncOp>(grow::createGrowInference());
      grow::buildSimplifyPipeline(passes, options);
      grow::buildKernelsPipeline(passes, options);
    }
    return passes.run(module);
  }

  /// `known` maps the module's names to indices of kernels.
  void addKernel(const std::string &origin, grow::KernelOp kernel,
                 llvm::StringMap<size_t> &known) {
    std::string content = kernel.getContent();
    auto [place, isNew] = byContent.try_emplace(content, none);
    if (isNew)
      place->second = emit(origin, kernel);
    if (place->second != none)
      known[kernel.getSymName()] = place->second;
  }

  size_t emit(const std::string &origin, grow::KernelOp kernel) {
    std::string what = origin + ", @" + kernel.getSymName().str();
    diagnostics.clear();
    OwningOpRef<grow::KernelOp> copy(kernel.clone());
    copy->setSymName("kernel");
    FailureOr<std::string> source = grow::cudaSource(*copy);
    if (failed(source)) {
      fault(what, kernel.getContent());
      return none;
    }
    auto [place, isNew] = bySource.try_emplace(*source, found.kernels.size());
    if (isNew)
      found.kernels.push_back(
          {what, *source, kernel.getBlocksAttr() != nullptr, {}});
    return place->second;
  }

  void addLaunches(const std::string &origin, func::FuncOp function,
                   const llvm::StringMap<size_t> &known) {
    // A plan needs the sizes of every kernel.
    bool complete = true;
    function.walk([&](grow::LaunchOp launch) {
      complete &= known.contains(launch.getKernel());
    });
    if (!complete)
      return;
    diagnostics.clear();
    FailureOr<grow::MemoryPlan> plan =
        grow::planMemory(function, /*batch=*/3, TargetKind::Cuda);
    if (failed(plan))
      return fault(origin + ", plan of @" + function.getSymName().str(), "");
    for (const grow::MemoryPlan::Launch &launch : plan->launches) {
      grow::LaunchOp op = launch.op;
      found.kernels[known.lookup(op.getKernel())].launches.push_back(
          launch.sizes);
    }
  }

  void fault(const std::string &what, const std::string &text) {
    found.faults.push_back(what + ":\n" + diagnostics + text);
  }

  static constexpr size_t none = ~size_t(0);
  Precision precision;
  MLIRContext context;
  std::string diagnostics;
  Corpus found;
  std::map<std::string, size_t> byContent, bySource;
};

std::string readFile(const std::string &path) {
  auto file = llvm::MemoryBuffer::getFile(path);
  return file ? (*file)->getBuffer().str() : "";
}

/// Text with `to` in place of the first `from`.
std::string replaced(std::string text, const std::string &from,
                     const std::string &to) {
  size_t place = text.find(from);
  return place == std::string::npos ? text
                                    : text.replace(place, from.size(), to);
}

void addOperations(Collector &collector) {
  for (auto [index, generator] : llvm::enumerate(generators()))
    for (int seed : {0, 1, 2}) {
      Random random(1000 * index + seed);
      OpCase opCase = generator.make(random);
      for (bool dynamic : {false, true})
        collector.add(generator.name + (" " + std::to_string(seed)),
                      opCase.text(dynamic), Kind::Gradients);
    }
}

void addBranches(Collector &collector) {
  for (const BranchForm &form : branchForms())
    for (const char *keep : {"", "mask", "recompute", "store"})
      for (bool dynamic : {false, true})
        collector.add(std::string("branches ") + form.name + " " + keep,
                      BranchNetwork(form, {3, keep}, /*batch=*/3, dynamic).text,
                      Kind::Gradients);
}

void addNetworks(Collector &collector) {
  std::string root = std::string(CAMBIUM_TEST_DIR) + "/../../../";
  for (const char *name : {"branches", "inception", "mlp", "resnet"})
    collector.add(name, readFile(root + "test/networks/" + name + ".mlir"),
                  Kind::Training);
  std::string fashion =
      readFile(root + "tools/cambium-train/fashion-mnist.mlir");
  const std::string used = "#grow.sgd<momentum = 0.9, nesterov = true>";
  for (const std::string &optimizer :
       {used, std::string("#grow.sgd"),
        std::string("#grow.sgd<momentum = 0.9>"),
        std::string("#grow.adamw<epsilon = 1.0e-2>")})
    collector.add("fashion-mnist, " + optimizer,
                  replaced(fashion, used, optimizer), Kind::Training);
}

} // namespace

const Corpus &nvrtc::corpus(Precision precision) {
  static std::map<Precision, Corpus> all;
  auto [place, isNew] = all.try_emplace(precision);
  if (isNew) {
    Collector collector(precision);
    addOperations(collector);
    addBranches(collector);
    addNetworks(collector);
    place->second = collector.take();
  }
  return place->second;
}
