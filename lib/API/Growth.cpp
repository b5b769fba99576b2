//===- Growth.cpp - Growth as a rewrite of the network --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Growth.h"

#include "cambium/IR/Grow.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/StringExtras.h"

#include <charconv>

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;
using cambium::internal::StateCopy;

std::string internal::freeSymbol(const SymbolTable &symbols,
                                 const std::string &base) {
  std::string name = base;
  for (int i = 1; symbols.lookup(name); ++i)
    name = base + "." + std::to_string(i);
  return name;
}

GroupOptions internal::optionsOf(GroupOp group) {
  GroupOptions options;
  options.name = group.getSymName().str();
  options.learningRate = group.getLr().convertToDouble();
  options.weightDecay = group.getWeightDecay().convertToDouble();
  if (auto sgd = dyn_cast<SgdAttr>(group.getOptimizer()))
    options.optimizer =
        Sgd{static_cast<float>(sgd.getMomentum()), sgd.getNesterov()};
  else if (auto adamw = dyn_cast<AdamWAttr>(group.getOptimizer()))
    options.optimizer = AdamW{static_cast<float>(adamw.getBeta1()),
                              static_cast<float>(adamw.getBeta2()),
                              static_cast<float>(adamw.getEpsilon())};
  return options;
}

double internal::realOf(float value) {
  char text[32];
  auto end = std::to_chars(text, text + sizeof(text), value);
  return std::stod(std::string(text, end.ptr));
}

Attribute internal::optimizerAttr(MLIRContext *context,
                                  const std::variant<Sgd, AdamW> &optimizer) {
  if (auto *sgd = std::get_if<Sgd>(&optimizer))
    return SgdAttr::get(context, realOf(sgd->momentum), sgd->nesterov);
  const auto &adamw = std::get<AdamW>(optimizer);
  return AdamWAttr::get(context, realOf(adamw.beta1), realOf(adamw.beta2),
                        realOf(adamw.epsilon));
}

void internal::addGroup(ModuleOp module, const GroupOptions &options) {
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  for (auto group : module.getOps<GroupOp>())
    builder.setInsertionPointAfter(group);
  GroupOp::create(builder, module.getLoc(), builder.getStringAttr(options.name),
                  optimizerAttr(module.getContext(), options.optimizer),
                  builder.getF64FloatAttr(realOf(options.learningRate)),
                  builder.getF64FloatAttr(realOf(options.weightDecay)));
}

namespace {

/// Appends branches to one map. The first branch of the model tells the roles
/// of parameters; it is another map's where the window is another.
class BranchAdder {
public:
  BranchAdder(ModuleOp module, MapOp map, MapOp model,
              const AddBranches &growth, std::vector<StateCopy> &copies)
      : module(module), symbols(module), map(map), model(model), growth(growth),
        copies(copies), builder(map),
        declarations(OpBuilder::atBlockBegin(module.getBody())) {
    for (Operation &op : *module.getBody())
      if (isa<GroupOp, ParamOp, StateOp>(op))
        declarations.setInsertionPointAfter(&op);
  }

  LogicalResult run();

private:
  FailureOr<Value> addOperand(unsigned place, const std::string &prefix);
  FailureOr<Attribute> initFor(RankedTensorType type, Operation *like,
                               unsigned place);
  /// The parameter or state that an existing branch reads, or null.
  Operation *declarationOf(MapOp map, unsigned branch, unsigned place);

  ModuleOp module;
  SymbolTable symbols;
  MapOp map, model;
  const AddBranches &growth;
  std::vector<StateCopy> &copies;
  /// Where the map is, and behind the last declaration.
  OpBuilder builder, declarations;
};

Operation *BranchAdder::declarationOf(MapOp map, unsigned branch,
                                      unsigned place) {
  if (branch >= map.getBranches())
    return nullptr;
  auto get = map.getTuple(branch)[place].getDefiningOp<GetOp>();
  return get ? symbols.lookup(get.getSymbol()) : nullptr;
}

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
    return Attribute(
        ConstantAttr::get(context, internal::realOf(growth.init.value)));
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
  std::string name = internal::freeSymbol(
      symbols,
      prefix + "." + roleOf(like, model, "p" + std::to_string(place)).str());
  if (auto state = dyn_cast_or_null<StateOp>(like)) {
    symbols.insert(StateOp::create(declarations, map.getLoc(), name, type,
                                   state.getInit()));
    if (growth.init.kind == Init::Kind::Copy)
      if (auto source = dyn_cast_or_null<StateOp>(
              declarationOf(map, growth.init.branch, place)))
        copies.push_back({name, source.getSymName().str()});
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

/// The convolution whose filter is the body's only one, or null.
Conv2DOp onlyConvolution(MapOp map) {
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

/// Gives the convolution another window and the padding that keeps its result's
/// extents.
LogicalResult changeWindow(MapOp map, Conv2DOp conv,
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

/// The map beside `map` for branches with another window, made with no branch
/// and added to the result if there is none yet.
FailureOr<MapOp> siblingFor(ModuleOp module, MapOp map,
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

/// The map that a growth names.
FailureOr<MapOp> findMap(ModuleOp module, const AddBranches &growth) {
  SmallVector<MapOp> found;
  SmallVector<std::string> names;
  module.walk([&](MapOp map) {
    names.push_back("'" + map.getName().str() + "'");
    if (map.getName() == growth.map)
      found.push_back(map);
  });
  if (found.size() == 1 && !found[0]->getParentOfType<MapOp>())
    return found[0];
  if (found.empty())
    return module.emitError("there is no map '")
           << growth.map << "' to grow; the network has "
           << (names.empty() ? "none" : llvm::join(names, ", "));
  return found[0].emitError("cannot grow '")
         << growth.map << "': the name stands for " << found.size()
         << " maps, or for one inside another";
}

} // namespace

LogicalResult internal::addBranches(ModuleOp module, const AddBranches &growth,
                                    std::vector<StateCopy> &copies) {
  const unsigned most = 1 << 16;
  if (growth.count == 0)
    return module.emitError("a growth adds at least one branch");
  if (growth.count > most)
    return module.emitError("a growth adds at most ")
           << most << " branches, not " << growth.count;
  if (!module.lookupSymbol<GroupOp>(growth.group))
    return module.emitError("there is no optimizer group '")
           << growth.group << "'; add it with addGroup";
  FailureOr<MapOp> model = findMap(module, growth);
  if (failed(model))
    return failure();
  FailureOr<MapOp> map =
      growth.kernel ? siblingFor(module, *model, *growth.kernel) : model;
  if (failed(map))
    return failure();
  if (failed(BranchAdder(module, *map, *model, growth, copies).run()))
    return failure();
  return mlir::verify(module);
}
