//===- MemoryPlanTest.cpp - Places of buffers in an arena -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Transforms/MemoryPlan.h"

#include "gtest/gtest.h"

#include <random>

using namespace cambium::grow;

namespace {

bool aliveTogether(const Buffer &a, const Buffer &b) {
  return a.begin <= b.end && b.begin <= a.end;
}

TEST(MemoryPlan, LiveBuffersNeverOverlap) {
  std::mt19937 random(3);
  for (int round = 0; round < 200; ++round) {
    std::vector<Buffer> buffers(1 + random() % 40);
    for (Buffer &buffer : buffers) {
      buffer.bytes = random() % 5000;
      buffer.begin = random() % 30;
      buffer.end = buffer.begin + random() % 10;
    }
    int64_t arena = assignOffsets(buffers);
    for (size_t i = 0; i < buffers.size(); ++i) {
      const Buffer &a = buffers[i];
      EXPECT_EQ(a.offset % kBufferAlignment, 0);
      EXPECT_LE(a.offset + a.bytes, arena);
      for (size_t j = 0; j < i; ++j) {
        const Buffer &b = buffers[j];
        EXPECT_FALSE(aliveTogether(a, b) && a.offset < b.offset + b.bytes &&
                     b.offset < a.offset + a.bytes)
            << "round " << round << ": buffers " << i << " and " << j;
      }
    }
  }
}

TEST(MemoryPlan, DeadBuffersLendTheirPlace) {
  std::vector<Buffer> chain(20);
  for (int i = 0; i < 20; ++i) {
    chain[i].bytes = 640;
    chain[i].begin = i;
    chain[i].end = i + 1;
  }
  EXPECT_EQ(assignOffsets(chain), 2 * 640);
}

TEST(MemoryPlan, PeakCountsWhatIsAliveTogether) {
  MemoryPlan plan;
  plan.launches.resize(4);
  plan.buffers = {{"a", BufferCategory::Kept, 100, 0, 0, 1},
                  {"b", BufferCategory::Kept, 40, 0, 1, 3},
                  {"c", BufferCategory::Workspace, 70, 0, 3, 3}};
  EXPECT_EQ(plan.peak(BufferCategory::Kept), 140);
  EXPECT_EQ(plan.peak(BufferCategory::Workspace), 70);
  EXPECT_EQ(plan.peak({BufferCategory::Kept, BufferCategory::Workspace}), 140);
  EXPECT_EQ(plan.peak(BufferCategory::Gradient), 0);
}

} // namespace
