//===- ParameterStore.cpp - Parameters that never move --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/ParameterStore.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <new>

using namespace cambium;

/// Floats that update kernels read of a parameter.
static constexpr int64_t kRates = 8;
/// Parameters whose rates are uploaded together.
static constexpr int64_t kRatesOfTable = 256;

/// Rates of many parameters, each at an aligned place: what kernels read, and
/// the copy that this process writes.
struct ParameterStore::RateTable {
  RateTable(Memory &memory, int64_t stride)
      : read(kRatesOfTable * stride, memory),
        written(memory.isHost() ? 0 : kRatesOfTable * stride) {}

  Block read;
  /// Empty where this process writes to the device's memory.
  std::vector<float> written;
  /// Places that parameters had, from the first on.
  int64_t used = 0;
};

static int64_t ratesStride(const Memory &memory) {
  return std::max<int64_t>(kRates, memory.alignment() / sizeof(float));
}

ParameterStore::ParameterStore(Memory &memory) : memory(&memory) {}
ParameterStore::ParameterStore(ParameterStore &&) = default;
ParameterStore::~ParameterStore() = default;

/// Buffers of a parameter's size that an optimizer keeps for it.
static int64_t stateCount(const std::variant<Sgd, AdamW> &optimizer) {
  if (auto *sgd = std::get_if<Sgd>(&optimizer))
    return sgd->momentum != 0.0f ? 1 : 0;
  return 2;
}

StoredTensor *ParameterStore::find(const std::string &name) {
  auto entry = all.find(name);
  return entry == all.end() ? nullptr : &entry->second;
}

const StoredTensor *ParameterStore::find(const std::string &name) const {
  return const_cast<ParameterStore *>(this)->find(name);
}

StoredTensor &ParameterStore::add(const std::string &name,
                                  StoredTensor::Kind kind,
                                  std::vector<int64_t> shape,
                                  const std::string &group) {
  assert(!find(name) && "symbols are unique");
  StoredTensor tensor;
  tensor.kind = kind;
  tensor.group = group;
  int64_t elements = 1;
  for (int64_t extent : shape)
    if (__builtin_mul_overflow(elements, extent, &elements))
      throw std::bad_array_new_length();
  tensor.shape = std::move(shape);
  tensor.values = std::make_unique<Block>(elements, *memory);
  if (kind == StoredTensor::Kind::Parameter) {
    for (int64_t i = 0; i < stateCount(groups.at(group).optimizer); ++i)
      tensor.state.push_back(std::make_unique<Block>(elements, *memory));
    placeRates(tensor);
  }
  return all.emplace(name, std::move(tensor)).first->second;
}

void ParameterStore::placeRates(StoredTensor &parameter) {
  int64_t stride = ratesStride(*memory);
  if (freeRates.empty()) {
    rates.push_back(std::make_unique<RateTable>(*memory, stride));
    for (int64_t i = kRatesOfTable; i > 0; --i)
      freeRates.push_back((rates.size() - 1) * kRatesOfTable + i - 1);
  }
  parameter.ratesPlace = freeRates.back();
  freeRates.pop_back();
  RateTable &table = *rates[parameter.ratesPlace / kRatesOfTable];
  int64_t place = parameter.ratesPlace % kRatesOfTable;
  table.used = std::max(table.used, place + 1);
  parameter.rates = table.read.data() + place * stride;
  parameter.nextRates = memory->isHost()
                            ? parameter.rates
                            : table.written.data() + place * stride;
  std::fill_n(parameter.nextRates, kRates, 0.0f);
}

void ParameterStore::uploadRates() {
  if (memory->isHost())
    return;
  for (const auto &table : rates)
    memory->upload(table->read.data(), table->written.data(),
                   table->used * ratesStride(*memory) * sizeof(float));
}

void ParameterStore::remove(const std::string &name) {
  auto entry = all.find(name);
  if (entry == all.end())
    return;
  if (entry->second.rates)
    freeRates.push_back(entry->second.ratesPlace);
  all.erase(entry);
}

void ParameterStore::replaceDerived(ParameterStore &&made) {
  for (auto entry = all.begin(); entry != all.end();)
    entry = entry->second.kind == StoredTensor::Kind::Derived
                ? all.erase(entry)
                : std::next(entry);
  all.merge(made.all);
  refreshDerived();
}

GroupOptions *ParameterStore::findGroup(const std::string &name) {
  auto entry = groups.find(name);
  return entry == groups.end() ? nullptr : &entry->second;
}

const GroupOptions *ParameterStore::findGroup(const std::string &name) const {
  return const_cast<ParameterStore *>(this)->findGroup(name);
}

GroupOptions &ParameterStore::addGroup(const GroupOptions &group) {
  assert(!findGroup(group.name) && "symbols are unique");
  return groups.emplace(group.name, group).first->second;
}

void ParameterStore::prepareUpdate(StoredTensor &parameter) {
  const GroupOptions &group = groups.at(parameter.group);
  float *rates = parameter.nextRates;
  ++parameter.steps;
  rates[0] = group.learningRate;
  rates[1] = group.weightDecay;
  if (auto *sgd = std::get_if<Sgd>(&group.optimizer)) {
    rates[2] = sgd->momentum;
    return;
  }
  const auto &adamw = std::get<AdamW>(group.optimizer);
  double step = static_cast<double>(parameter.steps);
  rates[2] = adamw.beta1;
  rates[3] = adamw.beta2;
  rates[4] = adamw.epsilon;
  rates[5] = static_cast<float>(1.0 / (1.0 - std::pow(adamw.beta1, step)));
  rates[6] = static_cast<float>(1.0 / (1.0 - std::pow(adamw.beta2, step)));
}

void ParameterStore::refreshDerived() {
  std::vector<float> copy;
  // Where the process can follow the address, a term is read in place.
  auto valuesOf = [&](const std::string &name) -> const float * {
    const Block &block = *find(name)->values;
    if (memory->isHost())
      return block.data();
    copy.resize(block.size());
    block.read(copy.data());
    return copy.data();
  };
  for (auto &[name, tensor] : all) {
    if (tensor.kind != StoredTensor::Kind::Derived)
      continue;
    int64_t elements = tensor.elements();
    const std::vector<std::string> &terms = tensor.terms;
    tensor.values->fill([&](float *sum) {
      std::copy_n(valuesOf(terms[0]), elements, sum);
      for (size_t i = 1; i < terms.size(); ++i) {
        const float *term = valuesOf(terms[i]);
        for (int64_t e = 0; e < elements; ++e)
          sum[e] += term[e];
      }
    });
  }
}
