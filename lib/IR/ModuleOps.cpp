//===- ModuleOps.cpp - Groups, parameters and state -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "InferUtils.h"
#include "cambium/IR/Grow.h"

#include <cmath>

using namespace mlir;
using namespace cambium::grow;

static LogicalResult verifyRate(Operation *op, StringRef name, double value,
                                double upper) {
  if (value >= 0.0 && value < upper)
    return success();
  return op->emitOpError() << name << " is " << realText(value)
                           << "; it must be in [0, "
                           << (std::isinf(upper) ? "infinity" : "1") << ")";
}

int64_t cambium::grow::optimizerStates(Attribute optimizer) {
  if (auto sgd = dyn_cast<SgdAttr>(optimizer))
    return sgd.getMomentum() != 0.0 ? 1 : 0;
  return 2;
}

Attribute cambium::grow::updateRule(Attribute optimizer) {
  MLIRContext *context = optimizer.getContext();
  if (auto sgd = dyn_cast<SgdAttr>(optimizer))
    return SgdAttr::get(context, sgd.getMomentum() != 0.0 ? 0.5 : 0.0,
                        sgd.getNesterov());
  return AdamWAttr::get(context, 0.9, 0.999, 1e-8);
}

LogicalResult GroupOp::verify() {
  const double infinity = std::numeric_limits<double>::infinity();
  if (failed(verifyRate(*this, "lr", getLr().convertToDouble(), infinity)) ||
      failed(verifyRate(*this, "weight_decay",
                        getWeightDecay().convertToDouble(), infinity)))
    return failure();
  if (auto sgd = dyn_cast<SgdAttr>(getOptimizer())) {
    if (sgd.getNesterov() && sgd.getMomentum() == 0.0)
      return emitOpError("asks for Nesterov's method without momentum; set "
                         "momentum or drop nesterov");
    return verifyRate(*this, "momentum", sgd.getMomentum(), 1.0);
  }
  auto adamw = cast<AdamWAttr>(getOptimizer());
  if (failed(verifyRate(*this, "beta1", adamw.getBeta1(), 1.0)) ||
      failed(verifyRate(*this, "beta2", adamw.getBeta2(), 1.0)))
    return failure();
  if (!(adamw.getEpsilon() > 0.0))
    return emitOpError("epsilon must be positive, it divides");
  return success();
}

/// Parameters and states are allocated once, so their extents are known.
static LogicalResult verifyStored(Operation *op, RankedTensorType type,
                                  Attribute init) {
  if (!type.hasStaticShape())
    return op->emitOpError()
           << "has type " << type << ", but stored values need a static shape";
  if (isa<KaimingAttr>(init) && type.getRank() < 2)
    return op->emitOpError() << "#grow.kaiming needs a filter or matrix, but "
                             << type << " has no fan-in; use #grow.zero or "
                             << "#grow.constant";
  return success();
}

/// Initial values that are copied come from a parameter of the same type that
/// has, in the end, values of its own.
static LogicalResult verifyCopy(Operation *op, RankedTensorType type,
                                Attribute init, SymbolTableCollection &tables) {
  auto copy = dyn_cast<CopyAttr>(init);
  llvm::SmallPtrSet<Operation *, 4> seen = {op};
  while (copy) {
    StringRef name = copy.getSource().getValue();
    auto source = tables.lookupNearestSymbolFrom<ParamOp>(op, copy.getSource());
    if (!source)
      return op->emitOpError()
             << "copies '" << name << "', which is not a declared parameter";
    if (!seen.insert(source).second)
      return op->emitOpError() << "copies '" << name
                               << "', which copies in a circle; give one of "
                                  "them initial values of its own";
    if (source.getTensorType() != type) {
      InFlightDiagnostic diag = op->emitOpError()
                                << "has type " << type << " but copies "
                                << source.getTensorType();
      diag.attachNote(source.getLoc()) << "the source is declared here";
      return diag;
    }
    copy = dyn_cast<CopyAttr>(source.getInit());
  }
  return success();
}

LogicalResult ParamOp::verify() {
  return verifyStored(*this, getTensorType(), getInit());
}

LogicalResult StateOp::verify() {
  return verifyStored(*this, getTensorType(), getInit());
}

LogicalResult ParamOp::verifySymbolUses(SymbolTableCollection &tables) {
  if (!tables.lookupNearestSymbolFrom<GroupOp>(*this, getGroupAttr()))
    return emitOpError() << "is in group '" << getGroup()
                         << "', which is not declared; add `grow.group @"
                         << getGroup() << "`";
  return verifyCopy(*this, getTensorType(), getInit(), tables);
}

LogicalResult StateOp::verifySymbolUses(SymbolTableCollection &tables) {
  return verifyCopy(*this, getTensorType(), getInit(), tables);
}

/// The type of a parameter, state or derived sum; null with a diagnostic if the
/// symbol is none.
static RankedTensorType storedType(Operation *user, FlatSymbolRefAttr symbol,
                                   SymbolTableCollection &tables,
                                   Operation *&declaration) {
  declaration = tables.lookupNearestSymbolFrom(user, symbol);
  if (auto param = dyn_cast_or_null<ParamOp>(declaration))
    return param.getTensorType();
  if (auto state = dyn_cast_or_null<StateOp>(declaration))
    return state.getTensorType();
  if (auto derived = dyn_cast_or_null<DerivedOp>(declaration))
    return derived.getTensorType();
  user->emitOpError() << "names '" << symbol.getValue()
                      << "', which is not a declared parameter or state";
  return nullptr;
}

static LogicalResult verifyStoredUse(Operation *user, FlatSymbolRefAttr symbol,
                                     Type type, SymbolTableCollection &tables) {
  Operation *declaration;
  RankedTensorType declared = storedType(user, symbol, tables, declaration);
  if (!declared)
    return failure();
  if (declared == type)
    return success();
  InFlightDiagnostic diag = user->emitOpError()
                            << "uses '" << symbol.getValue() << "' as " << type
                            << " but it is " << declared;
  diag.attachNote(declaration->getLoc()) << "declared here";
  return diag;
}

/// Fails with a diagnostic if a symbol comes twice.
static LogicalResult verifyDistinct(Operation *op, ArrayAttr symbols) {
  llvm::SmallDenseSet<Attribute> seen;
  for (auto symbol : symbols.getAsRange<FlatSymbolRefAttr>())
    if (!seen.insert(symbol).second)
      return op->emitOpError() << "names '" << symbol.getValue() << "' twice";
  return success();
}

LogicalResult DerivedOp::verifySymbolUses(SymbolTableCollection &tables) {
  if (getTerms().empty())
    return emitOpError("needs at least one term");
  if (failed(verifyDistinct(*this, getTerms())))
    return failure();
  for (auto term : getTerms().getAsRange<FlatSymbolRefAttr>()) {
    if (!tables.lookupNearestSymbolFrom<ParamOp>(*this, term))
      return emitOpError() << "sums '" << term.getValue()
                           << "', which is not a declared parameter";
    if (failed(verifyStoredUse(*this, term, getType(), tables)))
      return failure();
  }
  return success();
}

LogicalResult GetOp::verifySymbolUses(SymbolTableCollection &tables) {
  return verifyStoredUse(*this, getSymbolAttr(), getType(), tables);
}

LogicalResult SetOp::verifySymbolUses(SymbolTableCollection &tables) {
  if (!tables.lookupNearestSymbolFrom<StateOp>(*this, getSymbolAttr()))
    return emitOpError() << "sets '" << getSymbol()
                         << "', which is not a declared state; parameters "
                            "change by grow.update alone";
  return verifyStoredUse(*this, getSymbolAttr(), getValue().getType(), tables);
}

LogicalResult UpdateOp::verifySymbolUses(SymbolTableCollection &tables) {
  if (getParams().empty())
    return emitOpError("needs at least one parameter");
  if (failed(verifyDistinct(*this, getParams())))
    return failure();
  for (auto param : getParams().getAsRange<FlatSymbolRefAttr>()) {
    if (!tables.lookupNearestSymbolFrom<ParamOp>(*this, param))
      return emitOpError() << "updates '" << param.getValue()
                           << "', which is not a declared parameter";
    if (failed(verifyStoredUse(*this, param, getGradient().getType(), tables)))
      return failure();
  }
  if (!getDerived())
    return success();
  auto derived =
      tables.lookupNearestSymbolFrom<DerivedOp>(*this, getDerivedAttr());
  if (!derived)
    return emitOpError() << "writes '" << *getDerived()
                         << "', which is not a grow.derived";
  if (derived.getTermsAttr() == getParamsAttr())
    return success();
  InFlightDiagnostic diag = emitOpError() << "updates other parameters than '"
                                          << *getDerived() << "' sums";
  diag.attachNote(derived.getLoc()) << "declared here";
  return diag;
}
