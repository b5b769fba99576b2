//===- WeightOps.cpp - Expressions of parameters --------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "InferUtils.h"
#include "cambium/IR/Grow.h"

using namespace mlir;
using namespace cambium::grow;

OpFoldResult WeightSumOp::fold(FoldAdaptor) {
  return getTerms().size() == 1 ? getTerms()[0] : Value();
}

LogicalResult
WeightConcatOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                                 Adaptor adaptor,
                                 SmallVectorImpl<Type> &inferred) {
  return inferConcat(loc, "grow.weight_concat", adaptor.getParts(), inferred);
}

OpFoldResult WeightConcatOp::fold(FoldAdaptor) {
  return getParts().size() == 1 ? getParts()[0] : Value();
}

LogicalResult WeightSliceOp::inferReturnTypes(MLIRContext *,
                                              std::optional<Location> loc,
                                              Adaptor adaptor,
                                              SmallVectorImpl<Type> &inferred) {
  return inferSlice(loc, "grow.weight_slice", adaptor.getInput(),
                    adaptor.getOffset(), adaptor.getSize(), inferred);
}

OpFoldResult WeightSliceOp::fold(FoldAdaptor) {
  return coversLastExtent(getInput(), getOffset(), getSize()) &&
                 getInput().getType() == getType()
             ? getInput()
             : Value();
}

/// The window grown (sign 1) or shrunk (sign -1) by the padding.
static LogicalResult inferPad(std::optional<Location> loc, StringRef op,
                              Value input, ArrayRef<int64_t> padding,
                              int64_t sign, SmallVectorImpl<Type> &inferred) {
  auto type = cast<RankedTensorType>(input.getType());
  if (padding.size() != 4 ||
      llvm::any_of(padding, [](int64_t p) { return p < 0; }))
    return emitOptionalError(loc, "'", op,
                             "' op takes padding [top, left, bottom, right] "
                             "with no negative entry");
  SmallVector<int64_t> shape(type.getShape());
  for (int64_t d = 0; d < 2; ++d)
    if (!type.isDynamicDim(d))
      shape[d] += sign * (padding[d] + padding[d + 2]);
  if (sign < 0 && (shape[0] == 0 || shape[1] == 0 ||
                   (shape[0] < 0 && !type.isDynamicDim(0)) ||
                   (shape[1] < 0 && !type.isDynamicDim(1))))
    return emitOptionalError(loc, "'", op, "' op leaves nothing of a ",
                             type.getDimSize(0), "x", type.getDimSize(1),
                             " window");
  inferred.push_back(type.clone(shape));
  return success();
}

LogicalResult WeightPadOp::inferReturnTypes(MLIRContext *,
                                            std::optional<Location> loc,
                                            Adaptor adaptor,
                                            SmallVectorImpl<Type> &inferred) {
  return inferPad(loc, "grow.weight_pad", adaptor.getInput(),
                  adaptor.getPadding(), 1, inferred);
}

LogicalResult WeightCropOp::inferReturnTypes(MLIRContext *,
                                             std::optional<Location> loc,
                                             Adaptor adaptor,
                                             SmallVectorImpl<Type> &inferred) {
  return inferPad(loc, "grow.weight_crop", adaptor.getInput(),
                  adaptor.getPadding(), -1, inferred);
}

static bool allZero(ArrayRef<int64_t> values) {
  return llvm::all_of(values, [](int64_t v) { return v == 0; });
}

OpFoldResult WeightPadOp::fold(FoldAdaptor) {
  return allZero(getPadding()) ? getInput() : Value();
}

OpFoldResult WeightCropOp::fold(FoldAdaptor) {
  return allZero(getPadding()) ? getInput() : Value();
}

OpFoldResult WeightScaleOp::fold(FoldAdaptor) {
  return getFactor().isExactlyValue(1.0) ? getInput() : Value();
}

LogicalResult
WeightComposeOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                                  Adaptor adaptor,
                                  SmallVectorImpl<Type> &inferred) {
  auto first = cast<RankedTensorType>(adaptor.getFirst().getType());
  auto second = cast<RankedTensorType>(adaptor.getSecond().getType());
  StringRef name = "grow.weight_compose";
  for (int64_t d : {0, 1})
    if (!first.isDynamicDim(d) && first.getDimSize(d) != 1)
      return emitOptionalError(loc, "'", name, "' op: the first filter is ",
                               first, " but its window must be 1x1");
  if (failed(checkExtents(loc, name,
                          "the first filter's filters are not the second's "
                          "channels",
                          first.getDimSize(3), second.getDimSize(2))))
    return failure();
  inferred.push_back(first.clone({second.getDimSize(0), second.getDimSize(1),
                                  first.getDimSize(2), second.getDimSize(3)}));
  return success();
}

LogicalResult WeightComposeGradFirstOp::inferReturnTypes(
    MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
    SmallVectorImpl<Type> &inferred) {
  auto gradient = cast<RankedTensorType>(adaptor.getGradient().getType());
  auto second = cast<RankedTensorType>(adaptor.getSecond().getType());
  for (int64_t d : {0, 1, 3})
    if (failed(checkExtents(loc, "grow.weight_compose_grad_first",
                            "gradient and second filter differ in an extent",
                            gradient.getDimSize(d), second.getDimSize(d))))
      return failure();
  inferred.push_back(
      gradient.clone({1, 1, gradient.getDimSize(2), second.getDimSize(2)}));
  return success();
}

LogicalResult WeightComposeGradSecondOp::inferReturnTypes(
    MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
    SmallVectorImpl<Type> &inferred) {
  auto gradient = cast<RankedTensorType>(adaptor.getGradient().getType());
  auto first = cast<RankedTensorType>(adaptor.getFirst().getType());
  if (failed(checkExtents(loc, "grow.weight_compose_grad_second",
                          "gradient and first filter differ in channels",
                          gradient.getDimSize(2), first.getDimSize(2))))
    return failure();
  inferred.push_back(
      gradient.clone({gradient.getDimSize(0), gradient.getDimSize(1),
                      first.getDimSize(3), gradient.getDimSize(3)}));
  return success();
}
