//===- Pointwise.cpp - Elementwise operations -----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compute.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>
#include <functional>

using namespace cambium;
using namespace cambium::grow;

namespace {

using Unary = std::function<double(double)>;
using Binary = std::function<double(double, double)>;

double sigmoid(double x) { return 1.0 / (1.0 + std::exp(-x)); }

/// The standard normal's distribution and density.
double normalCdf(double x) {
  return 0.5 * (1.0 + std::erf(x / std::sqrt(2.0)));
}
double normalPdf(double x) {
  constexpr double inverseSqrtTwoPi = 0.39894228040143267793994605993438;
  return inverseSqrtTwoPi * std::exp(-0.5 * x * x);
}

Unary unaryOf(mlir::Operation *op) {
  return llvm::TypeSwitch<mlir::Operation *, Unary>(op)
      .Case([](ReluOp) { return [](double x) { return x > 0.0 ? x : 0.0; }; })
      .Case([](LeakyReluOp relu) {
        double slope = relu.getSlope().convertToDouble();
        return [slope](double x) { return x > 0.0 ? x : slope * x; };
      })
      .Case([](GeluOp) { return [](double x) { return x * normalCdf(x); }; })
      .Case([](SiluOp) { return [](double x) { return x * sigmoid(x); }; })
      .Case([](SignBitsOp) {
        return [](double x) { return x > 0.0 ? 1.0 : 0.0; };
      })
      .Case([](BarrierOp) { return [](double x) { return x; }; })
      .Case([](TanhOp) { return [](double x) { return std::tanh(x); }; })
      .Case([](SigmoidOp) { return sigmoid; })
      .Case<ScaleOp, WeightScaleOp>([](auto scale) {
        double factor = scale.getFactor().convertToDouble();
        return [factor](double x) { return factor * x; };
      })
      .Default(Unary());
}

/// Of activation gradients, the first operand is what was saved (see the
/// operation: the activation's result or its input).
Binary binaryOf(mlir::Operation *op) {
  return llvm::TypeSwitch<mlir::Operation *, Binary>(op)
      .Case([](AddOp) { return [](double a, double b) { return a + b; }; })
      .Case([](MulOp) { return [](double a, double b) { return a * b; }; })
      .Case([](ReluGradOp) {
        return [](double y, double dy) { return y > 0.0 ? dy : 0.0; };
      })
      .Case([](LeakyReluGradOp relu) {
        double slope = relu.getSlope().convertToDouble();
        return
            [slope](double y, double dy) { return y > 0.0 ? dy : slope * dy; };
      })
      .Case([](BitsGradOp grad) {
        double slope = grad.getSlope().convertToDouble();
        return [slope](double bit, double dy) {
          return bit != 0.0 ? dy : slope * dy;
        };
      })
      .Case([](GeluGradOp) {
        return [](double x, double dy) {
          return dy * (normalCdf(x) + x * normalPdf(x));
        };
      })
      .Case([](SiluGradOp) {
        return [](double x, double dy) {
          double s = sigmoid(x);
          return dy * s * (1.0 + x * (1.0 - s));
        };
      })
      .Case([](TanhGradOp) {
        return [](double y, double dy) { return dy * (1.0 - y * y); };
      })
      .Case([](SigmoidGradOp) {
        return [](double y, double dy) { return dy * y * (1.0 - y); };
      })
      .Default(Binary());
}

/// Joins each element with its channel's of a vector.
template <typename Function>
void withChannels(const ReferenceTensor &x, const ReferenceTensor &vector,
                  ReferenceTensor &y, Function function) {
  int64_t channels = vector.elements();
  for (int64_t i = 0; i < x.elements(); ++i)
    y.data[i] = function(x.data[i], vector.data[i % channels]);
}

void weightSum(Inputs terms, ReferenceTensor &sum) {
  for (const ReferenceTensor *term : terms)
    for (int64_t i = 0; i < sum.elements(); ++i)
      sum.data[i] += term->data[i];
}

} // namespace

bool cambium::computePointwise(mlir::Operation *op, Inputs in, Outputs out) {
  if (mlir::isa<BiasAddOp>(op)) {
    withChannels(*in[0], *in[1], out[0], std::plus<double>());
    return true;
  }
  if (mlir::isa<ChannelScaleOp>(op)) {
    withChannels(*in[0], *in[1], out[0], std::multiplies<double>());
    return true;
  }
  if (mlir::isa<WeightSumOp>(op)) {
    weightSum(in, out[0]);
    return true;
  }
  if (Unary function = unaryOf(op)) {
    for (int64_t i = 0; i < out[0].elements(); ++i)
      out[0].data[i] = function(in[0]->data[i]);
    return true;
  }
  if (Binary function = binaryOf(op)) {
    for (int64_t i = 0; i < out[0].elements(); ++i)
      out[0].data[i] = function(in[0]->data[i], in[1]->data[i]);
    return true;
  }
  return false;
}
