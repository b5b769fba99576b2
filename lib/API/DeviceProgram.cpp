//===- DeviceProgram.cpp - A module compiled for a device -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/API/DeviceProgram.h"

#include "Growth.h"

#include "cambium/Error.h"
#include "cambium/IR/Grow.h"
#include "cambium/Runtime/CudaDevice.h"
#include "cambium/Runtime/Initialize.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cstring>
#include <new>

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

//===----------------------------------------------------------------------===//
// Stored tensors
//===----------------------------------------------------------------------===//

static void fillValues(const ParameterStore &store, const std::string &name,
                       Attribute init, uint64_t seed, StoredTensor &tensor) {
  auto fill = [&](InitKind kind, double value) {
    tensor.values->fill([&](float *values) {
      initialize(kind, value, seed, name, tensor.shape, values);
    });
  };
  TypeSwitch<Attribute>(init)
      .Case([&](ZeroAttr) { fill(InitKind::Zero, 0.0); })
      .Case([&](KaimingAttr) { fill(InitKind::Kaiming, 0.0); })
      .Case([&](ConstantAttr constant) {
        fill(InitKind::Constant, constant.getValue());
      })
      .Case([&](CopyAttr copy) {
        tensor.values->copy(
            *store.find(copy.getSource().getValue().str())->values);
      });
}

/// Parameters that are copied come before their copies.
static void addInOrder(ModuleOp module, ParamOp param,
                       llvm::function_ref<void(ParamOp)> add) {
  if (auto copy = dyn_cast<CopyAttr>(param.getInit()))
    if (auto source = module.lookupSymbol<ParamOp>(copy.getSource()))
      if (source != param)
        addInOrder(module, source, add);
  add(param);
}

std::vector<std::string> cambium::addStored(ParameterStore &store,
                                            ModuleOp module, uint64_t seed) {
  std::vector<std::string> added;
  llvm::scope_exit takeBack([&] {
    for (const std::string &name : added)
      store.remove(name);
  });
  auto addTensor = [&](StringRef symbol, StoredTensor::Kind kind,
                       RankedTensorType type, StringRef group,
                       Attribute init) -> StoredTensor * {
    std::string name = symbol.str();
    if (store.find(name))
      return nullptr;
    StoredTensor &tensor =
        store.add(name, kind, type.getShape().vec(), group.str());
    added.push_back(name);
    if (init)
      fillValues(store, name, init, seed, tensor);
    return &tensor;
  };
  for (auto group : module.getOps<GroupOp>())
    if (!store.findGroup(group.getSymName().str()))
      store.addGroup(internal::optionsOf(group));
  for (auto param : module.getOps<ParamOp>())
    addInOrder(module, param, [&](ParamOp op) {
      addTensor(op.getSymName(), StoredTensor::Kind::Parameter,
                op.getTensorType(), op.getGroup(), op.getInit());
    });
  for (auto state : module.getOps<StateOp>())
    addTensor(state.getSymName(), StoredTensor::Kind::State,
              state.getTensorType(), "", state.getInit());
  takeBack.release();
  return added;
}

/// Makes the store's derived sums those of the module.
static void replaceDerived(ParameterStore &store, ModuleOp module) {
  // Made as a whole first: an old program may run on if memory is short.
  ParameterStore made(store.getMemory());
  for (auto derived : module.getOps<DerivedOp>()) {
    StoredTensor &tensor =
        made.add(derived.getSymName().str(), StoredTensor::Kind::Derived,
                 derived.getTensorType().getShape().vec());
    for (auto term : derived.getTerms().getAsRange<FlatSymbolRefAttr>())
      tensor.terms.push_back(term.getValue().str());
  }
  store.replaceDerived(std::move(made));
}

//===----------------------------------------------------------------------===//
// From a memory plan to a plan
//===----------------------------------------------------------------------===//

namespace {

class PlanBuilder {
public:
  using Choose =
      llvm::function_ref<const ConvolutionChooser::Choice *(LaunchOp)>;

  PlanBuilder(const MemoryPlan &memory, func::FuncOp function,
              const KernelCache::Request &code, ParameterStore &store,
              ConvolutionChooser *chooser, Choose choose)
      : memory(memory), function(function), code(code), store(store),
        chooser(chooser), choose(choose) {}

  BoundPlan build();

private:
  Slot slotOf(Value value);
  int64_t storedIndex(StringRef name);
  void addLaunch(const MemoryPlan::Launch &launch);
  void addUpdates(LaunchOp op, Launch &launch);
  void joinUpdates();

  const MemoryPlan &memory;
  func::FuncOp function;
  const KernelCache::Request &code;
  ParameterStore &store;
  ConvolutionChooser *chooser;
  Choose choose;
  BoundPlan bound;
};

int64_t PlanBuilder::storedIndex(StringRef name) {
  std::vector<std::string> &names = bound.plan.stored;
  auto known = llvm::find(names, name);
  if (known != names.end())
    return known - names.begin();
  names.push_back(name.str());
  bound.stored.push_back(store.find(name.str()));
  assert(bound.stored.back() && "the store holds all of the module's symbols");
  return names.size() - 1;
}

Slot PlanBuilder::slotOf(Value value) {
  value = viewedValue(value);
  if (auto argument = dyn_cast<BlockArgument>(value))
    return {Slot::Space::Input, argument.getArgNumber()};
  if (auto get = value.getDefiningOp<GetOp>())
    return {Slot::Space::Values, storedIndex(get.getSymbol())};
  return {Slot::Space::Arena,
          memory.buffers[memory.bufferOf.lookup(value)].offset};
}

void PlanBuilder::addUpdates(LaunchOp op, Launch &launch) {
  if (!op.getUpdates())
    return;
  if (op.getDerived())
    launch.buffers.push_back(
        {Slot::Space::Values, storedIndex(*op.getDerived())});
  launch.sharedBuffers = launch.buffers.size();
  for (auto param : op.getUpdates()->getAsRange<FlatSymbolRefAttr>()) {
    int64_t index = storedIndex(param.getValue());
    bound.plan.updated.push_back(param.getValue().str());
    launch.buffers.push_back({Slot::Space::Rates, index});
    launch.buffers.push_back({Slot::Space::Values, index});
    int64_t states = bound.stored[index]->state.size();
    for (int64_t i = 0; i < states; ++i)
      launch.buffers.push_back({Slot::Space::State, index, i});
  }
}

/// Updates at the end of the function may run in any order that keeps the order
/// in which they write a sum: first those that write none or are their sum's
/// first, then its second, and so on.
void PlanBuilder::joinUpdates() {
  std::vector<Launch> &launches = bound.plan.launches;
  size_t first = launches.size();
  // Counted from the end: a launch before the updates may have become several.
  const int64_t fewer = static_cast<int64_t>(memory.launches.size()) -
                        static_cast<int64_t>(launches.size());
  auto op = [&](size_t launch) {
    return LaunchOp(memory.launches[static_cast<int64_t>(launch) + fewer].op);
  };
  while (static_cast<int64_t>(first) + fewer > 0 && op(first - 1).getUpdates())
    --first;
  std::map<StringRef, int64_t> writes;
  std::multimap<int64_t, Launch> updates;
  for (size_t i = first; i < launches.size(); ++i) {
    auto sum = op(i).getDerived();
    updates.emplace(sum ? writes[*sum]++ : 0, std::move(launches[i]));
  }
  launches.resize(first);
  for (auto &[turn, launch] : updates) {
    launch.together = turn;
    launches.push_back(std::move(launch));
  }
}

void PlanBuilder::addLaunch(const MemoryPlan::Launch &planned) {
  LaunchOp op = planned.op;
  Launch launch;
  std::string kernel = op.getKernel().str();
  auto known = llvm::find(bound.plan.kernels, kernel);
  launch.kernel = known - bound.plan.kernels.begin();
  if (known == bound.plan.kernels.end()) {
    bound.plan.kernels.push_back(kernel);
    bound.kernels.push_back(code.kernels.at(kernel));
  }
  int64_t branches = op.getBranches().value_or(0);
  auto kernelOp = cast<KernelOp>(
      SymbolTable::lookupNearestSymbolFrom(op, op.getKernelAttr()));
  FusedMapOp map = kernelOp.getFusedMap();
  int64_t tuple = map ? map.getTupleSize() : 0, each = kernelOp.getNumEach();
  ValueRange operands = op.getOperands(), results = op.getResults();
  auto add = [&](ValueRange values) {
    for (Value value : values)
      launch.buffers.push_back(slotOf(value));
  };
  add(operands.drop_back(branches * tuple));
  add(results.drop_back(branches * each));
  addUpdates(op, launch);
  if (planned.workspace >= 0) {
    assert(!op.getUpdates() && "updates need no workspace");
    launch.buffers.push_back(
        {Slot::Space::Arena, memory.buffers[planned.workspace].offset});
  }
  if (!op.getUpdates())
    launch.sharedBuffers = launch.buffers.size();
  for (int64_t branch = 0; branch < branches; ++branch) {
    add(operands.take_back((branches - branch) * tuple).take_front(tuple));
    add(results.take_back((branches - branch) * each).take_front(each));
  }
  launch.dims = planned.dims;
  launch.sizes = planned.sizes;
  if (const ConvolutionChooser::Choice *choice = choose(op))
    return chooser->append(bound, *choice, launch);
  bound.plan.launches.push_back(std::move(launch));
}

BoundPlan PlanBuilder::build() {
  for (Type type : function.getArgumentTypes())
    bound.plan.inputBytes.push_back(
        ShapedType::getNumElements(shapeForBatch(type, memory.batch)) *
        static_cast<int64_t>(sizeof(float)));
  for (const MemoryPlan::Launch &launch : memory.launches)
    addLaunch(launch);
  joinUpdates();
  for (auto set : function.getOps<SetOp>()) {
    int64_t index = storedIndex(set.getSymbol());
    bound.plan.copies.push_back({slotOf(set.getValue()),
                                 {Slot::Space::Values, index},
                                 bound.stored[index]->elements() *
                                     static_cast<int64_t>(sizeof(float))});
  }
  for (Value result :
       function.getBody().front().getTerminator()->getOperands()) {
    auto shape = shapeForBatch(result.getType(), memory.batch);
    bound.plan.results.push_back(
        {slotOf(result), {shape.begin(), shape.end()}});
  }
  bound.plan.arenaBytes = memory.arenaBytes;
  bound.plan.scratchBytes = memory.scratchBytes;
  return std::move(bound);
}

} // namespace

//===----------------------------------------------------------------------===//
// DeviceProgram
//===----------------------------------------------------------------------===//

/// Fails unless all inputs fit a TensorView and all results a Tensor.
static LogicalResult checkTypes(func::FuncOp function) {
  auto isTensor = [](Type type, bool labels) {
    auto tensor = dyn_cast<RankedTensorType>(type);
    return tensor && (tensor.getElementType().isF32() ||
                      (labels && tensor.getElementType().isInteger(32)));
  };
  for (Type type : function.getArgumentTypes())
    if (!isTensor(type, /*labels=*/true))
      return function.emitError("'")
             << function.getName() << "' takes a " << type
             << ", but inputs are ranked tensors of f32 or i32";
  for (Type type : function.getResultTypes())
    if (!isTensor(type, /*labels=*/false))
      return function.emitError("'")
             << function.getName() << "' returns a " << type
             << ", but results are ranked tensors of f32";
  return success();
}

FailureOr<std::unique_ptr<DeviceProgram>>
DeviceProgram::create(OwningOpRef<ModuleOp> module, KernelCache &cache,
                      ParameterStore &store, ConvLibrary library) {
  std::unique_ptr<DeviceProgram> program(
      new DeviceProgram(std::move(module), cache.target(), store));
  try {
    program->chooser = cache.convolutions(library);
  } catch (const Error &error) {
    return program->module->emitError(error.what());
  }
  for (auto function : program->module->getOps<func::FuncOp>())
    if (failed(checkTypes(function)))
      return failure();
  FailureOr<KernelCache::Request> kernels = cache.get(*program->module);
  if (failed(kernels))
    return failure();
  program->kernels = std::move(*kernels);
  replaceDerived(store, *program->module);
  return program;
}

/// The batch size that the inputs agree on, checked against the function.
static FailureOr<int64_t> checkInputs(func::FuncOp function,
                                      ArrayRef<const TensorView *> inputs) {
  if (inputs.size() != function.getNumArguments())
    return function.emitError("'")
           << function.getName() << "' takes " << function.getNumArguments()
           << " inputs, but got " << inputs.size();
  int64_t batch = ShapedType::kDynamic;
  for (size_t number = 0; number < inputs.size(); ++number) {
    const TensorView &input = *inputs[number];
    auto type = cast<RankedTensorType>(function.getArgumentTypes()[number]);
    if (!input.data)
      return function.emitError("input ")
             << number << " of '" << function.getName() << "' has no data";
    bool isFloat = input.type == ElementType::F32;
    auto mismatch = [&]() {
      Builder builder(type.getContext());
      Type element =
          isFloat ? Type(builder.getF32Type()) : Type(builder.getI32Type());
      return function.emitError("input ")
             << number << " of '" << function.getName() << "' is " << type
             << ", but got " << RankedTensorType::get(input.shape, element);
    };
    if (type.getElementType().isF32() != isFloat ||
        type.getRank() != static_cast<int64_t>(input.shape.size()))
      return mismatch();
    for (auto [wanted, got] : llvm::zip(type.getShape(), input.shape)) {
      if (got < 1 || (!ShapedType::isDynamic(wanted) && wanted != got))
        return mismatch();
      if (!ShapedType::isDynamic(wanted))
        continue;
      if (!ShapedType::isDynamic(batch) && batch != got)
        return function.emitError("inputs of '")
               << function.getName() << "' differ in the batch: " << batch
               << " against " << got;
      batch = got;
    }
  }
  return ShapedType::isDynamic(batch) ? 1 : batch;
}

FailureOr<MemoryPlan> DeviceProgram::plan(func::FuncOp function, int64_t batch,
                                          Choices &choices) {
  return planMemory(
      function, batch, target,
      [&](KernelOp kernel, MemoryPlan::Launch &launch) {
        if (!chooser)
          return;
        const ConvolutionChooser::Choice *choice = chooser->choose(
            kernel, launch, kernels.kernels.at(kernel.getSymName().str()));
        if (!choice)
          return;
        choices[launch.op] = choice;
        launch.sizes.workspaceBytes = choice->workspaceBytes();
      });
}

std::string DeviceProgram::convolutions() const {
  return chooser ? chooser->description() : "generated kernels";
}

FailureOr<const BoundPlan *> DeviceProgram::planFor(func::FuncOp function,
                                                    int64_t batch) {
  auto key = std::pair(function.getOperation(), batch);
  auto known = plans.find(key);
  if (known != plans.end())
    return &known->second;
  Choices choices;
  FailureOr<MemoryPlan> memory = plan(function, batch, choices);
  if (failed(memory))
    return failure();
  auto choose = [&](LaunchOp op) { return choices.lookup(op); };
  BoundPlan plan =
      PlanBuilder(*memory, function, kernels, store, chooser, choose).build();
  return &plans.emplace(key, std::move(plan)).first->second;
}

FailureOr<MemoryPlan> DeviceProgram::memory(StringRef function, int64_t batch) {
  auto op = module->lookupSymbol<func::FuncOp>(function);
  if (!op)
    return module->emitError("there is no function '") << function << "'";
  Choices choices;
  return plan(op, batch, choices);
}

LogicalResult DeviceProgram::run(StringRef name,
                                 ArrayRef<const TensorView *> inputs,
                                 Device &device, Call &call) {
  auto function = module->lookupSymbol<func::FuncOp>(name);
  if (!function)
    return module->emitError("there is no function '") << name << "'";
  FailureOr<int64_t> batch = checkInputs(function, inputs);
  if (failed(batch))
    return failure();
  FailureOr<const BoundPlan *> plan = planFor(function, *batch);
  if (failed(plan))
    return failure();
  call.plan = *plan;
  call.inputs.clear();
  for (const TensorView *input : inputs)
    call.inputs.push_back(input->data);
  return execute(function, **plan, call.inputs, device);
}

FailureOr<DeviceProgram::Call> DeviceProgram::run(StringRef name,
                                                  ArrayRef<TensorView> inputs,
                                                  Device &device) {
  SmallVector<const TensorView *> views;
  for (const TensorView &input : inputs)
    views.push_back(&input);
  Call call;
  if (failed(run(name, views, device, call)))
    return failure();
  return call;
}

/// Runs the plan. On failure, the updates are not counted.
LogicalResult DeviceProgram::execute(func::FuncOp function,
                                     const BoundPlan &bound,
                                     const std::vector<const void *> &inputs,
                                     Device &device) {
  const std::vector<std::string> &updated = bound.plan.updated;
  size_t counted = 0;
  llvm::scope_exit takeBack([&] {
    for (size_t i = 0; i < counted; ++i)
      --store.find(updated[i])->steps;
  });
  try {
    device.reserve(bound.plan);
    for (; counted < updated.size(); ++counted)
      store.prepareUpdate(*store.find(updated[counted]));
    if (counted > 0)
      store.uploadRates();
    device.run(bound, inputs);
  } catch (const std::bad_alloc &error) {
    auto diagnostic = function.emitError("not enough memory for '")
                      << function.getName() << "', which needs "
                      << bound.plan.arenaBytes << " bytes beside its inputs";
    if (auto *device = dynamic_cast<const cuda::OutOfMemory *>(&error))
      diagnostic << ": " << device->what();
    return diagnostic;
  } catch (const Error &error) {
    return function.emitError("cannot run '")
           << function.getName() << "': " << error.what();
  }
  takeBack.release();
  return success();
}

LogicalResult DeviceProgram::read(const Call &call, size_t number,
                                  Device &device, Tensor &to) {
  const Plan::Result &result = call.plan->plan.results[number];
  to.shape = result.shape;
  int64_t elements = 1;
  for (int64_t extent : result.shape)
    elements *= extent;
  to.data.resize(elements);
  try {
    device.memory().download(
        to.data.data(), device.address(*call.plan, result.slot, call.inputs),
        elements * sizeof(float));
  } catch (const Error &error) {
    return module->emitError("a call did not end well: ") << error.what();
  }
  return success();
}

FailureOr<std::vector<Tensor>> DeviceProgram::call(StringRef name,
                                                   ArrayRef<TensorView> inputs,
                                                   Device &device) {
  FailureOr<Call> done = run(name, inputs, device);
  if (failed(done))
    return failure();
  std::vector<Tensor> results(done->plan->plan.results.size());
  for (size_t number = 0; number < results.size(); ++number)
    if (failed(read(*done, number, device, results[number])))
      return failure();
  return results;
}
