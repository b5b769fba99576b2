//===- Network.h - A network as its IR --------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_NETWORK_H
#define CAMBIUM_NETWORK_H

#include <cstdint>
#include <memory>
#include <string>
#include <variant>
#include <vector>

namespace cambium {

namespace internal {
struct NetworkImpl;
} // namespace internal

/// Stochastic gradient descent as in PyTorch: g += decay·w; m = momentum·m + g;
/// w -= lr·(nesterov ? g + momentum·m : m).
struct Sgd {
  float momentum = 0.0f;
  bool nesterov = false;
};

/// AdamW (Loshchilov and Hutter, 2019): decay acts on the weight, not through
/// the moments.
struct AdamW {
  float beta1 = 0.9f;
  float beta2 = 0.999f;
  float epsilon = 1e-8f;
};

struct GroupOptions {
  /// Symbol of the group; empty: a free name is chosen.
  std::string name;
  std::variant<Sgd, AdamW> optimizer = Sgd{};
  float learningRate = 0.01f;
  float weightDecay = 0.0f;
};

/// A growable layer of a network.
struct MapInfo {
  std::string name;
  int64_t branches = 0;
  /// The body's operations in order, such as "conv2d", "bias_add", "relu".
  std::vector<std::string> body;
};

struct ParameterInfo {
  std::string name;
  /// Name of its optimizer group.
  std::string group;
  std::vector<int64_t> shape;

  int64_t elements() const;
};

/// A verified network: parameters, optimizer groups and functions in the
/// `grow` dialect. A trainable network has `@forward(inputs) -> outputs` and
/// `@loss(inputs, targets) -> tensor<f32>`. Cheap to copy; immutable.
class Network {
public:
  /// Reads and verifies IR from a file. Throws Error with located diagnostics.
  static Network load(const std::string &path);
  /// The same from text; `name` stands for the file in diagnostics.
  static Network parse(const std::string &text,
                       const std::string &name = "network");

  /// The network's IR.
  std::string text() const;

  /// The maps of @forward, in order.
  std::vector<MapInfo> maps() const;
  /// All optimizer groups with their rates at the start, in order.
  std::vector<GroupOptions> groups() const;
  /// All trained parameters, in order.
  std::vector<ParameterInfo> parameters() const;

  explicit Network(std::shared_ptr<const internal::NetworkImpl> impl)
      : impl(std::move(impl)) {}
  const internal::NetworkImpl &get() const { return *impl; }

private:
  std::shared_ptr<const internal::NetworkImpl> impl;
};

} // namespace cambium

#endif // CAMBIUM_NETWORK_H
