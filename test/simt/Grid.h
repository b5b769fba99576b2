//===- Grid.h - Kernels on fibres ---------------------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Runs a grid, one block after the other, with the threads of a block as fibres
// of the calling host thread. Nothing about the order is promised on a device,
// so blocks, warps and lanes take turns in an order that differs from barrier
// to barrier: always the one that a seed gives.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_GRID_H
#define CAMBIUM_TEST_SIMT_GRID_H

#include "AsyncProxy.h"
#include "Memory.h"
#include "device/SimtCalls.h"

#include <boost/context/detail/fcontext.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace cambium::simt {

/// An error of a device: a CUresult and the text for it.
struct Fault {
  int code = 0;
  std::string message;
  explicit operator bool() const { return code; }
};

/// For every module.
extern const SimtCalls deviceCalls;

struct Launch {
  const SimtEntry *entry;
  std::string name;
  SimtIndex gridSize, blockSize;
  unsigned sharedBytes;
  void *const *params;
};

/// xorshift64*; the order has to be reproducible, not unpredictable.
class Random {
public:
  explicit Random(uint64_t seed) : state(seed * 2 + 1) {}
  uint32_t next() {
    state ^= state >> 12;
    state ^= state << 25;
    state ^= state >> 27;
    return static_cast<uint32_t>((state * 0x2545f4914f6cdd1du) >> 32);
  }
  unsigned below(unsigned limit) {
    return static_cast<unsigned>((uint64_t(next()) * limit) >> 32);
  }
  template <class T> void shuffle(std::vector<T> &values) {
    for (size_t i = values.size(); i > 1; --i)
      std::swap(values[i - 1], values[below(static_cast<unsigned>(i))]);
  }

private:
  uint64_t state;
};

/// A cp.async that has not arrived.
struct AsyncCopy {
  char *shared;
  const char *source;
  int bytes, sourceBytes;
  /// Groups that the thread had committed before.
  int group;
};

/// A device thread, apart from what kernels see of it.
struct Fiber {
  enum class State { Runnable, AtBarrier, AtWarp, Exited };

  boost::context::detail::fcontext_t context = nullptr;
  SimtThread *thread = nullptr;
  State state = State::Exited;
  unsigned index = 0;
  /// Where it waits.
  Place place{};
  /// AtBarrier.
  int barrier = 0;
  /// AtWarp.
  int operation = 0;
  unsigned mask = 0;
  void *operands = nullptr;

  std::vector<AsyncCopy> copies;
  int committed = 0;

  unsigned lane() const { return index % 32; }
  unsigned warp() const { return index / 32; }
};

class Grid {
public:
  explicit Grid(DeviceMemory &memory);
  Grid(const Grid &) = delete;
  Grid &operator=(const Grid &) = delete;
  ~Grid();

  /// Runs the launch to its end, or to the first fault.
  Fault run(const Launch &launch);

  static constexpr unsigned maxThreads = 1024;
  static constexpr unsigned maxSharedBytes = 227 * 1024;
  static constexpr unsigned sharedAlignment = 1024;

private:
  friend struct DeviceCalls;
  friend class SignalGuard;

  void runBlock(SimtIndex block);
  void startThread(unsigned index, SimtIndex block);
  static void threadMain(boost::context::detail::transfer_t from);
  /// Goes on with another thread, or ends the block if there is none.
  void switchAway(Fiber &from);
  Fiber *pickNext();
  void jumpTo(Fiber &from, Fiber &to);
  void describeDeadlock();
  /// Ends the launch; called on a fibre, which is left as it is: its objects
  /// are never destroyed and must not own memory. `what` is emptied.
  [[noreturn]] void fail(int code, std::string what);
  void setFault(const Fiber *fiber, int code, const std::string &what);
  [[noreturn]] static void afterSignal();
  std::string describeSignal() const;
  std::string describe(const char *address) const;

  void makeRunnable(Fiber &fiber);
  void releaseBarrier(int id);
  void waitAtBarrier(Fiber &fiber, int id, int threads, Place place);
  void waitForWarp(Fiber &fiber, int operation, unsigned mask, void *operands,
                   Place place);
  /// Does what the lanes of a mask have come together for. Empty, or why not.
  std::string operate(int operation, unsigned warp, unsigned mask);
  std::string exchange(Fiber *lanes, unsigned mask);
  std::string moveMatrices(Fiber *lanes, int operation);
  bool inShared(const void *address, size_t bytes) const;
  void startCopy(Fiber &fiber, const AsyncCopy &copy);
  void finishCopies(Fiber &fiber, int upToGroup);

  struct Barrier {
    unsigned expected = 0;
    unsigned arrived = 0;
    Place place{};
  };
  struct Signal {
    int number;
    const char *address;
    bool write;
    int trap;
  };

  DeviceMemory &memory;
  GuardedMemory shared;
  AsyncProxy async;
  char *mapping;
  size_t mappingBytes;
  /// maxThreads stacks, in `mapping`.
  char *stacks;
  std::vector<char> signalStack;

  const Launch *launch = nullptr;
  unsigned numThreads = 0, numExited = 0;
  std::vector<Fiber> fibers;
  Fiber host;
  Fiber *current = nullptr;
  /// Lanes of each warp that can go on.
  std::vector<unsigned> runnable;
  /// Lanes of each warp that are AtWarp.
  std::vector<unsigned> waitingLanes;
  std::vector<unsigned> warpOrder;
  unsigned turn = 0;
  Barrier barriers[16];
  Random random{0};
  uint64_t launches = 0;
  Signal signal{};
  Fault fault;
};

} // namespace cambium::simt

#endif // CAMBIUM_TEST_SIMT_GRID_H
