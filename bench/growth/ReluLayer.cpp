//===- ReluLayer.cpp - A sum of rectified branches ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ReluLayer.h"

#include <cmath>
#include <sstream>

using namespace cambium;
using namespace cambium::bench;

namespace {

std::string typeText(const std::vector<int64_t> &shape) {
  std::ostringstream text;
  text << "tensor<";
  for (int64_t extent : shape)
    text << extent << "x";
  text << "f32>";
  return text.str();
}

std::string numbered(const char *name, int64_t number) {
  return name + std::to_string(number);
}

/// The IR of the layer's functions.
class LayerText {
public:
  LayerText(const ConvShape &shape, int64_t branches)
      : branches(branches), x(typeText(shape.x())), w(typeText(shape.w())),
        y(typeText(shape.y())), b(typeText({shape.outC})) {}

  std::string text(bool withBare) const {
    std::ostringstream text;
    text << "grow.group @g {optimizer = #grow.sgd, lr = 0.1}\n";
    declare(text, "x", x);
    for (int64_t i = 0; i < branches; ++i) {
      declare(text, numbered("w", i), w);
      declare(text, numbered("b", i), b);
    }
    addForward(text);
    text << "func.func @loss(%target: " << y << ") -> tensor<f32> {\n"
         << "  %y = func.call @forward() : () -> " << y << "\n"
         << "  %l = grow.mse %y, %target : (" << y << ", " << y
         << ") -> tensor<f32>\n"
         << "  return %l : tensor<f32>\n}\n";
    if (withBare)
      addBare(text);
    return text.str();
  }

private:
  static void declare(std::ostream &text, const std::string &name,
                      const std::string &type) {
    text << "grow.param @" << name << " : " << type
         << " in @g init(#grow.zero)\n";
  }
  static void get(std::ostream &text, const std::string &name,
                  const std::string &type) {
    text << "  %" << name << " = grow.get @" << name << " : " << type << "\n";
  }
  void conv(std::ostream &text, const char *input, const std::string &filter,
            const std::string &result) const {
    text << "  %" << result << " = grow.conv2d %" << input << ", %" << filter
         << " padding [1, 1] : (" << x << ", " << w << ") -> " << y << "\n";
  }

  void addForward(std::ostream &text) const {
    text << "func.func @forward() -> " << y << " {\n";
    get(text, "x", x);
    for (int64_t i = 0; i < branches; ++i) {
      get(text, numbered("w", i), w);
      get(text, numbered("b", i), b);
    }
    text << "  %y = grow.map \"layer\" sum (%x) over [";
    for (int64_t i = 0; i < branches; ++i)
      text << (i ? ", " : "") << "(%w" << i << ", %b" << i << ")";
    text << "] {\n  ^bb0(%in: " << x << ", %w: " << w << ", %b: " << b
         << "):\n";
    conv(text, "in", "w", "c");
    text << "  %s = grow.bias_add %c, %b : (" << y << ", " << b << ") -> " << y
         << "\n  %r = grow.relu %s : " << y << "\n  grow.yield %r : " << y
         << "\n  }\n  return %y : " << y << "\n}\n";
  }

  /// Every convolution with a result of its own, and nothing else.
  void addBare(std::ostream &text) const {
    std::string types, names;
    for (int64_t i = 0; i < branches; ++i) {
      types += (i ? ", " : "") + y;
      names += (i ? ", %c" : "%c") + std::to_string(i);
    }
    text << "func.func @bare() -> (" << types << ") {\n";
    get(text, "x", x);
    for (int64_t i = 0; i < branches; ++i) {
      get(text, numbered("w", i), w);
      conv(text, "x", numbered("w", i), numbered("c", i));
    }
    text << "  return " << names << " : " << types << "\n}\n";
  }

  int64_t branches;
  std::string x, w, y, b;
};

/// Random (k + offset) * unit with whole |k| up to `most`.
void fill(Block &block, unsigned seed, float most, float unit,
          float offset = 0) {
  fillRandom(block, seed);
  for (int64_t i = 0; i < block.size(); ++i)
    block.data()[i] = (std::round(block.data()[i] * most) + offset) * unit;
}

} // namespace

int64_t bench::elements(const std::vector<int64_t> &shape) {
  return TensorView(static_cast<const float *>(nullptr), shape).elements();
}

std::string bench::reluLayerText(const ConvShape &shape, int64_t branches,
                                 bool withBare) {
  return LayerText(shape, branches).text(withBare);
}

ReluLayerData::ReluLayerData(const ConvShape &shape, int64_t branches)
    : shape(shape), x(elements(shape.x())), target(elements(shape.y())) {
  fill(x, 1, 8, 0x1p-3f);
  fillRandom(target, 2);
  for (int64_t i = 0; i < branches; ++i) {
    fill(filters.emplace_back(elements(shape.w())), 3 + 2 * i, 8, 0x1p-7f);
    fill(biases.emplace_back(shape.outC), 4 + 2 * i, 128, 0x1p-10f, 0.5f);
  }
}

std::map<std::string, TensorView> ReluLayerData::parameters() const {
  std::map<std::string, TensorView> all;
  all.emplace("x", TensorView(x.data(), shape.x()));
  for (size_t i = 0; i < filters.size(); ++i) {
    all.emplace(numbered("w", i), TensorView(filters[i].data(), shape.w()));
    all.emplace(numbered("b", i), TensorView(biases[i].data(), {shape.outC}));
  }
  return all;
}

int64_t ReluLayerData::bytes() const {
  int64_t total = target.size();
  for (const auto &[name, view] : parameters())
    total += view.elements();
  return total * sizeof(float);
}
