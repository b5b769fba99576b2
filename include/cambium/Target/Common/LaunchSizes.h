//===- LaunchSizes.h - What a launch asks of the executor -------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_COMMON_LAUNCHSIZES_H
#define CAMBIUM_TARGET_COMMON_LAUNCHSIZES_H

#include <cstdint>
#include <vector>

namespace cambium {

/// What the executor must provide to launch a kernel on given extents.
struct LaunchSizes {
  /// A thread block of a CUDA kernel.
  struct Block {
    int threads = 0;
    /// Dynamic shared memory.
    int64_t sharedBytes = 0;
  };

  /// Number of tasks of each phase; on a CUDA device, of thread blocks. Phases
  /// run in order with a barrier between them; the tasks of one phase are
  /// independent of each other.
  std::vector<int64_t> tasks;
  /// The phases run this many times, so that a workspace for some branches
  /// serves all: in round r, phase p runs the tasks from r * tasks[p] on.
  int64_t rounds = 1;
  /// Estimate of what all tasks do, in all rounds: elements of tensors and, of
  /// a contraction, an eighth of its multiplications. On a core of some years
  /// ago one takes about a quarter of a nanosecond. 0 for CUDA.
  int64_t work = 0;
  /// Size of the buffer shared by all phases, 0 if the kernel has none.
  int64_t workspaceBytes = 0;
  /// Size of each thread's private scratch memory.
  int64_t scratchBytes = 0;
  /// The thread block of each phase; empty for the host.
  std::vector<Block> blocks;
};

} // namespace cambium

#endif // CAMBIUM_TARGET_COMMON_LAUNCHSIZES_H
