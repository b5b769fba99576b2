//===- ElementHook.h - Scalar code of bodies for templates --- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_CUDA_ELEMENTHOOK_H
#define CAMBIUM_LIB_TARGET_CUDA_ELEMENTHOOK_H

#include "CudaEmission.h"

namespace cambium::grow {

/// Where a hook finds a tensor of the body.
struct HookBuffer {
  enum class Kind {
    /// One element at each place: fp32.
    Elements,
    /// One element for each channel.
    Channels,
    /// One bit at each place, packed.
    Bits
  };
  Kind kind = Kind::Elements;
  /// In Arguments::buffers, or in the branch's tuple if `perBranch`.
  int64_t buffer = -1;
  bool perBranch = false;
  /// The tensor has the channels of all branches side by side; the branch's own
  /// are meant (sliced operands, concatenated results).
  bool sliced = false;
};

/// Elementwise code that a template calls for N channels of a pixel at a time:
///
///   struct <name> {
///     template <int N, class Args>
///     static __device__ void apply(const Args &args, const Place &place,
///                                  Vec<N> given0, ..., Vec<N> &returned0,
///                                  ...);
///   };
///
/// loads what the operations read, computes `returned` and `stored` from it and
/// from `given`, and stores the latter. `args` are the kernel's Arguments; a
/// variable may be both given and returned. The scalar code is the body's own,
/// in EmitC: a function for each value. Where bits are stored and N is less
/// than 8, a whole warp must call (see storeBits in Base.cuh).
struct ElementHook {
  std::string name;
  /// A line or two on what it computes.
  std::string comment;
  /// Values of the body that the template has in registers, such as
  /// accumulators.
  llvm::SmallVector<mlir::Value> given;
  /// Values that it gets back in registers.
  llvm::SmallVector<mlir::Value> returned;
  /// Values that the hook writes to memory.
  llvm::SmallVector<std::pair<mlir::Value, HookBuffer>> stored;
  /// Where arguments of the body are: tensors and vectors over channels.
  std::function<HookBuffer(mlir::BlockArgument)> bufferOf;
  /// Number of buffers in a branch's tuple; where something is `perBranch`.
  int64_t tupleSize = 0;
};

/// Emits the struct and its element functions. All operations between the
/// values must be elementwise (isElementwise).
void emitHook(CudaEmission &e, const ElementHook &hook);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_CUDA_ELEMENTHOOK_H
