//===- HostDevice.cpp - Runs plans on this machine ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/HostDevice.h"

#include <tbb/global_control.h>
#include <tbb/info.h>
#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <algorithm>
#include <cassert>
#include <cstring>

using namespace cambium;

struct HostDevice::Impl {
  explicit Impl(unsigned threads)
      : limit(tbb::global_control::max_allowed_parallelism,
              std::max<size_t>(threads, tbb::info::default_concurrency())),
        workers(threads == 0 ? tbb::task_arena::automatic
                             : static_cast<int>(threads)) {}

  /// oneTBB has no more workers than cores unless asked.
  tbb::global_control limit;
  tbb::task_arena workers;
  std::unique_ptr<Block> arena = std::make_unique<Block>(0);
  /// A thread's scratch is at its index times the bytes for each thread.
  std::unique_ptr<Block> scratch = std::make_unique<Block>(0);
  std::vector<void *> buffers;

  void runPhase(PhaseFunction phase, int64_t first, int64_t tasks,
                const Launch &launch, int64_t scratchBytes);
};

HostDevice::HostDevice(unsigned threads)
    : impl(std::make_unique<Impl>(threads)) {}
HostDevice::~HostDevice() = default;

KernelCode::~KernelCode() = default;
Device::~Device() = default;

unsigned HostDevice::threads() const { return impl->workers.max_concurrency(); }

static int64_t alignedBytes(int64_t bytes) { return (bytes + 63) / 64 * 64; }

int64_t HostDevice::scratchBytes(int64_t ofThread) const {
  return alignedBytes(ofThread) * impl->workers.max_concurrency();
}

void HostDevice::reserve(const Plan &plan) {
  auto grow = [](std::unique_ptr<Block> &block, int64_t bytes) {
    if (block->size() * static_cast<int64_t>(sizeof(float)) < bytes) {
      // Freed before, so that both are never there at once.
      block = std::make_unique<Block>(0);
      block = std::make_unique<Block>((bytes + 3) / 4);
    }
  };
  grow(impl->arena, plan.arenaBytes);
  grow(impl->scratch, scratchBytes(plan.scratchBytes));
}

void HostDevice::Impl::runPhase(PhaseFunction phase, int64_t first,
                                int64_t tasks, const Launch &launch,
                                int64_t scratchBytes) {
  char *base = reinterpret_cast<char *>(scratch->data());
  auto run = [&](int64_t begin, int64_t end) {
    int thread = tbb::this_task_arena::current_thread_index();
    phase(buffers.data(), launch.dims.data(), begin, end,
          base + thread * alignedBytes(scratchBytes));
  };
  if (tasks <= 1 || workers.max_concurrency() == 1)
    return run(first, first + tasks);
  tbb::parallel_for(tbb::blocked_range<int64_t>(first, first + tasks),
                    [&](const tbb::blocked_range<int64_t> &range) {
                      run(range.begin(), range.end());
                    });
}

void *HostDevice::address(const BoundPlan &plan, const Slot &slot,
                          const std::vector<const void *> &inputs) const {
  switch (slot.space) {
  case Slot::Space::Arena:
    return reinterpret_cast<char *>(impl->arena->data()) + slot.place;
  case Slot::Space::Input:
    return const_cast<void *>(inputs[slot.place]);
  case Slot::Space::Values:
    return plan.stored[slot.place]->values->data();
  case Slot::Space::Rates:
    return plan.stored[slot.place]->rates;
  case Slot::Space::State:
    return plan.stored[slot.place]->state[slot.state]->data();
  }
  assert(false && "all spaces are covered");
  return nullptr;
}

void HostDevice::run(const BoundPlan &bound,
                     const std::vector<const void *> &inputs) {
  const Plan &plan = bound.plan;
  reserve(plan);
  impl->workers.execute([&] {
    for (const Launch &launch : plan.launches) {
      impl->buffers.clear();
      for (const Slot &slot : launch.buffers)
        impl->buffers.push_back(address(bound, slot, inputs));
      const auto &phases =
          static_cast<const HostKernel &>(*bound.kernels[launch.kernel])
              .compiled.phases();
      assert(phases.size() == launch.sizes.tasks.size());
      for (int64_t round = 0; round < launch.sizes.rounds; ++round)
        for (size_t i = 0; i < phases.size(); ++i) {
          int64_t tasks = launch.sizes.tasks[i];
          impl->runPhase(phases[i], round * tasks, tasks, launch,
                         plan.scratchBytes);
        }
    }
  });
  for (const Plan::Copy &copy : plan.copies)
    std::memcpy(address(bound, copy.to, inputs),
                address(bound, copy.from, inputs), copy.bytes);
}
