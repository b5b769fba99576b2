//===- PeerLayer.cpp - Rectified branches by cuDNN ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "PeerLayer.h"

#include "cambium/API/KernelCache.h"

#include <algorithm>

using namespace cambium;
using namespace cambium::bench;

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static constexpr int kThreads = 256, kElementsOfThread = 8;

/// A thread computes 8 channels of a pixel, with accesses of 16 bytes.
static const char *const source = R"(#include "cambium/Intrinsics.cuh"
#include "cambium/Base.cuh"

using namespace cambium;

struct Bf16 {
  unsigned short bits;
};

__device__ __forceinline__ Vec<8> get(const float *from) {
  return load<8>(from, /*aligned=*/true);
}
__device__ __forceinline__ Vec<8> get(const Bf16 *from) {
  const Words4 words = *reinterpret_cast<const Words4 *>(from);
  Vec<8> values;
  for (int i = 0; i < 4; ++i) {
    values[2 * i] = floatOf(words.w[i] << 16);
    values[2 * i + 1] = floatOf(words.w[i] & 0xffff0000u);
  }
  return values;
}
__device__ __forceinline__ void put(float *to, const Vec<8> &values) {
  store<8>(to, values, /*aligned=*/true);
}
__device__ __forceinline__ void put(Bf16 *to, const Vec<8> &values) {
  Words4 words;
  for (int i = 0; i < 4; ++i)
    words.w[i] = toBf16(values[2 * i], values[2 * i + 1]);
  *reinterpret_cast<Words4 *>(to) = words;
}
)";

/// y = relu(c + b), added to y unless it is the first. Buffers c, b, y.
static const char *const addSource = R"(
extern "C" __global__ void __launch_bounds__(256)
peerAdd_phase0(const __grid_constant__ Arguments<3, 3> args, const int) {
  const int groups = args.dims[0], channels = args.dims[1];
  const int group = static_cast<int>(blockIdx.x * 256 + threadIdx.x);
  if (group >= groups)
    return;
  const long long first = static_cast<long long>(group) * 8;
  const Vec<8> c = get(buffer<const Element>(args, 0) + first);
  const Vec<8> b = get(buffer<const float>(args, 1) + first % channels);
  Element *y = buffer<Element>(args, 2) + first;
  Vec<8> sum = args.dims[2] ? splat<8>(0.0f) : get(y);
  for (int i = 0; i < 8; ++i)
    sum[i] += c[i] + b[i] > 0.0f ? c[i] + b[i] : 0.0f;
  put(y, sum);
}
)";

/// g = dy where c + b > 0, else 0. Buffers c, b, dy, g.
static const char *const maskSource = R"(
extern "C" __global__ void __launch_bounds__(256)
peerMask_phase0(const __grid_constant__ Arguments<4, 2> args, const int) {
  const int groups = args.dims[0], channels = args.dims[1];
  const int group = static_cast<int>(blockIdx.x * 256 + threadIdx.x);
  if (group >= groups)
    return;
  const long long first = static_cast<long long>(group) * 8;
  const Vec<8> c = get(buffer<const Element>(args, 0) + first);
  const Vec<8> b = get(buffer<const float>(args, 1) + first % channels);
  Vec<8> g = get(buffer<const Element>(args, 2) + first);
  for (int i = 0; i < 8; ++i)
    g[i] = c[i] + b[i] > 0.0f ? g[i] : 0.0f;
  put(buffer<Element>(args, 3) + first, g);
}
)";

//===----------------------------------------------------------------------===//
// The layer
//===----------------------------------------------------------------------===//

struct PeerLayer::Plans {
  LibraryPlan forward, firstData, nextData, filter;
  int64_t workspaceBytes() const {
    return std::max({forward.workspaceBytes(), firstData.workspaceBytes(),
                     nextData.workspaceBytes(), filter.workspaceBytes()});
  }
};

std::unique_ptr<PeerLayer>
PeerLayer::create(Gpu &gpu, const ReluLayerData &data, Precision precision) {
  auto find = [&](ConvKind kind, bool accumulate) {
    LibraryConvolution wanted = libraryConvolution(kind, data.shape, precision);
    wanted.accumulate = accumulate;
    return fastestPlan(gpu, wanted, elementsOf(kind, data.shape));
  };
  auto forward = find(ConvKind::Forward, false);
  auto firstData = find(ConvKind::BackwardData, false);
  auto nextData = find(ConvKind::BackwardData, true);
  auto filter = find(ConvKind::BackwardFilter, false);
  if (!forward || !firstData || !nextData || !filter)
    return nullptr;
  return std::unique_ptr<PeerLayer>(
      new PeerLayer(gpu, data, {*forward, *firstData, *nextData, *filter},
                    precision == Precision::Bf16));
}

PeerLayer::PeerLayer(Gpu &gpu, const ReluLayerData &data, const Plans &plans,
                     bool isBf16)
    : shape(data.shape), memory(gpu, isBf16), forward(memory),
      backward(memory) {
  CudaKernelCache compiler(gpu.device);
  auto compile = [&](const char *kernel, const char *name) {
    std::string text = source;
    text += isBf16 ? "using Element = Bf16;\n" : "using Element = float;\n";
    return compiler.compile(text + kernel, name);
  };
  auto addCode = compile(addSource, "peerAdd");
  auto maskCode = compile(maskSource, "peerMask");

  const int64_t yElements = elements(shape.y()),
                wElements = elements(shape.w());
  Slot x = memory.add(data.x.size());
  yTensor = memory.add(yElements);
  dyTensor = memory.add(yElements);
  dxTensor = memory.add(data.x.size());
  std::vector<Slot> w, b, c, g;
  for (size_t i = 0; i < data.filters.size(); ++i) {
    w.push_back(memory.add(wElements));
    b.push_back(memory.addFp32(shape.outC));
    c.push_back(memory.add(yElements));
    g.push_back(memory.add(yElements));
    dwTensors.push_back(memory.add(wElements));
  }
  memory.reserve(plans.workspaceBytes());
  memory.write(x, {data.x.data(), data.x.data() + data.x.size()});
  const int64_t groups = yElements / kElementsOfThread;
  const int64_t blocks = (groups + kThreads - 1) / kThreads;
  for (size_t i = 0; i < data.filters.size(); ++i) {
    memory.write(w[i], toCudnnFilter(data.filters[i].data(), shape));
    memory.writeFp32(b[i], data.biases[i].data(), shape.outC);
    forward.add(plans.forward, x, w[i], c[i]);
    forward.add(addCode, {c[i], b[i], yTensor}, {groups, shape.outC, i == 0},
                blocks, kThreads);
    backward.add(maskCode, {c[i], b[i], dyTensor, g[i]}, {groups, shape.outC},
                 blocks, kThreads);
    backward.add(i == 0 ? plans.firstData : plans.nextData, g[i], w[i],
                 dxTensor);
    backward.add(plans.filter, x, g[i], dwTensors[i]);
  }
}

std::vector<float> PeerLayer::y() {
  return memory.read(yTensor, elements(shape.y()));
}

std::vector<float> PeerLayer::dx() {
  return memory.read(dxTensor, elements(shape.x()));
}

std::vector<float> PeerLayer::dw(int64_t branch) {
  return fromCudnnFilter(memory.read(dwTensors[branch], elements(shape.w())),
                         shape);
}
