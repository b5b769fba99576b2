//===- OpCases.cpp - Random cases of every operation ----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OpCases.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringRef.h"
#include "llvm/Support/FormatVariadic.h"

using namespace cambium::conformance;
using llvm::formatv;
using Kind = Operand::Kind;

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

static std::string typeOf(llvm::ArrayRef<int64_t> shape, bool batched,
                          const char *element = "f32") {
  std::string text = "tensor<";
  for (auto [i, extent] : llvm::enumerate(shape))
    text += (i == 0 && batched ? "?" : std::to_string(extent)) + "x";
  return text + element + ">";
}

static std::string typeOf(const Operand &operand, bool dynamic) {
  bool batched = dynamic && operand.kind != Kind::Weight &&
                 operand.kind != Kind::State && operand.kind != Kind::Variance;
  return typeOf(operand.shape, batched,
                operand.kind == Kind::Labels ? "i32" : "f32");
}

/// Replaces the `$` marks of a case's body.
static std::string expand(const OpCase &c, bool dynamic) {
  std::string text;
  llvm::StringRef rest = c.body;
  while (true) {
    auto [before, after] = rest.split('$');
    text += before;
    if (before.size() == rest.size())
      return text;
    if (after.consume_front("<")) {
      auto [extents, behind] = after.split('>');
      Shape shape;
      for (llvm::StringRef extent : llvm::split(extents, 'x'))
        shape.push_back(std::stoll(extent.str()));
      text += typeOf(shape, dynamic);
      rest = behind;
    } else if (after.consume_front("y")) {
      text += typeOf(c.result, dynamic && c.batched);
      rest = after;
    } else {
      size_t index = 0;
      after.consumeInteger(10, index);
      text += typeOf(c.operands[index], dynamic);
      rest = after;
    }
  }
}

namespace {

/// The pieces of a module while its operands are gone through.
struct ModuleText {
  std::string declarations, reads, arguments, names, types;

  void declare(size_t i, const std::string &type, llvm::StringRef init) {
    declarations +=
        formatv("grow.param @p{0} : {1} in @g init({2})\n", i, type, init);
  }
  void read(llvm::StringRef value, llvm::StringRef symbol,
            const std::string &type) {
    reads += formatv("  {0} = grow.get @{1} : {2}\n", value, symbol, type);
  }
  void argument(llvm::StringRef name, const std::string &type) {
    const char *comma = arguments.empty() ? "" : ", ";
    arguments += formatv("{0}{1}: {2}", comma, name, type);
    names += comma + name.str();
    types += comma + type;
  }

  void add(size_t i, const Operand &operand, bool dynamic) {
    std::string type = typeOf(operand, dynamic);
    std::string value = "%" + std::to_string(i);
    switch (operand.kind) {
    case Kind::Weight:
      declare(i, type, "#grow.zero");
      read(value, "p" + std::to_string(i), type);
      return;
    case Kind::State:
    case Kind::Variance:
      declarations +=
          formatv("grow.state @s{0} : {1} init(#grow.zero)\n", i, type);
      read(value, "s" + std::to_string(i), type);
      return;
    case Kind::Labels:
    case Kind::Target:
      argument(value, type);
      return;
    case Kind::Activation:
      break;
    }
    if (!dynamic) {
      declare(i, type, "#grow.zero");
      read(value, "p" + std::to_string(i), type);
      return;
    }
    std::string shift = typeOf({operand.shape.back()}, false);
    declare(i, shift, "#grow.zero");
    argument(formatv("%in{0}", i).str(), type);
    read(formatv("%shift{0}", i).str(), "p" + std::to_string(i), shift);
    reads += formatv("  %{0} = grow.bias_add %in{0}, %shift{0} : ({1}, {2}) -> "
                     "{1}\n",
                     i, type, shift);
  }
};

} // namespace

std::string OpCase::text(bool dynamic) const {
  ModuleText text;
  for (auto [i, operand] : llvm::enumerate(operands))
    text.add(i, operand, dynamic);
  std::string y = typeOf(result, dynamic && batched);
  std::string module = formatv(
      "grow.group @g {{optimizer = #grow.sgd, lr = 0.1}\n{0}"
      "func.func @forward({1}) -> {2} {{\n{3}  {4}\n  return %y : {2}\n}\n",
      text.declarations, text.arguments, y, text.reads, expand(*this, dynamic));
  std::string loss = "%y";
  if (!isLoss())
    loss = "%l";
  std::string arguments = text.arguments, mse;
  if (!isLoss()) {
    arguments += (arguments.empty() ? "" : ", ") + ("%target: " + y);
    mse =
        formatv("  %l = grow.mse %y, %target : ({0}, {0}) -> tensor<f32>\n", y);
  }
  return module + formatv("func.func @loss({0}) -> tensor<f32> {{\n"
                          "  %y = func.call @forward({1}) : ({2}) -> {3}\n"
                          "{4}  return {5} : tensor<f32>\n}\n",
                          arguments, text.names, text.types, y, mse, loss)
                      .str();
}

//===----------------------------------------------------------------------===//
// Contractions and pooling
//===----------------------------------------------------------------------===//

namespace {

struct Window {
  int64_t kh, kw, sh, sw, dh, dw, top, left, bottom, right, h, w;

  /// A window with room for it: image extents at most `room` larger.
  Window(Random &random, int64_t most, int64_t room, bool dilate)
      : kh(random.draw(1, most)), kw(random.draw(1, most)),
        sh(random.draw(1, 2)), sw(random.draw(1, 3)),
        dh(dilate ? random.draw(1, 2) : 1), dw(dilate ? random.draw(1, 2) : 1),
        top(random.draw(0, kh - 1)), left(random.draw(0, kw - 1)),
        bottom(random.draw(0, kh - 1)), right(random.draw(0, kw - 1)),
        h(dh * (kh - 1) + random.draw(1, room)),
        w(dw * (kw - 1) + random.draw(1, room)) {}

  int64_t outHeight() const {
    return (h + top + bottom - dh * (kh - 1) - 1) / sh + 1;
  }
  int64_t outWidth() const {
    return (w + left + right - dw * (kw - 1) - 1) / sw + 1;
  }
  std::string strideAndPadding() const {
    return formatv("stride [{0}, {1}] padding [{2}, {3}, {4}, {5}]", sh, sw,
                   top, left, bottom, right);
  }
};

OpCase conv(Random &random, int64_t groups, llvm::StringRef tail) {
  Window window(random, 3, 12, true);
  bool grouped = groups > 1;
  int64_t channels = grouped ? random.draw(1, 5) : random.channels();
  int64_t filters = grouped ? random.draw(1, 9) : random.channels();
  int64_t batch = random.draw(1, 4);
  OpCase c;
  c.operands = {
      {Kind::Activation, {batch, window.h, window.w, channels * groups}},
      {Kind::Weight, {window.kh, window.kw, channels, filters * groups}}};
  c.result = {batch, window.outHeight(), window.outWidth(), filters * groups};
  std::string attributes =
      formatv("{0} dilation [{1}, {2}]", window.strideAndPadding(), window.dh,
              window.dw);
  if (grouped)
    attributes += formatv(" groups {0}", groups);
  c.body = formatv("%{0} = grow.conv2d %0, %1 {1} : ($0, $1) -> $y",
                   tail.empty() ? "y" : "c", attributes);
  if (!tail.empty()) {
    c.operands.push_back({Kind::Weight, {filters * groups}});
    c.body += "\n" + tail.str();
  }
  return c;
}

/// A shape-preserving convolution of an odd window, at the sizes of networks.
OpCase sameConv(Random &random) {
  int64_t kernel = 1 + 2 * random.draw(0, 2), size = random.draw(5, 30);
  OpCase c;
  c.operands = {
      {Kind::Activation, {random.draw(1, 2), size, size, random.channels()}}};
  Shape x = c.operands[0].shape;
  c.operands.push_back(
      {Kind::Weight, {kernel, kernel, x[3], random.channels()}});
  c.result = {x[0], size, size, c.operands[1].shape[3]};
  c.body = formatv("%y = grow.conv2d %0, %1 padding [{0}, {0}] : ($0, $1) -> "
                   "$y",
                   kernel / 2);
  return c;
}

OpCase linear(Random &random) {
  int64_t batch = random.draw(1, 70), outputs = random.channels();
  int64_t features = random.channels() * random.draw(1, 20);
  return {{{Kind::Activation, {batch, features}},
           {Kind::Weight, {features, outputs}}},
          "%y = grow.linear %0, %1 : ($0, $1) -> $y",
          {batch, outputs}};
}

OpCase pool(Random &random, const char *name) {
  Window window(random, 3, 9, false);
  int64_t batch = random.draw(1, 3), channels = random.channels();
  return {{{Kind::Activation, {batch, window.h, window.w, channels}}},
          formatv("%y = grow.{0} %0 window [{1}, {2}] {3} : ($0) -> $y", name,
                  window.kh, window.kw, window.strideAndPadding()),
          {batch, window.outHeight(), window.outWidth(), channels}};
}

OpCase globalAvgPool(Random &random) {
  Shape x = {random.draw(1, 4), random.draw(1, 9), random.draw(1, 9),
             random.channels()};
  return {{{Kind::Activation, x}},
          "%y = grow.global_avg_pool %0 : ($0) -> $y",
          {x[0], x[3]}};
}

//===----------------------------------------------------------------------===//
// Pointwise operations, normalisation and losses
//===----------------------------------------------------------------------===//

Shape image(Random &random) {
  return {random.draw(1, 4), random.draw(1, 7), random.draw(1, 7),
          random.channels()};
}

OpCase unary(Random &random, llvm::StringRef op) {
  Shape x = random.draw(0, 1) ? image(random)
                              : Shape{random.draw(1, 40), random.channels()};
  return {{{Kind::Activation, x}}, formatv("%y = grow.{0} : $y", op), x};
}

OpCase binary(Random &random, const char *op) {
  Shape x = image(random);
  return {{{Kind::Activation, x}, {Kind::Activation, x}},
          formatv("%y = grow.{0} %0, %1 : $y", op),
          x};
}

OpCase biasAdd(Random &random) {
  Shape x = image(random);
  return {{{Kind::Activation, x}, {Kind::Weight, {x.back()}}},
          "%y = grow.bias_add %0, %1 : ($0, $1) -> $y",
          x};
}

OpCase channelScale(Random &random) {
  Shape x = image(random);
  return {{{Kind::Activation, x}, {Kind::Weight, {x.back()}}},
          "%y = grow.channel_scale %0, %1 : ($0, $1) -> $y",
          x};
}

OpCase batchNorm(Random &random, bool images) {
  Shape x = images ? Shape{random.draw(2, 4), random.draw(1, 6),
                           random.draw(2, 6), random.channels()}
                   : Shape{random.draw(8, 40), random.channels()};
  Shape channels = {x.back()};
  return {{{Kind::Activation, x},
           {Kind::Weight, channels},
           {Kind::Weight, channels},
           {Kind::State, channels},
           {Kind::Variance, channels}},
          "%y = grow.batch_norm %0, %1, %2, %3, %4 momentum 0.3 epsilon 1.0e-3 "
          ": ($0, $1, $2, $3, $4) -> $y",
          x};
}

OpCase softmaxCrossEntropy(Random &random) {
  int64_t batch = random.draw(1, 70), classes = random.channels();
  return {{{Kind::Activation, {batch, classes}}, {Kind::Labels, {batch}}},
          "%y = grow.softmax_cross_entropy %0, %1 : ($0, $1) -> $y",
          {}};
}

OpCase mse(Random &random) {
  Shape x = image(random);
  return {{{Kind::Activation, x}, {Kind::Target, x}},
          "%y = grow.mse %0, %1 : ($0, $1) -> $y",
          {}};
}

//===----------------------------------------------------------------------===//
// Shapes and weights
//===----------------------------------------------------------------------===//

OpCase flatten(Random &random) {
  Shape x = image(random);
  return {{{Kind::Activation, x}},
          "%y = grow.flatten %0 : ($0) -> $y",
          {x[0], x[1] * x[2] * x[3]}};
}

OpCase reshape(Random &random) {
  Shape x = image(random);
  return {{{Kind::Activation, x}},
          "%y = grow.reshape %0 : $0 -> $y",
          {x[0], x[1] * x[2], x[3]}};
}

OpCase concat(Random &random, const char *op, Kind kind) {
  Shape a = image(random), b = a, c = a;
  b.back() = random.channels();
  c.back() = random.channels();
  Shape y = a;
  y.back() += b.back() + c.back();
  return {{{kind, a}, {kind, b}, {kind, c}},
          formatv("%y = grow.{0} %0, %1, %2 : ($0, $1, $2) -> $y", op),
          y,
          kind == Kind::Activation};
}

OpCase slice(Random &random, const char *op, Kind kind) {
  Shape x = image(random), y = x;
  int64_t offset = random.draw(0, x.back() - 1);
  y.back() = random.draw(1, x.back() - offset);
  return {{{kind, x}},
          formatv("%y = grow.{0} %0 offset {1} size {2} : ($0) -> $y", op,
                  offset, y.back()),
          y,
          kind == Kind::Activation};
}

OpCase weightSum(Random &random) {
  Shape w = image(random);
  return {{{Kind::Weight, w}, {Kind::Weight, w}, {Kind::Weight, w}},
          "%y = grow.weight_sum %0, %1, %2 : $y",
          w,
          false};
}

OpCase weightScale(Random &random) {
  Shape w = image(random);
  return {
      {{Kind::Weight, w}}, "%y = grow.weight_scale %0 by -0.75 : $y", w, false};
}

OpCase weightPad(Random &random, bool crop) {
  int64_t pad[4];
  for (int64_t &side : pad)
    side = random.draw(0, 2);
  Shape small = image(random), large = small;
  large[0] += pad[0] + pad[2];
  large[1] += pad[1] + pad[3];
  return {{{Kind::Weight, crop ? large : small}},
          formatv("%y = grow.{0} %0 [{1}, {2}, {3}, {4}] : ($0) -> $y",
                  crop ? "weight_crop" : "weight_pad", pad[0], pad[1], pad[2],
                  pad[3]),
          crop ? small : large,
          false};
}

OpCase weightCompose(Random &random) {
  int64_t k = random.draw(1, 3), c = random.channels(), m = random.channels(),
          f = random.channels();
  return {{{Kind::Weight, {1, 1, c, m}}, {Kind::Weight, {k, k, m, f}}},
          "%y = grow.weight_compose %0, %1 : ($0, $1) -> $y",
          {k, k, c, f},
          false};
}

//===----------------------------------------------------------------------===//
// Maps and chains
//===----------------------------------------------------------------------===//

/// A map of three convolution branches with biases.
OpCase map(Random &random, const char *reduction, const char *activation) {
  int64_t c = random.channels(), f = random.channels();
  Shape x = {random.draw(1, 3), random.draw(3, 10), random.draw(3, 10), c};
  Shape y = {x[0], x[1], x[2], f};
  Operand w = {Kind::Weight, {3, 3, c, f}}, b = {Kind::Weight, {f}};
  OpCase result;
  result.operands = {{Kind::Activation, x}, w, b, w, b, w, b};
  std::string inner = formatv("$<{0}x{1}x{2}x{3}>", y[0], y[1], y[2], y[3]);
  bool concat = llvm::StringRef(reduction) == "concat";
  if (concat)
    y.back() *= 3;
  result.result = y;
  std::string last = "%d";
  std::string activated;
  if (*activation) {
    activated = formatv("%e = grow.{0} %d : {1}\n", activation, inner);
    last = "%e";
  }
  result.body = formatv(
      R"(%y = grow.map "m" {0} (%0) over [(%1, %2), (%3, %4), (%5, %6)] {{
    ^bb0(%in: $0, %w: $1, %b: $2):
      %c = grow.conv2d %in, %w padding [1, 1] : ($0, $1) -> {1}
      %d = grow.bias_add %c, %b : ({1}, $2) -> {1}
      {2}grow.yield {3} : {1}
    })",
      reduction, inner, activated, last);
  return result;
}

/// Branches of three filter sizes that add up, which the collapse joins.
OpCase mixedFilters(Random &random) {
  int64_t c = random.channels(), f = random.channels();
  Shape x = {random.draw(1, 3), random.draw(5, 12), random.draw(5, 12), c};
  OpCase result;
  result.operands = {{Kind::Activation, x},
                     {Kind::Weight, {1, 1, c, f}},
                     {Kind::Weight, {3, 3, c, f}},
                     {Kind::Weight, {5, 5, c, f}}};
  result.result = {x[0], x[1], x[2], f};
  for (int i = 1; i <= 3; ++i)
    result.body += formatv(R"(%m{0} = grow.map "m{0}" sum (%0) over [(%{0})] {{
      ^bb0(%in: $0, %w: ${0}):
        %c = grow.conv2d %in, %w padding [{1}, {1}] : ($0, ${0}) -> $y
        grow.yield %c : $y
      }
      )",
                           i, i - 1);
  result.body += "%s = grow.add %m1, %m2 : $y\n%y = grow.add %s, %m3 : $y";
  return result;
}

/// A residual block: one value with two uses.
OpCase residual(Random &random) {
  int64_t c = random.channels();
  Shape x = {random.draw(1, 3), random.draw(3, 9), random.draw(3, 9), c};
  return {{{Kind::Activation, x},
           {Kind::Weight, {3, 3, c, c}},
           {Kind::Weight, {c}}},
          "%c = grow.conv2d %0, %1 padding [1, 1] : ($0, $1) -> $y\n"
          "%d = grow.bias_add %c, %2 : ($y, $2) -> $y\n"
          "%e = grow.gelu %d : $y\n"
          "%f = grow.add %e, %0 : $y\n"
          "%g = grow.scale %f by 0.5 : $y\n"
          "%y = grow.mul %g, %g : $y",
          x};
}

std::vector<Generator> makeGenerators() {
  using R = Random;
  return {
      {"conv2d", [](R &r) { return conv(r, 1, ""); }},
      {"conv2d_same", sameConv},
      {"conv2d_groups", [](R &r) { return conv(r, r.draw(2, 4), ""); }},
      {"conv2d_bias_relu",
       [](R &r) {
         return conv(r, 1,
                     "%d = grow.bias_add %c, %2 : ($y, $2) -> $y\n"
                     "%y = grow.relu %d : $y");
       }},
      {"linear", linear},
      {"bias_add", biasAdd},
      {"channel_scale", channelScale},
      {"relu", [](R &r) { return unary(r, "relu %0"); }},
      {"leaky_relu", [](R &r) { return unary(r, "leaky_relu %0 slope 0.2"); }},
      {"gelu", [](R &r) { return unary(r, "gelu %0"); }},
      {"silu", [](R &r) { return unary(r, "silu %0"); }},
      {"tanh", [](R &r) { return unary(r, "tanh %0"); }},
      {"sigmoid", [](R &r) { return unary(r, "sigmoid %0"); }},
      {"scale", [](R &r) { return unary(r, "scale %0 by -1.5"); }},
      {"add", [](R &r) { return binary(r, "add"); }},
      {"mul", [](R &r) { return binary(r, "mul"); }},
      {"max_pool2d", [](R &r) { return pool(r, "max_pool2d"); }},
      {"avg_pool2d", [](R &r) { return pool(r, "avg_pool2d"); }},
      {"global_avg_pool", globalAvgPool},
      {"batch_norm_images", [](R &r) { return batchNorm(r, true); }},
      {"batch_norm_vectors", [](R &r) { return batchNorm(r, false); }},
      {"flatten", flatten},
      {"reshape", reshape},
      {"concat", [](R &r) { return concat(r, "concat", Kind::Activation); }},
      {"slice", [](R &r) { return slice(r, "slice", Kind::Activation); }},
      {"softmax_cross_entropy", softmaxCrossEntropy},
      {"mse", mse},
      {"weight_sum", weightSum},
      {"weight_scale", weightScale},
      {"weight_concat",
       [](R &r) { return concat(r, "weight_concat", Kind::Weight); }},
      {"weight_slice",
       [](R &r) { return slice(r, "weight_slice", Kind::Weight); }},
      {"weight_pad", [](R &r) { return weightPad(r, false); }},
      {"weight_crop", [](R &r) { return weightPad(r, true); }},
      {"weight_compose", weightCompose},
      {"map_linear_sum", [](R &r) { return map(r, "sum", ""); }},
      {"map_linear_mean", [](R &r) { return map(r, "mean", ""); }},
      {"map_linear_concat", [](R &r) { return map(r, "concat", ""); }},
      {"map_relu_sum", [](R &r) { return map(r, "sum", "relu"); }},
      {"map_gelu_mean", [](R &r) { return map(r, "mean", "gelu"); }},
      {"map_tanh_concat", [](R &r) { return map(r, "concat", "tanh"); }},
      {"mixed_filters", mixedFilters},
      {"residual", residual},
  };
}

} // namespace

const std::vector<Generator> &cambium::conformance::generators() {
  static const std::vector<Generator> all = makeGenerators();
  return all;
}
