//===- RuntimeTest.cpp - Parameter store ----------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/ParameterStore.h"

#include "gtest/gtest.h"

#include <cmath>
#include <cstdint>

using namespace cambium;

namespace {

GroupOptions sgd(const char *name, float momentum) {
  return {name, Sgd{momentum}, 0.1f, 0.01f};
}

TEST(ParameterStore, BlocksAreAlignedZeroAndStay) {
  ParameterStore store;
  store.addGroup(sgd("g", 0.9f));
  const float *first =
      store.add("a", StoredTensor::Kind::Parameter, {3, 5}, "g").values->data();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(first) % 64, 0u);
  for (int i = 0; i < 15; ++i)
    EXPECT_EQ(first[i], 0.0f);
  for (int i = 0; i < 1000; ++i)
    store.add("b" + std::to_string(i), StoredTensor::Kind::Parameter, {7}, "g");
  for (int i = 0; i < 1000; i += 2)
    store.remove("b" + std::to_string(i));
  EXPECT_EQ(store.find("a")->values->data(), first);
  EXPECT_EQ(store.find("b0"), nullptr);
  EXPECT_NE(store.find("b1"), nullptr);
}

TEST(ParameterStore, StateFollowsTheRule) {
  ParameterStore store;
  store.addGroup(sgd("plain", 0.0f));
  store.addGroup(sgd("momentum", 0.9f));
  store.addGroup({"adamw", AdamW{}});
  auto states = [&](const char *group) {
    return store.add(group, StoredTensor::Kind::Parameter, {2, 2}, group)
        .state.size();
  };
  EXPECT_EQ(states("plain"), 0u);
  EXPECT_EQ(states("momentum"), 1u);
  EXPECT_EQ(states("adamw"), 2u);
}

TEST(ParameterStore, RatesCountStepsFromBirth) {
  ParameterStore store;
  store.addGroup({"g", AdamW{0.5f, 0.75f, 1e-6f}, 0.25f, 0.125f});
  StoredTensor &old = store.add("old", StoredTensor::Kind::Parameter, {1}, "g");
  store.prepareUpdate(old);
  store.prepareUpdate(old);
  StoredTensor &born =
      store.add("born", StoredTensor::Kind::Parameter, {1}, "g");
  store.prepareUpdate(born);
  const float *rates = old.rates;
  EXPECT_EQ(rates[0], 0.25f);
  EXPECT_EQ(rates[1], 0.125f);
  EXPECT_EQ(rates[2], 0.5f);
  EXPECT_EQ(rates[3], 0.75f);
  EXPECT_EQ(rates[4], 1e-6f);
  EXPECT_FLOAT_EQ(rates[5], 1.0f / (1.0f - 0.25f));
  EXPECT_FLOAT_EQ(rates[6], 1.0f / (1.0f - 0.5625f));
  EXPECT_FLOAT_EQ(born.rates[5], 2.0f);
  EXPECT_EQ(old.steps, 2);
  EXPECT_EQ(born.steps, 1);
  store.findGroup("g")->learningRate = 1.0f;
  store.prepareUpdate(born);
  EXPECT_EQ(born.rates[0], 1.0f);
}

TEST(ParameterStore, DerivedSumsAddInOrder) {
  ParameterStore store;
  store.addGroup(sgd("g", 0.0f));
  const float terms[] = {1e8f, 1.0f, -1e8f};
  for (int i = 0; i < 3; ++i)
    *store.add(std::string(1, 'a' + i), StoredTensor::Kind::Parameter, {1}, "g")
         .values->data() = terms[i];
  StoredTensor &sum = store.add("sum", StoredTensor::Kind::Derived, {1});
  sum.terms = {"a", "b", "c"};
  store.refreshDerived();
  volatile float partial = terms[0] + terms[1];
  EXPECT_EQ(*sum.values->data(), partial + terms[2]);
}

} // namespace
