//===- CudaDevice.h - Runs plans on a CUDA device ---------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_CUDADEVICE_H
#define CAMBIUM_RUNTIME_CUDADEVICE_H

#include "cambium/Runtime/CudaLibraries.h"
#include "cambium/Runtime/Device.h"

#include <string>
#include <vector>

namespace cambium::cuda {

/// Thrown where the device's memory is short; what() has the driver's name of
/// the error, what was asked for, and what is free.
class OutOfMemory : public std::bad_alloc {
public:
  explicit OutOfMemory(std::string message) : message(std::move(message)) {}
  const char *what() const noexcept override { return message.c_str(); }

private:
  std::string message;
};

/// A CUDA device by the driver API, in its primary context, with a stream of
/// its own. Kernels are those that it loaded. Not thread-safe, but for load.
///
/// A plan's arguments, with all addresses in them, are made at its first run;
/// its second run is captured as a graph, which all later ones replay, until a
/// larger plan moves the arena. With CAMBIUM_CUDA_GRAPHS=0 in the environment
/// every run launches kernel by kernel.
class Device : public cambium::Device {
public:
  /// Throws Error that says what is missing where there is no driver or no such
  /// device.
  explicit Device(int ordinal = 0);
  ~Device() override;

  /// What kernels are to be compiled for: "sm_80", "sm_90a".
  std::string architecture() const;
  size_t memoryBytes() const;

  /// The kernel whose phases are the functions `<name>_phase0`, ... of a cubin.
  /// Throws Error. May be called from several threads at once.
  std::shared_ptr<const KernelCode> load(const std::vector<char> &cubin,
                                         const std::string &name);

  TargetKind kind() const override { return TargetKind::Cuda; }
  std::string name() const override;
  Memory &memory() override;
  int64_t scratchBytes(int64_t) const override { return 0; }
  void reserve(const Plan &plan) override;
  void run(const BoundPlan &plan,
           const std::vector<const void *> &inputs) override;
  void *address(const BoundPlan &plan, const Slot &slot,
                const std::vector<const void *> &inputs) const override;
  /// Waits for what was started. Throws Error if it failed.
  void synchronize();
  /// Everything that the device does is on this stream. Binds the device's
  /// context to the calling thread, for what others put there.
  CUstream stream() const;

  /// cuDNN on the device's stream, for BoundPlan::convolutions. Throws Error
  /// where it is missing.
  ConvolutionLibrary convolutions() const;
  /// Milliseconds that a plan takes, the median of some runs, with an arena and
  /// inputs of zeros. The plan has no updates and no copies.
  double time(const BoundPlan &plan);

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cambium::cuda

#endif // CAMBIUM_RUNTIME_CUDADEVICE_H
