//===- MergeBranches.cpp - Branches that become one -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What is merged, a map and the maps beside it that are added to it, is copied
// to a function of its own, with parameters as arguments, and grow-collapse
// makes one layer of that if it can. The layer's weight expressions are then
// evaluated once, as a Carry, instead of in every step.
//
//===----------------------------------------------------------------------===//

#include "GrowthUtils.h"

#include "cambium/Growth/Rewrites.h"
#include "cambium/IR/Frozen.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Pass/PassManager.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

namespace {

/// One layer with a bias or none, in a scratch function.
struct Layer {
  Operation *contraction;
  /// Null if there is none.
  BiasAddOp biasAdd;

  Value getWeight() const { return contraction->getOperand(1); }
};

class Merger {
public:
  Merger(ModuleOp module, MapOp map, const MergeBranches &growth, Carry &carry)
      : module(module), map(map), growth(growth), carry(carry),
        joined(joinBeside(map)) {}

  LogicalResult run();

private:
  LogicalResult checkReads();
  void makeScratch();
  LogicalResult collapse();
  FailureOr<Layer> findLayer();
  Value carried(Value scratchValue);
  Value declare(StringRef role, Value weight, Attribute init);
  void replaceBy(Layer layer);

  ModuleOp module;
  MapOp map;
  const MergeBranches &growth;
  Carry &carry;
  JoinedMaps joined;
  OwningOpRef<ModuleOp> scratch;
  func::FuncOp function;
  /// What the arguments of the function stand for.
  SmallVector<Value> arguments;
  IRMapping toCarry;
  std::string reason;
};

/// Parameters that something else reads would be two afterwards.
LogicalResult Merger::checkReads() {
  for (MapOp merged : joined.maps)
    for (Value value : merged.getParams()) {
      SmallVector<ParamOp> params = paramsOf(module, value);
      if (params.empty())
        return merged.emitError("cannot merge '")
               << merged.getName()
               << "': its branches read more than parameters";
      for (ParamOp param : params)
        for (Operation *reader : readersOf(module, param)) {
          if (joined.tree.contains(reader))
            continue;
          InFlightDiagnostic diag = merged.emitError("cannot merge '")
                                    << merged.getName() << "': its parameter '"
                                    << param.getSymName()
                                    << "' is shared with another layer";
          diag.attachNote(reader->getLoc()) << "read here";
          return diag;
        }
    }
  return success();
}

void Merger::makeScratch() {
  llvm::SetVector<Value> outside;
  for (MapOp merged : joined.maps)
    outside.insert_range(merged->getOperands());
  arguments = outside.takeVector();
  scratch = ModuleOp::create(map.getLoc());
  OpBuilder builder = OpBuilder::atBlockEnd(scratch->getBody());
  function = func::FuncOp::create(
      builder, map.getLoc(), "merged",
      builder.getFunctionType(ValueRange(arguments).getTypes(),
                              joined.result.getType()));
  Block *body = function.addEntryBlock();
  builder.setInsertionPointToEnd(body);
  IRMapping mapping;
  mapping.map(arguments, body->getArguments());
  for (Operation *op : joined.tree)
    builder.clone(*op, mapping);
  func::ReturnOp::create(builder, map.getLoc(), mapping.lookup(joined.result));
}

/// Runs grow-collapse on the copy. Its first remark is why it did not collapse.
LogicalResult Merger::collapse() {
  ScopedDiagnosticHandler handler(module.getContext(),
                                  [&](Diagnostic &diagnostic) {
                                    if (reason.empty())
                                      reason = diagnostic.str();
                                    return success();
                                  });
  PassManager passes(module.getContext());
  passes.addNestedPass<func::FuncOp>(createGrowCollapse());
  return passes.run(*scratch);
}

/// The one layer that is left, on one of the maps' inputs.
FailureOr<Layer> Merger::findLayer() {
  Layer layer{};
  Value value = function.front().getTerminator()->getOperand(0);
  layer.biasAdd = value.getDefiningOp<BiasAddOp>();
  if (layer.biasAdd)
    value = layer.biasAdd.getInput();
  layer.contraction = value.getDefiningOp();
  bool isLayer = isa_and_nonnull<Conv2DOp, LinearOp>(layer.contraction);
  if (isLayer) {
    auto input = dyn_cast<BlockArgument>(layer.contraction->getOperand(0));
    if (input &&
        llvm::is_contained(map.getInputs(), arguments[input.getArgNumber()]))
      return layer;
  }
  return map.emitError("cannot merge '")
         << map.getName() << "': its branches are no single layer"
         << (reason.empty() ? "" : ": ") << reason;
}

/// What a weight expression of the scratch function is worth now.
Value Merger::carried(Value value) {
  if (Value known = toCarry.lookupOrNull(value))
    return known;
  if (auto argument = dyn_cast<BlockArgument>(value)) {
    Value old = carry.copyOf(arguments[argument.getArgNumber()]);
    toCarry.map(value, old);
    return old;
  }
  Operation *op = value.getDefiningOp();
  for (Value operand : op->getOperands())
    carried(operand);
  carry.getBuilder().clone(*op, toCarry);
  return toCarry.lookup(value);
}

/// A parameter with the values of an expression, and a read of it.
Value Merger::declare(StringRef role, Value value, Attribute init) {
  SymbolTable symbols(module);
  auto type = cast<RankedTensorType>(value.getType());
  ParamOp first = paramsOf(module, map.getParams().front()).front();
  std::string name =
      freeSymbol(symbols, (map.getName() + ".merged." + role).str());
  OpBuilder declarations = declarationBuilder(module);
  auto param = ParamOp::create(
      declarations, map.getLoc(), name, type,
      growth.group.empty() ? first.getGroup() : StringRef(growth.group), init);
  if (isFrozen(first))
    param->setDiscardableAttr(frozenMark, UnitAttr::get(module.getContext()));
  symbols.insert(param);
  carry.to(name, carried(value));
  OpBuilder builder(map);
  return GetOp::create(builder, map.getLoc(), type, name);
}

/// The map stays, with one branch, so that it can grow again.
void Merger::replaceBy(Layer layer) {
  MLIRContext *context = module.getContext();
  SmallVector<Value> params = {
      declare("w", layer.getWeight(), KaimingAttr::get(context))};
  if (layer.biasAdd)
    params.push_back(
        declare("b", layer.biasAdd.getBias(), ZeroAttr::get(context)));
  OpBuilder builder(joined.tree.back());
  auto merged = MapOp::create(builder, map.getLoc(), joined.result.getType(),
                              map.getName(), map.getReduction(), /*branches=*/1,
                              map.getKeepAttr(), map.getInputs(), params);
  Block &body = merged.getBody().emplaceBlock();
  for (Value operand : merged->getOperands())
    body.addArgument(operand.getType(), map.getLoc());
  auto input = cast<BlockArgument>(layer.contraction->getOperand(0));
  unsigned place =
      llvm::find(map.getInputs(), arguments[input.getArgNumber()]) -
      map.getInputs().begin();
  unsigned numInputs = map.getInputs().size();
  IRMapping mapping;
  mapping.map(input, body.getArgument(place));
  mapping.map(layer.getWeight(), body.getArgument(numInputs));
  builder.setInsertionPointToEnd(&body);
  Operation *last = builder.clone(*layer.contraction, mapping);
  if (layer.biasAdd) {
    mapping.map(layer.biasAdd.getBias(), body.getArgument(numInputs + 1));
    last = builder.clone(*layer.biasAdd, mapping);
  }
  YieldOp::create(builder, map.getLoc(), last->getResult(0));
  joined.result.replaceAllUsesWith(merged.getResult());
}

LogicalResult Merger::run() {
  if (map.getParams().empty())
    return map.emitError("cannot merge '")
           << map.getName() << "': it has no branch with parameters";
  if (failed(checkReads()))
    return failure();
  makeScratch();
  if (failed(collapse()))
    return failure();
  FailureOr<Layer> layer = findLayer();
  if (failed(layer))
    return failure();
  replaceBy(*layer);
  SmallVector<Value> reads;
  for (MapOp merged : joined.maps)
    llvm::append_range(reads, merged.getParams());
  for (Operation *op : llvm::reverse(joined.tree))
    op->erase();
  eraseUnusedReads(module, reads);
  return mlir::verify(module);
}

} // namespace

LogicalResult cambium::grow::mergeBranches(ModuleOp module,
                                           const MergeBranches &growth,
                                           Carry &carry) {
  if (!growth.group.empty() && failed(checkGroup(module, growth.group)))
    return failure();
  FailureOr<MapOp> map = findMap(module, growth.map, "merge");
  if (failed(map))
    return failure();
  return Merger(module, *map, growth, carry).run();
}
