//===- FusedMapGradients.cpp - Gradients of fused maps --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The body is differentiated, and the gradients of a fused map are two fused
// maps again: one for what branches share, which joins their gradients, and one
// for the tuples, which gives each branch its own. Both start from a copy of
// the forward body, of which they take what they read; `keep` decides how much
// of it that is:
//
//   %y = fused_map (%x) over (%w) join (sum) keep mask { c = conv2d, r = relu }
//     =>
//   %y, %s = fused_map (%x) over (%w) join (sum, each) { ... s = sign_bits r }
//   %dx = fused_map (%dy) over (%w, %s) join (sum) { bits_grad, grad_input }
//   %dw = fused_map (%x, %dy) over (%s) join (each) { bits_grad, grad_filter }
//
//===----------------------------------------------------------------------===//

#include "FusedMapBuilder.h"
#include "ReverseMode.h"

using namespace mlir;
using namespace cambium::grow;

namespace {

class FusedMapDifferentiator {
public:
  FusedMapDifferentiator(OpBuilder &builder, FusedMapOp map)
      : builder(builder), map(map), branches(map.getNumTuples()) {}

  FailureOr<FusedMapOp> run(ArrayRef<Value> resultGradients,
                            ArrayRef<bool> needed,
                            MutableArrayRef<Value> operandGradients);

private:
  /// An argument of the body and the values that it stands for: one, or for a
  /// tuple's those of all branches.
  struct Argument {
    enum Kind { Input, Slice, Param } kind;
    BlockArgument argument;
    SmallVector<Value> values;
  };

  /// The region belongs to no operation, so builders get the context here.
  OpBuilder atEnd() {
    OpBuilder inside(map.getContext());
    inside.setInsertionPointToEnd(body);
    return inside;
  }
  void copyBody();
  BlockArgument addArgument(Argument::Kind kind, Type type, ValueRange values);
  LogicalResult differentiateBody(ArrayRef<Value> resultGradients,
                                  ArrayRef<bool> needed);
  LogicalResult seed(ReverseMode &reverse, ArrayRef<Value> resultGradients);

  void keepValues();
  Value keptArgument(Value value, bool bits);
  void rebuildForward();

  FusedMapBuilder newMap() const {
    return newMap(llvm::to_vector(llvm::seq<int64_t>(0, branches)));
  }
  FusedMapBuilder newMap(ArrayRef<int64_t> ofBranches) const;
  SmallVector<int64_t> trainedBranches(ArrayRef<bool> needed);
  void buildShared(MutableArrayRef<Value> operandGradients);
  void buildTuples(ArrayRef<bool> needed,
                   MutableArrayRef<Value> operandGradients);
  Value typedLike(OpResult result, Value like);

  OpBuilder &builder;
  FusedMapOp map;
  int64_t branches;
  /// The body: forward operations, then those of gradients.
  Region region;
  Block *body = nullptr;
  SmallVector<Argument> arguments;
  size_t numForwardArguments = 0;
  SmallVector<Value> yielded;
  size_t numForwardOps = 0;
  /// Forward values that take more than elementwise operations on the inputs.
  DenseSet<Value> costly;
  /// The gradient of each forward argument, or null.
  SmallVector<Value> argumentGradients;
  /// Values that the forward map must give, with their arguments here.
  SmallVector<std::pair<Value, BlockArgument>> kept;
};

} // namespace

//===----------------------------------------------------------------------===//
// The body
//===----------------------------------------------------------------------===//

BlockArgument FusedMapDifferentiator::addArgument(Argument::Kind kind,
                                                  Type type,
                                                  ValueRange values) {
  BlockArgument argument = body->addArgument(type, map.getLoc());
  arguments.push_back({kind, argument, llvm::to_vector(values)});
  return argument;
}

void FusedMapDifferentiator::copyBody() {
  body = &region.emplaceBlock();
  IRMapping mapping;
  Block &source = map.getBody().front();
  unsigned next = 0;
  auto add = [&](Argument::Kind kind, ValueRange values) {
    BlockArgument from = source.getArgument(next++);
    mapping.map(from, addArgument(kind, from.getType(), values));
  };
  for (Value input : map.getInputs())
    add(Argument::Input, input);
  for (Value slice : map.getSlices())
    add(Argument::Slice, slice);
  for (int64_t place = 0; place < map.getTupleSize(); ++place) {
    SmallVector<Value> values;
    for (int64_t branch = 0; branch < branches; ++branch)
      values.push_back(map.getTuple(branch)[place]);
    add(Argument::Param, values);
  }
  numForwardArguments = arguments.size();
  OpBuilder inside = atEnd();
  for (Operation &op : source.without_terminator()) {
    Operation *copy = inside.clone(op, mapping);
    ++numForwardOps;
    if (!isa<PointwiseOpInterface>(copy) ||
        llvm::any_of(copy->getOperands(),
                     [&](Value operand) { return costly.contains(operand); }))
      costly.insert(copy->result_begin(), copy->result_end());
  }
  for (Value value : map.getYielded())
    yielded.push_back(mapping.lookup(value));
}

/// The gradient of each result as an argument. That of a mean is shared out
/// before, so that no body knows how many branches there are.
LogicalResult FusedMapDifferentiator::seed(ReverseMode &reverse,
                                           ArrayRef<Value> resultGradients) {
  for (auto [yield, value] : llvm::enumerate(yielded)) {
    ResultRange results = map.getResultsOf(yield);
    auto gradients = resultGradients.slice(
        cast<OpResult>(results.front()).getResultNumber(), results.size());
    if (llvm::none_of(gradients, [](Value gradient) { return gradient; }))
      continue;
    Join join = map.getJoin(yield);
    if (join == Join::Each)
      return map.emitOpError(
          "cannot be differentiated: a parameter reaches the "
          "loss through what a branch gives alone; join it "
          "by sum, mean or concat");
    Value gradient = gradients.front();
    if (join == Join::Mean)
      gradient =
          ScaleOp::create(builder, map.getLoc(), gradient.getType(), gradient,
                          llvm::APFloat(1.0 / static_cast<double>(branches)));
    reverse.addGradient(
        value,
        addArgument(join == Join::Concat ? Argument::Slice : Argument::Input,
                    value.getType(), gradient));
  }
  return success();
}

LogicalResult
FusedMapDifferentiator::differentiateBody(ArrayRef<Value> resultGradients,
                                          ArrayRef<bool> needed) {
  SmallVector<Value> roots;
  size_t operand = 0;
  size_t numShared = map.getInputs().size() + map.getSlices().size();
  for (; operand < numShared; ++operand)
    if (needed[operand])
      roots.push_back(arguments[operand].argument);
  for (int64_t place = 0; place < map.getTupleSize(); ++place)
    for (int64_t branch = 0; branch < branches; ++branch)
      if (needed[numShared + branch * map.getTupleSize() + place]) {
        roots.push_back(arguments[numShared + place].argument);
        break;
      }
  OpBuilder inside = atEnd();
  ReverseMode reverse(*body, roots, inside);
  if (failed(seed(reverse, resultGradients)) || failed(reverse.run()))
    return failure();
  for (size_t i = 0; i < numForwardArguments; ++i) {
    BlockArgument argument = arguments[i].argument;
    argumentGradients.push_back(
        reverse.isActive(argument) ? reverse.gradientOf(argument) : Value());
  }
  return success();
}

//===----------------------------------------------------------------------===//
// What is kept
//===----------------------------------------------------------------------===//

/// The argument that stands for a forward value, or for its sign bits.
Value FusedMapDifferentiator::keptArgument(Value value, bool bits) {
  OpBuilder inside = atEnd();
  auto type = cast<RankedTensorType>(value.getType());
  for (auto [known, argument] : kept) {
    auto sign = known.getDefiningOp<SignBitsOp>();
    if (bits ? sign && sign.getInput() == value : known == value)
      return argument;
  }
  if (bits)
    value = SignBitsOp::create(inside, value.getLoc(),
                               type.clone(inside.getI1Type()), value);
  BlockArgument argument = addArgument(Argument::Param, value.getType(),
                                       SmallVector<Value>(branches));
  kept.emplace_back(value, argument);
  return argument;
}

/// Makes gradients read bits or stored values where the map keeps them.
void FusedMapDifferentiator::keepValues() {
  std::optional<Keep> keep = map.getKeep();
  if (!keep || *keep == Keep::Recompute)
    return;
  SmallVector<Operation *> gradientOps;
  for (Operation &op : llvm::drop_begin(*body, numForwardOps))
    gradientOps.push_back(&op);
  for (Operation *op : gradientOps) {
    if (*keep == Keep::Store) {
      for (OpOperand &use : op->getOpOperands())
        if (costly.contains(use.get()))
          use.set(keptArgument(use.get(), /*bits=*/false));
      continue;
    }
    if (!isa<ReluGradOp, LeakyReluGradOp>(op) ||
        !costly.contains(op->getOperand(0)))
      continue;
    auto leaky = dyn_cast<LeakyReluGradOp>(op);
    OpBuilder inside(op);
    Value bits = keptArgument(op->getOperand(0), /*bits=*/true);
    auto fromBits = BitsGradOp::create(
        inside, op->getLoc(), op->getResult(0).getType(), bits,
        op->getOperand(1), leaky ? leaky.getSlope() : llvm::APFloat(0.0));
    for (Value &gradient : argumentGradients)
      if (gradient == op->getResult(0))
        gradient = fromBits;
    op->getResult(0).replaceAllUsesWith(fromBits);
    op->erase();
  }
}

//===----------------------------------------------------------------------===//
// Maps
//===----------------------------------------------------------------------===//

/// A map of some of the branches, or of all.
FusedMapBuilder
FusedMapDifferentiator::newMap(ArrayRef<int64_t> ofBranches) const {
  FusedMapBuilder result(*body, ofBranches.size());
  for (const Argument &argument : arguments)
    switch (argument.kind) {
    case Argument::Input:
      result.addInput(argument.argument, argument.values.front());
      break;
    case Argument::Slice:
      result.addSlice(argument.argument, argument.values.front());
      break;
    case Argument::Param:
      result.addParam(argument.argument,
                      llvm::map_to_vector(ofBranches, [&](int64_t branch) {
                        return argument.values[branch];
                      }));
      break;
    }
  return result;
}

/// The branches with a parameter that is trained. A range of a slice is told by
/// the number of its branch, so that all branches are needed then.
SmallVector<int64_t>
FusedMapDifferentiator::trainedBranches(ArrayRef<bool> needed) {
  bool sliced = llvm::any_of(arguments, [](const Argument &argument) {
    return argument.kind == Argument::Slice;
  });
  ArrayRef<bool> tuples =
      needed.drop_front(needed.size() - branches * map.getTupleSize());
  SmallVector<int64_t> trained;
  for (int64_t branch = 0; branch < branches; ++branch)
    if (sliced || llvm::is_contained(tuples.slice(branch * map.getTupleSize(),
                                                  map.getTupleSize()),
                                     true))
      trained.push_back(branch);
  return trained;
}

/// The forward map, with kept values among its results.
void FusedMapDifferentiator::rebuildForward() {
  map.removeKeepAttr();
  if (kept.empty())
    return;
  FusedMapBuilder newForward = newMap();
  for (auto [yield, value] : llvm::enumerate(yielded))
    newForward.addYield(value, map.getJoin(yield));
  for (auto [value, argument] : kept)
    newForward.addYield(value, Join::Each);
  OpBuilder before(map);
  FusedMapOp rebuilt = newForward.build(before, map.getLoc());
  for (auto [from, to] : llvm::zip(map.getResults(), rebuilt.getResults())) {
    to.setType(from.getType());
    from.replaceAllUsesWith(to);
  }
  // The arguments that stand for kept values are the last.
  for (auto [index, argument] :
       llvm::enumerate(MutableArrayRef(arguments).take_back(kept.size())))
    llvm::copy(rebuilt.getResultsOf(yielded.size() + index),
               argument.values.begin());
  map.erase();
  map = rebuilt;
}

/// A gradient has the type of its value, which may know fewer extents.
Value FusedMapDifferentiator::typedLike(OpResult result, Value like) {
  result.setType(like.getType());
  return result;
}

void FusedMapDifferentiator::buildShared(
    MutableArrayRef<Value> operandGradients) {
  FusedMapBuilder shared = newMap();
  size_t numShared = map.getInputs().size() + map.getSlices().size();
  SmallVector<size_t> places;
  for (size_t i = 0; i < numShared; ++i)
    if (Value gradient = argumentGradients[i]) {
      shared.addYield(gradient, arguments[i].kind == Argument::Slice
                                    ? Join::Concat
                                    : Join::Sum);
      places.push_back(i);
    }
  if (places.empty())
    return;
  FusedMapOp built = shared.build(builder, map.getLoc());
  for (auto [place, result] : llvm::zip_equal(places, built.getResults()))
    operandGradients[place] = typedLike(result, map.getOperand(place));
}

void FusedMapDifferentiator::buildTuples(
    ArrayRef<bool> needed, MutableArrayRef<Value> operandGradients) {
  SmallVector<int64_t> trained = trainedBranches(needed);
  FusedMapBuilder tuples = newMap(trained);
  size_t numShared = map.getInputs().size() + map.getSlices().size();
  size_t tupleSize = numForwardArguments - numShared;
  SmallVector<size_t> places;
  for (size_t place = 0; place < tupleSize; ++place)
    if (Value gradient = argumentGradients[numShared + place]) {
      tuples.addYield(gradient, Join::Each);
      places.push_back(place);
    }
  if (places.empty())
    return;
  FusedMapOp built = tuples.build(builder, map.getLoc());
  for (auto [yield, place] : llvm::enumerate(places))
    for (auto [branch, result] :
         llvm::zip_equal(trained, built.getResultsOf(yield))) {
      size_t operand = numShared + branch * tupleSize + place;
      Value gradient =
          typedLike(cast<OpResult>(result), map.getOperand(operand));
      if (needed[operand])
        operandGradients[operand] = gradient;
    }
}

FailureOr<FusedMapOp>
FusedMapDifferentiator::run(ArrayRef<Value> resultGradients,
                            ArrayRef<bool> needed,
                            MutableArrayRef<Value> operandGradients) {
  copyBody();
  if (failed(differentiateBody(resultGradients, needed)))
    return failure();
  keepValues();
  rebuildForward();
  // The parameters' gradients come first: then the input is no longer alive
  // when its gradient is.
  buildTuples(needed, operandGradients);
  buildShared(operandGradients);
  return map;
}

FailureOr<FusedMapOp> cambium::grow::differentiateFusedMap(
    OpBuilder &builder, FusedMapOp map, ArrayRef<Value> resultGradients,
    ArrayRef<bool> needed, MutableArrayRef<Value> operandGradients) {
  return FusedMapDifferentiator(builder, map)
      .run(resultGradients, needed, operandGradients);
}
