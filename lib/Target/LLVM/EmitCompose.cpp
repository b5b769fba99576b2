//===- EmitCompose.cpp - Filters of two convolutions in a row -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// With the 1x1 filter a[c, m], the second filter b[t, m, f] and their
// composition w[t, c, f], where t counts the places of the window:
//
//   w[t, c, f]  = sum over m of a[c, m] * b[t, m, f]
//   db[t, m, f] = sum over c of a[c, m] * dw[t, c, f]
//   da[c, m]    = sum over t and f of dw[t, c, f] * b[t, m, f]
//
// These are small: weights, not activations.
//
//===----------------------------------------------------------------------===//

#include "EmitUtils.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace cambium::grow {

namespace {

/// w or db: at each place, rows of the result are combinations of rows of
/// `from`, with factors a[row, term] or, transposed, a[term, row].
KernelForm combinationForm(int64_t first, int64_t from, int64_t result,
                           bool transposed) {
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {extents.rows(result)};
    return sizes;
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      KernelBuilder &k = e.k;
      I64 filters = e.extents.channels(result);
      I64 terms = e.extents.shapes[from][2];
      I64 rows = e.extents.shapes[result][2];
      I64 middle = e.extents.channels(first);
      I64 place = task / rows, row = task % rows;
      e.forVectors(0, filters, [&](I64 filter, Value mask) {
        Values sum =
            k.loop(0, terms, k.zeroVector(),
                   [&](I64 term, ValueRange carried) -> Values {
                     I64 factorAt =
                         transposed ? term * middle + row : row * middle + term;
                     Value factor =
                         k.broadcast(k.loadFloat(e.buffers[first], factorAt));
                     I64 offset = (place * terms + term) * filters + filter;
                     Value weights = k.load(e.buffers[from], offset, mask);
                     return {k.fma(factor, weights, carried[0])};
                   });
        k.store(sum[0], e.buffers[result], task * filters + filter, mask);
      });
    });
  };
  return form;
}

KernelForm gradFirst(WeightComposeGradFirstOp op, const Signature &signature) {
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t second = signature.bufferOf(op.getSecond());
  int64_t result = signature.bufferOf(op.getResult());
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {extents.elements(result)};
    return sizes;
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      KernelBuilder &k = e.k;
      const auto &shape = e.extents.shapes[gradient];
      I64 places = shape[0] * shape[1], channels = shape[2];
      I64 filters = shape[3], middle = e.extents.shapes[second][2];
      I64 channel = task / middle, term = task % middle;
      Values sum =
          k.loop(0, places, k.zeroVector(), [&](I64 place, ValueRange outer) {
            I64 left = (place * channels + channel) * filters;
            I64 right = (place * middle + term) * filters;
            return e.forVectors(
                0, filters, outer,
                [&](I64 filter, Value mask, ValueRange carried) -> Values {
                  Value dw = k.load(e.buffers[gradient], left + filter, mask);
                  Value b = k.load(e.buffers[second], right + filter, mask);
                  return {k.fma(dw, b, carried[0])};
                });
          });
      k.storeFloat(e.reduce(sum[0], vector::CombiningKind::ADD),
                   e.buffers[result], task);
    });
  };
  return form;
}

} // namespace

KernelForm composeForm(Operation *op, const Signature &signature) {
  auto buffer = [&](Value value) { return signature.bufferOf(value); };
  return llvm::TypeSwitch<Operation *, KernelForm>(op)
      .Case([&](WeightComposeOp compose) {
        return combinationForm(buffer(compose.getFirst()),
                               buffer(compose.getSecond()),
                               buffer(compose.getResult()), false);
      })
      .Case([&](WeightComposeGradSecondOp grad) {
        return combinationForm(buffer(grad.getFirst()),
                               buffer(grad.getGradient()),
                               buffer(grad.getResult()), true);
      })
      .Case([&](WeightComposeGradFirstOp grad) {
        return gradFirst(grad, signature);
      })
      .Default(KernelForm());
}

} // namespace cambium::grow
