//===- Network.h - A network as its IR -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_NETWORK_H
#define CAMBIUM_NETWORK_H

#include <memory>
#include <string>

namespace cambium {

namespace internal {
struct NetworkImpl;
}

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

  explicit Network(std::shared_ptr<const internal::NetworkImpl> impl)
      : impl(std::move(impl)) {}
  const internal::NetworkImpl &get() const { return *impl; }

private:
  std::shared_ptr<const internal::NetworkImpl> impl;
};

} // namespace cambium

#endif // CAMBIUM_NETWORK_H
