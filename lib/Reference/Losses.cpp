//===- Losses.cpp - Losses and their gradients ----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compute.h"
#include "llvm/ADT/TypeSwitch.h"

#include <cmath>

using namespace cambium;
using namespace cambium::grow;

namespace {

/// log(sum of exp), shifted by the largest so that nothing overflows.
double logSumExp(llvm::ArrayRef<double> row) {
  double largest = *llvm::max_element(row);
  double sum = 0.0;
  for (double value : row)
    sum += std::exp(value - largest);
  return largest + std::log(sum);
}

void softmaxCrossEntropy(const ReferenceTensor &logits,
                         const ReferenceTensor &labels, ReferenceTensor &loss) {
  int64_t batch = logits.shape[0], classes = logits.shape[1];
  for (int64_t n = 0; n < batch; ++n) {
    auto row = llvm::ArrayRef(logits.data).slice(n * classes, classes);
    loss.data[0] += logSumExp(row) - row[static_cast<size_t>(labels.data[n])];
  }
  loss.data[0] /= static_cast<double>(batch);
}

void softmaxCrossEntropyGrad(const ReferenceTensor &logits,
                             const ReferenceTensor &labels,
                             const ReferenceTensor &gradient,
                             ReferenceTensor &dLogits) {
  int64_t batch = logits.shape[0], classes = logits.shape[1];
  double weight = gradient.data[0] / static_cast<double>(batch);
  for (int64_t n = 0; n < batch; ++n) {
    auto row = llvm::ArrayRef(logits.data).slice(n * classes, classes);
    double normalizer = logSumExp(row);
    for (int64_t k = 0; k < classes; ++k) {
      double target = k == static_cast<int64_t>(labels.data[n]) ? 1.0 : 0.0;
      dLogits.data[n * classes + k] =
          (std::exp(row[k] - normalizer) - target) * weight;
    }
  }
}

void mse(const ReferenceTensor &x, const ReferenceTensor &target,
         ReferenceTensor &loss) {
  for (int64_t i = 0; i < x.elements(); ++i) {
    double distance = x.data[i] - target.data[i];
    loss.data[0] += distance * distance;
  }
  loss.data[0] /= static_cast<double>(x.elements());
}

void mseGrad(const ReferenceTensor &x, const ReferenceTensor &target,
             const ReferenceTensor &gradient, ReferenceTensor &dx) {
  double weight = 2.0 * gradient.data[0] / static_cast<double>(x.elements());
  for (int64_t i = 0; i < x.elements(); ++i)
    dx.data[i] = weight * (x.data[i] - target.data[i]);
}

} // namespace

bool cambium::computeLoss(mlir::Operation *op, Inputs in, Outputs out) {
  return llvm::TypeSwitch<mlir::Operation *, bool>(op)
      .Case([&](SoftmaxCrossEntropyOp) {
        softmaxCrossEntropy(*in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](SoftmaxCrossEntropyGradOp) {
        softmaxCrossEntropyGrad(*in[0], *in[1], *in[2], out[0]);
        return true;
      })
      .Case([&](MseOp) {
        mse(*in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](MseGradOp) {
        mseGrad(*in[0], *in[1], *in[2], out[0]);
        return true;
      })
      .Default(false);
}
