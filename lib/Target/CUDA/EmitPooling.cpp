//===- EmitPooling.cpp - Pooling and its gradients ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The templates are in device/cambium/Pool.cuh.
//
//===----------------------------------------------------------------------===//

#include "DeviceText.h"

#include "llvm/ADT/TypeSwitch.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace cambium::grow {

namespace {

/// The constants of a pooling operation.
struct Window {
  template <typename Op>
  explicit Window(Op op)
      : height(op.getWindow()[0]), width(op.getWindow()[1]),
        strideH(op.getStrides()[0]), strideW(op.getStrides()[1]) {
    std::array<int64_t, 4> padding = expandPadding(op.getPadding());
    top = padding[0];
    left = padding[1];
  }

  void emit(CudaEmission &e) const {
    e.text(llvm::formatv(R"(
struct Window {{
  static constexpr int height = {0}, width = {1};
  static constexpr int strideH = {2}, strideW = {3};
  // Padding before the first row and column.
  static constexpr int top = {4}, left = {5};
};)",
                         height, width, strideH, strideW, top, left)
               .str());
  }

  int64_t height, width, strideH, strideW, top, left;
};

/// The buffers of a pooling operation or its gradient; -1 for none.
struct Buffers {
  /// Tensors with the extents of the input and of the output.
  int64_t input, output;
  int64_t x, dy, result;
};

/// A phase over the elements of the result.
CudaForm windowForm(StringRef work, StringRef comment, const Window &window,
                    const Buffers &at, int minBlocks = 0) {
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    return elementLaunch(extents.elements(at.result));
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Pool.cuh");
    window.emit(e);
    ExtentText extents(e.signature);
    SmallVector<std::pair<StringRef, std::string>> fields = {
        {"input", extents.image(at.input)},
        {"output", extents.image(at.output)}};
    if (at.x >= 0)
      fields.push_back({"x", readText(at.x)});
    if (at.dy >= 0)
      fields.push_back({"dy", readText(at.dy)});
    fields.push_back({at.dy >= 0 ? "dx" : "y", writeText(at.result)});
    flatPhase(e, comment, aggregate((work + "<Window>").str(), "pool", fields),
              "pool", extents.elements(at.result), extents.wide(at.result),
              minBlocks);
  };
  return form;
}

constexpr StringLiteral forward =
    "A block computes consecutive elements of the result, a thread four "
    "channels\nof a pixel.";

CudaForm maxPool(MaxPool2DOp op, const Signature &signature) {
  int64_t in = signature.bufferOf(op.getInput());
  int64_t out = signature.bufferOf(op.getResult());
  return windowForm("MaxPool", forward, Window(op), {in, out, in, -1, out});
}

CudaForm maxPoolGrad(MaxPool2DGradOp op, const Signature &signature) {
  int64_t in = signature.bufferOf(op.getInput());
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t result = signature.bufferOf(op.getResult());
  return windowForm("MaxPoolGrad",
                    "A block computes consecutive elements of dx, a thread "
                    "four channels of a\npixel: it finds the largest "
                    "elements of the windows that hold the pixel.",
                    Window(op), {in, gradient, in, gradient, result},
                    /*minBlocks=*/1);
}

CudaForm avgPool(AvgPool2DOp op, const Signature &signature) {
  int64_t in = signature.bufferOf(op.getInput());
  int64_t out = signature.bufferOf(op.getResult());
  return windowForm("AvgPool", forward, Window(op), {in, out, in, -1, out});
}

CudaForm avgPoolGrad(AvgPool2DGradOp op, const Signature &signature) {
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t result = signature.bufferOf(op.getResult());
  return windowForm("AvgPoolGrad",
                    "A block computes consecutive elements of dx, a thread "
                    "four channels of a\npixel: it adds up the gradients of "
                    "the windows that hold the pixel.",
                    Window(op), {result, gradient, -1, gradient, result});
}

//===----------------------------------------------------------------------===//
// Global average pooling
//===----------------------------------------------------------------------===//

CudaForm globalAvgPool(GlobalAvgPoolOp op, const Signature &signature) {
  int64_t in = signature.bufferOf(op.getInput());
  int64_t out = signature.bufferOf(op.getResult());
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    int64_t channels = extents.channels(in), lanes = reduceLanes(channels);
    LaunchSizes sizes;
    addPhase(sizes,
             extents.shapes[in][0] * ceilDiv(channels, lanes * reduceColumns),
             reduceThreads, reduceBytes(lanes));
    return sizes;
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Pool.cuh");
    ExtentText extents(e.signature);
    e.phase("A block averages an image for at most 32 groups of channels (of "
            "four, or of\none where four do not divide them). Threads side by "
            "side take groups, the\nothers further pixels.",
            reduceThreads,
            "const int area = " + extents.extent(in, 1) + " * " +
                extents.extent(in, 2) + ";\n" +
                callText("averageImage", {readText(in), writeText(out), "area",
                                          extents.channels(in), "task"}) +
                ";");
  };
  return form;
}

CudaForm globalAvgPoolGrad(GlobalAvgPoolGradOp op, const Signature &signature) {
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t result = signature.bufferOf(op.getResult());
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    return elementLaunch(extents.elements(result));
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Pool.cuh");
    ExtentText extents(e.signature);
    flatPhase(e,
              "A block computes consecutive elements of dx, a thread four "
              "channels of a pixel.",
              aggregate("GlobalAvgPoolGrad", "pool",
                        {{"area", extents.extent(result, 1) + " * " +
                                      extents.extent(result, 2)},
                         {"channels", extents.channels(result)},
                         {"dy", readText(gradient)},
                         {"dx", writeText(result)}}),
              "pool", extents.elements(result), extents.wide(result));
  };
  return form;
}

} // namespace

CudaForm cudaPoolingForm(Operation *op, const Signature &signature) {
  return llvm::TypeSwitch<Operation *, CudaForm>(op)
      .Case([&](MaxPool2DOp pool) { return maxPool(pool, signature); })
      .Case([&](MaxPool2DGradOp pool) { return maxPoolGrad(pool, signature); })
      .Case([&](AvgPool2DOp pool) { return avgPool(pool, signature); })
      .Case([&](AvgPool2DGradOp pool) { return avgPoolGrad(pool, signature); })
      .Case(
          [&](GlobalAvgPoolOp pool) { return globalAvgPool(pool, signature); })
      .Case([&](GlobalAvgPoolGradOp pool) {
        return globalAvgPoolGrad(pool, signature);
      })
      .Default(CudaForm());
}

} // namespace cambium::grow
