//===- Memory.cpp - Memory of devices -------------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/Memory.h"

#include <algorithm>
#include <cassert>
#include <cstring>
#include <new>
#include <vector>

using namespace cambium;

namespace {

constexpr std::align_val_t kHostAlignment{64};

class HostMemory : public Memory {
public:
  bool isHost() const override { return true; }
  size_t alignment() const override {
    return static_cast<size_t>(kHostAlignment);
  }
  void *allocate(size_t bytes) override {
    return ::operator new(bytes, kHostAlignment);
  }
  void release(void *address) noexcept override {
    ::operator delete(address, kHostAlignment);
  }
  void zero(void *to, size_t bytes) override { std::memset(to, 0, bytes); }
  void upload(void *to, const void *from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void download(void *to, const void *from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
  void copy(void *to, const void *from, size_t bytes) override {
    std::memcpy(to, from, bytes);
  }
};

} // namespace

Memory::~Memory() = default;

Memory &Memory::host() {
  static HostMemory memory;
  return memory;
}

/// Throws where the product would wrap around.
static size_t bytesFor(int64_t elements) {
  size_t bytes;
  if (__builtin_mul_overflow(std::max<int64_t>(elements, 1), sizeof(float),
                             &bytes))
    throw std::bad_array_new_length();
  return bytes;
}

Block::Block(int64_t elements, Memory &memory)
    : memory(memory), elements(elements),
      address(static_cast<float *>(memory.allocate(bytesFor(elements)))) {
  try {
    memory.zero(address, elements * sizeof(float));
  } catch (...) {
    memory.release(address);
    throw;
  }
}

Block::~Block() {
  if (address)
    memory.release(address);
}

void Block::read(float *to) const {
  memory.download(to, address, elements * sizeof(float));
}

void Block::write(const float *from) {
  memory.upload(address, from, elements * sizeof(float));
}

void Block::copy(const Block &from) {
  assert(from.elements == elements && "blocks of one size");
  memory.copy(address, from.address, elements * sizeof(float));
}

void Block::fill(const std::function<void(float *)> &compute) {
  if (memory.isHost())
    return compute(address);
  std::vector<float> values(elements);
  compute(values.data());
  write(values.data());
}
