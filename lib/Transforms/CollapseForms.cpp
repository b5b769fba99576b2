//===- CollapseForms.cpp - Layers as affine forms -------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CollapseForms.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;
using namespace cambium::grow;

/// Multiplications for each position of a layer's result.
static double layerWork(const WeightExpr *weight) {
  return static_cast<double>(weight->type.getNumElements());
}

double AffineForm::joinedWork() const { return layerWork(weight); }

FailureOr<AffineForm> FormAnalysis::refuse(Operation *op, const Twine &reason) {
  refusal = {reason.str(), op};
  return failure();
}

/// A form has an expression for each use of a value. If a body uses each of its
/// values twice, they are exponentially many.
static constexpr int64_t maxVisits = 4096;

FailureOr<AffineForm> FormAnalysis::refuseVisits(Operation *op) {
  return refuse(op, "the body uses its own values too often");
}

static std::string quoted(Operation *op) {
  return ("'" + op->getName().getStringRef() + "'").str();
}

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

bool FormAnalysis::isAbsorbable(Value value) const {
  Operation *op = value.getDefiningOp();
  return op && op->getBlock() == &block && value.hasOneUse();
}

FormAnalysis::ScopedValue FormAnalysis::resolve(Value value,
                                                const Scope *scope) const {
  while (scope) {
    auto argument = dyn_cast<BlockArgument>(value);
    if (!argument)
      break;
    MapOp map = scope->map;
    int64_t index = argument.getArgNumber();
    int64_t inputs = map.getInputs().size();
    value = index < inputs ? map.getInputs()[index]
                           : map.getTuple(scope->branch)[index - inputs];
    scope = scope->parent;
  }
  return {value, scope};
}

FailureOr<const WeightExpr *>
FormAnalysis::weightOf(Value value, const Scope *scope, Operation *user) {
  if (!cast<RankedTensorType>(value.getType()).hasStaticShape()) {
    (void)refuse(user,
                 "the weights of " + quoted(user) + " have dynamic extents");
    return failure();
  }
  auto [resolved, inner] = resolve(value, scope);
  if (!inner)
    return weights.leaf(resolved);
  Operation *op = resolved.getDefiningOp();
  if (!isa<WeightSumOp, WeightConcatOp, WeightPadOp, WeightScaleOp>(op)) {
    (void)refuse(op,
                 "the weights of " + quoted(user) + " come from " + quoted(op));
    return failure();
  }
  if (++visits > maxVisits) {
    (void)refuseVisits(op);
    return failure();
  }
  SmallVector<const WeightExpr *> operands;
  for (Value operand : op->getOperands()) {
    FailureOr<const WeightExpr *> expr = weightOf(operand, inner, user);
    if (failed(expr))
      return failure();
    operands.push_back(*expr);
  }
  return TypeSwitch<Operation *, FailureOr<const WeightExpr *>>(op)
      .Case([&](WeightSumOp) { return weights.sum(operands); })
      .Case([&](WeightConcatOp) { return weights.concat(operands); })
      .Case([&](WeightPadOp pad) {
        return weights.pad(operands[0], expandPadding(pad.getPadding()));
      })
      .Case([&](WeightScaleOp scale) {
        return weights.scale(operands[0], scale.getFactor().convertToDouble());
      })
      .Default([](Operation *) { return failure(); });
}

FailureOr<AffineForm> FormAnalysis::formOf(Value value, const Scope *scope,
                                           Operation *user) {
  auto [resolved, inner] = resolve(value, scope);
  if (!inner && (scope || !isAbsorbable(resolved)))
    return refuse(user, quoted(user) +
                            " takes the input itself, which has no filter");
  return formOf(resolved.getDefiningOp(), inner);
}

//===----------------------------------------------------------------------===//
// Operations
//===----------------------------------------------------------------------===//

FailureOr<AffineForm> FormAnalysis::analyze(Operation *op) {
  return formOf(op, nullptr);
}

FailureOr<AffineForm> FormAnalysis::formOf(Operation *op, const Scope *scope) {
  if (scope && ++visits > maxVisits)
    return refuseVisits(op);
  FailureOr<AffineForm> form = formOfOperation(op, scope);
  auto type = cast<RankedTensorType>(op->getResult(0).getType());
  // What pays by itself is paid in any case: the rest is judged without it.
  if (succeeded(form) && succeeded(checkWork(*form, type))) {
    form->separateWork = form->joinedWork();
    form->weightWork = 0.0;
  }
  return form;
}

FailureOr<AffineForm> FormAnalysis::formOfOperation(Operation *op,
                                                    const Scope *scope) {
  return TypeSwitch<Operation *, FailureOr<AffineForm>>(op)
      .Case<Conv2DOp, LinearOp>([&](auto) { return formOfLayer(op, scope); })
      .Case([&](MapOp map) { return formOfMap(map, scope); })
      .Case<AddOp, ConcatOp>([&](auto) { return formOfAll(op, scope); })
      .Case([&](BiasAddOp bias) { return formOfBiasAdd(bias, scope); })
      .Case([&](ScaleOp scale) -> FailureOr<AffineForm> {
        FailureOr<AffineForm> form = formOf(scale.getInput(), scope, op);
        if (failed(form))
          return failure();
        return scaled(*form, scale.getFactor().convertToDouble());
      })
      .Default([&](Operation *) { return refuseOther(op); });
}

FailureOr<AffineForm> FormAnalysis::refuseOther(Operation *op) {
  std::string name = quoted(op);
  return TypeSwitch<Operation *, FailureOr<AffineForm>>(op)
      .Case<ReluOp, LeakyReluOp, GeluOp, SiluOp, TanhOp, SigmoidOp,
            MaxPool2DOp>(
          [&](auto) { return refuse(op, name + " is not linear"); })
      .Case([&](MulOp) {
        return refuse(op, name + " is not linear in its input");
      })
      .Case<AvgPool2DOp, GlobalAvgPoolOp>(
          [&](auto) { return refuse(op, name + " has no filter to sum"); })
      .Case([&](BatchNormOp norm) {
        if (norm.getInference())
          return refuse(op, "the statistics of " + name +
                                " have no weight expression");
        return refuse(op,
                      name + " in training mode depends on the whole batch");
      })
      .Default([&](Operation *) {
        return refuse(op, name + " has no weight expression");
      });
}

static AffineForm layerForm(Operation *op) {
  AffineForm form;
  if (auto conv = dyn_cast<Conv2DOp>(op)) {
    ArrayRef<int64_t> strides = conv.getStrides();
    ArrayRef<int64_t> dilations = conv.getDilations();
    auto filter = cast<RankedTensorType>(conv.getFilter().getType());
    form.window = {{strides[0], strides[1]},
                   expandPadding(conv.getPadding()),
                   {dilations[0], dilations[1]},
                   static_cast<int64_t>(conv.getGroups())};
    // A window of one element does not feel its dilation.
    for (unsigned d = 0; d < 2; ++d)
      if (filter.getDimSize(d) == 1)
        form.window->dilations[d] = 1;
  }
  return form;
}

FailureOr<AffineForm> FormAnalysis::formOfLayer(Operation *op,
                                                const Scope *scope) {
  FailureOr<const WeightExpr *> weight = weightOf(op->getOperand(1), scope, op);
  if (failed(weight))
    return failure();
  AffineForm form = layerForm(op);
  form.weight = *weight;
  form.separateWork = layerWork(*weight);
  auto [input, inner] = resolve(op->getOperand(0), scope);
  form.input = input;
  if (!inner && (scope || !isAbsorbable(input)))
    return form;
  FailureOr<AffineForm> first = formOf(input.getDefiningOp(), inner);
  if (succeeded(first))
    first = chain(*first, form, op);
  // Outside bodies, what does not compose is the layer's input.
  if (failed(first) && !inner)
    return form;
  return first;
}

FailureOr<AffineForm> FormAnalysis::formOfMap(MapOp map, const Scope *scope) {
  int64_t branches = map.getBranches();
  if (branches == 0)
    return refuse(map, "'" + map.getName() + "' has no branches");
  SmallVector<AffineForm> forms;
  for (int64_t branch = 0; branch < branches; ++branch) {
    if (!scope)
      visits = 0;
    Scope inner{map, branch, scope};
    FailureOr<AffineForm> form = formOf(map.getYielded(), &inner, map);
    if (failed(form))
      return failure();
    forms.push_back(*form);
  }
  FailureOr<AffineForm> joined = join(forms, map.getReduction(), map);
  if (failed(joined))
    return failure();
  joined->merged = true;
  joined->branches = branches;
  return joined;
}

/// The form of an addition or concatenation. A tree of additions is one sum, so
/// that its windows are padded once.
FailureOr<AffineForm> FormAnalysis::formOfAll(Operation *op,
                                              const Scope *scope) {
  SmallVector<AffineForm> forms;
  SmallVector<Value> worklist(llvm::reverse(op->getOperands()));
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    auto [resolved, inner] = resolve(value, scope);
    auto add = resolved.getDefiningOp<AddOp>();
    bool isInner = inner == scope && (scope || isAbsorbable(resolved));
    if (isa<AddOp>(op) && add && isInner) {
      worklist.append({add.getRhs(), add.getLhs()});
      continue;
    }
    FailureOr<AffineForm> form = formOf(value, scope, op);
    if (failed(form))
      return failure();
    forms.push_back(*form);
  }
  return join(forms, isa<AddOp>(op) ? Reduction::Sum : Reduction::Concat, op);
}

FailureOr<AffineForm> FormAnalysis::formOfBiasAdd(BiasAddOp op,
                                                  const Scope *scope) {
  FailureOr<AffineForm> form = formOf(op.getInput(), scope, op);
  if (failed(form))
    return failure();
  FailureOr<const WeightExpr *> bias = weightOf(op.getBias(), scope, op);
  if (failed(bias))
    return failure();
  form->bias = form->bias ? weights.sum({form->bias, *bias}) : *bias;
  return form;
}

AffineForm FormAnalysis::scaled(AffineForm form, double factor) {
  form.weight = weights.scale(form.weight, factor);
  if (form.bias)
    form.bias = weights.scale(form.bias, factor);
  return form;
}

//===----------------------------------------------------------------------===//
// Layers in a row
//===----------------------------------------------------------------------===//

static bool isUnit(const AffineForm &form) {
  ArrayRef<int64_t> shape = form.weight->type.getShape();
  return shape[0] == 1 && shape[1] == 1;
}

FailureOr<AffineForm> FormAnalysis::chain(const AffineForm &first,
                                          AffineForm second, Operation *op) {
  const std::array<int64_t, 4> none = {0, 0, 0, 0};
  if (first.bias) {
    if (second.window && second.window->padding != none)
      return refuse(op, "a bias before a padded convolution is not exact at "
                        "the border");
    return refuse(op, "a bias between two layers has no weight expression");
  }
  AffineForm form = second;
  double firstPositions = 1.0;
  if (second.window) {
    const WindowGeometry &a = *first.window, &b = *second.window;
    firstPositions = static_cast<double>(b.strides[0] * b.strides[1]);
    if (a.groups != 1 || b.groups != 1)
      return refuse(op, "grouped convolutions do not compose");
    if (isUnit(first) && a.strides == std::array<int64_t, 2>{1, 1}) {
      // Without bias, a 1x1 convolution of zeros is zero: padding before it
      // equals padding after it.
      for (unsigned i = 0; i < 4; ++i)
        form.window->padding[i] += a.padding[i];
    } else if (isUnit(second) && b.padding == none) {
      form.window = a;
      for (unsigned d = 0; d < 2; ++d)
        form.window->strides[d] *= b.strides[d];
    } else if (isUnit(first)) {
      return refuse(op,
                    "a strided convolution before another does not compose");
    } else if (isUnit(second)) {
      return refuse(op, "padding between two convolutions is not exact at the "
                        "border");
    } else {
      return refuse(op, "only 1x1 convolutions compose with another");
    }
  }
  form.input = first.input;
  form.weight = weights.compose(first.weight, second.weight);
  form.separateWork = first.separateWork * firstPositions + second.separateWork;
  form.weightWork =
      first.weightWork +
      layerWork(form.weight) *
          static_cast<double>(first.weight->type.getShape().back());
  form.merged = true;
  form.branches = first.branches;
  return form;
}

//===----------------------------------------------------------------------===//
// Layers side by side
//===----------------------------------------------------------------------===//

template <typename Range> static std::string listed(const Range &range) {
  return llvm::formatv("[{0:$[, ]}]",
                       llvm::make_range(range.begin(), range.end()))
      .str();
}

LogicalResult FormAnalysis::checkGeometry(ArrayRef<AffineForm> forms,
                                          Operation *op) {
  const WindowGeometry &first = *forms.front().window;
  auto differ = [&](StringRef what, const auto &a, const auto &b) {
    return refuse(op, what + " differ (" + listed(a) + " against " + listed(b) +
                          ")");
  };
  for (const AffineForm &form : forms) {
    const WindowGeometry &window = *form.window;
    if (window.strides != first.strides)
      return differ("strides", first.strides, window.strides);
    if (window.groups != first.groups)
      return refuse(op, llvm::formatv("groups differ ({0} against {1})",
                                      first.groups, window.groups));
  }
  // Only windows of more than one element have a dilation.
  const AffineForm *seen[2] = {nullptr, nullptr};
  for (const AffineForm &form : forms) {
    for (unsigned d = 0; d < 2; ++d) {
      if (form.weight->type.getDimSize(d) == 1)
        continue;
      if (!seen[d])
        seen[d] = &form;
      else if (form.window->dilations[d] != seen[d]->window->dilations[d])
        return differ("dilations", seen[d]->window->dilations,
                      form.window->dilations);
    }
  }
  return success();
}

/// Pads the filters of all forms to one window along a dimension. A zero before
/// the window moves its start by one dilation, so the padding grows with it.
LogicalResult FormAnalysis::alignDimension(MutableArrayRef<AffineForm> forms,
                                           unsigned dimension, Operation *op) {
  int64_t dilation = 1, top = 0, end = std::numeric_limits<int64_t>::min();
  for (const AffineForm &form : forms) {
    dilation = std::max(dilation, form.window->dilations[dimension]);
    top = std::max(top, form.window->padding[dimension]);
  }
  auto extentOf = [&](const AffineForm &form) {
    return form.weight->type.getDimSize(dimension);
  };
  for (const AffineForm &form : forms)
    end = std::max(end, (extentOf(form) - 1) * dilation -
                            form.window->padding[dimension]);
  auto inputType = cast<RankedTensorType>(forms.front().input.getType());
  int64_t input = inputType.getDimSize(dimension + 1);
  SmallVector<std::array<int64_t, 2>> zeros;
  SmallVector<int64_t> bottoms, positions;
  for (const AffineForm &form : forms) {
    int64_t before = form.window->padding[dimension];
    int64_t after = form.window->padding[dimension + 2];
    int64_t last = (extentOf(form) - 1) * dilation - before;
    if ((top - before) % dilation != 0 || (end - last) % dilation != 0)
      return refuse(op, "paddings differ by less than the dilation");
    zeros.push_back({(top - before) / dilation, (end - last) / dilation});
    bottoms.push_back(after + end - last);
    positions.push_back(windowPositions(input, before, after, extentOf(form),
                                        form.window->strides[dimension],
                                        dilation));
  }
  bool fits = ShapedType::isDynamic(input) ? llvm::all_equal(bottoms)
                                           : llvm::all_equal(positions);
  if (!fits)
    return refuse(op, "paddings differ, so the windows do not meet the same "
                      "positions");
  // Each padding below gives the same positions; the least reads the fewest
  // zeros.
  int64_t bottom = *llvm::min_element(bottoms);
  for (auto [form, zero] : llvm::zip_equal(forms, zeros)) {
    std::array<int64_t, 4> padding = {0, 0, 0, 0};
    padding[dimension] = zero[0];
    padding[dimension + 2] = zero[1];
    form.weight = weights.pad(form.weight, padding);
    form.window->padding[dimension] = top;
    form.window->padding[dimension + 2] = bottom;
    form.window->dilations[dimension] = dilation;
  }
  return success();
}

LogicalResult FormAnalysis::alignWindows(MutableArrayRef<AffineForm> forms,
                                         Operation *op) {
  if (failed(checkGeometry(forms, op)) || failed(alignDimension(forms, 0, op)))
    return failure();
  return alignDimension(forms, 1, op);
}

FailureOr<AffineForm> FormAnalysis::join(ArrayRef<AffineForm> forms,
                                         Reduction reduction, Operation *op) {
  SmallVector<AffineForm> parts(forms);
  AffineForm form = parts.front();
  if (parts.size() > 1) {
    for (const AffineForm &part : parts)
      if (part.input != form.input)
        return refuse(op, "the branches read different inputs");
    if (form.window) {
      if (reduction == Reduction::Concat && form.window->groups != 1)
        return refuse(op, "results of grouped convolutions interleave when "
                          "they are concatenated");
      if (failed(alignWindows(parts, op)))
        return failure();
    }
    SmallVector<const WeightExpr *> weightParts, biasParts;
    bool hasBias = llvm::any_of(
        parts, [](const AffineForm &part) { return part.bias != nullptr; });
    form = parts.front();
    form.separateWork = form.weightWork = 0.0;
    form.branches = 0;
    for (const AffineForm &part : parts) {
      weightParts.push_back(part.weight);
      if (hasBias)
        biasParts.push_back(part.bias
                                ? part.bias
                                : weights.zero(RankedTensorType::get(
                                      part.weight->type.getShape().back(),
                                      part.weight->type.getElementType())));
    }
    for (const AffineForm &part : forms) {
      form.separateWork += part.separateWork;
      form.weightWork += part.weightWork;
      form.branches += part.branches;
    }
    auto joinExprs = [&](ArrayRef<const WeightExpr *> exprs) {
      return reduction == Reduction::Concat ? weights.concat(exprs)
                                            : weights.sum(exprs);
    };
    form.weight = joinExprs(weightParts);
    form.bias = hasBias ? joinExprs(biasParts) : nullptr;
    form.merged = true;
  }
  if (reduction == Reduction::Mean)
    return scaled(form, 1.0 / static_cast<double>(parts.size()));
  return form;
}

LogicalResult FormAnalysis::checkWork(const AffineForm &form,
                                      RankedTensorType type) {
  double positions = 1.0;
  bool isKnown = true;
  for (int64_t extent : type.getShape().drop_back()) {
    if (ShapedType::isDynamic(extent))
      isKnown = false;
    else
      positions *= static_cast<double>(extent);
  }
  double joined = positions * form.joinedWork() + form.weightWork;
  double separate = positions * form.separateWork;
  if (joined <= separate)
    return success();
  return refuse(
      nullptr,
      llvm::formatv("one layer would cost {0:F1} times as much{1}",
                    joined / separate,
                    isKnown || form.weightWork == 0.0 ? "" : " at batch 1"));
}
