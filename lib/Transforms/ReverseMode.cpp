//===- ReverseMode.cpp - Gradients of straight-line code ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReverseMode.h"

#include "BranchTags.h"

#include "mlir/Interfaces/CallInterfaces.h"

using namespace mlir;
using namespace cambium::grow;

bool cambium::grow::isWeight(Value value) {
  return isa_and_nonnull<GetOp, WeightSumOp, WeightConcatOp, WeightSliceOp,
                         WeightPadOp, WeightCropOp, WeightScaleOp,
                         WeightComposeOp>(value.getDefiningOp());
}

Value cambium::grow::sumGradients(OpBuilder &builder,
                                  ArrayRef<Value> contributions, bool weight) {
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

ReverseMode::ReverseMode(Block &block, ArrayRef<Value> roots,
                         OpBuilder &builder)
    : builder(builder) {
  for (Operation &op : block) {
    if (op.hasTrait<OpTrait::IsTerminator>())
      continue;
    forward.push_back(&op);
    if (Attribute tag = op.getDiscardableAttr(branchTag))
      branches[tag].push_back(&op);
  }
  findActive(roots);
}

void ReverseMode::findActive(ArrayRef<Value> roots) {
  active.insert(roots.begin(), roots.end());
  for (Operation *op : forward) {
    // What a callee or a region reads may not be among the operands.
    bool opaque = isa<CallOpInterface>(op) ||
                  (op->getNumRegions() != 0 && !isa<FusedMapOp>(op));
    if (opaque || llvm::any_of(op->getOperands(), [&](Value operand) {
          return isActive(operand);
        }))
      active.insert(op->result_begin(), op->result_end());
  }
}

/// Adds up at once, so that the gradients of many uses are never alive
/// together. Weights keep theirs apart, by which later passes know those of
/// equal terms.
void ReverseMode::addGradient(Value value, Value gradient) {
  SmallVector<Value> &all = contributions[value];
  all.push_back(gradient);
  if (!isWeight(value))
    all = {sumGradients(builder, all, /*weight=*/false)};
}

ArrayRef<Value> ReverseMode::contributionsTo(Value value) const {
  auto found = contributions.find(value);
  return found == contributions.end() ? ArrayRef<Value>() : found->second;
}

Value ReverseMode::gradientOf(Value value) {
  return sumGradients(builder, contributionsTo(value), isWeight(value));
}

//===----------------------------------------------------------------------===//
// Recomputation
//===----------------------------------------------------------------------===//

/// Copies all operations with one tag; what they take from outside is available
/// only after the gradient that the copies are for.
void ReverseMode::copyBranch(Attribute tag, Value after) {
  IRMapping mapping;
  for (Operation *op : branches.lookup(tag)) {
    for (Value operand : op->getOperands()) {
      if (mapping.contains(operand) || isWeight(operand) ||
          !isa<FloatType>(getElementTypeOrSelf(operand)))
        continue;
      auto barrier = BarrierOp::create(builder, op->getLoc(), operand.getType(),
                                       operand, after);
      mapping.map(operand, barrier.getResult());
      copies.push_back(barrier);
    }
    Operation *copy = builder.clone(*op, mapping);
    copy->removeDiscardableAttr(branchTag);
    copyOf[op] = copy;
    copies.push_back(copy);
  }
}

/// The operation whose values the gradients of `op` read.
Operation *ReverseMode::recompute(Operation &op, Value after) {
  Attribute tag = op.getDiscardableAttr(branchTag);
  if (!tag)
    return &op;
  if (!copyOf.contains(&op))
    copyBranch(tag, after);
  return copyOf.lookup(&op);
}

void ReverseMode::eraseUnusedCopies() {
  for (Operation *copy : llvm::reverse(copies))
    if (isOpTriviallyDead(copy))
      copy->erase();
}

//===----------------------------------------------------------------------===//
// Rules
//===----------------------------------------------------------------------===//

static LogicalResult refuse(Operation *op) {
  if (isa<MapOp>(op))
    return op->emitOpError("cannot be differentiated: run --grow-collapse and "
                           "--grow-unroll-maps first");
  if (isa<CallOpInterface>(op))
    return op->emitOpError("cannot be differentiated: run --inline first");
  return op->emitOpError("cannot be differentiated: it has no gradient, but a "
                         "parameter reaches the loss through it");
}

LogicalResult ReverseMode::buildGradients(Operation *op,
                                          ArrayRef<Value> ofResults,
                                          ArrayRef<bool> needed,
                                          MutableArrayRef<Value> ofOperands) {
  if (auto map = dyn_cast<FusedMapOp>(op)) {
    FailureOr<FusedMapOp> differentiated =
        differentiateFusedMap(builder, map, ofResults, needed, ofOperands);
    if (failed(differentiated))
      return failure();
    llvm::replace(copies, op, differentiated->getOperation());
    return success();
  }
  auto differentiable = dyn_cast<DifferentiableOpInterface>(op);
  if (!differentiable)
    return refuse(op);
  return differentiable.buildGradients(builder, ofResults, needed, ofOperands);
}

LogicalResult ReverseMode::propagate(Operation &op) {
  auto reached = llvm::find_if(op.getResults(), [&](Value result) {
    return contributions.contains(result);
  });
  if (reached == op.getResults().end() || isa<GetOp>(op))
    return success();
  SmallVector<Value> ofResults;
  for (Value result : op.getResults())
    ofResults.push_back(gradientOf(result));
  // A map is replaced, but its results have no use that is still to come.
  SmallVector<Value> operands(op.getOperands());
  auto needed = llvm::map_to_vector(
      operands, [&](Value operand) { return isActive(operand); });
  SmallVector<Value> ofOperands(operands.size());
  Operation *source = recompute(op, ofResults[(*reached).getResultNumber()]);
  if (failed(buildGradients(source, ofResults, needed, ofOperands)))
    return failure();
  for (auto [operand, isNeeded, gradient] :
       llvm::zip_equal(operands, needed, ofOperands))
    if (isNeeded && gradient)
      addGradient(operand, gradient);
  return success();
}

LogicalResult ReverseMode::run() {
  for (Operation *op : llvm::reverse(forward))
    if (failed(propagate(*op)))
      return failure();
  eraseUnusedCopies();
  return success();
}
