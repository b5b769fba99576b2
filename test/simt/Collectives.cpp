//===- Collectives.cpp - What the lanes of a warp do together -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Fragments are laid out as "Matrix Fragments for mma.m16n8k16" and "...
// .m16n8k8" and "Warp-level matrix load instruction: ldmatrix" of the PTX ISA
// say.
//
//===----------------------------------------------------------------------===//

#include "Fragments.h"
#include "Grid.h"

#include <cstring>

using namespace cambium::simt;

static constexpr unsigned allLanes = 0xffffffffu;

namespace {

/// The warp's operands put together.
template <int K> struct Tile {
  float a[16][K];
  float b[K][8];
  float c[16][8];
};

} // namespace

static void gather(Tile<16> &tile, unsigned lane, const WarpMma &mma) {
  unsigned group = lane / 4, inGroup = lane % 4;
  gatherBf16(tile.a, lane, mma.a);
  for (unsigned i = 0; i < 4; ++i)
    tile.b[2 * inGroup + (i & 1) + (i < 2 ? 0 : 8)][group] =
        bf16Of(mma.b[i / 2], i & 1);
}

static void gather(Tile<8> &tile, unsigned lane, const WarpMma &mma) {
  unsigned group = lane / 4, inGroup = lane % 4;
  gatherTf32(tile.a, lane, mma.a);
  for (unsigned i = 0; i < 2; ++i)
    tile.b[inGroup + 4 * i][group] = tf32Of(mma.b[i]);
}

template <int K> static void multiply(const Fiber *lanes) {
  Tile<K> tile;
  auto element = [&](unsigned lane, unsigned i) -> float & {
    return tile.c[lane / 4 + (i < 2 ? 0 : 8)][2 * (lane % 4) + (i & 1)];
  };
  for (unsigned lane = 0; lane < 32; ++lane) {
    auto &mma = *static_cast<const WarpMma *>(lanes[lane].operands);
    gather(tile, lane, mma);
    for (unsigned i = 0; i < 4; ++i)
      element(lane, i) = mma.c[i];
  }
  for (int row = 0; row < 16; ++row)
    for (int k = 0; k < K; ++k)
      for (int column = 0; column < 8; ++column)
        tile.c[row][column] += tile.a[row][k] * tile.b[k][column];
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned i = 0; i < 4; ++i)
      static_cast<const WarpMma *>(lanes[lane].operands)->d[i] =
          element(lane, i);
}

/// Lanes of `mask` give their values to those who ask for them; others have
/// none to give.
std::string Grid::exchange(Fiber *lanes, unsigned mask) {
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    auto &shuffle =
        *static_cast<WarpShuffle *>(lanes[__builtin_ctz(rest)].operands);
    auto source = static_cast<unsigned>(shuffle.source);
    shuffle.result =
        source < 32 && (mask >> source & 1)
            ? static_cast<WarpShuffle *>(lanes[source].operands)->value
            : allLanes;
  }
  return "";
}

static void vote(Fiber *lanes, unsigned mask) {
  unsigned result = 0;
  for (unsigned rest = mask; rest; rest &= rest - 1) {
    unsigned lane = __builtin_ctz(rest);
    if (static_cast<WarpBallot *>(lanes[lane].operands)->predicate)
      result |= 1u << lane;
  }
  for (unsigned rest = mask; rest; rest &= rest - 1)
    static_cast<WarpBallot *>(lanes[__builtin_ctz(rest)].operands)->result =
        result;
}

/// 8 x 8 matrices of 16 bits. Lane 8 m + r has the address of row r of matrix
/// m, lane 4 r + c has elements 2 c and 2 c + 1 of row r of each matrix.
std::string Grid::moveMatrices(Fiber *lanes, int operation) {
  bool store = operation == WarpStoreMatrices ||
               operation == WarpStoreMatricesTransposed;
  bool transposed = operation == WarpLoadMatricesTransposed ||
                    operation == WarpStoreMatricesTransposed;
  auto operands = [&](unsigned lane) -> WarpMatrices & {
    return *static_cast<WarpMatrices *>(lanes[lane].operands);
  };
  unsigned count = static_cast<unsigned>(operands(0).count);
  constexpr size_t rowBytes = 16;
  for (unsigned lane = 0; lane < 8 * count; ++lane) {
    const void *row = operands(lane).row;
    if (reinterpret_cast<uintptr_t>(row) % rowBytes || !inShared(row, rowBytes))
      return "lane " + std::to_string(lane) +
             " gives a row of a matrix that is misaligned or not in shared "
             "memory";
  }
  for (unsigned lane = 0; lane < 32; ++lane)
    for (unsigned matrix = 0; matrix < count; ++matrix) {
      uint16_t halves[2];
      unsigned &word = operands(lane).registers[matrix];
      if (store)
        std::memcpy(halves, &word, sizeof(word));
      for (unsigned i = 0; i < 2; ++i) {
        unsigned row = lane / 4, column = 2 * (lane % 4) + i;
        if (transposed)
          std::swap(row, column);
        char *element =
            static_cast<char *>(operands(8 * matrix + row).row) + 2 * column;
        if (store)
          std::memcpy(element, &halves[i], 2);
        else
          std::memcpy(&halves[i], element, 2);
      }
      if (!store)
        std::memcpy(&word, halves, sizeof(word));
    }
  return "";
}

std::string Grid::operate(int operation, unsigned warp, unsigned mask) {
  Fiber *lanes = &fibers[32 * warp];
  switch (operation) {
  case WarpSync:
    return "";
  case WarpExchange:
    return exchange(lanes, mask);
  case WarpVote:
    vote(lanes, mask);
    return "";
  default:
    break;
  }
  if (mask != allLanes)
    return "not all lanes of the warp multiply or move a matrix";
  if (operation >= WarpBeginProducts) {
    void *operands[32];
    for (unsigned lane = 0; lane < 32; ++lane)
      operands[lane] = lanes[lane].operands;
    return async.operate(operation, warp, operands);
  }
  if (operation == WarpMmaBf16)
    multiply<16>(lanes);
  else if (operation == WarpMmaTf32)
    multiply<8>(lanes);
  else
    return moveMatrices(lanes, operation);
  return "";
}
