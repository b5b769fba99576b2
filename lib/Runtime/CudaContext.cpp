//===- CudaContext.cpp - A CUDA device and its stream ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CudaContext.h"

#include "cambium/Error.h"
#include "cambium/Runtime/CudaDevice.h"

#include <algorithm>
#include <cassert>
#include <cstring>

using namespace cambium;
using namespace cambium::cuda;

//===----------------------------------------------------------------------===//
// Context
//===----------------------------------------------------------------------===//

static CUdevice findDevice(const Driver &driver, int ordinal) {
  CUresult begun = driver.cuInit(0);
  int count = 0;
  if (begun != CUDA_ERROR_NO_DEVICE) {
    check(begun, "the CUDA driver cannot start");
    check(driver.cuDeviceGetCount(&count), "cannot count the CUDA devices");
  }
  if (count == 0)
    throw Error("there is no CUDA device: the driver, " + driver.path +
                ", sees none; see whether nvidia-smi lists one and "
                "CUDA_VISIBLE_DEVICES hides it, or run on Target::host()");
  if (ordinal < 0 || ordinal >= count)
    throw Error("there is no CUDA device " + std::to_string(ordinal) +
                "; the driver sees " + std::to_string(count) +
                ", counted from 0");
  CUdevice device = 0;
  check(driver.cuDeviceGet(&device, ordinal), "cannot open the CUDA device");
  return device;
}

Context::Context(int ordinal)
    : driver(Driver::get()), device(findDevice(driver, ordinal)) {
  check(driver.cuDevicePrimaryCtxRetain(&handle, device),
        "cannot use the CUDA device");
  CUresult result = driver.cuCtxSetCurrent(handle);
  if (result == CUDA_SUCCESS)
    result = driver.cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING);
  if (result == CUDA_SUCCESS)
    return;
  driver.cuDevicePrimaryCtxRelease_v2(device);
  check(result, "cannot make a CUDA stream");
}

Context::~Context() {
  driver.cuCtxSetCurrent(handle);
  driver.cuStreamDestroy_v2(stream);
  driver.cuDevicePrimaryCtxRelease_v2(device);
}

void Context::enter() const {
  check(driver.cuCtxSetCurrent(handle), "cannot use the CUDA device");
}

void Context::synchronize() const {
  enter();
  check(driver.cuStreamSynchronize(stream), "the CUDA device failed");
}

int Context::attribute(CUdevice_attribute attribute) const {
  int value = 0;
  check(driver.cuDeviceGetAttribute(&value, attribute, device),
        "cannot ask the CUDA device for its properties");
  return value;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

/// Pinned memory is costly to make and is taken from the whole machine.
static constexpr size_t kLeastPinned = size_t(1) << 20;
static constexpr size_t kMostPinned = size_t(32) << 20;

static std::string shortOf(const Driver &driver, size_t bytes) {
  size_t free = 0, total = 0;
  driver.cuMemGetInfo_v2(&free, &total);
  return "CUDA_ERROR_OUT_OF_MEMORY: " + std::to_string(bytes) +
         " bytes were asked for, " + std::to_string(free) +
         " of the device's " + std::to_string(total) + " are free";
}

DeviceMemory::~DeviceMemory() {
  if (!pinned)
    return;
  context.driver.cuCtxSetCurrent(context.handle);
  context.driver.cuStreamSynchronize(context.stream);
  context.driver.cuMemFreeHost(pinned);
}

void *DeviceMemory::allocate(size_t bytes) {
  context.enter();
  CUdeviceptr address = 0;
  CUresult result =
      context.driver.cuMemAlloc_v2(&address, std::max<size_t>(bytes, 1));
  if (result == CUDA_ERROR_OUT_OF_MEMORY)
    throw OutOfMemory(shortOf(context.driver, bytes));
  check(result, "cannot allocate memory of the CUDA device");
  assert(address % alignment() == 0 && "the driver aligns allocations");
  return reinterpret_cast<void *>(address);
}

void DeviceMemory::release(void *address) noexcept {
  context.driver.cuCtxSetCurrent(context.handle);
  context.driver.cuStreamSynchronize(context.stream);
  context.driver.cuMemFree_v2(deviceAddress(address));
}

void DeviceMemory::zero(void *to, size_t bytes) {
  if (bytes == 0)
    return;
  context.enter();
  check(context.driver.cuMemsetD8Async(deviceAddress(to), 0, bytes,
                                       context.stream),
        "cannot clear memory of the CUDA device");
}

char *DeviceMemory::stage(size_t &bytes) {
  size_t wanted = std::min(std::max(bytes, kLeastPinned), kMostPinned);
  if (pinnedUsed == pinnedBytes || pinnedBytes < wanted) {
    context.synchronize();
    pinnedUsed = 0;
  }
  if (pinnedBytes < wanted) {
    if (pinned)
      context.driver.cuMemFreeHost(pinned);
    pinned = nullptr;
    pinnedBytes = 0;
    void *made = nullptr;
    check(context.driver.cuMemHostAlloc(&made, wanted, 0),
          "cannot allocate pinned memory");
    pinned = static_cast<char *>(made);
    pinnedBytes = wanted;
  }
  char *place = pinned + pinnedUsed;
  bytes = std::min(bytes, pinnedBytes - pinnedUsed);
  pinnedUsed += bytes;
  return place;
}

void DeviceMemory::upload(void *to, const void *from, size_t bytes) {
  context.enter();
  for (size_t done = 0, piece; done < bytes; done += piece) {
    piece = bytes - done;
    char *place = stage(piece);
    std::memcpy(place, static_cast<const char *>(from) + done, piece);
    check(context.driver.cuMemcpyHtoDAsync_v2(deviceAddress(to) + done, place,
                                              piece, context.stream),
          "cannot copy to the CUDA device");
  }
}

void DeviceMemory::download(void *to, const void *from, size_t bytes) {
  context.enter();
  for (size_t done = 0, piece; done < bytes; done += piece) {
    piece = bytes - done;
    char *place = stage(piece);
    check(context.driver.cuMemcpyDtoHAsync_v2(place, deviceAddress(from) + done,
                                              piece, context.stream),
          "cannot copy from the CUDA device");
    context.synchronize();
    std::memcpy(static_cast<char *>(to) + done, place, piece);
    pinnedUsed = 0;
  }
}

void DeviceMemory::copy(void *to, const void *from, size_t bytes) {
  if (bytes == 0)
    return;
  context.enter();
  check(context.driver.cuMemcpyDtoDAsync_v2(
            deviceAddress(to), deviceAddress(from), bytes, context.stream),
        "cannot copy within the CUDA device");
}
