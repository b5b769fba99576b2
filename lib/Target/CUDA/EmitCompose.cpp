//===- EmitCompose.cpp - Composition of filters and its gradients ---------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The templates are in device/cambium/Compose.cuh.
//
//===----------------------------------------------------------------------===//

#include "DeviceText.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace cambium::grow {

namespace {

// As in Compose.cuh.
constexpr int composeThreads = 256;
constexpr int64_t composeElements = composeThreads / 32;

/// The composition or, transposed, the gradient of the second filter.
CudaForm combination(int64_t first, int64_t from, int64_t result,
                     bool transposed) {
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    return elementLaunch(extents.elements(result));
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Compose.cuh");
    ExtentText extents(e.signature);
    flatPhase(
        e,
        "A block computes consecutive weights of the result, a thread those of "
        "four\nfilters.",
        "constexpr bool transposed = " + Twine(transposed ? "true" : "false") +
            ";\n" +
            aggregate("Combine<transposed>", "combine",
                      {{"rows", extents.extent(result, 2)},
                       {"terms", extents.extent(from, 2)},
                       {"filters", extents.channels(result)},
                       {"a", readText(first)},
                       {"from", readText(from)},
                       {"result", writeText(result)}}),
        "combine", extents.elements(result), extents.wide(result));
  };
  return form;
}

CudaForm gradFirst(WeightComposeGradFirstOp op, const Signature &signature) {
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t second = signature.bufferOf(op.getSecond());
  int64_t result = signature.bufferOf(op.getResult());
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    addPhase(sizes, ceilDiv(extents.elements(result), composeElements),
             composeThreads);
    return sizes;
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Compose.cuh");
    ExtentText extents(e.signature);
    e.phase(
        "A warp computes one weight's gradient, a thread every 32nd "
        "filter's part of it.",
        composeThreads,
        "const int places = " + extents.extent(gradient, 0) + " * " +
            extents.extent(gradient, 1) +
            ";\nconst int channels = " + extents.extent(gradient, 2) +
            ", filters = " + extents.extent(gradient, 3) +
            ";\nconst int middle = " + extents.extent(second, 2) + ";\n" +
            callText("combineGradients",
                     {readText(gradient), readText(second), writeText(result),
                      "places", "channels", "middle", "filters", "task"}) +
            ";");
  };
  return form;
}

} // namespace

CudaForm cudaComposeForm(Operation *op, const Signature &signature) {
  auto buffer = [&](Value value) { return signature.bufferOf(value); };
  return llvm::TypeSwitch<Operation *, CudaForm>(op)
      .Case([&](WeightComposeOp compose) {
        return combination(buffer(compose.getFirst()),
                           buffer(compose.getSecond()),
                           buffer(compose.getResult()), false);
      })
      .Case([&](WeightComposeGradSecondOp grad) {
        return combination(buffer(grad.getFirst()), buffer(grad.getGradient()),
                           buffer(grad.getResult()), true);
      })
      .Case([&](WeightComposeGradFirstOp grad) {
        return gradFirst(grad, signature);
      })
      .Default(CudaForm());
}

} // namespace cambium::grow
