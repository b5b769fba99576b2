//===- Evaluator.cpp - Runs functions and their operations ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Evaluator.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

/// More nested calls than any network has: recursion.
static constexpr unsigned maxDepth = 128;

//===----------------------------------------------------------------------===//
// Extents that follow from elsewhere in a kernel
//===----------------------------------------------------------------------===//

/// Values that have one shape because the operation says so.
static SmallVector<Value> tiedValues(Operation *op) {
  if (op->hasTrait<OpTrait::SameOperandsAndResultType>()) {
    SmallVector<Value> tied(op->getOperands());
    llvm::append_range(tied, op->getResults());
    return tied;
  }
  if (auto norm = dyn_cast<BatchNormGradOp>(op))
    return {norm.getInput(), norm.getGradient(), norm.getDInput()};
  if (auto grad = dyn_cast<BitsGradOp>(op))
    return {grad.getBits(), grad.getGradient(), grad.getResult()};
  if (isa<BiasAddOp, ChannelScaleOp, BatchNormOp, MaxPool2DGradOp, MseGradOp,
          SoftmaxCrossEntropyGradOp, SignBitsOp, BarrierOp>(op))
    return {op->getOperand(0), op->getResult(0)};
  return {};
}

Shape Evaluator::Frame::knownShape(Value wanted) const {
  DenseMap<Value, Shape> known;
  auto note = [&](Value value) -> Shape & {
    auto [entry, isNew] = known.try_emplace(value);
    if (isNew) {
      auto computed = values.find(value);
      entry->second = computed == values.end() ? shapeOf(value.getType())
                                               : computed->second.shape;
    }
    return entry->second;
  };
  Operation *terminator = block.getTerminator();
  for (auto [value, shape] :
       llvm::zip_equal(terminator->getOperands(), results))
    if (note(value).size() == shape.size())
      refine(note(value), shape);
  for (bool changed = true; changed;) {
    changed = false;
    for (Operation &op : llvm::reverse(block)) {
      SmallVector<Value> tied = tiedValues(&op);
      for (Value to : tied)
        for (Value from : tied) {
          Shape shape = note(from);
          changed |= refine(note(to), shape);
        }
    }
  }
  return note(wanted);
}

//===----------------------------------------------------------------------===//
// Functions and blocks
//===----------------------------------------------------------------------===//

static LogicalResult checkInputs(func::FuncOp function,
                                 ArrayRef<ReferenceTensor> inputs) {
  ArrayRef<Type> types = function.getArgumentTypes();
  if (function.isExternal() || !llvm::hasSingleElement(function.getBody()))
    return function.emitOpError("needs a body of one block to be run");
  if (types.size() != inputs.size())
    return function.emitOpError() << "takes " << types.size()
                                  << " inputs but is given " << inputs.size();
  for (auto [index, input] : llvm::enumerate(inputs)) {
    auto type = dyn_cast<RankedTensorType>(types[index]);
    if (!type || !agree(input.shape, type.getShape()))
      return function.emitOpError()
             << "takes " << types[index] << " as input " << index
             << " but is given extents " << toString(input.shape);
    if (input.elements() != ReferenceTensor::elementsOf(input.shape))
      return function.emitOpError()
             << "is given " << input.elements() << " elements as input "
             << index << " of extents " << toString(input.shape);
  }
  return success();
}

FailureOr<Tensors> Evaluator::call(func::FuncOp function,
                                   ArrayRef<ReferenceTensor> inputs) {
  if (failed(checkInputs(function, inputs)))
    return failure();
  if (depth == maxDepth)
    return function.emitOpError() << "calls itself";
  ++depth;
  llvm::scope_exit leave([&] { --depth; });
  Block &body = function.getBody().front();
  Frame frame(body);
  for (auto [argument, input] : llvm::zip_equal(body.getArguments(), inputs))
    frame.values[argument] = input;
  for (Type type : function.getResultTypes())
    frame.results.push_back(shapeOf(type));
  return run(frame);
}

FailureOr<Tensors> Evaluator::run(Frame &frame) {
  for (Operation &op : frame.block.without_terminator())
    if (failed(evaluate(&op, frame)))
      return failure();
  Tensors results;
  for (Value value : frame.block.getTerminator()->getOperands())
    results.push_back(frame.values.find(value)->second);
  return results;
}

void Evaluator::define(Operation *op, Tensors results, Frame &frame) {
  for (auto [value, tensor] : llvm::zip_equal(op->getResults(), results))
    frame.values[value] = std::move(tensor);
}

LogicalResult Evaluator::evaluate(Operation *op, Frame &frame) {
  return TypeSwitch<Operation *, LogicalResult>(op)
      .Case([&](GetOp get) { return evaluateGet(get, frame); })
      .Case([&](SetOp set) {
        effects.push_back(StateWrite{
            set.getSymbol().str(), frame.values.find(set.getValue())->second});
        return success();
      })
      .Case([&](UpdateOp update) { return evaluateUpdate(update, frame); })
      .Case([&](OptimizerOp optimizer) {
        return evaluateOptimizer(optimizer, frame);
      })
      .Case([&](func::CallOp call) { return evaluateCall(call, frame); })
      .Case([&](MapOp map) { return evaluateMap(map, frame); })
      .Case([&](FusedMapOp map) { return evaluateFusedMap(map, frame); })
      .Case([&](LaunchOp launch) { return evaluateLaunch(launch, frame); })
      .Default([&](Operation *other) { return evaluatePure(other, frame); });
}

LogicalResult Evaluator::evaluateGet(GetOp op, Frame &frame) {
  auto variable = variables.find(op.getSymbol());
  if (variable == variables.end())
    return op.emitOpError()
           << "reads '" << op.getSymbol() << "', which is not declared";
  define(op, {variable->second.value}, frame);
  return success();
}

LogicalResult Evaluator::evaluateCall(func::CallOp op, Frame &frame) {
  auto callee = symbols.lookup<func::FuncOp>(op.getCallee());
  if (!callee)
    return op.emitOpError() << "calls '" << op.getCallee()
                            << "', which is not a function of the module";
  Tensors inputs;
  for (Value operand : op.getOperands())
    inputs.push_back(frame.values.find(operand)->second);
  FailureOr<Tensors> results = call(callee, inputs);
  if (failed(results))
    return failure();
  define(op, std::move(*results), frame);
  return success();
}

//===----------------------------------------------------------------------===//
// Updates
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<ParamOp>>
Evaluator::lookupParams(Operation *user, ArrayAttr names,
                        const ReferenceTensor &gradient) {
  SmallVector<ParamOp> params;
  for (auto name : names.getAsRange<FlatSymbolRefAttr>()) {
    auto param = symbols.lookup<ParamOp>(name.getValue());
    if (!param)
      return user->emitOpError() << "updates '" << name.getValue()
                                 << "', which is not a declared parameter";
    if (param.getTensorType().getNumElements() != gradient.elements())
      return user->emitOpError()
             << "has a gradient of extents " << toString(gradient.shape)
             << " for '" << name.getValue() << "' of type " << param.getType();
    params.push_back(param);
  }
  return params;
}

LogicalResult Evaluator::evaluateUpdate(UpdateOp op, Frame &frame) {
  const ReferenceTensor &gradient = frame.values.find(op.getGradient())->second;
  FailureOr<SmallVector<ParamOp>> params =
      lookupParams(op, op.getParams(), gradient);
  if (failed(params))
    return failure();
  effects.push_back(ParameterUpdate{std::move(*params), gradient,
                                    op.getDerived().value_or("").str(), false});
  return success();
}

/// Kernels leave momenta and decays to run time, where each parameter's group
/// has them; what they fix is the rule.
static bool sameRule(Attribute a, Attribute b) {
  auto first = dyn_cast<SgdAttr>(a), second = dyn_cast<SgdAttr>(b);
  if (!first || !second)
    return !first && !second;
  return first.getNesterov() == second.getNesterov() &&
         (first.getMomentum() == 0.0) == (second.getMomentum() == 0.0);
}

LogicalResult Evaluator::evaluateOptimizer(OptimizerOp op, Frame &frame) {
  if (!frame.launch || !frame.launch.getUpdates())
    return op.emitOpError("runs without a launch that lists its parameters");
  const ReferenceTensor &gradient = frame.values.find(op.getGradient())->second;
  FailureOr<SmallVector<ParamOp>> params =
      lookupParams(frame.launch, *frame.launch.getUpdates(), gradient);
  if (failed(params))
    return failure();
  for (ParamOp param : *params) {
    auto group = symbols.lookup<GroupOp>(param.getGroup());
    if (!group || !sameRule(group.getOptimizer(), op.getOptimizer()))
      return frame.launch.emitOpError()
             << "updates '" << param.getSymName() << "' by "
             << op.getOptimizer() << ", which is not its group's optimizer";
  }
  bool writesSum = op.getSum() || op.getAccumulate();
  if (writesSum && !frame.launch.getDerived())
    return frame.launch.emitOpError(
        "runs an optimizer that writes a sum, but has no `into`");
  std::string derived =
      writesSum ? frame.launch.getDerived()->str() : std::string();
  effects.push_back(ParameterUpdate{std::move(*params), gradient,
                                    std::move(derived), op.getAccumulate()});
  return success();
}

//===----------------------------------------------------------------------===//
// Everything else
//===----------------------------------------------------------------------===//

static LogicalResult checkLabels(Operation *op, Inputs in) {
  if (!isa<SoftmaxCrossEntropyOp, SoftmaxCrossEntropyGradOp>(op))
    return success();
  int64_t classes = in[0]->shape[1];
  for (auto [row, label] : llvm::enumerate(in[1]->data))
    if (!(label >= 0.0 && label < static_cast<double>(classes) &&
          label == std::floor(label)))
      return op->emitOpError() << "has label " << label << " in row " << row
                               << "; labels are in [0, " << classes << ")";
  return success();
}

LogicalResult Evaluator::evaluatePure(Operation *op, Frame &frame) {
  SmallVector<const ReferenceTensor *> in;
  for (Value operand : op->getOperands())
    in.push_back(&frame.values.find(operand)->second);
  FailureOr<SmallVector<Shape>> shapes =
      inferShapes(op, in, [&](Value value) { return frame.knownShape(value); });
  if (failed(shapes) || failed(checkLabels(op, in)))
    return failure();
  Tensors out;
  for (const Shape &shape : *shapes)
    out.emplace_back(shape);
  if (!computeContraction(op, in, out) && !computePointwise(op, in, out) &&
      !computePooling(op, in, out) && !computeNormalization(op, in, out) &&
      !computeLoss(op, in, out) && !computeShape(op, in, out))
    return op->emitOpError("has no meaning to the reference interpreter");
  define(op, std::move(out), frame);
  return success();
}
