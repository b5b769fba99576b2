//===- Shapes.cpp - Operations that move elements -------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compute.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace cambium;
using namespace cambium::grow;

namespace {

void concat(Inputs parts, ReferenceTensor &y) {
  int64_t columns = y.shape.back(), offset = 0;
  for (const ReferenceTensor *part : parts) {
    int64_t width = part->shape.back();
    for (int64_t i = 0; i < part->elements(); ++i)
      y.data[i / width * columns + offset + i % width] = part->data[i];
    offset += width;
  }
}

void slice(int64_t offset, const ReferenceTensor &x, ReferenceTensor &y) {
  int64_t columns = x.shape.back(), width = y.shape.back();
  for (int64_t i = 0; i < y.elements(); ++i)
    y.data[i] = x.data[i / width * columns + offset + i % width];
}

/// Calls `visit(small, large)` with the offsets of the elements of a filter
/// inside one with a border of `padding` around its window.
template <typename Visitor>
void forEachInside(llvm::ArrayRef<int64_t> padding, const Shape &small,
                   const Shape &large, Visitor visit) {
  int64_t inner = small[2] * small[3];
  for (int64_t h = 0; h < small[0]; ++h)
    for (int64_t w = 0; w < small[1]; ++w)
      for (int64_t i = 0; i < inner; ++i)
        visit((h * small[1] + w) * inner + i,
              ((h + padding[0]) * large[1] + w + padding[1]) * inner + i);
}

void weightPad(WeightPadOp op, const ReferenceTensor &x, ReferenceTensor &y) {
  forEachInside(
      op.getPadding(), x.shape, y.shape,
      [&](int64_t small, int64_t large) { y.data[large] = x.data[small]; });
}

void weightCrop(WeightCropOp op, const ReferenceTensor &x, ReferenceTensor &y) {
  forEachInside(
      op.getPadding(), y.shape, x.shape,
      [&](int64_t small, int64_t large) { y.data[small] = x.data[large]; });
}

bool constant(mlir::arith::ConstantOp op, ReferenceTensor &y) {
  auto elements = mlir::dyn_cast<mlir::DenseElementsAttr>(op.getValue());
  if (!elements)
    return false;
  int64_t i = 0;
  if (mlir::isa<mlir::FloatType>(elements.getElementType())) {
    for (const llvm::APFloat &value : elements.getValues<llvm::APFloat>())
      y.data[i++] = value.convertToDouble();
    return true;
  }
  for (const llvm::APInt &value : elements.getValues<llvm::APInt>())
    y.data[i++] = static_cast<double>(value.getSExtValue());
  return true;
}

} // namespace

bool cambium::computeShape(mlir::Operation *op, Inputs in, Outputs out) {
  return llvm::TypeSwitch<mlir::Operation *, bool>(op)
      .Case<ReshapeOp, FlattenOp>([&](auto) {
        out[0].data = in[0]->data;
        return true;
      })
      .Case<ConcatOp, WeightConcatOp>([&](auto) {
        concat(in, out[0]);
        return true;
      })
      .Case<SliceOp, WeightSliceOp>([&](auto range) {
        slice(static_cast<int64_t>(range.getOffset()), *in[0], out[0]);
        return true;
      })
      .Case([&](FillOp fill) {
        std::fill(out[0].data.begin(), out[0].data.end(),
                  fill.getValue().convertToDouble());
        return true;
      })
      .Case([&](WeightPadOp pad) {
        weightPad(pad, *in[0], out[0]);
        return true;
      })
      .Case([&](WeightCropOp crop) {
        weightCrop(crop, *in[0], out[0]);
        return true;
      })
      .Case([&](mlir::arith::ConstantOp value) {
        return constant(value, out[0]);
      })
      .Default(false);
}
