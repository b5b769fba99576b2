//===- CudaContext.h - A CUDA device and its stream -------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_RUNTIME_CUDACONTEXT_H
#define CAMBIUM_LIB_RUNTIME_CUDACONTEXT_H

#include "cambium/Runtime/CudaLibraries.h"
#include "cambium/Runtime/Memory.h"

#include <string>
#include <vector>

namespace cambium::cuda {

/// The device's primary context, and a stream in it. Destroyed after all that
/// was made in it.
struct Context {
  explicit Context(int ordinal);
  ~Context();

  /// Binds the context to the calling thread, as the driver's functions demand.
  void enter() const;
  void synchronize() const;
  int attribute(CUdevice_attribute attribute) const;

  const Driver &driver;
  CUdevice device = 0;
  CUcontext handle = nullptr;
  CUstream stream = nullptr;
};

/// The device's memory. Copies from and to this process go through pinned
/// memory, in pieces if they are large.
class DeviceMemory : public Memory {
public:
  explicit DeviceMemory(const Context &context) : context(context) {}
  ~DeviceMemory() override;

  bool isHost() const override { return false; }
  size_t alignment() const override { return 256; }
  void *allocate(size_t bytes) override;
  void release(void *address) noexcept override;
  void zero(void *to, size_t bytes) override;
  void upload(void *to, const void *from, size_t bytes) override;
  void download(void *to, const void *from, size_t bytes) override;
  void copy(void *to, const void *from, size_t bytes) override;

private:
  /// Free pinned memory for up to `bytes`; `bytes` becomes its size.
  char *stage(size_t &bytes);

  const Context &context;
  char *pinned = nullptr;
  size_t pinnedBytes = 0;
  /// Bytes of the pinned memory that the stream may still read.
  size_t pinnedUsed = 0;
};

inline CUdeviceptr deviceAddress(const void *address) {
  return reinterpret_cast<CUdeviceptr>(address);
}

} // namespace cambium::cuda

#endif // CAMBIUM_LIB_RUNTIME_CUDACONTEXT_H
