//===- MemoryPlan.h - Places of tensors in an arena -------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRANSFORMS_MEMORYPLAN_H
#define CAMBIUM_TRANSFORMS_MEMORYPLAN_H

#include "cambium/IR/Grow.h"
#include "cambium/Target/Common/LaunchSizes.h"

#include "llvm/ADT/DenseMap.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/SmallVector.h"

#include <string>
#include <vector>

namespace mlir::func {
class FuncOp;
} // namespace mlir::func

namespace cambium::grow {

/// What a buffer is for.
enum class BufferCategory { Activation, Kept, Gradient, Workspace };
llvm::StringRef stringifyCategory(BufferCategory category);

/// A place in the arena, alive from launch `begin` to launch `end`, both
/// included and counted from 0 in block order.
struct Buffer {
  std::string name;
  BufferCategory category = BufferCategory::Activation;
  int64_t bytes = 0;
  int64_t offset = 0;
  int64_t begin = 0, end = 0;
};

/// One function's arena for one batch size.
struct MemoryPlan {
  int64_t batch = 0;
  int64_t arenaBytes = 0;
  /// Largest scratch that a launch asks of each thread.
  int64_t scratchBytes = 0;
  std::vector<Buffer> buffers;
  /// The buffer of each value that launches compute; views share one.
  llvm::DenseMap<mlir::Value, int64_t> bufferOf;
  struct Launch {
    LaunchOp op;
    /// Extents of the operands, then of the results.
    std::vector<int64_t> dims;
    LaunchSizes sizes;
    /// Index of the workspace's buffer, or -1.
    int64_t workspace = -1;
  };
  std::vector<Launch> launches;

  /// Bytes of the categories at the moment that the most of them is alive.
  int64_t peak(llvm::ArrayRef<BufferCategory> categories) const;
};

/// Alignment of every buffer on this machine, a cache line.
inline constexpr int64_t kBufferAlignment = 64;

/// Alignment of every buffer on a target; on a CUDA device, that of its memory.
constexpr int64_t bufferAlignment(TargetKind target) {
  return target == TargetKind::Cuda ? 256 : kBufferAlignment;
}

/// Lowest offsets such that buffers whose lifetimes overlap do not; the largest
/// buffer is placed first (greedy by size: Pisarchyk and Lee, "Efficient Memory
/// Management for Deep Neural Net Inference", 2020), then others where that
/// makes the arena smaller. Returns the arena's size.
int64_t assignOffsets(std::vector<Buffer> &buffers,
                      int64_t alignment = kBufferAlignment);

/// Told of a launch of a kernel before its workspace has a place; what computes
/// the launch otherwise changes its sizes.
using AdjustLaunch = llvm::function_ref<void(KernelOp, MemoryPlan::Launch &)>;

/// Plans a function of launches for a batch size. `target` is what its kernels
/// were made for.
mlir::FailureOr<MemoryPlan> planMemory(mlir::func::FuncOp func, int64_t batch,
                                       TargetKind target = TargetKind::Host,
                                       AdjustLaunch adjust = nullptr);

/// The value whose memory a reshape or flatten shows.
mlir::Value viewedValue(mlir::Value value);

/// The type's extents with the batch in place of dynamic ones.
llvm::SmallVector<int64_t> shapeForBatch(mlir::Type type, int64_t batch);

} // namespace cambium::grow

#endif // CAMBIUM_TRANSFORMS_MEMORYPLAN_H
