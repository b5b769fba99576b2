//===- EmitElementwise.cpp - Clusters of elementwise operations -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A cluster runs over its elements as if they were one long vector, whatever
// the rank. The templates are in device/cambium/Elementwise.cuh.
//
//===----------------------------------------------------------------------===//

#include "DeviceText.h"
#include "ElementHook.h"

using namespace mlir;

namespace cambium::grow {

static constexpr StringLiteral hookName = "Elements";

/// `grow.bias_add, grow.relu`
static std::string listOps(Block &body) {
  std::string list;
  for (Operation &op : body.without_terminator())
    list += (list.empty() ? "" : ", ") + op.getName().getStringRef().str();
  return list;
}

static void emitCluster(CudaEmission &e, int64_t result, bool hasChannels) {
  e.include("Elementwise.cuh");
  Block &body = *e.signature.body;
  ElementHook hook;
  hook.name = hookName.str();
  hook.comment = "What is computed of each element: " + listOps(body) + ".";
  for (auto [i, value] : llvm::enumerate(body.getTerminator()->getOperands())) {
    HookBuffer at;
    at.buffer = result + static_cast<int64_t>(i);
    hook.stored.push_back({value, at});
  }
  hook.bufferOf = [](BlockArgument argument) {
    HookBuffer at;
    at.buffer = argument.getArgNumber();
    return at;
  };
  emitHook(e, hook);
  ExtentText extents(e.signature);
  std::string elements = extents.elements(result);
  if (hasChannels)
    e.phase("A block computes " + Twine(flatElements) +
                " consecutive elements, a thread four of a pixel\n"
                "where the channels are a multiple of four.",
            flatThreads,
            "channelElementwise<" + hookName + ">(args, " + elements +
                ",\n                             /*channels=*/" +
                extents.channels(result) + ", task);");
  else
    e.phase("A block computes " + Twine(flatElements) +
                " consecutive elements, a thread four.",
            flatThreads,
            "elementwise<" + hookName + ">(args, " + elements + ", task);");
}

FailureOr<CudaForm> cudaElementwiseForm(KernelOp, const Signature &signature) {
  bool hasChannels = false;
  for (Operation &op : signature.body->without_terminator())
    for (const ChannelSource &source : channelSources(&op)) {
      hasChannels = true;
      if (!source.isArgument())
        return op.emitOpError("takes a vector over channels that the kernel "
                              "computes itself; it must be an argument");
    }
  int64_t result = signature.body->getNumArguments();
  CudaForm form;
  form.sizes = [=](const HostExtents &extents) {
    return elementLaunch(extents.elements(result));
  };
  form.emit = [=](CudaEmission &e) { emitCluster(e, result, hasChannels); };
  return form;
}

} // namespace cambium::grow
