//===- CollapseWeights.cpp - Expressions of parameters --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CollapseWeights.h"

using namespace mlir;
using namespace cambium::grow;

using Kind = WeightExpr::Kind;
using Exprs = SmallVector<const WeightExpr *>;

const WeightExpr *WeightSpace::create(WeightExpr expr) {
  nodes.push_back(std::move(expr));
  return &nodes.back();
}

const WeightExpr *WeightSpace::leaf(Value value) {
  WeightExpr expr{Kind::Leaf, cast<RankedTensorType>(value.getType()), {}};
  expr.leaf = value;
  return create(std::move(expr));
}

const WeightExpr *WeightSpace::zero(RankedTensorType type) {
  return create({Kind::Zero, type, {}});
}

static RankedTensorType withLastExtent(RankedTensorType type, int64_t extent) {
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = extent;
  return type.clone(shape);
}

//===----------------------------------------------------------------------===//
// Sums
//===----------------------------------------------------------------------===//

static void collectTerms(ArrayRef<const WeightExpr *> terms, Exprs &flat) {
  for (const WeightExpr *term : terms) {
    if (term->kind == Kind::Sum)
      collectTerms(term->operands, flat);
    else if (term->kind != Kind::Zero)
      flat.push_back(term);
  }
}

/// True if the sum of the two is one expression of their kind.
static bool sameClass(const WeightExpr *a, const WeightExpr *b) {
  if (a->kind != b->kind)
    return false;
  auto sameType = [](const WeightExpr *x, const WeightExpr *y) {
    return x->type == y->type;
  };
  switch (a->kind) {
  case Kind::Scale:
    return a->factor == b->factor;
  case Kind::Pad:
    return a->padding == b->padding;
  case Kind::Concat:
    return llvm::equal(a->operands, b->operands, sameType);
  default:
    return true;
  }
}

const WeightExpr *WeightSpace::sumOfClass(ArrayRef<const WeightExpr *> terms) {
  const WeightExpr *front = terms.front();
  if (terms.size() == 1)
    return front;
  auto sumOfOperands = [&](size_t index) {
    Exprs inner;
    for (const WeightExpr *term : terms)
      inner.push_back(term->operands[index]);
    return sum(inner);
  };
  switch (front->kind) {
  case Kind::Scale:
    return scale(sumOfOperands(0), front->factor);
  case Kind::Pad:
    return pad(sumOfOperands(0), front->padding);
  case Kind::Concat: {
    Exprs parts;
    for (size_t i = 0; i < front->operands.size(); ++i)
      parts.push_back(sumOfOperands(i));
    return concat(parts);
  }
  default: {
    WeightExpr expr{Kind::Sum, front->type, {}};
    expr.operands.assign(terms.begin(), terms.end());
    return create(std::move(expr));
  }
  }
}

const WeightExpr *WeightSpace::sum(ArrayRef<const WeightExpr *> terms) {
  Exprs flat;
  collectTerms(terms, flat);
  if (flat.empty())
    return terms.front();
  SmallVector<Exprs> classes;
  for (const WeightExpr *term : flat) {
    auto found = llvm::find_if(classes, [&](const Exprs &candidates) {
      return sameClass(candidates.front(), term);
    });
    if (found != classes.end())
      found->push_back(term);
    else
      classes.push_back({term});
  }
  if (classes.size() == 1)
    return sumOfClass(classes.front());
  WeightExpr expr{Kind::Sum, flat.front()->type, {}};
  for (const Exprs &members : classes) {
    if (members.front()->kind == Kind::Compose)
      llvm::append_range(expr.operands, members);
    else
      expr.operands.push_back(sumOfClass(members));
  }
  return create(std::move(expr));
}

//===----------------------------------------------------------------------===//
// Other expressions
//===----------------------------------------------------------------------===//

const WeightExpr *WeightSpace::concat(ArrayRef<const WeightExpr *> parts) {
  const WeightExpr *front = parts.front();
  if (parts.size() == 1)
    return front;
  auto isScaledAlike = [&](const WeightExpr *part) {
    return part->kind == Kind::Scale && part->factor == front->factor;
  };
  if (llvm::all_of(parts, isScaledAlike)) {
    Exprs inner;
    for (const WeightExpr *part : parts)
      inner.push_back(part->operands.front());
    return scale(concat(inner), front->factor);
  }
  WeightExpr expr{Kind::Concat, {}, {}};
  int64_t filters = 0;
  for (const WeightExpr *part : parts) {
    filters += part->type.getShape().back();
    if (part->kind == Kind::Concat)
      llvm::append_range(expr.operands, part->operands);
    else
      expr.operands.push_back(part);
  }
  expr.type = withLastExtent(front->type, filters);
  return create(std::move(expr));
}

const WeightExpr *WeightSpace::scale(const WeightExpr *input, double factor) {
  if (factor == 1.0 || input->kind == Kind::Zero)
    return input;
  if (input->kind == Kind::Scale)
    return scale(input->operands.front(), factor * input->factor);
  WeightExpr expr{Kind::Scale, input->type, {input}};
  expr.factor = factor;
  return create(std::move(expr));
}

const WeightExpr *WeightSpace::pad(const WeightExpr *input,
                                   std::array<int64_t, 4> padding) {
  if (padding == std::array<int64_t, 4>{0, 0, 0, 0})
    return input;
  if (input->kind == Kind::Scale)
    return scale(pad(input->operands.front(), padding), input->factor);
  if (input->kind == Kind::Pad) {
    for (auto [total, inner] : llvm::zip(padding, input->padding))
      total += inner;
    return pad(input->operands.front(), padding);
  }
  SmallVector<int64_t> shape(input->type.getShape());
  shape[0] += padding[0] + padding[2];
  shape[1] += padding[1] + padding[3];
  WeightExpr expr{Kind::Pad, input->type.clone(shape), {input}};
  expr.padding = padding;
  return create(std::move(expr));
}

static bool isUnitWindow(RankedTensorType filter) {
  return filter.getDimSize(0) == 1 && filter.getDimSize(1) == 1;
}

const WeightExpr *WeightSpace::compose(const WeightExpr *first,
                                       const WeightExpr *second) {
  SmallVector<int64_t> shape(first->type.getShape());
  shape.back() = second->type.getShape().back();
  if (shape.size() == 4 && isUnitWindow(first->type)) {
    shape[0] = second->type.getDimSize(0);
    shape[1] = second->type.getDimSize(1);
  }
  return create({Kind::Compose, first->type.clone(shape), {first, second}});
}

//===----------------------------------------------------------------------===//
// IR
//===----------------------------------------------------------------------===//

static Value buildCompose(OpBuilder &builder, Location loc, Type type,
                          const WeightExpr *expr, ValueRange operands) {
  if (expr->type.getRank() == 2)
    return LinearOp::create(builder, loc, type, operands[0], operands[1]);
  if (isUnitWindow(expr->operands.front()->type))
    return WeightComposeOp::create(builder, loc, type, operands[0],
                                   operands[1]);
  // The first filter taken as images [kh, kw, c, m] under a 1x1 convolution is
  // the sum over m that is wanted.
  return Conv2DOp::create(builder, loc, type, operands[0], operands[1]);
}

static Value buildNode(OpBuilder &builder, Location loc, const WeightExpr *expr,
                       ValueRange operands) {
  Type type = expr->type;
  switch (expr->kind) {
  case Kind::Leaf:
    return expr->leaf;
  case Kind::Zero:
    return FillOp::create(builder, loc, type, llvm::APFloat(0.0), Value());
  case Kind::Sum:
    return WeightSumOp::create(builder, loc, type, operands);
  case Kind::Concat:
    return WeightConcatOp::create(builder, loc, type, operands);
  case Kind::Pad:
    return WeightPadOp::create(builder, loc, type, operands[0], expr->padding);
  case Kind::Scale:
    return WeightScaleOp::create(builder, loc, type, operands[0],
                                 llvm::APFloat(expr->factor));
  case Kind::Compose:
    return buildCompose(builder, loc, type, expr, operands);
  }
  llvm_unreachable("all kinds are handled");
}

Value WeightSpace::build(OpBuilder &builder, Location loc,
                         const WeightExpr *expr) {
  SmallVector<Value> operands;
  for (const WeightExpr *operand : expr->operands)
    operands.push_back(build(builder, loc, operand));
  return buildNode(builder, loc, expr, operands);
}
