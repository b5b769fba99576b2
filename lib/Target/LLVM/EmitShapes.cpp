//===- EmitShapes.cpp - Operations that move elements ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmitUtils.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace cambium::grow {

namespace {

void copy(KernelEmission &e, Value to, Value from, I64 count) {
  e.forVectors(0, count, [&](I64 offset, Value mask) {
    e.k.store(e.k.load(from, offset, mask), to, offset, mask);
  });
}

//===----------------------------------------------------------------------===//
// Flat copies
//===----------------------------------------------------------------------===//

KernelForm fill(FillOp op, const Signature &signature) {
  int64_t result = signature.bufferOf(op.getResult());
  double value = op.getValue().convertToDouble();
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    return flatLaunch(extents.elements(result));
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfElements(result, [&](I64 offset, Value mask) {
      e.k.store(e.splat(value), e.buffers[result], offset, mask);
    });
  };
  return form;
}

KernelForm reshape(Operation *op, const Signature &signature) {
  int64_t input = signature.bufferOf(op->getOperand(0));
  int64_t result = signature.bufferOf(op->getResult(0));
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    return flatLaunch(extents.elements(result));
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfElements(result, [&](I64 offset, Value mask) {
      e.k.store(e.k.load(e.buffers[input], offset, mask), e.buffers[result],
                offset, mask);
    });
  };
  return form;
}

//===----------------------------------------------------------------------===//
// Parts of the last dimension
//===----------------------------------------------------------------------===//

template <typename Int> Int rowsOfTask(Int channels) {
  return maxOf(Int(1), Int(flatBlock) / maxOf(channels, Int(1)));
}

/// A phase over the rows of a tensor.
KernelForm rowForm(int64_t tensor,
                   std::function<void(KernelEmission &, I64 row)> body) {
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {
        ceilDiv(extents.rows(tensor), rowsOfTask(extents.channels(tensor)))};
    return sizes;
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      I64 perTask = rowsOfTask(e.extents.channels(tensor));
      auto [first, last] = e.block(task, perTask, e.extents.rows(tensor));
      e.k.loop(first, last, [&](I64 row) { body(e, row); });
    });
  };
  return form;
}

KernelForm concat(Operation *op, const Signature &signature) {
  SmallVector<int64_t> parts;
  for (Value operand : op->getOperands())
    parts.push_back(signature.bufferOf(operand));
  int64_t result = signature.bufferOf(op->getResult(0));
  return rowForm(result, [=](KernelEmission &e, I64 row) {
    I64 offset = row * e.extents.channels(result);
    for (int64_t part : parts) {
      I64 channels = e.extents.channels(part);
      copy(e, e.k.at(e.buffers[result], offset),
           e.k.at(e.buffers[part], row * channels), channels);
      offset = offset + channels;
    }
  });
}

template <typename Op> KernelForm slice(Op op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t result = signature.bufferOf(op.getResult());
  int64_t offset = op.getOffset();
  return rowForm(result, [=](KernelEmission &e, I64 row) {
    I64 channels = e.extents.channels(result);
    I64 from = row * e.extents.channels(input) + offset;
    copy(e, e.k.at(e.buffers[result], row * channels),
         e.k.at(e.buffers[input], from), channels);
  });
}

//===----------------------------------------------------------------------===//
// Windows of filters
//===----------------------------------------------------------------------===//

/// A task is one place of the result's window: all filters' weights there.
KernelForm windowForm(
    int64_t result,
    std::function<void(KernelEmission &, I64 row, I64 column, Value to)> body) {
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {extents.shapes[result][0] * extents.shapes[result][1]};
    return sizes;
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      const auto &shape = e.extents.shapes[result];
      Value to = e.k.at(e.buffers[result], task * (shape[2] * shape[3]));
      body(e, task / shape[1], task % shape[1], to);
    });
  };
  return form;
}

/// Copies the weights at a place of the input's window.
void copyPlace(KernelEmission &e, int64_t input, I64 row, I64 column,
               Value to) {
  const auto &shape = e.extents.shapes[input];
  I64 weights = shape[2] * shape[3];
  I64 offset = (row * shape[1] + column) * weights;
  copy(e, to, e.k.at(e.buffers[input], offset), weights);
}

KernelForm pad(WeightPadOp op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t result = signature.bufferOf(op.getResult());
  int64_t top = op.getPadding()[0], left = op.getPadding()[1];
  return windowForm(
      result, [=](KernelEmission &e, I64 row, I64 column, Value to) {
        const auto &shape = e.extents.shapes[input];
        I64 inRow = row - top, inColumn = column - left;
        auto inside = [&](I64 place, I64 extent) {
          return e.k.both(e.k.lessEqual(0, place), e.k.less(place, extent));
        };
        e.k.ifThenElse(
            e.k.both(inside(inRow, shape[0]), inside(inColumn, shape[1])),
            [&] { copyPlace(e, input, inRow, inColumn, to); },
            [&] {
              e.forVectors(0, shape[2] * shape[3], [&](I64 offset, Value mask) {
                e.k.store(e.k.zeroVector(), to, offset, mask);
              });
            });
      });
}

KernelForm crop(WeightCropOp op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t result = signature.bufferOf(op.getResult());
  int64_t top = op.getPadding()[0], left = op.getPadding()[1];
  return windowForm(result,
                    [=](KernelEmission &e, I64 row, I64 column, Value to) {
                      copyPlace(e, input, row + top, column + left, to);
                    });
}

} // namespace

KernelForm shapeForm(Operation *op, const Signature &signature) {
  return llvm::TypeSwitch<Operation *, KernelForm>(op)
      .Case([&](FillOp fillOp) { return fill(fillOp, signature); })
      .Case<ReshapeOp, FlattenOp>([&](auto) { return reshape(op, signature); })
      .Case<ConcatOp, WeightConcatOp>(
          [&](auto) { return concat(op, signature); })
      .Case<SliceOp, WeightSliceOp>(
          [&](auto part) { return slice(part, signature); })
      .Case([&](WeightPadOp padOp) { return pad(padOp, signature); })
      .Case([&](WeightCropOp cropOp) { return crop(cropOp, signature); })
      .Default(KernelForm());
}

} // namespace cambium::grow
