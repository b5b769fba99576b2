//===- LowerToLLVM.h - From kernels in scf and vector to LLVM ---*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_LLVM_LOWERTOLLVM_H
#define CAMBIUM_TARGET_LLVM_LOWERTOLLVM_H

namespace mlir {
class DialectRegistry;
class OpPassManager;
} // namespace mlir

namespace cambium {

/// Lowers a module of kernels (func, scf, cf, arith, math, vector of rank 1,
/// index, ub, memref, llvm) to the llvm dialect. Transcendental functions
/// become polynomials, the same ones for scalars and vectors.
void buildLowerToLLVMPipeline(mlir::OpPassManager &passManager);

/// Registers the dialects that kernels may use and their translation to LLVM
/// IR. The context of every module given to the Jit needs them.
void registerLLVMTargetDialects(mlir::DialectRegistry &registry);

} // namespace cambium

#endif // CAMBIUM_TARGET_LLVM_LOWERTOLLVM_H
