//===- KernelForms.h - Which kind of kernel a body is -----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_COMMON_KERNELFORMS_H
#define CAMBIUM_TARGET_COMMON_KERNELFORMS_H

#include "cambium/Target/Common/KernelBody.h"

#include "llvm/ADT/SmallPtrSet.h"

namespace cambium::grow {

/// How a target makes code of each kind of kernel. A Form has a member `emit`,
/// null where there is no such form.
template <typename Form> struct KernelForms {
  using Result = mlir::FailureOr<Form>;
  Result (*branches)(KernelOp, const Signature &);
  Result (*contraction)(KernelOp, const Signature &, mlir::Operation *);
  Result (*elementwise)(KernelOp, const Signature &);
  Form (*optimizer)(OptimizerOp);
  /// Of operations that are alone in a kernel, asked in turn.
  llvm::SmallVector<Form (*)(mlir::Operation *, const Signature &)> single;
  /// What the target's code is called in diagnostics.
  const char *code;

  /// Fails with a diagnostic if the body is none that has a kernel.
  Result find(KernelOp kernel, const Signature &signature) const;

private:
  Result findSingle(KernelOp kernel, const Signature &signature,
                    mlir::Operation *op) const;
};

template <typename Form>
mlir::FailureOr<Form> KernelForms<Form>::findSingle(KernelOp kernel,
                                                    const Signature &signature,
                                                    mlir::Operation *op) const {
  llvm::SmallPtrSet<mlir::Value, 4> yielded;
  for (mlir::Value value : signature.body->getTerminator()->getOperands())
    if (value.getDefiningOp() != op || !yielded.insert(value).second)
      return kernel.emitOpError("must yield results of its operation, each "
                                "at most once");
  for (auto form : single)
    if (Form found = form(op, signature); found.emit)
      return found;
  return op->emitOpError("has no ")
         << code
         << " code; a kernel takes contractions, elementwise operations and "
            "gradients";
}

template <typename Form>
mlir::FailureOr<Form>
KernelForms<Form>::find(KernelOp kernel, const Signature &signature) const {
  auto ops = signature.body->without_terminator();
  if (ops.empty())
    return kernel.emitOpError("computes nothing");
  if (kernel.getFusedMap())
    return branches(kernel, signature);
  if (signature.body->getTerminator()->getNumOperands() == 0 &&
      llvm::none_of(ops, llvm::IsaPred<OptimizerOp>))
    return kernel.emitOpError("yields nothing");
  mlir::Operation *anchor = nullptr;
  bool othersElementwise = true;
  for (mlir::Operation &op : ops) {
    if (isElementwise(&op))
      continue;
    othersElementwise &= !anchor;
    anchor = &op;
  }
  if (!anchor)
    return elementwise(kernel, signature);
  if (isContraction(anchor) && othersElementwise)
    return contraction(kernel, signature, anchor);
  if (!llvm::hasSingleElement(ops))
    return anchor->emitOpError("cannot share a kernel with other operations");
  if (auto update = llvm::dyn_cast<OptimizerOp>(anchor)) {
    if (signature.numBuffers() != 1)
      return update.emitOpError("takes the gradient as the kernel's only "
                                "argument");
    return optimizer(update);
  }
  return findSingle(kernel, signature, anchor);
}

} // namespace cambium::grow

#endif // CAMBIUM_TARGET_COMMON_KERNELFORMS_H
