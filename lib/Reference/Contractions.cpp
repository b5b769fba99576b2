//===- Contractions.cpp - Convolutions and linear layers ------------------===//
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

/// The index space of a convolution. Forward and both gradients are sums of
/// products over the same triples (input element, filter element, output
/// element); they differ in which of the three is the sum.
class Convolution {
public:
  template <typename Op>
  Convolution(Op op, const Shape &input, const Shape &filter,
              const Shape &output)
      : input(input), filter(filter), output(output),
        groups(static_cast<int64_t>(op.getGroups())), strides(op.getStrides()),
        dilations(op.getDilations()) {
    std::array<int64_t, 4> padding = expandPadding(op.getPadding());
    top = padding[0];
    left = padding[1];
  }

  /// Calls `visit(input, filter, output, count)` with offsets of rows: one
  /// input element meets `count` consecutive filters and outputs.
  template <typename Visitor> void forEachRow(Visitor visit) const {
    int64_t groupFilters = filter[3] / groups;
    for (int64_t n = 0; n < output[0]; ++n)
      for (int64_t oh = 0; oh < output[1]; ++oh)
        for (int64_t ow = 0; ow < output[2]; ++ow)
          forEachTap(
              oh, ow, [&](int64_t ih, int64_t iw, int64_t kh, int64_t kw) {
                for (int64_t g = 0; g < groups; ++g)
                  for (int64_t c = 0; c < filter[2]; ++c)
                    visit(((n * input[1] + ih) * input[2] + iw) * input[3] +
                              g * filter[2] + c,
                          ((kh * filter[1] + kw) * filter[2] + c) * filter[3] +
                              g * groupFilters,
                          ((n * output[1] + oh) * output[2] + ow) * output[3] +
                              g * groupFilters,
                          groupFilters);
              });
  }

private:
  template <typename Visitor>
  void forEachTap(int64_t oh, int64_t ow, Visitor visit) const {
    for (int64_t kh = 0; kh < filter[0]; ++kh) {
      int64_t ih = oh * strides[0] - top + kh * dilations[0];
      if (ih < 0 || ih >= input[1])
        continue;
      for (int64_t kw = 0; kw < filter[1]; ++kw) {
        int64_t iw = ow * strides[1] - left + kw * dilations[1];
        if (iw >= 0 && iw < input[2])
          visit(ih, iw, kh, kw);
      }
    }
  }

  const Shape &input, &filter, &output;
  int64_t groups, top, left;
  llvm::ArrayRef<int64_t> strides, dilations;
};

void conv2d(Conv2DOp op, const ReferenceTensor &x, const ReferenceTensor &w,
            ReferenceTensor &y) {
  Convolution(op, x.shape, w.shape, y.shape)
      .forEachRow([&](int64_t i, int64_t k, int64_t o, int64_t count) {
        for (int64_t f = 0; f < count; ++f)
          y.data[o + f] += x.data[i] * w.data[k + f];
      });
}

void conv2dGradInput(Conv2DGradInputOp op, const ReferenceTensor &dy,
                     const ReferenceTensor &w, ReferenceTensor &dx) {
  Convolution(op, dx.shape, w.shape, dy.shape)
      .forEachRow([&](int64_t i, int64_t k, int64_t o, int64_t count) {
        for (int64_t f = 0; f < count; ++f)
          dx.data[i] += dy.data[o + f] * w.data[k + f];
      });
}

void conv2dGradFilter(Conv2DGradFilterOp op, const ReferenceTensor &x,
                      const ReferenceTensor &dy, ReferenceTensor &dw) {
  Convolution(op, x.shape, dw.shape, dy.shape)
      .forEachRow([&](int64_t i, int64_t k, int64_t o, int64_t count) {
        for (int64_t f = 0; f < count; ++f)
          dw.data[k + f] += x.data[i] * dy.data[o + f];
      });
}

/// Calls `visit(x, w, y)` with the offsets of every product of
/// `y[n, m] = sum over k of x[n, k] * w[k, m]`.
template <typename Visitor>
void forEachProduct(int64_t rows, int64_t inner, int64_t columns,
                    Visitor visit) {
  for (int64_t n = 0; n < rows; ++n)
    for (int64_t k = 0; k < inner; ++k)
      for (int64_t m = 0; m < columns; ++m)
        visit(n * inner + k, k * columns + m, n * columns + m);
}

void linear(const ReferenceTensor &x, const ReferenceTensor &w,
            ReferenceTensor &y) {
  forEachProduct(x.shape[0], w.shape[0], w.shape[1],
                 [&](int64_t i, int64_t k, int64_t o) {
                   y.data[o] += x.data[i] * w.data[k];
                 });
}

void linearGradInput(const ReferenceTensor &dy, const ReferenceTensor &w,
                     ReferenceTensor &dx) {
  forEachProduct(dy.shape[0], w.shape[0], w.shape[1],
                 [&](int64_t i, int64_t k, int64_t o) {
                   dx.data[i] += dy.data[o] * w.data[k];
                 });
}

void linearGradWeight(const ReferenceTensor &x, const ReferenceTensor &dy,
                      ReferenceTensor &dw) {
  forEachProduct(x.shape[0], dw.shape[0], dw.shape[1],
                 [&](int64_t i, int64_t k, int64_t o) {
                   dw.data[k] += x.data[i] * dy.data[o];
                 });
}

/// The products of `w[tap, c, f] = sum over m of first[c, m] *
/// second[tap, m, f]`, as offsets of (w, first, second).
template <typename Visitor>
void forEachComposition(const Shape &composed, int64_t middle, Visitor visit) {
  int64_t taps = composed[0] * composed[1];
  for (int64_t tap = 0; tap < taps; ++tap)
    for (int64_t c = 0; c < composed[2]; ++c)
      for (int64_t m = 0; m < middle; ++m)
        for (int64_t f = 0; f < composed[3]; ++f)
          visit((tap * composed[2] + c) * composed[3] + f, c * middle + m,
                (tap * middle + m) * composed[3] + f);
}

void weightCompose(const ReferenceTensor &first, const ReferenceTensor &second,
                   ReferenceTensor &w) {
  forEachComposition(w.shape, first.shape[3],
                     [&](int64_t o, int64_t a, int64_t b) {
                       w.data[o] += first.data[a] * second.data[b];
                     });
}

void weightComposeGradFirst(const ReferenceTensor &dw,
                            const ReferenceTensor &second,
                            ReferenceTensor &dFirst) {
  forEachComposition(dw.shape, second.shape[2],
                     [&](int64_t o, int64_t a, int64_t b) {
                       dFirst.data[a] += dw.data[o] * second.data[b];
                     });
}

void weightComposeGradSecond(const ReferenceTensor &dw,
                             const ReferenceTensor &first,
                             ReferenceTensor &dSecond) {
  forEachComposition(dw.shape, first.shape[3],
                     [&](int64_t o, int64_t a, int64_t b) {
                       dSecond.data[b] += dw.data[o] * first.data[a];
                     });
}

} // namespace

bool cambium::computeContraction(mlir::Operation *op, Inputs in, Outputs out) {
  return llvm::TypeSwitch<mlir::Operation *, bool>(op)
      .Case([&](Conv2DOp conv) {
        conv2d(conv, *in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](Conv2DGradInputOp conv) {
        conv2dGradInput(conv, *in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](Conv2DGradFilterOp conv) {
        conv2dGradFilter(conv, *in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](LinearOp) {
        linear(*in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](LinearGradInputOp) {
        linearGradInput(*in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](LinearGradWeightOp) {
        linearGradWeight(*in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](WeightComposeOp) {
        weightCompose(*in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](WeightComposeGradFirstOp) {
        weightComposeGradFirst(*in[0], *in[1], out[0]);
        return true;
      })
      .Case([&](WeightComposeGradSecondOp) {
        weightComposeGradSecond(*in[0], *in[1], out[0]);
        return true;
      })
      .Default(false);
}
