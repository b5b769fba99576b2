//===- KernelEmitter.h - From grow.kernel to host code ----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Emits the body of a `grow.kernel` as the functions of its phases, in scf,
// arith, math, vector and llvm ops, and computes what a launch of it needs. A
// body is one of:
//
//   * a contraction, then elementwise operations on its result;
//   * elementwise operations on tensors of one shape (with vectors over the
//     last dimension, and inference-mode normalisation among them);
//   * any other single operation;
//   * `grow.fused_map` over branches, then elementwise operations on what it
//     joins;
//   * `grow.optimizer`.
//
// buffers  the kernel's operands, its results, then a workspace where
//          LaunchSizes asks for one
// dims     the extents of operands and results in that order
//
// Of a kernel over branches:
//
// buffers  the operands that branches share, the results that they share, a
//          workspace, then for each branch its operands and its results
// dims     the extents of shared operands, of one branch's operands, of shared
//          results and of one branch's results, then the number of branches
// bits     tensors of i1: each pixel has ceil(channels / 8) bytes, the first
//          channel in the lowest bit; bits beyond the channels are zero
//
// Of an optimizer kernel:
//
// buffers  gradient; the derived sum with `sum` or `accumulate`; then for each
//          parameter float[8] rates, the parameter, and its state: nothing
//          (SGD without momentum), momentum (SGD), or both moments (AdamW)
// dims     the gradient's extents, then the number of parameters
// rates    lr, weight_decay, then for SGD momentum, for AdamW beta1, beta2,
//          epsilon, 1 / (1 - beta1^t), 1 / (1 - beta2^t); the rest is unused
//
// One compiled kernel serves all extents that fit its types. Splitting tasks
// among threads in another way, or running them in another order, changes no
// bit of the results.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_LLVM_KERNELEMITTER_H
#define CAMBIUM_TARGET_LLVM_KERNELEMITTER_H

#include "cambium/IR/Grow.h"
#include "cambium/Target/Common/KernelBody.h"
#include "cambium/Target/Common/LaunchSizes.h"
#include "cambium/Target/LLVM/BranchContraction.h"
#include "mlir/IR/BuiltinOps.h"

namespace cambium::grow {

/// Number of floats in the rates of a parameter.
inline constexpr int64_t optimizerRates = 8;

/// True for the lanes of a vector register of floats that kernels are made for.
inline bool isVectorWidth(int64_t width) {
  return width == 4 || width == 8 || width == 16;
}

/// Lanes that the schedule of the map's kernel must have on a machine with
/// vectors of `vectorWidth`: bits are stored in bytes.
int64_t branchVectorWidth(FusedMapOp map, int64_t vectorWidth);

/// Emits `<name>_phase0`, `<name>_phase1`, ... at the end of `into`, for
/// vectors of `vectorWidth` floats: 4, 8 or 16. Where the kernel has a
/// schedule, its width counts. Threads may emit kernels of one context at once
/// if the dialects of registerLLVMTargetDialects are loaded. Fails with a
/// diagnostic on the kernel if its body is none of the above.
mlir::LogicalResult emitKernel(KernelOp kernel, int64_t vectorWidth,
                               mlir::ModuleOp into);

/// Tasks, workspace and scratch for concrete `dims`. Fails with a diagnostic on
/// the kernel if its body is none of the above or `dims` has the wrong length.
mlir::FailureOr<LaunchSizes> launchSizes(KernelOp kernel,
                                         llvm::ArrayRef<int64_t> dims);

} // namespace cambium::grow

#endif // CAMBIUM_TARGET_LLVM_KERNELEMITTER_H
