//===- Memory.h - Guarded device memory ---------------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_MEMORY_H
#define CAMBIUM_TEST_SIMT_MEMORY_H

#include <cstddef>
#include <map>
#include <memory>
#include <string>

namespace cambium::simt {

/// What is in memory that nothing has been written to: as fp32, bf16 or tf32 it
/// is NaN, as an index it is out of bounds.
inline constexpr unsigned char poison = 0xff;

/// Memory that ends at a page that cannot be accessed, with another such page
/// before it. Where `alignment` leaves a gap, the gap has known bytes.
class GuardedMemory {
public:
  /// Throws std::bad_alloc.
  GuardedMemory(size_t bytes, size_t alignment);
  GuardedMemory(const GuardedMemory &) = delete;
  GuardedMemory &operator=(const GuardedMemory &) = delete;
  ~GuardedMemory();

  char *begin() const { return data; }
  char *end() const { return data + bytes; }
  size_t size() const { return bytes; }

  /// Makes another size of it, at most that of the first; fills it with poison.
  void resize(size_t newBytes);

  /// Distance from the begin of a byte before or behind the memory that
  /// somebody has written to; 0: there is none. The byte is repaired.
  std::ptrdiff_t strayWrite();

  /// Is `address` in the memory, its gaps or its guards?
  bool isNear(const void *address) const;

private:
  char *mapping;
  size_t mappingBytes;
  size_t alignment;
  char *data;
  size_t bytes;
};

/// All memory of the device, and the host memory that it can read on its own.
class DeviceMemory {
public:
  static constexpr size_t alignment = 256;
  /// What the device says it has.
  static constexpr size_t totalBytes = size_t(4) << 30;

  /// Null if there is not so much left.
  char *allocate(size_t bytes);
  /// False if nothing begins there.
  bool free(char *address);
  bool contains(const void *address, size_t bytes) const;
  size_t freeBytes() const { return totalBytes - used; }

  /// Pinned memory. As allocate and free.
  char *allocateHost(size_t bytes);
  bool freeHost(char *address);
  bool containsHost(const void *address, size_t bytes) const;

  /// A message if memory beside an allocation has been written to.
  std::string strayWrite();
  /// Where `address` is, seen from the nearest allocation: " of ...".
  std::string describe(const void *address) const;
  /// Frees everything.
  void clear();

private:
  using Allocations = std::map<const char *, std::unique_ptr<GuardedMemory>>;
  static const GuardedMemory *find(const Allocations &in, const void *address,
                                   size_t bytes);

  Allocations device, host;
  size_t used = 0;
};

} // namespace cambium::simt

#endif // CAMBIUM_TEST_SIMT_MEMORY_H
