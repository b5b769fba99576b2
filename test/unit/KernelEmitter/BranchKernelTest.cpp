//===- BranchKernelTest.cpp - Kernels over branches, forward --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchFixture.h"

using namespace cambium;
using namespace cambium::test;

namespace {

struct BranchKernels : BranchFixture {
  BranchTensor make(Shape shape, bool whole) {
    return whole ? integers(std::move(shape)) : random(std::move(shape));
  }
};

/// Pairs that end in masked vectors and partial bytes.
struct Channels {
  int64_t in, out;
};
const Channels channelPairs[] = {{1, 1},  {3, 8},  {8, 10},
                                 {5, 17}, {16, 7}, {2, 40}};

const char *maskedSum = R"(
  grow.kernel @k $S {
  ^bb0(%x: $I, %w: $K, %b: $V):
    %y, %s = grow.fused_map branches ? (%x) over (%w, %b) join (sum, each)
        : ($I, $K, $V) -> ($I, $B) {
    ^bb1(%in: $I, %f: $K, %c: $V):
      %0 = grow.conv2d %in, %f padding [1, 1] : ($I, $K) -> $I
      %1 = grow.bias_add %0, %c : ($I, $V) -> $I
      %2 = grow.relu %1 : $I
      %3 = grow.sign_bits %1 : $I -> $B
      grow.yield %2, %3 : $I, $B
    }
    grow.yield %y, %s : $I, $B
  })";

TEST_F(BranchKernels, SumWithSignBits) {
  auto launch = [&](int64_t n, int64_t in, int64_t out, bool whole) {
    return BranchLaunch{{make({2, 6, 5, in}, whole)},
                        tuples(n,
                               [&] {
                                 return std::vector{
                                     make({3, 3, in, out}, whole),
                                     make({out}, whole)};
                               }),
                        {{{2, 6, 5, out}}},
                        {{{2, 6, 5, out}, true}}};
  };
  for (Channels c : channelPairs)
    check(maskedSum, launch(3, c.in, c.out, true), directSchedules());
  for (int64_t n : {1, 2, 7, 32}) {
    check(maskedSum, launch(n, 3, 11, true), directSchedules());
    check(maskedSum, launch(n, 3, 11, false), {allSchedules().back()});
  }
}

TEST_F(BranchKernels, FiltersOfSeveralRounds) {
  BranchLaunch launch{
      {random({1, 4, 4, 48})},
      tuples(32,
             [&] { return std::vector{random({3, 3, 48, 64}), random({64})}; }),
      {{{1, 4, 4, 64}}},
      {{{1, 4, 4, 64}, true}}};
  std::string text = expand(maskedSum, directSchedules().front());
  grow::KernelOp kernel = parse(text);
  ASSERT_TRUE(kernel);
  mlir::FailureOr<LaunchSizes> sizes = grow::launchSizes(
      kernel, {1, 4, 4, 48, 3, 3, 48, 64, 64, 1, 4, 4, 64, 1, 4, 4, 64, 32});
  ASSERT_TRUE(succeeded(sizes));
  EXPECT_GT(sizes->rounds, 1);
  check(maskedSum, launch, allSchedules());
}

TEST_F(BranchKernels, JoinsAndWhatFollows) {
  for (std::string join : {"sum", "mean", "concat"}) {
    std::string text = R"(
      grow.kernel @k $S {
      ^bb0(%r: $I, %x: $I, %t: $V, %w: $K):
        %y = grow.fused_map branches ? (%x) over (%w) join ()" +
                       join + R"() : ($I, $K) -> $I {
        ^bb1(%in: $I, %f: $K):
          %0 = grow.conv2d %in, %f padding [0, 1] : ($I, $K) -> $I
          %1 = grow.leaky_relu %0 slope 0.125 : $I
          grow.yield %1 : $I
        }
        %2 = grow.bias_add %y, %t : ($I, $V) -> $I
        %3 = grow.add %2, %r : $I
        %4 = grow.relu %3 : $I
        grow.yield %4, %y, %3 : $I, $I, $I
      })";
    for (int64_t n : {1, 3})
      for (Channels c : channelPairs) {
        int64_t last = join == "concat" ? n * c.out : c.out;
        Shape shape = {2, 5, 7, last};
        check(text,
              {{random(shape), random({2, 7, 7, c.in}), random({last})},
               tuples(n,
                      [&] { return std::vector{random({3, 3, c.in, c.out})}; }),
               {{shape}, {shape}, {shape}},
               {}},
              allSchedules());
      }
  }
}

TEST_F(BranchKernels, BareContractions) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%x: $I, %w: $P):
      %y = grow.fused_map branches ? (%x) over (%w) join (sum)
          : ($I, $P) -> $I {
      ^bb1(%in: $I, %f: $P):
        %0 = grow.conv2d %in, %f stride [2, 3] : ($I, $P) -> $I
        grow.yield %0 : $I
      }
      grow.yield %y : $I
    })";
  for (Channels c : channelPairs)
    check(text,
          {{random({2, 7, 8, c.in})},
           tuples(3, [&] { return std::vector{random({1, 1, c.in, c.out})}; }),
           {{{2, 4, 3, c.out}}},
           {}},
          directSchedules());
}

TEST_F(BranchKernels, ActivationsOfTheInput) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%x: $I, %t: $V, %w: $K):
      %y = grow.fused_map branches ? (%t, %x) over (%w) join (mean)
          : ($V, $I, $K) -> $I {
      ^bb1(%v: $V, %in: $I, %f: $K):
        %0 = grow.bias_add %in, %v : ($I, $V) -> $I
        %1 = grow.silu %0 : $I
        %2 = grow.conv2d %1, %f padding [1, 1] : ($I, $K) -> $I
        %3 = grow.add %2, %1 : $I
        grow.yield %3 : $I
      }
      grow.yield %y : $I
    })";
  for (int64_t channels : {1, 6, 19})
    check(text,
          {{random({2, 5, 6, channels}), random({channels})},
           tuples(
               3,
               [&] { return std::vector{random({3, 3, channels, channels})}; }),
           {{{2, 5, 6, channels}}},
           {}},
          allSchedules());
}

TEST_F(BranchKernels, SeveralResultsOfEachBranch) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%x: $I, %r: $I, %s: $V, %w: $P):
      %b, %y, %z, %c = grow.fused_map branches ? (%x, %r) over (%s, %w)
          join (each, sum, each, each) : ($I, $I, $V, $P) -> ($B, $I, $I, $B) {
      ^bb1(%in: $I, %res: $I, %v: $V, %f: $P):
        %0 = grow.conv2d %in, %f : ($I, $P) -> $I
        %1 = grow.channel_scale %0, %v : ($I, $V) -> $I
        %2 = grow.relu %1 : $I
        %3 = grow.sign_bits %1 : $I -> $B
        %4 = grow.add %2, %res : $I
        %5 = grow.leaky_relu %4 slope 0.5 : $I
        %6 = grow.sign_bits %4 : $I -> $B
        grow.yield %6, %5, %2, %3 : $B, $I, $I, $B
      }
      grow.yield %y, %b, %z, %c : $I, $B, $I, $B
    })";
  for (Channels c : channelPairs) {
    Shape shape = {2, 3, 5, c.out};
    check(text,
          {{integers({2, 3, 5, c.in}), integers(shape)},
           tuples(2,
                  [&] {
                    return std::vector{integers({c.out}),
                                       integers({1, 1, c.in, c.out})};
                  }),
           {{shape}},
           {{shape, true}, {shape}, {shape, true}}},
          directSchedules());
  }
}

TEST_F(BranchKernels, NormalizationWithSharedVectors) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%x: $I, %s: $V, %t: $V, %w: $K, %m: $V, %v: $V):
      %y = grow.fused_map branches ? (%x, %s, %t) over (%w, %m, %v) join (sum)
          : ($I, $V, $V, $K, $V, $V) -> $I {
      ^bb1(%in: $I, %scale: $V, %shift: $V, %f: $K, %mean: $V, %var: $V):
        %0 = grow.conv2d %in, %f dilation [2, 1] : ($I, $K) -> $I
        %1 = grow.batch_norm %0, %scale, %shift, %mean, %var inference
            : ($I, $V, $V, $V, $V) -> $I
        %2 = grow.gelu %1 : $I
        grow.yield %2 : $I
      }
      grow.yield %y : $I
    })";
  BranchTensor variance = random({13});
  for (float &value : variance.data)
    value = 0.1f + value * value;
  check(text,
        {{random({1, 7, 6, 4}), random({13}), random({13})},
         tuples(3,
                [&] {
                  return std::vector{random({3, 3, 4, 13}), random({13}),
                                     variance};
                }),
         {{{1, 3, 4, 13}}},
         {}},
        directSchedules());
}

TEST_F(BranchKernels, LinearLayers) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%x: $M, %w: $M, %b: $V):
      %y, %s = grow.fused_map branches ? (%x) over (%w, %b) join (concat, each)
          : ($M, $M, $V) -> ($M, $C) {
      ^bb1(%in: $M, %f: $M, %c: $V):
        %0 = grow.linear %in, %f : ($M, $M) -> $M
        %1 = grow.bias_add %0, %c : ($M, $V) -> $M
        %2 = grow.relu %1 : $M
        %3 = grow.sign_bits %1 : $M -> $C
        grow.yield %2, %3 : $M, $C
      }
      grow.yield %y, %s : $M, $C
    })";
  for (int64_t batch : {1, 13})
    for (Channels c : channelPairs)
      check(text,
            {{integers({batch, c.in})},
             tuples(3,
                    [&] {
                      return std::vector{integers({c.in, c.out}),
                                         integers({c.out})};
                    }),
             {{{batch, 3 * c.out}}},
             {{{batch, c.out}, true}}},
            directSchedules());
}

} // namespace
