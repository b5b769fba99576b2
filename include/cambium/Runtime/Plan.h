//===- Plan.h - A function as launches and buffers --------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_PLAN_H
#define CAMBIUM_RUNTIME_PLAN_H

#include "cambium/Target/Common/LaunchSizes.h"

#include <cstdint>
#include <string>
#include <vector>

namespace cambium {

/// Where a buffer is.
struct Slot {
  enum class Space {
    /// `place` is a byte offset.
    Arena,
    /// `place` is the number of a function argument.
    Input,
    /// Values of a stored tensor; `place` is its index in Plan::stored.
    Values,
    /// The stored tensor's rates.
    Rates,
    /// The stored tensor's optimizer state number `state`.
    State
  };

  Space space = Space::Arena;
  int64_t place = 0;
  int64_t state = 0;
};

/// One kernel on given buffers.
struct Launch {
  /// Index in Plan::kernels.
  int64_t kernel = 0;
  /// Index in BoundPlan::convolutions of what computes the launch in the
  /// kernel's place, on its own buffers: the two tensors that it reads, the one
  /// that it writes, workspace. -1 for none.
  int64_t convolution = -1;
  /// In the order of the kernel's ABI; the workspace, if any, is last.
  std::vector<Slot> buffers;
  /// Those of the buffers, at the beginning, that are not of single branches or
  /// parameters.
  int64_t sharedBuffers = 0;
  std::vector<int64_t> dims;
  LaunchSizes sizes;
  /// Launches in a row with the same number here may run at the same time; each
  /// has one phase and one round. Negative: none but this one.
  int64_t together = -1;
};

/// A function for one batch size, as plain data that an executor runs.
struct Plan {
  struct Copy {
    Slot from, to;
    int64_t bytes = 0;
  };
  struct Result {
    Slot slot;
    std::vector<int64_t> shape;
  };

  /// Size of each function argument.
  std::vector<int64_t> inputBytes;
  /// Names of the kernels that launches refer to.
  std::vector<std::string> kernels;
  /// Names of the stored tensors that slots refer to.
  std::vector<std::string> stored;
  /// Names of the parameters that the launches update.
  std::vector<std::string> updated;
  std::vector<Launch> launches;
  /// Done when all launches are.
  std::vector<Copy> copies;
  std::vector<Result> results;
  int64_t arenaBytes = 0;
  int64_t scratchBytes = 0;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_PLAN_H
