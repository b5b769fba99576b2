//===- KernelCache.h - Machine code by what it was made of ------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_API_KERNELCACHE_H
#define CAMBIUM_API_KERNELCACHE_H

#include "cambium/CompileOptions.h"
#include "cambium/IR/Grow.h"
#include "cambium/Isa.h"
#include "cambium/Runtime/Device.h"

#include "mlir/IR/BuiltinOps.h"

#include <map>

namespace cambium {

class ConvolutionChooser;
class Jit;

namespace cuda {
class Compiler;
class Device;
} // namespace cuda

/// Machine code by what it was made of. A kernel is compiled once for its text,
/// whatever functions and programs launch it, and freed with the last program
/// that does.
class KernelCache {
public:
  virtual ~KernelCache();

  struct Request {
    int64_t compiled = 0;
    int64_t reused = 0;
    /// Machine code by the kernel's symbol.
    std::map<std::string, std::shared_ptr<const KernelCode>> kernels;
  };

  /// Code for every grow.kernel of the module; what is missing is compiled in
  /// parallel.
  mlir::FailureOr<Request> get(mlir::ModuleOp module);

  /// What kernels must have been made for.
  virtual TargetKind target() const = 0;

  /// Who computes convolutions in the kernels' place; null where nobody does,
  /// as on the host. Throws Error for ConvLibrary::Cudnn where it is missing.
  virtual ConvolutionChooser *convolutions(ConvLibrary wanted);

protected:
  /// Null after a diagnostic on the kernel. Called on several threads.
  virtual std::shared_ptr<const KernelCode> compile(grow::KernelOp kernel) = 0;

private:
  std::map<std::string, std::weak_ptr<const KernelCode>> byContent;
};

/// Kernels for a HostDevice.
class HostKernelCache : public KernelCache {
public:
  explicit HostKernelCache(std::unique_ptr<Jit> jit);
  ~HostKernelCache() override;

  Isa isa() const;
  TargetKind target() const override { return TargetKind::Host; }

private:
  std::shared_ptr<const KernelCode> compile(grow::KernelOp kernel) override;

  std::unique_ptr<Jit> jit;
};

/// Kernels for a CUDA device, which outlives them. They have `blocks` of the
/// precision that is wanted, as the pipelines make them for TargetKind::Cuda.
class CudaKernelCache : public KernelCache {
public:
  /// Throws Error where NVRTC cannot be loaded.
  explicit CudaKernelCache(cuda::Device &device);
  ~CudaKernelCache() override;

  TargetKind target() const override { return TargetKind::Cuda; }
  ConvolutionChooser *convolutions(ConvLibrary wanted) override;

  /// The kernel `name` of a translation unit in CUDA C++. Throws Error.
  std::shared_ptr<const KernelCode> compile(const std::string &source,
                                            const std::string &name) const;
  cuda::Device &getDevice() const { return device; }

private:
  std::shared_ptr<const KernelCode> compile(grow::KernelOp kernel) override;

  cuda::Device &device;
  const std::string architecture;
  std::unique_ptr<cuda::Compiler> compiler;
  std::map<ConvLibrary, std::unique_ptr<ConvolutionChooser>> choosers;
};

} // namespace cambium

#endif // CAMBIUM_API_KERNELCACHE_H
