//===- Normalization.cpp - Batch normalisation and channel sums -----------===//
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

void channelSum(const ReferenceTensor &x, ReferenceTensor &sum) {
  int64_t channels = sum.elements();
  for (int64_t i = 0; i < x.elements(); ++i)
    sum.data[i % channels] += x.data[i];
}

/// Mean and biased variance of each channel.
struct Moments {
  explicit Moments(const ReferenceTensor &x)
      : mean({x.shape.back()}), variance({x.shape.back()}) {
    int64_t channels = x.shape.back();
    double count = static_cast<double>(rowsOf(x));
    channelSum(x, mean);
    for (double &value : mean.data)
      value /= count;
    for (int64_t i = 0; i < x.elements(); ++i) {
      double distance = x.data[i] - mean.data[i % channels];
      variance.data[i % channels] += distance * distance / count;
    }
  }
  ReferenceTensor mean, variance;
};

void normalize(BatchNormOp op, Inputs in, const ReferenceTensor &mean,
               const ReferenceTensor &variance, ReferenceTensor &y) {
  double epsilon = op.getEpsilon().convertToDouble();
  const ReferenceTensor &x = *in[0], &scale = *in[1], &shift = *in[2];
  for (int64_t i = 0; i < x.elements(); ++i) {
    int64_t c = i % scale.elements();
    y.data[i] = (x.data[i] - mean.data[c]) /
                    std::sqrt(variance.data[c] + epsilon) * scale.data[c] +
                shift.data[c];
  }
}

void batchNorm(BatchNormOp op, Inputs in, ReferenceTensor &y) {
  if (op.getInference())
    return normalize(op, in, *in[3], *in[4], y);
  Moments batch(*in[0]);
  normalize(op, in, batch.mean, batch.variance, y);
}

void batchNormStats(BatchNormStatsOp op, Inputs in, Outputs out) {
  double momentum = op.getMomentum().convertToDouble();
  double count = static_cast<double>(rowsOf(*in[0]));
  // One element has no unbiased variance; its biased one, 0, stands in.
  double unbias = count > 1.0 ? count / (count - 1.0) : 1.0;
  Moments batch(*in[0]);
  for (int64_t c = 0; c < out[0].elements(); ++c) {
    double mean = batch.mean.data[c], variance = batch.variance.data[c];
    out[0].data[c] = mean;
    out[1].data[c] = variance;
    out[2].data[c] = (1.0 - momentum) * in[1]->data[c] + momentum * mean;
    out[3].data[c] =
        (1.0 - momentum) * in[2]->data[c] + momentum * variance * unbias;
  }
}

/// With x̂ = (x - mean) / sqrt(variance + epsilon), both of the batch:
/// dshift = Σ dy, dscale = Σ dy·x̂, and
/// dx = scale / sqrt(variance + epsilon) · (dy - dshift/n - x̂·dscale/n).
void batchNormGrad(BatchNormGradOp op, Inputs in, Outputs out) {
  const ReferenceTensor &x = *in[0], &scale = *in[1], &mean = *in[2],
                        &variance = *in[3], &dy = *in[4];
  ReferenceTensor &dx = out[0], &dScale = out[1], &dShift = out[2];
  double epsilon = op.getEpsilon().convertToDouble();
  double count = static_cast<double>(rowsOf(x));
  int64_t channels = scale.elements();
  auto deviation = [&](int64_t c) {
    return std::sqrt(variance.data[c] + epsilon);
  };
  auto normalized = [&](int64_t i) {
    int64_t c = i % channels;
    return (x.data[i] - mean.data[c]) / deviation(c);
  };
  for (int64_t i = 0; i < x.elements(); ++i) {
    dShift.data[i % channels] += dy.data[i];
    dScale.data[i % channels] += dy.data[i] * normalized(i);
  }
  for (int64_t i = 0; i < x.elements(); ++i) {
    int64_t c = i % channels;
    dx.data[i] = scale.data[c] / deviation(c) *
                 (dy.data[i] - dShift.data[c] / count -
                  normalized(i) * dScale.data[c] / count);
  }
}

} // namespace

bool cambium::computeNormalization(mlir::Operation *op, Inputs in,
                                   Outputs out) {
  return llvm::TypeSwitch<mlir::Operation *, bool>(op)
      .Case([&](ChannelSumOp) {
        channelSum(*in[0], out[0]);
        return true;
      })
      .Case([&](BatchNormOp norm) {
        batchNorm(norm, in, out[0]);
        return true;
      })
      .Case([&](BatchNormStatsOp stats) {
        batchNormStats(stats, in, out);
        return true;
      })
      .Case([&](BatchNormGradOp grad) {
        batchNormGrad(grad, in, out);
        return true;
      })
      .Default(false);
}
