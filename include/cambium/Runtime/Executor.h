//===- Executor.h - Runs plans on the host ----------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_EXECUTOR_H
#define CAMBIUM_RUNTIME_EXECUTOR_H

#include "cambium/Jit/Jit.h"
#include "cambium/Runtime/ParameterStore.h"
#include "cambium/Runtime/Plan.h"

#include <memory>
#include <vector>

namespace cambium {

/// A plan whose names are resolved to addresses and machine code.
struct BoundPlan {
  Plan plan;
  std::vector<std::shared_ptr<const CompiledKernel>> kernels;
  /// One for each Plan::stored.
  std::vector<StoredTensor *> stored;
};

/// Runs bound plans with a fixed number of threads. Every phase's tasks are
/// divided among the threads; which thread runs a task changes no result.
class Executor {
public:
  /// 0 threads: one for each core.
  explicit Executor(unsigned threads);
  ~Executor();

  unsigned threads() const;

  /// Makes room for the plan. Throws std::bad_alloc, and can go on after it.
  void reserve(const Plan &plan);

  /// Runs the launches, then the copies. `inputs` holds the function's
  /// arguments. Results stay in the arena until the next run.
  void run(const BoundPlan &plan, const std::vector<const void *> &inputs);

  /// The address of a slot of the plan that ran last.
  void *address(const BoundPlan &plan, const Slot &slot,
                const std::vector<const void *> &inputs) const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_EXECUTOR_H
