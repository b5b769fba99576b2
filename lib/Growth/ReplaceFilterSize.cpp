//===- ReplaceFilterSize.cpp - Other windows for branches -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GrowthUtils.h"

#include "cambium/Growth/Rewrites.h"
#include "cambium/IR/Frozen.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

namespace {

class FilterReplacer {
public:
  FilterReplacer(ModuleOp module, MapOp map, const ReplaceFilterSize &growth,
                 Carry &carry)
      : module(module), map(map), growth(growth), carry(carry) {}

  LogicalResult run();

private:
  LogicalResult checkWindow(Conv2DOp conv);
  FailureOr<llvm::SetVector<unsigned>> checkBranches();
  FailureOr<Value> replace(Value filter);
  Value carriedFilter(ParamOp param);

  ModuleOp module;
  MapOp map;
  const ReplaceFilterSize &growth;
  Carry &carry;
};

LogicalResult FilterReplacer::checkWindow(Conv2DOp conv) {
  auto filter = cast<RankedTensorType>(conv.getFilter().getType());
  if (growth.kernel[0] < 1 || growth.kernel[1] < 1)
    return map.emitError("cannot replace the filter size of '")
           << map.getName() << "' by " << growth.kernel[0] << "x"
           << growth.kernel[1] << "; extents are at least 1";
  bool same = true;
  for (int d = 0; d < 2; ++d) {
    int64_t more = growth.kernel[d] - filter.getDimSize(d);
    same &= more == 0;
    if (more % 2 != 0 && conv.getDilations()[d] != 1)
      return map.emitError("cannot replace the filter size of '")
             << map.getName() << "': its taps lie " << conv.getDilations()[d]
             << " apart, so that extents must change by an even number";
  }
  if (same)
    return map.emitError("the branches of '")
           << map.getName() << "' have that filter size already";
  return success();
}

FailureOr<llvm::SetVector<unsigned>> FilterReplacer::checkBranches() {
  llvm::SetVector<unsigned> branches(llvm::from_range, growth.branches);
  if (branches.empty())
    branches.insert_range(llvm::seq<unsigned>(0, map.getBranches()));
  for (unsigned branch : branches)
    if (branch >= map.getBranches())
      return map.emitError("cannot replace the filter size of branch ")
             << branch << " of '" << map.getName() << "', which has "
             << map.getBranches() << ", counted from 0";
  return branches;
}

/// The old values, in a border of zeros or without their border.
Value FilterReplacer::carriedFilter(ParamOp param) {
  RankedTensorType type = param.getTensorType();
  std::array<int64_t, 4> pad = {0, 0, 0, 0}, crop = pad;
  for (int d = 0; d < 2; ++d) {
    int64_t more = growth.kernel[d] - type.getDimSize(d);
    std::array<int64_t, 4> &border = more > 0 ? pad : crop;
    border[d] = std::abs(more) / 2;
    border[d + 2] = std::abs(more) - border[d];
  }
  SmallVector<int64_t> shape(type.getShape());
  for (int d = 0; d < 2; ++d)
    shape[d] += pad[d] + pad[d + 2];
  OpBuilder &builder = carry.getBuilder();
  Value value = carry.from(param.getSymName(), type);
  value = builder.createOrFold<WeightPadOp>(param.getLoc(), type.clone(shape),
                                            value, pad);
  std::copy(growth.kernel.begin(), growth.kernel.end(), shape.begin());
  return builder.createOrFold<WeightCropOp>(param.getLoc(), type.clone(shape),
                                            value, crop);
}

/// A parameter of the new size and a read of it.
FailureOr<Value> FilterReplacer::replace(Value filter) {
  auto param = dyn_cast_or_null<ParamOp>(declarationOf(module, filter));
  if (!param)
    return map.emitError("cannot replace the filter size of '")
           << map.getName() << "': its filters are no parameters of their own";
  SymbolTable symbols(module);
  SmallVector<int64_t> shape(param.getTensorType().getShape());
  std::copy(growth.kernel.begin(), growth.kernel.end(), shape.begin());
  RankedTensorType type = param.getTensorType().clone(shape);
  std::string name = freeSymbol(symbols, param.getSymName().str());
  Attribute init = param.getInit();
  if (isa<CopyAttr>(init))
    init = KaimingAttr::get(module.getContext());
  OpBuilder declarations = declarationBuilder(module);
  auto replaced = ParamOp::create(declarations, param.getLoc(), name, type,
                                  param.getGroup(), init);
  if (isFrozen(param))
    replaced->setDiscardableAttr(frozenMark,
                                 UnitAttr::get(module.getContext()));
  symbols.insert(replaced);
  carry.to(name, carriedFilter(param));
  OpBuilder builder(map);
  return GetOp::create(builder, map.getLoc(), type, name).getResult();
}

LogicalResult FilterReplacer::run() {
  Conv2DOp conv = onlyConvolution(map);
  if (!conv)
    return map.emitError("the branches of '")
           << map.getName()
           << "' have no filter size: their body needs one convolution";
  auto branches = checkBranches();
  if (failed(checkWindow(conv)) || failed(branches))
    return failure();
  unsigned place = cast<BlockArgument>(conv.getFilter()).getArgNumber() -
                   map.getInputs().size();
  SmallVector<Value> kept, moved, old;
  for (int64_t branch = 0, e = map.getBranches(); branch < e; ++branch) {
    if (!branches->contains(branch)) {
      llvm::append_range(kept, map.getTuple(branch));
      continue;
    }
    SmallVector<Value> tuple(map.getTuple(branch));
    old.push_back(tuple[place]);
    FailureOr<Value> replaced = replace(tuple[place]);
    if (failed(replaced))
      return failure();
    tuple[place] = *replaced;
    llvm::append_range(moved, tuple);
  }
  MapOp target = map;
  if (!kept.empty()) {
    FailureOr<MapOp> beside = siblingFor(module, map, growth.kernel);
    if (failed(beside))
      return failure();
    target = *beside;
    map.getParamsMutable().assign(kept);
    map.setBranches(kept.size() / map.getTupleSize());
  } else {
    map.getParamsMutable().clear();
    map.setBranches(0);
    if (failed(changeWindow(map, conv, growth.kernel)))
      return failure();
  }
  target.getParamsMutable().append(moved);
  target.setBranches(target.getParams().size() / target.getTupleSize());
  eraseUnusedReads(module, old);
  return mlir::verify(module);
}

} // namespace

LogicalResult cambium::grow::replaceFilterSize(ModuleOp module,
                                               const ReplaceFilterSize &growth,
                                               Carry &carry) {
  FailureOr<MapOp> map =
      findMap(module, growth.map, "replace the filter size of");
  if (failed(map))
    return failure();
  return FilterReplacer(module, *map, growth, carry).run();
}
