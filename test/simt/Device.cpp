//===- Device.cpp - Streams, graphs and modules of the device -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Device.h"
#include "Files.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <elf.h>

using namespace cambium::simt;

//===----------------------------------------------------------------------===//
// Modules
//===----------------------------------------------------------------------===//

Module::~Module() {
  if (handle)
    dlclose(handle);
}

Error Module::load(const void *image, int deviceArchitecture,
                   std::string &why) {
  Elf64_Ehdr header;
  std::memcpy(&header, image, sizeof(header));
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
    why = "not an ELF file";
    return errorInvalidImage;
  }
  if (header.e_machine != EM_X86_64) {
    why = "not made by the shim's NVRTC";
    return errorNoBinaryForGpu;
  }
  // The table of sections is what the linker writes last.
  size_t bytes = header.e_shoff + header.e_shnum * header.e_shentsize;
  TemporaryFolder folder;
  std::string file = folder.path() + "/module.so";
  writeFile(file, {static_cast<const char *>(image), bytes});
  handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    why = dlerror();
    return errorInvalidImage;
  }
  auto architecture =
      static_cast<const int *>(dlsym(handle, "simt_architecture"));
  auto calls = static_cast<const SimtCalls **>(dlsym(handle, "simt_calls"));
  if (!architecture || !calls) {
    why = "not made by the shim's NVRTC";
    return errorNoBinaryForGpu;
  }
  if (*architecture / 10 != deviceArchitecture / 10 ||
      *architecture > deviceArchitecture) {
    why = "made for sm_" + std::to_string(*architecture) +
          ", but the device is sm_" + std::to_string(deviceArchitecture);
    return errorNoBinaryForGpu;
  }
  *calls = &deviceCalls;
  return success;
}

Function *Module::find(const std::string &name) {
  auto found = functions.find(name);
  if (found != functions.end())
    return &found->second;
  auto entry = static_cast<const SimtEntry *>(
      dlsym(handle, ("simt_entry_" + name).c_str()));
  return entry ? &functions.emplace(name, Function{name, entry}).first->second
               : nullptr;
}

//===----------------------------------------------------------------------===//
// Streams
//===----------------------------------------------------------------------===//

Device &Device::get() {
  // Never destroyed: what uses it may be, when the process ends.
  static Device &device = *new Device;
  return device;
}

int Device::architecture() const {
  const char *given = std::getenv("CAMBIUM_SIMT_ARCH");
  return given && *given ? std::atoi(given) : 80;
}

bool Device::attribute(int which, int &value) const {
  int arch = architecture();
  bool small = arch == 86 || arch == 89 || arch >= 120;
  int optin = small ? 99 * 1024 : arch < 90 ? 163 * 1024 : 227 * 1024;
  const std::map<int, int> values{
      {maxThreadsPerBlock, 1024},
      {maxBlockDimX, 1024},
      {maxBlockDimY, 1024},
      {maxBlockDimZ, 64},
      {maxGridDimX, 0x7fffffff},
      {maxGridDimY, 65535},
      {maxGridDimZ, 65535},
      {maxSharedMemoryPerBlock, 48 * 1024},
      {warpSize, 32},
      {clockRate, 1000000},
      {multiprocessorCount, 4},
      {memoryClockRate, 1000000},
      {globalMemoryBusWidth, 256},
      {l2CacheSize, 4 << 20},
      {computeCapabilityMajor, arch / 10},
      {computeCapabilityMinor, arch % 10},
      {maxSharedMemoryPerMultiprocessor, optin + 1024},
      {maxSharedMemoryPerBlockOptin, optin}};
  auto found = values.find(which);
  if (found == values.end())
    return false;
  value = found->second;
  return true;
}

bool Device::isStream(const Stream *stream) const {
  return stream == &nullStream || streams.count(const_cast<Stream *>(stream));
}

bool Device::capturing() const {
  for (auto &[stream, owned] : streams)
    if (stream->capture)
      return true;
  return false;
}

void Device::enqueue(Stream &stream, Operation operation) {
  if (stream.capture) {
    stream.capture->operations.push_back(std::move(operation));
    return;
  }
  // The null stream comes after all that is in the blocking ones, and before
  // all that comes to them.
  if (&stream == &nullStream)
    for (auto &[other, owned] : streams)
      if (other->blocking)
        finish(*other);
  if (&stream != &nullStream && stream.blocking)
    finish(nullStream);
  stream.queue.push_back(std::move(operation));
}

void Device::doNext(Stream &stream) {
  Operation operation = std::move(stream.queue.front());
  stream.queue.pop_front();
  if (!sticky)
    operation();
}

void Device::finish(Stream &stream) {
  while (!stream.queue.empty())
    doNext(stream);
}

void Device::finishUntil(Stream &stream, const bool &done) {
  while (!done && !stream.queue.empty())
    doNext(stream);
}

void Device::finishAll() {
  std::vector<Stream *> busy{&nullStream};
  for (auto &[stream, owned] : streams)
    busy.push_back(stream);
  while (!busy.empty()) {
    unsigned i = random.below(static_cast<unsigned>(busy.size()));
    if (busy[i]->queue.empty())
      busy.erase(busy.begin() + i);
    else
      doNext(*busy[i]);
  }
}

void Device::launch(const Function &function, SimtIndex gridSize,
                    SimtIndex blockSize, unsigned sharedBytes,
                    void *const *params, Stream &stream) {
  // Parameters are taken now, as the driver does. 16 bytes are as much as any
  // type in a parameter is aligned to.
  struct alignas(16) Slot {
    char bytes[16];
  };
  const SimtEntry &entry = *function.entry;
  std::vector<std::vector<Slot>> values;
  for (int i = 0; i < entry.numParams; ++i) {
    values.emplace_back((entry.paramBytes[i] + 15) / 16);
    std::memcpy(values.back().data(), params[i], entry.paramBytes[i]);
  }
  enqueue(stream, [=, values = std::move(values), name = function.name,
                   entry = &entry] {
    std::vector<void *> pointers;
    for (const std::vector<Slot> &value : values)
      pointers.push_back(const_cast<Slot *>(value.data()));
    sticky = grid.run(
        {entry, name, gridSize, blockSize, sharedBytes, pointers.data()});
  });
}

void Device::reset() {
  finishAll();
  executables.clear();
  graphs.clear();
  events.clear();
  streams.clear();
  modules.clear();
  memory.clear();
  sticky = Fault();
}
