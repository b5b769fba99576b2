//===- LayerOps.cpp - Layers of networks ----------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "InferUtils.h"
#include "cambium/IR/Grow.h"

#include "mlir/IR/Matchers.h"

using namespace mlir;
using namespace cambium::grow;

static RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

//===----------------------------------------------------------------------===//
// Shared inference
//===----------------------------------------------------------------------===//

LogicalResult cambium::grow::checkExtents(std::optional<Location> loc,
                                          StringRef op, StringRef what,
                                          int64_t a, int64_t b) {
  if (a == b || ShapedType::isDynamic(a) || ShapedType::isDynamic(b))
    return success();
  return emitOptionalError(loc, "'", op, "' op ", what, ": ", a, " against ",
                           b);
}

LogicalResult cambium::grow::checkGeometry(std::optional<Location> loc,
                                           StringRef op,
                                           const Geometry &geometry) {
  auto below = [](ArrayRef<int64_t> values, int64_t least) {
    return llvm::any_of(values, [=](int64_t v) { return v < least; });
  };
  if (geometry.strides.size() != 2 || below(geometry.strides, 1))
    return emitOptionalError(
        loc, "'", op, "' op takes stride [h, w] with entries of at least 1");
  if (geometry.dilations.size() != 2 || below(geometry.dilations, 1))
    return emitOptionalError(
        loc, "'", op, "' op takes dilation [h, w] with entries of at least 1");
  size_t count = geometry.padding.size();
  if ((count != 2 && count != 4) || below(geometry.padding, 0))
    return emitOptionalError(loc, "'", op,
                             "' op takes padding [h, w] or [top, left, bottom, "
                             "right] with no negative entry");
  if (geometry.groups < 1)
    return emitOptionalError(loc, "'", op, "' op needs at least one group");
  return success();
}

/// Extents of the window positions; fails where the window does not fit.
static FailureOr<std::array<int64_t, 2>>
inferPositions(std::optional<Location> loc, StringRef op,
               RankedTensorType input, ArrayRef<int64_t> window,
               const Geometry &geometry) {
  std::array<int64_t, 4> padding = expandPadding(geometry.padding);
  std::array<int64_t, 2> positions;
  for (int d = 0; d < 2; ++d) {
    positions[d] =
        windowPositions(input.getDimSize(d + 1), padding[d], padding[d + 2],
                        window[d], geometry.strides[d], geometry.dilations[d]);
    if (positions[d] == 0)
      return emitOptionalError(
          loc, "'", op, "' op: a window of ", window[d], " with dilation ",
          geometry.dilations[d], " does not fit a padded ",
          d == 0 ? "height" : "width", " of ",
          input.getDimSize(d + 1) + padding[d] + padding[d + 2]);
  }
  return positions;
}

FailureOr<RankedTensorType>
cambium::grow::inferConvolution(std::optional<Location> loc, StringRef op,
                                RankedTensorType input, RankedTensorType filter,
                                const Geometry &geometry) {
  if (failed(checkGeometry(loc, op, geometry)))
    return failure();
  int64_t channels = input.getDimSize(3), filters = filter.getDimSize(3);
  int64_t groups = geometry.groups;
  for (auto [extent, what] :
       {std::pair(channels, "channels"), std::pair(filters, "filters")})
    if (!ShapedType::isDynamic(extent) && extent % groups != 0)
      return emitOptionalError(loc, "'", op, "' op: ", extent, " ", what,
                               " do not divide into ", groups, " groups");
  if (!ShapedType::isDynamic(channels) && !filter.isDynamicDim(2) &&
      filter.getDimSize(2) * groups != channels)
    return emitOptionalError(loc, "'", op, "' op: the input has ", channels,
                             " channels, so the filter's third extent must be ",
                             channels / groups, ", but it is ",
                             filter.getDimSize(2));
  FailureOr<std::array<int64_t, 2>> positions =
      inferPositions(loc, op, input, filter.getShape().take_front(2), geometry);
  if (failed(positions))
    return failure();
  return input.clone(
      {input.getDimSize(0), (*positions)[0], (*positions)[1], filters});
}

FailureOr<RankedTensorType>
cambium::grow::inferPooling(std::optional<Location> loc, StringRef op,
                            RankedTensorType input, ArrayRef<int64_t> window,
                            const Geometry &geometry, bool paddingBelowWindow) {
  if (window.size() != 2 || window[0] < 1 || window[1] < 1)
    return emitOptionalError(
        loc, "'", op, "' op takes window [h, w] with entries of at least 1");
  if (failed(checkGeometry(loc, op, geometry)))
    return failure();
  std::array<int64_t, 4> padding = expandPadding(geometry.padding);
  for (int i = 0; paddingBelowWindow && i < 4; ++i)
    if (padding[i] >= window[i % 2])
      return emitOptionalError(loc, "'", op, "' op: padding ", padding[i],
                               " is not smaller than the window of ",
                               window[i % 2],
                               ", so a window could be padding alone");
  FailureOr<std::array<int64_t, 2>> positions =
      inferPositions(loc, op, input, window, geometry);
  if (failed(positions))
    return failure();
  return input.clone({input.getDimSize(0), (*positions)[0], (*positions)[1],
                      input.getDimSize(3)});
}

LogicalResult cambium::grow::inferConcat(std::optional<Location> loc,
                                         StringRef op, ValueRange parts,
                                         SmallVectorImpl<Type> &inferred) {
  if (parts.empty())
    return emitOptionalError(loc, "'", op, "' op needs at least one part");
  RankedTensorType first = typeOf(parts[0]);
  if (first.getRank() == 0)
    return emitOptionalError(loc, "'", op,
                             "' op joins along the last dimension, but a "
                             "scalar has none");
  SmallVector<int64_t> shape(first.getShape());
  for (auto [index, part] : llvm::enumerate(parts.drop_front())) {
    RankedTensorType type = typeOf(part);
    if (type.getRank() != first.getRank())
      return emitOptionalError(loc, "'", op, "' op: part ", index + 1,
                               " has rank ", type.getRank(),
                               " but the first has rank ", first.getRank());
    for (int64_t d = 0; d + 1 < first.getRank(); ++d)
      if (failed(checkExtents(loc, op,
                              "parts differ in another extent than the last",
                              type.getDimSize(d), first.getDimSize(d))))
        return failure();
    bool dynamic = ShapedType::isDynamic(shape.back()) ||
                   type.isDynamicDim(type.getRank() - 1);
    shape.back() =
        dynamic ? ShapedType::kDynamic : shape.back() + type.getShape().back();
  }
  inferred.push_back(first.clone(shape));
  return success();
}

LogicalResult cambium::grow::inferSlice(std::optional<Location> loc,
                                        StringRef op, Value input,
                                        int64_t offset, int64_t size,
                                        SmallVectorImpl<Type> &inferred) {
  RankedTensorType type = typeOf(input);
  if (type.getRank() == 0)
    return emitOptionalError(loc, "'", op,
                             "' op takes a range of the last dimension, but a "
                             "scalar has none");
  int64_t extent = type.getShape().back();
  if (offset < 0 || size < 1 ||
      (!ShapedType::isDynamic(extent) && offset + size > extent))
    return emitOptionalError(loc, "'", op, "' op: the range [", offset, ", ",
                             offset + size, ") is not inside the last extent ",
                             extent);
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = size;
  inferred.push_back(type.clone(shape));
  return success();
}

bool cambium::grow::coversLastExtent(Value input, int64_t offset,
                                     int64_t size) {
  return offset == 0 && typeOf(input).getShape().back() == size;
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

LogicalResult Conv2DOp::inferReturnTypes(MLIRContext *,
                                         std::optional<Location> loc,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &inferred) {
  FailureOr<RankedTensorType> type = inferConvolution(
      loc, "grow.conv2d", typeOf(adaptor.getInput()),
      typeOf(adaptor.getFilter()),
      {adaptor.getStrides(), adaptor.getPadding(), adaptor.getDilations(),
       static_cast<int64_t>(adaptor.getGroups())});
  if (failed(type))
    return failure();
  inferred.push_back(*type);
  return success();
}

LogicalResult LinearOp::inferReturnTypes(MLIRContext *,
                                         std::optional<Location> loc,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &inferred) {
  RankedTensorType input = typeOf(adaptor.getInput());
  RankedTensorType weight = typeOf(adaptor.getWeight());
  if (failed(checkExtents(loc, "grow.linear",
                          "the input's features are not the weight's rows",
                          input.getDimSize(1), weight.getDimSize(0))))
    return failure();
  inferred.push_back(input.clone({input.getDimSize(0), weight.getDimSize(1)}));
  return success();
}

//===----------------------------------------------------------------------===//
// Pointwise operations
//===----------------------------------------------------------------------===//

LogicalResult cambium::grow::checkChannels(std::optional<Location> loc,
                                           StringRef op, StringRef what,
                                           Value input, Value vector) {
  RankedTensorType type = typeOf(input);
  if (type.getRank() == 0)
    return emitOptionalError(loc, "'", op,
                             "' op needs a last dimension, but "
                             "the input is a scalar");
  int64_t channels = type.getShape().back();
  int64_t extent = typeOf(vector).getDimSize(0);
  if (channels == extent || ShapedType::isDynamic(channels) ||
      ShapedType::isDynamic(extent))
    return success();
  return emitOptionalError(loc, "'", op, "' op: ", what, " has ", extent,
                           " elements but the input has ", channels,
                           " channels");
}

LogicalResult BiasAddOp::inferReturnTypes(MLIRContext *,
                                          std::optional<Location> loc,
                                          Adaptor adaptor,
                                          SmallVectorImpl<Type> &inferred) {
  inferred.push_back(adaptor.getInput().getType());
  return checkChannels(loc, "grow.bias_add", "the bias", adaptor.getInput(),
                       adaptor.getBias());
}

LogicalResult
ChannelScaleOp::inferReturnTypes(MLIRContext *, std::optional<Location> loc,
                                 Adaptor adaptor,
                                 SmallVectorImpl<Type> &inferred) {
  inferred.push_back(adaptor.getInput().getType());
  return checkChannels(loc, "grow.channel_scale", "the scale",
                       adaptor.getInput(), adaptor.getScale());
}

LogicalResult LeakyReluOp::verify() {
  double slope = getSlope().convertToDouble();
  if (slope >= 0.0 && slope <= 1.0)
    return success();
  return emitOpError() << "has slope " << realText(slope)
                       << "; it must be in [0, 1]";
}

OpFoldResult ReluOp::fold(FoldAdaptor) {
  // Idempotent folds relu(relu(x)) before this is asked.
  auto fill = getInput().getDefiningOp<FillOp>();
  return fill && !fill.getValue().isNegative() && !fill.getValue().isNaN()
             ? getInput()
             : Value();
}

OpFoldResult ScaleOp::fold(FoldAdaptor) {
  return getFactor().isExactlyValue(1.0) ? getInput() : Value();
}

//===----------------------------------------------------------------------===//
// Pooling
//===----------------------------------------------------------------------===//

template <typename Adaptor>
static LogicalResult inferPool(std::optional<Location> loc, StringRef op,
                               Adaptor adaptor, bool paddingBelowWindow,
                               SmallVectorImpl<Type> &inferred) {
  const int64_t once[] = {1, 1};
  FailureOr<RankedTensorType> type =
      inferPooling(loc, op, typeOf(adaptor.getInput()), adaptor.getWindow(),
                   {adaptor.getStrides(), adaptor.getPadding(), once, 1},
                   paddingBelowWindow);
  if (failed(type))
    return failure();
  inferred.push_back(*type);
  return success();
}

LogicalResult MaxPool2DOp::inferReturnTypes(MLIRContext *,
                                            std::optional<Location> loc,
                                            Adaptor adaptor,
                                            SmallVectorImpl<Type> &inferred) {
  return inferPool(loc, "grow.max_pool2d", adaptor, true, inferred);
}

LogicalResult AvgPool2DOp::inferReturnTypes(MLIRContext *,
                                            std::optional<Location> loc,
                                            Adaptor adaptor,
                                            SmallVectorImpl<Type> &inferred) {
  return inferPool(loc, "grow.avg_pool2d", adaptor, false, inferred);
}

LogicalResult
GlobalAvgPoolOp::inferReturnTypes(MLIRContext *, std::optional<Location>,
                                  Adaptor adaptor,
                                  SmallVectorImpl<Type> &inferred) {
  RankedTensorType type = typeOf(adaptor.getInput());
  inferred.push_back(type.clone({type.getDimSize(0), type.getDimSize(3)}));
  return success();
}

//===----------------------------------------------------------------------===//
// Normalisation
//===----------------------------------------------------------------------===//

LogicalResult BatchNormOp::inferReturnTypes(MLIRContext *,
                                            std::optional<Location> loc,
                                            Adaptor adaptor,
                                            SmallVectorImpl<Type> &inferred) {
  inferred.push_back(adaptor.getInput().getType());
  for (auto [what, vector] : {std::pair("the scale", adaptor.getScale()),
                              std::pair("the shift", adaptor.getShift()),
                              std::pair("the mean", adaptor.getMean()),
                              std::pair("the variance", adaptor.getVariance())})
    if (failed(checkChannels(loc, "grow.batch_norm", what, adaptor.getInput(),
                             vector)))
      return failure();
  return success();
}

LogicalResult BatchNormOp::verify() {
  double momentum = getMomentum().convertToDouble();
  if (!(momentum >= 0.0 && momentum <= 1.0))
    return emitOpError() << "has momentum " << realText(momentum)
                         << "; it must be in [0, 1]";
  double epsilon = getEpsilon().convertToDouble();
  if (!(epsilon > 0.0) || std::isinf(epsilon))
    return emitOpError("needs a positive epsilon");
  return success();
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

/// Product of all extents but the first, or kDynamic.
static int64_t elementsBehindBatch(RankedTensorType type) {
  int64_t product = 1;
  for (int64_t extent : type.getShape().drop_front()) {
    if (ShapedType::isDynamic(extent))
      return ShapedType::kDynamic;
    product *= extent;
  }
  return product;
}

LogicalResult ReshapeOp::verify() {
  RankedTensorType from = typeOf(getInput()), to = getType();
  if (from.getRank() == 0 || to.getRank() == 0)
    return emitOpError("needs a batch, the first dimension, on both sides");
  if (from.hasStaticShape() && to.hasStaticShape())
    return checkExtents(getLoc(), "grow.reshape",
                        "the number of elements changes", from.getNumElements(),
                        to.getNumElements());
  if (failed(checkExtents(getLoc(), "grow.reshape", "the batch changes",
                          from.getDimSize(0), to.getDimSize(0))))
    return failure();
  return checkExtents(getLoc(), "grow.reshape",
                      "the number of elements behind the batch changes",
                      elementsBehindBatch(from), elementsBehindBatch(to));
}

OpFoldResult ReshapeOp::fold(FoldAdaptor) {
  if (getInput().getType() == getType())
    return getInput();
  if (auto before = getInput().getDefiningOp<ReshapeOp>()) {
    getInputMutable().assign(before.getInput());
    return getResult();
  }
  return {};
}

LogicalResult FlattenOp::inferReturnTypes(MLIRContext *,
                                          std::optional<Location> loc,
                                          Adaptor adaptor,
                                          SmallVectorImpl<Type> &inferred) {
  RankedTensorType type = typeOf(adaptor.getInput());
  if (type.getRank() == 0)
    return emitOptionalError(loc, "'grow.flatten' op needs a batch, the first "
                                  "dimension, but the input is a scalar");
  inferred.push_back(
      type.clone({type.getDimSize(0), elementsBehindBatch(type)}));
  return success();
}

OpFoldResult FlattenOp::fold(FoldAdaptor) {
  return getInput().getType() == getType() ? getInput() : Value();
}

LogicalResult ConcatOp::inferReturnTypes(MLIRContext *,
                                         std::optional<Location> loc,
                                         Adaptor adaptor,
                                         SmallVectorImpl<Type> &inferred) {
  return inferConcat(loc, "grow.concat", adaptor.getInputs(), inferred);
}

OpFoldResult ConcatOp::fold(FoldAdaptor) {
  return getInputs().size() == 1 ? getInputs()[0] : Value();
}

LogicalResult SliceOp::inferReturnTypes(MLIRContext *,
                                        std::optional<Location> loc,
                                        Adaptor adaptor,
                                        SmallVectorImpl<Type> &inferred) {
  return inferSlice(loc, "grow.slice", adaptor.getInput(), adaptor.getOffset(),
                    adaptor.getSize(), inferred);
}

OpFoldResult SliceOp::fold(FoldAdaptor) {
  return coversLastExtent(getInput(), getOffset(), getSize()) &&
                 getInput().getType() == getType()
             ? getInput()
             : Value();
}

LogicalResult FillOp::verify() {
  // A kernel's extents come from its launch.
  if (isa_and_nonnull<KernelOp>((*this)->getParentOp()))
    return success();
  RankedTensorType type = getType();
  for (auto [d, extent] : llvm::enumerate(type.getShape()))
    if (ShapedType::isDynamic(extent) && (d > 0 || !getBatchOf()))
      return emitOpError() << "of type " << type
                           << " needs an operand for its batch and static "
                              "other extents";
  if (getBatchOf() &&
      (type.getRank() == 0 || typeOf(getBatchOf()).getRank() == 0))
    return emitOpError("takes a batch from a tensor but a scalar has none");
  return success();
}

//===----------------------------------------------------------------------===//
// Losses
//===----------------------------------------------------------------------===//

static LogicalResult checkLabels(std::optional<Location> loc, StringRef op,
                                 Value logits, Value labels) {
  return checkExtents(loc, op, "logits and labels differ in the batch",
                      typeOf(logits).getDimSize(0),
                      typeOf(labels).getDimSize(0));
}

static LogicalResult checkTarget(std::optional<Location> loc, StringRef op,
                                 Value input, Value target) {
  if (compatibleTypes(input.getType(), target.getType()))
    return success();
  return emitOptionalError(loc, "'", op, "' op: the input is ", input.getType(),
                           " but the target is ", target.getType());
}

static RankedTensorType scalarOf(Value value) {
  return RankedTensorType::get({}, typeOf(value).getElementType());
}

LogicalResult SoftmaxCrossEntropyOp::inferReturnTypes(
    MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
    SmallVectorImpl<Type> &inferred) {
  inferred.push_back(scalarOf(adaptor.getLogits()));
  return checkLabels(loc, "grow.softmax_cross_entropy", adaptor.getLogits(),
                     adaptor.getLabels());
}

LogicalResult SoftmaxCrossEntropyGradOp::inferReturnTypes(
    MLIRContext *, std::optional<Location> loc, Adaptor adaptor,
    SmallVectorImpl<Type> &inferred) {
  inferred.push_back(adaptor.getLogits().getType());
  return checkLabels(loc, "grow.softmax_cross_entropy_grad",
                     adaptor.getLogits(), adaptor.getLabels());
}

LogicalResult MseOp::inferReturnTypes(MLIRContext *,
                                      std::optional<Location> loc,
                                      Adaptor adaptor,
                                      SmallVectorImpl<Type> &inferred) {
  inferred.push_back(scalarOf(adaptor.getInput()));
  return checkTarget(loc, "grow.mse", adaptor.getInput(), adaptor.getTarget());
}

LogicalResult MseGradOp::inferReturnTypes(MLIRContext *,
                                          std::optional<Location> loc,
                                          Adaptor adaptor,
                                          SmallVectorImpl<Type> &inferred) {
  inferred.push_back(adaptor.getInput().getType());
  return checkTarget(loc, "grow.mse_grad", adaptor.getInput(),
                     adaptor.getTarget());
}
