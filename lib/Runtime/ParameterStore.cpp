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
#include <cstring>
#include <new>

using namespace cambium;

static constexpr std::align_val_t kAlignment{64};

/// Throws where the product would wrap around.
static size_t bytesFor(int64_t elements) {
  size_t bytes;
  if (__builtin_mul_overflow(std::max<int64_t>(elements, 1), sizeof(float),
                             &bytes))
    throw std::bad_array_new_length();
  return bytes;
}

Block::Block(int64_t elements)
    : elements(elements), memory(static_cast<float *>(
                              ::operator new(bytesFor(elements), kAlignment))) {
  std::memset(memory.get(), 0, elements * sizeof(float));
}

void Block::Free::operator()(float *memory) const {
  ::operator delete(memory, kAlignment);
}

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
  tensor.values = std::make_unique<Block>(elements);
  if (kind == StoredTensor::Kind::Parameter) {
    tensor.rates = std::make_unique<Block>(8);
    for (int64_t i = 0; i < stateCount(groups.at(group).optimizer); ++i)
      tensor.state.push_back(std::make_unique<Block>(elements));
  }
  return all.emplace(name, std::move(tensor)).first->second;
}

void ParameterStore::remove(const std::string &name) { all.erase(name); }

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
  float *rates = parameter.rates->data();
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
  for (auto &[name, tensor] : all) {
    if (tensor.kind != StoredTensor::Kind::Derived)
      continue;
    float *sum = tensor.values->data();
    int64_t elements = tensor.elements();
    std::copy_n(find(tensor.terms[0])->values->data(), elements, sum);
    for (size_t i = 1; i < tensor.terms.size(); ++i) {
      const float *term = find(tensor.terms[i])->values->data();
      for (int64_t e = 0; e < elements; ++e)
        sum[e] += term[e];
    }
  }
}
