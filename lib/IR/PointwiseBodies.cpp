//===- PointwiseBodies.cpp - What pointwise operations compute ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The scalar bodies of pointwise operations, in arith and math. All serve
// vectors as well: constants are splatted to the type of the operands.
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;
using namespace cambium::grow;

namespace {

/// Writes formulas on f32 or vectors of f32.
class Formula {
public:
  Formula(OpBuilder &builder, Location loc, Type type)
      : builder(builder), loc(loc), type(type) {}

  Value constant(double value) {
    auto attr = FloatAttr::get(getElementTypeOrSelf(type), value);
    if (auto vector = dyn_cast<VectorType>(type))
      return arith::ConstantOp::create(builder, loc,
                                       DenseElementsAttr::get(vector, attr));
    return arith::ConstantOp::create(builder, loc, attr);
  }

  Value add(Value a, Value b) { return make<arith::AddFOp>(a, b); }
  Value sub(Value a, Value b) { return make<arith::SubFOp>(a, b); }
  Value mul(Value a, Value b) { return make<arith::MulFOp>(a, b); }
  Value div(Value a, Value b) { return make<arith::DivFOp>(a, b); }
  Value exp(Value a) { return make<math::ExpOp>(a); }
  Value tanh(Value a) { return make<math::TanhOp>(a); }

  /// yes where x > 0, no elsewhere, also where x is not a number.
  Value wherePositive(Value x, Value yes, Value no) {
    Value positive = arith::CmpFOp::create(
        builder, loc, arith::CmpFPredicate::OGT, x, constant(0.0));
    return arith::SelectOp::create(builder, loc, positive, yes, no);
  }

  /// 1 / (1 + exp(-x)); exp overflows to infinity, which gives 0.
  Value sigmoid(Value x) {
    Value negated = arith::NegFOp::create(builder, loc, x);
    return div(constant(1.0), add(constant(1.0), exp(negated)));
  }

  /// The standard normal distribution: with z = |x| / sqrt(2), its lower tail
  /// is erfc(z) / 2 and `erfc(z) * exp(z^2) / t` is smooth in
  /// t = 1 / (1 + 0.4 z). The polynomial interpolates that at the Chebyshev
  /// nodes of [0, 1], with a relative error of 1.6e-7 also in the tail, where
  /// 1 + erf would cancel; math.erfc costs three times as much.
  Value normalCdf(Value x) {
    constexpr double scale = 0.4 * 0.70710678118654752440;
    Value magnitude = make<math::AbsFOp>(x);
    Value one = constant(1.0);
    Value t = div(one, add(one, mul(constant(scale), magnitude)));
    Value polynomial = constant(0.05134648513 / 2);
    for (double coefficient :
         {-0.1873255053, 0.1764279262, -0.01196157258, 0.1444813361,
          0.1677462858, 0.2079446581, 0.225664628, 0.2256759015})
      polynomial = make<math::FmaOp>(t, polynomial, constant(coefficient / 2));
    Value tail = mul(mul(t, polynomial), bell(x));
    return wherePositive(x, sub(one, tail), tail);
  }

  /// The standard normal density.
  Value normalPdf(Value x) {
    constexpr double inverseSqrtTwoPi = 0.39894228040143267794;
    return mul(constant(inverseSqrtTwoPi), bell(x));
  }

private:
  /// exp(-x^2 / 2)
  Value bell(Value x) { return exp(mul(constant(-0.5), mul(x, x))); }

  template <typename Op, typename... Operands>
  Value make(Operands... operands) {
    return Op::create(builder, loc, operands...);
  }

  OpBuilder &builder;
  Location loc;
  Type type;
};

Formula formulaFor(OpBuilder &builder, Location loc, ValueRange operands) {
  return {builder, loc, operands.front().getType()};
}

} // namespace

//===----------------------------------------------------------------------===//
// Sums and products
//===----------------------------------------------------------------------===//

Value BiasAddOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  return formulaFor(builder, loc, in).add(in[0], in[1]);
}

Value ChannelScaleOp::buildScalar(OpBuilder &builder, Location loc,
                                  ValueRange in) {
  return formulaFor(builder, loc, in).mul(in[0], in[1]);
}

Value AddOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  return formulaFor(builder, loc, in).add(in[0], in[1]);
}

Value MulOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  return formulaFor(builder, loc, in).mul(in[0], in[1]);
}

Value ScaleOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  return f.mul(in[0], f.constant(getFactor().convertToDouble()));
}

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

Value ReluOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  return f.wherePositive(in[0], in[0], f.constant(0.0));
}

Value LeakyReluOp::buildScalar(OpBuilder &builder, Location loc,
                               ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  Value slope = f.constant(getSlope().convertToDouble());
  return f.wherePositive(in[0], in[0], f.mul(slope, in[0]));
}

Value GeluOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  return f.mul(in[0], f.normalCdf(in[0]));
}

Value SiluOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  return f.mul(in[0], f.sigmoid(in[0]));
}

Value TanhOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  return formulaFor(builder, loc, in).tanh(in[0]);
}

Value SigmoidOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  return formulaFor(builder, loc, in).sigmoid(in[0]);
}

//===----------------------------------------------------------------------===//
// Bits
//===----------------------------------------------------------------------===//

Value SignBitsOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  return arith::CmpFOp::create(builder, loc, arith::CmpFPredicate::OGT, in[0],
                               f.constant(0.0));
}

Value BitsGradOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in.drop_front());
  double slope = getSlope().convertToDouble();
  Value otherwise =
      slope == 0.0 ? f.constant(0.0) : f.mul(f.constant(slope), in[1]);
  return arith::SelectOp::create(builder, loc, in[0], in[1], otherwise);
}

//===----------------------------------------------------------------------===//
// Gradients of activations: operands are what was saved and the gradient
//===----------------------------------------------------------------------===//

Value ReluGradOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  return f.wherePositive(in[0], in[1], f.constant(0.0));
}

Value LeakyReluGradOp::buildScalar(OpBuilder &builder, Location loc,
                                   ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  Value slope = f.constant(getSlope().convertToDouble());
  return f.wherePositive(in[0], in[1], f.mul(slope, in[1]));
}

Value GeluGradOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  Value x = in[0];
  Value slope = f.add(f.normalCdf(x), f.mul(x, f.normalPdf(x)));
  return f.mul(in[1], slope);
}

Value SiluGradOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  Value one = f.constant(1.0), s = f.sigmoid(in[0]);
  Value slope = f.mul(s, f.add(one, f.mul(in[0], f.sub(one, s))));
  return f.mul(in[1], slope);
}

Value TanhGradOp::buildScalar(OpBuilder &builder, Location loc, ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  return f.mul(in[1], f.sub(f.constant(1.0), f.mul(in[0], in[0])));
}

Value SigmoidGradOp::buildScalar(OpBuilder &builder, Location loc,
                                 ValueRange in) {
  Formula f = formulaFor(builder, loc, in);
  Value slope = f.mul(in[0], f.sub(f.constant(1.0), in[0]));
  return f.mul(in[1], slope);
}
