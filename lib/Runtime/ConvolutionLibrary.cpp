//===- ConvolutionLibrary.cpp - Convolutions of cuDNN ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/ConvolutionLibrary.h"

#include "cambium/Error.h"
#include "cambium/Runtime/CudaLibraries.h"

#include <algorithm>
#include <array>
#include <utility>

using namespace cambium;
using namespace cambium::cuda;

namespace {

using Kind = ContractionSpec::Kind;

/// Names of cuDNN's enumerations that we use, by their values in
/// cudnn_graph_v9.h.
enum DescriptorType {
  ConvolutionDescriptor = 1,
  EngineDescriptor = 2,
  EngineConfigDescriptor = 3,
  EngineHeuristicsDescriptor = 4,
  ExecutionPlanDescriptor = 5,
  OperationForwardDescriptor = 10,
  OperationBackwardFilterDescriptor = 11,
  OperationBackwardDataDescriptor = 12,
  OperationGraphDescriptor = 15,
  VariantPackDescriptor = 16,
  TensorDescriptor = 17,
  DevicePropertiesDescriptor = 38
};

enum AttributeName {
  ConvolutionComputeType = 100,
  ConvolutionMode = 101,
  ConvolutionDilations = 102,
  ConvolutionStrides = 103,
  ConvolutionPostPaddings = 104,
  ConvolutionPrePaddings = 105,
  ConvolutionSpatialDims = 106,
  HeuristicsMode = 200,
  HeuristicsGraph = 201,
  HeuristicsResults = 202,
  HeuristicsDevice = 204,
  ConfigEngine = 300,
  PlanHandle = 400,
  PlanConfig = 401,
  PlanWorkspace = 402,
  PlanDevice = 407,
  // Alpha, beta, convolution, then three tensors, for each direction.
  ForwardAlpha = 700,
  BackwardDataAlpha = 706,
  BackwardFilterAlpha = 712,
  GraphHandle = 800,
  GraphOperations = 801,
  TensorAlignment = 900,
  TensorDataType = 901,
  TensorDimensions = 902,
  TensorStrides = 903,
  TensorId = 906,
  PackIds = 1000,
  PackPointers = 1001,
  PackWorkspace = 1003,
  EngineNotes = 1303,
  DeviceJson = 2702
};

enum AttributeType {
  HandleType = 0,
  DataTypeType = 1,
  Int64Type = 3,
  FloatType = 4,
  PointerType = 6,
  ConvolutionModeType = 7,
  HeuristicsModeType = 8,
  NoteType = 11,
  DescriptorTypeType = 15,
  CharType = 24
};

enum NumericalNote {
  TensorCoreNote = 0,
  DownConvertNote = 1,
  ReducedReductionNote = 2,
  NondeterministicNote = 4,
  NumNotes = 10
};

constexpr int32_t fp32 = 0, bf16 = 9, crossCorrelation = 1;
constexpr std::pair<int32_t, const char *> heuristicModes[] = {{3, "heuristic"},
                                                               {2, "fallback"}};

const Cudnn &library() { return Cudnn::get(); }

void check(cudnnStatus_t status, const char *what) {
  if (status == CUDNN_STATUS_SUCCESS)
    return;
  std::array<char, 512> detail = {};
  library().cudnnGetLastErrorString(detail.data(), detail.size());
  std::string message = std::string("cuDNN cannot ") + what + ": " +
                        library().cudnnGetErrorString(status);
  if (detail[0])
    message += std::string(" (") + detail.data() + ")";
  throw Error(message);
}

/// A descriptor of cuDNN's graph API.
class Descriptor {
public:
  explicit Descriptor(DescriptorType type) {
    void *made = nullptr;
    check(library().cudnnBackendCreateDescriptor(
              cudnnBackendDescriptorType_t(type), &made),
          "make a descriptor");
    handle.reset(made);
  }

  template <typename T>
  void set(AttributeName name, AttributeType type, const T *values,
           int64_t count = 1) {
    check(library().cudnnBackendSetAttribute(
              handle.get(), cudnnBackendAttributeName_t(name),
              cudnnBackendAttributeType_t(type), count, values),
          "take a setting");
  }
  void setInt(AttributeName name, int64_t value) {
    set(name, Int64Type, &value);
  }
  void setInts(AttributeName name, const std::vector<int64_t> &values) {
    set(name, Int64Type, values.data(), static_cast<int64_t>(values.size()));
  }
  void setDescriptor(AttributeName name, const Descriptor &value) {
    void *raw = value.get();
    set(name, DescriptorTypeType, &raw);
  }
  void finalize(const char *what) {
    check(library().cudnnBackendFinalize(handle.get()), what);
  }
  bool tryFinalize() {
    return library().cudnnBackendFinalize(handle.get()) == CUDNN_STATUS_SUCCESS;
  }

  /// Values of an attribute; fewer than `most` if there are fewer.
  template <typename T>
  std::vector<T> values(AttributeName name, AttributeType type,
                        int64_t most) const {
    std::vector<T> result(most);
    int64_t count = 0;
    get(name, type, most, count, result.data());
    result.resize(std::min(count, most));
    return result;
  }
  void get(AttributeName name, AttributeType type, int64_t most, int64_t &count,
           void *elements) const {
    check(library().cudnnBackendGetAttribute(
              handle.get(), cudnnBackendAttributeName_t(name),
              cudnnBackendAttributeType_t(type), most, &count, elements),
          "give an attribute");
  }
  int64_t getInt(AttributeName name) const {
    return values<int64_t>(name, Int64Type, 1).at(0);
  }

  void *get() const { return handle.get(); }

private:
  struct Destroy {
    void operator()(void *descriptor) const {
      library().cudnnBackendDestroyDescriptor(descriptor);
    }
  };
  std::unique_ptr<void, Destroy> handle;
};

} // namespace

struct ConvolutionLibrary::Impl {
  ~Impl() {
    if (handle)
      library().cudnnDestroy(handle);
  }

  cudnnHandle_t handle = nullptr;
  /// In place of a handle.
  std::unique_ptr<Descriptor> device;
};

struct LibraryPlan::Impl {
  std::shared_ptr<const ConvolutionLibrary::Impl> cudnn;
  Descriptor plan{ExecutionPlanDescriptor};
  int64_t workspaceBytes = 0;
  std::string name;
};

//===----------------------------------------------------------------------===//
// From a contraction to an operation graph
//===----------------------------------------------------------------------===//

namespace {

/// Numbers of the tensors, in the order of the contraction's operands.
enum TensorNumber { LhsId = 1, RhsId = 2, ResultId = 3 };

Descriptor tensor(TensorNumber id, int32_t type, std::vector<int64_t> extents,
                  std::vector<int64_t> strides) {
  // The arena's alignment is more; vectors of 16 bytes are all that pays.
  constexpr int64_t alignment = 16;
  Descriptor made(TensorDescriptor);
  made.set(TensorDataType, DataTypeType, &type);
  made.setInts(TensorDimensions, extents);
  made.setInts(TensorStrides, strides);
  made.setInt(TensorId, id);
  made.setInt(TensorAlignment, alignment);
  made.finalize("describe a tensor");
  return made;
}

/// A tensor [a][h][w][b] in memory that cuDNN names (a, b, h, w).
Descriptor channelsLast(TensorNumber id, int32_t type, int64_t a, int64_t b,
                        int64_t h, int64_t w) {
  return tensor(id, type, {a, b, h, w}, {h * w * b, 1, w * b, b});
}

Descriptor convolution(const ContractionSpec &spec) {
  Descriptor made(ConvolutionDescriptor);
  made.set(ConvolutionComputeType, DataTypeType, &fp32);
  made.set(ConvolutionMode, ConvolutionModeType, &crossCorrelation);
  made.setInt(ConvolutionSpatialDims, 2);
  made.setInts(ConvolutionDilations, {spec.dilationH, spec.dilationW});
  made.setInts(ConvolutionStrides, {spec.strideH, spec.strideW});
  made.setInts(ConvolutionPrePaddings, {spec.padTop, spec.padLeft});
  made.setInts(ConvolutionPostPaddings, {spec.padBottom, spec.padRight});
  made.finalize("describe a convolution");
  return made;
}

Descriptor operation(const LibraryConvolution &wanted) {
  const ContractionSpec &spec = wanted.spec;
  ContractionExtents e = wanted.extents;
  if (spec.linear)
    e.inH = e.inW = e.outH = e.outW = 1;
  const int32_t type = wanted.bf16Tensors ? bf16 : fp32;
  auto x = [&](TensorNumber id) {
    return channelsLast(id, type, e.batch, e.inC, e.inH, e.inW);
  };
  auto w = [&](TensorNumber id) {
    return channelsLast(id, type, e.outC, e.inC / spec.groups, spec.kernelH,
                        spec.kernelW);
  };
  auto y = [&](TensorNumber id) {
    return channelsLast(id, type, e.batch, e.outC, e.outH, e.outW);
  };
  auto make = [&](DescriptorType type, int first, const Descriptor &t3,
                  const Descriptor &t4, const Descriptor &t5) {
    Descriptor made(type);
    const float alpha = 1.0f, beta = wanted.accumulate ? 1.0f : 0.0f;
    auto name = [&](int index) {
      return static_cast<AttributeName>(first + index);
    };
    made.set(name(0), FloatType, &alpha);
    made.set(name(1), FloatType, &beta);
    made.setDescriptor(name(2), convolution(spec));
    made.setDescriptor(name(3), t3);
    made.setDescriptor(name(4), t4);
    made.setDescriptor(name(5), t5);
    made.finalize("describe an operation");
    return made;
  };
  switch (spec.kind) {
  case Kind::Forward: // w, x, y
    return make(OperationForwardDescriptor, ForwardAlpha, w(RhsId), x(LhsId),
                y(ResultId));
  case Kind::BackwardData: // w, dx, dy
    return make(OperationBackwardDataDescriptor, BackwardDataAlpha, w(RhsId),
                x(ResultId), y(LhsId));
  case Kind::BackwardFilter: // dw, x, dy
    break;
  }
  return make(OperationBackwardFilterDescriptor, BackwardFilterAlpha,
              w(ResultId), x(LhsId), y(RhsId));
}

/// True if the engine's results are as reproducible and exact as asked for.
bool isAllowed(const Descriptor &config, const LibraryConvolution &wanted) {
  Descriptor engine(EngineDescriptor);
  void *raw = engine.get();
  int64_t count = 0;
  config.get(ConfigEngine, DescriptorTypeType, 1, count, &raw);
  for (int32_t note : engine.values<int32_t>(EngineNotes, NoteType, NumNotes)) {
    if (note == ReducedReductionNote)
      return false;
    if (note == NondeterministicNote && wanted.reproducible)
      return false;
    bool rounds = note == TensorCoreNote || note == DownConvertNote;
    if (rounds && wanted.precision == Precision::Fp32)
      return false;
  }
  return true;
}

} // namespace

//===----------------------------------------------------------------------===//
// Interface
//===----------------------------------------------------------------------===//

ConvolutionLibrary ConvolutionLibrary::onStream(void *stream) {
  auto impl = std::make_shared<Impl>();
  check(library().cudnnCreate(&impl->handle), "start on this device");
  check(library().cudnnSetStream(impl->handle, static_cast<CUstream>(stream)),
        "use a stream");
  return ConvolutionLibrary(std::move(impl));
}

ConvolutionLibrary ConvolutionLibrary::forProperties(const std::string &json) {
  auto impl = std::make_shared<Impl>();
  impl->device = std::make_unique<Descriptor>(DevicePropertiesDescriptor);
  impl->device->set(DeviceJson, CharType, json.c_str(),
                    static_cast<int64_t>(json.size()) + 1);
  impl->device->finalize("read the device's properties");
  return ConvolutionLibrary(std::move(impl));
}

int64_t ConvolutionLibrary::version() const {
  return static_cast<int64_t>(library().cudnnGetVersion());
}

std::vector<LibraryPlan>
ConvolutionLibrary::plans(const LibraryConvolution &wanted, size_t most) const {
  std::vector<LibraryPlan> found;
  if (wanted.bf16Tensors != (wanted.precision == Precision::Bf16))
    return found;
  Descriptor op = operation(wanted);
  Descriptor graph(OperationGraphDescriptor);
  graph.setDescriptor(GraphOperations, op);
  if (impl->handle)
    graph.set(GraphHandle, HandleType, &impl->handle);
  graph.finalize("build an operation graph");
  for (auto [mode, title] : heuristicModes) {
    Descriptor heuristics(EngineHeuristicsDescriptor);
    heuristics.setDescriptor(HeuristicsGraph, graph);
    heuristics.set(HeuristicsMode, HeuristicsModeType, &mode);
    if (impl->device)
      heuristics.setDescriptor(HeuristicsDevice, *impl->device);
    if (!heuristics.tryFinalize())
      continue;
    constexpr int64_t considered = 64;
    std::vector<Descriptor> configs;
    std::vector<void *> raw;
    for (int64_t i = 0; i < considered; ++i) {
      configs.emplace_back(EngineConfigDescriptor);
      raw.push_back(configs.back().get());
    }
    int64_t count = 0;
    heuristics.get(HeuristicsResults, DescriptorTypeType, considered, count,
                   raw.data());
    for (int64_t i = 0; i < std::min(count, considered); ++i) {
      if (found.size() == most)
        return found;
      if (!isAllowed(configs[i], wanted))
        continue;
      auto plan = std::make_shared<LibraryPlan::Impl>();
      plan->cudnn = impl;
      plan->plan.setDescriptor(PlanConfig, configs[i]);
      if (impl->device)
        plan->plan.setDescriptor(PlanDevice, *impl->device);
      else
        plan->plan.set(PlanHandle, HandleType, &impl->handle);
      // Heuristics also name engines that do not support the device.
      if (!plan->plan.tryFinalize())
        continue;
      plan->workspaceBytes = plan->plan.getInt(PlanWorkspace);
      plan->name = std::string(title) + " " + std::to_string(i);
      found.emplace_back(std::move(plan));
    }
  }
  return found;
}

LibraryPlan::LibraryPlan(std::shared_ptr<const Impl> impl)
    : impl(std::move(impl)) {}

int64_t LibraryPlan::workspaceBytes() const { return impl->workspaceBytes; }

const std::string &LibraryPlan::name() const { return impl->name; }

void LibraryPlan::run(uint64_t lhs, uint64_t rhs, uint64_t result,
                      uint64_t workspace) const {
  if (!impl->cudnn->handle)
    throw Error("a cuDNN plan for a device that is absent cannot run");
  const int64_t ids[] = {LhsId, RhsId, ResultId};
  const uint64_t pointers[] = {lhs, rhs, result};
  Descriptor pack(VariantPackDescriptor);
  pack.set(PackIds, Int64Type, ids, 3);
  pack.set(PackPointers, PointerType, pointers, 3);
  pack.set(PackWorkspace, PointerType, &workspace);
  pack.finalize("take the tensors");
  check(library().cudnnBackendExecute(impl->cudnn->handle, impl->plan.get(),
                                      pack.get()),
        "run a convolution");
}
