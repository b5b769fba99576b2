//===- Differentiate.cpp - A step function from a loss function -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The function is copied, and gradients of its result are built at the end of
// the copy by reverse mode, from the reads of parameters on.
//
//===----------------------------------------------------------------------===//

#include "BranchTags.h"
#include "ReverseMode.h"

#include "cambium/IR/Frozen.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWDIFFERENTIATE
#include "cambium/Transforms/Passes.h.inc"

namespace {

/// Replaces training-mode batch_norm by statistics of the batch, normalisation
/// by them, and the move of the running statistics.
class BatchNormExpander {
public:
  explicit BatchNormExpander(ModuleOp module) : module(module) {}

  LogicalResult expand(func::FuncOp func) {
    for (SetOp set : func.getOps<SetOp>())
      setters[set.getSymbolAttr().getAttr()] = set;
    SmallVector<BatchNormOp> ops(func.getOps<BatchNormOp>());
    for (BatchNormOp op : ops)
      if (!op.getInference() && failed(expand(op)))
        return failure();
    return success();
  }

private:
  LogicalResult expand(BatchNormOp op) {
    FailureOr<GetOp> mean = claimState(op, op.getMean(), "mean");
    if (failed(mean))
      return failure();
    FailureOr<GetOp> variance = claimState(op, op.getVariance(), "variance");
    if (failed(variance))
      return failure();
    OpBuilder builder(op);
    Type vector = op.getMean().getType();
    auto stats = BatchNormStatsOp::create(
        builder, op.getLoc(), vector, vector, vector, vector, op.getInput(),
        op.getMean(), op.getVariance(), op.getMomentumAttr());
    auto normalized = BatchNormOp::create(
        builder, op.getLoc(), op.getType(), op.getInput(), op.getScale(),
        op.getShift(), stats.getMean(), stats.getVariance(),
        /*momentum=*/FloatAttr(), op.getEpsilonAttr(), builder.getUnitAttr());
    auto set = [&](GetOp state, Value next) {
      setters[state.getSymbolAttr().getAttr()] =
          SetOp::create(builder, op.getLoc(), state.getSymbolAttr(), next);
    };
    set(*mean, stats.getNextMean());
    set(*variance, stats.getNextVariance());
    if (Attribute tag = op->getDiscardableAttr(branchTag)) {
      stats->setDiscardableAttr(branchTag, tag);
      normalized->setDiscardableAttr(branchTag, tag);
    }
    op.replaceAllUsesWith(normalized.getResult());
    op.erase();
    return success();
  }

  /// The read of a running statistic that nothing else moves.
  FailureOr<GetOp> claimState(BatchNormOp op, Value value, StringRef what) {
    auto get = value.getDefiningOp<GetOp>();
    if (!get || !module.lookupSymbol<StateOp>(get.getSymbolAttr()))
      return op.emitOpError()
             << "in training mode moves its running " << what
             << ", which must be a grow.state read by grow.get; or set "
                "`inference`";
    auto [setter, isNew] =
        setters.try_emplace(get.getSymbolAttr().getAttr(), op);
    if (isNew)
      return get;
    InFlightDiagnostic diag = op.emitOpError()
                              << "moves the state '" << get.getSymbol()
                              << "', which is set already; give each use of a "
                                 "training-mode batch_norm states of its own";
    diag.attachNote(setter->second->getLoc()) << "set here";
    return diag;
  }

  ModuleOp module;
  DenseMap<StringAttr, Operation *> setters;
};

/// The gradients of one function's scalar result, built at the end of its
/// block.
class Differentiator {
public:
  Differentiator(ModuleOp module, func::FuncOp func)
      : module(module), block(func.front()),
        builder(func.front().getTerminator()) {}

  LogicalResult run();

  /// The gradient of a parameter; null if the result does not depend on it.
  Value gradientOf(ParamOp param) {
    return sumGradients(builder, gradients.lookup(param.getSymNameAttr()),
                        /*weight=*/true);
  }

private:
  Operation *read(GetOp get) {
    return module.lookupSymbol(get.getSymbolAttr());
  }
  bool isTrained(GetOp get);
  void reachStored(GetOp get, ArrayRef<Value> contributions);

  ModuleOp module;
  Block &block;
  OpBuilder builder;
  /// Gradients from all reads of a parameter, the last read first.
  DenseMap<StringAttr, SmallVector<Value>> gradients;
};

/// True for a read of a parameter, or of a sum with a term, that is trained.
bool Differentiator::isTrained(GetOp get) {
  Operation *declaration = read(get);
  if (auto param = dyn_cast_or_null<ParamOp>(declaration))
    return !isFrozen(param);
  auto derived = dyn_cast_or_null<DerivedOp>(declaration);
  return derived && llvm::any_of(derived.getTerms(), [&](Attribute term) {
           auto symbol = cast<FlatSymbolRefAttr>(term);
           return !isFrozen(module.lookupSymbol<ParamOp>(symbol));
         });
}

/// Hands the gradient of a read to the parameter, or to the terms of a derived
/// sum.
void Differentiator::reachStored(GetOp get, ArrayRef<Value> contributions) {
  auto reach = [&](StringAttr param) {
    llvm::append_range(gradients[param], contributions);
  };
  if (auto derived = dyn_cast<DerivedOp>(read(get)))
    for (auto term : derived.getTerms().getAsRange<FlatSymbolRefAttr>())
      reach(term.getAttr());
  else
    reach(cast<ParamOp>(read(get)).getSymNameAttr());
}

LogicalResult Differentiator::run() {
  SmallVector<GetOp> reads;
  SmallVector<Value> roots;
  for (auto get : block.getOps<GetOp>())
    if (isTrained(get)) {
      reads.push_back(get);
      roots.push_back(get.getResult());
    }
  ReverseMode reverse(block, roots, builder);
  Value loss = block.getTerminator()->getOperand(0);
  if (!reverse.isActive(loss))
    return success();
  Value seed = FillOp::create(builder, loss.getLoc(), loss.getType(),
                              llvm::APFloat(1.0), Value());
  reverse.addGradient(loss, seed);
  if (failed(reverse.run()))
    return failure();
  for (GetOp get : llvm::reverse(reads))
    reachStored(get, reverse.contributionsTo(get.getResult()));
  return success();
}

class DifferentiatePass
    : public impl::GrowDifferentiateBase<DifferentiatePass> {
public:
  using GrowDifferentiateBase::GrowDifferentiateBase;

  void runOnOperation() override {
    FailureOr<func::FuncOp> lossFunction = findLoss();
    if (failed(lossFunction))
      return signalPassFailure();
    func::FuncOp step = lossFunction->clone();
    step.setName(result);
    getOperation().insert(std::next(Block::iterator(*lossFunction)), step);
    if (failed(differentiate(step))) {
      step.erase();
      signalPassFailure();
    }
    eraseBranchTags(getOperation());
  }

private:
  FailureOr<func::FuncOp> findLoss();
  LogicalResult differentiate(func::FuncOp step);
};

/// The function to differentiate, checked.
FailureOr<func::FuncOp> DifferentiatePass::findLoss() {
  ModuleOp module = getOperation();
  auto func = module.lookupSymbol<func::FuncOp>(function);
  if (!func)
    return module.emitError()
           << "no function '" << function << "' to differentiate; declare it "
           << "or name another with `function=`";
  auto type = RankedTensorType::get({}, Float32Type::get(&getContext()));
  if (func.getResultTypes() != ArrayRef<Type>(type)) {
    InFlightDiagnostic diag = func.emitOpError()
                              << "cannot be differentiated: it must return one "
                              << type << ", the loss, but returns ";
    if (func.getNumResults() == 0)
      diag << "nothing";
    llvm::interleaveComma(func.getResultTypes(), diag);
    return diag;
  }
  if (!llvm::hasSingleElement(func.getBody()))
    return func.emitOpError("cannot be differentiated: it must have a body of "
                            "one block");
  if (Operation *taken = module.lookupSymbol(result)) {
    InFlightDiagnostic diag = func.emitOpError()
                              << "cannot be differentiated into '" << result
                              << "': the name is taken; choose another with "
                                 "`result=`";
    diag.attachNote(taken->getLoc()) << "declared here";
    return diag;
  }
  return func;
}

/// Appends the gradients to what `step` returns.
LogicalResult DifferentiatePass::differentiate(func::FuncOp step) {
  ModuleOp module = getOperation();
  if (failed(BatchNormExpander(module).expand(step)))
    return failure();
  Differentiator differentiator(module, step);
  if (failed(differentiator.run()))
    return failure();
  Operation *terminator = step.front().getTerminator();
  OpBuilder builder(terminator);
  SmallVector<Value> gradients;
  SmallVector<Type> types;
  SmallVector<DictionaryAttr> marks;
  for (ParamOp param : module.getOps<ParamOp>()) {
    if (isFrozen(param)) {
      ++numFrozen;
      continue;
    }
    RankedTensorType type = param.getTensorType();
    Value gradient = differentiator.gradientOf(param);
    gradient ? ++numGradients : ++numUnused;
    if (!gradient)
      gradient = FillOp::create(builder, param.getLoc(), type,
                                llvm::APFloat(0.0), Value());
    gradients.push_back(gradient);
    types.push_back(type);
    marks.push_back(builder.getDictionaryAttr(builder.getNamedAttr(
        "grow.gradient", FlatSymbolRefAttr::get(param.getSymNameAttr()))));
  }
  terminator->insertOperands(terminator->getNumOperands(), gradients);
  SmallVector<unsigned> places(gradients.size(), step.getNumResults());
  return step.insertResults(places, types, marks);
}

} // namespace
} // namespace cambium::grow
