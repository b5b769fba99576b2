//===- BranchForms.cpp - Bodies of branches -------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchForms.h"
#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/FormatVariadic.h"

using namespace cambium;
using namespace cambium::conformance;
using llvm::ArrayRef;
using llvm::formatv;
using Kind = Stored::Kind;

//===----------------------------------------------------------------------===//
// Values
//===----------------------------------------------------------------------===//

static double onGrid(Random &random) {
  return static_cast<double>(random.draw(-4, 4)) / 4.0;
}

/// An odd multiple of 1 / denominator in [-1, 1].
static double oddMultiple(Random &random, int64_t denominator) {
  int64_t half = denominator / 2;
  return static_cast<double>(2 * random.draw(-half, half - 1) + 1) /
         static_cast<double>(denominator);
}

ReferenceTensor Stored::draw(Random &random) const {
  ReferenceTensor tensor(shape);
  if (kind == Kind::Zero)
    return tensor;
  for (double &value : tensor.data) {
    if (kind == Kind::Bias)
      value = oddMultiple(random, denominator);
    else if (kind == Kind::Positive || kind == Kind::State)
      value = random.uniform(0.5f, 1.5f);
    else
      value = onGrid(random);
  }
  if (kind == Kind::Halves)
    for (int64_t i = 0; i < tensor.elements(); i += shape.back())
      tensor.data[i] = random.draw(0, 1) ? 0.5 : -0.5;
  if (kind == Kind::OffGrid) {
    int64_t centre = (shape[0] / 2 * shape[1] + shape[1] / 2) * shape[2];
    for (int64_t f = 0; f < shape[3]; ++f)
      tensor.data[centre * shape[3] + f] = oddMultiple(random, 16);
  }
  return tensor;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

static std::string typeText(ArrayRef<int64_t> shape, bool batched) {
  std::string text = "tensor<";
  for (auto [i, extent] : llvm::enumerate(shape))
    text += (i == 0 && batched ? "?" : std::to_string(extent)) + "x";
  return text + "f32>";
}

std::string Scope::typeOf(const TextValue &tensor) const {
  return typeText(tensor.shape,
                  dynamic && !llvm::is_contained(vectors, tensor.name));
}

TextValue Scope::store(Kind kind, const Shape &shape, int64_t denominator) {
  TextValue value = {fresh(), shape};
  vectors.push_back(value.name);
  stored.push_back({value, {kind, shape, denominator}});
  return value;
}

/// Each # of `op` is the next operand.
TextValue Scope::define(const Shape &shape, const std::string &op,
                        ArrayRef<TextValue> operands) {
  TextValue result = {fresh(), shape};
  text += result.name + " = grow.";
  std::vector<std::string> types;
  const TextValue *next = operands.begin();
  for (char character : op) {
    if (character != '#') {
      text += character;
      continue;
    }
    text += next->name;
    types.push_back(typeOf(*next++));
  }
  text += formatv(" : ({0}) -> {1}\n", llvm::join(types, ", "), typeOf(result));
  return result;
}

TextValue Scope::conv(const TextValue &x, std::array<int64_t, 2> kernel,
                      int64_t filters, const Window &window, Kind kind) {
  TextValue w =
      store(kind, {kernel[0], kernel[1], x.shape[3] / window.groups, filters});
  const std::array<int64_t, 2> once = {1, 1}, three = {3, 3};
  winograd |= kernel == three && window.stride == once &&
              window.dilation == once && window.groups == 1;
  auto extent = [&](int d) {
    int64_t covered = window.dilation[d] * (kernel[d] - 1) + 1;
    return (x.shape[1 + d] + window.padding[d] + window.padding[2 + d] -
            covered) /
               window.stride[d] +
           1;
  };
  std::string op = formatv(
      "conv2d #, # stride [{0}, {1}] padding [{2}, {3}, {4}, {5}] dilation "
      "[{6}, {7}]",
      window.stride[0], window.stride[1], window.padding[0], window.padding[1],
      window.padding[2], window.padding[3], window.dilation[0],
      window.dilation[1]);
  if (window.groups > 1)
    op += formatv(" groups {0}", window.groups);
  return define({x.shape[0], extent(0), extent(1), filters}, op, {x, w});
}

TextValue Scope::linear(const TextValue &x, int64_t features) {
  TextValue w = store(Kind::Grid, {x.shape[1], features});
  return define({x.shape[0], features}, "linear #, #", {x, w});
}

TextValue Scope::biasOf(const TextValue &x, const TextValue &vector) {
  return define(x.shape, "bias_add #, #", {x, vector});
}

TextValue Scope::bias(const TextValue &x, int64_t denominator) {
  return biasOf(x, store(Kind::Bias, {x.shape.back()}, denominator));
}

TextValue Scope::shift(const TextValue &x) {
  return biasOf(x, store(Kind::Zero, {x.shape.back()}));
}

TextValue Scope::channelScale(const TextValue &x) {
  return define(x.shape, "channel_scale #, #",
                {x, store(Kind::Grid, {x.shape.back()})});
}

TextValue Scope::batchNorm(const TextValue &x) {
  Shape channels = {x.shape.back()};
  TextValue scale = store(Kind::Positive, channels),
            shift = store(Kind::Bias, channels),
            mean = store(Kind::State, channels),
            variance = store(Kind::State, channels);
  return define(x.shape, "batch_norm #, #, #, #, # epsilon 1.0e-2",
                {x, scale, shift, mean, variance});
}

TextValue Scope::unary(const std::string &op, const TextValue &x) {
  TextValue result = {fresh(), x.shape};
  auto [before, after] = llvm::StringRef(op).split('#');
  text += formatv("{0} = grow.{1}{2}{3} : {4}\n", result.name, before, x.name,
                  after, typeOf(x));
  return result;
}

TextValue Scope::add(const TextValue &a, const TextValue &b) {
  return unary("add #, " + b.name, a);
}

TextValue Scope::pool(const std::string &op, const TextValue &x) {
  return define(
      x.shape, op + " # window [3, 3] stride [1, 1] padding [1, 1, 1, 1]", {x});
}

TextValue Scope::map(const std::string &reduction, ArrayRef<TextValue> inputs,
                     int64_t branches, Body body, const std::string &keep) {
  Scope inner(dynamic, names);
  llvm::SmallVector<TextValue> arguments;
  for (const TextValue &input : inputs) {
    arguments.push_back({fresh(), input.shape});
    if (llvm::is_contained(vectors, input.name))
      inner.vectors.push_back(arguments.back().name);
  }
  TextValue yielded = body(inner, arguments);
  winograd |= inner.winograd;
  std::vector<std::string> tuples;
  for (int64_t branch = 0; branch < branches; ++branch) {
    std::vector<std::string> tuple;
    for (const Named &named : inner.stored)
      tuple.push_back(
          store(named.stored.kind, named.stored.shape, named.stored.denominator)
              .name);
    tuples.push_back("(" + llvm::join(tuple, ", ") + ")");
  }
  for (const Named &named : inner.stored)
    arguments.push_back(named.value);
  auto inputNames = llvm::map_range(
      inputs, [](const TextValue &input) { return input.name; });
  auto argumentTexts =
      llvm::map_range(arguments, [&](const TextValue &argument) {
        return argument.name + ": " + inner.typeOf(argument);
      });
  TextValue result = {fresh(), yielded.shape};
  if (reduction == "concat")
    result.shape.back() *= branches;
  text += formatv("{0} = grow.map \"{1}\" {2} ({3}) over [{4}]{5} {{\n"
                  "^bb0({6}):\n{7}grow.yield {8} : {9}\n}\n",
                  result.name, llvm::StringRef(result.name).drop_front(),
                  reduction, llvm::join(inputNames, ", "),
                  llvm::join(tuples, ", "), keep.empty() ? "" : " keep " + keep,
                  llvm::join(argumentTexts, ", "), inner.text, yielded.name,
                  inner.typeOf(yielded));
  return result;
}

BranchNetwork::BranchNetwork(const BranchForm &form, const FormOptions &options,
                             int64_t batch, bool dynamic) {
  int names = 0;
  Scope scope(dynamic, names);
  Kind kind = form.offGrid ? Kind::Halves : Kind::Grid;
  llvm::SmallVector<TextValue> inputs;
  std::vector<std::string> signature, callNames, callTypes;
  auto addArgument = [&](const TextValue &argument, Kind kind) {
    arguments.push_back({kind, argument.shape});
    signature.push_back(argument.name + ": " + scope.typeOf(argument));
    callNames.push_back(argument.name);
    callTypes.push_back(scope.typeOf(argument));
  };
  for (const Shape &extents : form.inputs) {
    Shape shape = {batch};
    llvm::append_range(shape, extents);
    if (!dynamic) {
      inputs.push_back(scope.store(kind, shape));
      continue;
    }
    TextValue argument = {"%x" + std::to_string(inputs.size()), shape};
    addArgument(argument, kind);
    inputs.push_back(scope.shift(argument));
  }
  TextValue y = form.make(scope, inputs, options);
  winograd = scope.winograd;
  std::string declarations, reads;
  for (auto [i, named] : llvm::enumerate(scope.stored)) {
    bool state = named.stored.kind == Kind::State;
    std::string symbol = "s" + std::to_string(i),
                type = typeText(named.stored.shape, false);
    declarations +=
        formatv("grow.{0} @{1} : {2}{3} init(#grow.zero)\n",
                state ? "state" : "param", symbol, type, state ? "" : " in @g");
    reads +=
        formatv("{0} = grow.get @{1} : {2}\n", named.value.name, symbol, type);
    stored.push_back({symbol, named.stored});
  }
  std::string type = scope.typeOf(y),
              forwardSignature = llvm::join(signature, ", ");
  std::string call =
      formatv("func.call @forward({0}) : ({1})", llvm::join(callNames, ", "),
              llvm::join(callTypes, ", "));
  addArgument({"%target", y.shape}, Kind::Grid);
  text =
      formatv("grow.group @g {{optimizer = #grow.sgd, lr = 0.1}\n{0}"
              "func.func @forward({1}) -> {2} {{\n{3}{4}return {5} : {2}\n}\n"
              "func.func @loss({6}) -> tensor<f32> {{\n%y = {7} -> {2}\n"
              "%l = grow.mse %y, %target : ({2}, {2}) -> tensor<f32>\n"
              "return %l : tensor<f32>\n}\n",
              declarations, forwardSignature, type, reads, scope.text, y.name,
              llvm::join(signature, ", "), call);
}

llvm::SmallVector<ReferenceTensor>
BranchNetwork::drawInputs(Random &random) const {
  llvm::SmallVector<ReferenceTensor> inputs;
  for (const Stored &argument : arguments)
    inputs.push_back(argument.draw(random));
  return inputs;
}

//===----------------------------------------------------------------------===//
// Forms
//===----------------------------------------------------------------------===//

namespace {

using Inputs = ArrayRef<TextValue>;
using Options = FormOptions;
using OneBody = std::function<TextValue(Scope &, const TextValue &)>;

/// A map of one input and nothing after it.
BranchForm single(const char *name, Shape input, OneBody body,
                  const char *reduction = "sum") {
  return {name,
          {std::move(input)},
          [=](Scope &s, Inputs x, const Options &options) {
            return s.map(
                reduction, x, options.branches,
                [&](Scope &b, Inputs in) { return body(b, in[0]); },
                options.keep);
          }};
}

BranchForm offGrid(BranchForm form) {
  form.offGrid = true;
  return form;
}

/// conv 3x3, bias, activation.
OneBody convBias(int64_t filters, const std::string &activation) {
  return [=](Scope &b, const TextValue &in) {
    return b.unary(activation, b.bias(b.conv(in, 3, filters)));
  };
}

OneBody windowed(std::array<int64_t, 2> kernel, int64_t filters,
                 const Window &window) {
  return [=](Scope &b, const TextValue &in) {
    return b.relu(b.bias(b.conv(in, kernel, filters, window)));
  };
}

void addEpilogueForms(std::vector<BranchForm> &forms) {
  const Shape image = {5, 7, 8};
  forms.push_back(single("conv_bias_relu", {5, 7, 3}, convBias(8, "relu #")));
  forms.push_back(
      single("conv_bias_relu_one_channel", {6, 5, 1}, convBias(1, "relu #")));
  forms.push_back(
      single("conv_bias_relu_17", {9, 5, 17}, convBias(16, "relu #")));
  forms.push_back(
      single("conv_bias_relu_large", {13, 14, 8}, convBias(17, "relu #")));
  forms.push_back(
      single("leaky_relu", image, convBias(17, "leaky_relu # slope 0.25")));
  for (const char *smooth : {"gelu", "silu", "tanh", "sigmoid"})
    forms.push_back(
        single(smooth, image, convBias(8, std::string(smooth) + " #")));
  forms.push_back(
      offGrid(single("no_bias", image, [](Scope &b, const TextValue &in) {
        return b.relu(b.conv(in, 3, 8, Kind::OffGrid));
      })));
  forms.push_back(
      offGrid(single("scaled", image, [](Scope &b, const TextValue &in) {
        return b.relu(
            b.unary("scale # by -0.5", b.conv(in, 3, 8, Kind::OffGrid)));
      })));
  forms.push_back(
      single("relu_first", image, [](Scope &b, const TextValue &in) {
        return b.conv(b.relu(in), 3, 8);
      }));
  forms.push_back(
      single("gelu_first_relu_last", image, [](Scope &b, const TextValue &in) {
        return b.relu(b.bias(b.conv(b.unary("gelu #", in), 3, 8)));
      }));
  forms.push_back(
      single("learned_scale", image, [](Scope &b, const TextValue &in) {
        return b.channelScale(b.relu(b.bias(b.conv(in, 3, 16))));
      }));
  forms.push_back(
      single("linear_relu", {17}, [](Scope &b, const TextValue &in) {
        return b.relu(b.bias(b.linear(in, 8)));
      }));
  forms.push_back(
      single("linear_relu_wide", {64}, [](Scope &b, const TextValue &in) {
        return b.relu(b.bias(b.linear(in, 64)));
      }));
  forms.push_back(single("linear_gelu", {3}, [](Scope &b, const TextValue &in) {
    return b.unary("gelu #", b.bias(b.linear(in, 17)));
  }));
}

void addWindowForms(std::vector<BranchForm> &forms) {
  auto add = [&](const char *name, Shape input, OneBody body) {
    forms.push_back(single(name, std::move(input), std::move(body)));
  };
  add("window_1x1", {5, 7, 16}, windowed({1, 1}, 17, {}));
  add("window_5x5", {7, 6, 3}, windowed({5, 5}, 8, {{1, 1}, {2, 1, 0, 3}}));
  add("window_3x3_valid", {6, 7, 8}, windowed({3, 3}, 8, {}));
  add("strided", {9, 8, 8}, windowed({3, 3}, 16, {{2, 2}, {1, 1, 1, 1}}));
  add("dilated", {7, 9, 8},
      windowed({3, 3}, 8, {{1, 1}, {2, 1, 2, 1}, {2, 1}}));
  add("grouped", {5, 6, 6},
      windowed({3, 3}, 9, {{1, 1}, {1, 1, 1, 1}, {1, 1}, 3}));
}

void addJoinForms(std::vector<BranchForm> &forms) {
  const Shape image = {5, 7, 8};
  forms.push_back(single("mean", image, convBias(16, "relu #"), "mean"));
  forms.push_back(single("mean_gelu", image, convBias(8, "gelu #"), "mean"));
  forms.push_back(single("concat", image, convBias(8, "relu #"), "concat"));
  forms.push_back(
      single("concat_odd", {5, 4, 3}, convBias(3, "relu #"), "concat"));
  forms.push_back(
      single("concat_silu", image, convBias(8, "silu #"), "concat"));
}

/// What follows the map, or stands beside it.
void addNeighbourForms(std::vector<BranchForm> &forms) {
  const Shape image = {5, 7, 8};
  auto map = [](Scope &s, Inputs x, const Options &options, OneBody body) {
    return s.map(
        "sum", x, options.branches,
        [&](Scope &b, Inputs in) { return body(b, in[0]); }, options.keep);
  };
  forms.push_back(
      {"residual", {image}, [=](Scope &s, Inputs x, const Options &options) {
         TextValue y = map(s, x, options, convBias(8, "relu #"));
         return s.relu(s.add(s.bias(y, 64), x[0]));
       }});
  forms.push_back(
      {"then_bias", {image}, [=](Scope &s, Inputs x, const Options &options) {
         return s.bias(map(s, x, options, convBias(17, "relu #")));
       }});
  forms.push_back({"two_structures",
                   {image},
                   [=](Scope &s, Inputs x, const Options &options) {
                     TextValue a = map(s, x, options, convBias(8, "relu #"));
                     return s.add(a,
                                  map(s, x, options, windowed({1, 1}, 8, {})));
                   }});
  forms.push_back(
      {"two_equal", {image}, [=](Scope &s, Inputs x, const Options &options) {
         TextValue a = map(s, x, options, convBias(8, "relu #"));
         return s.add(a, map(s, x, options, convBias(8, "relu #")));
       }});
  forms.push_back(
      {"two_layers", {image}, [=](Scope &s, Inputs x, const Options &options) {
         TextValue a = map(s, x, options, convBias(8, "relu #"));
         TextValue b = s.unary("scale # by 0.125", a);
         return map(s, {b}, options, [](Scope &s, const TextValue &in) {
           return s.unary("tanh #", s.bias(s.conv(in, 3, 8)));
         });
       }});
  forms.push_back(
      {"shared_bias", {image}, [](Scope &s, Inputs x, const Options &options) {
         TextValue shared = s.store(Kind::Bias, {8});
         return s.map(
             "sum", {x[0], shared}, options.branches,
             [](Scope &b, Inputs in) {
               return b.relu(b.biasOf(b.conv(in[0], 3, 8), in[1]));
             },
             options.keep);
       }});
  forms.push_back({"two_inputs",
                   {image, image},
                   [](Scope &s, Inputs x, const Options &options) {
                     return s.map(
                         "sum", x, options.branches,
                         [](Scope &b, Inputs in) {
                           TextValue sum =
                               b.add(b.conv(in[0], 3, 8), b.conv(in[1], 1, 8));
                           return b.relu(b.bias(sum));
                         },
                         options.keep);
                   }});
}

/// Bodies that are no single contraction.
void addChainForms(std::vector<BranchForm> &forms) {
  const Shape image = {5, 6, 3};
  forms.push_back(
      single("conv_relu_conv", image, [](Scope &b, const TextValue &in) {
        return b.conv(b.relu(b.bias(b.conv(in, 3, 8))), 3, 5);
      }));
  forms.push_back(
      single("bottleneck", image, [](Scope &b, const TextValue &in) {
        TextValue x = b.relu(b.bias(b.conv(in, 1, 5)));
        x = b.relu(b.bias(b.conv(x, 3, 5), 256));
        return b.relu(b.bias(b.conv(x, 1, 8), 2048));
      }));
  forms.push_back(
      single("conv_norm_relu", image, [](Scope &b, const TextValue &in) {
        return b.relu(b.batchNorm(b.conv(in, 3, 8)));
      }));
  forms.push_back(single("max_pool", image, [](Scope &b, const TextValue &in) {
    return b.channelScale(b.pool("max_pool2d", in));
  }));
  forms.push_back(single("avg_pool", image, [](Scope &b, const TextValue &in) {
    return b.pool("avg_pool2d", in);
  }));
  forms.push_back(
      single("pool_conv_relu", image, [](Scope &b, const TextValue &in) {
        return b.relu(b.bias(b.conv(b.pool("max_pool2d", in), 1, 8)));
      }));
  forms.push_back(single("identity", image,
                         [](Scope &, const TextValue &in) { return in; }));
  forms.push_back(
      single("scaled_identity", image,
             [](Scope &b, const TextValue &in) { return b.channelScale(in); }));
  forms.push_back(single("nested", image, [](Scope &b, const TextValue &in) {
    TextValue inner = b.map("sum", {in}, 2, [](Scope &c, Inputs x) {
      return c.relu(c.bias(c.conv(x[0], 3, 4)));
    });
    return b.unary("tanh #", b.bias(inner));
  }));
  // Computed again for its bits alone: no gradient reads the sum.
  forms.push_back(
      single("nested_alone", image, [](Scope &b, const TextValue &in) {
        return b.map("sum", {in}, 2, [](Scope &c, Inputs x) {
          return c.relu(c.bias(c.conv(x[0], 3, 4)));
        });
      }));
}

std::vector<BranchForm> makeForms() {
  std::vector<BranchForm> forms;
  addEpilogueForms(forms);
  addWindowForms(forms);
  addJoinForms(forms);
  addNeighbourForms(forms);
  addChainForms(forms);
  return forms;
}

} // namespace

const std::vector<BranchForm> &cambium::conformance::branchForms() {
  static const std::vector<BranchForm> all = makeForms();
  return all;
}
