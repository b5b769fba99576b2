//===- DeviceBackend.cpp - Networks on the host or a CUDA device ----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Backend.h"
#include "cambium/API/DeviceProgram.h"
#include "cambium/Error.h"
#include "cambium/Jit/Jit.h"
#include "cambium/Pipelines/Pipelines.h"
#include "cambium/Runtime/CudaDevice.h"
#include "cambium/Runtime/HostDevice.h"
#include "cambium/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Error.h"

using namespace mlir;
using namespace cambium;

namespace {

/// What programs of one backend share. Kernels go before their device.
struct Machine {
  std::unique_ptr<Device> device;
  std::unique_ptr<KernelCache> kernels;
  int64_t vectorWidth = 8;
};

/// Inputs in the element types that a function takes.
class DeviceInputs {
public:
  DeviceInputs(func::FuncOp function, ArrayRef<ReferenceTensor> inputs) {
    for (auto [index, input] : llvm::enumerate(inputs)) {
      std::vector<int64_t> shape(input.shape.begin(), input.shape.end());
      if (function && index < function.getNumArguments() &&
          getElementTypeOrSelf(function.getArgumentTypes()[index])
              .isInteger(32)) {
        labels.emplace_back(input.data.begin(), input.data.end());
        views.emplace_back(labels.back().data(), shape);
      } else {
        reals.emplace_back(input.data.begin(), input.data.end());
        views.emplace_back(reals.back().data(), shape);
      }
    }
  }

  ArrayRef<TensorView> get() const { return views; }

private:
  std::vector<std::vector<int32_t>> labels;
  std::vector<std::vector<float>> reals;
  std::vector<TensorView> views;
};

class DeviceBackendProgram : public Program {
public:
  explicit DeviceBackendProgram(Machine &machine)
      : machine(machine), store(machine.device->memory()) {}

  LogicalResult load(OwningOpRef<ModuleOp> module,
                     const ProgramOptions &options) {
    addStored(store, *module, options.seed);
    FailureOr<std::unique_ptr<DeviceProgram>> created =
        DeviceProgram::create(std::move(module), *machine.kernels, store,
                              options.compile.convLibrary);
    if (failed(created))
      return failure();
    program = std::move(*created);
    return success();
  }

  FailureOr<Tensors> call(StringRef name,
                          ArrayRef<ReferenceTensor> inputs) override {
    auto function = program->getModule().lookupSymbol<func::FuncOp>(name);
    DeviceInputs deviceInputs(function, inputs);
    FailureOr<std::vector<Tensor>> results =
        program->call(name, deviceInputs.get(), *machine.device);
    if (failed(results))
      return failure();
    Tensors widened;
    for (const Tensor &result : *results)
      widened.push_back(ReferenceTensor(
          result.shape,
          std::vector<double>(result.data.begin(), result.data.end())));
    return widened;
  }

  std::optional<ReferenceTensor> value(StringRef symbol) override {
    const StoredTensor *stored = store.find(symbol.str());
    if (!stored)
      return std::nullopt;
    std::vector<float> values(stored->elements());
    stored->values->read(values.data());
    return ReferenceTensor(stored->shape,
                           std::vector<double>(values.begin(), values.end()));
  }

  bool setValue(StringRef symbol, const ReferenceTensor &value) override {
    StoredTensor *stored = store.find(symbol.str());
    if (!stored || stored->kind == StoredTensor::Kind::Derived ||
        ArrayRef<int64_t>(stored->shape) != ArrayRef<int64_t>(value.shape))
      return false;
    std::vector<float> values(value.data.begin(), value.data.end());
    stored->values->write(values.data());
    store.refreshDerived();
    return true;
  }

private:
  Machine &machine;
  ParameterStore store;
  std::unique_ptr<DeviceProgram> program;
};

class DeviceBackend : public Backend {
public:
  explicit DeviceBackend(Machine machine) : machine(std::move(machine)) {}

  FailureOr<std::unique_ptr<Program>>
  load(ModuleOp network, const ProgramOptions &options) override {
    OwningOpRef<ModuleOp> module = network.clone();
    if (failed(makeKernels(*module, options, machine.vectorWidth,
                           machine.kernels->target())))
      return failure();
    auto program = std::make_unique<DeviceBackendProgram>(machine);
    if (failed(program->load(std::move(module), options)))
      return failure();
    return std::unique_ptr<Program>(std::move(program));
  }

private:
  Machine machine;
};

} // namespace

LogicalResult cambium::makeKernels(ModuleOp network,
                                   const ProgramOptions &options,
                                   int64_t vectorWidth, TargetKind target) {
  PassManager passes(network.getContext());
  grow::PipelineOptions pipeline(options.compile);
  pipeline.loss = options.loss;
  pipeline.vectorWidth = vectorWidth;
  pipeline.target = target;
  if (options.kind == ProgramKind::Training) {
    grow::buildTrainPipeline(passes, pipeline);
    return passes.run(network);
  }
  if (options.kind == ProgramKind::Gradients)
    grow::buildGradientsPipeline(passes, pipeline);
  passes.addNestedPass<func::FuncOp>(grow::createGrowInference());
  grow::buildSimplifyPipeline(passes, pipeline);
  grow::buildKernelsPipeline(passes, pipeline);
  return passes.run(network);
}

FailureOr<std::unique_ptr<Backend>>
cambium::createHostBackend(MLIRContext &context, Isa isa, unsigned threads) {
  // Kernels compile in parallel, and a context loads dialects in one thread.
  context.loadAllAvailableDialects();
  llvm::Expected<std::unique_ptr<Jit>> jit = Jit::create(isa);
  if (!jit)
    return emitError(UnknownLoc::get(&context),
                     llvm::toString(jit.takeError()));
  Machine machine;
  machine.vectorWidth = vectorWidth((*jit)->isa());
  machine.kernels = std::make_unique<HostKernelCache>(std::move(*jit));
  machine.device = std::make_unique<HostDevice>(threads);
  return std::unique_ptr<Backend>(
      std::make_unique<DeviceBackend>(std::move(machine)));
}

FailureOr<std::unique_ptr<Backend>>
cambium::createCudaBackend(MLIRContext &context) {
  context.loadAllAvailableDialects();
  try {
    Machine machine;
    auto device = std::make_unique<cuda::Device>();
    machine.kernels = std::make_unique<CudaKernelCache>(*device);
    machine.device = std::move(device);
    return std::unique_ptr<Backend>(
        std::make_unique<DeviceBackend>(std::move(machine)));
  } catch (const Error &error) {
    return emitError(UnknownLoc::get(&context), error.what());
  }
}
