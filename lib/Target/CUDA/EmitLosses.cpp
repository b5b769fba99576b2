//===- EmitLosses.cpp - Losses and their gradients ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The templates are in device/cambium/Loss.cuh.
//
//===----------------------------------------------------------------------===//

#include "DeviceText.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace cambium::grow {

namespace {

// As in Loss.cuh.
constexpr int64_t lossRows = reduceThreads / 32;
constexpr int64_t leastErrors = 16 * reduceThreads;
constexpr int64_t mostErrorBlocks = 4 * reduceThreads;

int64_t errorsOfBlock(int64_t elements) {
  int64_t errors = ceilDiv(elements, mostErrorBlocks);
  return std::max(leastErrors, ceilDiv(errors, 4) * 4);
}

/// The second phase of a loss, for `terms` doubles in the workspace.
void addMean(LaunchSizes &sizes, int64_t terms) {
  addPhase(sizes, 1, reduceThreads, reduceBytes(1));
  sizes.workspaceBytes = terms * static_cast<int64_t>(sizeof(double));
}

/// Its text: `lines` declare `terms` and `count`, the number of those whose
/// mean it is.
void emitMean(CudaEmission &e, const Twine &lines, StringRef terms,
              StringRef count, int64_t result) {
  e.phase("One block adds up, a thread every 256th term.", reduceThreads,
          lines +
              callText("storeMean",
                       {bufferText(e.signature.workspace(), "const double"),
                        terms.str(), count.str(), writeText(result)}) +
              ";");
}

//===----------------------------------------------------------------------===//
// Softmax and cross-entropy
//===----------------------------------------------------------------------===//

CudaForm crossEntropy(SoftmaxCrossEntropyOp op, const Signature &signature) {
  int64_t logits = signature.bufferOf(op.getLogits());
  int64_t labels = signature.bufferOf(op.getLabels());
  int64_t result = signature.bufferOf(op.getResult());
  CudaForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    addPhase(sizes, ceilDiv(extents.rows(logits), lossRows), reduceThreads);
    addMean(sizes, extents.rows(logits));
    return sizes;
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Loss.cuh");
    ExtentText extents(e.signature);
    std::string rows = "const long long rows = " + extents.rows(logits) + ";\n";
    e.phase("A warp computes the loss of a row, a thread every 32nd class.",
            reduceThreads,
            rows +
                callText("crossEntropyRow",
                         {readText(logits), bufferText(labels, "const int"),
                          "rows", extents.channels(logits), "task",
                          bufferText(e.signature.workspace(), "double")}) +
                ";");
    emitMean(e, rows, "rows", "rows", result);
  };
  return form;
}

CudaForm crossEntropyGrad(SoftmaxCrossEntropyGradOp op,
                          const Signature &signature) {
  int64_t logits = signature.bufferOf(op.getLogits());
  int64_t labels = signature.bufferOf(op.getLabels());
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t result = signature.bufferOf(op.getResult());
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    addPhase(sizes, ceilDiv(extents.rows(logits), lossRows), reduceThreads);
    return sizes;
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Loss.cuh");
    ExtentText extents(e.signature);
    e.phase("A warp computes a row of the gradient, a thread every 32nd class.",
            reduceThreads,
            "const long long rows = " + extents.rows(logits) + ";\n" +
                callText("crossEntropyGradRow",
                         {readText(logits), bufferText(labels, "const int"),
                          readText(gradient), "rows", extents.channels(logits),
                          "task", writeText(result)}) +
                ";");
  };
  return form;
}

//===----------------------------------------------------------------------===//
// Mean squared error
//===----------------------------------------------------------------------===//

CudaForm meanSquaredError(MseOp op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t target = signature.bufferOf(op.getTarget());
  int64_t result = signature.bufferOf(op.getResult());
  CudaForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) {
    int64_t elements = extents.elements(input);
    int64_t blocks = ceilDiv(elements, errorsOfBlock(elements));
    LaunchSizes sizes;
    addPhase(sizes, blocks, reduceThreads, reduceBytes(1));
    addMean(sizes, blocks);
    return sizes;
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Loss.cuh");
    std::string elements = "const long long elements = " +
                           ExtentText(e.signature).elements(input) + ";\n";
    e.phase("A block adds up the squared distances of consecutive elements; a "
            "thread takes four\nat a time.",
            reduceThreads,
            elements +
                callText("addSquaredErrors",
                         {readText(input), readText(target), "elements", "task",
                          bufferText(e.signature.workspace(), "double")}) +
                ";");
    emitMean(e,
             elements + "const long long blocks = ceilDiv("
                        "elements, errorsOfBlock(elements));\n",
             "blocks", "elements", result);
  };
  return form;
}

CudaForm meanSquaredErrorGrad(MseGradOp op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t target = signature.bufferOf(op.getTarget());
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t result = signature.bufferOf(op.getResult());
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    return elementLaunch(extents.elements(input));
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Loss.cuh");
    flatPhase(
        e,
        "A block computes consecutive elements of dx, a thread four of them.",
        "const long long elements = " +
            ExtentText(e.signature).elements(input) + ";\n" +
            aggregate("SquaredErrorGrad", "work",
                      {{"elements", "elements"},
                       {"x", readText(input)},
                       {"target", readText(target)},
                       {"gradient", readText(gradient)},
                       {"dx", writeText(result)}}),
        "work", "elements", "true");
  };
  return form;
}

} // namespace

CudaForm cudaLossForm(Operation *op, const Signature &signature) {
  return llvm::TypeSwitch<Operation *, CudaForm>(op)
      .Case([&](SoftmaxCrossEntropyOp loss) {
        return crossEntropy(loss, signature);
      })
      .Case([&](SoftmaxCrossEntropyGradOp loss) {
        return crossEntropyGrad(loss, signature);
      })
      .Case([&](MseOp loss) { return meanSquaredError(loss, signature); })
      .Case(
          [&](MseGradOp loss) { return meanSquaredErrorGrad(loss, signature); })
      .Default(CudaForm());
}

} // namespace cambium::grow
