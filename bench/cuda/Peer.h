//===- Peer.h - cuDNN on a CUDA device --------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

//
// What cuDNN and some simple kernels do, as plans made by hand, which run as
// CUDA graphs as Cambium's do.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_CUDA_PEER_H
#define CAMBIUM_BENCH_CUDA_PEER_H

#include "../peers/Convolution.h"
#include "Gpu.h"

namespace cambium::bench {

/// Tensors of the peer, in fp32 or bf16. All are added before the first is
/// written, and before a plan uses them.
class PeerMemory {
public:
  PeerMemory(Gpu &gpu, bool isBf16) : gpu(gpu), isBf16(isBf16) {}

  Slot add(int64_t elements);
  /// Always fp32.
  Slot addFp32(int64_t elements);
  /// Memory for the tensors and so much workspace behind them.
  void reserve(int64_t workspaceBytes);
  void write(const Slot &tensor, const std::vector<float> &values);
  void writeFp32(const Slot &tensor, const float *values, int64_t count);
  std::vector<float> read(const Slot &tensor, int64_t count);

  Gpu &gpu;
  const bool isBf16;

private:
  friend class PeerPlan;
  void *address(const Slot &tensor);

  int64_t bytes = 0, workspaceBytes = 0;
};

/// Launches in order.
class PeerPlan {
public:
  explicit PeerPlan(PeerMemory &memory) : memory(memory) {}

  /// Tensors as LibraryPlan::run takes them.
  void add(const LibraryPlan &plan, const Slot &lhs, const Slot &rhs,
           const Slot &result);
  /// One phase of a kernel `code`.
  void add(const std::shared_ptr<const KernelCode> &code,
           const std::vector<Slot> &buffers, const std::vector<int64_t> &dims,
           int64_t blocks, int threads);
  void run() { memory.gpu.device.run(bound, {}); }

private:
  PeerMemory &memory;
  BoundPlan bound;
};

/// With CAMBIUM_BENCH_REPRODUCIBLE in the environment only plans whose results
/// are the same in every run, as Cambium's are.
LibraryConvolution libraryConvolution(ConvKind kind, const ConvShape &shape,
                                      Precision precision);
/// Of the tensors that the convolution reads and writes.
struct ConvElements {
  int64_t lhs, rhs, result;
};
ConvElements elementsOf(ConvKind kind, const ConvShape &shape);

/// The plan that takes the least time of those that cuDNN proposes, with its
/// name; none where it proposes none, refuses the convolution, or is missing.
std::optional<LibraryPlan> fastestPlan(Gpu &gpu,
                                       const LibraryConvolution &convolution,
                                       const ConvElements &elements);

/// Between ours, [kernel][kernel][inC][outC], and cuDNN's,
/// [outC][kernel][kernel][inC].
std::vector<float> toCudnnFilter(const float *filter, const ConvShape &shape);
std::vector<float> fromCudnnFilter(const std::vector<float> &filter,
                                   const ConvShape &shape);

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_CUDA_PEER_H
