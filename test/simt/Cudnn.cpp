//===- Cudnn.cpp - cuDNN's interface --------------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// As much of cuDNN's graph API (cudnn_graph_v9.h) as single convolutions take.
// Its engines compute by a loop nest in double precision: one that is said not
// to be reproducible and gives zeros, so that nobody may take it; one for
// tensor cores, which rounds its operands to tf32; and one that is exact. Like
// the library, it does not support everything: it has no engine for gradients
// of dilated windows.
//
//===----------------------------------------------------------------------===//

#include "CudnnConvolution.h"
#include "Device.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <thread>

using namespace cambium::simt;

#define SIMT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

enum Status : int {
  done = 0,
  badParam = 2000,
  notFinalized = 2004,
  notSupported = 3000,
  executionFailed = 5000
};

enum DescriptorKind : int {
  convolutionKind = 1,
  engineKind = 2,
  configKind = 3,
  heuristicsKind = 4,
  planKind = 5,
  forwardKind = 10,
  backwardFilterKind = 11,
  backwardDataKind = 12,
  graphKind = 15,
  packKind = 16,
  tensorKind = 17
};

enum Attribute : int {
  convolutionComputeType = 100,
  convolutionMode = 101,
  convolutionDilations = 102,
  convolutionStrides = 103,
  convolutionPostPaddings = 104,
  convolutionPrePaddings = 105,
  convolutionSpatialDims = 106,
  heuristicsMode = 200,
  heuristicsGraph = 201,
  heuristicsResults = 202,
  configEngine = 300,
  planHandle = 400,
  planConfig = 401,
  planWorkspace = 402,
  forwardAlpha = 700,
  backwardDataAlpha = 706,
  backwardFilterAlpha = 712,
  graphHandle = 800,
  graphOperations = 801,
  tensorAlignment = 900,
  tensorDataType = 901,
  tensorDimensions = 902,
  tensorStrides = 903,
  tensorId = 906,
  packIds = 1000,
  packPointers = 1001,
  packWorkspace = 1003,
  engineNotes = 1303
};

enum Type : int {
  int64Type = 3,
  floatType = 4,
  noteType = 11,
  descriptorType = 15
};

enum Note : int { tensorCoreNote = 0, nondeterministicNote = 4 };

enum class Engine { Nondeterministic, TensorCore, Exact };

/// All plans ask for so much, and write all of it.
constexpr int64_t workspaceBytes = 3000;

struct Handle {
  Stream *stream = nullptr;
};

struct Descriptor {
  explicit Descriptor(int kind) : kind(kind) {}

  const int kind;
  bool finalized = false;
  std::map<int, std::vector<char>> attributes;
  /// Copies: who sets a descriptor may destroy it before this one is finalized.
  std::map<int, std::shared_ptr<const Descriptor>> parts;
  /// Of operations, and of what is made from them.
  Convolution convolution;
  Engine engine = Engine::Exact;

  template <typename T> std::vector<T> all(int name) const {
    auto found = attributes.find(name);
    if (found == attributes.end())
      return {};
    std::vector<T> values(found->second.size() / sizeof(T));
    std::memcpy(values.data(), found->second.data(), values.size() * sizeof(T));
    return values;
  }
  /// Null where it is not set.
  const Descriptor *part(int name) const {
    auto found = parts.find(name);
    return found == parts.end() ? nullptr : found->second.get();
  }
  /// Zero where it is not set.
  template <typename T> T one(int name) const {
    std::vector<T> values = all<T>(name);
    return values.empty() ? T() : values.front();
  }
};

thread_local std::string lastError;

int failed(int status, const std::string &why) {
  lastError = why;
  return status;
}

int bytesOf(int type) {
  switch (type) {
  case 1: // CUDNN_TYPE_DATA_TYPE
  case 7: // CUDNN_TYPE_CONVOLUTION_MODE
  case 8: // CUDNN_TYPE_HEUR_MODE
  case noteType:
  case floatType:
    return 4;
  case 0: // CUDNN_TYPE_HANDLE
  case 6: // CUDNN_TYPE_VOID_PTR
  case int64Type:
  case descriptorType:
    return 8;
  }
  return 0;
}

//===----------------------------------------------------------------------===//
// Descriptors
//===----------------------------------------------------------------------===//

/// Fills (a, b, h, w) of a tensor that must have the channels last.
int readTensor(const Descriptor *tensor, std::array<int64_t, 4> &extents) {
  if (!tensor || tensor->kind != tensorKind || !tensor->finalized)
    return failed(notFinalized, "an operation's tensor is not finalized");
  auto all = tensor->all<int64_t>(tensorDimensions);
  std::copy(all.begin(), all.end(), extents.begin());
  return done;
}

int finalizeTensor(Descriptor &tensor) {
  auto extents = tensor.all<int64_t>(tensorDimensions);
  auto strides = tensor.all<int64_t>(tensorStrides);
  if (extents.size() != 4 || strides.size() != 4 ||
      tensor.one<int64_t>(tensorAlignment) % 16 != 0 ||
      tensor.one<int64_t>(tensorAlignment) == 0 ||
      !tensor.attributes.count(tensorDataType) ||
      tensor.one<int32_t>(tensorDataType) != 0)
    return failed(badParam, "a tensor has four dimensions of aligned fp32");
  int64_t b = extents[1], h = extents[2], w = extents[3];
  if (strides != std::vector<int64_t>{h * w * b, 1, w * b, b})
    return failed(notSupported, "a tensor's channels must be last");
  return done;
}

int finalizeConvolution(Descriptor &convolution) {
  for (int name : {convolutionDilations, convolutionStrides,
                   convolutionPrePaddings, convolutionPostPaddings})
    if (convolution.all<int64_t>(name).size() != 2)
      return failed(badParam, "a convolution lacks a setting of two numbers");
  if (convolution.one<int64_t>(convolutionSpatialDims) != 2 ||
      convolution.one<int32_t>(convolutionMode) != 1 ||
      !convolution.attributes.count(convolutionComputeType))
    return failed(badParam, "a convolution is a two-dimensional correlation");
  return done;
}

/// Extents of y must follow from those of x and of the window.
bool agrees(const Convolution &c) {
  for (int i = 0; i < 2; ++i) {
    int64_t window = (c.w[2 + i] - 1) * c.dilation[i] + 1;
    int64_t room = c.x[2 + i] + c.before[i] + c.after[i] - window;
    if (room < 0 || c.y[2 + i] != room / c.stride[i] + 1)
      return false;
  }
  return c.x[0] == c.y[0] && c.w[0] == c.y[1] && c.x[1] % c.w[1] == 0 &&
         c.w[0] % (c.x[1] / c.w[1]) == 0;
}

int finalizeOperation(Descriptor &operation) {
  int first = operation.kind == forwardKind        ? forwardAlpha
              : operation.kind == backwardDataKind ? backwardDataAlpha
                                                   : backwardFilterAlpha;
  const float beta = operation.one<float>(first + 1);
  if (operation.one<float>(first) != 1.0f || (beta != 0.0f && beta != 1.0f))
    return failed(notSupported, "y = conv(x, w) and y += conv(x, w) is all");
  const Descriptor *setting = operation.part(first + 2);
  if (!setting || setting->kind != convolutionKind || !setting->finalized)
    return failed(notFinalized, "an operation's convolution is not finalized");
  Convolution &c = operation.convolution;
  c.accumulates = beta == 1.0f;
  for (int i = 0; i < 2; ++i) {
    c.dilation[i] = setting->all<int64_t>(convolutionDilations)[i];
    c.stride[i] = setting->all<int64_t>(convolutionStrides)[i];
    c.before[i] = setting->all<int64_t>(convolutionPrePaddings)[i];
    c.after[i] = setting->all<int64_t>(convolutionPostPaddings)[i];
  }
  std::array<int64_t, 4> *extents[] = {&c.w, &c.x, &c.y};
  int64_t *ids[] = {&c.wId, &c.xId, &c.yId};
  for (int i = 0; i < 3; ++i) {
    const Descriptor *tensor = operation.part(first + 3 + i);
    if (int status = readTensor(tensor, *extents[i]))
      return status;
    *ids[i] = tensor->one<int64_t>(tensorId);
  }
  c.direction = operation.kind == forwardKind ? Convolution::Forward
                : operation.kind == backwardDataKind
                    ? Convolution::BackwardData
                    : Convolution::BackwardFilter;
  return agrees(c) ? done
                   : failed(badParam, "the tensors' extents do not agree");
}

/// What is made from another descriptor takes the convolution over.
int inherit(Descriptor &descriptor, int name, int kind) {
  const Descriptor *from = descriptor.part(name);
  if (!from || !from->finalized || (kind && from->kind != kind))
    return failed(notFinalized, "a descriptor that is built on is not ready");
  descriptor.convolution = from->convolution;
  descriptor.engine = from->engine;
  return done;
}

bool supported(const Convolution &c) {
  return c.direction == Convolution::Forward ||
         (c.dilation[0] == 1 && c.dilation[1] == 1);
}

int finalize(Descriptor &descriptor) {
  switch (descriptor.kind) {
  case tensorKind:
    return finalizeTensor(descriptor);
  case convolutionKind:
    return finalizeConvolution(descriptor);
  case forwardKind:
  case backwardDataKind:
  case backwardFilterKind:
    return finalizeOperation(descriptor);
  case graphKind:
    if (!descriptor.one<Handle *>(graphHandle))
      return failed(badParam, "a graph needs a handle");
    return inherit(descriptor, graphOperations, 0);
  case heuristicsKind:
    if (int status = inherit(descriptor, heuristicsGraph, graphKind))
      return status;
    return supported(descriptor.convolution)
               ? done
               : failed(notSupported, "no engine does it");
  case planKind:
    if (!descriptor.one<Handle *>(planHandle))
      return failed(badParam, "a plan needs a handle");
    return inherit(descriptor, planConfig, configKind);
  case packKind:
    return descriptor.all<int64_t>(packIds).size() ==
                   descriptor.all<char *>(packPointers).size()
               ? done
               : failed(badParam, "a pack has as many pointers as numbers");
  }
  return failed(badParam, "such a descriptor is not finalized");
}

//===----------------------------------------------------------------------===//
// Execution
//===----------------------------------------------------------------------===//

/// Milliseconds that a convolution takes at least, for tests of what is faster.
int delay() {
  const char *given = std::getenv("CAMBIUM_SIMT_CUDNN_DELAY");
  return given && *given ? std::atoi(given) : 0;
}

int64_t bytesOf(const std::array<int64_t, 4> &extents) {
  return 4 * extents[0] * extents[1] * extents[2] * extents[3];
}

int execute(Stream &stream, const Descriptor &plan, const Descriptor &pack) {
  Device &device = Device::get();
  Convolution c = plan.convolution;
  auto ids = pack.all<int64_t>(packIds);
  auto pointers = pack.all<char *>(packPointers);
  auto find = [&](int64_t id, const std::array<int64_t, 4> &extents) {
    auto place = std::find(ids.begin(), ids.end(), id);
    char *pointer =
        place == ids.end() ? nullptr : pointers[place - ids.begin()];
    bool fits = pointer && reinterpret_cast<uintptr_t>(pointer) % 16 == 0 &&
                device.memory.contains(pointer, bytesOf(extents));
    return fits ? reinterpret_cast<float *>(pointer) : nullptr;
  };
  float *w = find(c.wId, c.w), *x = find(c.xId, c.x), *y = find(c.yId, c.y);
  char *workspace = pack.one<char *>(packWorkspace);
  if (!w || !x || !y || !device.memory.contains(workspace, workspaceBytes))
    return failed(executionFailed, "a tensor or the workspace is not inside "
                                   "one allocation of the device");
  c.rounds = plan.engine == Engine::TensorCore;
  c.zeros = plan.engine == Engine::Nondeterministic;
  device.enqueue(stream, [=] {
    std::this_thread::sleep_for(std::chrono::milliseconds(delay()));
    std::memset(workspace, 0xff, workspaceBytes);
    c.run(w, x, y);
  });
  return done;
}

} // namespace

//===----------------------------------------------------------------------===//
// Interface
//===----------------------------------------------------------------------===//

SIMT_EXPORT size_t cudnnGetVersion() { return 91400; }

SIMT_EXPORT const char *cudnnGetErrorString(int status) {
  switch (status) {
  case done:
    return "CUDNN_STATUS_SUCCESS";
  case badParam:
    return "CUDNN_STATUS_BAD_PARAM";
  case notFinalized:
    return "CUDNN_STATUS_BAD_PARAM_NOT_FINALIZED";
  case notSupported:
    return "CUDNN_STATUS_NOT_SUPPORTED";
  case executionFailed:
    return "CUDNN_STATUS_EXECUTION_FAILED";
  }
  return "CUDNN_STATUS_UNKNOWN";
}

SIMT_EXPORT void cudnnGetLastErrorString(char *text, size_t bytes) {
  std::snprintf(text, bytes, "%s", lastError.c_str());
}

SIMT_EXPORT int cudnnCreate(void **handle) {
  *handle = new Handle;
  return done;
}

SIMT_EXPORT int cudnnDestroy(void *handle) {
  delete static_cast<Handle *>(handle);
  return done;
}

SIMT_EXPORT int cudnnSetStream(void *handle, void *stream) {
  Device &device = Device::get();
  std::lock_guard<std::mutex> hold(device.lock);
  auto *given = static_cast<Stream *>(stream);
  if (!device.isStream(given))
    return failed(badParam, "there is no such stream");
  static_cast<Handle *>(handle)->stream = given;
  return done;
}

SIMT_EXPORT int cudnnBackendCreateDescriptor(int kind, void **descriptor) {
  *descriptor = new Descriptor(kind);
  return done;
}

SIMT_EXPORT int cudnnBackendDestroyDescriptor(void *descriptor) {
  delete static_cast<Descriptor *>(descriptor);
  return done;
}

SIMT_EXPORT int cudnnBackendSetAttribute(void *handle, int name, int type,
                                         int64_t count, const void *elements) {
  auto &descriptor = *static_cast<Descriptor *>(handle);
  int bytes = bytesOf(type);
  if (descriptor.finalized || bytes == 0 || count < 1)
    return failed(badParam, "the setting comes too late or has another type");
  if (type == descriptorType) {
    auto *part = *static_cast<const Descriptor *const *>(elements);
    descriptor.parts[name] = std::make_shared<const Descriptor>(*part);
    return done;
  }
  auto first = static_cast<const char *>(elements);
  descriptor.attributes[name].assign(first, first + count * bytes);
  return done;
}

SIMT_EXPORT int cudnnBackendFinalize(void *handle) {
  auto &descriptor = *static_cast<Descriptor *>(handle);
  int status = finalize(descriptor);
  descriptor.finalized = status == done;
  return status;
}

SIMT_EXPORT int cudnnBackendGetAttribute(void *handle, int name, int type,
                                         int64_t requested, int64_t *count,
                                         void *elements) {
  auto &descriptor = *static_cast<Descriptor *>(handle);
  auto **given = static_cast<Descriptor **>(elements);
  if (name == planWorkspace && type == int64Type && descriptor.finalized) {
    *count = 1;
    *static_cast<int64_t *>(elements) = workspaceBytes;
    return done;
  }
  if (name == configEngine && type == descriptorType && descriptor.finalized) {
    *count = 1;
    given[0]->engine = descriptor.engine;
    given[0]->finalized = true;
    return done;
  }
  if (name == engineNotes && type == noteType && descriptor.finalized) {
    *count = descriptor.engine == Engine::Exact ? 0 : 1;
    if (*count && requested)
      *static_cast<int32_t *>(elements) =
          descriptor.engine == Engine::TensorCore ? tensorCoreNote
                                                  : nondeterministicNote;
    return done;
  }
  if (name == heuristicsResults && type == descriptorType &&
      descriptor.finalized) {
    constexpr Engine engines[] = {Engine::Nondeterministic, Engine::TensorCore,
                                  Engine::Exact};
    *count = std::min<int64_t>(requested, 3);
    for (int64_t i = 0; i < *count; ++i) {
      given[i]->convolution = descriptor.convolution;
      given[i]->engine = engines[i];
      given[i]->finalized = true;
    }
    return done;
  }
  return failed(badParam, "there is no such attribute to read");
}

SIMT_EXPORT int cudnnBackendExecute(void *handle, void *plan, void *pack) {
  Device &device = Device::get();
  std::lock_guard<std::mutex> hold(device.lock);
  Stream *stream = static_cast<Handle *>(handle)->stream;
  auto &planned = *static_cast<Descriptor *>(plan);
  auto &packed = *static_cast<Descriptor *>(pack);
  if (!device.isStream(stream) || !planned.finalized || !packed.finalized)
    return failed(badParam, "the stream, the plan or the pack is not ready");
  return execute(*stream, planned, packed);
}
