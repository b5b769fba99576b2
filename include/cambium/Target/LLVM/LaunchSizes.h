//===- LaunchSizes.h - What a launch asks of the executor -------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_LLVM_LAUNCHSIZES_H
#define CAMBIUM_TARGET_LLVM_LAUNCHSIZES_H

#include <cstdint>
#include <vector>

namespace cambium {

/// What the executor must provide to launch a host kernel on given extents.
struct LaunchSizes {
  /// Number of tasks of each phase. Phases run in order with a barrier between
  /// them; the tasks of one phase are independent of each other.
  std::vector<int64_t> tasks;
  /// The phases run this many times, so that a workspace for some branches
  /// serves all: in round r, phase p runs the tasks from r * tasks[p] on.
  int64_t rounds = 1;
  /// Size of the buffer shared by all phases, 0 if the kernel has none.
  int64_t workspaceBytes = 0;
  /// Size of each thread's private scratch memory.
  int64_t scratchBytes = 0;
};

} // namespace cambium

#endif // CAMBIUM_TARGET_LLVM_LAUNCHSIZES_H
