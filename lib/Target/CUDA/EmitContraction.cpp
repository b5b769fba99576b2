//===- EmitContraction.cpp - Contractions with their epilogue -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "FilterForm.h"
#include "RowsForm.h"

using namespace mlir;

namespace cambium::grow {

static LogicalResult verifyBody(KernelOp kernel, const Signature &signature,
                                Operation *anchor) {
  for (Value operand : anchor->getOperands())
    if (!isa<BlockArgument>(operand))
      return anchor->emitOpError(
          "takes a tensor that the kernel computes itself; it must be an "
          "argument");
  int64_t first = signature.body->getNumArguments();
  if (first == signature.numBuffers())
    return kernel.emitOpError("yields nothing");
  Type type = anchor->getResult(0).getType();
  for (Type result : ArrayRef(signature.tensors).drop_front(first))
    if (!compatibleTypes(type, result))
      return kernel.emitOpError()
             << "yields " << result << " but its contraction gives " << type;
  for (Operation &op : signature.body->without_terminator())
    for (const ChannelSource &source : channelSources(&op))
      if (!source.isArgument())
        return op.emitOpError("takes a vector over channels that the kernel "
                              "computes itself; it must be an argument");
  return success();
}

static void printHooks(CudaEmission &e, Operation *anchor) {
  const Signature &signature = e.signature;
  HookBuffer source;
  source.buffer = signature.bufferOf(anchor->getOperand(0));
  printSource(e, "RowsSource", source, 0);
  int64_t first = signature.body->getNumArguments();
  if (llvm::hasSingleElement(signature.body->without_terminator())) {
    HookBuffer result;
    result.buffer = first;
    if (signature.numBuffers() == first + 1)
      return printFinish(e, "RowsFinish", result);
  }
  ElementHook hook;
  hook.name = "RowsFinish";
  hook.comment = "What follows the contraction, to its stores.";
  hook.given = {anchor->getResult(0)};
  for (auto [index, yielded] :
       llvm::enumerate(signature.body->getTerminator()->getOperands())) {
    HookBuffer to;
    to.kind = hookKind(yielded);
    to.buffer = first + index;
    hook.stored.push_back({yielded, to});
  }
  hook.bufferOf = [&](BlockArgument argument) {
    HookBuffer from;
    from.kind = hookKind(argument);
    from.buffer = argument.getArgNumber();
    return from;
  };
  emitHook(e, hook);
}

FailureOr<CudaForm> cudaContractionForm(KernelOp kernel,
                                        const Signature &signature,
                                        Operation *anchor) {
  FailureOr<ContractionSpec> spec = contractionSpec(anchor);
  if (failed(spec))
    return anchor->emitOpError("needs a window of static size in a kernel");
  if (failed(verifyBody(kernel, signature, anchor)))
    return failure();
  if (spec->kind == ContractionSpec::Kind::BackwardFilter)
    return cudaFilterForm(kernel, signature, anchor);
  int64_t filter = signature.bufferOf(anchor->getOperand(1));
  FailureOr<RowsKernel> rows =
      rowsKernel(kernel, signature, *spec,
                 {signature.bufferOf(anchor->getOperand(0)), filter,
                  signature.body->getNumArguments()},
                 kernel.getBlocksAttr());
  if (failed(rows))
    return failure();
  RowsKernel k = *rows;
  k.filter.buffer = filter;
  k.workspace = signature.workspace();
  k.join = "Apart";
  k.source = "RowsSource";
  k.finish = "RowsFinish";
  CudaForm form;
  form.workspace = true;
  form.sizes = [k](const HostExtents &extents) {
    LaunchSizes sizes;
    k.addTo(sizes, k.plan(extents.dims));
    return sizes;
  };
  form.emit = [k, anchor](CudaEmission &e) {
    printHooks(e, anchor);
    k.printShape(e);
    k.printStruct(e);
    k.printPhases(e);
  };
  return form;
}

} // namespace cambium::grow
