//===- KernelOps.cpp - Kernels and launches -------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"

#include "mlir/IR/OwningOpRef.h"

using namespace mlir;
using namespace cambium::grow;

std::string KernelOp::getContent() {
  OwningOpRef<KernelOp> copy(cast<KernelOp>(getOperation()->clone()));
  copy->setSymName("kernel");
  std::string text;
  llvm::raw_string_ostream stream(text);
  copy->print(stream, OpPrintingFlags().useLocalScope());
  return text;
}

/// True if a buffer of type `actual` may be passed where a kernel takes
/// `taken`, whose dynamic extents are read at run time.
static bool fits(Type actual, Type taken) {
  auto a = dyn_cast<RankedTensorType>(actual);
  auto t = dyn_cast<RankedTensorType>(taken);
  return a && t && a.getElementType() == t.getElementType() &&
         succeeded(verifyCompatibleShape(a, t));
}

static LogicalResult verifySignature(LaunchOp launch, KernelOp kernel) {
  Block &body = kernel.getBody().front();
  auto mismatch = [&](StringRef what, unsigned index, Type actual, Type taken) {
    InFlightDiagnostic diag = launch.emitOpError()
                              << what << " " << index << " is " << actual
                              << " but the kernel has " << taken;
    diag.attachNote(kernel.getLoc()) << "the kernel is here";
    return diag;
  };
  auto yields = body.getTerminator()->getOperandTypes();
  if (launch.getOperands().size() != body.getNumArguments() ||
      launch.getResults().size() != yields.size())
    return launch.emitOpError()
           << "has " << launch.getOperands().size() << " operands and "
           << launch.getResults().size() << " results but the kernel takes "
           << body.getNumArguments() << " and gives " << yields.size();
  for (auto [i, actual] : llvm::enumerate(launch.getOperands().getTypes()))
    if (!fits(actual, body.getArgument(i).getType()))
      return mismatch("operand", i, actual, body.getArgument(i).getType());
  for (auto [i, actual] : llvm::enumerate(launch.getResults().getTypes()))
    if (!fits(actual, yields[i]))
      return mismatch("result", i, actual, yields[i]);
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &tables) {
  auto kernel =
      tables.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError() << "runs '" << getKernel()
                         << "', which is not a grow.kernel";
  bool optimizes = !kernel.getBody().getOps<OptimizerOp>().empty();
  if (optimizes != getUpdates().has_value())
    return emitOpError(optimizes
                           ? "runs an optimizer kernel without `updates`"
                           : "has `updates` but runs no optimizer kernel");
  if (failed(verifySignature(*this, kernel)))
    return failure();
  if (!optimizes)
    return success();
  if (getOperands().size() != 1)
    return emitOpError("runs an optimizer kernel, which takes the gradient "
                       "alone");
  Type gradient = getOperands()[0].getType();
  for (auto symbol : getUpdates()->getAsRange<FlatSymbolRefAttr>()) {
    auto param = tables.lookupNearestSymbolFrom<ParamOp>(*this, symbol);
    if (!param)
      return emitOpError() << "updates '" << symbol.getValue()
                           << "', which is not a declared parameter";
    if (param.getType() != gradient)
      return emitOpError() << "updates '" << symbol.getValue() << "' of type "
                           << param.getType() << " by a gradient of type "
                           << gradient;
  }
  if (getDerived() &&
      !tables.lookupNearestSymbolFrom<DerivedOp>(*this, getDerivedAttr()))
    return emitOpError() << "writes '" << *getDerived()
                         << "', which is not a grow.derived";
  return success();
}
