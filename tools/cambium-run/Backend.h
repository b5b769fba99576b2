//===- Backend.h - What runs networks ---------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TOOLS_CAMBIUM_RUN_BACKEND_H
#define CAMBIUM_TOOLS_CAMBIUM_RUN_BACKEND_H

#include "cambium/CompileOptions.h"
#include "cambium/Isa.h"
#include "cambium/Reference/ReferenceTensor.h"
#include "mlir/IR/BuiltinOps.h"

#include <memory>
#include <optional>
#include <string>

namespace cambium {

using Tensors = llvm::SmallVector<ReferenceTensor>;

/// What is made of a network.
enum class ProgramKind {
  /// Its functions, in inference mode.
  Forward,
  /// Also @step, with the loss and the gradient of every parameter, in order of
  /// declaration, as results.
  Gradients,
  /// Also @step, which returns the loss and updates the parameters.
  Training
};

struct ProgramOptions {
  ProgramKind kind = ProgramKind::Forward;
  /// The function that @step is made of.
  std::string loss = "loss";
  /// Seed of the initial values.
  uint64_t seed = 0;
  CompileOptions compile = {};
};

/// A network that is ready to run, with its parameters and states.
class Program {
public:
  virtual ~Program() = default;

  /// Calls a function. Faults are diagnostics of the module's context.
  virtual mlir::FailureOr<Tensors>
  call(llvm::StringRef function, llvm::ArrayRef<ReferenceTensor> inputs) = 0;

  /// The value of a parameter or state; none for other names.
  virtual std::optional<ReferenceTensor> value(llvm::StringRef symbol) = 0;

  /// Replaces it. False for other names and shapes.
  virtual bool setValue(llvm::StringRef symbol,
                        const ReferenceTensor &value) = 0;
};

/// A way to run networks. The conformance suite and cambium-run know backends
/// by this class alone: another one joins by deriving from it.
class Backend {
public:
  virtual ~Backend() = default;

  /// Makes a program of a network, which stays as it is and must outlive it.
  /// Faults are diagnostics of the module's context.
  virtual mlir::FailureOr<std::unique_ptr<Program>>
  load(mlir::ModuleOp network, const ProgramOptions &options) = 0;
};

/// The interpreter in double precision. It runs maps branch by branch, so that
/// what the collapse makes of them is checked too.
std::unique_ptr<Backend> createReferenceBackend();

/// The interpreter on the kernels that the pipelines make for the host: tells
/// faults of passes from faults of code.
std::unique_ptr<Backend> createKernelBackend();

/// Turns a network into kernels as `options` asks.
mlir::LogicalResult makeKernels(mlir::ModuleOp network,
                                const ProgramOptions &options,
                                int64_t vectorWidth,
                                TargetKind target = TargetKind::Host);

/// This machine's processor. 0 threads: one for each core. Fails with a
/// diagnostic of the context if the machine cannot run `isa`.
mlir::FailureOr<std::unique_ptr<Backend>>
createHostBackend(mlir::MLIRContext &context, Isa isa = Isa::Native,
                  unsigned threads = 0);

/// The first CUDA device. Fails with a diagnostic of the context where there is
/// no driver, NVRTC or device.
mlir::FailureOr<std::unique_ptr<Backend>>
createCudaBackend(mlir::MLIRContext &context);

} // namespace cambium

#endif // CAMBIUM_TOOLS_CAMBIUM_RUN_BACKEND_H
