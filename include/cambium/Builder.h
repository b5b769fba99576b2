//===- Builder.h - Describing a network in C++ ------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BUILDER_H
#define CAMBIUM_BUILDER_H

#include "cambium/CompileOptions.h"
#include "cambium/Network.h"
#include "cambium/Trainer.h"

#include <array>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace cambium {

class Builder;

/// A tensor in a network under construction. Methods append an operation and
/// return its result; they throw Error for shapes that do not fit. Valid while
/// its Builder lives, and inside a map's body only there.
class Value {
public:
  /// Convolution with a new filter parameter `name` [kh, kw, C, filters] and
  /// the same padding on both sides.
  struct ConvOptions {
    std::array<int64_t, 2> stride = {1, 1};
    std::array<int64_t, 2> padding = {0, 0};
    std::array<int64_t, 2> dilation = {1, 1};
    int64_t groups = 1;
  };
  Value conv2d(const std::string &name, int64_t filters,
               std::array<int64_t, 2> kernel, const ConvOptions &options) const;
  Value conv2d(const std::string &name, int64_t filters,
               std::array<int64_t, 2> kernel) const;
  /// New weight parameter `name` [features in, features].
  Value linear(const std::string &name, int64_t features) const;
  /// New bias parameter `name` [channels], zero at the start.
  Value bias(const std::string &name) const;
  /// Product with a new parameter `name` [channels], one at the start.
  Value channelScale(const std::string &name) const;
  Value batchNorm(const std::string &name, float momentum = 0.1f,
                  float epsilon = 1e-5f) const;
  Value relu() const;
  Value leakyRelu(float slope = 0.01f) const;
  Value gelu() const;
  Value silu() const;
  Value tanh() const;
  Value sigmoid() const;
  Value add(const Value &other) const;
  Value mul(const Value &other) const;
  Value scale(float factor) const;
  Value maxPool2d(std::array<int64_t, 2> window,
                  std::array<int64_t, 2> stride) const;
  Value avgPool2d(std::array<int64_t, 2> window,
                  std::array<int64_t, 2> stride) const;
  Value globalAvgPool() const;
  /// [N, ...] to [N, product of the rest].
  Value flatten() const;

  /// The extents; the batch is -1.
  std::vector<int64_t> shape() const;

private:
  friend class Builder;
  Value(Builder *builder, const void *handle)
      : builder(builder), handle(handle) {}
  Builder *builder;
  const void *handle;
};

/// Builds a Network with `@forward` and `@loss`.
class Builder {
public:
  enum class Reduction { Sum = 0, Mean = 1, Concat = 2 };

  Builder();
  ~Builder();
  Builder(const Builder &) = delete;
  Builder &operator=(const Builder &) = delete;

  /// Optimizer group of the parameters made from here on.
  Builder &group(const GroupOptions &options);
  /// Initial values of the filters and weights made from here on; Kaiming at
  /// the start.
  Builder &init(const Init &init);
  /// The network's input; extents without the batch, images as {H, W, C}.
  Value input(const std::vector<int64_t> &shape);
  /// A growable layer: the same body for each of `branches` tuples of
  /// parameters. Parameters that the body makes get the branch's index in
  /// front: `name.0.w`. Bodies hold no other map. `keep` says what the map
  /// keeps of its branches for the backward pass; with Auto,
  /// CompileOptions::keep does.
  Value map(const std::string &name, Reduction reduction, unsigned branches,
            const Value &input, const std::function<Value(const Value &)> &body,
            KeepPolicy keep = KeepPolicy::Auto);
  /// The network whose @forward ends with `logits` [N, classes], with the mean
  /// cross-entropy with int32 class labels as @loss. The builder can go on.
  Network softmaxCrossEntropy(const Value &logits);
  /// The same with the mean squared error of `output` as @loss.
  Network meanSquaredError(const Value &output);

private:
  friend class Value;
  class Undo;
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cambium

#endif // CAMBIUM_BUILDER_H
