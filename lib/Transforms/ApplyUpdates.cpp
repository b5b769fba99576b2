//===- ApplyUpdates.cpp - Gradient results become optimizer updates -------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The branches of a collapsed sum have one gradient, the same SSA value. One
// update then serves them all and keeps their sum up to date as a
// `grow.derived`, so that no function adds them up again:
//
//   %w = grow.weight_sum %a, %b          %w = grow.get @a.sum
//   ...                             =>   ...
//   return %loss, %dw, %dw               grow.update [@a, @b] by %dw into
//   @a.sum
//                                        return %loss
//
// A derived sum is right for every function, whatever else its terms do there,
// since its terms never change without it.
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Frozen.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/ADT/MapVector.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWAPPLYUPDATES
#include "cambium/Transforms/Passes.h.inc"

namespace {

constexpr StringLiteral gradientMark = "grow.gradient";

FlatSymbolRefAttr referTo(ParamOp param) {
  return FlatSymbolRefAttr::get(param.getSymNameAttr());
}

/// What a function returns as gradients.
class Gradients {
public:
  /// Reads the marked results of `func`; fails with a diagnostic if the marks
  /// make no sense.
  LogicalResult read(ModuleOp module, func::FuncOp func);

  /// Removes the marked results.
  LogicalResult erase(func::FuncOp func) {
    func.front().getTerminator()->eraseOperands(marked);
    return func.eraseResults(marked);
  }

  /// The parameters with a gradient, in the order of the results.
  ArrayRef<ParamOp> getParams() const { return params; }

  /// The gradient of a parameter; null if there is none.
  Value of(FlatSymbolRefAttr param) const {
    return gradients.lookup(param.getAttr());
  }

  /// The direct terms of a sum that are reads of parameters, by their gradient.
  /// A term that comes twice has another gradient than the others, and its
  /// list is left out.
  SmallVector<ArrayAttr> termLists(WeightSumOp sum) const;

private:
  /// The terms in the order in which update kernels add them: one kernel for
  /// each rule. A sum that is computed anew then has the same bits.
  SmallVector<Attribute> inUpdateOrder(ArrayRef<Attribute> terms) const;

  DenseMap<Attribute, Attribute> rules;
  llvm::BitVector marked;
  SmallVector<ParamOp> params;
  DenseMap<StringAttr, Value> gradients;
};

LogicalResult Gradients::read(ModuleOp module, func::FuncOp func) {
  marked.resize(func.getNumResults());
  Operation *terminator = func.front().getTerminator();
  for (unsigned i = 0, e = func.getNumResults(); i < e; ++i) {
    Attribute mark = func.getResultAttr(i, gradientMark);
    if (!mark)
      continue;
    auto symbol = dyn_cast<FlatSymbolRefAttr>(mark);
    auto param = symbol ? module.lookupSymbol<ParamOp>(symbol) : ParamOp();
    if (!param)
      return func.emitOpError()
             << "result " << i << " is marked as gradient of " << mark
             << ", which is not a declared parameter";
    if (!gradients.try_emplace(symbol.getAttr(), terminator->getOperand(i))
             .second)
      return func.emitOpError() << "result " << i << " is a second gradient of "
                                << mark << "; add them up first";
    marked.set(i);
    params.push_back(param);
    auto group = module.lookupSymbol<GroupOp>(param.getGroup());
    rules[symbol] = updateRule(group.getOptimizer());
  }
  return success();
}

SmallVector<ArrayAttr> Gradients::termLists(WeightSumOp sum) const {
  llvm::MapVector<Value, SmallVector<Attribute>> byGradient;
  for (Value term : sum.getTerms())
    if (auto get = term.getDefiningOp<GetOp>())
      if (Value gradient = of(get.getSymbolAttr()))
        byGradient[gradient].push_back(get.getSymbolAttr());
  SmallVector<ArrayAttr> lists;
  for (auto &[gradient, terms] : byGradient) {
    llvm::SmallDenseSet<Attribute> distinct(llvm::from_range, terms);
    if (terms.size() > 1 && distinct.size() == terms.size())
      lists.push_back(ArrayAttr::get(sum.getContext(), inUpdateOrder(terms)));
  }
  return lists;
}

SmallVector<Attribute>
Gradients::inUpdateOrder(ArrayRef<Attribute> terms) const {
  llvm::MapVector<Attribute, SmallVector<Attribute>> byRule;
  for (Attribute term : terms)
    byRule[rules.lookup(term)].push_back(term);
  SmallVector<Attribute> ordered;
  for (auto &[rule, members] : byRule)
    llvm::append_range(ordered, members);
  return ordered;
}

/// The sums that updates keep, at most one for each parameter.
class DerivedSums {
public:
  DerivedSums(ModuleOp module, const Gradients &gradients)
      : module(module), gradients(gradients), symbols(module) {}

  /// Takes over the sums of an earlier run; fails if the gradients would leave
  /// one out of date.
  LogicalResult adopt();
  /// Declares a sum for each list of terms in `func`. Returns how many.
  unsigned declare(func::FuncOp func);
  /// Makes all functions read the sums.
  void readEverywhere();
  /// The sum that a parameter is a term of, or null.
  DerivedOp find(FlatSymbolRefAttr param) const {
    return sums.lookup(param.getAttr());
  }

private:
  DerivedOp findExact(ArrayAttr terms) const {
    DerivedOp sum = find(cast<FlatSymbolRefAttr>(terms[0]));
    return sum && sum.getTerms() == terms ? sum : DerivedOp();
  }
  void claim(DerivedOp sum) {
    for (auto term : sum.getTerms().getAsRange<FlatSymbolRefAttr>())
      sums[term.getAttr()] = sum;
  }
  WeightSumOp read(WeightSumOp sum, DerivedOp derived);

  ModuleOp module;
  const Gradients &gradients;
  SymbolTable symbols;
  DenseMap<StringAttr, DerivedOp> sums;
};

LogicalResult DerivedSums::adopt() {
  for (DerivedOp sum : module.getOps<DerivedOp>()) {
    auto terms = sum.getTerms().getAsRange<FlatSymbolRefAttr>();
    Value gradient = gradients.of(*terms.begin());
    for (FlatSymbolRefAttr term : terms) {
      if (gradients.of(term) != gradient)
        return sum.emitOpError()
               << "would go out of date: its terms '"
               << (*terms.begin()).getValue() << "' and '" << term.getValue()
               << "' have different gradients, so no single update writes it; "
                  "read them one by one and add them by grow.weight_sum";
      if (find(term))
        return sum.emitOpError()
               << "would go out of date: its term '" << term.getValue()
               << "' is also a term of '" << find(term).getSymName()
               << "', and an update writes one sum";
    }
    claim(sum);
  }
  return success();
}

unsigned DerivedSums::declare(func::FuncOp func) {
  unsigned count = 0;
  Operation *last = gradients.getParams().back();
  for (DerivedOp sum : module.getOps<DerivedOp>())
    if (last->isBeforeInBlock(sum))
      last = sum;
  func.walk([&](WeightSumOp sum) {
    for (ArrayAttr terms : gradients.termLists(sum)) {
      auto claimed = [&](Attribute term) {
        return static_cast<bool>(find(cast<FlatSymbolRefAttr>(term)));
      };
      if (llvm::any_of(terms, claimed))
        continue;
      StringRef first = cast<FlatSymbolRefAttr>(terms[0]).getValue();
      OpBuilder builder(sum.getContext());
      auto derived = DerivedOp::create(
          builder, sum.getLoc(), (first + ".sum").str(), sum.getType(), terms);
      symbols.insert(derived, std::next(last->getIterator()));
      last = derived;
      claim(derived);
      ++count;
    }
  });
  return count;
}

/// Replaces the terms of `derived` in `sum` by a read of it. Returns what is
/// left of the sum, or null if that is the read alone.
WeightSumOp DerivedSums::read(WeightSumOp sum, DerivedOp derived) {
  OpBuilder builder(sum);
  Value whole =
      GetOp::create(builder, sum.getLoc(), sum.getType(), derived.getSymName());
  SmallVector<Value> terms;
  SmallVector<GetOp> replaced;
  for (Value term : sum.getTerms()) {
    auto get = term.getDefiningOp<GetOp>();
    if (!get || find(get.getSymbolAttr()) != derived) {
      terms.push_back(term);
      continue;
    }
    if (replaced.empty())
      terms.push_back(whole);
    replaced.push_back(get);
  }
  WeightSumOp rest;
  if (terms.size() > 1)
    rest = WeightSumOp::create(builder, sum.getLoc(), sum.getType(), terms);
  sum.replaceAllUsesWith(rest ? rest.getResult() : whole);
  sum.erase();
  for (GetOp get : replaced)
    if (get->use_empty())
      get.erase();
  return rest;
}

void DerivedSums::readEverywhere() {
  SmallVector<WeightSumOp> all;
  module.walk([&](WeightSumOp sum) { all.push_back(sum); });
  for (WeightSumOp sum : all)
    for (ArrayAttr terms : gradients.termLists(sum)) {
      DerivedOp derived = findExact(terms);
      if (derived && !(sum = read(sum, derived)))
        break;
    }
}

/// One update for each derived sum and for each other gradient, in the order
/// of the parameters.
void buildUpdates(func::FuncOp func, const Gradients &gradients,
                  const DerivedSums &sums) {
  using Key = std::pair<Value, Operation *>;
  llvm::MapVector<Key, SmallVector<Attribute>> updates;
  for (ParamOp param : gradients.getParams()) {
    FlatSymbolRefAttr symbol = referTo(param);
    DerivedOp sum = sums.find(symbol);
    updates[{gradients.of(symbol), sum}].push_back(symbol);
  }
  OpBuilder builder(func.front().getTerminator());
  for (auto &[key, params] : updates) {
    auto [gradient, op] = key;
    auto sum = cast_or_null<DerivedOp>(op);
    UpdateOp::create(builder, gradient.getLoc(),
                     sum ? sum.getTerms() : builder.getArrayAttr(params),
                     gradient,
                     sum ? FlatSymbolRefAttr::get(sum.getSymNameAttr())
                         : FlatSymbolRefAttr());
  }
}

class ApplyUpdatesPass : public impl::GrowApplyUpdatesBase<ApplyUpdatesPass> {
public:
  using GrowApplyUpdatesBase::GrowApplyUpdatesBase;

  void runOnOperation() override {
    FailureOr<func::FuncOp> func = findFunction();
    Gradients gradients;
    if (failed(func) || failed(gradients.read(getOperation(), *func)))
      return signalPassFailure();
    auto params = getOperation().getOps<ParamOp>();
    bool allFrozen = !params.empty() && llvm::all_of(params, isFrozen);
    if (gradients.getParams().empty()) {
      if (allFrozen)
        return;
      func->emitOpError() << "has no result marked `" << gradientMark
                          << "`: run --grow-differentiate first";
      return signalPassFailure();
    }
    DerivedSums sums(getOperation(), gradients);
    if (failed(sums.adopt()))
      return signalPassFailure();
    numDerived += sums.declare(*func);
    sums.readEverywhere();
    buildUpdates(*func, gradients, sums);
    if (failed(gradients.erase(*func)))
      return signalPassFailure();
  }

private:
  FailureOr<func::FuncOp> findFunction();
};

/// The function with gradients, checked for a shape that can be changed.
FailureOr<func::FuncOp> ApplyUpdatesPass::findFunction() {
  ModuleOp module = getOperation();
  auto func = module.lookupSymbol<func::FuncOp>(function);
  if (!func)
    return module.emitError()
           << "no function '" << function
           << "' to apply updates in; run --grow-differentiate first or name "
              "another with `function=`";
  if (!llvm::hasSingleElement(func.getBody()))
    return func.emitOpError("must have a body of one block to apply updates");
  auto uses = SymbolTable::getSymbolUses(func, module);
  if (!uses || uses->empty())
    return func;
  InFlightDiagnostic diag = func.emitOpError(
      "is used, so its gradient results cannot become updates: inline its "
      "calls or remove them");
  diag.attachNote(uses->begin()->getUser()->getLoc()) << "used here";
  return diag;
}

} // namespace
} // namespace cambium::grow
