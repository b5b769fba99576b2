//===- HostDevice.h - Runs plans on this machine ----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_HOSTDEVICE_H
#define CAMBIUM_RUNTIME_HOSTDEVICE_H

#include "cambium/Jit/Jit.h"
#include "cambium/Runtime/Device.h"

namespace cambium {

struct HostKernel : KernelCode {
  explicit HostKernel(CompiledKernel compiled)
      : compiled(std::move(compiled)) {}
  CompiledKernel compiled;
};

/// Runs plans whose kernels are HostKernels with a fixed number of threads.
/// Every phase's tasks are divided among the threads; which thread runs a task
/// changes no result. A thread gets some microseconds of work at least, by the
/// estimate in LaunchSizes: what is less than that is not handed on. Launches
/// that may run together, such as the updates of all parameters, are divided as
/// one. A run of a plan that has run before allocates no memory.
class HostDevice : public Device {
public:
  /// 0 threads: one for each core.
  explicit HostDevice(unsigned threads);
  ~HostDevice() override;

  unsigned threads() const;

  TargetKind kind() const override { return TargetKind::Host; }
  std::string name() const override { return "host"; }
  Memory &memory() override { return Memory::host(); }
  int64_t scratchBytes(int64_t ofThread) const override;
  void reserve(const Plan &plan) override;
  void run(const BoundPlan &plan,
           const std::vector<const void *> &inputs) override;
  void *address(const BoundPlan &plan, const Slot &slot,
                const std::vector<const void *> &inputs) const override;

private:
  struct Impl;

  void runLaunch(const BoundPlan &bound, const Launch &launch,
                 const std::vector<const void *> &inputs);
  /// Launches with the same number `together`.
  void runTogether(const BoundPlan &bound, const Launch *first,
                   const Launch *last, const std::vector<const void *> &inputs);

  std::unique_ptr<Impl> impl;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_HOSTDEVICE_H
