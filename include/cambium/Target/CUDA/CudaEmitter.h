//===- CudaEmitter.h - From grow.kernel to CUDA C++ ---------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Emits the body of a `grow.kernel` as CUDA C++, in the EmitC dialect: element
// functions made of the body, constants, and the `__global__` functions of the
// kernel's phases, which instantiate the templates of the device library
// (lib/Target/CUDA/device). The bodies that have kernels, the order of buffers
// and of extents are those of the host (Target/LLVM/KernelEmitter.h). A phase
// is
//
//   extern "C" __global__ void <kernel>_phase<n>(
//       const __grid_constant__ cambium::Arguments<buffers, dims> args,
//       const int firstTask)
//
// on a one-dimensional grid: each thread block does the task firstTask +
// blockIdx.x. `Arguments` (device/cambium/Base.cuh) has the shared buffers, the
// table of the branches' own buffers, and the extents.
//
// Launches are deterministic: what a block computes depends on extents alone,
// and no order among blocks changes a bit.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_CUDA_CUDAEMITTER_H
#define CAMBIUM_TARGET_CUDA_CUDAEMITTER_H

#include "cambium/CompileOptions.h"
#include "cambium/IR/Grow.h"
#include "cambium/Target/Common/ContractionSpec.h"
#include "cambium/Target/Common/LaunchSizes.h"

#include "mlir/IR/BuiltinOps.h"

namespace cambium::grow {

/// Appends a kernel to a module of EmitC operations. Contractions need the
/// kernel's `blocks`. Fails with a diagnostic on the kernel if its body is one
/// that has no kernel. Threads may emit kernels of one context at once if its
/// dialects are loaded.
mlir::LogicalResult emitCudaKernel(KernelOp kernel, mlir::ModuleOp into);

/// The kernel's name in CUDA C++: its functions are <name>_phase<n>.
std::string cudaKernelName(KernelOp kernel);

/// The kernel as a translation unit for NVRTC or nvcc, which needs
/// deviceHeaders().
mlir::FailureOr<std::string> cudaSource(KernelOp kernel);

/// Prints a module that emitCudaKernel filled.
mlir::LogicalResult printCuda(mlir::ModuleOp module, llvm::raw_ostream &os);

/// Thread blocks, shared memory, rounds and workspace for concrete `dims`.
/// Fails with a diagnostic on the kernel if its body is one that has no kernel,
/// `dims` has the wrong length, or the launch passes a limit of the device.
mlir::FailureOr<LaunchSizes> cudaLaunchSizes(KernelOp kernel,
                                             llvm::ArrayRef<int64_t> dims);

/// A tile that suits the contraction. Unknown extents cost speed only.
BlockTileAttr chooseBlockTile(mlir::MLIRContext *context,
                              const ContractionSpec &spec,
                              const ContractionExtents &extents,
                              Precision precision);

/// The kernel `transpose`, a translation unit as cudaSource gives, of one phase
/// that transposes a matrix of floats. Its buffers are the matrix and the
/// result, its dims the matrix' rows and columns.
std::string transposeSource();
LaunchSizes transposeSizes(int64_t rows, int64_t columns);

/// A header of the device library.
struct DeviceHeader {
  /// As in `#include "cambium/Base.cuh"`.
  const char *name;
  const char *text;
};
llvm::ArrayRef<DeviceHeader> deviceHeaders();

} // namespace cambium::grow

#endif // CAMBIUM_TARGET_CUDA_CUDAEMITTER_H
