//===- Codegen.h - From a kernel module to object code ----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_JIT_CODEGEN_H
#define CAMBIUM_LIB_JIT_CODEGEN_H

#include "cambium/Jit/Jit.h"
#include "mlir/IR/BuiltinOps.h"
#include "llvm/IR/Module.h"
#include "llvm/Support/Error.h"
#include "llvm/Target/TargetMachine.h"

namespace cambium {

/// An error whose text is `message`.
llvm::Error jitError(const llvm::Twine &message);

/// The name of the module's kernel and the number of its phases.
struct KernelSymbols {
  std::string name;
  unsigned phases = 0;
};

/// Finds the module's kernel; fails if there is none, more than one, or a phase
/// is missing.
llvm::Expected<KernelSymbols> findKernel(mlir::ModuleOp module);

/// Lowers a copy of the module to the llvm dialect and translates it. Collects
/// the diagnostics of a failure in the error.
llvm::Expected<std::unique_ptr<llvm::Module>>
translateToLLVMIR(mlir::ModuleOp module, llvm::LLVMContext &context);

/// A code generator for the host's architecture and `isa`, which need not be
/// one that the host can run.
llvm::Expected<std::unique_ptr<llvm::TargetMachine>> createTarget(Isa isa);

/// Optimises the module for the target.
void optimize(llvm::Module &module, llvm::TargetMachine &target);

/// Generates an object file or assembly text.
llvm::Expected<llvm::SmallVector<char, 0>>
generateCode(llvm::Module &module, llvm::TargetMachine &target,
             llvm::CodeGenFileType type);

} // namespace cambium

#endif // CAMBIUM_LIB_JIT_CODEGEN_H
