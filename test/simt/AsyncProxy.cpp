//===- AsyncProxy.cpp - What sm_90a does beside its threads ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "AsyncProxy.h"
#include "Fragments.h"

#include <algorithm>
#include <cstring>

using namespace cambium::simt;

void AsyncProxy::beginBlock(unsigned numThreads) {
  seen.assign(shared.size(), static_cast<char>(poison));
  barriers.clear();
  warps.assign((numThreads + 31) / 32, Warp());
}

std::string AsyncProxy::endBlock() const {
  for (auto &[place, barrier] : barriers)
    if (!barrier.copies.empty())
      return "ends before a bulk copy has arrived";
  for (size_t i = 0; i < warps.size(); ++i) {
    if (!warps[i].products.empty())
      return "warp " + std::to_string(i) + " does not wait for its products";
    if (warps[i].sequence != warps[i / 4 * 4].sequence)
      return "warp " + std::to_string(i) +
             " does not multiply what its warpgroup does";
  }
  return "";
}

void AsyncProxy::fence(unsigned thread) {
  std::copy(shared.begin(), shared.end(), seen.begin());
  for (auto &[place, barrier] : barriers)
    barrier.fenced |= barrier.preparedBy == thread;
}

//===----------------------------------------------------------------------===//
// Barriers and bulk copies
//===----------------------------------------------------------------------===//

/// What lies where a barrier is, so that it is noticed if it is overwritten.
static constexpr uint64_t barrierBits = 0x6d62617272696572;

static bool within(const GuardedMemory &memory, const char *begin,
                   size_t bytes) {
  return begin >= memory.begin() && begin <= memory.end() &&
         bytes <= static_cast<size_t>(memory.end() - begin);
}

std::string AsyncProxy::prepareArrivals(unsigned thread, char *barrier) {
  if (!within(shared, barrier, 8) || reinterpret_cast<uintptr_t>(barrier) % 8)
    return "prepares a barrier that is misaligned or not in shared memory";
  if (barriers.count(barrier))
    return "prepares a barrier once more";
  std::memcpy(barrier, &barrierBits, sizeof(barrierBits));
  Barrier prepared;
  prepared.preparedBy = thread;
  prepared.preparedAt = meetings;
  barriers.emplace(barrier, prepared);
  return "";
}

std::string AsyncProxy::find(unsigned thread, const char *barrier,
                             Barrier *&found) {
  auto place = barriers.find(barrier);
  if (place == barriers.end())
    return "uses a barrier that is not prepared";
  if (std::memcmp(barrier, &barrierBits, sizeof(barrierBits)) != 0)
    return "uses a barrier that has been overwritten";
  found = &place->second;
  if (thread != found->preparedBy && meetings == found->preparedAt)
    return "uses a barrier that another thread has prepared, without having "
           "met it since";
  return "";
}

std::string AsyncProxy::expectArrival(unsigned thread, char *barrier,
                                      int bytes) {
  Barrier *found = nullptr;
  std::string wrong = find(thread, barrier, found);
  if (!wrong.empty())
    return wrong;
  constexpr int mostBytes = (1 << 20) - 1;
  if (found->arrivals == 0)
    return "arrives at a barrier twice in a phase";
  if (bytes < 0 || found->bytes + bytes > mostBytes)
    return "expects more bytes than a barrier can count";
  --found->arrivals;
  found->bytes += bytes;
  endPhase(*found);
  return "";
}

void AsyncProxy::endPhase(Barrier &barrier) {
  if (barrier.arrivals || barrier.bytes)
    return;
  barrier.arrivals = 1;
  ++barrier.phase;
}

std::string AsyncProxy::copy(unsigned thread, char *to, const char *from,
                             int bytes, char *barrier) {
  Barrier *found = nullptr;
  std::string wrong = find(thread, barrier, found);
  if (!wrong.empty())
    return wrong;
  if (!found->fenced)
    return "copies to a barrier that is not fenced";
  if (bytes <= 0 || bytes % 16 || reinterpret_cast<uintptr_t>(to) % 16 ||
      reinterpret_cast<uintptr_t>(from) % 16)
    return "copies " + std::to_string(bytes) +
           " bytes in bulk, or from or to a misaligned address";
  if (!within(shared, to, bytes) || !global.contains(from, bytes))
    return "copies in bulk, but not from global to shared memory";
  std::memset(to, poison, bytes);
  std::memset(&seen[to - shared.begin()], poison, bytes);
  found->copies.push_back({to, from, bytes});
  return "";
}

std::string AsyncProxy::hasEnded(unsigned thread, char *barrier, int parity,
                                 bool &ended) {
  Barrier *found = nullptr;
  std::string wrong = find(thread, barrier, found);
  if (!wrong.empty())
    return wrong;
  auto waits = [&] {
    return found->phase % 2 == static_cast<unsigned>(parity);
  };
  if (waits()) {
    for (const Copy &copy : found->copies) {
      std::memcpy(copy.to, copy.from, copy.bytes);
      std::memcpy(&seen[copy.to - shared.begin()], copy.from, copy.bytes);
      found->bytes -= copy.bytes;
    }
    found->copies.clear();
    endPhase(*found);
  }
  ended = !waits();
  return "";
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//
//
// PTX ISA, "Asynchronous Warpgroup Level Matrix Multiply-Accumulate
// Instructions": fragments as "Register Fragments" of m64nNk16 and m64nNk8 say,
// which are those of mma for each warp's 16 rows.

static constexpr float poisoned() {
  return __builtin_bit_cast(float, 0xffffffffu);
}

/// "Matrix Descriptor Format": a bit-field of 14 bits, in units of 16 bytes.
static unsigned offsetAt(unsigned long long descriptor, int bit) {
  return static_cast<unsigned>(descriptor >> bit & 0x3fff) * 16;
}

/// "Shared Memory Matrix Layout", K-major without swizzling, in elements of 128
/// bits: 8 columns by 1 are in succession, the second of k is the leading
/// dimension byte offset away, the next 8 columns are the stride dimension byte
/// offset away.
std::string AsyncProxy::readColumns(const WarpgroupProduct &product, bool bf16,
                                    std::vector<float> &b) const {
  // All but the start address and the two offsets.
  constexpr unsigned long long others = ~0x00003fff3fff3fffull;
  if (product.columns & others)
    return "describes a matrix that is swizzled, or sets reserved bits";
  unsigned start = offsetAt(product.columns, 0);
  unsigned leading = offsetAt(product.columns, 16);
  unsigned stride = offsetAt(product.columns, 32);
  int count = product.columnCount, k = bf16 ? 16 : 8, bytes = bf16 ? 2 : 4;
  b.resize(k * count);
  for (int i = 0; i < k; ++i)
    for (int column = 0; column < count; ++column) {
      size_t at = start + column / 8 * size_t(stride) + column % 8 * 16 +
                  i * bytes / 16 * size_t(leading) + i * bytes % 16;
      if (at + bytes > seen.size())
        return "multiplies byte " + std::to_string(at) + " of " +
               std::to_string(seen.size()) + " bytes of shared memory";
      unsigned bits = 0;
      std::memcpy(&bits, &seen[at], bytes);
      b[i * count + column] = bf16 ? bf16Of(bits, 0) : tf32Of(bits);
    }
  return "";
}

static size_t numAccumulators(const WarpgroupProduct &product) {
  return product.columnCount / 2;
}

std::string AsyncProxy::begin(Warp &warp, bool bf16, void *const *operands) {
  if (!warp.begun)
    return "multiplies without a fence of its registers";
  Product product{bf16, false, {}, {}, {}};
  for (unsigned lane = 0; lane < 32; ++lane) {
    const auto &given = *static_cast<WarpgroupProduct *>(operands[lane]);
    product.lanes[lane] = given;
    std::copy_n(given.a, 4, product.a[lane]);
    if (given.columns != product.lanes[0].columns)
      return "lanes of a warp describe different matrices";
  }
  const WarpgroupProduct &first = product.lanes[0];
  std::string wrong = readColumns(first, bf16, product.b);
  if (!wrong.empty())
    return wrong;
  warp.sequence = (warp.sequence ^ first.columns) * 0x100000001b3u + bf16 +
                  2 * first.columnCount;
  size_t count = numAccumulators(first);
  bool known = std::any_of(
      warp.accumulators.begin(), warp.accumulators.end(),
      [&](const Accumulators &other) { return other.ofFirstLane == first.c; });
  if (!known) {
    Accumulators taken{first.c, {}};
    for (unsigned lane = 0; lane < 32; ++lane) {
      float *c = product.lanes[lane].c;
      taken.values[lane].assign(c, c + count);
      std::fill_n(c, count, poisoned());
    }
    warp.accumulators.push_back(std::move(taken));
  }
  warp.products.push_back(std::move(product));
  return "";
}

std::string AsyncProxy::compute(Warp &warp, const Product &product) {
  const WarpgroupProduct &first = product.lanes[0];
  std::vector<float> b;
  std::string wrong = readColumns(first, product.bf16, b);
  if (!wrong.empty())
    return wrong;
  if (std::memcmp(b.data(), product.b.data(), b.size() * sizeof(float)) != 0)
    return "shared memory was written to while a product read it";
  auto &taken = *std::find_if(
      warp.accumulators.begin(), warp.accumulators.end(),
      [&](const Accumulators &other) { return other.ofFirstLane == first.c; });
  int columns = first.columnCount, k = product.bf16 ? 16 : 8;
  float a[16][16];
  for (unsigned lane = 0; lane < 32; ++lane) {
    if (std::memcmp(product.lanes[lane].a, product.a[lane],
                    sizeof(product.a[lane])) != 0)
      return "a register of the left matrix was written to while a product "
             "read it";
    if (product.bf16)
      gatherBf16(a, lane, product.a[lane]);
    else
      gatherTf32(a, lane, product.a[lane]);
  }
  std::vector<float> c(16 * columns);
  auto element = [&](unsigned lane, size_t i) -> float & {
    size_t row = lane / 4 + (i % 4 < 2 ? 0 : 8);
    return c[row * columns + i / 4 * 8 + 2 * (lane % 4) + i % 2];
  };
  for (unsigned lane = 0; lane < 32; ++lane)
    for (size_t i = 0; i < taken.values[lane].size(); ++i)
      element(lane, i) = taken.values[lane][i];
  for (int row = 0; row < 16; ++row)
    for (int i = 0; i < k; ++i)
      for (int column = 0; column < columns; ++column)
        c[row * columns + column] += a[row][i] * b[i * columns + column];
  for (unsigned lane = 0; lane < 32; ++lane)
    for (size_t i = 0; i < taken.values[lane].size(); ++i)
      taken.values[lane][i] = element(lane, i);
  return "";
}

/// Computes what is committed. All is, or accumulators stay poisoned.
std::string AsyncProxy::finish(Warp &warp) {
  auto end = std::find_if(warp.products.begin(), warp.products.end(),
                          [](const Product &p) { return !p.committed; });
  for (auto product = warp.products.begin(); product != end; ++product) {
    std::string wrong = compute(warp, *product);
    if (!wrong.empty())
      return wrong;
  }
  if (end != warp.products.end()) {
    warp.products.erase(warp.products.begin(), end);
    return "";
  }
  constexpr float poisonedFloat = poisoned();
  for (Accumulators &taken : warp.accumulators) {
    auto product = std::find_if(
        warp.products.begin(), warp.products.end(),
        [&](const Product &p) { return p.lanes[0].c == taken.ofFirstLane; });
    if (product == warp.products.end())
      continue;
    for (unsigned lane = 0; lane < 32; ++lane) {
      float *c = product->lanes[lane].c;
      for (size_t i = 0; i < taken.values[lane].size(); ++i) {
        if (std::memcmp(&c[i], &poisonedFloat, sizeof(float)) != 0)
          return "an accumulator was written to while a product had it";
        c[i] = taken.values[lane][i];
      }
    }
  }
  warp.products.clear();
  warp.accumulators.clear();
  return "";
}

std::string AsyncProxy::operate(int operation, unsigned index,
                                void *const *operands) {
  if (index / 4 * 4 + 4 > warps.size())
    return "is in no whole warpgroup";
  Warp &warp = warps[index];
  switch (operation) {
  case WarpBeginProducts:
    warp.begun = true;
    return "";
  case WarpCommitProducts:
    warp.begun = false;
    for (Product &product : warp.products)
      product.committed = true;
    return "";
  case WarpWaitProducts:
    return finish(warp);
  default:
    return begin(warp, operation == WarpProductBf16, operands);
  }
}
