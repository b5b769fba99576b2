//===- Program.cpp - IR compiled and run, for benchmarks ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Program.h"

#include "Bench.h"

#include "cambium/Pipelines/Pipelines.h"
#include "cambium/Reference/ReferenceInterpreter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/Error.h"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <stdexcept>

using namespace mlir;
using namespace cambium;
using namespace cambium::bench;

namespace {

std::unique_ptr<MLIRContext> makeContext() {
  DialectRegistry registry;
  grow::registerDialects(registry);
  auto context = std::make_unique<MLIRContext>(registry);
  // Kernels are compiled on several threads, which must not load dialects.
  context->loadAllAvailableDialects();
  return context;
}

/// Keeps errors for the exception that tells of them.
class Errors {
public:
  explicit Errors(MLIRContext &context)
      : handler(&context, [this](Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
            text += diagnostic.str() + "\n";
        }) {}

  template <typename T> T check(FailureOr<T> value) {
    if (failed(value))
      throw std::runtime_error(text);
    return std::move(*value);
  }
  void check(LogicalResult result) {
    if (failed(result))
      throw std::runtime_error(text);
  }

private:
  std::string text;
  ScopedDiagnosticHandler handler;
};

OwningOpRef<ModuleOp> parse(const std::string &text, MLIRContext &context,
                            Errors &errors) {
  auto module = parseSourceString<ModuleOp>(text, ParserConfig(&context));
  errors.check(success(static_cast<bool>(module)));
  return module;
}

OwningOpRef<ModuleOp> lower(const std::string &text, Program::Pipeline pipeline,
                            MLIRContext &context, TargetKind target,
                            const CompileOptions &compile = {}) {
  Errors errors(context);
  OwningOpRef<ModuleOp> module = parse(text, context, errors);
  grow::PipelineOptions options(compile);
  options.vectorWidth = vectorWidth(detectIsa());
  options.target = target;
  PassManager passes(&context);
  switch (pipeline) {
  case Program::Pipeline::Training:
    grow::buildTrainPipeline(passes, options);
    break;
  case Program::Pipeline::Gradients:
    grow::buildGradientsPipeline(passes, options);
    grow::buildKernelsPipeline(passes, options);
    break;
  case Program::Pipeline::Kernels:
    grow::buildKernelsPipeline(passes, options);
    break;
  }
  errors.check(passes.run(*module));
  return module;
}

std::unique_ptr<KernelCache> makeCache(cuda::Device *gpu) {
  if (gpu)
    return std::make_unique<CudaKernelCache>(*gpu);
  auto jit = Jit::create();
  if (!jit)
    throw std::runtime_error(llvm::toString(jit.takeError()));
  return std::make_unique<HostKernelCache>(std::move(*jit));
}

} // namespace

Program::Program(const std::string &text, Pipeline pipeline,
                 const CompileOptions &options, cuda::Device *gpu)
    : context(makeContext()),
      host(gpu ? nullptr : std::make_unique<HostDevice>(settings().threads)),
      device(gpu ? static_cast<Device &>(*gpu) : *host), cache(makeCache(gpu)),
      store(device.memory()) {
  OwningOpRef<ModuleOp> module =
      lower(text, pipeline, *context, cache->target(), options);
  addStored(store, *module, /*seed=*/0);
  Errors errors(*context);
  program =
      errors.check(DeviceProgram::create(std::move(module), *cache, store));
}

float *Program::values(const std::string &parameter) {
  StoredTensor *tensor = store.find(parameter);
  if (!tensor)
    throw std::runtime_error("no parameter is called " + parameter);
  return tensor->values->data();
}

void Program::write(const std::string &parameter, const TensorView &values) {
  device.memory().upload(this->values(parameter), values.data,
                         values.elements() * sizeof(float));
}

DeviceProgram::Call Program::call(const std::string &function,
                                  const std::vector<TensorView> &inputs) {
  Errors errors(*context);
  return errors.check(program->run(function, inputs, device));
}

const float *Program::result(const DeviceProgram::Call &call, size_t number) {
  return static_cast<const float *>(device.address(
      *call.plan, call.plan->plan.results[number].slot, call.inputs));
}

std::vector<float> Program::read(const DeviceProgram::Call &call,
                                 size_t number) {
  const Plan::Result &result = call.plan->plan.results[number];
  std::vector<float> values(
      TensorView(static_cast<const float *>(nullptr), result.shape).elements());
  device.memory().download(values.data(), this->result(call, number),
                           values.size() * sizeof(float));
  return values;
}

DeviceProgram::Call Program::callBefore(const DeviceProgram::Call &call,
                                        size_t input) {
  BoundPlan part = *call.plan;
  std::vector<Launch> &launches = part.plan.launches;
  auto reads = [&](const Slot &slot) {
    return slot.space == Slot::Space::Input &&
           slot.place == static_cast<int64_t>(input);
  };
  auto end = llvm::find_if(launches, [&](const Launch &launch) {
    return llvm::any_of(launch.buffers, reads);
  });
  launches.erase(end, launches.end());
  part.plan.copies.clear();
  part.prepared = nullptr;
  parts.push_back(std::move(part));
  return {&parts.back(), call.inputs};
}

DeviceProgram::Call
Program::callOf(const DeviceProgram::Call &call,
                const std::function<bool(grow::KernelOp)> &isWanted) {
  BoundPlan part = *call.plan;
  llvm::erase_if(part.plan.launches, [&](const Launch &launch) {
    return !isWanted(program->getModule().lookupSymbol<grow::KernelOp>(
        part.plan.kernels[launch.kernel]));
  });
  part.plan.copies.clear();
  part.prepared = nullptr;
  parts.push_back(std::move(part));
  return {&parts.back(), call.inputs};
}

std::vector<Program::LaunchTime>
Program::breakdown(const DeviceProgram::Call &call, int repeats) {
  std::vector<BoundPlan> singles;
  std::vector<LaunchTime> times;
  for (const Launch &launch : call.plan->plan.launches) {
    BoundPlan single = *call.plan;
    single.plan.launches = {launch};
    single.plan.copies.clear();
    singles.push_back(std::move(single));
    times.push_back({call.plan->plan.kernels[launch.kernel], launch.dims, 0});
  }
  std::vector<std::vector<double>> runs(singles.size());
  for (int repeat = 0; repeat < repeats; ++repeat)
    for (size_t i = 0; i < singles.size(); ++i) {
      auto start = std::chrono::steady_clock::now();
      device.run(singles[i], call.inputs);
      std::chrono::duration<double> elapsed =
          std::chrono::steady_clock::now() - start;
      runs[i].push_back(elapsed.count());
    }
  for (size_t i = 0; i < singles.size(); ++i)
    times[i].seconds = median(runs[i]);
  return times;
}

void bench::printBreakdown(const std::string &title,
                           std::vector<Program::LaunchTime> times) {
  std::sort(times.begin(), times.end(), [](auto &left, auto &right) {
    return left.seconds > right.seconds;
  });
  double total = 0;
  for (const Program::LaunchTime &time : times)
    total += time.seconds;
  std::fprintf(stderr, "%s: %.3f ms in %zu launches\n", title.c_str(),
               total * 1e3, times.size());
  for (const Program::LaunchTime &time : times) {
    std::string dims;
    for (int64_t dim : time.dims)
      dims += " " + std::to_string(dim);
    std::fprintf(stderr, "  %8.3f ms %5.1f %%  %-36s%s\n", time.seconds * 1e3,
                 100 * time.seconds / total, time.kernel.c_str(), dims.c_str());
  }
}

std::vector<std::vector<float>>
bench::reference(const std::string &text, const std::string &function,
                 const std::vector<TensorView> &inputs,
                 Program::Pipeline pipeline,
                 const std::map<std::string, TensorView> &values) {
  std::unique_ptr<MLIRContext> context = makeContext();
  Errors errors(*context);
  OwningOpRef<ModuleOp> module = parse(text, *context, errors);
  if (pipeline == Program::Pipeline::Gradients) {
    PassManager passes(context.get());
    grow::buildGradientsPipeline(passes, grow::PipelineOptions());
    errors.check(passes.run(*module));
  }
  auto toDouble = [](const TensorView &view) {
    if (view.type == ElementType::I32) {
      auto *labels = static_cast<const int32_t *>(view.data);
      return ReferenceTensor(
          view.shape, std::vector<double>(labels, labels + view.elements()));
    }
    auto *data = static_cast<const float *>(view.data);
    return ReferenceTensor(view.shape,
                           std::vector<double>(data, data + view.elements()));
  };
  auto interpreter = errors.check(ReferenceInterpreter::create(*module));
  for (const auto &[name, view] : values)
    errors.check(interpreter.setValue(name, toDouble(view)));
  std::vector<ReferenceTensor> tensors;
  for (const TensorView &input : inputs)
    tensors.push_back(toDouble(input));
  std::vector<std::vector<float>> results;
  for (const ReferenceTensor &result :
       errors.check(interpreter.call(function, tensors)))
    results.emplace_back(result.data.begin(), result.data.end());
  return results;
}

StepMemory bench::stepMemory(const std::string &networkText,
                             Program::Pipeline pipeline, int64_t batch,
                             const CompileOptions &options) {
  std::unique_ptr<MLIRContext> context = makeContext();
  OwningOpRef<ModuleOp> module =
      lower(networkText, pipeline, *context, TargetKind::Host, options);
  Errors errors(*context);
  grow::MemoryPlan plan = errors.check(
      grow::planMemory(module->lookupSymbol<func::FuncOp>("step"), batch));
  std::vector<grow::Buffer> others;
  for (const grow::Buffer &buffer : plan.buffers)
    if (buffer.category != grow::BufferCategory::Gradient)
      others.push_back(buffer);
  return {plan.arenaBytes, grow::assignOffsets(others),
          plan.peak(grow::BufferCategory::Kept), plan.scratchBytes};
}
