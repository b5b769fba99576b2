//===- BranchBody.cpp - The parts of a fused map's body -------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/Common/BranchBody.h"

#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace cambium::grow {

using Kind = ContractionSpec::Kind;

Value BranchBody::contractedInput() const {
  if (spec.contraction.kind == Kind::BackwardData)
    return recomputed ? recomputed->getOperand(0) : Value();
  return anchor->getOperand(0);
}

Value BranchBody::contractedGradient() const {
  switch (spec.contraction.kind) {
  case Kind::Forward:
    return {};
  case Kind::BackwardData:
    return anchor->getOperand(0);
  case Kind::BackwardFilter:
    return anchor->getOperand(1);
  }
  return {};
}

OpResult BranchBody::joinedResult() const {
  FusedMapOp op = map;
  return cast<OpResult>(op.getResultsOf(joined).front());
}

bool BranchBody::hasEpilogue() const {
  FusedMapOp op = map;
  bool plain = op.getJoins().size() == 1 &&
               op.getYielded()[joined] == anchor->getResult(0);
  return spec.contraction.kind != Kind::BackwardFilter && !plain &&
         !linearEpilogue;
}

bool BranchBody::takesWinograd() const {
  bool onlySum = !hasEpilogue() && spec.join != BranchSpec::Join::Concat;
  return isWinograd(spec.contraction) &&
         (spec.contraction.kind != Kind::BackwardData || onlySum);
}

static bool isBits(Value value) {
  return getElementTypeOrSelf(value).isInteger(1);
}

bool usesBits(FusedMapOp map) {
  Block &block = map.getBody().front();
  return llvm::any_of(block.getArguments(), isBits) ||
         llvm::any_of(block, [](Operation &op) {
           return llvm::any_of(op.getResults(), isBits);
         });
}

static ElementSlice sliceOf(Block &block, ValueRange targets) {
  llvm::SetVector<Value> needed;
  needed.insert_range(targets);
  ElementSlice slice;
  auto vectorsOf = [&](Operation *op, SmallVectorImpl<Value> &vectors) {
    for (const ChannelSource &source : channelSources(op)) {
      vectors.push_back(source.vector);
      if (source.variance)
        vectors.push_back(source.variance);
    }
  };
  llvm::SetVector<Value> vectors;
  for (Operation &op : llvm::reverse(block.without_terminator())) {
    if (llvm::none_of(op.getResults(),
                      [&](Value v) { return needed.contains(v); }))
      continue;
    if (!isElementwise(&op)) {
      slice.others.push_back(&op);
      continue;
    }
    SmallVector<Value> channels;
    vectorsOf(&op, channels);
    vectors.insert_range(channels);
    for (Value operand : op.getOperands())
      if (!llvm::is_contained(channels, operand))
        needed.insert(operand);
    slice.ops.push_back(&op);
  }
  std::reverse(slice.ops.begin(), slice.ops.end());
  for (BlockArgument argument : block.getArguments()) {
    if (needed.contains(argument))
      slice.tensors.push_back(argument);
    if (vectors.contains(argument))
      slice.vectors.push_back(argument);
  }
  return slice;
}

namespace {

class BodySorter {
public:
  BodySorter(FusedMapOp map, Refusal &refusal)
      : map(map), block(map.getBody().front()), refusal(refusal) {
    body.map = map;
  }

  FailureOr<BranchBody> sort() {
    if (failed(findContractions()) || failed(describe()) ||
        failed(checkVectors()) || failed(sortYields()) || failed(sortFilter()))
      return failure();
    if (body.contractedInput() && failed(sortInput()))
      return failure();
    if (kind() == Kind::Forward ? failed(sortEpilogue())
                                : failed(sortGradient()))
      return failure();
    if (kind() == Kind::BackwardData && failed(sortEpilogue()))
      return failure();
    return std::move(body);
  }

private:
  LogicalResult refuse(Operation *op, const char *why) {
    refusal = {op, why};
    return failure();
  }

  Kind kind() const { return body.spec.contraction.kind; }
  bool isFilterGradient() const { return kind() == Kind::BackwardFilter; }
  int64_t numShared() {
    return map.getInputs().size() + map.getSlices().size();
  }
  bool isParam(BlockArgument argument) {
    return argument.getArgNumber() >= numShared();
  }
  bool isInput(BlockArgument argument) {
    return argument.getArgNumber() < map.getInputs().size();
  }
  bool isSlice(BlockArgument argument) {
    return !isParam(argument) && !isInput(argument);
  }
  /// True if all branches read the same.
  bool isShared(const ElementSlice &slice) {
    auto input = [&](BlockArgument argument) { return isInput(argument); };
    return llvm::all_of(slice.tensors, input) &&
           llvm::all_of(slice.vectors, input);
  }

  LogicalResult findContractions();
  LogicalResult describe();
  LogicalResult checkVectors();
  LogicalResult sortYields();
  LogicalResult sortFilterYields();
  LogicalResult sortFilter();
  LogicalResult sortInput();
  LogicalResult sortGradient();
  LogicalResult sortEpilogue();
  bool isLinearEpilogue();

  FusedMapOp map;
  Block &block;
  Refusal &refusal;
  BranchBody body;
};

} // namespace

LogicalResult BodySorter::findContractions() {
  SmallVector<Operation *> contractions;
  for (Operation &op : block.without_terminator()) {
    if (isContraction(&op))
      contractions.push_back(&op);
    else if (!isElementwise(&op) && !isa<ChannelSumOp>(op))
      return refuse(&op, "has no place in a kernel over branches, which takes "
                         "one contraction and elementwise operations; use "
                         "grow.map");
  }
  if (contractions.empty())
    return refuse(map, "needs a contraction in its body to be a kernel; use "
                       "grow.map");
  if (contractions.size() > 2)
    return refuse(contractions[2], "is one contraction too many for a kernel "
                                   "over branches; use grow.map");
  auto isForward = llvm::IsaPred<Conv2DOp, LinearOp>;
  body.anchor = contractions.back();
  if (contractions.size() == 1)
    return success();
  body.recomputed = contractions.front();
  if (!isForward(body.recomputed) || isForward(body.anchor))
    return refuse(body.anchor,
                  "is a second contraction; only gradients may have one, which "
                  "is the forward contraction computed again");
  return success();
}

LogicalResult BodySorter::describe() {
  FailureOr<ContractionSpec> spec = contractionSpec(body.anchor);
  if (failed(spec))
    return refuse(body.anchor, "needs a window of static size in a kernel");
  body.spec.contraction = *spec;
  body.spec.recompute = body.recomputed != nullptr;
  if (spec->groups != 1 && usesBits(map))
    return refuse(body.anchor, "has groups, whose bits do not begin at whole "
                               "bytes; recompute instead of keeping bits");
  if (!body.recomputed)
    return success();
  FailureOr<ContractionSpec> again = contractionSpec(body.recomputed);
  if (succeeded(again))
    again->kind = spec->kind;
  if (failed(again) || *again != *spec)
    return refuse(body.recomputed, "has another window than the gradient that "
                                   "it is computed again for");
  bool sameOperand =
      isFilterGradient()
          ? body.recomputed->getOperand(0) == body.anchor->getOperand(0)
          : body.recomputed->getOperand(1) == body.anchor->getOperand(1);
  if (!sameOperand)
    return refuse(body.recomputed, "reads another input or filter than the "
                                   "gradient that it is computed again for");
  return success();
}

LogicalResult BodySorter::checkVectors() {
  for (Operation &op : block.without_terminator())
    for (const ChannelSource &source : channelSources(&op))
      if (!source.isArgument())
        return refuse(&op, "takes a vector over channels that the body "
                           "computes itself; it must be an argument");
  return success();
}

LogicalResult BodySorter::sortFilterYields() {
  for (auto [index, yielded] : llvm::enumerate(map.getYielded())) {
    if (map.getJoin(index) != Join::Each)
      return refuse(map, "joins gradients of parameters, but each branch has "
                         "its own; join them by `each`");
    Operation *op = yielded.getDefiningOp();
    if (auto sum = dyn_cast_or_null<ChannelSumOp>(op)) {
      if (!compatibleTypes(sum.getInput().getType(),
                           body.contractedGradient().getType()))
        return refuse(sum, "sums a tensor of other extents than the gradient "
                           "that the contraction takes");
      body.sums.push_back({sum.getInput(), static_cast<int64_t>(index)});
      continue;
    }
    if (op != body.anchor)
      return refuse(map, "yields more than the gradient of a filter and sums "
                         "over channels, which is all that such a kernel "
                         "gives");
    if (body.joined >= 0)
      return refuse(map, "yields the gradient of its filter twice");
    body.joined = index;
  }
  if (body.joined < 0)
    return refuse(map, "does not yield the gradient of its filter");
  body.spec.sums = body.sums.size();
  return success();
}

LogicalResult BodySorter::sortYields() {
  if (isFilterGradient())
    return sortFilterYields();
  for (Operation &op : block.without_terminator())
    if (isa<ChannelSumOp>(op))
      return refuse(&op, "has no place in a kernel over branches that computes "
                         "no gradient of a filter");
  auto result = cast<RankedTensorType>(body.anchor->getResult(0).getType());
  for (auto [index, yielded] : llvm::enumerate(map.getYielded())) {
    auto type = cast<RankedTensorType>(yielded.getType());
    if (!compatibleTypes(type.clone(result.getElementType()), result))
      return refuse(map, "yields a tensor of other extents than the result of "
                         "its contraction");
    Join join = map.getJoin(index);
    if (join == Join::Each)
      continue;
    if (body.joined >= 0)
      return refuse(map, "joins more than one result, but a kernel joins one");
    body.joined = index;
    body.spec.join = join == Join::Sum    ? BranchSpec::Join::Sum
                     : join == Join::Mean ? BranchSpec::Join::Mean
                                          : BranchSpec::Join::Concat;
  }
  if (body.joined < 0)
    return refuse(map, "joins no result by sum, mean or concat");
  return success();
}

LogicalResult BodySorter::sortFilter() {
  Operation *reader = isFilterGradient() ? body.recomputed : body.anchor;
  if (!reader)
    return success();
  body.filter = dyn_cast<BlockArgument>(reader->getOperand(1));
  if (!body.filter || !isParam(body.filter))
    return refuse(reader, "takes a filter that is not a parameter of the "
                          "branch; pass it after `over`");
  return success();
}

LogicalResult BodySorter::sortInput() {
  Operation *reader =
      kind() == Kind::BackwardData ? body.recomputed : body.anchor;
  body.inputSlice = sliceOf(block, body.contractedInput());
  const ElementSlice &slice = body.inputSlice;
  if (!slice.others.empty())
    return refuse(reader, "takes an input that depends on another contraction "
                          "or sum; use grow.map");
  if (!isShared(slice))
    return refuse(reader, "takes an input that differs among branches; a "
                          "kernel over branches reads one for all");
  for (BlockArgument argument : llvm::reverse(slice.tensors))
    if (!isBits(argument))
      body.input = argument;
  if (!body.input)
    return refuse(reader, "takes an input that depends on no tensor of floats");
  return success();
}

LogicalResult BodySorter::sortGradient() {
  SmallVector<Value> targets = {body.contractedGradient()};
  for (const BranchBody::Sum &sum : body.sums)
    targets.push_back(sum.vector);
  body.gradientSlice = sliceOf(block, targets);
  for (Operation *other : body.gradientSlice.others)
    if (other != body.recomputed)
      return refuse(other, "feeds a gradient or a sum, which a kernel over "
                           "branches cannot give it to");
  if (body.recomputed && body.gradientSlice.others.empty())
    return refuse(body.recomputed, "is computed again, but the gradient does "
                                   "not depend on it");
  // Any has the extents; a slice's have to be divided.
  for (bool sliced : {true, false})
    for (BlockArgument argument : llvm::reverse(body.gradientSlice.tensors))
      if (isSlice(argument) == sliced)
        body.gradient = argument;
  if (!body.gradient)
    return refuse(body.anchor, "takes a gradient that depends on no argument");
  return success();
}

LogicalResult BodySorter::sortEpilogue() {
  body.epilogueSlice = sliceOf(block, map.getYielded());
  for (Operation *other : body.epilogueSlice.others)
    if (other != body.anchor)
      return refuse(other, "is read after the contraction that the kernel is "
                           "about, where it is not at hand; use grow.map");
  body.linearEpilogue = isLinearEpilogue();
  return success();
}

/// True if the result is linear in the operands of which `depends` holds.
static bool isLinearIn(Operation *op, function_ref<bool(Value)> depends) {
  auto is = [&](unsigned operand) { return depends(op->getOperand(operand)); };
  if (isa<ReluGradOp, LeakyReluGradOp, GeluGradOp, SiluGradOp, TanhGradOp,
          SigmoidGradOp, BitsGradOp>(op))
    return !is(0) && is(1);
  if (isa<MulOp>(op))
    return is(0) != is(1);
  if (isa<AddOp, WeightSumOp>(op))
    return llvm::all_of(op->getOperands(), depends);
  return isa<ScaleOp, WeightScaleOp, ChannelScaleOp>(op);
}

bool BodySorter::isLinearEpilogue() {
  const ElementSlice &slice = body.epilogueSlice;
  if (kind() != Kind::BackwardData || slice.ops.empty() ||
      map.getJoins().size() != 1 ||
      body.spec.join == BranchSpec::Join::Concat || !isShared(slice))
    return false;
  llvm::DenseSet<Value> linear = {body.anchor->getResult(0)};
  auto depends = [&](Value value) { return linear.contains(value); };
  for (Operation *op : slice.ops) {
    if (llvm::none_of(op->getOperands(), depends))
      continue;
    if (!isLinearIn(op, depends))
      return false;
    linear.insert(op->getResult(0));
  }
  return depends(map.getYielded()[0]);
}

FailureOr<BranchBody> sortBody(FusedMapOp map, Refusal &refusal) {
  return BodySorter(map, refusal).sort();
}

FailureOr<BranchSpec> branchSpec(FusedMapOp map) {
  Refusal refusal;
  FailureOr<BranchBody> body = sortBody(map, refusal);
  if (failed(body))
    return failure();
  return body->spec;
}

bool takesWinograd(FusedMapOp map) {
  Refusal refusal;
  FailureOr<BranchBody> body = sortBody(map, refusal);
  return succeeded(body) && body->takesWinograd();
}

Operation *branchContraction(FusedMapOp map) {
  Refusal refusal;
  FailureOr<BranchBody> body = sortBody(map, refusal);
  return succeeded(body) ? body->anchor : nullptr;
}

LogicalResult verifySurroundings(KernelOp kernel, const Signature &signature,
                                 const BranchBody &body) {
  FusedMapOp map = body.map;
  for (Value operand : map->getOperands())
    if (!isa<BlockArgument>(operand))
      return map.emitOpError("takes a tensor that the kernel computes itself; "
                             "it must be an argument");
  size_t shared =
      signature.body->getTerminator()->getNumOperands() - kernel.getNumEach();
  bool joins = body.spec.contraction.kind != Kind::BackwardFilter;
  if (joins != (shared != 0))
    return kernel.emitOpError(
        joins ? "yields nothing that its branches join"
              : "yields more than its grow.fused_map gives for each branch");
  Value joined = joins ? Value(body.joinedResult()) : Value();
  for (Operation &op : signature.body->without_terminator()) {
    if (&op == map)
      continue;
    if (!isElementwise(&op) || !joins)
      return op.emitOpError("cannot share a kernel with a grow.fused_map; only "
                            "elementwise operations on what it joins can");
    for (const ChannelSource &source : channelSources(&op))
      if (!source.isArgument())
        return op.emitOpError("takes a vector over channels that the kernel "
                              "computes itself; it must be an argument");
    for (Value operand : op.getOperands())
      if (operand.getDefiningOp() == map && operand != joined)
        return op.emitOpError("takes a result of single branches; only what "
                              "the grow.fused_map joins can be read");
  }
  for (Value yielded :
       signature.body->getTerminator()->getOperands().take_front(shared))
    if (!compatibleTypes(yielded.getType(), joined.getType()))
      return kernel.emitOpError()
             << "yields " << yielded.getType()
             << " but its branches are joined to " << joined.getType();
  return success();
}

} // namespace cambium::grow
