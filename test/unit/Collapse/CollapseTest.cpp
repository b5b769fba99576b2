//===- CollapseTest.cpp - Collapse keeps what networks compute ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Random networks of maps, layers, sums, concatenations and chains are run by
// the reference before and after grow-collapse.
//
//===----------------------------------------------------------------------===//

#include "../Reference/ReferenceFixture.h"

#include "cambium/Transforms/Passes.h"

#include "mlir/Pass/PassManager.h"
#include "llvm/Support/FormatVariadic.h"

using namespace cambium;

namespace {

std::string typeOf(const Shape &shape) {
  std::string text = "tensor<";
  for (int64_t extent : shape)
    text += std::to_string(extent) + "x";
  return text + "f32>";
}

/// What a random network may contain.
struct Limits {
  /// Convolutions of images instead of linear layers.
  bool images = true;
  /// All windows alike, one after the other never: every map must collapse.
  bool uniform = false;
  bool activations = false;
};

/// Text of a function or of a body, and what it takes beside its input.
struct Scope {
  std::string text;
  std::vector<std::pair<std::string, Shape>> parameters;
};

struct Image {
  std::string name;
  Shape shape;
};

/// Writes networks whose layers all map images of one size to another, so that
/// results can be added and concatenated at will.
class Generator {
public:
  Generator(unsigned seed, Limits limits) : random(seed), limits(limits) {
    stride = draw(1, 2);
    groups = limits.images && draw(0, 3) == 0 ? 2 : 1;
    window = draw(1, 3);
    dilation = draw(1, 2);
  }

  std::string network() {
    Image input{"%x",
                limits.images ? Shape{2, height, width, 4} : Shape{64, 6}};
    Image result = expression(function, input, 4, 4);
    inputShape = input.shape;
    std::string declarations =
        "grow.group @base {optimizer = #grow.sgd, lr = 0.1}\n";
    std::string gets;
    for (const auto &[name, shape] : function.parameters) {
      std::string symbol = "@" + name.substr(1);
      declarations += "grow.param " + symbol + " : " + typeOf(shape) +
                      " in @base init(#grow.zero)\n";
      gets +=
          "  " + name + " = grow.get " + symbol + " : " + typeOf(shape) + "\n";
    }
    return declarations + "func.func @f(%x: " + typeOf(input.shape) + ") -> " +
           typeOf(result.shape) + " {\n" + gets + function.text + "  return " +
           result.name + " : " + typeOf(result.shape) + "\n}\n";
  }

  ReferenceTensor randomTensor(const Shape &shape) {
    std::normal_distribution<double> normal;
    ReferenceTensor tensor(shape);
    for (double &value : tensor.data)
      value = normal(random);
    return tensor;
  }

  Scope function;
  Shape inputShape;

private:
  int64_t draw(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  }

  std::string fresh() { return "%v" + std::to_string(next++); }

  Image parameter(Scope &scope, Shape shape) {
    scope.parameters.push_back({fresh(), shape});
    return {scope.parameters.back().first, shape};
  }

  Shape resultShape(int64_t channels) const {
    if (!limits.images)
      return {64, channels};
    return {2, (height + stride - 1) / stride, (width + stride - 1) / stride,
            channels};
  }

  Image append(Scope &scope, const std::string &operation,
               const std::vector<Image> &operands, Shape shape,
               const std::string &attributes = "") {
    Image result{fresh(), shape};
    std::string names, types;
    for (const Image &operand : operands) {
      names += (names.empty() ? "" : ", ") + operand.name;
      types += (types.empty() ? "" : ", ") + typeOf(operand.shape);
    }
    bool isPointwise =
        operation == "add" || operation == "scale" || operation == "relu";
    scope.text +=
        "  " + result.name + " = grow." + operation + " " + names + attributes +
        " : " +
        (isPointwise ? typeOf(shape) : "(" + types + ") -> " + typeOf(shape)) +
        "\n";
    return result;
  }

  /// A convolution by a window that keeps the size but for the stride.
  Image layer(Scope &scope, const Image &input, int64_t channels) {
    int64_t inputs = input.shape.back();
    if (!limits.images)
      return append(scope, "linear",
                    {input, parameter(scope, {inputs, channels})},
                    resultShape(channels));
    int64_t kh = limits.uniform ? window : draw(1, 4);
    int64_t kw = limits.uniform ? window : draw(1, 4);
    int64_t reach = limits.uniform || draw(0, 3) ? dilation : 3 - dilation;
    int64_t top = (kh - 1) * reach / 2, left = (kw - 1) * reach / 2;
    int64_t parts = inputs % groups || channels % groups ? 1 : groups;
    return append(
        scope, "conv2d",
        {input, parameter(scope, {kh, kw, inputs / parts, channels})},
        resultShape(channels),
        llvm::formatv(" stride [{0}, {0}] padding [{1}, {2}, {3}, {4}] "
                      "dilation [{5}, {5}] groups {6}",
                      stride, top, left, (kh - 1) * reach - top,
                      (kw - 1) * reach - left, reach, parts)
            .str());
  }

  /// A 1x1 convolution or linear layer that keeps the size.
  Image pointwise(Scope &scope, const Image &input, int64_t channels) {
    Shape shape = input.shape;
    int64_t inputs = shape.back();
    shape.back() = channels;
    if (!limits.images)
      return append(scope, "linear",
                    {input, parameter(scope, {inputs, channels})}, shape);
    return append(scope, "conv2d",
                  {input, parameter(scope, {1, 1, inputs, channels})}, shape);
  }

  Image map(Scope &scope, const Image &input, int64_t channels, int depth) {
    static const char *const reductions[] = {"sum", "mean", "concat"};
    int64_t branches = draw(1, 3), reduction = draw(0, 2);
    bool isConcat = reduction == 2 && channels % branches == 0 &&
                    (groups == 1 || !limits.uniform);
    if (reduction == 2 && !isConcat)
      reduction = 0;
    Scope body;
    Image argument{fresh(), input.shape};
    Image yielded = expression(
        body, argument, isConcat ? channels / branches : channels, depth - 1);
    std::string list, arguments = argument.name + ": " + typeOf(input.shape);
    for (int64_t branch = 0; branch < branches; ++branch) {
      std::string tuple;
      for (const auto &[name, shape] : body.parameters)
        tuple += (tuple.empty() ? "" : ", ") + parameter(scope, shape).name;
      list += (list.empty() ? "(" : ", (") + tuple + ")";
    }
    for (const auto &[name, shape] : body.parameters)
      arguments += ", " + name + ": " + typeOf(shape);
    Image result{fresh(), resultShape(channels)};
    scope.text += "  " + result.name + " = grow.map \"m\" " +
                  reductions[reduction] + " (" + input.name + ") over [" +
                  list + "] {\n^bb0(" + arguments + "):\n" + body.text +
                  "  grow.yield " + yielded.name + " : " +
                  typeOf(yielded.shape) + "\n}\n";
    return result;
  }

  Image expression(Scope &scope, const Image &input, int64_t channels,
                   int depth) {
    if (depth == 0)
      return layer(scope, input, channels);
    Shape shape = resultShape(channels);
    bool isFree = !limits.uniform;
    switch (draw(0, 9)) {
    case 0:
      return append(scope, "bias_add",
                    {expression(scope, input, channels, depth - 1),
                     parameter(scope, {channels})},
                    shape);
    case 1:
      return append(scope, "scale",
                    {expression(scope, input, channels, depth - 1)}, shape,
                    " by 0.75");
    case 2:
      if (channels < 2 || (groups != 1 && !isFree))
        return layer(scope, input, channels);
      return append(
          scope, "concat",
          {expression(scope, input, channels / 2, depth - 1),
           expression(scope, input, channels - channels / 2, depth - 1)},
          shape);
    case 3:
      if (isFree)
        return expression(scope, pointwise(scope, input, 9), channels,
                          depth - 1);
      return layer(scope, input, channels);
    case 4:
      if (isFree)
        return pointwise(scope, expression(scope, input, 9, depth - 1),
                         channels);
      return layer(scope, input, channels);
    case 5:
      if (limits.activations)
        return append(scope, "relu",
                      {expression(scope, input, channels, depth - 1)}, shape);
      [[fallthrough]];
    case 6:
    case 7:
      return append(scope, "add",
                    {expression(scope, input, channels, depth - 1),
                     expression(scope, input, channels, depth - 1)},
                    shape);
    default:
      return map(scope, input, channels, depth);
    }
  }

  std::mt19937 random;
  Limits limits;
  int64_t height = 7, width = 6;
  int64_t stride, groups, window, dilation;
  int next = 0;
};

class CollapseTest : public ReferenceFixture,
                     public ::testing::WithParamInterface<int> {
protected:
  std::string print() {
    std::string text;
    llvm::raw_string_ostream stream(text);
    module->print(stream);
    return text;
  }

  int64_t count(llvm::StringRef operation) {
    int64_t number = 0;
    module->walk([&](mlir::Operation *op) {
      number += op->getName().getStringRef() == operation;
    });
    return number;
  }

  void collapse() {
    mlir::PassManager passes(&context);
    passes.addNestedPass<mlir::func::FuncOp>(grow::createGrowCollapse());
    ASSERT_TRUE(mlir::succeeded(passes.run(*module))) << diagnostics;
  }

  /// Leaves the collapsed network in `module`.
  void expectSameResults(const Limits &limits) {
    Generator generator(static_cast<unsigned>(GetParam()), limits);
    std::string text = generator.network();
    ASSERT_TRUE(load(text));
    for (const auto &[name, shape] : generator.function.parameters)
      ASSERT_TRUE(mlir::succeeded(interpreter->setValue(
          name.substr(1), generator.randomTensor(shape))));
    ReferenceTensor input = generator.randomTensor(generator.inputShape);
    Tensors before = call("f", input);
    ASSERT_EQ(before.size(), 1u);
    collapse();
    Tensors after = call("f", input);
    ASSERT_EQ(after.size(), 1u);
    double largest = 1.0;
    for (double value : before[0].data)
      largest = std::max(largest, std::abs(value));
    ASSERT_EQ(before[0].data.size(), after[0].data.size());
    for (size_t i = 0; i < before[0].data.size(); ++i)
      ASSERT_NEAR(after[0].data[i], before[0].data[i], 1e-12 * largest)
          << "element " << i << " of\n"
          << text << "\n"
          << print();
    std::string once = print();
    collapse();
    EXPECT_EQ(print(), once) << "collapsing again changes more";
  }
};

TEST_P(CollapseTest, images) { expectSameResults({}); }

TEST_P(CollapseTest, imagesWithActivations) {
  Limits limits;
  limits.activations = true;
  expectSameResults(limits);
}

TEST_P(CollapseTest, matrices) {
  Limits limits;
  limits.images = false;
  expectSameResults(limits);
}

TEST_P(CollapseTest, uniformBranchesBecomeOneLayer) {
  Limits limits;
  limits.uniform = true;
  limits.images = GetParam() % 2 == 0;
  expectSameResults(limits);
  EXPECT_EQ(count("grow.map"), 0) << diagnostics;
  EXPECT_EQ(count("grow.conv2d") + count("grow.linear"), 1) << print();
}

INSTANTIATE_TEST_SUITE_P(Seeds, CollapseTest, ::testing::Range(0, 150));

} // namespace
