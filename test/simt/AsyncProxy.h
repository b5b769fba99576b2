//===- AsyncProxy.h - What sm_90a does beside its threads ---- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Bulk copies, the barriers in shared memory at which they arrive, and products
// of warpgroups. All are as late as they may be: a copy arrives when somebody
// waits for it, a product is computed when its warp waits.
//
// Products read a second copy of shared memory. Bulk copies write to both,
// while what threads write gets there by fences only.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_ASYNCPROXY_H
#define CAMBIUM_TEST_SIMT_ASYNCPROXY_H

#include "Memory.h"
#include "device/SimtCalls.h"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace cambium::simt {

/// Of one block. Functions that return a string say what is wrong; empty if
/// nothing is.
class AsyncProxy {
public:
  AsyncProxy(const GuardedMemory &shared, const DeviceMemory &global)
      : shared(shared), global(global) {}

  void beginBlock(unsigned numThreads);
  /// After all threads have ended.
  std::string endBlock() const;
  /// The threads of the block have met.
  void meet() { ++meetings; }

  void fence(unsigned thread);
  std::string prepareArrivals(unsigned thread, char *barrier);
  std::string expectArrival(unsigned thread, char *barrier, int bytes);
  std::string copy(unsigned thread, char *to, const char *from, int bytes,
                   char *barrier);
  /// Has the phase with this parity ended?
  std::string hasEnded(unsigned thread, char *barrier, int parity, bool &ended);

  /// An operation of WarpBeginProducts to WarpWaitProducts; `operands` are
  /// those of its 32 lanes.
  std::string operate(int operation, unsigned warp, void *const *operands);

private:
  struct Copy {
    char *to;
    const char *from;
    int bytes;
  };
  /// An mbarrier for one arrival in each phase.
  struct Barrier {
    unsigned preparedBy;
    uint64_t preparedAt;
    bool fenced = false;
    unsigned phase = 0;
    int arrivals = 1;
    int64_t bytes = 0;
    std::vector<Copy> copies;
  };
  struct Product {
    bool bf16, committed;
    WarpgroupProduct lanes[32];
    unsigned a[32][4];
    /// As it was when the product began: [k][column].
    std::vector<float> b;
  };
  /// Accumulators that products under way have: of each lane.
  struct Accumulators {
    const float *ofFirstLane;
    std::vector<float> values[32];
  };
  struct Warp {
    /// Since the last group.
    bool begun = false;
    std::vector<Product> products;
    std::vector<Accumulators> accumulators;
    /// Of all that it has multiplied.
    uint64_t sequence = 0;
  };

  std::string find(unsigned thread, const char *barrier, Barrier *&found);
  void endPhase(Barrier &barrier);
  std::string begin(Warp &warp, bool bf16, void *const *operands);
  std::string finish(Warp &warp);
  std::string compute(Warp &warp, const Product &product);
  std::string readColumns(const WarpgroupProduct &product, bool bf16,
                          std::vector<float> &b) const;

  const GuardedMemory &shared;
  const DeviceMemory &global;
  /// What the proxy sees of `shared`.
  std::vector<char> seen;
  uint64_t meetings = 0;
  std::map<const char *, Barrier> barriers;
  std::vector<Warp> warps;
};

} // namespace cambium::simt

#endif // CAMBIUM_TEST_SIMT_ASYNCPROXY_H
