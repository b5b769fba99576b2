//===- Trainer.cpp - Training and growing a network -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Trainer.h"

#include "Checkpoint.h"
#include "Export.h"
#include "Growth.h"
#include "NetworkImpl.h"

#include "cambium/API/DeviceProgram.h"
#include "cambium/IR/Grow.h"
#include "cambium/Jit/Jit.h"
#include "cambium/Pipelines/Pipelines.h"
#include "cambium/Runtime/CudaDevice.h"
#include "cambium/Runtime/HostDevice.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/Error.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <new>

using namespace mlir;
using namespace cambium;
using namespace cambium::internal;

namespace {

/// Adds `@evaluate`: what @loss computes, and the outputs it is computed from.
void addEvaluate(ModuleOp module) {
  auto loss = module.lookupSymbol<func::FuncOp>("loss");
  if (!loss || loss.isDeclaration() || module.lookupSymbol("evaluate"))
    return;
  auto evaluate = cast<func::FuncOp>(loss->clone());
  evaluate.setName("evaluate");
  module.push_back(evaluate);
  mlir::Block &body = evaluate.getBody().front();
  for (auto call : body.getOps<func::CallOp>()) {
    if (call.getCallee() != "forward")
      continue;
    SmallVector<Value> results(body.getTerminator()->getOperands());
    results.push_back(call.getResult(0));
    body.getTerminator()->setOperands(results);
    evaluate.setFunctionType(FunctionType::get(module.getContext(),
                                               evaluate.getArgumentTypes(),
                                               ValueRange(results).getTypes()));
    return;
  }
}

std::unique_ptr<Jit> makeJit(Isa isa) {
  llvm::Expected<std::unique_ptr<Jit>> jit = Jit::create(isa);
  if (!jit)
    throw Error(llvm::toString(jit.takeError()));
  return std::move(*jit);
}

/// A device, and what compiles for it.
struct Machine {
  explicit Machine(const Target &target);

  std::unique_ptr<Device> device;
  std::unique_ptr<KernelCache> cache;
  /// Of the host's kernels.
  int64_t vectorWidth = 8;
};

Machine::Machine(const Target &target) {
  if (target.kind == TargetKind::Cuda) {
    auto cuda = std::make_unique<cuda::Device>(target.device);
    cache = std::make_unique<CudaKernelCache>(*cuda);
    device = std::move(cuda);
    return;
  }
  auto host = std::make_unique<HostKernelCache>(makeJit(target.isa));
  vectorWidth = cambium::vectorWidth(host->isa());
  cache = std::move(host);
  device = std::make_unique<HostDevice>(target.threads);
}

Tensor copyOf(const cambium::Block &block, const std::vector<int64_t> &shape) {
  Tensor copy{shape, std::vector<float>(block.size())};
  block.read(copy.data.data());
  return copy;
}

} // namespace

struct Trainer::Impl {
  Impl(const Network &network, const TrainerOptions &options)
      : options(options),
        network(
            parseNetwork(printModule(*network.get().module, true), "network")),
        machine(options.target), store(machine.device->memory()) {}

  MLIRContext *context() { return network->context.get(); }

  void configure(grow::PipelineOptions &pipeline) const;
  /// Compiles a network, with memory for what is new in it. On failure the
  /// store is as it was. Throws Error.
  std::unique_ptr<DeviceProgram> compile(ModuleOp module,
                                         DiagnosticCollector &diagnostics);
  /// Throws for labels that are no class of the loss.
  void checkLabels(const TensorView &targets);
  StoredTensor &tensor(const std::string &name);

  TrainerOptions options;
  /// The network as grown so far, in a context of the trainer's own.
  std::shared_ptr<NetworkImpl> network;
  Machine machine;
  ParameterStore store;
  std::unique_ptr<DeviceProgram> program;
  int64_t lastBatch = 0;
  /// Kept, so that steps allocate no memory.
  DeviceProgram::Call call;
  Tensor loss;
};

void Trainer::Impl::configure(grow::PipelineOptions &pipeline) const {
  pipeline.vectorWidth = machine.vectorWidth;
  pipeline.target = options.target.kind;
}

std::unique_ptr<DeviceProgram>
Trainer::Impl::compile(ModuleOp module, DiagnosticCollector &diagnostics) {
  OwningOpRef<ModuleOp> lowered(module.clone());
  addEvaluate(*lowered);
  grow::PipelineOptions pipeline(options.compile);
  configure(pipeline);
  if (!module.lookupSymbol("loss"))
    pipeline.loss = "";
  PassManager passes(context());
  grow::buildTrainPipeline(passes, pipeline);
  if (failed(passes.run(*lowered)))
    diagnostics.raise("the network does not compile");
  std::vector<std::string> added;
  llvm::scope_exit takeBack([&] {
    for (const std::string &name : added)
      store.remove(name);
  });
  FailureOr<std::unique_ptr<DeviceProgram>> made = failure();
  try {
    added = addStored(store, *lowered, options.seed);
    made = DeviceProgram::create(std::move(lowered), *machine.cache, store,
                                 options.compile.convLibrary);
  } catch (const std::bad_alloc &error) {
    std::string text = "there is not enough memory for the network's "
                       "parameters and their optimizers' state";
    if (auto *device = dynamic_cast<const cuda::OutOfMemory *>(&error))
      text += std::string(": ") + device->what();
    throw Error(text);
  }
  if (failed(made))
    diagnostics.raise("the network does not compile");
  takeBack.release();
  return std::move(*made);
}

void Trainer::Impl::checkLabels(const TensorView &targets) {
  if (targets.type != ElementType::I32 || !targets.data)
    return;
  int64_t classes = std::numeric_limits<int64_t>::max();
  auto loss = network->module->lookupSymbol<func::FuncOp>("loss");
  loss.walk([&](grow::SoftmaxCrossEntropyOp op) {
    auto logits = cast<RankedTensorType>(op.getLogits().getType());
    if (llvm::is_contained(loss.getArguments(), op.getLabels()))
      classes = std::min(classes, logits.getShape().back());
  });
  auto *labels = static_cast<const int32_t *>(targets.data);
  for (int64_t i = 0, e = targets.elements(); i < e; ++i)
    if (labels[i] < 0 || labels[i] >= classes)
      throw Error("label " + std::to_string(labels[i]) + " of row " +
                  std::to_string(i) + " is not in [0, " +
                  std::to_string(classes) + ")");
}

StoredTensor &Trainer::Impl::tensor(const std::string &name) {
  StoredTensor *tensor = store.find(name);
  if (!tensor || tensor->kind == StoredTensor::Kind::Derived)
    throw Error("there is no parameter or state '" + name + "'");
  return *tensor;
}

/// Checked before oneTBB has so many threads to start.
static const TrainerOptions &checked(const TrainerOptions &options) {
  const unsigned most = 1024;
  if (options.target.threads > most)
    throw Error(std::to_string(options.target.threads) +
                " threads are too many; at most " + std::to_string(most) +
                " are possible");
  return options;
}

Trainer::Trainer(const Network &network, TrainerOptions options)
    : impl(std::make_unique<Impl>(network, checked(options))) {
  DiagnosticCollector diagnostics(impl->context());
  auto forward = impl->network->module->lookupSymbol<func::FuncOp>("forward");
  if (!forward || forward.isDeclaration() || forward.getNumResults() != 1)
    throw Error("the network has no function `@forward(inputs) -> outputs` "
                "with one result");
  if (impl->network->module->lookupSymbol("evaluate"))
    throw Error("the network declares 'evaluate', a name that the trainer "
                "gives to a function of its own; choose another");
  impl->program = impl->compile(*impl->network->module, diagnostics);
}

Trainer::~Trainer() = default;
Trainer::Trainer(Trainer &&) noexcept = default;
Trainer &Trainer::operator=(Trainer &&) noexcept = default;

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

float Trainer::step(const TensorView &inputs, const TensorView &targets) {
  DiagnosticCollector diagnostics(impl->context());
  if (!impl->network->module->lookupSymbol("loss"))
    throw Error("the network has no function `@loss(inputs, targets) -> "
                "tensor<f32>` to train for");
  impl->checkLabels(targets);
  Device &device = *impl->machine.device;
  if (failed(impl->program->run("step", {&inputs, &targets}, device,
                                impl->call)) ||
      failed(impl->program->read(impl->call, 0, device, impl->loss)))
    diagnostics.raise("the step cannot run");
  impl->lastBatch = inputs.shape[0];
  return impl->loss.data[0];
}

static double accuracyOf(const Tensor &outputs, const TensorView &targets) {
  if (targets.type != ElementType::I32 || outputs.shape.size() != 2)
    return std::numeric_limits<double>::quiet_NaN();
  auto *labels = static_cast<const int32_t *>(targets.data);
  int64_t rows = outputs.shape[0], classes = outputs.shape[1], right = 0;
  for (int64_t row = 0; row < rows; ++row) {
    const float *begin = outputs.data.data() + row * classes;
    right += std::max_element(begin, begin + classes) - begin == labels[row];
  }
  return static_cast<double>(right) / rows;
}

Evaluation Trainer::evaluate(const TensorView &inputs,
                             const TensorView &targets) {
  DiagnosticCollector diagnostics(impl->context());
  if (!impl->network->module->lookupSymbol("loss"))
    throw Error("the network has no function `@loss(inputs, targets) -> "
                "tensor<f32>` to evaluate");
  impl->checkLabels(targets);
  FailureOr<std::vector<Tensor>> results =
      impl->program->call("evaluate", {inputs, targets}, *impl->machine.device);
  if (failed(results))
    diagnostics.raise("the network cannot run");
  Evaluation evaluation;
  evaluation.loss = (*results)[0].data[0];
  evaluation.accuracy = results->size() > 1
                            ? accuracyOf((*results)[1], targets)
                            : std::numeric_limits<double>::quiet_NaN();
  return evaluation;
}

Tensor Trainer::predict(const TensorView &inputs) {
  Tensor outputs;
  predict(inputs, outputs);
  return outputs;
}

void Trainer::predict(const TensorView &inputs, Tensor &outputs) {
  DiagnosticCollector diagnostics(impl->context());
  Device &device = *impl->machine.device;
  if (failed(impl->program->run("forward", {&inputs}, device, impl->call)) ||
      failed(impl->program->read(impl->call, 0, device, outputs)))
    diagnostics.raise("the network cannot run");
}

//===----------------------------------------------------------------------===//
// Groups and growth
//===----------------------------------------------------------------------===//

std::string Trainer::addGroup(const GroupOptions &options) {
  GroupOptions named = options;
  ModuleOp module = *impl->network->module;
  if (named.name.empty())
    named.name = freeSymbol(SymbolTable(module), "group");
  // The trainer's own functions are not in the module yet.
  if (named.name == "step" || named.name == "evaluate" ||
      module.lookupSymbol(named.name))
    throw Error("the name '" + named.name +
                "' is taken; choose another, or none for a free one");
  DiagnosticCollector diagnostics(impl->context());
  internal::addGroup(module, named);
  auto group = module.lookupSymbol<grow::GroupOp>(named.name);
  if (failed(group.verify())) {
    group.erase();
    diagnostics.raise("the group's options are not valid");
  }
  return named.name;
}

void Trainer::setLearningRate(const std::string &group, float learningRate) {
  if (!(learningRate >= 0.0f) || std::isinf(learningRate))
    throw Error("learning rate " + std::to_string(learningRate) +
                " must be finite and not negative");
  auto op = impl->network->module->lookupSymbol<grow::GroupOp>(group);
  if (!op)
    throw Error("there is no optimizer group '" + group + "'");
  if (GroupOptions *used = impl->store.findGroup(group))
    used->learningRate = learningRate;
  op.setLr(APFloat(static_cast<double>(learningRate)));
}

float Trainer::learningRate(const std::string &group) const {
  if (auto op = impl->network->module->lookupSymbol<grow::GroupOp>(group))
    return op.getLr().convertToDouble();
  throw Error("there is no optimizer group '" + group + "'");
}

GrowthReport Trainer::grow(const AddBranches &growth) {
  auto start = std::chrono::steady_clock::now();
  DiagnosticCollector diagnostics(impl->context());
  OwningOpRef<ModuleOp> grown(impl->network->module->clone());
  std::vector<StateCopy> copies;
  if (failed(addBranches(*grown, growth, copies)))
    diagnostics.raise("the growth does not fit");
  int64_t before = parameterCount();
  std::unique_ptr<DeviceProgram> program = impl->compile(*grown, diagnostics);
  impl->program = std::move(program);
  for (const StateCopy &copy : copies) {
    const StoredTensor &from = impl->tensor(copy.from);
    impl->tensor(copy.to).values->copy(*from.values);
  }
  impl->network->module = std::move(grown);

  GrowthReport report;
  report.parametersAdded = parameterCount() - before;
  report.kernelsCompiled = impl->program->getKernels().compiled;
  report.kernelsReused = impl->program->getKernels().reused;
  report.remarks = diagnostics.remarks();
  report.milliseconds = std::chrono::duration<double, std::milli>(
                            std::chrono::steady_clock::now() - start)
                            .count();
  return report;
}

//===----------------------------------------------------------------------===//
// Checkpoints
//===----------------------------------------------------------------------===//

void Trainer::save(const std::string &path, const Notes &notes) const {
  saveCheckpoint(path, *impl->network->module, impl->store, impl->options.seed,
                 notes);
}

Trainer Trainer::load(const std::string &path, TrainerOptions options,
                      Notes *notes) {
  Checkpoint checkpoint(path);
  options.seed = checkpoint.seed();
  Trainer trainer(checkpoint.network(), options);
  checkpoint.restore(trainer.impl->store);
  if (notes)
    *notes = checkpoint.notes();
  return trainer;
}

void Trainer::exportInference(const std::string &path) {
  DiagnosticCollector diagnostics(impl->context());
  grow::PipelineOptions pipeline(impl->options.compile);
  impl->configure(pipeline);
  FailureOr<InferenceNetwork> made =
      makeInferenceNetwork(*impl->network->module, impl->store, pipeline,
                           *impl->machine.cache, *impl->machine.device);
  if (failed(made))
    diagnostics.raise("the network cannot be exported");
  saveCheckpoint(path, *made->module, *made->store, impl->options.seed, {});
}

//===----------------------------------------------------------------------===//
// Looking inside
//===----------------------------------------------------------------------===//

std::string Trainer::deviceName() const { return impl->machine.device->name(); }

std::string Trainer::convolutions() const {
  return impl->program->convolutions();
}

MemoryReport Trainer::memory() const {
  MemoryReport report;
  for (const auto &[name, tensor] : impl->store.tensors()) {
    int64_t bytes = tensor.elements() * sizeof(float);
    if (tensor.kind == StoredTensor::Kind::Parameter)
      report.parameters += bytes;
    else
      report.state += bytes;
    report.state += bytes * tensor.state.size();
  }
  if (impl->lastBatch == 0)
    return report;
  FailureOr<grow::MemoryPlan> plan =
      impl->program->memory("step", impl->lastBatch);
  assert(succeeded(plan) && "the step ran with this batch");
  report.gradients = plan->peak(grow::BufferCategory::Gradient);
  report.keptForBackward = plan->peak(grow::BufferCategory::Kept);
  report.arena = plan->arenaBytes;
  report.workspace = plan->peak({grow::BufferCategory::Activation,
                                 grow::BufferCategory::Workspace}) +
                     impl->machine.device->scratchBytes(plan->scratchBytes);
  return report;
}

int64_t Trainer::parameterCount() const {
  int64_t count = 0;
  for (auto param : impl->network->module->getOps<grow::ParamOp>())
    count += param.getTensorType().getNumElements();
  return count;
}

std::vector<std::string> Trainer::parameterNames() const {
  std::vector<std::string> names;
  for (auto param : impl->network->module->getOps<grow::ParamOp>())
    names.push_back(param.getSymName().str());
  return names;
}

Tensor Trainer::parameter(const std::string &name) const {
  const StoredTensor &tensor = impl->tensor(name);
  return copyOf(*tensor.values, tensor.shape);
}

void Trainer::setParameter(const std::string &name, const TensorView &values) {
  StoredTensor &tensor = impl->tensor(name);
  if (values.type != ElementType::F32 || values.shape != tensor.shape)
    throw Error("the values for '" + name + "' have another shape or type");
  if (!values.data)
    throw Error("the values for '" + name + "' have no data");
  auto *data = static_cast<const float *>(values.data);
  tensor.values->write(data);
  impl->store.refreshDerived();
}

const float *Trainer::parameterAddress(const std::string &name) const {
  return impl->tensor(name).values->data();
}

std::vector<Tensor> Trainer::optimizerState(const std::string &name) const {
  const StoredTensor &tensor = impl->tensor(name);
  std::vector<Tensor> state;
  for (const auto &block : tensor.state)
    state.push_back(copyOf(*block, tensor.shape));
  return state;
}

Network Trainer::network() const {
  return Network::parse(printModule(*impl->network->module));
}

std::string Trainer::stepIR() const {
  return printModule(impl->program->getModule());
}
