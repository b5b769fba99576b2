//===- ReferenceInterpreter.cpp - The oracle ------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Reference/ReferenceInterpreter.h"
#include "Evaluator.h"
#include "cambium/Runtime/Initialize.h"

#include <cmath>

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

//===----------------------------------------------------------------------===//
// Initial values
//===----------------------------------------------------------------------===//

/// Follows #grow.copy to the parameter whose values are drawn; null with a
/// diagnostic if it leads nowhere.
static ParamOp copySource(Operation *declaration, CopyAttr copy,
                          const SymbolTable &symbols) {
  llvm::SmallPtrSet<Operation *, 4> seen = {declaration};
  while (true) {
    StringRef name = copy.getSource().getValue();
    auto source = symbols.lookup<ParamOp>(name);
    if (!source || !seen.insert(source).second) {
      declaration->emitOpError()
          << "copies '" << name
          << (source ? "', which copies it in turn"
                     : "', which is not a declared parameter");
      return nullptr;
    }
    copy = dyn_cast<CopyAttr>(source.getInit());
    if (!copy)
      return source;
  }
}

static FailureOr<ReferenceTensor>
initialValue(Operation *declaration, StringRef symbol, RankedTensorType type,
             Attribute init, uint64_t seed, const SymbolTable &symbols) {
  if (auto copy = dyn_cast<CopyAttr>(init)) {
    ParamOp source = copySource(declaration, copy, symbols);
    if (!source)
      return failure();
    if (source.getType() != type)
      return declaration->emitOpError()
             << "has type " << type << " but copies " << source.getType();
    symbol = source.getSymName();
    init = source.getInit();
  }
  InitKind kind = InitKind::Zero;
  double value = 0.0;
  if (isa<KaimingAttr>(init)) {
    kind = InitKind::Kaiming;
  } else if (auto constant = dyn_cast<ConstantAttr>(init)) {
    kind = InitKind::Constant;
    value = constant.getValue();
  }
  std::vector<int64_t> shape = type.getShape().vec();
  std::vector<float> drawn(type.getNumElements());
  initialize(kind, value, seed, symbol.str(), shape, drawn.data());
  return ReferenceTensor(shape,
                         std::vector<double>(drawn.begin(), drawn.end()));
}

/// Adds `terms` to `sum`, which has their shape.
static void addTo(ReferenceTensor &sum, const ReferenceTensor &term) {
  for (int64_t i = 0; i < sum.elements(); ++i)
    sum.data[i] += term.data[i];
}

static void updateDerived(ModuleOp module,
                          llvm::StringMap<ReferenceVariable> &variables) {
  for (auto derived : module.getOps<DerivedOp>()) {
    ReferenceTensor sum(shapeOf(derived.getType()));
    for (auto term : derived.getTerms().getAsRange<FlatSymbolRefAttr>())
      addTo(sum, variables.find(term.getValue())->second.value);
    variables[derived.getSymName()].value = std::move(sum);
  }
}

ReferenceInterpreter::ReferenceInterpreter(ModuleOp module)
    : module(module), symbols(module) {}

FailureOr<ReferenceInterpreter> ReferenceInterpreter::create(ModuleOp module,
                                                             uint64_t seed) {
  ReferenceInterpreter result(module);
  for (auto group : module.getOps<GroupOp>())
    result.groups[group.getSymName()] = {
        group.getLr().convertToDouble(),
        group.getWeightDecay().convertToDouble()};
  auto declare = [&](auto declaration) -> LogicalResult {
    FailureOr<ReferenceTensor> value = initialValue(
        declaration, declaration.getSymName(), declaration.getTensorType(),
        declaration.getInit(), seed, result.symbols);
    if (failed(value))
      return failure();
    result.variables[declaration.getSymName()].value = std::move(*value);
    return success();
  };
  for (auto param : module.getOps<ParamOp>())
    if (failed(declare(param)))
      return failure();
  for (auto state : module.getOps<StateOp>())
    if (failed(declare(state)))
      return failure();
  updateDerived(module, result.variables);
  return result;
}

//===----------------------------------------------------------------------===//
// Updates
//===----------------------------------------------------------------------===//

namespace {

/// One optimizer step of one parameter.
struct OptimizerStep {
  ReferenceVariable &variable;
  const ReferenceGroup &rates;
  const ReferenceTensor &gradient;

  void run(Attribute optimizer) {
    bool isSgd = isa<SgdAttr>(optimizer);
    variable.optimizerState.resize(isSgd ? 1 : 2);
    for (ReferenceTensor &state : variable.optimizerState)
      if (state.data.empty())
        state = ReferenceTensor(variable.value.shape);
    ++variable.steps;
    if (isSgd)
      run(cast<SgdAttr>(optimizer));
    else
      run(cast<AdamWAttr>(optimizer));
  }

  void run(SgdAttr sgd) {
    std::vector<double> &weights = variable.value.data;
    std::vector<double> &momentum = variable.optimizerState[0].data;
    for (size_t i = 0; i < weights.size(); ++i) {
      double g = gradient.data[i] + rates.weightDecay * weights[i];
      momentum[i] = sgd.getMomentum() * momentum[i] + g;
      weights[i] -= rates.learningRate *
                    (sgd.getNesterov() ? g + sgd.getMomentum() * momentum[i]
                                       : momentum[i]);
    }
  }

  void run(AdamWAttr adamw) {
    std::vector<double> &weights = variable.value.data;
    std::vector<double> &first = variable.optimizerState[0].data;
    std::vector<double> &second = variable.optimizerState[1].data;
    double beta1 = adamw.getBeta1(), beta2 = adamw.getBeta2();
    double steps = static_cast<double>(variable.steps);
    double unbias1 = 1.0 - std::pow(beta1, steps);
    double unbias2 = 1.0 - std::pow(beta2, steps);
    for (size_t i = 0; i < weights.size(); ++i) {
      double g = gradient.data[i];
      first[i] = beta1 * first[i] + (1.0 - beta1) * g;
      second[i] = beta2 * second[i] + (1.0 - beta2) * g * g;
      double step = first[i] / unbias1 /
                    (std::sqrt(second[i] / unbias2) + adamw.getEpsilon());
      weights[i] -=
          rates.learningRate * (rates.weightDecay * weights[i] + step);
    }
  }
};

} // namespace

/// Carries out what a call collected.
static void apply(const Effect &effect, const SymbolTable &symbols,
                  llvm::StringMap<ReferenceVariable> &variables,
                  const llvm::StringMap<ReferenceGroup> &groups) {
  if (auto *write = std::get_if<StateWrite>(&effect)) {
    variables[write->symbol].value = write->value;
    return;
  }
  const auto &update = std::get<ParameterUpdate>(effect);
  ReferenceTensor *sum = nullptr;
  if (!update.derived.empty()) {
    sum = &variables[update.derived].value;
    if (!update.accumulate)
      std::fill(sum->data.begin(), sum->data.end(), 0.0);
  }
  for (ParamOp param : update.params) {
    ReferenceVariable &variable = variables[param.getSymName()];
    auto group = symbols.lookup<GroupOp>(param.getGroup());
    OptimizerStep{variable, groups.find(param.getGroup())->second,
                  update.gradient}
        .run(group.getOptimizer());
    if (sum)
      addTo(*sum, variable.value);
  }
}

//===----------------------------------------------------------------------===//
// Calls and variables
//===----------------------------------------------------------------------===//

FailureOr<SmallVector<ReferenceTensor>>
ReferenceInterpreter::call(StringRef name, ArrayRef<ReferenceTensor> inputs) {
  auto function = symbols.lookup<func::FuncOp>(name);
  if (!function)
    return module.emitError() << "there is no function '" << name << "'";
  Evaluator evaluator(symbols, variables);
  FailureOr<Tensors> results = evaluator.call(function, inputs);
  if (failed(results))
    return failure();
  for (const Effect &effect : evaluator.getEffects())
    apply(effect, symbols, variables, groups);
  return results;
}

const ReferenceVariable *
ReferenceInterpreter::variable(StringRef symbol) const {
  auto found = variables.find(symbol);
  return found == variables.end() ? nullptr : &found->second;
}

LogicalResult ReferenceInterpreter::setValue(StringRef symbol,
                                             ReferenceTensor value) {
  auto found = variables.find(symbol);
  Operation *declaration = symbols.lookup(symbol);
  if (found == variables.end() || isa<DerivedOp>(declaration))
    return module.emitError()
           << "there is no parameter or state '" << symbol << "' to set";
  if (found->second.value.shape != value.shape ||
      found->second.value.elements() != value.elements())
    return declaration->emitError()
           << "'" << symbol << "' has extents "
           << toString(found->second.value.shape) << " but is given "
           << toString(value.shape);
  found->second.value = std::move(value);
  updateDerived(module, variables);
  return success();
}

const ReferenceGroup *ReferenceInterpreter::group(StringRef symbol) const {
  auto found = groups.find(symbol);
  return found == groups.end() ? nullptr : &found->second;
}

LogicalResult ReferenceInterpreter::setGroup(StringRef symbol,
                                             ReferenceGroup rates) {
  auto found = groups.find(symbol);
  if (found == groups.end())
    return module.emitError() << "there is no group '" << symbol << "'";
  found->second = rates;
  return success();
}
