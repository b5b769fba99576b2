//===- NetworkImpl.h - What the public classes share ------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_API_NETWORKIMPL_H
#define CAMBIUM_LIB_API_NETWORKIMPL_H

#include "cambium/Error.h"
#include "cambium/Network.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/OwningOpRef.h"

#include <functional>

namespace cambium::internal {

/// A context with every dialect that networks and kernels use.
std::unique_ptr<mlir::MLIRContext> makeContext();

struct NetworkImpl {
  std::unique_ptr<mlir::MLIRContext> context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
};

/// Parses and verifies IR in a context of its own. Throws Error.
std::shared_ptr<NetworkImpl> parseNetwork(const std::string &text,
                                          const std::string &name);

/// IR as text, with locations if asked.
std::string printModule(mlir::ModuleOp module, bool locations = false);

/// Collects the context's diagnostics while it lives. Not for use on two
/// threads that share a context.
class DiagnosticCollector {
public:
  explicit DiagnosticCollector(mlir::MLIRContext *context);

  /// Throws what was collected; `fallback` if no error was among it.
  [[noreturn]] void raise(const std::string &fallback) const;
  /// Remarks, each once: a body is compiled for several functions.
  std::vector<Diagnostic> remarks() const;

private:
  std::vector<Diagnostic> collected;
  mlir::ScopedDiagnosticHandler handler;
};

} // namespace cambium::internal

#endif // CAMBIUM_LIB_API_NETWORKIMPL_H
