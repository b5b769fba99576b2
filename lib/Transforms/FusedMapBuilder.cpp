//===- FusedMapBuilder.cpp - Makes fused maps -----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FusedMapBuilder.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace cambium::grow;

void FusedMapBuilder::addInput(BlockArgument argument, Value input) {
  inputs.push_back({argument, {input}});
}

void FusedMapBuilder::addSlice(BlockArgument argument, Value whole) {
  slices.push_back({argument, {whole}});
}

void FusedMapBuilder::addParam(BlockArgument argument, ValueRange ofBranches) {
  params.push_back({argument, llvm::to_vector(ofBranches)});
}

void FusedMapBuilder::addYield(Value value, Join join) {
  yields.emplace_back(value, join);
}

DenseSet<Value> FusedMapBuilder::findNeeded() const {
  DenseSet<Value> needed;
  for (auto [value, join] : yields)
    needed.insert(value);
  for (Operation &op : llvm::reverse(block))
    if (llvm::any_of(op.getResults(),
                     [&](Value result) { return needed.contains(result); }))
      needed.insert(op.operand_begin(), op.operand_end());
  return needed;
}

void FusedMapBuilder::copyBody(FusedMapOp map, ArrayRef<Operand> operands,
                               const DenseSet<Value> &needed) const {
  Block &body = map.getBody().emplaceBlock();
  IRMapping mapping;
  for (const Operand &operand : operands)
    mapping.map(operand.argument, body.addArgument(operand.argument.getType(),
                                                   operand.argument.getLoc()));
  OpBuilder builder = OpBuilder::atBlockEnd(&body);
  for (Operation &op : block)
    if (llvm::any_of(op.getResults(),
                     [&](Value result) { return needed.contains(result); }))
      builder.clone(op, mapping);
  SmallVector<Value> yielded;
  for (auto [value, join] : yields)
    yielded.push_back(mapping.lookup(value));
  YieldOp::create(builder, map.getLoc(), yielded);
}

FusedMapOp FusedMapBuilder::build(OpBuilder &builder, Location loc,
                                  std::optional<Keep> keep) const {
  DenseSet<Value> needed = findNeeded();
  SmallVector<Operand> used;
  auto select = [&](ArrayRef<Operand> operands) -> ArrayRef<Operand> {
    size_t before = used.size();
    llvm::copy_if(operands, std::back_inserter(used),
                  [&](const Operand &operand) {
                    return needed.contains(operand.argument);
                  });
    return ArrayRef(used).drop_front(before);
  };
  SmallVector<Value> inputValues, sliceValues, paramValues;
  for (const Operand &input : select(inputs))
    inputValues.push_back(input.values.front());
  for (const Operand &slice : select(slices))
    sliceValues.push_back(slice.values.front());
  ArrayRef<Operand> tuple = select(params);
  for (int64_t branch = 0; branch < branches; ++branch)
    for (const Operand &param : tuple)
      paramValues.push_back(param.values[branch]);

  SmallVector<Type> types;
  SmallVector<Attribute> joins;
  for (auto [value, join] : yields) {
    auto type = cast<RankedTensorType>(value.getType());
    types.append(join == Join::Each ? branches : 1,
                 FusedMapOp::joinedType(type, join, branches));
    joins.push_back(JoinAttr::get(builder.getContext(), join));
  }
  auto map = FusedMapOp::create(
      builder, loc, types, branches, builder.getArrayAttr(joins), inputValues,
      sliceValues, paramValues,
      keep ? KeepAttr::get(builder.getContext(), *keep) : KeepAttr());
  copyBody(map, used, needed);
  return map;
}
