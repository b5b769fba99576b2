//===- BranchGradientTest.cpp - Kernels over branches, backward -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchFixture.h"

#include <cstring>

using namespace cambium;
using namespace cambium::test;

namespace {

struct BranchGradients : BranchFixture {};

/// Pairs that end in masked vectors and partial bytes.
struct Channels {
  int64_t in, out;
};
const Channels channelPairs[] = {{1, 1}, {3, 8}, {8, 10}, {9, 17}, {16, 7}};

TEST_F(BranchGradients, OfInputByBits) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%dy: $I, %r: $I, %w: $K, %s: $B):
      %dx = grow.fused_map branches ? (%dy) over (%w, %s) join (sum)
          : ($I, $K, $B) -> $I {
      ^bb1(%g: $I, %f: $K, %bits: $B):
        %0 = grow.bits_grad %bits, %g slope 0.25 : $B, $I
        %1 = grow.conv2d_grad_input %0, %f padding [1, 1] : ($I, $K) -> $I
        grow.yield %1 : $I
      }
      %2 = grow.add %dx, %r : $I
      grow.yield %2 : $I
    })";
  for (int64_t n : {1, 2, 3, 7})
    for (Channels c : channelPairs) {
      Shape x = {2, 5, 6, c.in}, y = {2, 5, 6, c.out};
      check(text,
            {{random(y), random(x)},
             tuples(n,
                    [&] {
                      return std::vector{random({3, 3, c.in, c.out}), bits(y)};
                    }),
             {{x}},
             {}},
            allSchedules());
    }
}

TEST_F(BranchGradients, OfInputRecomputed) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%x: $I, %dy: $I, %w: $K, %b: $V):
      %dx = grow.fused_map branches ? (%x, %dy) over (%w, %b) join (mean)
          : ($I, $I, $K, $V) -> $I {
      ^bb1(%in: $I, %g: $I, %f: $K, %c: $V):
        %0 = grow.silu %in : $I
        %1 = grow.conv2d %0, %f padding [0, 1] : ($I, $K) -> $I
        %2 = grow.bias_add %1, %c : ($I, $V) -> $I
        %3 = grow.gelu_grad %2, %g : $I
        %4 = grow.conv2d_grad_input %3, %f padding [0, 1] : ($I, $K) -> $I
        %5 = grow.silu_grad %in, %4 : $I
        grow.yield %5 : $I
      }
      grow.yield %dx : $I
    })";
  for (int64_t n : {1, 3})
    for (Channels c : channelPairs) {
      Shape x = {2, 7, 6, c.in};
      check(text,
            {{random(x), random({2, 5, 6, c.out})},
             tuples(n,
                    [&] {
                      return std::vector{random({3, 3, c.in, c.out}),
                                         random({c.out})};
                    }),
             {{x}},
             {}},
            allSchedules());
    }
}

/// Slices of a tensor and of a vector: what concat and what follows it give.
TEST_F(BranchGradients, OfInputOfConcat) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%dy: $I, %v: $V, %x: $I, %w: $K):
      %dx = grow.fused_map branches ? (%x) sliced (%dy, %v) over (%w) join (sum)
          : ($I, $I, $V, $K) -> $I {
      ^bb1(%in: $I, %g: $I, %scale: $V, %f: $K):
        %0 = grow.channel_scale %g, %scale : ($I, $V) -> $I
        %1 = grow.conv2d_grad_input %0, %f stride [2, 1] padding [1, 1]
            : ($I, $K) -> $I
        %2 = grow.relu %in : $I
        %3 = grow.relu_grad %2, %1 : $I
        grow.yield %3 : $I
      }
      grow.yield %dx : $I
    })";
  for (int64_t n : {1, 3})
    for (Channels c : channelPairs) {
      Shape x = {2, 6, 5, c.in};
      check(
          text,
          {{random({2, 3, 5, n * c.out}), random({n * c.out}), random(x)},
           tuples(n, [&] { return std::vector{random({3, 3, c.in, c.out})}; }),
           {{x}},
           {}},
          directSchedules());
    }
}

TEST_F(BranchGradients, OfParametersByBits) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%x: $I, %dy: $I, %s: $B):
      %dw, %db = grow.fused_map branches ? (%x, %dy) over (%s) join (each, each)
          : ($I, $I, $B) -> ($K, $V) {
      ^bb1(%in: $I, %g: $I, %bits: $B):
        %0 = grow.bits_grad %bits, %g slope 0.0 : $B, $I
        %1 = grow.conv2d_grad_filter %in, %0 padding [1, 1] : ($I, $I) -> $K
        %2 = grow.channel_sum %0 : ($I) -> $V
        grow.yield %1, %2 : $K, $V
      }
      grow.yield %dw, %db : $K, $V
    })";
  for (int64_t n : {1, 2, 3, 7})
    for (Channels c : channelPairs) {
      Shape y = {3, 5, 6, c.out};
      check(text,
            {{random({3, 5, 6, c.in}), random(y)},
             tuples(n, [&] { return std::vector{bits(y)}; }),
             {},
             {{{3, 3, c.in, c.out}}, {{c.out}}}},
            allSchedules());
    }
}

/// A learned scale and a bias after a contraction that is computed again.
TEST_F(BranchGradients, OfParametersRecomputed) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%x: $I, %dy: $I, %b: $V, %w: $K, %s: $V):
      %db, %dw, %ds = grow.fused_map branches ? (%x) sliced (%dy)
          over (%b, %w, %s) join (each, each, each)
          : ($I, $I, $V, $K, $V) -> ($V, $K, $V) {
      ^bb1(%in: $I, %g: $I, %c: $V, %f: $K, %scale: $V):
        %a = grow.relu %in : $I
        %0 = grow.conv2d %a, %f padding [1, 0] : ($I, $K) -> $I
        %1 = grow.channel_scale %0, %scale : ($I, $V) -> $I
        %2 = grow.bias_add %1, %c : ($I, $V) -> $I
        %3 = grow.tanh %2 : $I
        %4 = grow.tanh_grad %3, %g : $I
        %5 = grow.channel_sum %4 : ($I) -> $V
        %6 = grow.mul %4, %0 : $I
        %7 = grow.channel_sum %6 : ($I) -> $V
        %8 = grow.channel_scale %4, %scale : ($I, $V) -> $I
        %9 = grow.conv2d_grad_filter %a, %8 padding [1, 0] : ($I, $I) -> $K
        grow.yield %5, %9, %7 : $V, $K, $V
      }
      grow.yield %db, %dw, %ds : $V, $K, $V
    })";
  for (int64_t n : {1, 3})
    for (Channels c : channelPairs)
      check(text,
            {{random({2, 5, 6, c.in}), random({2, 5, 4, n * c.out})},
             tuples(n,
                    [&] {
                      return std::vector{random({c.out}),
                                         random({3, 3, c.in, c.out}, 0.05),
                                         random({c.out})};
                    }),
             {},
             {{{c.out}}, {{3, 3, c.in, c.out}}, {{c.out}}}},
            allSchedules());
}

TEST_F(BranchGradients, OfLinearLayers) {
  const char *data = R"(
    grow.kernel @k $S {
    ^bb0(%dy: $M, %w: $M, %s: $C):
      %dx = grow.fused_map branches ? (%dy) over (%w, %s) join (sum)
          : ($M, $M, $C) -> $M {
      ^bb1(%g: $M, %f: $M, %bits: $C):
        %0 = grow.bits_grad %bits, %g slope 0.0 : $C, $M
        %1 = grow.linear_grad_input %0, %f : ($M, $M) -> $M
        grow.yield %1 : $M
      }
      grow.yield %dx : $M
    })";
  const char *weight = R"(
    grow.kernel @k $S {
    ^bb0(%x: $M, %dy: $M, %w: $M):
      %dw, %db = grow.fused_map branches ? (%x, %dy) over (%w)
          join (each, each) : ($M, $M, $M) -> ($M, $V) {
      ^bb1(%in: $M, %g: $M, %f: $M):
        %0 = grow.linear %in, %f : ($M, $M) -> $M
        %1 = grow.sigmoid %0 : $M
        %2 = grow.sigmoid_grad %1, %g : $M
        %3 = grow.linear_grad_weight %in, %2 : ($M, $M) -> $M
        %4 = grow.channel_sum %2 : ($M) -> $V
        grow.yield %3, %4 : $M, $V
      }
      grow.yield %dw, %db : $M, $V
    })";
  for (int64_t batch : {1, 13})
    for (Channels c : channelPairs) {
      Shape y = {batch, c.out};
      check(
          data,
          {{random(y)},
           tuples(3,
                  [&] { return std::vector{random({c.in, c.out}), bits(y)}; }),
           {{{batch, c.in}}},
           {}},
          directSchedules());
      check(weight,
            {{random({batch, c.in}), random(y)},
             tuples(3, [&] { return std::vector{random({c.in, c.out})}; }),
             {},
             {{{c.in, c.out}}, {{c.out}}}},
            directSchedules());
    }
}

/// Whether the gradient's factor comes from bits, from stored values, or from
/// a contraction that is computed again, changes no bit of the gradients.
TEST_F(BranchGradients, AreTheSameForAllPolicies) {
  const std::string forward = R"(
    grow.kernel @k $S {
    ^bb0(%x: $I, %w: $K, %b: $V):
      %y, %s, %z = grow.fused_map branches ? (%x) over (%w, %b)
          join (sum, each, each) : ($I, $K, $V) -> ($I, $B, $I) {
      ^bb1(%in: $I, %f: $K, %c: $V):
        %0 = grow.conv2d %in, %f padding [1, 1] : ($I, $K) -> $I
        %1 = grow.bias_add %0, %c : ($I, $V) -> $I
        %2 = grow.relu %1 : $I
        %3 = grow.sign_bits %1 : $I -> $B
        grow.yield %2, %3, %2 : $I, $B, $I
      }
      grow.yield %y, %s, %z : $I, $B, $I
    })";
  struct Policy {
    std::string types, arguments, factor;
  };
  const Policy policies[] = {
      {", $B", ", %k: $B", "%d = grow.bits_grad %k, %g slope 0.0 : $B, $I"},
      {", $I", ", %k: $I", "%d = grow.relu_grad %k, %g : $I"},
      {"", "", R"(%0 = grow.conv2d %in, %f padding [1, 1] : ($I, $K) -> $I
        %1 = grow.bias_add %0, %c : ($I, $V) -> $I
        %2 = grow.relu %1 : $I
        %d = grow.relu_grad %2, %g : $I)"}};
  auto gradient = [](const Policy &policy, const std::string &joins,
                     const std::string &results, const std::string &ops) {
    bool two = results.find(',') != std::string::npos;
    std::string kept = policy.types.empty() ? "" : ", %kept";
    std::string keptArgument =
        policy.types.empty() ? "" : ", %kept: " + policy.types.substr(2);
    return "grow.kernel @k $S {\n^bb0(%x: $I, %dy: $I, %w: $K, %b: $V" +
           keptArgument + "):\n%r" + (two ? ":2" : "") +
           " = grow.fused_map branches ? (%x, %dy) "
           "over (%w, %b" +
           kept + ") join " + joins + " : ($I, $I, $K, $V" + policy.types +
           ") -> (" + results + ") {\n^bb1(%in: $I, %g: $I, %f: $K, %c: $V" +
           policy.arguments + "):\n" + policy.factor + "\n" + ops +
           "}\ngrow.yield " + (two ? "%r#0, %r#1" : "%r") + " : " + results +
           "\n}";
  };
  for (const std::string &schedule : allSchedules())
    for (Channels c : channelPairs) {
      Shape x = {2, 6, 5, c.in}, y = {2, 6, 5, c.out};
      BranchLaunch launch{{random(x)},
                          tuples(3,
                                 [&] {
                                   return std::vector{
                                       random({3, 3, c.in, c.out}),
                                       random({c.out})};
                                 }),
                          {{y}},
                          {{y, true}, {y}}};
      Isa isa = isas().back();
      auto kept = run(expand(forward, schedule), isa, launch);
      ASSERT_EQ(kept.size(), 7u);
      BranchTensor dy = random(y);
      std::vector<BranchTensor> first;
      for (size_t policy = 0; policy < 3; ++policy) {
        std::vector<BranchTensor> results;
        auto append = [&](const std::string &text, BranchLaunch backward) {
          backward.shared.push_back(dy);
          for (size_t branch = 0; branch < 3 && policy < 2; ++branch)
            backward.tuples[branch].push_back(kept[1 + 2 * branch + policy]);
          for (BranchTensor &result :
               run(expand(text, schedule), isa, backward))
            results.push_back(std::move(result));
        };
        append(gradient(policies[policy], "(sum)", "$I",
                        R"(%e = grow.conv2d_grad_input %d, %f padding [1, 1]
                               : ($I, $K) -> $I
                           grow.yield %e : $I)"),
               {launch.shared, launch.tuples, {{x}}, {}});
        append(gradient(policies[policy], "(each, each)", "$K, $V",
                        R"(%e = grow.conv2d_grad_filter %in, %d padding [1, 1]
                               : ($I, $I) -> $K
                           %h = grow.channel_sum %d : ($I) -> $V
                           grow.yield %e, %h : $K, $V)"),
               {launch.shared,
                launch.tuples,
                {},
                {{{3, 3, c.in, c.out}}, {{c.out}}}});
        ASSERT_EQ(results.size(), 7u);
        if (first.empty())
          first = results;
        for (size_t i = 0; i < results.size(); ++i)
          EXPECT_EQ(std::memcmp(results[i].data.data(), first[i].data.data(),
                                first[i].data.size() * sizeof(float)),
                    0)
              << "result " << i << " of policy " << policy << ", " << schedule
              << ", " << c.in << " to " << c.out << " channels";
      }
    }
}

} // namespace
