//===- EmitOptimizer.cpp - Updates of parameters and their sum ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The templates are in device/cambium/Optimizer.cuh.
//
//===----------------------------------------------------------------------===//

#include "DeviceText.h"

using namespace mlir;

namespace cambium::grow {

static std::string ruleText(Attribute optimizer) {
  auto sgd = dyn_cast<SgdAttr>(optimizer);
  if (!sgd)
    return "AdamW";
  if (sgd.getMomentum() == 0.0)
    return "Sgd";
  return sgd.getNesterov() ? "Momentum</*Nesterov=*/true>"
                           : "Momentum</*Nesterov=*/false>";
}

CudaForm cudaOptimizerForm(OptimizerOp op) {
  std::string rule = ruleText(op.getOptimizer());
  bool accumulate = op.getAccumulate(), sum = op.getSum() || accumulate;
  std::string derived = accumulate ? "Accumulate" : sum ? "Overwrite" : "None";
  CudaForm form;
  form.numBuffers = sum ? 2 : 1;
  form.counted = true;
  form.sizes = [](const HostExtents &extents) {
    return elementLaunch(extents.elements(0));
  };
  form.emit = [=](CudaEmission &e) {
    e.include("Optimizer.cuh");
    std::string type = "Update<Rule, DerivedSum::" + derived + ">";
    flatPhase(
        e,
        "A block takes consecutive elements through all parameters of "
        "the list, a\nthread four of them.",
        "using Rule = " + rule + ";\n" +
            aggregate(type, "update",
                      {{"tuples", "args.branches"},
                       {"parameters",
                        "args.dims[" + std::to_string(e.numDims - 1) + "]"},
                       {"gradient", readText(0)},
                       {"derived", sum ? writeText(1) : "nullptr"}}),
        "update", ExtentText(e.signature).elements(0), "true");
  };
  return form;
}

} // namespace cambium::grow
