//===- Memory.cpp - Guarded device memory ---------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Memory.h"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <new>
#include <sys/mman.h>

using namespace cambium::simt;

namespace {

constexpr size_t pageBytes = 4096;
/// What gaps are filled with: NaN as fp32 and bf16.
char canaryAt(const char *address) {
  return reinterpret_cast<uintptr_t>(address) % 2 ? '\x7f' : '\xc5';
}

void fillWithCanary(char *first, char *last) {
  for (; first != last; ++first)
    *first = canaryAt(first);
}

size_t roundUp(size_t value, size_t multiple) {
  return (value + multiple - 1) / multiple * multiple;
}

} // namespace

GuardedMemory::GuardedMemory(size_t bytes, size_t alignment)
    : alignment(alignment) {
  size_t usable = roundUp(std::max<size_t>(bytes, 1), pageBytes);
  mappingBytes = usable + 2 * pageBytes;
  void *address = mmap(nullptr, mappingBytes, PROT_NONE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (address == MAP_FAILED)
    throw std::bad_alloc();
  mapping = static_cast<char *>(address);
  mprotect(mapping + pageBytes, usable, PROT_READ | PROT_WRITE);
  resize(bytes);
}

GuardedMemory::~GuardedMemory() { munmap(mapping, mappingBytes); }

void GuardedMemory::resize(size_t newBytes) {
  bytes = newBytes;
  char *last = mapping + mappingBytes - pageBytes;
  data = last - roundUp(bytes, alignment);
  char *first = std::max(mapping + pageBytes, data - pageBytes);
  fillWithCanary(first, data);
  std::memset(data, poison, bytes);
  fillWithCanary(data + bytes, last);
}

std::ptrdiff_t GuardedMemory::strayWrite() {
  auto changed = [this](char *first, char *last) -> std::ptrdiff_t {
    for (; first != last; ++first)
      if (*first != canaryAt(first)) {
        *first = canaryAt(first);
        return first - data;
      }
    return 0;
  };
  char *first = std::max(mapping + pageBytes, data - pageBytes);
  std::ptrdiff_t before = changed(first, data);
  return before ? before
                : changed(data + bytes, mapping + mappingBytes - pageBytes);
}

bool GuardedMemory::isNear(const void *address) const {
  auto byte = static_cast<const char *>(address);
  return mapping <= byte && byte < mapping + mappingBytes;
}

char *DeviceMemory::allocate(size_t bytes) {
  if (!bytes || bytes > freeBytes())
    return nullptr;
  auto memory = std::make_unique<GuardedMemory>(bytes, alignment);
  char *begin = memory->begin();
  device.emplace(begin, std::move(memory));
  used += bytes;
  return begin;
}

bool DeviceMemory::free(char *address) {
  auto found = device.find(address);
  if (found == device.end())
    return false;
  used -= found->second->size();
  device.erase(found);
  return true;
}

char *DeviceMemory::allocateHost(size_t bytes) {
  if (!bytes)
    return nullptr;
  auto memory = std::make_unique<GuardedMemory>(bytes, alignment);
  char *begin = memory->begin();
  host.emplace(begin, std::move(memory));
  return begin;
}

bool DeviceMemory::freeHost(char *address) { return host.erase(address); }

const GuardedMemory *DeviceMemory::find(const Allocations &in,
                                        const void *address, size_t bytes) {
  auto byte = static_cast<const char *>(address);
  auto after = in.upper_bound(byte);
  if (after == in.begin())
    return nullptr;
  const GuardedMemory *memory = std::prev(after)->second.get();
  bool inside = byte <= memory->end() &&
                bytes <= static_cast<size_t>(memory->end() - byte);
  return inside ? memory : nullptr;
}

bool DeviceMemory::contains(const void *address, size_t bytes) const {
  return find(device, address, bytes);
}

bool DeviceMemory::containsHost(const void *address, size_t bytes) const {
  return find(host, address, bytes);
}

std::string DeviceMemory::strayWrite() {
  for (auto &[begin, memory] : device)
    if (std::ptrdiff_t offset = memory->strayWrite())
      return "byte " + std::to_string(offset) + " of an allocation of " +
             std::to_string(memory->size()) + " bytes was written to";
  return "";
}

std::string DeviceMemory::describe(const void *address) const {
  for (auto &[begin, memory] : device)
    if (memory->isNear(address)) {
      std::ptrdiff_t offset = static_cast<const char *>(address) - begin;
      return "byte " + std::to_string(offset) + " of an allocation of " +
             std::to_string(memory->size()) + " bytes";
    }
  return "";
}

void DeviceMemory::clear() {
  device.clear();
  host.clear();
  used = 0;
}
