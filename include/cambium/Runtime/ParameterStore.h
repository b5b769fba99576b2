//===- ParameterStore.h - Parameters that never move ------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_PARAMETERSTORE_H
#define CAMBIUM_RUNTIME_PARAMETERSTORE_H

#include "cambium/Network.h"
#include "cambium/Runtime/Memory.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cambium {

/// Values of a parameter, a running statistic or a derived sum, and what its
/// optimizer keeps beside them.
struct StoredTensor {
  enum class Kind { Parameter, State, Derived };

  Kind kind = Kind::Parameter;
  std::vector<int64_t> shape;
  /// Optimizer group; empty for states and sums.
  std::string group;
  /// Terms of a derived sum, in the order in which they are added.
  std::vector<std::string> terms;
  std::unique_ptr<Block> values;
  std::vector<std::unique_ptr<Block>> state;
  /// What update kernels read: {lr, weight_decay, a, b, epsilon, c1, c2, 0}
  /// with SGD's momentum or AdamW's betas as a, b and AdamW's bias corrections
  /// 1 / (1 - beta^t) as c1, c2. Null for states and sums.
  float *rates = nullptr;
  /// Where the store writes them before they are uploaded, and their place
  /// among all rates.
  float *nextRates = nullptr;
  int64_t ratesPlace = 0;
  /// Updates since birth.
  int64_t steps = 0;

  int64_t elements() const { return values->size(); }
};

/// All stored tensors and groups of a network, by symbol, in the memory of one
/// device. A tensor's blocks are allocated once; others may be added and
/// removed without moving them.
class ParameterStore {
public:
  explicit ParameterStore(Memory &memory = Memory::host());
  ParameterStore(ParameterStore &&);
  ~ParameterStore();

  /// Null if there is none.
  StoredTensor *find(const std::string &name);
  const StoredTensor *find(const std::string &name) const;
  /// Adds a tensor with zero values, and with state for its group's rule.
  StoredTensor &add(const std::string &name, StoredTensor::Kind kind,
                    std::vector<int64_t> shape, const std::string &group = "");
  void remove(const std::string &name);
  /// Makes the derived sums of `made` those of this store, in the same memory.
  void replaceDerived(ParameterStore &&made);

  GroupOptions *findGroup(const std::string &name);
  const GroupOptions *findGroup(const std::string &name) const;
  /// Adds a group under the name that it has.
  GroupOptions &addGroup(const GroupOptions &group);

  const std::map<std::string, StoredTensor> &tensors() const { return all; }

  /// Counts one update of the parameter and writes its rates for it, which
  /// kernels read after uploadRates.
  void prepareUpdate(StoredTensor &parameter);
  void uploadRates();
  /// Brings every derived sum up to date.
  void refreshDerived();

  Memory &getMemory() const { return *memory; }

private:
  struct RateTable;
  void placeRates(StoredTensor &parameter);

  Memory *memory;
  std::vector<std::unique_ptr<RateTable>> rates;
  /// Places that no parameter has, the next one last.
  std::vector<int64_t> freeRates;
  std::map<std::string, StoredTensor> all;
  std::map<std::string, GroupOptions> groups;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_PARAMETERSTORE_H
