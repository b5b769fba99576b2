//===- Jit.h - Compiles kernels into this process ---------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_JIT_JIT_H
#define CAMBIUM_JIT_JIT_H

#include "cambium/Isa.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace llvm {
template <typename T> class Expected;
} // namespace llvm

namespace mlir {
class ModuleOp;
} // namespace mlir

namespace cambium {

/// The best instruction set that this machine can run.
Isa detectIsa();

/// Parses "native", "generic", "avx2" or "avx512".
llvm::Expected<Isa> parseIsa(const std::string &name);
const char *isaName(Isa isa);

/// Floats in a vector register: Generic 4, AVX2 8, AVX512 16.
int64_t vectorWidth(Isa isa);

/// Handles tasks [begin, end) of one phase. `buffers` holds the operands, the
/// results and the workspace, if any; `dims` the extents of all operands and
/// results; `scratch` is private to the calling thread.
using PhaseFunction = void (*)(void *const *buffers, const int64_t *dims,
                               int64_t begin, int64_t end, void *scratch);

/// A kernel's machine code, freed with this object. It may outlive its Jit.
class CompiledKernel {
public:
  CompiledKernel(CompiledKernel &&) noexcept;
  CompiledKernel &operator=(CompiledKernel &&) noexcept;
  ~CompiledKernel();

  const std::string &name() const;
  const std::vector<PhaseFunction> &phases() const;

private:
  friend class Jit;
  struct Code;
  explicit CompiledKernel(std::unique_ptr<Code> code);
  std::unique_ptr<Code> code;
};

/// Compiles kernels. All functions may be called from several threads at once.
class Jit {
public:
  /// Fails if this machine cannot run `isa`.
  static llvm::Expected<std::unique_ptr<Jit>> create(Isa isa = Isa::Native);
  ~Jit();

  /// The instruction set in use; never Native.
  Isa isa() const;

  /// Compiles the kernel whose phases are the module's functions
  /// `<kernel>_phase0`, `<kernel>_phase1`, ...; a module holds one kernel. The
  /// module is left as it is, and its context must have the dialects of
  /// registerLLVMTargetDialects.
  llvm::Expected<CompiledKernel> compile(mlir::ModuleOp module);

private:
  friend class CompiledKernel;
  struct State;
  explicit Jit(std::shared_ptr<State> state);
  std::shared_ptr<State> state;
};

/// The assembly text of a module's kernel, also for an instruction set that
/// this machine cannot run.
llvm::Expected<std::string> emitAssembly(mlir::ModuleOp module, Isa isa);

/// The optimised LLVM IR of a module's kernel.
llvm::Expected<std::string> emitLLVMIR(mlir::ModuleOp module, Isa isa);

} // namespace cambium

#endif // CAMBIUM_JIT_JIT_H
