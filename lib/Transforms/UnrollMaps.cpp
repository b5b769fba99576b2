//===- UnrollMaps.cpp - Maps branch by branch -----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchTags.h"

#include "cambium/IR/Grow.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWUNROLLMAPS
#include "cambium/Transforms/Passes.h.inc"

void eraseBranchTags(Operation *root) {
  root->walk([](Operation *op) {
    op->removeDiscardableAttr(branchTag);
    if (auto map = dyn_cast<FusedMapOp>(op))
      map.removeKeepAttr();
  });
}

namespace {

class Unroller {
public:
  explicit Unroller(MLIRContext *context) : builder(context) {}

  LogicalResult unroll(MapOp map);

private:
  IRMapping inlineShared(MapOp map);
  Value inlineBranch(MapOp map, int64_t branch, IRMapping mapping);
  FailureOr<Value> buildZero(MapOp map);
  void join(MapOp map, Value &sum, Value result);
  Attribute newTag() { return builder.getI64IntegerAttr(numTags++); }

  OpBuilder builder;
  int64_t numTags = 0;
};

/// True if the map asks for its branches' values to be computed again.
bool isRecomputed(MapOp map) {
  std::optional<Keep> keep = map.getKeep();
  return keep && *keep != Keep::Store;
}

/// Copies what is the same in all branches before the map, once: operations
/// that take neither a parameter nor what depends on one.
IRMapping Unroller::inlineShared(MapOp map) {
  IRMapping mapping;
  mapping.map(map.getBody().getArguments().take_front(map.getInputs().size()),
              map.getInputs());
  for (Operation &op : map.getBody().front().without_terminator())
    if (llvm::all_of(op.getOperands(),
                     [&](Value value) { return mapping.contains(value); }))
      builder.clone(op, mapping);
  return mapping;
}

/// Copies the rest of the body for one tuple and returns the branch's result.
Value Unroller::inlineBranch(MapOp map, int64_t branch, IRMapping mapping) {
  mapping.map(map.getBody().getArguments().drop_front(map.getInputs().size()),
              map.getTuple(branch));
  Attribute tag = isRecomputed(map) ? newTag() : Attribute();
  // Branches of an inner map are others in each branch of this one.
  DenseMap<Attribute, Attribute> innerTags;
  for (Operation &op : map.getBody().front().without_terminator()) {
    if (mapping.contains(&op))
      continue;
    Operation *clone = builder.clone(op, mapping);
    if (tag) {
      clone->setDiscardableAttr(branchTag, tag);
    } else if (Attribute old = clone->getDiscardableAttr(branchTag)) {
      Attribute &inner = innerTags[old];
      if (!inner)
        inner = newTag();
      clone->setDiscardableAttr(branchTag, inner);
    }
  }
  return mapping.lookupOrDefault(map.getYielded());
}

/// The result of a sum or mean of no branch.
FailureOr<Value> Unroller::buildZero(MapOp map) {
  RankedTensorType type = map.getType();
  Value batchOf;
  if (!type.hasStaticShape()) {
    if (map.getInputs().empty())
      return map.emitOpError(
          "has neither branches nor inputs, so its batch is unknown: add a "
          "branch, or an input that has the batch");
    batchOf = map.getInputs().front();
  }
  return Value(
      FillOp::create(builder, map.getLoc(), type, llvm::APFloat(0.0), batchOf));
}

/// Adds a branch's result to those before it, which fixes the rounding. At
/// once, so that the results of all branches are never alive together.
void Unroller::join(MapOp map, Value &sum, Value result) {
  sum = sum ? AddOp::create(builder, map.getLoc(), map.getType(), sum, result)
            : result;
}

LogicalResult Unroller::unroll(MapOp map) {
  builder.setInsertionPoint(map);
  SmallVector<Value> results;
  Value joined;
  int64_t branches = map.getBranches();
  IRMapping shared = branches > 0 ? inlineShared(map) : IRMapping();
  for (int64_t branch = 0; branch < branches; ++branch) {
    Value result = inlineBranch(map, branch, shared);
    results.push_back(result);
    if (map.getReduction() != Reduction::Concat)
      join(map, joined, result);
  }
  if (branches == 0) {
    FailureOr<Value> zero = buildZero(map);
    if (failed(zero))
      return failure();
    joined = *zero;
  } else if (branches == 1) {
    joined = results.front();
  } else if (map.getReduction() == Reduction::Concat) {
    joined = ConcatOp::create(builder, map.getLoc(), map.getType(), results);
  } else if (map.getReduction() == Reduction::Mean) {
    joined = ScaleOp::create(builder, map.getLoc(), map.getType(), joined,
                             llvm::APFloat(1.0 / branches));
  }
  map.replaceAllUsesWith(joined);
  map.erase();
  return success();
}

struct UnrollMapsPass : impl::GrowUnrollMapsBase<UnrollMapsPass> {
  void runOnOperation() override {
    // Inner maps come first, so that each is unrolled once.
    SmallVector<MapOp> maps;
    getOperation().walk([&](MapOp map) { maps.push_back(map); });
    Unroller unroller(&getContext());
    for (MapOp map : maps)
      if (failed(unroller.unroll(map)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace cambium::grow
