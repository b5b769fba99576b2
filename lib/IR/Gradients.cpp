//===- Gradients.cpp - Rules of reverse-mode differentiation --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every gradient has the type of the value it belongs to, which may know fewer
// or more extents than inference would: the rules give result types explicitly.
//
// A rule is called only if some operand needs a gradient, so rules of one
// operand do not ask.
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"

using namespace mlir;
using namespace cambium::grow;

/// A tensor of `type` full of `value`. A dynamic batch is that of `batchOf`.
static Value fill(OpBuilder &builder, Location loc, RankedTensorType type,
                  double value, Value batchOf = {}) {
  return FillOp::create(builder, loc, type, llvm::APFloat(value),
                        type.hasStaticShape() ? Value() : batchOf);
}

static RankedTensorType withLastExtent(RankedTensorType type, int64_t extent) {
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = extent;
  return type.clone(shape);
}

/// The gradients of the parts of a concatenation: ranges of the result's.
template <typename Slice>
static void sliceGradients(OpBuilder &builder, Location loc, Value gradient,
                           ValueRange parts, ArrayRef<bool> needed,
                           MutableArrayRef<Value> operandGradients) {
  int64_t offset = 0;
  for (auto [i, part] : llvm::enumerate(parts)) {
    auto type = cast<RankedTensorType>(part.getType());
    int64_t size = type.getShape().back();
    if (needed[i])
      operandGradients[i] =
          Slice::create(builder, loc, type, gradient, offset, size);
    offset += size;
  }
}

/// The gradient of the input of a slice: the result's, with zeros around it.
template <typename Concat>
static Value unsliceGradient(OpBuilder &builder, Location loc, Value gradient,
                             RankedTensorType type, int64_t offset,
                             int64_t size) {
  int64_t behind = type.getShape().back() - offset - size;
  SmallVector<Value, 3> parts;
  auto addZeros = [&](int64_t extent) {
    if (extent > 0)
      parts.push_back(
          fill(builder, loc, withLastExtent(type, extent), 0.0, gradient));
  };
  addZeros(offset);
  parts.push_back(gradient);
  addZeros(behind);
  return Concat::create(builder, loc, type, parts);
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

LogicalResult
Conv2DOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                         ArrayRef<bool> needed,
                         MutableArrayRef<Value> operandGradients) {
  Value gradient = resultGradients[0];
  if (needed[0])
    operandGradients[0] = Conv2DGradInputOp::create(
        builder, getLoc(), getInput().getType(), gradient, getFilter(),
        getStridesAttr(), getPaddingAttr(), getDilationsAttr(),
        getGroupsAttr());
  if (needed[1])
    operandGradients[1] = Conv2DGradFilterOp::create(
        builder, getLoc(), getFilter().getType(), getInput(), gradient,
        getStridesAttr(), getPaddingAttr(), getDilationsAttr(),
        getGroupsAttr());
  return success();
}

LogicalResult
LinearOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                         ArrayRef<bool> needed,
                         MutableArrayRef<Value> operandGradients) {
  Value gradient = resultGradients[0];
  if (needed[0])
    operandGradients[0] = LinearGradInputOp::create(
        builder, getLoc(), getInput().getType(), gradient, getWeight());
  if (needed[1])
    operandGradients[1] = LinearGradWeightOp::create(
        builder, getLoc(), getWeight().getType(), getInput(), gradient);
  return success();
}

//===----------------------------------------------------------------------===//
// Pointwise operations
//===----------------------------------------------------------------------===//

LogicalResult
BiasAddOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                          ArrayRef<bool> needed,
                          MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = resultGradients[0];
  if (needed[1])
    operandGradients[1] = ChannelSumOp::create(
        builder, getLoc(), getBias().getType(), resultGradients[0]);
  return success();
}

LogicalResult
ChannelScaleOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                               ArrayRef<bool> needed,
                               MutableArrayRef<Value> operandGradients) {
  Value gradient = resultGradients[0];
  Type type = getInput().getType();
  if (needed[0])
    operandGradients[0] =
        ChannelScaleOp::create(builder, getLoc(), type, gradient, getScale());
  if (needed[1]) {
    Value product =
        MulOp::create(builder, getLoc(), type, gradient, getInput());
    operandGradients[1] =
        ChannelSumOp::create(builder, getLoc(), getScale().getType(), product);
  }
  return success();
}

LogicalResult ReluOp::buildGradients(OpBuilder &builder,
                                     ValueRange resultGradients, ArrayRef<bool>,
                                     MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = ReluGradOp::create(
      builder, getLoc(), getInput().getType(), getResult(), resultGradients[0]);
  return success();
}

LogicalResult
LeakyReluOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                            ArrayRef<bool>,
                            MutableArrayRef<Value> operandGradients) {
  operandGradients[0] =
      LeakyReluGradOp::create(builder, getLoc(), getInput().getType(),
                              getResult(), resultGradients[0], getSlopeAttr());
  return success();
}

LogicalResult GeluOp::buildGradients(OpBuilder &builder,
                                     ValueRange resultGradients, ArrayRef<bool>,
                                     MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = GeluGradOp::create(
      builder, getLoc(), getInput().getType(), getInput(), resultGradients[0]);
  return success();
}

LogicalResult SiluOp::buildGradients(OpBuilder &builder,
                                     ValueRange resultGradients, ArrayRef<bool>,
                                     MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = SiluGradOp::create(
      builder, getLoc(), getInput().getType(), getInput(), resultGradients[0]);
  return success();
}

LogicalResult TanhOp::buildGradients(OpBuilder &builder,
                                     ValueRange resultGradients, ArrayRef<bool>,
                                     MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = TanhGradOp::create(
      builder, getLoc(), getInput().getType(), getResult(), resultGradients[0]);
  return success();
}

LogicalResult
SigmoidOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                          ArrayRef<bool>,
                          MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = SigmoidGradOp::create(
      builder, getLoc(), getInput().getType(), getResult(), resultGradients[0]);
  return success();
}

LogicalResult AddOp::buildGradients(OpBuilder &, ValueRange resultGradients,
                                    ArrayRef<bool>,
                                    MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = operandGradients[1] = resultGradients[0];
  return success();
}

LogicalResult MulOp::buildGradients(OpBuilder &builder,
                                    ValueRange resultGradients,
                                    ArrayRef<bool> needed,
                                    MutableArrayRef<Value> operandGradients) {
  for (unsigned i : {0, 1})
    if (needed[i])
      operandGradients[i] =
          MulOp::create(builder, getLoc(), getOperand(i).getType(),
                        resultGradients[0], getOperand(1 - i));
  return success();
}

LogicalResult ScaleOp::buildGradients(OpBuilder &builder,
                                      ValueRange resultGradients,
                                      ArrayRef<bool>,
                                      MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = ScaleOp::create(builder, getLoc(), getInput().getType(),
                                        resultGradients[0], getFactorAttr());
  return success();
}

//===----------------------------------------------------------------------===//
// Pooling
//===----------------------------------------------------------------------===//

LogicalResult
MaxPool2DOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                            ArrayRef<bool>,
                            MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = MaxPool2DGradOp::create(
      builder, getLoc(), getInput().getType(), getInput(), resultGradients[0],
      getWindowAttr(), getStridesAttr(), getPaddingAttr());
  return success();
}

LogicalResult
AvgPool2DOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                            ArrayRef<bool>,
                            MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = AvgPool2DGradOp::create(
      builder, getLoc(), getInput().getType(), resultGradients[0],
      getWindowAttr(), getStridesAttr(), getPaddingAttr());
  return success();
}

LogicalResult
GlobalAvgPoolOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                                ArrayRef<bool>,
                                MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = GlobalAvgPoolGradOp::create(
      builder, getLoc(), getInput().getType(), resultGradients[0]);
  return success();
}

//===----------------------------------------------------------------------===//
// Normalisation
//===----------------------------------------------------------------------===//

/// With given statistics, batch_norm is affine in its input:
/// `y = x^ * scale + shift` where `x^ = (x - mean) / sqrt(variance + epsilon)`.
static void buildAffineGradients(BatchNormOp op, OpBuilder &builder,
                                 Value gradient, ArrayRef<bool> needed,
                                 MutableArrayRef<Value> operandGradients) {
  Location loc = op.getLoc();
  RankedTensorType type = op.getInput().getType();
  RankedTensorType vector = op.getScale().getType();
  Value zero =
      needed[0] || needed[1] ? fill(builder, loc, vector, 0.0) : Value();
  auto normalize = [&](Value input, Value scale, Value mean) -> Value {
    return BatchNormOp::create(builder, loc, type, input, scale, /*shift=*/zero,
                               mean, op.getVariance(), /*momentum=*/FloatAttr(),
                               op.getEpsilonAttr(), builder.getUnitAttr());
  };
  if (needed[0])
    operandGradients[0] = normalize(gradient, op.getScale(), zero);
  if (needed[1]) {
    Value one = fill(builder, loc, vector, 1.0);
    Value normalized = normalize(op.getInput(), one, op.getMean());
    Value product = MulOp::create(builder, loc, type, gradient, normalized);
    operandGradients[1] = ChannelSumOp::create(builder, loc, vector, product);
  }
  if (needed[2])
    operandGradients[2] =
        ChannelSumOp::create(builder, loc, op.getShift().getType(), gradient);
}

/// The statistics that make `op` a normalisation by its own input, or null.
static BatchNormStatsOp ownStatistics(BatchNormOp op) {
  auto stats = op.getMean().getDefiningOp<BatchNormStatsOp>();
  bool own = stats && stats.getInput() == op.getInput() &&
             stats.getMean() == op.getMean() &&
             stats.getVariance() == op.getVariance();
  return own ? stats : BatchNormStatsOp();
}

LogicalResult
BatchNormOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                            ArrayRef<bool> needed,
                            MutableArrayRef<Value> operandGradients) {
  Value gradient = resultGradients[0];
  if (!getInference())
    return emitOpError(
        "cannot be differentiated while the batch's statistics are not values: "
        "take them from grow.batch_norm_stats and set `inference`");
  if (!ownStatistics(*this)) {
    buildAffineGradients(*this, builder, gradient, needed, operandGradients);
    return success();
  }
  auto grad = BatchNormGradOp::create(
      builder, getLoc(), getInput().getType(), getScale().getType(),
      getShift().getType(), getInput(), getScale(), getMean(), getVariance(),
      gradient, getEpsilonAttr());
  llvm::copy(grad.getResults(), operandGradients.begin());
  return success();
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

LogicalResult
ReshapeOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                          ArrayRef<bool>,
                          MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = ReshapeOp::create(
      builder, getLoc(), getInput().getType(), resultGradients[0]);
  return success();
}

LogicalResult
FlattenOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                          ArrayRef<bool>,
                          MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = ReshapeOp::create(
      builder, getLoc(), getInput().getType(), resultGradients[0]);
  return success();
}

LogicalResult
ConcatOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                         ArrayRef<bool> needed,
                         MutableArrayRef<Value> operandGradients) {
  sliceGradients<SliceOp>(builder, getLoc(), resultGradients[0], getInputs(),
                          needed, operandGradients);
  return success();
}

LogicalResult SliceOp::buildGradients(OpBuilder &builder,
                                      ValueRange resultGradients,
                                      ArrayRef<bool>,
                                      MutableArrayRef<Value> operandGradients) {
  operandGradients[0] =
      unsliceGradient<ConcatOp>(builder, getLoc(), resultGradients[0],
                                getInput().getType(), getOffset(), getSize());
  return success();
}

/// Of its operand a fill takes the batch's size alone.
LogicalResult FillOp::buildGradients(OpBuilder &, ValueRange, ArrayRef<bool>,
                                     MutableArrayRef<Value>) {
  return success();
}

//===----------------------------------------------------------------------===//
// Losses
//===----------------------------------------------------------------------===//

LogicalResult SoftmaxCrossEntropyOp::buildGradients(
    OpBuilder &builder, ValueRange resultGradients, ArrayRef<bool>,
    MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = SoftmaxCrossEntropyGradOp::create(
      builder, getLoc(), getLogits().getType(), getLogits(), getLabels(),
      resultGradients[0]);
  return success();
}

LogicalResult MseOp::buildGradients(OpBuilder &builder,
                                    ValueRange resultGradients,
                                    ArrayRef<bool> needed,
                                    MutableArrayRef<Value> operandGradients) {
  if (needed[0])
    operandGradients[0] =
        MseGradOp::create(builder, getLoc(), getInput().getType(), getInput(),
                          getTarget(), resultGradients[0]);
  return success();
}

//===----------------------------------------------------------------------===//
// Weight expressions
//===----------------------------------------------------------------------===//

/// All terms share one value, by which later passes know that they may be
/// updated together.
LogicalResult
WeightSumOp::buildGradients(OpBuilder &, ValueRange resultGradients,
                            ArrayRef<bool>,
                            MutableArrayRef<Value> operandGradients) {
  llvm::fill(operandGradients, resultGradients[0]);
  return success();
}

LogicalResult
WeightConcatOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                               ArrayRef<bool> needed,
                               MutableArrayRef<Value> operandGradients) {
  sliceGradients<WeightSliceOp>(builder, getLoc(), resultGradients[0],
                                getParts(), needed, operandGradients);
  return success();
}

LogicalResult
WeightSliceOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                              ArrayRef<bool>,
                              MutableArrayRef<Value> operandGradients) {
  operandGradients[0] = unsliceGradient<WeightConcatOp>(
      builder, getLoc(), resultGradients[0], getInput().getType(), getOffset(),
      getSize());
  return success();
}

LogicalResult
WeightPadOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                            ArrayRef<bool>,
                            MutableArrayRef<Value> operandGradients) {
  operandGradients[0] =
      WeightCropOp::create(builder, getLoc(), getInput().getType(),
                           resultGradients[0], getPaddingAttr());
  return success();
}

LogicalResult
WeightCropOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                             ArrayRef<bool>,
                             MutableArrayRef<Value> operandGradients) {
  operandGradients[0] =
      WeightPadOp::create(builder, getLoc(), getInput().getType(),
                          resultGradients[0], getPaddingAttr());
  return success();
}

LogicalResult
WeightScaleOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                              ArrayRef<bool>,
                              MutableArrayRef<Value> operandGradients) {
  operandGradients[0] =
      WeightScaleOp::create(builder, getLoc(), getInput().getType(),
                            resultGradients[0], getFactorAttr());
  return success();
}

LogicalResult
WeightComposeOp::buildGradients(OpBuilder &builder, ValueRange resultGradients,
                                ArrayRef<bool> needed,
                                MutableArrayRef<Value> operandGradients) {
  Value gradient = resultGradients[0];
  if (needed[0])
    operandGradients[0] = WeightComposeGradFirstOp::create(
        builder, getLoc(), getFirst().getType(), gradient, getSecond());
  if (needed[1])
    operandGradients[1] = WeightComposeGradSecondOp::create(
        builder, getLoc(), getSecond().getType(), gradient, getFirst());
  return success();
}
