//===- Export.cpp - Networks for inference --------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Export.h"

#include "Growth.h"

#include "cambium/IR/Grow.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"
#include "llvm/ADT/SetVector.h"
#include "llvm/ADT/StringSet.h"

#include <functional>
#include <numeric>

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;
using cambium::internal::InferenceNetwork;

namespace {

const char *const foldName = "fold";

/// Values of the function's body that follow from parameters alone and that
/// something else reads.
SmallVector<Value> foldable(func::FuncOp function) {
  llvm::SetVector<Operation *> ofWeights;
  for (Operation &op : function.getBody().front())
    if (isa<GetOp>(op) ||
        (op.getNumOperands() > 0 && op.getNumRegions() == 0 && isPure(&op) &&
         llvm::all_of(op.getOperands(), [&](Value operand) {
           return ofWeights.contains(operand.getDefiningOp());
         })))
      ofWeights.insert(&op);
  SmallVector<Value> values;
  for (Operation *op : ofWeights)
    if (!isa<GetOp>(op) && llvm::any_of(op->getUsers(), [&](Operation *user) {
          return !ofWeights.contains(user);
        }))
      values.push_back(op->getResult(0));
  return values;
}

/// The first parameter that the value is computed of.
StringRef firstSymbol(Value value) {
  Operation *op = value.getDefiningOp();
  while (!isa<GetOp>(op))
    op = op->getOperand(0).getDefiningOp();
  return cast<GetOp>(op).getSymbol();
}

LogicalResult run(ModuleOp module,
                  llvm::function_ref<void(PassManager &)> add) {
  PassManager passes(module.getContext());
  add(passes);
  return passes.run(module);
}

/// Leaves @forward alone, collapsed; maps that do not collapse stay maps.
LogicalResult reduceToForward(ModuleOp module) {
  for (auto function :
       llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
    if (function.getName() == "loss")
      function.erase();
  if (failed(run(module, [](PassManager &passes) {
        passes.addPass(mlir::createInlinerPass());
        passes.addNestedPass<func::FuncOp>(createGrowCollapse());
        passes.addNestedPass<func::FuncOp>(createGrowInference());
        passes.addPass(mlir::createCanonicalizerPass());
        passes.addPass(mlir::createCSEPass());
      })))
    return failure();
  for (auto function :
       llvm::make_early_inc_range(module.getOps<func::FuncOp>()))
    if (function.getName() != "forward")
      function.erase();
  return success();
}

/// A module of one function with @forward's arguments that returns the values.
OwningOpRef<ModuleOp> foldModule(ModuleOp network, ArrayRef<Value> values) {
  IRMapping mapping;
  OwningOpRef<ModuleOp> module(cast<ModuleOp>(network->clone(mapping)));
  auto function = module->lookupSymbol<func::FuncOp>("forward");
  SmallVector<Value> results;
  for (Value value : values)
    results.push_back(mapping.lookup(value));
  function.getBody().front().getTerminator()->setOperands(results);
  function.setName(foldName);
  function.setFunctionType(FunctionType::get(network.getContext(),
                                             function.getArgumentTypes(),
                                             ValueRange(results).getTypes()));
  return module;
}

/// Runs @fold on one row of zeros, which it does not read.
FailureOr<std::vector<Tensor>> computeFolded(OwningOpRef<ModuleOp> module,
                                             ParameterStore &store,
                                             const PipelineOptions &options,
                                             KernelCache &cache,
                                             Device &device) {
  if (failed(run(*module, [&](PassManager &passes) {
        buildKernelsPipeline(passes, options);
      })))
    return failure();
  auto function = module->lookupSymbol<func::FuncOp>(foldName);
  std::vector<std::vector<float>> zeros;
  std::vector<TensorView> inputs;
  for (Type type : function.getArgumentTypes()) {
    std::vector<int64_t> shape;
    for (int64_t extent : cast<RankedTensorType>(type).getShape())
      shape.push_back(ShapedType::isDynamic(extent) ? 1 : extent);
    zeros.emplace_back(std::accumulate(shape.begin(), shape.end(), int64_t(1),
                                       std::multiplies<>()));
    inputs.emplace_back(zeros.back().data(), shape);
  }
  auto program = DeviceProgram::create(std::move(module), cache, store);
  if (failed(program))
    return failure();
  return (*program)->call(foldName, inputs, device);
}

/// Replaces each value by a parameter of its own. Returns their names.
std::vector<std::string> declareFolded(ModuleOp module, StringRef group,
                                       ArrayRef<Value> values) {
  std::vector<std::string> names;
  SymbolTable symbols(module);
  Operation *first = &module.getBody()->front();
  OpBuilder declarations(first);
  for (Value value : values) {
    std::string name =
        internal::freeSymbol(symbols, firstSymbol(value).str() + ".folded");
    auto type = cast<RankedTensorType>(value.getType());
    symbols.insert(ParamOp::create(declarations, value.getLoc(), name, type,
                                   group, ZeroAttr::get(module.getContext())));
    OpBuilder builder(value.getDefiningOp());
    value.replaceAllUsesWith(
        GetOp::create(builder, value.getLoc(), type, name));
    names.push_back(name);
  }
  return names;
}

/// Removes declarations that @forward does not read, and gives parameters a
/// group that needs no state.
void removeUnread(ModuleOp module, StringRef group) {
  llvm::StringSet<> read;
  module.walk([&](GetOp get) { read.insert(get.getSymbol()); });
  for (Operation &op : llvm::make_early_inc_range(*module.getBody())) {
    if (auto param = dyn_cast<ParamOp>(op)) {
      if (!read.contains(param.getSymName())) {
        param.erase();
        continue;
      }
      param.setGroup(group);
      param.setInitAttr(ZeroAttr::get(module.getContext()));
    } else if (auto state = dyn_cast<StateOp>(op)) {
      if (!read.contains(state.getSymName()))
        state.erase();
    } else if (auto declared = dyn_cast<GroupOp>(op)) {
      if (declared.getSymName() != group)
        declared.erase();
    }
  }
}

} // namespace

FailureOr<InferenceNetwork>
internal::makeInferenceNetwork(ModuleOp network, const ParameterStore &store,
                               const PipelineOptions &options,
                               KernelCache &cache, Device &device) {
  InferenceNetwork made;
  made.module = OwningOpRef<ModuleOp>(network.clone());
  ModuleOp module = *made.module;
  if (failed(reduceToForward(module)))
    return failure();
  auto copyValues = [&](ParameterStore &to) {
    for (const auto &[name, tensor] : to.tensors())
      if (const StoredTensor *from = store.find(name))
        tensor.values->copy(*from->values);
  };
  auto forward = module.lookupSymbol<func::FuncOp>("forward");
  SmallVector<Value> values = foldable(forward);
  std::vector<Tensor> folded;
  if (!values.empty()) {
    // Another store: the trainer's has the sums of the trainer's program.
    ParameterStore copies(store.getMemory());
    OwningOpRef<ModuleOp> fold = foldModule(module, values);
    addStored(copies, *fold, 0);
    copyValues(copies);
    auto computed =
        computeFolded(std::move(fold), copies, options, cache, device);
    if (failed(computed))
      return failure();
    folded = std::move(*computed);
  }
  std::string group = freeSymbol(SymbolTable(module), "inference");
  addGroup(module, {group, Sgd{}, 0.0f, 0.0f});
  std::vector<std::string> names = declareFolded(module, group, values);
  if (failed(run(module, [](PassManager &passes) {
        passes.addPass(mlir::createCanonicalizerPass());
      })))
    return failure();
  removeUnread(module, group);
  if (failed(mlir::verify(module)))
    return failure();
  made.store = std::make_unique<ParameterStore>(store.getMemory());
  addStored(*made.store, module, 0);
  copyValues(*made.store);
  for (size_t i = 0; i < names.size(); ++i)
    if (StoredTensor *tensor = made.store->find(names[i]))
      tensor->values->write(folded[i].data.data());
  return made;
}
