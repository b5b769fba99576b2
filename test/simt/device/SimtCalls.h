//===- SimtCalls.h - Between kernels and the SIMT shim ------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What a kernel compiled for the CPU and the library that runs it agree on. No
// other header may be included: kernels are compiled without any.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_SIMTCALLS_H
#define CAMBIUM_TEST_SIMT_SIMTCALLS_H

namespace cambium::simt {

/// What the lanes of a warp do together. The comment names what a lane's
/// operands are.
enum WarpOperation {
  /// Nothing.
  WarpSync,
  /// WarpShuffle.
  WarpExchange,
  /// WarpBallot.
  WarpVote,
  /// WarpMatrices.
  WarpLoadMatrices,
  WarpLoadMatricesTransposed,
  WarpStoreMatrices,
  WarpStoreMatricesTransposed,
  /// WarpMma.
  WarpMmaBf16,
  WarpMmaTf32,
  /// wgmma of sm_90a, by each warp of a warpgroup. Nothing.
  WarpBeginProducts,
  /// WarpgroupProduct.
  WarpProductBf16,
  WarpProductTf32,
  /// Nothing.
  WarpCommitProducts,
  WarpWaitProducts
};

/// Where a source text calls.
struct Place {
  const char *file;
  int line;
};

struct WarpShuffle {
  unsigned value;
  /// Lane whose value is wanted.
  int source;
  unsigned result;
};

struct WarpBallot {
  bool predicate;
  unsigned result;
};

/// ldmatrix, stmatrix: `count` is 1, 2 or 4.
struct WarpMatrices {
  void *row;
  unsigned *registers;
  int count;
};

/// D = A * B + C of one warp: m16n8k16 on bfloat16 or m16n8k8 on tf32, A
/// row-major in 4 registers, B column-major in 2, C and D in 4.
struct WarpMma {
  float *d;
  const unsigned *a;
  const unsigned *b;
  const float *c;
};

/// wgmma.mma_async m64nNk16 on bfloat16 or m64nNk8 on tf32, A in 4 registers,
/// C in columnCount / 2 of them.
struct WarpgroupProduct {
  float *c;
  const unsigned *a;
  /// The matrix descriptor of B.
  unsigned long long columns;
  int columnCount;
};

/// All are called on the stack of a device thread.
struct SimtCalls {
  /// bar.sync: waits for `threads` threads at barrier `id`; 0: for all of the
  /// block.
  void (*barrier)(int id, int threads, Place place);
  /// Does `operation` when all lanes of `mask` have called it.
  void (*warp)(int operation, unsigned mask, void *operands, Place place);
  /// cp.async: `bytes` at `shared` become the `sourceBytes` at `source` and
  /// zeros.
  void (*copyAsync)(void *shared, const void *source, int bytes,
                    int sourceBytes);
  void (*commitCopies)();
  /// Finishes all groups but the `pending` newest ones; -1: all copies, those
  /// not committed too.
  void (*waitCopies)(int pending);
  /// Lets other threads run, for loops that wait for them.
  void (*yield)();
  /// Offset of a pointer in shared memory.
  unsigned (*sharedOffset)(const void *pointer);
  void (*trap)(const char *message);
  /// fence.proxy.async.
  void (*fenceShared)();
  /// mbarrier.init with a count of 1.
  void (*prepareArrivals)(void *barrier);
  /// mbarrier.arrive.expect_tx.
  void (*expectArrival)(void *barrier, int bytes);
  /// cp.async.bulk.
  void (*copyBulk)(void *shared, const void *source, int bytes, void *barrier);
  /// Waits as mbarrier.try_wait.parity until it is true.
  void (*waitArrival)(void *barrier, int parity);
};

struct SimtIndex {
  unsigned x, y, z;
};

/// A device thread, found by its stack pointer: it lies at the upper end of the
/// thread's stack.
struct SimtThread {
  char *shared;
  SimtIndex thread, block, blockSize, gridSize;
};

/// Stacks are aligned to their size.
constexpr unsigned long stackBytes = 1ul << 16;
constexpr unsigned long threadBytes = 128;
static_assert(sizeof(SimtThread) <= threadBytes, "");

inline __attribute__((always_inline)) SimtThread *currentThread() {
  unsigned long frame =
      reinterpret_cast<unsigned long>(__builtin_frame_address(0));
  return reinterpret_cast<SimtThread *>((frame | (stackBytes - 1)) + 1 -
                                        threadBytes);
}

/// An entry of a kernel's shared object, under the name `simt_entry_<name>`.
struct SimtEntry {
  void (*run)(void *const *params);
  int numParams;
  unsigned paramBytes[8];
  int maxThreads;
};

} // namespace cambium::simt

#endif // CAMBIUM_TEST_SIMT_SIMTCALLS_H
