//===- Driver.cpp - libcuda's interface -----------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The functions of cuda.h that Cambium calls, with handles as void pointers.
// One lock serves all of them.
//
//===----------------------------------------------------------------------===//

#include "Device.h"

#include <algorithm>
#include <cstring>
#include <new>

using namespace cambium::simt;

#define SIMT_EXPORT extern "C" __attribute__((visibility("default")))

namespace {

/// Is the device's context current in this thread?
thread_local bool contextIsCurrent = false;
/// The last error of a call in this thread, for its text.
thread_local Fault lastError;

Error failed(Error code, const std::string &why = "") {
  lastError = {code, why};
  return code;
}

/// What every call does first: takes the lock; finds what is wrong without
/// looking at the arguments.
class Call {
public:
  explicit Call(bool needsContext = true) : hold(device.lock) {
    if (!device.initialized)
      state = failed(errorNotInitialized, "cuInit has not been called");
    else if (needsContext && (!contextIsCurrent || !device.contextUsers))
      state =
          failed(errorInvalidContext, "no context is current in the thread");
    else if (needsContext)
      state = result();
  }

  /// The error of the context, which is there to stay.
  Error result() const {
    const Fault &fault = device.fault();
    return fault ? failed(static_cast<Error>(fault.code), fault.message)
                 : success;
  }

  Device &device = Device::get();
  Error state = success;

private:
  std::lock_guard<std::mutex> hold;
};

template <class T>
bool has(const std::map<T *, std::unique_ptr<T>> &owned, const void *handle) {
  return owned.count(static_cast<T *>(const_cast<void *>(handle)));
}

char *toPointer(unsigned long long address) {
  return reinterpret_cast<char *>(address);
}

Stream *streamOf(Device &device, void *handle) {
  auto *stream = handle ? static_cast<Stream *>(handle) : &device.nullStream;
  return device.isStream(stream) ? stream : nullptr;
}

/// What a capture in another stream does not allow.
Error unlessCapturing(Device &device, const char *what) {
  if (!device.capturing())
    return success;
  for (auto &[stream, owned] : device.streams)
    stream->captureInvalid |= stream->capture != nullptr;
  return failed(errorStreamCaptureUnsupported,
                std::string(what) + " while a stream is being captured");
}

Error copy(Call &call, char *to, const char *from, size_t bytes, void *handle) {
  Device &device = call.device;
  Stream *stream = streamOf(device, handle);
  if (!stream)
    return failed(errorInvalidHandle, "there is no such stream");
  if (bytes)
    device.enqueue(*stream, [=] { std::memcpy(to, from, bytes); });
  return success;
}

Error outside(const char *what) {
  return failed(errorInvalidValue, std::string(what) +
                                       " is not inside one allocation of the "
                                       "device");
}

} // namespace

//===----------------------------------------------------------------------===//
// Errors, device and context
//===----------------------------------------------------------------------===//

static const struct {
  int code;
  const char *name, *text;
} errors[] = {
    {success, "CUDA_SUCCESS", "no error"},
    {errorInvalidValue, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {errorOutOfMemory, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {errorNotInitialized, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {errorInvalidDevice, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {errorInvalidImage, "CUDA_ERROR_INVALID_IMAGE",
     "device kernel image is invalid"},
    {errorInvalidContext, "CUDA_ERROR_INVALID_CONTEXT",
     "invalid device context"},
    {errorNoBinaryForGpu, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {errorInvalidHandle, "CUDA_ERROR_INVALID_HANDLE",
     "invalid resource handle"},
    {errorIllegalState, "CUDA_ERROR_ILLEGAL_STATE",
     "the operation cannot be performed in the present state"},
    {errorNotFound, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {errorNotReady, "CUDA_ERROR_NOT_READY", "device not ready"},
    {errorIllegalAddress, "CUDA_ERROR_ILLEGAL_ADDRESS",
     "an illegal memory access was encountered"},
    {errorLaunchOutOfResources, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "too many resources requested for launch"},
    {errorLaunchTimeout, "CUDA_ERROR_LAUNCH_TIMEOUT",
     "the launch timed out and was terminated"},
    {errorAssert, "CUDA_ERROR_ASSERT", "device-side assert triggered"},
    {errorIllegalInstruction, "CUDA_ERROR_ILLEGAL_INSTRUCTION",
     "an illegal instruction was encountered"},
    {errorMisalignedAddress, "CUDA_ERROR_MISALIGNED_ADDRESS",
     "misaligned address"},
    {errorInvalidAddressSpace, "CUDA_ERROR_INVALID_ADDRESS_SPACE",
     "operation not supported on global/shared address space"},
    {errorStreamCaptureUnsupported, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {errorStreamCaptureInvalidated, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"}};

SIMT_EXPORT int cuGetErrorName(int error, const char **name) {
  for (const auto &known : errors)
    if (known.code == error) {
      *name = known.name;
      return success;
    }
  *name = nullptr;
  return errorInvalidValue;
}

/// With what the last error of the thread was about.
SIMT_EXPORT int cuGetErrorString(int error, const char **text) {
  static thread_local std::string buffer;
  for (const auto &known : errors)
    if (known.code == error) {
      buffer = known.text;
      if (lastError.code == error && !lastError.message.empty())
        buffer += ": " + lastError.message;
      *text = buffer.c_str();
      return success;
    }
  *text = nullptr;
  return errorInvalidValue;
}

SIMT_EXPORT int cuInit(unsigned flags) {
  if (flags)
    return failed(errorInvalidValue);
  Device &device = Device::get();
  std::lock_guard<std::mutex> hold(device.lock);
  device.initialized = true;
  return success;
}

SIMT_EXPORT int cuDriverGetVersion(int *version) {
  *version = 13000;
  return success;
}

SIMT_EXPORT int cuDeviceGetCount(int *count) {
  Call call(false);
  *count = 1;
  return call.state;
}

SIMT_EXPORT int cuDeviceGet(int *device, int ordinal) {
  Call call(false);
  if (call.state)
    return call.state;
  if (ordinal)
    return failed(errorInvalidDevice);
  *device = 0;
  return success;
}

SIMT_EXPORT int cuDeviceGetName(char *name, int length, int device) {
  Call call(false);
  if (call.state)
    return call.state;
  if (device)
    return failed(errorInvalidDevice);
  std::snprintf(name, static_cast<size_t>(length), "Cambium SIMT shim");
  return success;
}

SIMT_EXPORT int cuDeviceGetAttribute(int *value, int attribute, int device) {
  Call call(false);
  if (call.state)
    return call.state;
  if (device)
    return failed(errorInvalidDevice);
  if (!call.device.attribute(attribute, *value))
    return failed(errorInvalidValue, "the shim has no such attribute");
  return success;
}

SIMT_EXPORT int cuDevicePrimaryCtxRetain(void **context, int device) {
  Call call(false);
  if (call.state)
    return call.state;
  if (device)
    return failed(errorInvalidDevice);
  ++call.device.contextUsers;
  *context = &call.device;
  return success;
}

SIMT_EXPORT int cuDevicePrimaryCtxRelease_v2(int device) {
  Call call(false);
  if (call.state)
    return call.state;
  if (device)
    return failed(errorInvalidDevice);
  if (!call.device.contextUsers)
    return failed(errorInvalidContext, "the context is not in use");
  if (!--call.device.contextUsers)
    call.device.reset();
  return success;
}

SIMT_EXPORT int cuCtxSetCurrent(void *context) {
  Call call(false);
  if (call.state)
    return call.state;
  if (context && context != &call.device)
    return failed(errorInvalidContext, "there is no such context");
  contextIsCurrent = context;
  return success;
}

//===----------------------------------------------------------------------===//
// Streams, graphs and events
//===----------------------------------------------------------------------===//

SIMT_EXPORT int cuStreamCreate(void **stream, unsigned flags) {
  Call call;
  if (call.state)
    return call.state;
  if (flags > 1)
    return failed(errorInvalidValue);
  auto created = std::make_unique<Stream>();
  created->blocking = !flags;
  Stream *handle = created.get();
  call.device.streams.emplace(handle, std::move(created));
  *stream = handle;
  return success;
}

SIMT_EXPORT int cuStreamDestroy_v2(void *handle) {
  Call call;
  if (call.state && call.state == errorInvalidContext)
    return call.state;
  if (!has(call.device.streams, handle))
    return failed(errorInvalidHandle, "there is no such stream");
  auto *stream = static_cast<Stream *>(handle);
  call.device.finish(*stream);
  call.device.streams.erase(stream);
  return call.state;
}

SIMT_EXPORT int cuStreamSynchronize(void *handle) {
  Call call;
  if (call.state)
    return call.state;
  Stream *stream = streamOf(call.device, handle);
  if (!stream)
    return failed(errorInvalidHandle, "there is no such stream");
  if (Error error = unlessCapturing(call.device, "cuStreamSynchronize"))
    return error;
  call.device.finish(*stream);
  return call.result();
}

SIMT_EXPORT int cuStreamBeginCapture_v2(void *handle, int mode) {
  Call call;
  if (call.state)
    return call.state;
  if (mode < 0 || mode > 2)
    return failed(errorInvalidValue);
  if (!has(call.device.streams, handle))
    return failed(errorStreamCaptureUnsupported,
                  "only streams that have been created can be captured");
  auto *stream = static_cast<Stream *>(handle);
  if (stream->capture)
    return failed(errorIllegalState, "the stream is being captured already");
  stream->capture = std::make_unique<Graph>();
  stream->captureInvalid = false;
  return success;
}

SIMT_EXPORT int cuStreamEndCapture(void *handle, void **graph) {
  Call call;
  if (call.state)
    return call.state;
  if (!has(call.device.streams, handle) ||
      !static_cast<Stream *>(handle)->capture)
    return failed(errorIllegalState, "the stream is not being captured");
  auto *stream = static_cast<Stream *>(handle);
  std::unique_ptr<Graph> captured = std::move(stream->capture);
  *graph = nullptr;
  if (stream->captureInvalid)
    return failed(errorStreamCaptureInvalidated);
  Graph *created = captured.get();
  call.device.graphs.emplace(created, std::move(captured));
  *graph = created;
  return success;
}

SIMT_EXPORT int cuGraphInstantiateWithFlags(void **executable, void *graph,
                                            unsigned long long) {
  Call call;
  if (call.state)
    return call.state;
  if (!has(call.device.graphs, graph))
    return failed(errorInvalidHandle, "there is no such graph");
  auto created = std::make_unique<GraphExec>();
  created->operations = std::make_shared<const std::vector<Operation>>(
      static_cast<Graph *>(graph)->operations);
  GraphExec *handle = created.get();
  call.device.executables.emplace(handle, std::move(created));
  *executable = handle;
  return success;
}

SIMT_EXPORT int cuGraphLaunch(void *executable, void *handle) {
  Call call;
  if (call.state)
    return call.state;
  Stream *stream = streamOf(call.device, handle);
  if (!stream || !has(call.device.executables, executable))
    return failed(errorInvalidHandle, "there is no such stream or graph");
  for (const Operation &operation :
       *static_cast<GraphExec *>(executable)->operations)
    call.device.enqueue(*stream, operation);
  return success;
}

SIMT_EXPORT int cuGraphExecDestroy(void *executable) {
  Call call;
  if (!has(call.device.executables, executable))
    return failed(errorInvalidHandle, "there is no such graph");
  call.device.executables.erase(static_cast<GraphExec *>(executable));
  return call.state;
}

SIMT_EXPORT int cuGraphDestroy(void *graph) {
  Call call;
  if (!has(call.device.graphs, graph))
    return failed(errorInvalidHandle, "there is no such graph");
  call.device.graphs.erase(static_cast<Graph *>(graph));
  return call.state;
}

SIMT_EXPORT int cuEventCreate(void **event, unsigned flags) {
  Call call;
  if (call.state)
    return call.state;
  auto created = std::make_unique<Event>();
  constexpr unsigned disableTiming = 2;
  created->timed = !(flags & disableTiming);
  Event *handle = created.get();
  call.device.events.emplace(handle, std::move(created));
  *event = handle;
  return success;
}

SIMT_EXPORT int cuEventRecord(void *handle, void *streamHandle) {
  Call call;
  if (call.state)
    return call.state;
  Stream *stream = streamOf(call.device, streamHandle);
  if (!stream || !has(call.device.events, handle))
    return failed(errorInvalidHandle, "there is no such stream or event");
  auto *event = static_cast<Event *>(handle);
  event->stream = stream;
  event->record = std::make_shared<Event::Record>();
  call.device.enqueue(*stream, [record = event->record] {
    *record = {true, Event::Clock::now()};
  });
  return success;
}

/// Does not wait for more of the stream than comes before the event.
SIMT_EXPORT int cuEventSynchronize(void *handle) {
  Call call;
  if (call.state)
    return call.state;
  if (!has(call.device.events, handle))
    return failed(errorInvalidHandle, "there is no such event");
  if (Error error = unlessCapturing(call.device, "cuEventSynchronize"))
    return error;
  auto *event = static_cast<Event *>(handle);
  if (event->record)
    call.device.finishUntil(*event->stream, event->record->done);
  return call.result();
}

SIMT_EXPORT int cuEventElapsedTime(float *milliseconds, void *start,
                                   void *end) {
  Call call;
  if (call.state)
    return call.state;
  Event *events[2] = {static_cast<Event *>(start), static_cast<Event *>(end)};
  for (Event *event : events)
    if (!has(call.device.events, event) || !event->timed || !event->record)
      return failed(errorInvalidHandle,
                    "the event does not exist, has not been recorded or has no "
                    "time");
  for (Event *event : events)
    if (!event->record->done)
      return failed(errorNotReady);
  *milliseconds = std::chrono::duration<float, std::milli>(
                      events[1]->record->time - events[0]->record->time)
                      .count();
  return success;
}

SIMT_EXPORT int cuEventDestroy_v2(void *event) {
  Call call;
  if (!has(call.device.events, event))
    return failed(errorInvalidHandle, "there is no such event");
  call.device.events.erase(static_cast<Event *>(event));
  return call.state;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

SIMT_EXPORT int cuMemAlloc_v2(unsigned long long *address, size_t bytes) {
  Call call;
  if (call.state)
    return call.state;
  if (!bytes)
    return failed(errorInvalidValue, "no bytes are wanted");
  if (Error error = unlessCapturing(call.device, "cuMemAlloc"))
    return error;
  try {
    char *memory = call.device.memory.allocate(bytes);
    if (!memory)
      return failed(errorOutOfMemory);
    *address = reinterpret_cast<unsigned long long>(memory);
    return success;
  } catch (const std::bad_alloc &) {
    return failed(errorOutOfMemory);
  }
}

SIMT_EXPORT int cuMemFree_v2(unsigned long long address) {
  Call call;
  if (call.state && call.state == errorInvalidContext)
    return call.state;
  call.device.finishAll();
  if (!call.device.memory.free(toPointer(address)))
    return failed(errorInvalidValue, "nothing has been allocated there");
  return call.result();
}

SIMT_EXPORT int cuMemGetInfo_v2(size_t *free, size_t *total) {
  Call call;
  if (call.state)
    return call.state;
  *free = call.device.memory.freeBytes();
  *total = DeviceMemory::totalBytes;
  return success;
}

SIMT_EXPORT int cuMemHostAlloc(void **address, size_t bytes, unsigned) {
  Call call;
  if (call.state)
    return call.state;
  try {
    *address = call.device.memory.allocateHost(bytes);
    return *address ? success
                    : failed(errorInvalidValue, "no bytes are wanted");
  } catch (const std::bad_alloc &) {
    return failed(errorOutOfMemory);
  }
}

SIMT_EXPORT int cuMemFreeHost(void *address) {
  Call call;
  if (call.state && call.state == errorInvalidContext)
    return call.state;
  call.device.finishAll();
  if (!call.device.memory.freeHost(static_cast<char *>(address)))
    return failed(errorInvalidValue, "nothing has been allocated there");
  return call.result();
}

/// Memory that is not pinned is read before the call returns.
SIMT_EXPORT int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from,
                                     size_t bytes, void *handle) {
  Call call;
  if (call.state)
    return call.state;
  Device &device = call.device;
  Stream *stream = streamOf(device, handle);
  if (!stream)
    return failed(errorInvalidHandle, "there is no such stream");
  if (!device.memory.contains(toPointer(to), bytes))
    return outside("the destination");
  if (stream->capture || device.memory.containsHost(from, bytes))
    return copy(call, toPointer(to), static_cast<const char *>(from), bytes,
                handle);
  auto first = static_cast<const char *>(from);
  device.enqueue(*stream,
                 [=, staged = std::vector<char>(first, first + bytes)] {
                   std::copy(staged.begin(), staged.end(), toPointer(to));
                 });
  return success;
}

/// Memory that is not pinned is written before the call returns.
SIMT_EXPORT int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from,
                                     size_t bytes, void *handle) {
  Call call;
  if (call.state)
    return call.state;
  if (!call.device.memory.contains(toPointer(from), bytes))
    return outside("the source");
  Error error =
      copy(call, static_cast<char *>(to), toPointer(from), bytes, handle);
  if (error || call.device.memory.containsHost(to, bytes))
    return error;
  Stream *stream = streamOf(call.device, handle);
  if (!stream->capture)
    call.device.finish(*stream);
  return call.result();
}

SIMT_EXPORT int cuMemcpyDtoDAsync_v2(unsigned long long to,
                                     unsigned long long from, size_t bytes,
                                     void *handle) {
  Call call;
  if (call.state)
    return call.state;
  if (!call.device.memory.contains(toPointer(to), bytes))
    return outside("the destination");
  if (!call.device.memory.contains(toPointer(from), bytes))
    return outside("the source");
  return copy(call, toPointer(to), toPointer(from), bytes, handle);
}

SIMT_EXPORT int cuMemsetD8Async(unsigned long long to, unsigned char value,
                                size_t bytes, void *handle) {
  Call call;
  if (call.state)
    return call.state;
  Stream *stream = streamOf(call.device, handle);
  if (!stream)
    return failed(errorInvalidHandle, "there is no such stream");
  if (!call.device.memory.contains(toPointer(to), bytes))
    return outside("the destination");
  call.device.enqueue(*stream,
                      [=] { std::memset(toPointer(to), value, bytes); });
  return success;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

SIMT_EXPORT int cuModuleLoadData(void **module, const void *image) {
  Call call;
  if (call.state)
    return call.state;
  auto created = std::make_unique<Module>();
  std::string why;
  try {
    if (Error error = created->load(image, call.device.architecture(), why))
      return failed(error, why);
  } catch (const std::exception &error) {
    return failed(errorInvalidImage, error.what());
  }
  Module *handle = created.get();
  call.device.modules.emplace(handle, std::move(created));
  *module = handle;
  return success;
}

SIMT_EXPORT int cuModuleUnload(void *module) {
  Call call;
  if (!has(call.device.modules, module))
    return failed(errorInvalidHandle, "there is no such module");
  call.device.finishAll();
  call.device.modules.erase(static_cast<Module *>(module));
  return call.state;
}

SIMT_EXPORT int cuModuleGetFunction(void **function, void *module,
                                    const char *name) {
  Call call;
  if (call.state)
    return call.state;
  if (!has(call.device.modules, module))
    return failed(errorInvalidHandle, "there is no such module");
  *function = static_cast<Module *>(module)->find(name);
  return *function ? success
                   : failed(errorNotFound, std::string("the module has no "
                                                       "kernel '") +
                                               name + "'");
}

SIMT_EXPORT int cuFuncSetAttribute(void *handle, int attribute, int value) {
  Call call;
  if (call.state)
    return call.state;
  int most = 0;
  call.device.attribute(maxSharedMemoryPerBlockOptin, most);
  if (attribute != functionMaxDynamicSharedSizeBytes || value < 0 ||
      value > most)
    return failed(errorInvalidValue,
                  "a block can be given " + std::to_string(most) +
                      " bytes of shared memory, and nothing else can be set");
  static_cast<Function *>(handle)->maxSharedBytes = value;
  return success;
}

SIMT_EXPORT int cuFuncGetAttribute(int *value, int attribute, void *handle) {
  Call call;
  if (call.state)
    return call.state;
  const Function &function = *static_cast<Function *>(handle);
  switch (attribute) {
  case functionMaxThreadsPerBlock:
    *value = function.entry->maxThreads ? function.entry->maxThreads
                                        : static_cast<int>(Grid::maxThreads);
    return success;
  case functionMaxDynamicSharedSizeBytes:
    *value = function.maxSharedBytes;
    return success;
  case functionSharedSizeBytes:
  case functionConstSizeBytes:
  case functionLocalSizeBytes:
    *value = 0;
    return success;
  case functionNumRegs:
    *value = 32;
    return success;
  default:
    return failed(errorInvalidValue, "the shim has no such attribute");
  }
}

SIMT_EXPORT int cuLaunchKernel(void *handle, unsigned gridX, unsigned gridY,
                               unsigned gridZ, unsigned blockX, unsigned blockY,
                               unsigned blockZ, unsigned sharedBytes,
                               void *streamHandle, void **parameters,
                               void **extra) {
  Call call;
  if (call.state)
    return call.state;
  Stream *stream = streamOf(call.device, streamHandle);
  if (!stream || !handle)
    return failed(errorInvalidHandle, "there is no such stream or function");
  const Function &function = *static_cast<Function *>(handle);
  auto wrong = [&](const std::string &why) {
    return failed(errorInvalidValue, "kernel '" + function.name + "': " + why);
  };
  if (extra || (!parameters && function.entry->numParams))
    return wrong("the shim takes parameters as an array of pointers only");
  if (!gridX || !gridY || !gridZ || gridX > 0x7fffffffu || gridY > 65535 ||
      gridZ > 65535)
    return wrong("a grid has 1 to 2^31 - 1 by 65535 by 65535 blocks");
  unsigned long long threads = 1ull * blockX * blockY * blockZ;
  int bound = function.entry->maxThreads;
  unsigned most = bound ? static_cast<unsigned>(bound) : Grid::maxThreads;
  if (!threads || threads > most)
    return wrong("a block has 1 to " + std::to_string(most) + " threads, not " +
                 std::to_string(threads));
  if (sharedBytes > static_cast<unsigned>(function.maxSharedBytes))
    return wrong("a block may use " + std::to_string(function.maxSharedBytes) +
                 " bytes of shared memory, not " + std::to_string(sharedBytes) +
                 "; cuFuncSetAttribute allows more");
  call.device.launch(function, {gridX, gridY, gridZ}, {blockX, blockY, blockZ},
                     sharedBytes, parameters, *stream);
  return success;
}
