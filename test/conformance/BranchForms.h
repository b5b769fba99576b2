//===- BranchForms.h - Bodies of branches ------------------------*- C++
//-*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Networks of one growing layer, for every form that a branch's body can have.
//
// The sign of what an activation takes must not be a matter of rounding: inputs
// and weights are multiples of 1/4, and every bias is an odd multiple of half
// the grid that the sums before it are on. Without a bias, the first channel of
// the input is +-1/2 and its centre tap an odd multiple of 1/16.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_CONFORMANCE_BRANCHFORMS_H
#define CAMBIUM_TEST_CONFORMANCE_BRANCHFORMS_H

#include "OpCases.h"
#include "cambium/Reference/ReferenceTensor.h"
#include "llvm/ADT/STLFunctionalExtras.h"

namespace cambium::conformance {

/// A parameter or state of the network.
struct Stored {
  enum class Kind {
    Zero,
    /// Multiples of 1/4 in [-1, 1].
    Grid,
    /// Of an activation: the same, but +-1/2 in the first channel.
    Halves,
    /// Of a filter: the same, but odd sixteenths from the first channel at the
    /// centre tap.
    OffGrid,
    /// Odd multiples of 1 / denominator in [-1, 1].
    Bias,
    /// Numbers in [0.5, 1.5].
    Positive,
    /// The same, as a grow.state.
    State,
  };
  Kind kind;
  Shape shape;
  /// Of a bias.
  int64_t denominator = 32;

  ReferenceTensor draw(Random &random) const;
};

/// A tensor of the network: its name and its extents.
struct TextValue {
  std::string name;
  Shape shape;
};

struct Window {
  std::array<int64_t, 2> stride = {1, 1};
  /// Top, left, bottom, right.
  std::array<int64_t, 4> padding = {0, 0, 0, 0};
  std::array<int64_t, 2> dilation = {1, 1};
  int64_t groups = 1;

  static Window same(int64_t kernel) {
    int64_t pad = kernel / 2;
    return {{1, 1}, {pad, pad, pad, pad}};
  }
};

/// Writes operations: of a function, or of a map's body. What they read besides
/// is collected as `stored`: a body's become its tuple.
class Scope {
public:
  /// With a dynamic batch, activations have an unknown first extent.
  Scope(bool dynamic, int &names) : dynamic(dynamic), names(names) {}

  TextValue conv(const TextValue &x, std::array<int64_t, 2> kernel,
                 int64_t filters, const Window &window,
                 Stored::Kind kind = Stored::Kind::Grid);
  /// A convolution that keeps height and width.
  TextValue conv(const TextValue &x, int64_t kernel, int64_t filters,
                 Stored::Kind kind = Stored::Kind::Grid) {
    return conv(x, {kernel, kernel}, filters, Window::same(kernel), kind);
  }
  TextValue linear(const TextValue &x, int64_t features);
  TextValue bias(const TextValue &x, int64_t denominator = 32);
  TextValue biasOf(const TextValue &x, const TextValue &vector);
  /// A bias of zeros, whose gradient is the input's.
  TextValue shift(const TextValue &x);
  TextValue channelScale(const TextValue &x);
  TextValue batchNorm(const TextValue &x);
  /// `op` and its attributes: "leaky_relu # slope 0.25" where # is the operand.
  TextValue unary(const std::string &op, const TextValue &x);
  TextValue relu(const TextValue &x) { return unary("relu #", x); }
  TextValue add(const TextValue &a, const TextValue &b);
  /// Windows of 3x3 around every pixel.
  TextValue pool(const std::string &op, const TextValue &x);

  using Body =
      llvm::function_ref<TextValue(Scope &, llvm::ArrayRef<TextValue> inputs)>;
  TextValue map(const std::string &reduction, llvm::ArrayRef<TextValue> inputs,
                int64_t branches, Body body, const std::string &keep = "");

  TextValue store(Stored::Kind kind, const Shape &shape,
                  int64_t denominator = 32);
  std::string typeOf(const TextValue &tensor) const;

  struct Named {
    TextValue value;
    Stored stored;
  };
  llvm::SmallVector<Named> stored;
  std::string text;
  /// There is a convolution that Winograd's algorithm can compute.
  bool winograd = false;

private:
  TextValue define(const Shape &shape, const std::string &op,
                   llvm::ArrayRef<TextValue> operands);
  std::string fresh() { return "%v" + std::to_string(names++); }

  bool dynamic;
  int &names;
  /// Values without a batch.
  llvm::SmallVector<std::string> vectors;
};

/// How many branches of what.
struct FormOptions {
  int64_t branches = 1;
  /// "mask", "recompute", "store", or the default.
  std::string keep;
};

struct BranchForm {
  const char *name;
  /// Of images {H, W, C} or vectors {C}; the batch comes in front.
  llvm::SmallVector<Shape, 2> inputs;
  std::function<TextValue(Scope &, llvm::ArrayRef<TextValue>,
                          const FormOptions &)>
      make;
  /// Has filters off the grid: inputs are halves in the first channel.
  bool offGrid = false;
};

const std::vector<BranchForm> &branchForms();

/// A form as a module of @forward and @loss.
struct BranchNetwork {
  /// Static: the inputs are parameters, so that every element of their gradient
  /// is a result. Dynamic: they are arguments, shifted by a parameter.
  BranchNetwork(const BranchForm &form, const FormOptions &options,
                int64_t batch, bool dynamic);

  /// Arguments of @loss; those of @forward come first.
  llvm::SmallVector<ReferenceTensor> drawInputs(Random &random) const;

  std::string text;
  /// By symbol.
  std::vector<std::pair<std::string, Stored>> stored;
  /// There is a convolution that Winograd's algorithm can compute.
  bool winograd;
  /// Of @loss; the target is the last.
  llvm::SmallVector<Stored> arguments;
};

} // namespace cambium::conformance

#endif // CAMBIUM_TEST_CONFORMANCE_BRANCHFORMS_H
