//===- GradientTest.cpp - Gradients against finite differences ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every gradient operation of the reference is compared with central
// differences of its forward operation, both through the interpreter.
//
//===----------------------------------------------------------------------===//

#include "ReferenceFixture.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace cambium;

namespace {

struct Operand {
  Shape shape;
  /// Has a gradient; it is the next result of the gradient text.
  bool differentiable = true;
  /// Class labels below this number, or 0 for real numbers.
  int64_t classes = 0;
};

/// An operation and its gradients as text. Operands are %a0, %a1, ...; the
/// forward text defines %y, the gradient text reads %dy (and may repeat the
/// forward text) and defines %d0, %d1, ...
struct Case {
  std::vector<Operand> operands;
  Shape result;
  std::string forward;
  std::string gradient;
};

std::string type(const Shape &shape, const char *element = "f32") {
  std::string text = "tensor<";
  for (int64_t extent : shape)
    text += std::to_string(extent) + "x";
  return text + element + ">";
}

std::string type(const Operand &operand) {
  return type(operand.shape, operand.classes ? "i32" : "f32");
}

class GradientTest : public ReferenceFixture,
                     public ::testing::WithParamInterface<int> {
protected:
  GradientTest() : random(static_cast<unsigned>(GetParam())) {}

  int64_t draw(int64_t low, int64_t high) {
    return std::uniform_int_distribution<int64_t>(low, high)(random);
  }

  /// Distinct values with gaps of 0.01 and none near 0, so that no step crosses
  /// a kink or makes another element the largest.
  ReferenceTensor drawTensor(const Operand &operand) {
    ReferenceTensor result(operand.shape);
    if (operand.classes) {
      for (double &value : result.data)
        value = static_cast<double>(draw(0, operand.classes - 1));
      return result;
    }
    std::vector<double> values;
    int64_t count = result.elements();
    for (int64_t i = 0; i < count; ++i)
      values.push_back((static_cast<double>(i) + 0.5 -
                        static_cast<double>(count) / 2.0 + 0.25) *
                       std::max(0.01, 2.0 / static_cast<double>(count)));
    std::shuffle(values.begin(), values.end(), random);
    result.data = values;
    return result;
  }

  std::string text(const Case &c) {
    std::string arguments, names, gradients, gradientTypes;
    int64_t index = 0;
    for (auto [i, operand] : llvm::enumerate(c.operands)) {
      arguments +=
          llvm::formatv("{0}%a{1}: {2}", i ? ", " : "", i, type(operand));
      if (!operand.differentiable)
        continue;
      gradients += llvm::formatv("{0}%d{1}", index ? ", " : "", index);
      gradientTypes +=
          llvm::formatv("{0}{1}", index ? ", " : "", type(operand));
      ++index;
    }
    std::string result = type(c.result);
    return llvm::formatv(R"(
      func.func @f({0}) -> {1} {{
        {2}
        return %y : {1}
      }
      func.func @g({0}, %dy: {1}) -> ({3}) {{
        {4}
        return {5} : {3}
      })",
                         arguments, result, c.forward, gradientTypes,
                         c.gradient, gradients);
  }

  double project(const std::vector<ReferenceTensor> &inputs,
                 const ReferenceTensor &dy) {
    Tensors results = call("f", inputs);
    double sum = 0.0;
    for (int64_t i = 0; i < dy.elements(); ++i)
      sum += results[0].data[i] * dy.data[i];
    return sum;
  }

  void check(const Case &c) {
    SCOPED_TRACE(text(c));
    ASSERT_TRUE(load(text(c)));
    std::vector<ReferenceTensor> inputs;
    for (const Operand &operand : c.operands)
      inputs.push_back(drawTensor(operand));
    ReferenceTensor dy = drawTensor({c.result});
    std::vector<ReferenceTensor> withGradient = inputs;
    withGradient.push_back(dy);
    Tensors gradients = call("g", withGradient);
    size_t next = 0;
    for (size_t i = 0; i < inputs.size(); ++i) {
      if (!c.operands[i].differentiable)
        continue;
      ASSERT_LT(next, gradients.size());
      compare(inputs, i, dy, gradients[next++]);
    }
  }

  void compare(std::vector<ReferenceTensor> inputs, size_t operand,
               const ReferenceTensor &dy, const ReferenceTensor &gradient) {
    constexpr double step = 1e-5;
    ASSERT_EQ(gradient.shape, inputs[operand].shape);
    double largest = 0.0;
    std::vector<double> differences;
    for (double &value : inputs[operand].data) {
      double kept = value;
      value = kept + step;
      double above = project(inputs, dy);
      value = kept - step;
      double below = project(inputs, dy);
      value = kept;
      differences.push_back((above - below) / (2.0 * step));
      largest = std::max(largest, std::abs(differences.back()));
    }
    for (size_t e = 0; e < differences.size(); ++e)
      ASSERT_NEAR(gradient.data[e], differences[e],
                  1e-7 * std::max(1.0, largest))
          << "operand " << operand << ", element " << e;
  }

  void checkConvolution(int64_t groups);
  void checkActivation(const std::string &name, bool savesResult,
                       const std::string &attributes = "");
  Case poolCase(const std::string &name, bool paddingBelowWindow,
                std::string &attributes);

  Case fusedMapCase(const std::string &join, const std::string &activation,
                    double slope, const std::string &dy);

  std::mt19937 random;
};

int64_t positions(int64_t input, int64_t padding, int64_t window,
                  int64_t stride, int64_t dilation) {
  return (input + padding - dilation * (window - 1) - 1) / stride + 1;
}

void GradientTest::checkConvolution(int64_t groups) {
  int64_t kh = draw(1, 3), kw = draw(1, 3), sh = draw(1, 3), sw = draw(1, 2),
          dh = draw(1, 2), dw = draw(1, 2);
  int64_t top = draw(0, 2), left = draw(0, 2), bottom = draw(0, 2),
          right = draw(0, 2);
  int64_t h = dh * (kh - 1) + draw(1, 4), w = dw * (kw - 1) + draw(1, 4);
  int64_t channels = draw(1, 3), filters = draw(1, 3);
  Operand x = {{draw(1, 2), h, w, channels * groups}};
  Operand filter = {{kh, kw, channels, filters * groups}};
  Shape y = {x.shape[0], positions(h, top + bottom, kh, sh, dh),
             positions(w, left + right, kw, sw, dw), filters * groups};
  std::string geometry = llvm::formatv(
      "stride [{0}, {1}] padding [{2}, {3}, {4}, {5}] dilation [{6}, {7}]", sh,
      sw, top, left, bottom, right, dh, dw);
  if (groups > 1)
    geometry += llvm::formatv(" groups {0}", groups);
  std::string X = type(x), W = type(filter), Y = type(y);
  check({{x, filter},
         y,
         llvm::formatv("%y = grow.conv2d %a0, %a1 {0} : ({1}, {2}) -> {3}",
                       geometry, X, W, Y),
         llvm::formatv(R"(
           %d0 = grow.conv2d_grad_input %dy, %a1 {0} : ({3}, {2}) -> {1}
           %d1 = grow.conv2d_grad_filter %a0, %dy {0} : ({1}, {3}) -> {2})",
                       geometry, X, W, Y)});
}

void GradientTest::checkActivation(const std::string &name, bool savesResult,
                                   const std::string &attributes) {
  Operand x = {{draw(1, 3), draw(1, 7)}};
  std::string forward =
      llvm::formatv("%y = grow.{0} %a0 {1} : {2}", name, attributes, type(x));
  check({{x},
         x.shape,
         forward,
         llvm::formatv("{0}\n%d0 = grow.{1}_grad {2}, %dy {3} : {4}", forward,
                       name, savesResult ? "%y" : "%a0", attributes, type(x))});
}

Case GradientTest::poolCase(const std::string &name, bool paddingBelowWindow,
                            std::string &attributes) {
  int64_t kh = draw(1, 3), kw = draw(1, 3), sh = draw(1, 3), sw = draw(1, 3);
  int64_t ph = paddingBelowWindow ? kh - 1 : 2;
  int64_t pw = paddingBelowWindow ? kw - 1 : 2;
  int64_t top = draw(0, ph), left = draw(0, pw), bottom = draw(0, ph),
          right = draw(0, pw);
  int64_t h = kh + draw(0, 4), w = kw + draw(0, 4);
  Operand x = {{draw(1, 2), h, w, draw(1, 3)}};
  Shape y = {x.shape[0], positions(h, top + bottom, kh, sh, 1),
             positions(w, left + right, kw, sw, 1), x.shape[3]};
  attributes = llvm::formatv(
      "window [{0}, {1}] stride [{2}, {3}] padding [{4}, {5}, {6}, {7}]", kh,
      kw, sh, sw, top, left, bottom, right);
  return {{x},
          y,
          llvm::formatv("%y = grow.{0} %a0 {1} : ({2}) -> {3}", name,
                        attributes, type(x), type(y)),
          ""};
}

TEST_P(GradientTest, Conv2D) { checkConvolution(1); }
TEST_P(GradientTest, GroupedConv2D) { checkConvolution(draw(2, 3)); }

TEST_P(GradientTest, Linear) {
  int64_t batch = draw(1, 3), features = draw(1, 5), outputs = draw(1, 5);
  Operand x = {{batch, features}}, w = {{features, outputs}};
  Shape y = {batch, outputs};
  check({{x, w},
         y,
         llvm::formatv("%y = grow.linear %a0, %a1 : ({0}, {1}) -> {2}", type(x),
                       type(w), type(y)),
         llvm::formatv(R"(
           %d0 = grow.linear_grad_input %dy, %a1 : ({2}, {1}) -> {0}
           %d1 = grow.linear_grad_weight %a0, %dy : ({0}, {2}) -> {1})",
                       type(x), type(w), type(y))});
}

TEST_P(GradientTest, BiasAdd) {
  int64_t channels = draw(1, 4);
  Operand x = {{draw(1, 2), draw(1, 3), draw(1, 3), channels}};
  Operand bias = {{channels}};
  check({{{x.shape, false}, bias},
         x.shape,
         llvm::formatv("%y = grow.bias_add %a0, %a1 : ({0}, {1}) -> {0}",
                       type(x), type(bias)),
         llvm::formatv("%d0 = grow.channel_sum %dy : ({0}) -> {1}", type(x),
                       type(bias))});
}

TEST_P(GradientTest, ChannelScale) {
  int64_t channels = draw(1, 4);
  Operand x = {{draw(1, 2), draw(1, 3), draw(1, 3), channels}};
  Operand scale = {{channels}};
  check({{x, scale},
         x.shape,
         llvm::formatv("%y = grow.channel_scale %a0, %a1 : ({0}, {1}) -> {0}",
                       type(x), type(scale)),
         llvm::formatv(R"(
           %d0 = grow.channel_scale %dy, %a1 : ({0}, {1}) -> {0}
           %p = grow.mul %dy, %a0 : {0}
           %d1 = grow.channel_sum %p : ({0}) -> {1})",
                       type(x), type(scale))});
}

TEST_P(GradientTest, Relu) { checkActivation("relu", true); }
TEST_P(GradientTest, LeakyRelu) {
  checkActivation("leaky_relu", true, "slope 0.2");
}
TEST_P(GradientTest, Gelu) { checkActivation("gelu", false); }
TEST_P(GradientTest, Silu) { checkActivation("silu", false); }
TEST_P(GradientTest, Tanh) { checkActivation("tanh", true); }
TEST_P(GradientTest, Sigmoid) { checkActivation("sigmoid", true); }

TEST_P(GradientTest, MaxPool2D) {
  std::string attributes;
  Case c = poolCase("max_pool2d", true, attributes);
  c.gradient = llvm::formatv(
      "%d0 = grow.max_pool2d_grad %a0, %dy {0} : ({1}, {2}) -> {1}", attributes,
      type(c.operands[0]), type(c.result));
  check(c);
}

TEST_P(GradientTest, AvgPool2D) {
  std::string attributes;
  Case c = poolCase("avg_pool2d", false, attributes);
  c.gradient =
      llvm::formatv("%d0 = grow.avg_pool2d_grad %dy {0} : ({1}) -> {2}",
                    attributes, type(c.result), type(c.operands[0]));
  check(c);
}

TEST_P(GradientTest, GlobalAvgPool) {
  Operand x = {{draw(1, 2), draw(1, 4), draw(1, 4), draw(1, 3)}};
  Shape y = {x.shape[0], x.shape[3]};
  check({{x},
         y,
         llvm::formatv("%y = grow.global_avg_pool %a0 : ({0}) -> {1}", type(x),
                       type(y)),
         llvm::formatv("%d0 = grow.global_avg_pool_grad %dy : ({1}) -> {0}",
                       type(x), type(y))});
}

TEST_P(GradientTest, BatchNorm) {
  int64_t channels = draw(1, 3);
  Operand x = {{draw(2, 3), draw(1, 3), draw(1, 3), channels}};
  Operand vector = {{channels}};
  Operand running = {{channels}, false};
  std::string X = type(x), V = type(vector);
  check({{x, vector, vector, running, running},
         x.shape,
         llvm::formatv("%y = grow.batch_norm %a0, %a1, %a2, %a3, %a4 epsilon "
                       "1.0e-2 : ({0}, {1}, {1}, {1}, {1}) -> {0}",
                       X, V),
         llvm::formatv(R"(
           %m, %v, %nm, %nv = grow.batch_norm_stats %a0, %a3, %a4
             : ({0}, {1}, {1}) -> ({1}, {1}, {1}, {1})
           %d0, %d1, %d2 = grow.batch_norm_grad %a0, %a1, %m, %v, %dy
             epsilon 1.0e-2
             : ({0}, {1}, {1}, {1}, {0}) -> ({0}, {1}, {1}))",
                       X, V)});
}

TEST_P(GradientTest, SoftmaxCrossEntropy) {
  int64_t batch = draw(1, 4), classes = draw(1, 6);
  Operand logits = {{batch, classes}}, labels = {{batch}, false, classes};
  check({{logits, labels},
         {},
         llvm::formatv("%y = grow.softmax_cross_entropy %a0, %a1 : ({0}, {1}) "
                       "-> tensor<f32>",
                       type(logits), type(labels)),
         llvm::formatv("%d0 = grow.softmax_cross_entropy_grad %a0, %a1, %dy : "
                       "({0}, {1}, tensor<f32>) -> {0}",
                       type(logits), type(labels))});
}

TEST_P(GradientTest, Mse) {
  Operand x = {{draw(1, 3), draw(1, 4), draw(1, 3)}};
  check({{x, {x.shape, false}},
         {},
         llvm::formatv("%y = grow.mse %a0, %a1 : ({0}, {0}) -> tensor<f32>",
                       type(x)),
         llvm::formatv("%d0 = grow.mse_grad %a0, %a1, %dy : "
                       "({0}, {0}, tensor<f32>) -> {0}",
                       type(x))});
}

TEST_P(GradientTest, WeightConcat) {
  int64_t kh = draw(1, 2), c = draw(1, 3), f0 = draw(1, 3), f1 = draw(1, 3);
  Operand a = {{kh, 2, c, f0}}, b = {{kh, 2, c, f1}};
  Shape y = {kh, 2, c, f0 + f1};
  check({{a, b},
         y,
         llvm::formatv("%y = grow.weight_concat %a0, %a1 : ({0}, {1}) -> {2}",
                       type(a), type(b), type(y)),
         llvm::formatv(R"(
           %d0 = grow.weight_slice %dy offset 0 size {3} : ({2}) -> {0}
           %d1 = grow.weight_slice %dy offset {3} size {4} : ({2}) -> {1})",
                       type(a), type(b), type(y), f0, f1)});
}

TEST_P(GradientTest, WeightPad) {
  int64_t top = draw(0, 2), left = draw(0, 2), bottom = draw(0, 2),
          right = draw(0, 2);
  Operand a = {{draw(1, 3), draw(1, 3), draw(1, 2), draw(1, 2)}};
  Shape y = {a.shape[0] + top + bottom, a.shape[1] + left + right, a.shape[2],
             a.shape[3]};
  std::string padding =
      llvm::formatv("[{0}, {1}, {2}, {3}]", top, left, bottom, right);
  check({{a},
         y,
         llvm::formatv("%y = grow.weight_pad %a0 {0} : ({1}) -> {2}", padding,
                       type(a), type(y)),
         llvm::formatv("%d0 = grow.weight_crop %dy {0} : ({2}) -> {1}", padding,
                       type(a), type(y))});
}

TEST_P(GradientTest, WeightCompose) {
  int64_t c = draw(1, 3), m = draw(1, 3), f = draw(1, 3), k = draw(1, 3);
  Operand first = {{1, 1, c, m}}, second = {{k, 2, m, f}};
  Shape y = {k, 2, c, f};
  std::string A = type(first), B = type(second), Y = type(y);
  check({{first, second},
         y,
         llvm::formatv("%y = grow.weight_compose %a0, %a1 : ({0}, {1}) -> {2}",
                       A, B, Y),
         llvm::formatv(R"(
           %d0 = grow.weight_compose_grad_first %dy, %a1 : ({2}, {1}) -> {0}
           %d1 = grow.weight_compose_grad_second %dy, %a0 : ({2}, {0}) -> {1})",
                       A, B, Y)});
}

/// Two branches of a convolution, bias and activation with the signs of what it
/// takes, and their gradients from the signs. `dy` is how they read the
/// result's gradient.
Case GradientTest::fusedMapCase(const std::string &join,
                                const std::string &activation, double slope,
                                const std::string &dy) {
  int64_t c = draw(1, 3), f = draw(1, 3), h = draw(2, 4), w = draw(2, 4);
  Operand x = {{draw(1, 2), h, w, c}}, filter = {{3, 3, c, f}}, bias = {{f}};
  Shape inner = {x.shape[0], h, w, f}, y = inner;
  if (join == "concat")
    y.back() *= 2;
  std::string X = type(x), W = type(filter), B = type(bias), I = type(inner),
              Y = type(y), S = type(inner, "i1");
  std::string forward = llvm::formatv(
      R"(%y, %s0, %s1 = grow.fused_map branches 2 (%a0) over (%a1, %a2, %a3, %a4)
          join ({0}, each)
          : ({2}, {3}, {4}, {3}, {4}) -> ({6}, {7}, {7}) {{
        ^bb0(%in: {2}, %w: {3}, %b: {4}):
          %c = grow.conv2d %in, %w padding [1, 1] : ({2}, {3}) -> {5}
          %z = grow.bias_add %c, %b : ({5}, {4}) -> {5}
          %r = grow.{1} : {5}
          %s = grow.sign_bits %z : {5} -> {7}
          grow.yield %r, %s : {5}, {7}
        })",
      join, activation, X, W, B, I, Y, S);
  std::string gradient = llvm::formatv(
      R"(
        %d0 = grow.fused_map branches 2 {0} over (%a1, %s0, %a3, %s1) join ({1})
            : ({4}, {3}, {6}, {3}, {6}) -> {2} {{
        ^bb0(%g: {5}, %w: {3}, %s: {6}):
          %dz = grow.bits_grad %s, %g slope {7} : {6}, {5}
          %d = grow.conv2d_grad_input %dz, %w padding [1, 1] : ({5}, {3}) -> {2}
          grow.yield %d : {2}
        })",
      dy, join == "mean" ? "mean" : "sum", X, W, Y, I, S, slope);
  std::string params = llvm::formatv(
      R"(
        %d1, %d3, %d2, %d4 = grow.fused_map branches 2 {0} over (%s0, %s1)
            join (each, each)
            : ({1}, {2}, {3}, {3}) -> ({4}, {4}, {5}, {5}) {{
        ^bb0(%in: {1}, %g: {6}, %s: {3}):
          %half = grow.scale %g by {8} : {6}
          %dz = grow.bits_grad %s, %half slope {7} : {3}, {6}
          %dw = grow.conv2d_grad_filter %in, %dz padding [1, 1]
              : ({1}, {6}) -> {4}
          %db = grow.channel_sum %dz : ({6}) -> {5}
          grow.yield %dw, %db : {4}, {5}
        })",
      join == "concat" ? "(%a0) sliced (%dy)" : "(%a0, %dy)", X, Y, S, W, B, I,
      slope, join == "mean" ? 0.5 : 1.0);
  return {
      {x, filter, bias, filter, bias}, y, forward, forward + gradient + params};
}

TEST_P(GradientTest, FusedMapSum) {
  check(fusedMapCase("sum", "relu %z", 0.0, "(%dy)"));
}
TEST_P(GradientTest, FusedMapMean) {
  check(fusedMapCase("mean", "relu %z", 0.0, "(%dy)"));
}
TEST_P(GradientTest, FusedMapConcat) {
  check(fusedMapCase("concat", "leaky_relu %z slope 0.25", 0.25,
                     "() sliced (%dy)"));
}

INSTANTIATE_TEST_SUITE_P(Random, GradientTest, ::testing::Range(0, 6));

} // namespace
