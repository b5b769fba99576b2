//===- EmitShapes.cpp - Fill, concatenate, slice, pad and crop ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The templates are in device/cambium/Shape.cuh.
//
//===----------------------------------------------------------------------===//

#include "DeviceText.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace cambium::grow {

namespace {

/// One phase of forElements over the elements of `result`; `emit` fills it.
CudaForm flatForm(int64_t result, std::function<void(CudaEmission &)> emit) {
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    return elementLaunch(extents.elements(result));
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Shape.cuh");
    emit(e);
  };
  return form;
}

CudaForm fill(FillOp op, const Signature &signature) {
  int64_t result = signature.bufferOf(op.getResult());
  std::string value = floatLiteral(op.getValue().convertToDouble());
  return flatForm(result, [=](CudaEmission &e) {
    flatPhase(
        e, "A block fills consecutive elements, a thread four of them.",
        aggregate("Fill", "fill", {{"value", value}, {"y", writeText(result)}}),
        "fill", ExtentText(e.signature).elements(result), "true");
  });
}

CudaForm reshape(Operation *op, const Signature &signature) {
  int64_t input = signature.bufferOf(op->getOperand(0));
  int64_t result = signature.bufferOf(op->getResult(0));
  return flatForm(result, [=](CudaEmission &e) {
    flatPhase(e, "A block copies consecutive elements, a thread four of them.",
              aggregate("Copy", "copy",
                        {{"x", readText(input)}, {"y", writeText(result)}}),
              "copy", ExtentText(e.signature).elements(result), "true");
  });
}

//===----------------------------------------------------------------------===//
// Ranges of the last dimension
//===----------------------------------------------------------------------===//

CudaForm concat(Operation *op, const Signature &signature) {
  SmallVector<int64_t> parts;
  for (Value operand : op->getOperands())
    parts.push_back(signature.bufferOf(operand));
  int64_t result = signature.bufferOf(op->getResult(0));
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    int64_t blocks = 0;
    for (int64_t part : parts)
      blocks += ceilDiv(extents.elements(part), flatElements);
    LaunchSizes sizes;
    addPhase(sizes, blocks, flatThreads);
    return sizes;
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Shape.cuh");
    ExtentText extents(e.signature);
    std::string body =
        callText("Concat concat", {extents.rows(result), writeText(result),
                                   extents.channels(result), "task"}) +
        ";";
    for (int64_t part : parts)
      body += "\nconcat.part(" + readText(part) + ", " +
              extents.channels(part) + ");";
    e.phase("A block copies consecutive elements of one part, a thread four of "
            "a row\nwhere all rows are aligned.",
            flatThreads, body);
  };
  return form;
}

template <typename Op> CudaForm slice(Op op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t result = signature.bufferOf(op.getResult());
  int64_t offset = op.getOffset();
  return flatForm(result, [=](CudaEmission &e) {
    ExtentText extents(e.signature);
    auto columns = [&](const std::string &tensor, int64_t buffer,
                       int64_t first) {
      return "{" + tensor + ", " + extents.channels(buffer) + ", /*first=*/" +
             std::to_string(first) + "}";
    };
    flatPhase(e,
              "A block copies consecutive elements of the result, a thread "
              "four of a\nrow where all rows are aligned.",
              aggregate("CopyColumns", "slice",
                        {{"width", extents.channels(result)},
                         {"from", columns(readText(input), input, offset)},
                         {"to", columns(writeText(result), result, 0)}}),
              "slice", extents.elements(result), "slice.wide()");
  });
}

//===----------------------------------------------------------------------===//
// Windows of filters
//===----------------------------------------------------------------------===//

/// The input's window moved by [top, left]; what it lacks is zero.
CudaForm moveWindow(int64_t input, int64_t result, int64_t top, int64_t left) {
  return flatForm(result, [=](CudaEmission &e) {
    ExtentText extents(e.signature);
    flatPhase(e,
              "A block computes consecutive weights of the result, a thread "
              "four of them.",
              aggregate("MoveWindow", "window",
                        {{"inHeight", extents.extent(input, 0)},
                         {"inWidth", extents.extent(input, 1)},
                         {"outWidth", extents.extent(result, 1)},
                         {"top", std::to_string(top)},
                         {"left", std::to_string(left)},
                         {"weights", extents.extent(result, 2) + " * " +
                                         extents.extent(result, 3)},
                         {"x", readText(input)},
                         {"y", writeText(result)}}),
              "window", extents.elements(result), "window.weights % 4 == 0");
  });
}

} // namespace

CudaForm cudaShapeForm(Operation *op, const Signature &signature) {
  auto buffer = [&](Value value) { return signature.bufferOf(value); };
  return llvm::TypeSwitch<Operation *, CudaForm>(op)
      .Case([&](FillOp fillOp) { return fill(fillOp, signature); })
      .Case<ReshapeOp, FlattenOp>([&](auto) { return reshape(op, signature); })
      .Case<ConcatOp, WeightConcatOp>(
          [&](auto) { return concat(op, signature); })
      .Case<SliceOp, WeightSliceOp>(
          [&](auto part) { return slice(part, signature); })
      .Case([&](WeightPadOp pad) {
        return moveWindow(buffer(pad.getInput()), buffer(pad.getResult()),
                          pad.getPadding()[0], pad.getPadding()[1]);
      })
      .Case([&](WeightCropOp crop) {
        return moveWindow(buffer(crop.getInput()), buffer(crop.getResult()),
                          -crop.getPadding()[0], -crop.getPadding()[1]);
      })
      .Default(CudaForm());
}

} // namespace cambium::grow
