//===- OpCases.h - Random cases of every operation --------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A case is an operation, or a short chain, with random geometry. It is written
// out as a module in one of two ways:
//
// * dynamic: activations are inputs with a dynamic batch, each shifted by a
//   parameter first, so that their gradients are computed and reach a result;
//   weights are parameters.
// * static: activations are parameters too, so that every element of their
//   gradient is a result.
//
// Both have @forward and, of a mean squared error where the case is no loss
// itself, @loss.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_CONFORMANCE_OPCASES_H
#define CAMBIUM_TEST_CONFORMANCE_OPCASES_H

#include "llvm/ADT/SmallVector.h"

#include <cstdint>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace cambium::conformance {

using Shape = llvm::SmallVector<int64_t>;

class Random {
public:
  explicit Random(uint64_t seed) : engine(seed) {}

  int64_t draw(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(engine);
  }
  /// Channel counts on both sides of vector widths.
  int64_t channels() {
    static constexpr int64_t counts[] = {1, 2, 3, 5, 8, 10, 16, 17, 24, 33};
    return counts[draw(0, std::size(counts) - 1)];
  }
  double normal() { return std::normal_distribution<float>()(engine); }
  double uniform(float low, float high) {
    return std::uniform_real_distribution<float>(low, high)(engine);
  }

private:
  std::mt19937_64 engine;
};

struct Operand {
  enum class Kind {
    /// First extent is the batch.
    Activation,
    Weight,
    /// A grow.state; `Variance` holds positive numbers.
    State,
    Variance,
    /// Integers below the second extent of the first operand.
    Labels,
    /// Of a loss; has no gradient.
    Target
  };
  Kind kind;
  Shape shape;
};

struct OpCase {
  std::vector<Operand> operands;
  /// Text that reads %0, %1, ... and defines %y. `$0`, `$1`, ... stand for the
  /// operands' types and `$y` for the result's; `$<AxBxC>` is the type of an
  /// activation of that shape.
  std::string body;
  Shape result;
  /// The result's first extent is the batch.
  bool batched = true;

  bool isLoss() const { return result.empty(); }
  std::string text(bool dynamic) const;
};

struct Generator {
  const char *name;
  std::function<OpCase(Random &)> make;
};

/// One generator for each operation, and for chains that passes fuse.
const std::vector<Generator> &generators();

} // namespace cambium::conformance

#endif // CAMBIUM_TEST_CONFORMANCE_OPCASES_H
