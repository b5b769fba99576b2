//===- HostProgram.h - A module compiled for this machine -------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_API_HOSTPROGRAM_H
#define CAMBIUM_API_HOSTPROGRAM_H

#include "cambium/Jit/Jit.h"
#include "cambium/Runtime/Executor.h"
#include "cambium/Runtime/ParameterStore.h"
#include "cambium/Tensor.h"
#include "cambium/Transforms/MemoryPlan.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <map>
#include <mutex>

namespace cambium {

/// Machine code by what it was made of. A kernel is compiled once for its text,
/// whatever functions and programs launch it, and freed with the last program
/// that does.
class KernelCache {
public:
  explicit KernelCache(std::unique_ptr<Jit> jit) : jit(std::move(jit)) {}

  struct Request {
    int64_t compiled = 0;
    int64_t reused = 0;
    /// Machine code by the kernel's symbol.
    std::map<std::string, std::shared_ptr<const CompiledKernel>> kernels;
  };

  /// Code for every grow.kernel of the module; what is missing is compiled in
  /// parallel.
  mlir::FailureOr<Request> get(mlir::ModuleOp module);

  Isa isa() const { return jit->isa(); }

private:
  std::unique_ptr<Jit> jit;
  std::map<std::string, std::weak_ptr<const CompiledKernel>> byContent;
};

/// Gives every parameter, state and derived sum of the module that the store
/// lacks its memory and initial values, and every group its rates. Returns the
/// names that were added, so that a failed growth can take them back.
std::vector<std::string> addStored(ParameterStore &store, mlir::ModuleOp module,
                                   uint64_t seed);

/// Functions of launches, ready to run: kernels compiled, plans made for the
/// batch sizes that come. Faults are diagnostics of the module's context.
class HostProgram {
public:
  /// `module` holds functions of launches, as made by the pipelines grow-train
  /// or grow-kernels. The store, which must hold all its symbols, outlives the
  /// program.
  static mlir::FailureOr<std::unique_ptr<HostProgram>>
  create(mlir::OwningOpRef<mlir::ModuleOp> module, KernelCache &cache,
         ParameterStore &store);

  struct Call {
    const BoundPlan *plan;
    std::vector<const void *> inputs;
  };

  /// Checks the inputs against the function's type and runs it.
  mlir::FailureOr<Call> run(llvm::StringRef function,
                            llvm::ArrayRef<TensorView> inputs,
                            Executor &executor);
  /// The same, and copies the results.
  mlir::FailureOr<std::vector<Tensor>> call(llvm::StringRef function,
                                            llvm::ArrayRef<TensorView> inputs,
                                            Executor &executor);

  /// The arena of a function for a batch size.
  mlir::FailureOr<grow::MemoryPlan> memory(llvm::StringRef function,
                                           int64_t batch);

  mlir::ModuleOp getModule() { return *module; }
  const KernelCache::Request &getKernels() const { return kernels; }

private:
  HostProgram(mlir::OwningOpRef<mlir::ModuleOp> module, ParameterStore &store)
      : module(std::move(module)), store(store) {}

  mlir::FailureOr<const BoundPlan *> planFor(mlir::func::FuncOp function,
                                             int64_t batch);

  mlir::OwningOpRef<mlir::ModuleOp> module;
  ParameterStore &store;
  KernelCache::Request kernels;
  std::map<std::pair<std::string, int64_t>, BoundPlan> plans;
};

} // namespace cambium

#endif // CAMBIUM_API_HOSTPROGRAM_H
