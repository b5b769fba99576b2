//===- Peer.cpp - cuDNN on a CUDA device ----------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Peer.h"

#include "cambium/Error.h"

#include <algorithm>
#include <cassert>
#include <cstdlib>
#include <cstring>

using namespace cambium;
using namespace cambium::bench;

static int64_t aligned(int64_t bytes) { return (bytes + 255) / 256 * 256; }

//===----------------------------------------------------------------------===//
// bf16
//===----------------------------------------------------------------------===//

/// Rounded to the nearest, ties to even; the value is finite.
static uint16_t toBf16(float value) {
  uint32_t bits;
  std::memcpy(&bits, &value, sizeof(bits));
  return (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
}

static float fromBf16(uint16_t half) {
  uint32_t bits = uint32_t(half) << 16;
  float value;
  std::memcpy(&value, &bits, sizeof(value));
  return value;
}

//===----------------------------------------------------------------------===//
// PeerMemory
//===----------------------------------------------------------------------===//

Slot PeerMemory::add(int64_t elements) {
  Slot slot{Slot::Space::Arena, bytes};
  bytes += aligned(elements * (isBf16 ? sizeof(uint16_t) : sizeof(float)));
  return slot;
}

Slot PeerMemory::addFp32(int64_t elements) {
  Slot slot{Slot::Space::Arena, bytes};
  bytes += aligned(elements * sizeof(float));
  return slot;
}

void PeerMemory::reserve(int64_t workspace) {
  workspaceBytes = aligned(workspace);
  Plan plan;
  plan.arenaBytes = bytes + workspaceBytes;
  gpu.device.reserve(plan);
}

void *PeerMemory::address(const Slot &tensor) {
  return gpu.device.address({}, tensor, {});
}

void PeerMemory::write(const Slot &tensor, const std::vector<float> &values) {
  if (!isBf16)
    return writeFp32(tensor, values.data(), values.size());
  std::vector<uint16_t> rounded(values.size());
  std::transform(values.begin(), values.end(), rounded.begin(), toBf16);
  gpu.device.memory().upload(address(tensor), rounded.data(),
                             rounded.size() * sizeof(uint16_t));
}

void PeerMemory::writeFp32(const Slot &tensor, const float *values,
                           int64_t count) {
  gpu.device.memory().upload(address(tensor), values, count * sizeof(float));
}

std::vector<float> PeerMemory::read(const Slot &tensor, int64_t count) {
  std::vector<float> values(count);
  Memory &memory = gpu.device.memory();
  if (!isBf16) {
    memory.download(values.data(), address(tensor), count * sizeof(float));
    return values;
  }
  std::vector<uint16_t> halves(count);
  memory.download(halves.data(), address(tensor), count * sizeof(uint16_t));
  std::transform(halves.begin(), halves.end(), values.begin(), fromBf16);
  return values;
}

//===----------------------------------------------------------------------===//
// PeerPlan
//===----------------------------------------------------------------------===//

void PeerPlan::add(const LibraryPlan &plan, const Slot &lhs, const Slot &rhs,
                   const Slot &result) {
  assert(plan.workspaceBytes() <= memory.workspaceBytes);
  bound.plan.arenaBytes = memory.bytes + memory.workspaceBytes;
  Launch launch;
  launch.convolution = bound.convolutions.size();
  launch.buffers = {lhs, rhs, result, {Slot::Space::Arena, memory.bytes}};
  launch.sharedBuffers = launch.buffers.size();
  bound.convolutions.push_back(plan);
  bound.plan.launches.push_back(std::move(launch));
}

void PeerPlan::add(const std::shared_ptr<const KernelCode> &code,
                   const std::vector<Slot> &buffers,
                   const std::vector<int64_t> &dims, int64_t blocks,
                   int threads) {
  bound.plan.arenaBytes = memory.bytes + memory.workspaceBytes;
  Launch launch;
  launch.kernel = bound.kernels.size();
  bound.kernels.push_back(code);
  bound.plan.kernels.push_back("peer");
  launch.buffers = buffers;
  launch.sharedBuffers = buffers.size();
  launch.dims = dims;
  launch.sizes.tasks = {blocks};
  launch.sizes.blocks = {{threads, 0}};
  bound.plan.launches.push_back(std::move(launch));
}

//===----------------------------------------------------------------------===//
// Convolutions
//===----------------------------------------------------------------------===//

LibraryConvolution bench::libraryConvolution(ConvKind kind,
                                             const ConvShape &shape,
                                             Precision precision) {
  using Kind = ContractionSpec::Kind;
  LibraryConvolution wanted;
  ContractionSpec &spec = wanted.spec;
  spec.kind = kind == ConvKind::Forward        ? Kind::Forward
              : kind == ConvKind::BackwardData ? Kind::BackwardData
                                               : Kind::BackwardFilter;
  spec.kernelH = spec.kernelW = shape.kernel;
  spec.strideH = spec.strideW = shape.stride;
  spec.padTop = spec.padBottom = spec.padLeft = spec.padRight = shape.padding;
  wanted.extents = {shape.batch,     shape.size,      shape.size, shape.inC,
                    shape.outSize(), shape.outSize(), shape.outC};
  wanted.precision = precision;
  wanted.bf16Tensors = precision == Precision::Bf16;
  static const bool reproducible =
      std::getenv("CAMBIUM_BENCH_REPRODUCIBLE") != nullptr;
  wanted.reproducible = reproducible;
  return wanted;
}

static int64_t product(const std::vector<int64_t> &shape) {
  int64_t elements = 1;
  for (int64_t extent : shape)
    elements *= extent;
  return elements;
}

ConvElements bench::elementsOf(ConvKind kind, const ConvShape &shape) {
  int64_t x = product(shape.x()), w = product(shape.w()),
          y = product(shape.y());
  switch (kind) {
  case ConvKind::Forward:
    return {x, w, y};
  case ConvKind::BackwardData:
    return {y, w, x};
  case ConvKind::BackwardFilter:
    break;
  }
  return {x, y, w};
}

/// Median seconds of a plan; none if it does not run.
static std::optional<double> timePlan(Gpu &gpu, PeerPlan &&plan) {
  try {
    Contender contender = gpu.contender([&] { plan.run(); });
    std::vector<double> times;
    for (int i = 0; i < 5; ++i)
      times.push_back(contender.timed());
    return median(times);
  } catch (const Error &) {
    return std::nullopt;
  }
}

std::optional<LibraryPlan>
bench::fastestPlan(Gpu &gpu, const LibraryConvolution &convolution,
                   const ConvElements &elements) {
  if (!gpu.cudnn)
    return std::nullopt;
  constexpr size_t considered = 10;
  constexpr int64_t mostWorkspace = int64_t(4) << 30;
  std::vector<LibraryPlan> plans;
  try {
    plans = gpu.cudnn->plans(convolution, considered);
  } catch (const Error &) {
    return std::nullopt;
  }
  int64_t workspace = 0;
  auto isTooLarge = [&](const LibraryPlan &plan) {
    return plan.workspaceBytes() > mostWorkspace;
  };
  plans.erase(std::remove_if(plans.begin(), plans.end(), isTooLarge),
              plans.end());
  for (const LibraryPlan &plan : plans)
    workspace = std::max(workspace, plan.workspaceBytes());
  PeerMemory memory(gpu, convolution.bf16Tensors);
  Slot lhs = memory.add(elements.lhs), rhs = memory.add(elements.rhs),
       result = memory.add(elements.result);
  memory.reserve(workspace);
  for (auto [slot, count] :
       {std::pair(lhs, elements.lhs), std::pair(rhs, elements.rhs)}) {
    Block values(count);
    fillRandom(values, 1);
    memory.write(slot, {values.data(), values.data() + count});
  }
  std::optional<LibraryPlan> best;
  double least = 0;
  for (const LibraryPlan &plan : plans) {
    PeerPlan single(memory);
    single.add(plan, lhs, rhs, result);
    std::optional<double> time = timePlan(gpu, std::move(single));
    if (!time || (best && *time >= least))
      continue;
    best = plan;
    least = *time;
  }
  return best;
}

static std::vector<float> transposed(const float *values, int64_t rows,
                                     int64_t columns) {
  std::vector<float> result(rows * columns);
  for (int64_t row = 0; row < rows; ++row)
    for (int64_t column = 0; column < columns; ++column)
      result[column * rows + row] = values[row * columns + column];
  return result;
}

std::vector<float> bench::toCudnnFilter(const float *filter,
                                        const ConvShape &shape) {
  return transposed(filter, shape.kernel * shape.kernel * shape.inC,
                    shape.outC);
}

std::vector<float> bench::fromCudnnFilter(const std::vector<float> &filter,
                                          const ConvShape &shape) {
  return transposed(filter.data(), shape.outC,
                    shape.kernel * shape.kernel * shape.inC);
}
