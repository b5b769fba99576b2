//===- Pooling.cpp - Pooling and its gradients ----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compute.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace cambium;
using namespace cambium::grow;

namespace {

/// Calls `visit(output, elements)` for every output element with the offsets of
/// the input elements in its window, in row-major order.
template <typename Op, typename Visitor>
void forEachWindow(Op op, const Shape &input, const Shape &output,
                   Visitor visit) {
  std::array<int64_t, 4> padding = expandPadding(op.getPadding());
  llvm::ArrayRef<int64_t> window = op.getWindow(), strides = op.getStrides();
  llvm::SmallVector<int64_t> elements;
  int64_t offset = 0;
  for (int64_t n = 0; n < output[0]; ++n)
    for (int64_t oh = 0; oh < output[1]; ++oh)
      for (int64_t ow = 0; ow < output[2]; ++ow)
        for (int64_t c = 0; c < output[3]; ++c) {
          elements.clear();
          for (int64_t kh = 0; kh < window[0]; ++kh)
            for (int64_t kw = 0; kw < window[1]; ++kw) {
              int64_t ih = oh * strides[0] - padding[0] + kh;
              int64_t iw = ow * strides[1] - padding[1] + kw;
              if (ih >= 0 && ih < input[1] && iw >= 0 && iw < input[2])
                elements.push_back(
                    ((n * input[1] + ih) * input[2] + iw) * input[3] + c);
            }
          visit(offset++, llvm::ArrayRef(elements));
        }
}

int64_t firstLargest(const ReferenceTensor &x,
                     llvm::ArrayRef<int64_t> elements) {
  int64_t best = elements.front();
  for (int64_t element : elements)
    if (x.data[element] > x.data[best])
      best = element;
  return best;
}

void maxPool(MaxPool2DOp op, const ReferenceTensor &x, ReferenceTensor &y) {
  forEachWindow(op, x.shape, y.shape,
                [&](int64_t o, llvm::ArrayRef<int64_t> elements) {
                  y.data[o] = x.data[firstLargest(x, elements)];
                });
}

void maxPoolGrad(MaxPool2DGradOp op, const ReferenceTensor &x,
                 const ReferenceTensor &dy, ReferenceTensor &dx) {
  forEachWindow(op, x.shape, dy.shape,
                [&](int64_t o, llvm::ArrayRef<int64_t> elements) {
                  dx.data[firstLargest(x, elements)] += dy.data[o];
                });
}

template <typename Op> double windowSize(Op op) {
  return static_cast<double>(op.getWindow()[0] * op.getWindow()[1]);
}

void avgPool(AvgPool2DOp op, const ReferenceTensor &x, ReferenceTensor &y) {
  forEachWindow(op, x.shape, y.shape,
                [&](int64_t o, llvm::ArrayRef<int64_t> elements) {
                  for (int64_t element : elements)
                    y.data[o] += x.data[element];
                  y.data[o] /= windowSize(op);
                });
}

void avgPoolGrad(AvgPool2DGradOp op, const ReferenceTensor &dy,
                 ReferenceTensor &dx) {
  forEachWindow(op, dx.shape, dy.shape,
                [&](int64_t o, llvm::ArrayRef<int64_t> elements) {
                  for (int64_t element : elements)
                    dx.data[element] += dy.data[o] / windowSize(op);
                });
}

void globalAvgPool(const ReferenceTensor &x, ReferenceTensor &y) {
  int64_t area = x.shape[1] * x.shape[2], channels = x.shape[3];
  for (int64_t i = 0; i < x.elements(); ++i)
    y.data[i / (area * channels) * channels + i % channels] +=
        x.data[i] / static_cast<double>(area);
}

void globalAvgPoolGrad(const ReferenceTensor &dy, ReferenceTensor &dx) {
  int64_t area = dx.shape[1] * dx.shape[2], channels = dx.shape[3];
  for (int64_t i = 0; i < dx.elements(); ++i)
    dx.data[i] = dy.data[i / (area * channels) * channels + i % channels] /
                 static_cast<double>(area);
}

} // namespace

bool cambium::computePooling(mlir::Operation *op, Inputs in, Outputs out) {
  return llvm::TypeSwitch<mlir::Operation *, bool>(op)
      .Case([&](MaxPool2DOp pool) {
        maxPool(pool, *in[0], out[0]);
        return true;
      })
      .Case([&](MaxPool2DGradOp pool) {
        maxPoolGrad(pool, *in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](AvgPool2DOp pool) {
        avgPool(pool, *in[0], out[0]);
        return true;
      })
      .Case([&](AvgPool2DGradOp pool) {
        avgPoolGrad(pool, *in[0], out[0]);
        return true;
      })
      .Case([&](GlobalAvgPoolOp) {
        globalAvgPool(*in[0], out[0]);
        return true;
      })
      .Case([&](GlobalAvgPoolGradOp) {
        globalAvgPoolGrad(*in[0], out[0]);
        return true;
      })
      .Default(false);
}
