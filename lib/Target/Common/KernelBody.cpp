//===- KernelBody.cpp - What all targets know of kernels ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/Common/KernelBody.h"

#include "llvm/ADT/TypeSwitch.h"

#include <tuple>

using namespace mlir;

namespace cambium {

using Kind = ContractionSpec::Kind;

static auto fields(const ContractionSpec &spec) {
  return std::tie(spec.kind, spec.linear, spec.kernelH, spec.kernelW,
                  spec.strideH, spec.strideW, spec.padTop, spec.padBottom,
                  spec.padLeft, spec.padRight, spec.dilationH, spec.dilationW,
                  spec.groups);
}

bool ContractionSpec::operator==(const ContractionSpec &other) const {
  return fields(*this) == fields(other);
}

std::string ContractionSpec::str() const {
  std::string text;
  llvm::raw_string_ostream stream(text);
  stream << (linear ? "linear" : "conv2d")
         << (kind == Kind::Forward        ? " forward"
             : kind == Kind::BackwardData ? " backward-data"
                                          : " backward-filter");
  if (!linear)
    stream << " kernel=" << kernelH << 'x' << kernelW << " stride=" << strideH
           << 'x' << strideW << " pad=" << padTop << ',' << padBottom << ','
           << padLeft << ',' << padRight << " dilation=" << dilationH << 'x'
           << dilationW << " groups=" << groups;
  return text;
}

bool isWinograd(const ContractionSpec &spec) {
  return !spec.linear && spec.kernelH == 3 && spec.kernelW == 3 &&
         spec.strideH == 1 && spec.strideW == 1 && spec.dilationH == 1 &&
         spec.dilationW == 1 && spec.groups == 1 && spec.padTop <= 2 &&
         spec.padBottom <= 2 && spec.padLeft <= 2 && spec.padRight <= 2;
}

namespace grow {

Signature::Signature(KernelOp kernel) : body(&kernel.getBody().front()) {
  auto append = [&](Type type) {
    tensors.push_back(cast<RankedTensorType>(type));
    firstDims.push_back(numDims);
    numDims += tensors.back().getRank();
  };
  llvm::for_each(body->getArgumentTypes(), append);
  llvm::for_each(body->getTerminator()->getOperandTypes(), append);
}

int64_t Signature::bufferOf(Value value) const {
  if (auto argument = dyn_cast<BlockArgument>(value))
    return argument.getArgNumber();
  for (auto [i, yielded] :
       llvm::enumerate(body->getTerminator()->getOperands()))
    if (yielded == value)
      return body->getNumArguments() + i;
  return -1;
}

HostExtents::HostExtents(const Signature &signature, ArrayRef<int64_t> dims)
    : dims(dims) {
  for (auto [tensor, first] :
       llvm::zip(signature.tensors, signature.firstDims)) {
    auto shape = dims.slice(first, tensor.getRank());
    shapes.emplace_back(shape.begin(), shape.end());
  }
}

bool isContraction(Operation *op) {
  return isa<Conv2DOp, LinearOp, Conv2DGradInputOp, LinearGradInputOp,
             Conv2DGradFilterOp, LinearGradWeightOp>(op);
}

bool isElementwise(Operation *op) {
  auto norm = dyn_cast<BatchNormOp>(op);
  return isa<PointwiseOpInterface, WeightSumOp, WeightScaleOp>(op) ||
         (norm && norm.getInference());
}

SmallVector<ChannelSource> channelSources(Operation *op) {
  SmallVector<ChannelSource> sources;
  if (auto norm = dyn_cast<BatchNormOp>(op)) {
    double epsilon = norm.getEpsilon().convertToDouble();
    sources.push_back({norm.getMean(), {}});
    sources.push_back({norm.getScale(), norm.getVariance(), epsilon});
    sources.push_back({norm.getShift(), {}});
  } else if (auto pointwise = dyn_cast<PointwiseOpInterface>(op)) {
    for (OpOperand &operand : op->getOpOperands())
      if (pointwise.isChannelOperand(operand.getOperandNumber()))
        sources.push_back({operand.get(), {}});
  }
  return sources;
}

template <typename Op>
static FailureOr<ContractionSpec> convolutionSpec(Op op, Kind kind,
                                                  Value filter) {
  auto type = cast<RankedTensorType>(filter.getType());
  if (type.isDynamicDim(0) || type.isDynamicDim(1))
    return failure();
  ContractionSpec spec;
  spec.kind = kind;
  spec.kernelH = type.getDimSize(0);
  spec.kernelW = type.getDimSize(1);
  spec.strideH = op.getStrides()[0];
  spec.strideW = op.getStrides()[1];
  auto [top, left, bottom, right] = expandPadding(op.getPadding());
  spec.padTop = top;
  spec.padLeft = left;
  spec.padBottom = bottom;
  spec.padRight = right;
  spec.dilationH = op.getDilations()[0];
  spec.dilationW = op.getDilations()[1];
  spec.groups = op.getGroups();
  return spec;
}

static FailureOr<ContractionSpec> linearSpec(Kind kind) {
  ContractionSpec spec;
  spec.kind = kind;
  spec.linear = true;
  return spec;
}

FailureOr<ContractionSpec> contractionSpec(Operation *op) {
  using Result = FailureOr<ContractionSpec>;
  return llvm::TypeSwitch<Operation *, Result>(op)
      .Case([](Conv2DOp conv) {
        return convolutionSpec(conv, Kind::Forward, conv.getFilter());
      })
      .Case([](Conv2DGradInputOp conv) {
        return convolutionSpec(conv, Kind::BackwardData, conv.getFilter());
      })
      .Case([](Conv2DGradFilterOp conv) {
        return convolutionSpec(conv, Kind::BackwardFilter, conv.getResult());
      })
      .Case([](LinearOp) { return linearSpec(Kind::Forward); })
      .Case([](LinearGradInputOp) { return linearSpec(Kind::BackwardData); })
      .Case([](LinearGradWeightOp) { return linearSpec(Kind::BackwardFilter); })
      .Default(Result(failure()));
}

} // namespace grow
} // namespace cambium
