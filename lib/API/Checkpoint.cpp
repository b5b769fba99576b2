//===- Checkpoint.cpp - Trainers in files ---------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Checkpoint.h"

#include "Growth.h"
#include "NetworkImpl.h"

#include "cambium/IR/Grow.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

#include <algorithm>
#include <cassert>
#include <charconv>
#include <nlohmann/json.hpp>

using namespace cambium;
using namespace cambium::internal;
using Json = nlohmann::ordered_json;

namespace {

const char *const version = "1";
const char *const versionKey = "cambium.version";
const char *const networkKey = "cambium.network";
const char *const seedKey = "cambium.seed";
const char *const stepsKey = "cambium.steps";
const std::string notePrefix = "note.";

/// What PyTorch calls the buffers of an optimizer, in the store's order.
std::vector<const char *>
stateNames(const std::variant<Sgd, AdamW> &optimizer) {
  if (auto *sgd = std::get_if<Sgd>(&optimizer))
    return sgd->momentum != 0.0f ? std::vector<const char *>{"momentum_buffer"}
                                 : std::vector<const char *>{};
  return {"exp_avg", "exp_avg_sq"};
}

std::string stateName(const std::string &parameter, const char *state) {
  return "optimizer/" + parameter + "/" + state;
}

/// to[c][b][a] = from[a][b][c].
void reverseAxes(const float *from, int64_t a, int64_t b, int64_t c,
                 float *to) {
  for (int64_t i = 0; i < a; ++i)
    for (int64_t j = 0; j < b; ++j)
      for (int64_t k = 0; k < c; ++k)
        to[(k * b + j) * a + i] = *from++;
}

/// A shape as three extents: the last two axes, and all others as one.
struct Extents {
  explicit Extents(const std::vector<int64_t> &shape) {
    size_t rank = shape.size();
    for (size_t i = 0; i < rank; ++i)
      (i + 2 < rank ? a : i + 2 == rank ? b : c) *= shape[i];
  }
  int64_t a = 1, b = 1, c = 1;
};

SafetensorsItem itemOf(std::string name, const std::vector<int64_t> &shape,
                       const Block &block) {
  return {std::move(name), fileShape(shape), [&shape, &block](float *to) {
            std::vector<float> values(block.size());
            block.read(values.data());
            toFileLayout(shape, values.data(), to);
          }};
}

std::string describe(const std::vector<int64_t> &shape) {
  std::string text = "[";
  for (int64_t extent : shape)
    text += (text.size() > 1 ? ", " : "") + std::to_string(extent);
  return text + "]";
}

} // namespace

std::vector<int64_t> internal::fileShape(const std::vector<int64_t> &shape) {
  std::vector<int64_t> there = shape;
  size_t rank = shape.size();
  if (rank >= 2) {
    std::rotate(there.begin(), there.end() - 2, there.end());
    std::swap(there[0], there[1]);
  }
  return there;
}

void internal::toFileLayout(const std::vector<int64_t> &shape,
                            const float *from, float *to) {
  Extents extents(shape);
  reverseAxes(from, extents.a, extents.b, extents.c, to);
}

void internal::fromFileLayout(const std::vector<int64_t> &shape,
                              const float *from, float *to) {
  Extents extents(shape);
  reverseAxes(from, extents.c, extents.b, extents.a, to);
}

void internal::saveCheckpoint(const std::string &path, mlir::ModuleOp network,
                              const ParameterStore &store, uint64_t seed,
                              const std::map<std::string, std::string> &notes) {
  std::vector<SafetensorsItem> items, states;
  Json steps = Json::object();
  for (mlir::Operation &op : *network.getBody()) {
    if (!mlir::isa<grow::ParamOp, grow::StateOp>(op))
      continue;
    std::string name = mlir::SymbolTable::getSymbolName(&op).str();
    const StoredTensor &tensor = *store.find(name);
    items.push_back(itemOf(name, tensor.shape, *tensor.values));
    if (tensor.kind != StoredTensor::Kind::Parameter)
      continue;
    steps[name] = tensor.steps;
    std::vector<const char *> names =
        stateNames(store.findGroup(tensor.group)->optimizer);
    assert(names.size() == tensor.state.size() && "the store's rule");
    for (size_t i = 0; i < names.size(); ++i)
      states.push_back(
          itemOf(stateName(name, names[i]), tensor.shape, *tensor.state[i]));
  }
  std::move(states.begin(), states.end(), std::back_inserter(items));
  using Replace = Json::error_handler_t;
  std::map<std::string, std::string> metadata = {
      // As other tools name the layout of weights that PyTorch has.
      {"format", "pt"},
      {versionKey, version},
      {networkKey, printModule(network)},
      {seedKey, std::to_string(seed)},
      {stepsKey, steps.dump(-1, ' ', false, Replace::replace)}};
  for (const auto &[key, text] : notes)
    metadata.emplace(notePrefix + key, text);
  writeSafetensors(path, metadata, items);
}

Checkpoint::Checkpoint(const std::string &path) : file(path) {
  if (!file.metadata().count(versionKey))
    file.fail("it has no '" + std::string(versionKey) +
              "' in its metadata, so it is no checkpoint of Cambium");
  if (text(versionKey) != version)
    file.fail("it is a checkpoint of version " + text(versionKey) +
              "; this build of Cambium reads version " + version);
  const std::string &digits = text(seedKey);
  auto [end, error] = std::from_chars(
      digits.data(), digits.data() + digits.size(), seedOfValues);
  if (error != std::errc() || end != digits.data() + digits.size())
    file.fail("'" + std::string(seedKey) + "' is no number");
  for (const auto &[key, value] : file.metadata())
    if (key.rfind(notePrefix, 0) == 0)
      texts.emplace(key.substr(notePrefix.size()), value);
  try {
    parsed = std::make_shared<Network>(
        Network::parse(text(networkKey), path + " (network)"));
  } catch (const Error &error) {
    std::vector<Diagnostic> all = error.diagnostics();
    all.insert(all.begin(), {Diagnostic::Severity::Error, "",
                             "cannot use the network in '" + path + "'"});
    throw Error(all);
  }
  readSteps();
  checkTensors();
}

const std::string &Checkpoint::text(const char *key) const {
  auto found = file.metadata().find(key);
  if (found == file.metadata().end())
    file.fail("'" + std::string(key) + "' is missing in its metadata");
  return found->second;
}

void Checkpoint::readSteps() {
  Json json = Json::parse(text(stepsKey), nullptr, /*allow_exceptions=*/false);
  std::vector<ParameterInfo> parameters = parsed->parameters();
  for (const ParameterInfo &parameter : parameters) {
    auto count = json.is_object() ? json.find(parameter.name) : json.end();
    if (count == json.end() || !count->is_number_unsigned() ||
        count->get<uint64_t>() > INT64_MAX)
      file.fail("'" + std::string(stepsKey) +
                "' has no number of updates of '" + parameter.name + "'");
    steps[parameter.name] = count->get<int64_t>();
  }
}

void Checkpoint::checkTensors() const {
  llvm::StringSet<> expected;
  auto expect = [&](const std::string &name, llvm::ArrayRef<int64_t> shape) {
    expected.insert(name);
    auto found = file.tensors().find(name);
    if (found == file.tensors().end())
      file.fail("tensor '" + name + "' of its network is missing");
    std::vector<int64_t> there = fileShape(shape.vec());
    if (found->second.shape != there)
      file.fail("tensor '" + name + "' has shape " +
                describe(found->second.shape) + "; its network needs " +
                describe(there));
  };
  mlir::ModuleOp module(*parsed->get().module);
  for (auto param : module.getOps<grow::ParamOp>()) {
    std::string name = param.getSymName().str();
    llvm::ArrayRef<int64_t> shape = param.getTensorType().getShape();
    expect(name, shape);
    auto group = module.lookupSymbol<grow::GroupOp>(param.getGroup());
    for (const char *state : stateNames(optionsOf(group).optimizer))
      expect(stateName(name, state), shape);
  }
  for (auto state : module.getOps<grow::StateOp>())
    expect(state.getSymName().str(), state.getTensorType().getShape());
  for (const auto &[name, tensor] : file.tensors())
    if (!expected.contains(name))
      file.fail("tensor '" + name + "' is none of its network's");
}

void Checkpoint::restore(ParameterStore &store) const {
  std::vector<float> values;
  auto read = [&](const std::string &name, const std::vector<int64_t> &shape,
                  Block &to) {
    values.resize(to.size());
    file.read(file.tensors().at(name), values.data());
    to.fill([&](float *out) { fromFileLayout(shape, values.data(), out); });
  };
  for (const auto &[name, known] : store.tensors()) {
    if (known.kind == StoredTensor::Kind::Derived)
      continue;
    StoredTensor &tensor = *store.find(name);
    read(name, tensor.shape, *tensor.values);
    if (tensor.kind != StoredTensor::Kind::Parameter)
      continue;
    tensor.steps = steps.at(name);
    std::vector<const char *> names =
        stateNames(store.findGroup(tensor.group)->optimizer);
    for (size_t i = 0; i < names.size(); ++i)
      read(stateName(name, names[i]), tensor.shape, *tensor.state[i]);
  }
  store.refreshDerived();
}
