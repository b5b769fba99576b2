//===- KernelEmitter.cpp - From grow.kernel to host code ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/LLVM/KernelEmitter.h"
#include "EmitUtils.h"
#include "cambium/Target/Common/KernelForms.h"
#include "cambium/Target/LLVM/LowerToLLVM.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace cambium::grow {

static FailureOr<KernelForm> findForm(KernelOp kernel,
                                      const Signature &signature) {
  static const KernelForms<KernelForm> forms = {
      branchForm,
      contractionForm,
      elementwiseForm,
      optimizerForm,
      {reductionForm, poolingForm, lossForm, shapeForm, composeForm},
      "host"};
  return forms.find(kernel, signature);
}

LogicalResult emitKernel(KernelOp kernel, int64_t vectorWidth, ModuleOp into) {
  if (!isVectorWidth(vectorWidth))
    return kernel.emitError() << "vectors of " << vectorWidth
                              << " floats are not possible; 4, 8 and 16 are";
  Signature signature(kernel);
  FailureOr<KernelForm> form = findForm(kernel, signature);
  if (failed(form))
    return failure();
  into.getContext()
      ->loadDialect<arith::ArithDialect, func::FuncDialect, LLVM::LLVMDialect,
                    math::MathDialect, scf::SCFDialect,
                    vector::VectorDialect>();
  OpBuilder builder = OpBuilder::atBlockEnd(into.getBody());
  KernelBuilder k(builder, kernel.getLoc(), vectorWidth);
  int64_t numBuffers = form->numBuffers >= 0
                           ? form->numBuffers
                           : signature.numBuffers() + form->workspace;
  KernelEmission emission(k, signature, kernel.getSymName(), numBuffers);
  form->emit(emission);
  return success();
}

FailureOr<LaunchSizes> launchSizes(KernelOp kernel, ArrayRef<int64_t> dims) {
  Signature signature(kernel);
  FailureOr<KernelForm> form = findForm(kernel, signature);
  if (failed(form))
    return failure();
  // The dims of optimizers and of branches end with how many there are.
  size_t expected = signature.numDims + (form->numBuffers >= 0);
  if (dims.size() != expected)
    return kernel.emitOpError()
           << "takes " << expected << " extents, not " << dims.size();
  HostExtents extents(signature, dims);
  LaunchSizes sizes = form->sizes(extents);
  for (int64_t buffer = 0; buffer < signature.numBuffers(); ++buffer)
    sizes.work += extents.elements(buffer);
  return sizes;
}

} // namespace cambium::grow
