//===- Run.h - One run of a network's function ------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TOOLS_CAMBIUM_RUN_RUN_H
#define CAMBIUM_TOOLS_CAMBIUM_RUN_RUN_H

#include "Backend.h"
#include "llvm/Support/raw_ostream.h"

namespace cambium {

enum class BackendKind { Reference, Kernels, Host, Cuda };

struct RunOptions {
  std::string entry = "forward";
  BackendKind backend = BackendKind::Host;
  Isa isa = Isa::Native;
  unsigned threads = 0;
  int64_t batch = 2;
  uint64_t seed = 0;
  CompileOptions compile = {};
  /// Differentiate the entry, a loss function, and run what comes out.
  bool gradients = false;
  /// Print differences from the reference instead of values.
  bool compare = false;
  double tolerance = 1e-4;
  /// Print how long compiling and running take.
  bool time = false;
};

/// Also the exit statuses of cambium-run.
enum class RunOutcome { Done = 0, AboveTolerance = 1, BadInput = 2 };

/// Runs the entry and prints what `options` asks for to `out`. Faults are
/// diagnostics of the module's context.
RunOutcome run(mlir::ModuleOp network, const RunOptions &options,
               llvm::raw_ostream &out);

} // namespace cambium

#endif // CAMBIUM_TOOLS_CAMBIUM_RUN_RUN_H
