//===- ParameterStore.h - Parameters that never move ------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_PARAMETERSTORE_H
#define CAMBIUM_RUNTIME_PARAMETERSTORE_H

#include "cambium/Network.h"

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cambium {

/// Floats at a 64-byte aligned address that never changes, zero at the start.
class Block {
public:
  explicit Block(int64_t elements);

  float *data() const { return memory.get(); }
  int64_t size() const { return elements; }

private:
  struct Free {
    void operator()(float *memory) const;
  };
  int64_t elements;
  std::unique_ptr<float, Free> memory;
};

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
  /// 1 / (1 - beta^t) as c1, c2.
  std::unique_ptr<Block> rates;
  /// Updates since birth.
  int64_t steps = 0;

  int64_t elements() const { return values->size(); }
};

/// All stored tensors and groups of a network, by symbol. A tensor's blocks are
/// allocated once; others may be added and removed without moving them.
class ParameterStore {
public:
  /// Null if there is none.
  StoredTensor *find(const std::string &name);
  const StoredTensor *find(const std::string &name) const;
  /// Adds a tensor with zero values, and with state for its group's rule.
  StoredTensor &add(const std::string &name, StoredTensor::Kind kind,
                    std::vector<int64_t> shape, const std::string &group = "");
  void remove(const std::string &name);
  /// Makes the derived sums of `made` those of this store.
  void replaceDerived(ParameterStore &&made);

  GroupOptions *findGroup(const std::string &name);
  const GroupOptions *findGroup(const std::string &name) const;
  /// Adds a group under the name that it has.
  GroupOptions &addGroup(const GroupOptions &group);

  const std::map<std::string, StoredTensor> &tensors() const { return all; }

  /// Counts one update of the parameter and writes its rates for it.
  void prepareUpdate(StoredTensor &parameter);
  /// Brings every derived sum up to date.
  void refreshDerived();

private:
  std::map<std::string, StoredTensor> all;
  std::map<std::string, GroupOptions> groups;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_PARAMETERSTORE_H
