//===- UnrollMaps.cpp - Maps branch by branch -----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWUNROLLMAPS
#include "cambium/Transforms/Passes.h.inc"

namespace {

/// Copies the body before the map for one tuple and returns the branch's
/// result.
Value inlineBranch(OpBuilder &builder, MapOp map, int64_t branch) {
  IRMapping mapping;
  mapping.map(map.getBody().getArguments().take_front(map.getInputs().size()),
              map.getInputs());
  mapping.map(map.getBody().getArguments().drop_front(map.getInputs().size()),
              map.getTuple(branch));
  for (Operation &op : map.getBody().front().without_terminator())
    builder.clone(op, mapping);
  return mapping.lookupOrDefault(map.getYielded());
}

/// The result of a sum or mean of no branch.
FailureOr<Value> buildZero(OpBuilder &builder, MapOp map) {
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

/// Joins the results in the branches' order, which fixes the rounding.
Value join(OpBuilder &builder, MapOp map, ArrayRef<Value> results) {
  Location loc = map.getLoc();
  if (results.size() == 1)
    return results.front();
  if (map.getReduction() == Reduction::Concat)
    return ConcatOp::create(builder, loc, map.getType(), results);
  Value sum = results.front();
  for (Value result : results.drop_front())
    sum = AddOp::create(builder, loc, map.getType(), sum, result);
  if (map.getReduction() == Reduction::Sum)
    return sum;
  return ScaleOp::create(builder, loc, map.getType(), sum,
                         llvm::APFloat(1.0 / results.size()));
}

LogicalResult unroll(MapOp map) {
  OpBuilder builder(map);
  SmallVector<Value> results;
  for (int64_t branch = 0, e = map.getBranches(); branch < e; ++branch)
    results.push_back(inlineBranch(builder, map, branch));
  FailureOr<Value> joined = results.empty()
                                ? buildZero(builder, map)
                                : FailureOr<Value>(join(builder, map, results));
  if (failed(joined))
    return failure();
  map.replaceAllUsesWith(*joined);
  map.erase();
  return success();
}

struct UnrollMapsPass : impl::GrowUnrollMapsBase<UnrollMapsPass> {
  void runOnOperation() override {
    // Inner maps come first, so that each is unrolled once.
    SmallVector<MapOp> maps;
    getOperation().walk([&](MapOp map) { maps.push_back(map); });
    for (MapOp map : maps)
      if (failed(unroll(map)))
        return signalPassFailure();
  }
};

} // namespace
} // namespace cambium::grow
