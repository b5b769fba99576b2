//===- Device.h - Where programs run ----------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_DEVICE_H
#define CAMBIUM_RUNTIME_DEVICE_H

#include "cambium/CompileOptions.h"
#include "cambium/Runtime/ConvolutionLibrary.h"
#include "cambium/Runtime/ParameterStore.h"
#include "cambium/Runtime/Plan.h"

#include <memory>
#include <vector>

namespace cambium {

/// A kernel's machine code on some device, freed with this object.
class KernelCode {
public:
  virtual ~KernelCode();
};

/// A plan whose names are resolved to stored tensors and machine code.
struct BoundPlan {
  Plan plan;
  std::vector<std::shared_ptr<const KernelCode>> kernels;
  /// Of cuDNN on the device's stream; those of plans for the host are none.
  std::vector<LibraryPlan> convolutions;
  /// One for each Plan::stored.
  std::vector<StoredTensor *> stored;
  /// What a CUDA device derives from the fields above at the first run. Who
  /// changes them in a copy resets it there.
  mutable std::shared_ptr<void> prepared;
};

/// Memory, and what runs plans on it. It outlives the blocks and the plans that
/// use it.
class Device {
public:
  virtual ~Device();

  virtual TargetKind kind() const = 0;
  /// For people: "host", or "NVIDIA A100-SXM4-40GB (sm_80)".
  virtual std::string name() const = 0;
  virtual Memory &memory() = 0;
  /// Memory of a plan that asks for so much scratch a thread.
  virtual int64_t scratchBytes(int64_t ofThread) const = 0;

  /// Makes room for the plan. Throws std::bad_alloc, and can go on after it.
  virtual void reserve(const Plan &plan) = 0;

  /// Runs the launches, then the copies. `inputs` holds the function's
  /// arguments, in this process's memory. Results stay in the arena until the
  /// next run. May return before the device is done: memory() waits for it.
  /// Throws Error if the device fails.
  virtual void run(const BoundPlan &plan,
                   const std::vector<const void *> &inputs) = 0;

  /// The device's address of a slot of the plan that ran last.
  virtual void *address(const BoundPlan &plan, const Slot &slot,
                        const std::vector<const void *> &inputs) const = 0;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_DEVICE_H
