//===- KernelEmitter.cpp - From grow.kernel to host code ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/LLVM/KernelEmitter.h"
#include "EmitUtils.h"
#include "cambium/Target/LLVM/LowerToLLVM.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"

using namespace mlir;

namespace cambium::grow {

/// The form of a kernel that is one operation on its arguments.
static FailureOr<KernelForm>
singleForm(KernelOp kernel, const Signature &signature, Operation *op) {
  for (Value operand : op->getOperands())
    if (!isa<BlockArgument>(operand))
      return op->emitOpError("takes a tensor that the kernel computes itself; "
                             "it must be an argument");
  llvm::SmallPtrSet<Value, 4> yielded;
  for (Value value : signature.body->getTerminator()->getOperands())
    if (value.getDefiningOp() != op || !yielded.insert(value).second)
      return kernel.emitOpError("must yield results of its operation, each "
                                "at most once");
  for (auto find :
       {reductionForm, poolingForm, lossForm, shapeForm, composeForm})
    if (KernelForm form = find(op, signature); form.emit)
      return form;
  return op->emitOpError("has no host code; a kernel takes contractions, "
                         "elementwise operations and gradients");
}

static FailureOr<KernelForm> findForm(KernelOp kernel,
                                      const Signature &signature) {
  auto ops = signature.body->without_terminator();
  if (ops.empty())
    return kernel.emitOpError("computes nothing");
  if (kernel.getFusedMap())
    return branchForm(kernel, signature);
  if (signature.body->getTerminator()->getNumOperands() == 0 &&
      llvm::none_of(ops, llvm::IsaPred<OptimizerOp>))
    return kernel.emitOpError("yields nothing");
  Operation *anchor = nullptr;
  bool othersElementwise = true;
  for (Operation &op : ops) {
    if (isElementwise(&op))
      continue;
    othersElementwise &= !anchor;
    anchor = &op;
  }
  if (!anchor)
    return elementwiseForm(kernel, signature);
  if (isContraction(anchor) && othersElementwise)
    return contractionForm(kernel, signature, anchor);
  if (!llvm::hasSingleElement(ops))
    return anchor->emitOpError("cannot share a kernel with other operations");
  if (auto optimizer = dyn_cast<OptimizerOp>(anchor)) {
    if (signature.numBuffers() != 1)
      return optimizer.emitOpError("takes the gradient as the kernel's only "
                                   "argument");
    return optimizerForm(optimizer);
  }
  return singleForm(kernel, signature, anchor);
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
  return form->sizes(HostExtents(signature, dims));
}

} // namespace cambium::grow
