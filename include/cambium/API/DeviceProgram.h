//===- DeviceProgram.h - A module compiled for a device ---------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_API_DEVICEPROGRAM_H
#define CAMBIUM_API_DEVICEPROGRAM_H

#include "cambium/API/ConvolutionChooser.h"
#include "cambium/API/KernelCache.h"
#include "cambium/Runtime/Device.h"
#include "cambium/Runtime/ParameterStore.h"
#include "cambium/Tensor.h"
#include "cambium/Transforms/MemoryPlan.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <map>

namespace cambium {

/// Gives every parameter, state and derived sum of the module that the store
/// lacks its memory and initial values, and every group its rates. Returns the
/// names that were added, so that a failed growth can take them back.
std::vector<std::string> addStored(ParameterStore &store, mlir::ModuleOp module,
                                   uint64_t seed);

/// Functions of launches, ready to run: kernels compiled, plans made for the
/// batch sizes that come. Faults are diagnostics of the module's context.
class DeviceProgram {
public:
  /// `module` holds functions of launches, as made by the pipelines grow-train
  /// or grow-kernels for the cache's target and `library`. The store, which
  /// must hold all its symbols in the device's memory, outlives the program,
  /// and so does the cache. Fails where the library is missing.
  static mlir::FailureOr<std::unique_ptr<DeviceProgram>>
  create(mlir::OwningOpRef<mlir::ModuleOp> module, KernelCache &cache,
         ParameterStore &store, ConvLibrary library = ConvLibrary::Generated);

  struct Call {
    const BoundPlan *plan = nullptr;
    std::vector<const void *> inputs;
  };

  /// Checks the inputs against the function's type and runs it. The device may
  /// still be at work: its memory waits for it. A call with shapes that an
  /// earlier one had allocates nothing on the host if `call` is that one's.
  mlir::LogicalResult run(llvm::StringRef function,
                          llvm::ArrayRef<const TensorView *> inputs,
                          Device &device, Call &call);
  mlir::FailureOr<Call> run(llvm::StringRef function,
                            llvm::ArrayRef<TensorView> inputs, Device &device);
  /// Copies a result of the call that ran last to this process.
  mlir::LogicalResult read(const Call &call, size_t result, Device &device,
                           Tensor &to);
  /// Runs a function and copies all its results to this process.
  mlir::FailureOr<std::vector<Tensor>> call(llvm::StringRef function,
                                            llvm::ArrayRef<TensorView> inputs,
                                            Device &device);

  /// The arena of a function for a batch size.
  mlir::FailureOr<grow::MemoryPlan> memory(llvm::StringRef function,
                                           int64_t batch);

  mlir::ModuleOp getModule() { return *module; }
  const KernelCache::Request &getKernels() const { return kernels; }
  /// What computes convolutions, for people.
  std::string convolutions() const;

private:
  DeviceProgram(mlir::OwningOpRef<mlir::ModuleOp> module, TargetKind target,
                ParameterStore &store)
      : module(std::move(module)), target(target), store(store) {}

  /// Of a launch, what computes it in its kernel's place.
  using Choices =
      llvm::DenseMap<mlir::Operation *, const ConvolutionChooser::Choice *>;

  mlir::FailureOr<grow::MemoryPlan> plan(mlir::func::FuncOp function,
                                         int64_t batch, Choices &choices);
  mlir::FailureOr<const BoundPlan *> planFor(mlir::func::FuncOp function,
                                             int64_t batch);
  mlir::LogicalResult execute(mlir::func::FuncOp function,
                              const BoundPlan &plan,
                              const std::vector<const void *> &inputs,
                              Device &device);

  mlir::OwningOpRef<mlir::ModuleOp> module;
  const TargetKind target;
  ParameterStore &store;
  ConvolutionChooser *chooser = nullptr;
  KernelCache::Request kernels;
  std::map<std::pair<mlir::Operation *, int64_t>, BoundPlan> plans;
};

} // namespace cambium

#endif // CAMBIUM_API_DEVICEPROGRAM_H
