//===- GradientOps.cpp - Gradients of layers ------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "InferUtils.h"
#include "cambium/IR/Grow.h"

using namespace mlir;
using namespace cambium::grow;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

/// Fails unless the forward operation on `input` and `filter` would give a
/// result of the gradient's type.
static LogicalResult checkForward(Operation *op,
                                  FailureOr<RankedTensorType> forward,
                                  Value gradient) {
  if (failed(forward))
    return failure();
  if (compatibleTypes(*forward, gradient.getType()))
    return success();
  return op->emitOpError() << "takes the gradient of a result of type "
                           << gradient.getType()
                           << ", but the forward operation gives " << *forward;
}

template <typename Op>
static LogicalResult verifyConvolutionGradient(Op op, RankedTensorType input,
                                               RankedTensorType filter) {
  return checkForward(
      op,
      inferConvolution(op.getLoc(), op.getOperationName(), input, filter,
                       {op.getStrides(), op.getPadding(), op.getDilations(),
                        static_cast<int64_t>(op.getGroups())}),
      op.getGradient());
}

LogicalResult Conv2DGradInputOp::verify() {
  return verifyConvolutionGradient(*this, getType(), typeOf(getFilter()));
}

LogicalResult Conv2DGradFilterOp::verify() {
  return verifyConvolutionGradient(*this, typeOf(getInput()), getType());
}

LogicalResult
LinearGradInputOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                                    Adaptor adaptor,
                                    SmallVectorImpl<Type> &inferred) {
  RankedTensorType gradient = typeOf(adaptor.getGradient());
  RankedTensorType weight = typeOf(adaptor.getWeight());
  inferred.push_back(
      gradient.clone({gradient.getDimSize(0), weight.getDimSize(0)}));
  return checkExtents(loc, "grow.linear_grad_input",
                      "the gradient's features are not the weight's columns",
                      gradient.getDimSize(1), weight.getDimSize(1));
}

LogicalResult
LinearGradWeightOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                                     Adaptor adaptor,
                                     SmallVectorImpl<Type> &inferred) {
  RankedTensorType input = typeOf(adaptor.getInput());
  RankedTensorType gradient = typeOf(adaptor.getGradient());
  inferred.push_back(
      input.clone({input.getDimSize(1), gradient.getDimSize(1)}));
  return checkExtents(loc, "grow.linear_grad_weight",
                      "input and gradient differ in the batch",
                      input.getDimSize(0), gradient.getDimSize(0));
}

LogicalResult ChannelSumOp::inferReturnTypes(MLIRContext *,
                                             std::optional<Location> loc,
                                             Adaptor adaptor,
                                             SmallVectorImpl<Type> &inferred) {
  RankedTensorType type = typeOf(adaptor.getInput());
  if (type.getRank() == 0)
    return emitOptionalError(
        loc, "'grow.channel_sum' op needs a last dimension, but the input is a "
             "scalar");
  inferred.push_back(type.clone({type.getShape().back()}));
  return success();
}

LogicalResult
MaxPool2DGradOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                                  Adaptor adaptor,
                                  SmallVectorImpl<Type> &inferred) {
  const int64_t once[] = {1, 1};
  RankedTensorType input = typeOf(adaptor.getInput());
  FailureOr<RankedTensorType> forward =
      inferPooling(loc, "grow.max_pool2d_grad", input, adaptor.getWindow(),
                   {adaptor.getStrides(), adaptor.getPadding(), once, 1}, true);
  if (failed(forward))
    return failure();
  if (!compatibleTypes(*forward, adaptor.getGradient().getType()))
    return emitOptionalError(
        loc,
        "'grow.max_pool2d_grad' op takes the gradient of a result of type ",
        adaptor.getGradient().getType(), ", but the forward operation gives ",
        *forward);
  inferred.push_back(input);
  return success();
}

LogicalResult AvgPool2DGradOp::verify() {
  const int64_t once[] = {1, 1};
  return checkForward(
      *this,
      inferPooling(getLoc(), getOperationName(), getType(), getWindow(),
                   {getStrides(), getPadding(), once, 1}, false),
      getGradient());
}

LogicalResult GlobalAvgPoolGradOp::verify() {
  RankedTensorType type = getType();
  return checkForward(*this,
                      type.clone({type.getDimSize(0), type.getDimSize(3)}),
                      getGradient());
}

static LogicalResult checkVectors(std::optional<Location> loc, StringRef op,
                                  Value input, ValueRange vectors) {
  return success(llvm::all_of(vectors, [&](Value vector) {
    return succeeded(checkChannels(loc, op, "a vector", input, vector));
  }));
}

LogicalResult
BatchNormStatsOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                                   Adaptor adaptor,
                                   SmallVectorImpl<Type> &inferred) {
  inferred.append(4, adaptor.getRunningMean().getType());
  return checkVectors(loc, "grow.batch_norm_stats", adaptor.getInput(),
                      {adaptor.getRunningMean(), adaptor.getRunningVariance()});
}

LogicalResult
BatchNormGradOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                                  Adaptor adaptor,
                                  SmallVectorImpl<Type> &inferred) {
  Type vector = adaptor.getScale().getType();
  inferred.append({adaptor.getInput().getType(), vector, vector});
  if (!compatibleTypes(adaptor.getInput().getType(),
                       adaptor.getGradient().getType()))
    return emitOptionalError(loc, "'grow.batch_norm_grad' op: the input is ",
                             adaptor.getInput().getType(),
                             " but the gradient is ",
                             adaptor.getGradient().getType());
  return checkVectors(
      loc, "grow.batch_norm_grad", adaptor.getInput(),
      {adaptor.getScale(), adaptor.getMean(), adaptor.getVariance()});
}
