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

/// Work (LaunchSizes::work) that is worth a hand-off to another thread, which
/// takes some microseconds: about eight of them.
static constexpr int64_t workOfShare = 32768;

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
  /// Addresses for the launches that run together.
  std::vector<void *> buffers;
  /// Those launches, where there are several.
  struct Member {
    const Launch *launch;
    PhaseFunction phase;
    size_t firstBuffer;
    /// Its tasks end here if all are numbered in order.
    int64_t endTask;
  };
  std::vector<Member> members;

  /// Calls `run(begin, end)` for parts of [first, first + tasks), on several
  /// threads if each gets enough work.
  template <typename Run>
  void share(int64_t first, int64_t tasks, int64_t work, Run run);
  void *scratchOfThread(int64_t bytes) {
    int thread = tbb::this_task_arena::current_thread_index();
    return reinterpret_cast<char *>(scratch->data()) + thread * bytes;
  }
};

/// The tasks that a thread must get at least.
static int64_t tasksOfShare(int64_t tasks, int64_t work) {
  if (work <= workOfShare)
    return tasks;
  return std::max<int64_t>(1, static_cast<double>(tasks) * workOfShare / work);
}

template <typename Run>
void HostDevice::Impl::share(int64_t first, int64_t tasks, int64_t work,
                             Run run) {
  int64_t least = tasksOfShare(tasks, work);
  if (tasks <= least || workers.max_concurrency() == 1)
    return run(first, first + tasks);
  tbb::parallel_for(tbb::blocked_range<int64_t>(first, first + tasks, least),
                    [&](const tbb::blocked_range<int64_t> &range) {
                      run(range.begin(), range.end());
                    });
}

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

static const std::vector<PhaseFunction> &phasesOf(const BoundPlan &bound,
                                                  const Launch &launch) {
  return static_cast<const HostKernel &>(*bound.kernels[launch.kernel])
      .compiled.phases();
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

void HostDevice::runLaunch(const BoundPlan &bound, const Launch &launch,
                           const std::vector<const void *> &inputs) {
  impl->buffers.clear();
  for (const Slot &slot : launch.buffers)
    impl->buffers.push_back(address(bound, slot, inputs));
  const auto &phases = phasesOf(bound, launch);
  const LaunchSizes &sizes = launch.sizes;
  assert(phases.size() == sizes.tasks.size());
  int64_t scratchBytes = alignedBytes(bound.plan.scratchBytes);
  for (int64_t round = 0; round < sizes.rounds; ++round)
    for (size_t i = 0; i < phases.size(); ++i)
      impl->share(round * sizes.tasks[i], sizes.tasks[i],
                  sizes.work / sizes.rounds, [&](int64_t begin, int64_t end) {
                    phases[i](impl->buffers.data(), launch.dims.data(), begin,
                              end, impl->scratchOfThread(scratchBytes));
                  });
}

void HostDevice::runTogether(const BoundPlan &bound, const Launch *first,
                             const Launch *last,
                             const std::vector<const void *> &inputs) {
  auto &members = impl->members;
  impl->buffers.clear();
  members.clear();
  int64_t tasks = 0, work = 0;
  for (const Launch *launch = first; launch != last; ++launch) {
    assert(launch->sizes.rounds == 1 && launch->sizes.tasks.size() == 1);
    tasks += launch->sizes.tasks[0];
    work += launch->sizes.work;
    members.push_back(
        {launch, phasesOf(bound, *launch)[0], impl->buffers.size(), tasks});
    for (const Slot &slot : launch->buffers)
      impl->buffers.push_back(address(bound, slot, inputs));
  }
  int64_t scratchBytes = alignedBytes(bound.plan.scratchBytes);
  impl->share(0, tasks, work, [&](int64_t begin, int64_t end) {
    auto member = std::upper_bound(
        members.begin(), members.end(), begin,
        [](int64_t task, const auto &other) { return task < other.endTask; });
    for (; begin < end; ++member) {
      int64_t before = member->endTask - member->launch->sizes.tasks[0];
      int64_t stop = std::min(end, member->endTask);
      member->phase(impl->buffers.data() + member->firstBuffer,
                    member->launch->dims.data(), begin - before, stop - before,
                    impl->scratchOfThread(scratchBytes));
      begin = stop;
    }
  });
}

void HostDevice::run(const BoundPlan &bound,
                     const std::vector<const void *> &inputs) {
  const Plan &plan = bound.plan;
  reserve(plan);
  impl->workers.execute([&] {
    const Launch *launch = plan.launches.data();
    const Launch *end = launch + plan.launches.size();
    while (launch != end) {
      const Launch *next =
          std::find_if(launch + 1, end, [&](const Launch &other) {
            return launch->together < 0 || other.together != launch->together;
          });
      if (next == launch + 1)
        runLaunch(bound, *launch, inputs);
      else
        runTogether(bound, launch, next, inputs);
      launch = next;
    }
  });
  for (const Plan::Copy &copy : plan.copies)
    std::memcpy(address(bound, copy.to, inputs),
                address(bound, copy.from, inputs), copy.bytes);
}
