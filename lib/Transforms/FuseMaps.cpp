//===- FuseMaps.cpp - Maps that one kernel computes -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A body fuses if each of its values is computed while one tile of the
// contraction is in registers: elementwise operations on the input, one
// convolution or linear layer with the branch's own filter, and elementwise
// operations with vectors of the branch. The gradients of such a body have the
// same form.
//
//===----------------------------------------------------------------------===//

#include "FusedMapBuilder.h"

#include "cambium/Target/LLVM/KernelEmitter.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace cambium::grow {
#define GEN_PASS_DEF_GROWFUSEMAPS
#include "cambium/Transforms/Passes.h.inc"
} // namespace cambium::grow

using namespace mlir;
using namespace cambium::grow;

//===----------------------------------------------------------------------===//
// Bodies
//===----------------------------------------------------------------------===//

namespace {

/// Looks whether a map's body fuses.
class BodyCheck {
public:
  explicit BodyCheck(MapOp map)
      : map(map), body(map.getBody().front()),
        numInputs(map.getInputs().size()) {
    isFusible = run();
  }

  explicit operator bool() const { return isFusible; }

  /// Why not, and at which operation if it is one.
  StringRef getReason() const { return reason; }
  Operation *getStop() const { return stop; }

  /// Of a body that fuses, the first operation whose gradient needs more than
  /// sign bits; null if they are enough.
  Operation *findBeyondBits();

private:
  bool run();
  bool visit(Operation &op);
  bool visitContraction(Operation &op);
  bool visitElementwise(Operation &op);
  bool refuse(const Twine &why, Operation *at = nullptr) {
    reason = why.str();
    stop = at;
    return false;
  }

  bool isShared(Value value) const {
    auto argument = dyn_cast<BlockArgument>(value);
    return argument && argument.getArgNumber() < numInputs;
  }
  bool isOwn(Value value) const {
    return isa<BlockArgument>(value) && !isShared(value);
  }
  /// True if all branches compute the same value.
  bool isBefore(Value value) const {
    return isShared(value) || before.contains(value);
  }

  MapOp map;
  Block &body;
  size_t numInputs;
  Operation *contraction = nullptr;
  /// Values computed before the contraction, and its result and what follows.
  DenseSet<Value> before, after;
  bool isFusible = false;
  std::string reason;
  Operation *stop = nullptr;
};

bool isLayer(Operation *op) { return isa<Conv2DOp, LinearOp>(op); }

} // namespace

bool BodyCheck::visitContraction(Operation &op) {
  if (contraction)
    return refuse("'" + op.getName().getStringRef() +
                      "' is the second layer of the body",
                  &op);
  if (!isBefore(op.getOperand(0)))
    return refuse("the input of '" + op.getName().getStringRef() +
                      "' is not the map's",
                  &op);
  Value filter = op.getOperand(1);
  if (!isOwn(filter) || !filter.hasOneUse())
    return refuse("the weights of '" + op.getName().getStringRef() +
                      "' are not a parameter that only it uses",
                  &op);
  if (failed(contractionSpec(&op)))
    return refuse("its window is not known", &op);
  contraction = &op;
  after.insert(op.getResult(0));
  return true;
}

bool BodyCheck::visitElementwise(Operation &op) {
  if (llvm::all_of(op.getOperands(),
                   [&](Value operand) { return isBefore(operand); })) {
    before.insert(op.getResult(0));
    return true;
  }
  auto pointwise = cast<PointwiseOpInterface>(op);
  for (OpOperand &use : op.getOpOperands()) {
    Value value = use.get();
    bool isVector = pointwise.isChannelOperand(use.getOperandNumber()) &&
                    isOwn(value) && value.hasOneUse();
    if (!isVector && !after.contains(value))
      return refuse("'" + op.getName().getStringRef() +
                        "' takes more than the layer's result and vectors that "
                        "are parameters",
                    &op);
  }
  after.insert(op.getResult(0));
  return true;
}

bool BodyCheck::visit(Operation &op) {
  if (isLayer(&op))
    return visitContraction(op);
  if (isa<PointwiseOpInterface>(op) && isa<DifferentiableOpInterface>(op))
    return visitElementwise(op);
  return refuse("'" + op.getName().getStringRef() + "' is not elementwise",
                &op);
}

bool BodyCheck::run() {
  auto isUsed = [](Value argument) { return !argument.use_empty(); };
  if (llvm::count_if(body.getArguments().take_front(numInputs), isUsed) > 1)
    return refuse("the body reads more than one input");
  for (Operation &op : body.without_terminator())
    if (!visit(op))
      return false;
  return after.contains(map.getYielded()) ||
         refuse("its result comes from no convolution or linear layer");
}

Operation *BodyCheck::findBeyondBits() {
  if (auto conv = dyn_cast<Conv2DOp>(contraction))
    if (conv.getGroups() != 1)
      return conv;
  for (Operation &op : body.without_terminator())
    if (!isa<ReluOp, LeakyReluOp, BiasAddOp, AddOp, ScaleOp, YieldOp>(op) &&
        &op != contraction && !before.contains(op.getResult(0)))
      return &op;
  return nullptr;
}

//===----------------------------------------------------------------------===//
// Sums of maps
//===----------------------------------------------------------------------===//

namespace {

/// Makes one map of maps that are added, where their bodies are equal and fuse.
class MapJoiner {
public:
  void run(Block &block);
  int64_t numJoined = 0;

private:
  SmallVector<Value> collectTerms(AddOp root);
  void join(AddOp root);
  MapOp merge(AddOp root, ArrayRef<MapOp> maps);
  void rebuild(AddOp root, ArrayRef<Value> terms);

  /// Additions inside trees that have been looked at from their root.
  DenseSet<Operation *> innerAdds;
};

bool canJoin(MapOp map, MapOp other) {
  return map.getInputs() == other.getInputs() &&
         map.getKeep() == other.getKeep() &&
         OperationEquivalence::isRegionEquivalentTo(
             &map.getBody(), &other.getBody(),
             OperationEquivalence::IgnoreLocations);
}

} // namespace

/// The operands of a tree of additions in order.
SmallVector<Value> MapJoiner::collectTerms(AddOp root) {
  SmallVector<Value> terms;
  SmallVector<Value> worklist = {root.getRhs(), root.getLhs()};
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    auto add = value.getDefiningOp<AddOp>();
    if (add && add->hasOneUse() && add->getBlock() == root->getBlock()) {
      innerAdds.insert(add);
      worklist.append({add.getRhs(), add.getLhs()});
      continue;
    }
    terms.push_back(value);
  }
  return terms;
}

MapOp MapJoiner::merge(AddOp root, ArrayRef<MapOp> maps) {
  MapOp first = maps.front();
  SmallVector<Value> params;
  int64_t branches = 0;
  for (MapOp map : maps) {
    llvm::append_range(params, map.getParams());
    branches += map.getBranches();
  }
  OpBuilder builder(root);
  auto merged = MapOp::create(builder, first.getLoc(), first.getType(),
                              first.getName(), first.getReduction(), branches,
                              first.getKeepAttr(), first.getInputs(), params);
  merged.getBody().takeBody(first.getBody());
  return merged;
}

void MapJoiner::rebuild(AddOp root, ArrayRef<Value> terms) {
  OpBuilder builder(root);
  Value sum = terms.front();
  for (Value term : terms.drop_front())
    sum = AddOp::create(builder, root.getLoc(), root.getType(), sum, term);
  root.replaceAllUsesWith(sum);
  SmallVector<Operation *> worklist = {root};
  while (!worklist.empty()) {
    Operation *op = worklist.pop_back_val();
    SmallVector<Value> operands;
    if (isa<AddOp>(op))
      llvm::append_range(operands, op->getOperands());
    op->erase();
    for (Value operand : operands)
      if (isa_and_nonnull<AddOp, MapOp>(operand.getDefiningOp()) &&
          operand.use_empty())
        worklist.push_back(operand.getDefiningOp());
  }
}

void MapJoiner::join(AddOp root) {
  SmallVector<Value> terms = collectTerms(root);
  /// Places of terms that become one.
  SmallVector<SmallVector<size_t>> groups;
  auto mapAt = [&](size_t place) {
    return terms[place].getDefiningOp<MapOp>();
  };
  for (size_t place = 0; place < terms.size(); ++place) {
    MapOp map = mapAt(place);
    if (!map || !map->hasOneUse() || map.getReduction() != Reduction::Sum ||
        map.getBranches() == 0 || map->getBlock() != root->getBlock() ||
        !BodyCheck(map))
      continue;
    auto *group = llvm::find_if(groups, [&](ArrayRef<size_t> members) {
      return canJoin(map, mapAt(members.front()));
    });
    if (group == groups.end())
      groups.push_back({place});
    else
      group->push_back(place);
  }
  llvm::erase_if(groups,
                 [](ArrayRef<size_t> members) { return members.size() == 1; });
  if (groups.empty())
    return;
  for (ArrayRef<size_t> members : groups) {
    auto maps = llvm::map_to_vector(members, mapAt);
    numJoined += maps.size() - 1;
    Value merged = merge(root, maps);
    for (size_t place : members)
      terms[place] = Value();
    terms[members.front()] = merged;
  }
  llvm::erase(terms, Value());
  rebuild(root, terms);
}

void MapJoiner::run(Block &block) {
  // May hold additions that are erased, but these are not looked at again.
  innerAdds.clear();
  SmallVector<AddOp> adds(block.getOps<AddOp>());
  for (AddOp add : llvm::reverse(adds))
    if (!innerAdds.contains(add))
      join(add);
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {

struct GrowFuseMaps : cambium::grow::impl::GrowFuseMapsBase<GrowFuseMaps> {
  using GrowFuseMapsBase::GrowFuseMapsBase;

  void runOnOperation() override;

private:
  std::optional<Keep> askedOf(MapOp map) const;
  Keep decide(MapOp map, BodyCheck &check);
  void fuse(MapOp map, Keep policy);
  void leave(MapOp map, const BodyCheck &check);
};

} // namespace

/// What the map or else the option says.
std::optional<Keep> GrowFuseMaps::askedOf(MapOp map) const {
  if (map.getKeep())
    return map.getKeep();
  switch (keep) {
  case cambium::KeepPolicy::Auto:
    return std::nullopt;
  case cambium::KeepPolicy::Mask:
    return Keep::Mask;
  case cambium::KeepPolicy::Recompute:
    return Keep::Recompute;
  case cambium::KeepPolicy::Store:
    return Keep::Store;
  }
  llvm_unreachable("all policies are covered");
}

Keep GrowFuseMaps::decide(MapOp map, BodyCheck &check) {
  std::optional<Keep> asked = askedOf(map);
  if (asked && *asked != Keep::Mask)
    return *asked;
  Operation *beyond = check.findBeyondBits();
  if (!beyond)
    return Keep::Mask;
  if (asked) {
    InFlightDiagnostic remark = map.emitRemark();
    remark << "'" << map.getName() << "': computed again for its gradients, "
           << "since those of '" << beyond->getName()
           << "' need more than sign bits";
    remark.attachNote(beyond->getLoc())
        << "'" << beyond->getName() << "' is here";
  }
  return Keep::Recompute;
}

void GrowFuseMaps::fuse(MapOp map, Keep policy) {
  Block &body = map.getBody().front();
  size_t numInputs = map.getInputs().size();
  FusedMapBuilder fused(body, map.getBranches());
  for (auto [argument, input] : llvm::zip(body.getArguments(), map.getInputs()))
    fused.addInput(argument, input);
  for (int64_t place = 0; place < map.getTupleSize(); ++place) {
    SmallVector<Value> values;
    for (int64_t branch = 0, e = map.getBranches(); branch < e; ++branch)
      values.push_back(map.getTuple(branch)[place]);
    fused.addParam(body.getArgument(numInputs + place), values);
  }
  Join join = map.getReduction() == Reduction::Sum    ? Join::Sum
              : map.getReduction() == Reduction::Mean ? Join::Mean
                                                      : Join::Concat;
  fused.addYield(map.getYielded(), join);
  OpBuilder builder(map);
  FusedMapOp built = fused.build(builder, map.getLoc(), policy);
  built.getResult(0).setType(map.getType());
  numFused += map.getBranches();
  map.replaceAllUsesWith(built.getResult(0));
  map.erase();
}

/// Says why a map does not fuse. It is unrolled, with all its values stored or
/// computed again.
void GrowFuseMaps::leave(MapOp map, const BodyCheck &check) {
  int64_t branches = map.getBranches();
  map.setKeep(askedOf(map) == Keep::Store ? Keep::Store : Keep::Recompute);
  if (branches == 0)
    return;
  numUnfused += branches;
  InFlightDiagnostic remark = map.emitRemark();
  remark << "'" << map.getName() << "': " << branches
         << (branches == 1 ? " branch has no kernel of its own: "
                           : " branches computed one by one: ")
         << check.getReason();
  if (check.getStop())
    remark.attachNote(check.getStop()->getLoc()) << "stopped here";
}

void GrowFuseMaps::runOnOperation() {
  MapJoiner joiner;
  getOperation().walk([&](Block *block) { joiner.run(*block); });
  numJoined += joiner.numJoined;
  SmallVector<MapOp> maps;
  getOperation().walk([&](MapOp map) { maps.push_back(map); });
  for (MapOp map : maps) {
    BodyCheck check(map);
    if (check && map.getBranches() > 0)
      fuse(map, decide(map, check));
    else
      leave(map, check);
  }
}
