//===- HostBackend.cpp - Networks on this machine's processor -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Backend.h"
#include "cambium/API/DeviceProgram.h"
#include "cambium/Pipelines/Pipelines.h"
#include "cambium/Runtime/HostDevice.h"
#include "cambium/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/Support/Error.h"

using namespace mlir;
using namespace cambium;

namespace {

/// What programs of one backend share.
struct Host {
  Host(std::unique_ptr<Jit> jit, unsigned threads)
      : kernels(std::move(jit)), device(threads) {}

  HostKernelCache kernels;
  HostDevice device;
};

/// Inputs in the element types that a function takes.
class HostInputs {
public:
  HostInputs(func::FuncOp function, ArrayRef<ReferenceTensor> inputs) {
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

class HostBackendProgram : public Program {
public:
  explicit HostBackendProgram(Host &host) : host(host) {}

  LogicalResult load(OwningOpRef<ModuleOp> module, uint64_t seed) {
    addStored(store, *module, seed);
    FailureOr<std::unique_ptr<DeviceProgram>> created =
        DeviceProgram::create(std::move(module), host.kernels, store);
    if (failed(created))
      return failure();
    program = std::move(*created);
    return success();
  }

  FailureOr<Tensors> call(StringRef name,
                          ArrayRef<ReferenceTensor> inputs) override {
    auto function = program->getModule().lookupSymbol<func::FuncOp>(name);
    HostInputs hostInputs(function, inputs);
    FailureOr<std::vector<Tensor>> results =
        program->call(name, hostInputs.get(), host.device);
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
    const float *data = stored->values->data();
    return ReferenceTensor(
        stored->shape, std::vector<double>(data, data + stored->elements()));
  }

  bool setValue(StringRef symbol, const ReferenceTensor &value) override {
    StoredTensor *stored = store.find(symbol.str());
    if (!stored || stored->kind == StoredTensor::Kind::Derived ||
        ArrayRef<int64_t>(stored->shape) != ArrayRef<int64_t>(value.shape))
      return false;
    llvm::copy(value.data, stored->values->data());
    store.refreshDerived();
    return true;
  }

private:
  Host &host;
  ParameterStore store;
  std::unique_ptr<DeviceProgram> program;
};

class HostBackend : public Backend {
public:
  HostBackend(std::unique_ptr<Jit> jit, unsigned threads)
      : host(std::move(jit), threads) {}

  FailureOr<std::unique_ptr<Program>>
  load(ModuleOp network, const ProgramOptions &options) override {
    OwningOpRef<ModuleOp> module = network.clone();
    if (failed(makeKernels(*module, options, vectorWidth(host.kernels.isa()))))
      return failure();
    auto program = std::make_unique<HostBackendProgram>(host);
    if (failed(program->load(std::move(module), options.seed)))
      return failure();
    return std::unique_ptr<Program>(std::move(program));
  }

private:
  Host host;
};

} // namespace

LogicalResult cambium::makeKernels(ModuleOp network,
                                   const ProgramOptions &options,
                                   int64_t vectorWidth) {
  PassManager passes(network.getContext());
  grow::PipelineOptions pipeline(options.compile);
  pipeline.loss = options.loss;
  pipeline.vectorWidth = vectorWidth;
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
  return std::unique_ptr<Backend>(
      std::make_unique<HostBackend>(std::move(*jit), threads));
}
