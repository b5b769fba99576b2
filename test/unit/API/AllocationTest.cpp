//===- AllocationTest.cpp - Steps that allocate nothing -------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// This program's malloc counts. It is a program of its own, so that no other
// test has to do with it.
//
//===----------------------------------------------------------------------===//

#include "cambium/Trainer.h"

#include "gtest/gtest.h"

#include <atomic>
#include <cstdlib>
#include <numeric>

#if defined(__GLIBC__) && !__has_feature(address_sanitizer) &&                 \
    !__has_feature(thread_sanitizer)
#define CAMBIUM_COUNTS_ALLOCATIONS 1
#else
#define CAMBIUM_COUNTS_ALLOCATIONS 0
#endif

static std::atomic<int64_t> allocations = 0;

#if CAMBIUM_COUNTS_ALLOCATIONS
// operator new calls malloc, so nothing is missed or counted twice.
extern "C" {
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

void *malloc(size_t bytes) {
  ++allocations;
  return __libc_malloc(bytes);
}
void *calloc(size_t count, size_t bytes) {
  ++allocations;
  return __libc_calloc(count, bytes);
}
void *realloc(void *memory, size_t bytes) {
  ++allocations;
  return __libc_realloc(memory, bytes);
}
void *aligned_alloc(size_t alignment, size_t bytes) {
  ++allocations;
  return __libc_memalign(alignment, bytes);
}
}
#endif

using namespace cambium;

namespace {

constexpr const char *text = R"(
grow.group @base {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.05}
grow.group @other {optimizer = #grow.adamw, lr = 0.001}
grow.param @w : tensor<3x3x1x8xf32> in @base init(#grow.kaiming)
grow.param @v : tensor<3x3x1x8xf32> in @other init(#grow.kaiming)
grow.param @scale : tensor<8xf32> in @other init(#grow.constant<1.0>)
grow.param @shift : tensor<8xf32> in @base init(#grow.zero)
grow.state @mean : tensor<8xf32> init(#grow.zero)
grow.state @variance : tensor<8xf32> init(#grow.constant<1.0>)
grow.param @head.a.weight.of.a.long.name : tensor<8x4xf32> in @base init(#grow.kaiming)
func.func @forward(%x: tensor<?x12x12x1xf32>) -> tensor<?x4xf32> {
  %w = grow.get @w : tensor<3x3x1x8xf32>
  %v = grow.get @v : tensor<3x3x1x8xf32>
  %y = grow.map "block" sum (%x) over [(%w), (%v)] {
  ^bb0(%in: tensor<?x12x12x1xf32>, %f: tensor<3x3x1x8xf32>):
    %c = grow.conv2d %in, %f padding [1, 1]
        : (tensor<?x12x12x1xf32>, tensor<3x3x1x8xf32>) -> tensor<?x12x12x8xf32>
    %r = grow.relu %c : tensor<?x12x12x8xf32>
    grow.yield %r : tensor<?x12x12x8xf32>
  }
  %scale = grow.get @scale : tensor<8xf32>
  %shift = grow.get @shift : tensor<8xf32>
  %mean = grow.get @mean : tensor<8xf32>
  %variance = grow.get @variance : tensor<8xf32>
  %n = grow.batch_norm %y, %scale, %shift, %mean, %variance
      : (tensor<?x12x12x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>)
        -> tensor<?x12x12x8xf32>
  %p = grow.global_avg_pool %n : (tensor<?x12x12x8xf32>) -> tensor<?x8xf32>
  %h = grow.get @head.a.weight.of.a.long.name : tensor<8x4xf32>
  %logits = grow.linear %p, %h : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return %logits : tensor<?x4xf32>
}
func.func @loss(%x: tensor<?x12x12x1xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  %logits = call @forward(%x) : (tensor<?x12x12x1xf32>) -> tensor<?x4xf32>
  %loss = grow.softmax_cross_entropy %logits, %labels
      : (tensor<?x4xf32>, tensor<?xi32>) -> tensor<f32>
  return %loss : tensor<f32>
})";

/// The fewest allocations of a few calls: oneTBB's threads allocate for
/// themselves when they first come to take part.
template <typename Function> int64_t allocationsOf(Function function) {
  int64_t least = INT64_MAX;
  for (int i = 0; i < 20; ++i) {
    int64_t before = allocations;
    function();
    least = std::min(least, allocations - before);
  }
  return least;
}

class AllocationTest : public testing::TestWithParam<unsigned> {
protected:
  AllocationTest()
      : pixels(batch * 144), classes(batch),
        trainer(Network::parse(text), options(GetParam())),
        images(pixels.data(), {batch, 12, 12, 1}),
        labels(classes.data(), {batch}) {
    std::iota(pixels.begin(), pixels.end(), 0.0f);
  }

  static TrainerOptions options(unsigned threads) {
    TrainerOptions options;
    options.target = Target::host(threads);
    return options;
  }

  void SetUp() override {
    if (!CAMBIUM_COUNTS_ALLOCATIONS)
      GTEST_SKIP() << "allocations are not counted in this build";
    ASSERT_GT(allocationsOf([] { std::vector<int>(100, 1).swap(kept); }), 0);
  }

  static constexpr int64_t batch = 32;
  static inline std::vector<int> kept;
  std::vector<float> pixels;
  std::vector<int32_t> classes;
  Trainer trainer;
  TensorView images, labels;
};

TEST_P(AllocationTest, StepsAllocateNothing) {
  EXPECT_EQ(allocationsOf([&] { trainer.step(images, labels); }), 0);
}

TEST_P(AllocationTest, PredictionsAllocateNothing) {
  Tensor outputs;
  trainer.predict(images, outputs);
  EXPECT_EQ(allocationsOf([&] { trainer.predict(images, outputs); }), 0);
  EXPECT_EQ(outputs.data, trainer.predict(images).data);
}

INSTANTIATE_TEST_SUITE_P(Threads, AllocationTest, testing::Values(1, 2));

} // namespace
