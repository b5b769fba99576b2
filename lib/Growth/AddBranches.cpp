//===- AddBranches.cpp - More branches for a map --------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GrowthUtils.h"

#include "cambium/Growth/Rewrites.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

namespace {

/// Appends branches to one map. The first branch of the model tells the roles
/// of parameters; it is another map's where the window is another.
class BranchAdder {
public:
  BranchAdder(ModuleOp module, MapOp map, MapOp model,
              const AddBranches &growth, Carry &carry)
      : module(module), symbols(module), map(map), model(model), growth(growth),
        carry(carry), builder(map), declarations(declarationBuilder(module)) {}

  LogicalResult run();

private:
  FailureOr<Value> addOperand(unsigned place, const std::string &prefix);
  FailureOr<Attribute> initFor(RankedTensorType type, Operation *like,
                               unsigned place);
  /// The parameter or state that an existing branch reads, or null.
  Operation *declarationOf(MapOp map, unsigned branch, unsigned place) {
    return branch < map.getBranches()
               ? grow::declarationOf(module, map.getTuple(branch)[place])
               : nullptr;
  }

  ModuleOp module;
  SymbolTable symbols;
  MapOp map, model;
  const AddBranches &growth;
  Carry &carry;
  /// Where the map is, and behind the last declaration.
  OpBuilder builder, declarations;
};

FailureOr<Attribute> BranchAdder::initFor(RankedTensorType type,
                                          Operation *like, unsigned place) {
  MLIRContext *context = module.getContext();
  auto initOfLike = [&]() -> Attribute {
    if (auto param = dyn_cast_or_null<ParamOp>(like))
      return isa<CopyAttr>(param.getInit()) ? Attribute() : param.getInit();
    return nullptr;
  };
  switch (growth.init.kind) {
  case Init::Kind::Zero:
    return Attribute(ZeroAttr::get(context));
  case Init::Kind::Constant:
    return Attribute(ConstantAttr::get(context, realOf(growth.init.value)));
  case Init::Kind::Kaiming:
    if (type.getRank() >= 2)
      return Attribute(KaimingAttr::get(context));
    // Biases and norms start as those of the first branch did.
    if (Attribute init = initOfLike())
      return init;
    return Attribute(ZeroAttr::get(context));
  case Init::Kind::Copy:
    break;
  }
  auto source =
      dyn_cast_or_null<ParamOp>(declarationOf(map, growth.init.branch, place));
  if (!source)
    return map.emitError("cannot copy branch ")
           << growth.init.branch << " of '" << map.getName() << "', which has "
           << map.getBranches() << " branches";
  if (source.getTensorType() != type)
    return map.emitError("cannot copy branch ")
           << growth.init.branch << " of '" << map.getName() << "': it is "
           << source.getType() << " but the new branch needs " << type;
  return Attribute(CopyAttr::get(context, FlatSymbolRefAttr::get(source)));
}

/// The parameter's role in its branch: what follows `map.0.` in its symbol, or
/// else the last dot.
StringRef roleOf(Operation *declaration, MapOp map, StringRef fallback) {
  if (!declaration)
    return fallback;
  StringRef name = SymbolTable::getSymbolName(declaration);
  if (name.consume_front((map.getName() + ".0.").str()))
    return name;
  return name.contains('.') ? name.rsplit('.').second : fallback;
}

FailureOr<Value> BranchAdder::addOperand(unsigned place,
                                         const std::string &prefix) {
  Block &body = map.getBody().front();
  auto type = cast<RankedTensorType>(
      body.getArgument(map.getInputs().size() + place).getType());
  Operation *like = declarationOf(model, 0, place);
  std::string name = freeSymbol(
      symbols,
      prefix + "." + roleOf(like, model, "p" + std::to_string(place)).str());
  if (auto state = dyn_cast_or_null<StateOp>(like)) {
    symbols.insert(StateOp::create(declarations, map.getLoc(), name, type,
                                   state.getInit()));
    if (growth.init.kind == Init::Kind::Copy)
      if (auto source = dyn_cast_or_null<StateOp>(
              declarationOf(map, growth.init.branch, place)))
        carry.to(name, carry.from(source.getSymName(), type));
  } else {
    FailureOr<Attribute> init = initFor(type, like, place);
    if (failed(init))
      return failure();
    symbols.insert(ParamOp::create(declarations, map.getLoc(), name, type,
                                   growth.group, *init));
  }
  return GetOp::create(builder, map.getLoc(), type, name).getResult();
}

LogicalResult BranchAdder::run() {
  SmallVector<Value> params(map.getParams());
  int64_t before = map.getBranches();
  for (unsigned i = 0; i < growth.count; ++i) {
    std::string prefix = map.getName().str() + "." + std::to_string(before + i);
    for (int64_t place = 0; place < map.getTupleSize(); ++place) {
      FailureOr<Value> value = addOperand(place, prefix);
      if (failed(value))
        return failure();
      params.push_back(*value);
    }
  }
  map.getParamsMutable().assign(params);
  map.setBranches(before + growth.count);
  map.getResult().setType(
      MapOp::joinedType(cast<RankedTensorType>(map.getYielded().getType()),
                        map.getReduction(), map.getBranches()));
  return success();
}

} // namespace

Conv2DOp cambium::grow::onlyConvolution(MapOp map) {
  Conv2DOp only;
  for (Operation &op : map.getBody().front()) {
    auto conv = dyn_cast<Conv2DOp>(op);
    if (!conv)
      continue;
    if (only || !isa<BlockArgument>(conv.getFilter()))
      return nullptr;
    only = conv;
  }
  return only;
}

LogicalResult cambium::grow::changeWindow(MapOp map, Conv2DOp conv,
                                          std::array<int64_t, 2> window) {
  auto type = cast<RankedTensorType>(conv.getFilter().getType());
  std::array<int64_t, 4> padding = expandPadding(conv.getPadding());
  for (int d = 0; d < 2; ++d) {
    int64_t more = (window[d] - type.getDimSize(d)) * conv.getDilations()[d];
    int64_t low = more / 2, high = more - low;
    padding[d] += low;
    padding[d + 2] += high;
    if (window[d] < 1 || padding[d] < 0 || padding[d + 2] < 0)
      return map.emitError("a ")
             << window[0] << "x" << window[1] << " branch does not fit '"
             << map.getName() << "', whose " << type.getDimSize(0) << "x"
             << type.getDimSize(1)
             << " convolution has too little padding for the same result; "
                "use a larger window";
  }
  SmallVector<int64_t> shape(type.getShape());
  std::copy(window.begin(), window.end(), shape.begin());
  conv.getFilter().setType(type.clone(shape));
  conv.setPadding(padding);
  return success();
}

FailureOr<MapOp> cambium::grow::siblingFor(ModuleOp module, MapOp map,
                                           std::array<int64_t, 2> window) {
  Conv2DOp conv = onlyConvolution(map);
  if (!conv)
    return map.emitError("branches of another filter size need a body with "
                         "one convolution, but that of '")
           << map.getName() << "' has none or several";
  auto filter = cast<RankedTensorType>(conv.getFilter().getType());
  if (filter.getDimSize(0) == window[0] && filter.getDimSize(1) == window[1])
    return map;
  if (map.getReduction() != Reduction::Sum)
    return map.emitError(
               "branches of another filter size can join a sum, but '")
           << map.getName() << "' is a "
           << stringifyReduction(map.getReduction());
  std::string name = map.getName().str() + "." + std::to_string(window[0]) +
                     "x" + std::to_string(window[1]);
  MapOp known;
  module.walk([&](MapOp other) {
    if (other.getName() == name)
      known = other;
  });
  if (known) {
    Conv2DOp other = onlyConvolution(known);
    if (!other || known.getType() != map.getType() ||
        known.getTupleSize() != map.getTupleSize() ||
        !llvm::equal(known.getInputs(), map.getInputs()) ||
        cast<RankedTensorType>(other.getFilter().getType())
                .getShape()
                .take_front(2) != ArrayRef<int64_t>(window))
      return known.emitError("the name '")
             << name << "' is taken by a map that does not stand beside '"
             << map.getName() << "'; rename it, or grow it by its own name";
    return known;
  }
  OpBuilder builder(map->getBlock(), std::next(map->getIterator()));
  auto sibling = cast<MapOp>(builder.clone(*map));
  sibling.getParamsMutable().clear();
  sibling.setBranches(0);
  if (failed(changeWindow(sibling, onlyConvolution(sibling), window)))
    return failure();
  sibling.setName(name);
  auto sum = AddOp::create(builder, map.getLoc(), map.getType(), map, sibling);
  map.getResult().replaceAllUsesExcept(sum, sum);
  return sibling;
}

LogicalResult cambium::grow::addBranches(ModuleOp module,
                                         const AddBranches &growth,
                                         Carry &carry) {
  const unsigned most = 1 << 16;
  if (growth.count == 0)
    return module.emitError("a growth adds at least one branch");
  if (growth.count > most)
    return module.emitError("a growth adds at most ")
           << most << " branches, not " << growth.count;
  if (failed(checkGroup(module, growth.group)))
    return failure();
  FailureOr<MapOp> model = findMap(module, growth.map, "grow");
  if (failed(model))
    return failure();
  FailureOr<MapOp> map =
      growth.kernel ? siblingFor(module, *model, *growth.kernel) : model;
  if (failed(map))
    return failure();
  if (failed(BranchAdder(module, *map, *model, growth, carry).run()))
    return failure();
  return mlir::verify(module);
}
