//===- Memory.h - Memory of devices -----------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_MEMORY_H
#define CAMBIUM_RUNTIME_MEMORY_H

#include <cstddef>
#include <cstdint>
#include <functional>
#include <utility>

namespace cambium {

/// A device's memory. Addresses are the device's; only where isHost() may this
/// process follow them. Operations take effect in the order of the calls, and
/// with what runs on the device. They throw Error if the device fails.
class Memory {
public:
  virtual ~Memory();

  virtual bool isHost() const = 0;
  /// Of every allocation, in bytes.
  virtual size_t alignment() const = 0;
  /// Undefined contents. Throws std::bad_alloc.
  virtual void *allocate(size_t bytes) = 0;
  virtual void release(void *address) noexcept = 0;

  virtual void zero(void *to, size_t bytes) = 0;
  /// From this process's memory, which may be reused when the call returns.
  virtual void upload(void *to, const void *from, size_t bytes) = 0;
  /// To this process's memory, complete when the call returns.
  virtual void download(void *to, const void *from, size_t bytes) = 0;
  /// Within the device.
  virtual void copy(void *to, const void *from, size_t bytes) = 0;

  /// This process's memory: 64-byte aligned.
  static Memory &host();
};

/// Floats at an address that never changes, zero at the start. The memory
/// outlives it.
class Block {
public:
  explicit Block(int64_t elements, Memory &memory = Memory::host());
  ~Block();
  Block(Block &&other) noexcept
      : memory(other.memory), elements(other.elements),
        address(std::exchange(other.address, nullptr)) {}
  Block(const Block &) = delete;
  Block &operator=(const Block &) = delete;

  /// The device's address.
  float *data() const { return address; }
  int64_t size() const { return elements; }

  /// Copy all elements.
  void read(float *to) const;
  void write(const float *from);
  /// From a block of the same memory and size.
  void copy(const Block &from);
  /// Lets `compute` write all elements to the address that it is given.
  void fill(const std::function<void(float *)> &compute);

private:
  Memory &memory;
  int64_t elements;
  float *address;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_MEMORY_H
