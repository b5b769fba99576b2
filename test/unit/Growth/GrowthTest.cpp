//===- GrowthTest.cpp - Growth keeps what networks compute ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Networks with random values are run by the reference before a growth and
// after it, with the values that the growth carries over.
//
//===----------------------------------------------------------------------===//

#include "../../Trials.h"
#include "../Reference/ReferenceFixture.h"

#include "cambium/Growth/Rewrites.h"

#include "llvm/Support/FormatVariadic.h"

#include <fstream>
#include <functional>
#include <map>

using namespace cambium;

namespace {

using Growth =
    std::function<mlir::LogicalResult(mlir::ModuleOp, grow::Carry &)>;

ReferenceTensor randomTensor(const Shape &shape, std::mt19937 &random,
                             double low = -1.0) {
  ReferenceTensor result(shape);
  std::uniform_real_distribution<double> values(low, 1.0);
  for (double &value : result.data)
    value = values(random);
  return result;
}

class GrowthTest : public ReferenceFixture {
protected:
  /// Takes a network, and gives it random values.
  void start(const std::string &text, unsigned seed = 1) {
    random.seed(seed);
    ASSERT_TRUE(load(text));
    values.clear();
    for (mlir::Operation &op : *module->getBody()) {
      auto param = mlir::dyn_cast<grow::ParamOp>(op);
      auto state = mlir::dyn_cast<grow::StateOp>(op);
      if (!param && !state)
        continue;
      Shape shape(
          (param ? param.getTensorType() : state.getTensorType()).getShape());
      std::string name = mlir::SymbolTable::getSymbolName(&op).str();
      values[name] = randomTensor(shape, random, state ? 0.1 : -1.0);
    }
    setValues(*interpreter, values);
    auto forward = module->lookupSymbol<mlir::func::FuncOp>("forward");
    ASSERT_TRUE(forward);
    inputs.clear();
    for (mlir::Type type : forward.getArgumentTypes()) {
      Shape shape(mlir::cast<mlir::RankedTensorType>(type).getShape());
      shape.front() = 2;
      inputs.push_back(randomTensor(shape, random));
    }
    before = call("forward", inputs);
    ASSERT_EQ(before.size(), 1u);
  }

  /// Grows; old values stay and carried ones are taken over. False, and nothing
  /// has changed, if the growth does not fit.
  bool tryToGrow(const Growth &growth) {
    mlir::OwningOpRef<mlir::ModuleOp> clone(module->clone());
    grow::Carry carry(&context);
    if (mlir::failed(growth(*clone, carry)))
      return false;
    module = std::move(clone);
    std::map<std::string, ReferenceTensor> grown = carriedBy(carry);
    auto created = ReferenceInterpreter::create(*module);
    EXPECT_TRUE(mlir::succeeded(created)) << diagnostics;
    interpreter.emplace(std::move(*created));
    std::map<std::string, ReferenceTensor> next;
    for (mlir::Operation &op : *module->getBody()) {
      if (!mlir::isa<grow::ParamOp, grow::StateOp>(op))
        continue;
      std::string name = mlir::SymbolTable::getSymbolName(&op).str();
      if (grown.count(name))
        next[name] = grown[name];
      else if (values.count(name))
        next[name] = values[name];
      else
        next[name] = interpreter->variable(name)->value;
    }
    values = next;
    setValues(*interpreter, values);
    return true;
  }

  void grow(const Growth &growth) {
    ASSERT_TRUE(tryToGrow(growth)) << diagnostics;
  }

  void expectSame(double tolerance = 1e-10) {
    Tensors after = call("forward", inputs);
    ASSERT_EQ(after.size(), 1u);
    ASSERT_EQ(after[0].shape, before[0].shape);
    double scale = 1.0;
    for (double value : before[0].data)
      scale = std::max(scale, std::abs(value));
    expectNear(after[0].data, before[0].data, tolerance * scale);
  }

  std::string text() {
    std::string result;
    llvm::raw_string_ostream stream(result);
    module->print(stream);
    return result;
  }

  std::mt19937 random;
  Tensors inputs, before;
  std::map<std::string, ReferenceTensor> values;

private:
  void setValues(ReferenceInterpreter &of,
                 const std::map<std::string, ReferenceTensor> &to) {
    for (const auto &[name, value] : to)
      ASSERT_TRUE(mlir::succeeded(of.setValue(name, value))) << name;
  }

  std::map<std::string, ReferenceTensor> carriedBy(grow::Carry &carry) {
    std::map<std::string, ReferenceTensor> carried;
    if (carry.isEmpty())
      return carried;
    mlir::OwningOpRef<mlir::ModuleOp> holder =
        mlir::ModuleOp::create(mlir::UnknownLoc::get(&context));
    mlir::func::FuncOp function = carry.take("carry").release();
    holder->push_back(function);
    auto made = ReferenceInterpreter::create(*holder);
    Tensors arguments;
    for (unsigned i = 0; i < function.getNumArguments(); ++i)
      arguments.push_back(values.at(
          function.getArgAttrOfType<mlir::StringAttr>(i, grow::carryFromMark)
              .str()));
    auto results = made->call("carry", arguments);
    EXPECT_TRUE(mlir::succeeded(results)) << diagnostics;
    for (auto [i, result] : llvm::enumerate(*results))
      carried[function
                  .getResultAttrOfType<mlir::StringAttr>(i, grow::carryToMark)
                  .str()] = result;
    return carried;
  }
};

std::string readNetwork(const std::string &name) {
  std::ifstream file(CAMBIUM_TEST_DIR "/../../networks/" + name);
  EXPECT_TRUE(file) << name;
  return {std::istreambuf_iterator<char>(file), {}};
}

//===----------------------------------------------------------------------===//
// Branches
//===----------------------------------------------------------------------===//

TEST_F(GrowthTest, BranchesOfZeroComputeTheSame) {
  start(readNetwork("branches.mlir"));
  grow([](mlir::ModuleOp module, grow::Carry &carry) {
    return grow::addBranches(module, {"linear", 3, "adam"}, carry);
  });
  expectSame();
}

TEST_F(GrowthTest, BranchesComeAndGo) {
  start(readNetwork("branches.mlir"));
  std::map<std::string, ReferenceTensor> old = values;
  grow([](mlir::ModuleOp module, grow::Carry &carry) {
    return grow::addBranches(module, {"rectified", 2, "adam", Init::copy(3)},
                             carry);
  });
  EXPECT_EQ(values.size(), old.size() + 6);
  grow([](mlir::ModuleOp module, grow::Carry &) {
    return grow::removeBranches(module, {"rectified", {9, 8}});
  });
  EXPECT_EQ(values.size(), old.size());
  expectSame(0.0);
}

TEST_F(GrowthTest, MergedBranchesComputeTheSame) {
  struct {
    const char *network, *map;
  } cases[] = {{"resnet.mlir", "block"},
               {"branches.mlir", "linear"},
               {"inception.mlir", "sizes3"},
               {"inception.mlir", "sizes1"},
               {"inception.mlir", "sizes5"}};
  for (const auto &[network, map] : cases) {
    SCOPED_TRACE(map);
    start(readNetwork(network));
    grow([map = map](mlir::ModuleOp module, grow::Carry &carry) {
      return grow::mergeBranches(module, {map}, carry);
    });
    expectSame();
    // The map can grow again; a mean changes by that.
    grow([map = map](mlir::ModuleOp module, grow::Carry &carry) {
      auto group = *module.getOps<grow::GroupOp>().begin();
      return grow::addBranches(module, {map, 1, group.getSymName().str()},
                               carry);
    });
    if (map != std::string("sizes1"))
      expectSame();
  }
}

TEST_F(GrowthTest, WindowsMergeToTheLargest) {
  start(readNetwork("resnet.mlir"));
  for (int64_t window : {5, 1}) {
    grow([&](mlir::ModuleOp module, grow::Carry &carry) {
      return grow::addBranches(
          module, {"block", 2, "base", Init::kaiming(), {{window, window}}},
          carry);
    });
  }
  before = call("forward", inputs);
  grow([](mlir::ModuleOp module, grow::Carry &carry) {
    return grow::mergeBranches(module, {"block"}, carry);
  });
  expectSame();
  EXPECT_EQ(values.at("block.merged.w").shape, (Shape{5, 5, 8, 17}));
}

TEST_F(GrowthTest, LargerFiltersComputeTheSame) {
  start(readNetwork("resnet.mlir"));
  // One branch goes to a map of its own; then all that are left change.
  grow([](mlir::ModuleOp module, grow::Carry &carry) {
    return grow::replaceFilterSize(module, {"block", {5, 3}, {1}}, carry);
  });
  expectSame();
  grow([](mlir::ModuleOp module, grow::Carry &carry) {
    return grow::replaceFilterSize(module, {"block", {5, 5}}, carry);
  });
  expectSame();
  EXPECT_EQ(values.at("block.1.w.1").shape, (Shape{5, 3, 8, 17}));
  EXPECT_EQ(values.at("block.2.w.1").shape, (Shape{5, 5, 8, 17}));
  EXPECT_FALSE(values.count("block.0.w"));
  // Back again: the border was zero.
  grow([](mlir::ModuleOp module, grow::Carry &carry) {
    return grow::replaceFilterSize(module, {"block", {3, 3}}, carry);
  });
  expectSame();
}

//===----------------------------------------------------------------------===//
// Layers
//===----------------------------------------------------------------------===//

TEST_F(GrowthTest, InsertedLayersComputeTheSame) {
  struct {
    const char *network, *after, *group;
  } cases[] = {{"resnet.mlir", "stem.w", "base"},
               {"resnet.mlir", "block", "base"},
               {"resnet.mlir", "head.w", "base"},
               {"branches.mlir", "rectified", "adam"},
               {"inception.mlir", "chain", "adam"}};
  for (const auto &[network, after, group] : cases) {
    SCOPED_TRACE(after);
    start(readNetwork(network));
    grow([after = after, group = group](mlir::ModuleOp module, grow::Carry &) {
      return grow::insertLayer(module, {after, "deeper", group});
    });
    expectSame();
    EXPECT_NE(text().find("grow.map \"deeper\""), std::string::npos);
  }
}

TEST_F(GrowthTest, WidenedLayersComputeTheSame) {
  struct {
    const char *network, *layer, *group;
  } cases[] = {// Norms, a residual sum whose other side stays narrow.
               {"resnet.mlir", "stem.w", "base"},
               {"resnet.mlir", "a1.w", "base"},
               {"resnet.mlir", "a2.w", "base"},
               {"resnet.mlir", "b2.w", "base"},
               {"resnet.mlir", "short.w", "base"},
               // All branches of a map.
               {"resnet.mlir", "block", "base"},
               // Branches that take more channels in, flattened images.
               {"branches.mlir", "linear", "adam"},
               // The other side of a sum, which has zeros by then.
               {"branches.mlir", "rectified", "adam"},
               // What an activation and flattened images follow.
               {"inception.mlir", "chain", "adam"}};
  for (const auto &[network, layer, group] : cases) {
    SCOPED_TRACE(layer);
    start(readNetwork(network));
    size_t old = values.size();
    for (int64_t count : {3, 1}) {
      grow([layer = layer, group = group, count](mlir::ModuleOp module,
                                                 grow::Carry &carry) {
        return grow::widen(module, {layer, count, group}, carry);
      });
      if (HasFatalFailure())
        return;
      expectSame();
    }
    EXPECT_GT(values.size(), old);
  }
}

TEST_F(GrowthTest, SplitNeuronsComputeTheSame) {
  struct {
    const char *network, *layer, *group;
  } cases[] = {
      {"resnet.mlir", "stem.w", "base"},   {"resnet.mlir", "a1.w", "base"},
      {"resnet.mlir", "block", "base"},    {"resnet.mlir", "b2.w", "base"},
      {"branches.mlir", "linear", "adam"}, {"inception.mlir", "chain", "adam"}};
  for (const auto &[network, layer, group] : cases) {
    SCOPED_TRACE(layer);
    start(readNetwork(network));
    grow([layer = layer, group = group](mlir::ModuleOp module,
                                        grow::Carry &carry) {
      return grow::splitNeurons(module, {layer, {4, 1}, group}, carry);
    });
    expectSame();
  }
}

/// A random network of layers, each of which reads what came before.
class NetworkWriter {
public:
  explicit NetworkWriter(unsigned seed) : random(seed) {}

  std::string write() {
    value("x", 3);
    int layers = draw(3, 6);
    for (int i = 0; i < layers; ++i)
      layer();
    finish();
    return declarations + "func.func @forward(%x: " + image(3) +
           ") -> tensor<?x4xf32> {\n" + body + "}\n";
  }

  /// The filters of the network's layers.
  std::vector<std::string> filters;

private:
  int draw(int low, int high) {
    return std::uniform_int_distribution<int>(low, high)(random);
  }
  static std::string image(int64_t channels) {
    return llvm::formatv("tensor<?x{0}x{1}x{2}xf32>", height, width, channels);
  }
  void value(const std::string &name, int64_t channels) {
    last = "%" + name;
    lastChannels = channels;
    all.emplace_back(last, channels);
  }
  std::string fresh() { return "v" + std::to_string(next++); }
  std::string get(const std::string &type, const char *declared = "param") {
    std::string name = fresh();
    declarations += llvm::formatv(
        "grow.{0} @{1} : {2}{3} init(#grow.zero)\n", declared, name, type,
        declared == std::string("param") ? " in @g" : "");
    body += llvm::formatv("  %{0} = grow.get @{0} : {1}\n", name, type);
    return "%" + name;
  }

  void layer() {
    switch (draw(0, 7)) {
    case 0:
      return normalise();
    case 1:
      return shortcut();
    case 2:
      return concatenate();
    case 3:
      return map();
    case 4:
      return pool();
    default:
      return convolve();
    }
  }

  void convolve() {
    int64_t window = 1 + 2 * draw(0, 1), filtersOut = draw(1, 5);
    std::string type = llvm::formatv("tensor<{0}x{0}x{1}x{2}xf32>", window,
                                     lastChannels, filtersOut);
    std::string weight = get(type), conv = fresh(), name = fresh();
    filters.push_back(weight.substr(1));
    body += llvm::formatv("  %{0} = grow.conv2d {1}, {2} padding [{3}, {3}] : "
                          "({4}, {5}) -> {6}\n",
                          conv, last, weight, window / 2, image(lastChannels),
                          type, image(filtersOut));
    body +=
        llvm::formatv("  %{0} = grow.{1} %{2} : {3}\n", name,
                      draw(0, 1) ? "relu" : "tanh", conv, image(filtersOut));
    value(name, filtersOut);
  }

  void normalise() {
    std::string vector = llvm::formatv("tensor<{0}xf32>", lastChannels);
    std::string scale = get(vector), shift = get(vector);
    std::string mean = get(vector, "state"), variance = get(vector, "state");
    std::string name = fresh(), type = image(lastChannels);
    body +=
        llvm::formatv("  %{0} = grow.batch_norm {1}, {2}, {3}, {4}, {5} "
                      "inference : ({6}, {7}, {7}, {7}, {7}) -> {6}\n",
                      name, last, scale, shift, mean, variance, type, vector);
    value(name, lastChannels);
  }

  void shortcut() {
    for (const auto &[other, channels] : all)
      if (channels == lastChannels && other != last) {
        std::string name = fresh();
        body += llvm::formatv("  %{0} = grow.add {1}, {2} : {3}\n", name, last,
                              other, image(channels));
        return value(name, channels);
      }
    convolve();
  }

  void concatenate() {
    auto [other, channels] = all[draw(0, all.size() - 1)];
    std::string name = fresh();
    int64_t sum = lastChannels + channels;
    body += llvm::formatv("  %{0} = grow.concat {1}, {2} : ({3}, {4}) -> {5}\n",
                          name, other, last, image(channels),
                          image(lastChannels), image(sum));
    value(name, sum);
  }

  void pool() {
    std::string name = fresh(), type = image(lastChannels);
    body += llvm::formatv("  %{0} = grow.{1}_pool2d {2} window [3, 3] stride "
                          "[1, 1] padding [1, 1] : ({3}) -> {3}\n",
                          name, draw(0, 1) ? "max" : "avg", last, type);
    value(name, lastChannels);
  }

  void map() {
    int64_t filtersOut = draw(1, 3), branches = draw(1, 3);
    bool concat = draw(0, 1), rectified = draw(0, 1);
    std::string type =
        llvm::formatv("tensor<3x3x{0}x{1}xf32>", lastChannels, filtersOut);
    std::string tuples;
    for (int64_t i = 0; i < branches; ++i)
      tuples += (i ? ", (" : "(") + get(type) + ")";
    std::string name = fresh(), out = image(filtersOut);
    filters.push_back("map." + name);
    body += llvm::formatv(
        "  %{0} = grow.map \"map.{0}\" {1} ({2}) over [{3}] {{\n  ^bb0(%in: "
        "{4}, %w: {5}):\n    %c = grow.conv2d %in, %w padding [1, 1] : ({4}, "
        "{5}) -> {6}\n    %r = grow.{7} : {6}\n    grow.yield %r : {6}\n  }\n",
        name, concat ? "concat" : "sum", last, tuples, image(lastChannels),
        type, out, rectified ? "relu %c" : "scale %c by 0.5");
    value(name, concat ? filtersOut * branches : filtersOut);
  }

  void finish() {
    bool flat = draw(0, 1);
    int64_t features = flat ? height * width * lastChannels : lastChannels;
    std::string type = llvm::formatv("tensor<{0}x4xf32>", features);
    std::string weight = get(type);
    std::string rows = llvm::formatv("tensor<?x{0}xf32>", features);
    body += llvm::formatv("  %flat = grow.{0} {1} : ({2}) -> {3}\n",
                          flat ? "flatten" : "global_avg_pool", last,
                          image(lastChannels), rows);
    body += llvm::formatv("  %out = grow.linear %flat, {0} : ({1}, {2}) -> "
                          "tensor<?x4xf32>\n  return %out : tensor<?x4xf32>\n",
                          weight, rows, type);
  }

  static constexpr int64_t height = 4, width = 3;
  std::mt19937 random;
  std::string declarations =
      "grow.group @g {optimizer = #grow.sgd, lr = 0.1}\n";
  std::string body, last;
  int64_t lastChannels = 0;
  std::vector<std::pair<std::string, int64_t>> all;
  int next = 0;
};

/// A growth that keeps what the network computes, if it fits.
Growth randomGrowth(const std::string &layer, int64_t number,
                    std::mt19937 &random) {
  bool isMap = layer.find("map.") == 0;
  unsigned kind = random() % (isMap ? 6 : 3), size = 1 + random() % 3;
  return [=](mlir::ModuleOp module, grow::Carry &carry) {
    switch (kind) {
    case 0:
      return grow::insertLayer(module,
                               {layer, "deeper" + std::to_string(number), "g"});
    case 1:
      return grow::splitNeurons(module, {layer, {size - 1}, "g"}, carry);
    case 2:
      return grow::widen(module, {layer, size, "g"}, carry);
    case 3:
      return grow::replaceFilterSize(module, {layer, {5, 3}}, carry);
    case 4:
      return grow::mergeBranches(module, {layer}, carry);
    default:
      return grow::addBranches(module, {layer, size, "g"}, carry);
    }
  };
}

TEST_F(GrowthTest, RandomNetworksGrowAndComputeTheSame) {
  int tried = 0, grown = 0;
  for (unsigned seed = 0; seed < test::trials(400); ++seed) {
    NetworkWriter writer(seed);
    std::string network = writer.write();
    SCOPED_TRACE("seed " + std::to_string(seed) + "\n" + network);
    start(network, seed);
    if (writer.filters.empty())
      continue;
    for (int growths = 0; growths < 4; ++growths, ++tried) {
      std::string layer = writer.filters[random() % writer.filters.size()];
      SCOPED_TRACE(layer);
      grown += tryToGrow(randomGrowth(layer, growths, random));
      expectSame();
    }
    if (HasFailure())
      return;
  }
  // Rectified branches do not merge, concatenations do not take more branches,
  // and rows of several parameters are not shared out.
  EXPECT_GT(grown, tried * 2 / 3);
}

} // namespace
