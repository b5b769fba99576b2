//===- Differentiate.cpp - A step function from a loss function -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Reverse mode on straight-line code: the function is copied, the copy is
// walked backwards, and the rule of each operation turns the gradients of its
// results into those of its operands. Only values that depend on a parameter
// take part. A value used more than once gets the sum of its uses' gradients;
// the order follows from the program, so rounding is the same in every run.
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWDIFFERENTIATE
#include "cambium/Transforms/Passes.h.inc"

namespace {

/// True for values computed from parameters alone.
bool isWeight(Value value) {
  return isa_and_nonnull<GetOp, WeightSumOp, WeightConcatOp, WeightSliceOp,
                         WeightPadOp, WeightCropOp, WeightScaleOp,
                         WeightComposeOp>(value.getDefiningOp());
}

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

/// Builds the gradients of one function's scalar result at the end of its
/// block.
class Differentiator {
public:
  Differentiator(ModuleOp module, func::FuncOp func)
      : module(module), block(func.front()),
        builder(func.front().getTerminator()) {}

  LogicalResult run();

  /// The gradient of a parameter; null if the result does not depend on it.
  Value gradientOf(ParamOp param) {
    return total(paramGradients.lookup(param.getSymNameAttr()),
                 /*weight=*/true);
  }

private:
  void findActive();
  LogicalResult propagate(Operation &op);
  void reachStored(GetOp get);
  Value total(ArrayRef<Value> contributions, bool weight);

  ModuleOp module;
  Block &block;
  OpBuilder builder;
  /// Values that depend on a parameter.
  DenseSet<Value> active;
  /// Gradients from the uses of a value, the last use first.
  DenseMap<Value, SmallVector<Value>> contributions;
  /// The same for all reads of a parameter.
  DenseMap<StringAttr, SmallVector<Value>> paramGradients;
};

void Differentiator::findActive() {
  for (Operation &op : block) {
    auto get = dyn_cast<GetOp>(op);
    bool reads = get && isa_and_nonnull<ParamOp, DerivedOp>(
                            module.lookupSymbol(get.getSymbolAttr()));
    // What a callee or a region reads is not among the operands.
    bool opaque = isa<CallOpInterface>(op) || op.getNumRegions() != 0;
    if (reads || opaque || llvm::any_of(op.getOperands(), [&](Value operand) {
          return active.contains(operand);
        }))
      active.insert(op.result_begin(), op.result_end());
  }
}

Value Differentiator::total(ArrayRef<Value> contributions, bool weight) {
  if (contributions.empty())
    return {};
  Value sum = contributions.front();
  if (contributions.size() == 1)
    return sum;
  if (weight)
    return WeightSumOp::create(builder, sum.getLoc(), sum.getType(),
                               contributions);
  for (Value contribution : contributions.drop_front())
    sum = AddOp::create(builder, contribution.getLoc(), sum.getType(), sum,
                        contribution);
  return sum;
}

/// Hands the gradient of a read to the parameter, or to the terms of a derived
/// sum.
void Differentiator::reachStored(GetOp get) {
  auto found = contributions.find(get.getResult());
  if (found == contributions.end())
    return;
  auto reach = [&](StringAttr param) {
    llvm::append_range(paramGradients[param], found->second);
  };
  Operation *stored = module.lookupSymbol(get.getSymbolAttr());
  if (auto derived = dyn_cast<DerivedOp>(stored))
    for (auto term : derived.getTerms().getAsRange<FlatSymbolRefAttr>())
      reach(term.getAttr());
  else
    reach(cast<ParamOp>(stored).getSymNameAttr());
}

LogicalResult refuse(Operation &op) {
  if (isa<MapOp>(op))
    return op.emitOpError("cannot be differentiated: run --grow-collapse and "
                          "--grow-unroll-maps first");
  if (isa<CallOpInterface>(op))
    return op.emitOpError("cannot be differentiated: run --inline first");
  return op.emitOpError("cannot be differentiated: it has no gradient, but a "
                        "parameter reaches the loss through it");
}

LogicalResult Differentiator::propagate(Operation &op) {
  auto reached = [&](Value result) { return contributions.contains(result); };
  if (llvm::none_of(op.getResults(), reached))
    return success();
  if (auto get = dyn_cast<GetOp>(op)) {
    reachStored(get);
    return success();
  }
  auto differentiable = dyn_cast<DifferentiableOpInterface>(op);
  if (!differentiable)
    return refuse(op);
  SmallVector<Value> resultGradients;
  for (Value result : op.getResults())
    resultGradients.push_back(
        total(contributions.lookup(result), isWeight(result)));
  auto needed = llvm::map_to_vector(op.getOperands(), [&](Value operand) {
    return active.contains(operand);
  });
  SmallVector<Value> operandGradients(op.getNumOperands());
  if (failed(differentiable.buildGradients(builder, resultGradients, needed,
                                           operandGradients)))
    return failure();
  for (auto [operand, isNeeded, gradient] :
       llvm::zip_equal(op.getOperands(), needed, operandGradients))
    if (isNeeded && gradient)
      contributions[operand].push_back(gradient);
  return success();
}

LogicalResult Differentiator::run() {
  findActive();
  auto forward = llvm::map_to_vector(block.without_terminator(),
                                     [](Operation &op) { return &op; });
  Value loss = block.getTerminator()->getOperand(0);
  if (!active.contains(loss))
    return success();
  Value seed = FillOp::create(builder, loss.getLoc(), loss.getType(),
                              llvm::APFloat(1.0), Value());
  contributions[loss].push_back(seed);
  for (Operation *op : llvm::reverse(forward))
    if (failed(propagate(*op)))
      return failure();
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
