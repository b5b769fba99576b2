//===- Collapse.cpp - Linear branches to weight space ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CollapseForms.h"

#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace cambium::grow {
#define GEN_PASS_DEF_GROWCOLLAPSE
#include "cambium/Transforms/Passes.h.inc"
} // namespace cambium::grow

using namespace mlir;
using namespace cambium::grow;

namespace {

/// One operand of a tree of additions.
struct Term {
  Value value;
  FailureOr<AffineForm> form = failure();
};

/// Operands of a tree of additions that become one layer.
struct TermGroup {
  SmallVector<size_t> members;
  AffineForm form;
};

/// Collapses what it can in one block. Operations are visited from the last to
/// the first, so that each expression is tried as a whole before its parts,
/// again and again until nothing changes, since a collapsed part may be what
/// the whole waited for. Only then is it certain what stays, and said why.
class BlockCollapser {
public:
  explicit BlockCollapser(Block &block)
      : block(block), analysis(block, weights) {}

  void run();

  int64_t numCollapsed = 0;
  int64_t numKept = 0;

private:
  void sweep();
  void visit(Operation *op);
  void visitAdd(AddOp add);
  void keepMap(MapOp map);
  void replace(Operation *op, const AffineForm &form);
  void eraseUnused(Operation *op);
  Value build(OpBuilder &builder, Location loc, const AffineForm &form,
              RankedTensorType type);

  SmallVector<Term> collectTerms(AddOp root);
  SmallVector<TermGroup> groupTerms(AddOp root, ArrayRef<Term> terms);
  bool joinGroup(AddOp root, TermGroup &group, size_t index,
                 ArrayRef<Term> terms);
  void remarkApart(const Term &term, const Term &other,
                   const CollapseRefusal &refusal);
  void rebuildSum(AddOp root, ArrayRef<Term> terms, ArrayRef<TermGroup> groups);

  Block &block;
  WeightSpace weights;
  FormAnalysis analysis;
  /// Additions inside trees that have been looked at from their root.
  DenseSet<Operation *> innerAdds;
  /// Maps with a remark that they are not joined with another.
  DenseSet<Operation *> apart;
  /// Operations erased in this sweep.
  DenseSet<Operation *> erased;
  bool hasChanged = false;
  /// True once nothing changes any more.
  bool isSettled = false;
};

} // namespace

static RankedTensorType resultType(Operation *op) {
  return cast<RankedTensorType>(op->getResult(0).getType());
}

//===----------------------------------------------------------------------===//
// Rewriting
//===----------------------------------------------------------------------===//

/// The short form where both sides are padded alike.
static SmallVector<int64_t> shortestPadding(ArrayRef<int64_t> padding) {
  if (padding[0] == padding[2] && padding[1] == padding[3])
    padding = padding.take_front(2);
  return SmallVector<int64_t>(padding);
}

Value BlockCollapser::build(OpBuilder &builder, Location loc,
                            const AffineForm &form, RankedTensorType type) {
  Value weight = weights.build(builder, loc, form.weight);
  Value bias = form.bias ? weights.build(builder, loc, form.bias) : Value();
  Value result;
  if (const std::optional<WindowGeometry> &window = form.window)
    result = Conv2DOp::create(builder, loc, type, form.input, weight,
                              window->strides, shortestPadding(window->padding),
                              window->dilations, window->groups);
  else
    result = LinearOp::create(builder, loc, type, form.input, weight);
  return bias ? BiasAddOp::create(builder, loc, type, result, bias) : result;
}

/// Erases an operation and what only it used.
void BlockCollapser::eraseUnused(Operation *op) {
  SetVector<Operation *> worklist;
  worklist.insert(op);
  while (!worklist.empty()) {
    Operation *unused = worklist.pop_back_val();
    SmallVector<Value> operands(unused->getOperands());
    innerAdds.erase(unused);
    apart.erase(unused);
    erased.insert(unused);
    unused->erase();
    for (Value operand : operands) {
      Operation *producer = operand.getDefiningOp();
      if (producer && isOpTriviallyDead(producer))
        worklist.insert(producer);
    }
  }
}

void BlockCollapser::replace(Operation *op, const AffineForm &form) {
  OpBuilder builder(op);
  Value layer = build(builder, op->getLoc(), form, resultType(op));
  op->getResult(0).replaceAllUsesWith(layer);
  eraseUnused(op);
  numCollapsed += form.branches;
  hasChanged = true;
}

void BlockCollapser::sweep() {
  hasChanged = false;
  innerAdds.clear();
  erased.clear();
  SmallVector<Operation *> operations;
  for (Operation &op : llvm::reverse(block))
    operations.push_back(&op);
  for (Operation *op : operations)
    if (!erased.contains(op))
      visit(op);
}

void BlockCollapser::run() {
  do {
    sweep();
  } while (hasChanged);
  isSettled = true;
  sweep();
}

/// Products of weights are written as layers of a weight; there is nothing to
/// gain in them.
static bool isWeight(Value value) {
  return isa_and_nonnull<GetOp, WeightSumOp, WeightConcatOp, WeightPadOp,
                         WeightScaleOp, WeightComposeOp>(value.getDefiningOp());
}

void BlockCollapser::visit(Operation *op) {
  if (auto add = dyn_cast<AddOp>(op))
    return visitAdd(add);
  if (!isa<MapOp, ConcatOp, ScaleOp, BiasAddOp, Conv2DOp, LinearOp>(op))
    return;
  FailureOr<AffineForm> form = analysis.analyze(op);
  if (succeeded(form) && form->merged && !isWeight(form->input) &&
      succeeded(analysis.checkWork(*form, resultType(op))))
    return replace(op, *form);
  auto map = dyn_cast<MapOp>(op);
  if (map && isSettled)
    keepMap(map);
}

/// Says why a map stays, and collapses what it can in its body.
void BlockCollapser::keepMap(MapOp map) {
  int64_t branches = map.getBranches();
  if (branches == 0)
    return;
  const CollapseRefusal &refusal = analysis.getRefusal();
  InFlightDiagnostic remark = map.emitRemark();
  remark << "'" << map.getName() << "': " << branches
         << (branches == 1 ? " branch" : " branches")
         << " not collapsed: " << refusal.reason;
  if (refusal.op && refusal.op != map)
    remark.attachNote(refusal.op->getLoc()) << "stopped here";
  numKept += branches;

  BlockCollapser inner(map.getBody().front());
  inner.run();
  numCollapsed += inner.numCollapsed;
  numKept += inner.numKept;
}

//===----------------------------------------------------------------------===//
// Sums of operations
//===----------------------------------------------------------------------===//

/// The operands of a tree of additions in order, with their forms.
SmallVector<Term> BlockCollapser::collectTerms(AddOp root) {
  SmallVector<Term> terms;
  SmallVector<Value> worklist = {root.getRhs(), root.getLhs()};
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    auto add = value.getDefiningOp<AddOp>();
    bool isAbsorbable = analysis.isAbsorbable(value);
    if (add && isAbsorbable) {
      innerAdds.insert(add);
      worklist.append({add.getRhs(), add.getLhs()});
      continue;
    }
    Term term{value};
    if (isAbsorbable)
      term.form = analysis.analyze(value.getDefiningOp());
    terms.push_back(term);
  }
  return terms;
}

bool BlockCollapser::joinGroup(AddOp root, TermGroup &group, size_t index,
                               ArrayRef<Term> terms) {
  SmallVector<AffineForm> forms;
  group.members.push_back(index);
  llvm::sort(group.members);
  for (size_t member : group.members)
    forms.push_back(*terms[member].form);
  FailureOr<AffineForm> joined = analysis.join(forms, Reduction::Sum, root);
  if (succeeded(joined) &&
      succeeded(analysis.checkWork(*joined, resultType(root)))) {
    group.form = *joined;
    return true;
  }
  llvm::erase(group.members, index);
  return false;
}

/// Says why two maps that are added stay two layers, where that is not obvious.
void BlockCollapser::remarkApart(const Term &term, const Term &other,
                                 const CollapseRefusal &refusal) {
  auto map = term.value.getDefiningOp<MapOp>();
  auto otherMap = other.value.getDefiningOp<MapOp>();
  if (!map || !otherMap || term.form->input != other.form->input ||
      !apart.insert(map).second)
    return;
  InFlightDiagnostic remark = map.emitRemark();
  remark << "'" << map.getName() << "': not joined with '" << otherMap.getName()
         << "': " << refusal.reason;
  remark.attachNote(otherMap.getLoc())
      << "'" << otherMap.getName() << "' is here";
}

/// Groups of terms that are one layer. Large windows come first, since smaller
/// ones fit into them at no cost.
SmallVector<TermGroup> BlockCollapser::groupTerms(AddOp root,
                                                  ArrayRef<Term> terms) {
  SmallVector<size_t> order;
  for (size_t i = 0; i < terms.size(); ++i)
    if (succeeded(terms[i].form))
      order.push_back(i);
  auto workThenPlace = [&](size_t a, size_t b) {
    double workA = terms[a].form->joinedWork();
    double workB = terms[b].form->joinedWork();
    return workA > workB || (workA == workB && a < b);
  };
  llvm::sort(order, workThenPlace);
  SmallVector<TermGroup> groups;
  for (size_t index : order) {
    bool isJoined = llvm::any_of(groups, [&](TermGroup &group) {
      return joinGroup(root, group, index, terms);
    });
    if (isJoined)
      continue;
    if (!groups.empty())
      remarkApart(terms[index], terms[groups.back().members.front()],
                  analysis.getRefusal());
    groups.push_back({{index}, *terms[index].form});
  }
  return groups;
}

void BlockCollapser::visitAdd(AddOp add) {
  if (innerAdds.contains(add))
    return;
  SmallVector<Term> terms = collectTerms(add);
  SmallVector<TermGroup> groups = groupTerms(add, terms);
  llvm::erase_if(
      groups, [](const TermGroup &group) { return group.members.size() == 1; });
  if (!groups.empty())
    rebuildSum(add, terms, groups);
}

/// Each group takes the place of its first term.
void BlockCollapser::rebuildSum(AddOp root, ArrayRef<Term> terms,
                                ArrayRef<TermGroup> groups) {
  OpBuilder builder(root);
  RankedTensorType type = resultType(root);
  SmallVector<Value> values;
  for (const Term &term : terms)
    values.push_back(term.value);
  for (const TermGroup &group : groups) {
    for (size_t member : group.members)
      values[member] = Value();
    values[group.members.front()] =
        build(builder, root.getLoc(), group.form, type);
    numCollapsed += group.form.branches;
  }
  llvm::erase(values, Value());
  Value sum = values.front();
  for (Value value : llvm::drop_begin(values))
    sum = AddOp::create(builder, root.getLoc(), type, sum, value);
  root.getResult().replaceAllUsesWith(sum);
  eraseUnused(root);
  hasChanged = true;
}

//===----------------------------------------------------------------------===//
// Pass
//===----------------------------------------------------------------------===//

namespace {
struct GrowCollapse : cambium::grow::impl::GrowCollapseBase<GrowCollapse> {
  void runOnOperation() override;
};
} // namespace

void GrowCollapse::runOnOperation() {
  for (Block &block : getOperation().getBody()) {
    BlockCollapser collapser(block);
    collapser.run();
    numCollapsed += collapser.numCollapsed;
    numKept += collapser.numKept;
  }
}
