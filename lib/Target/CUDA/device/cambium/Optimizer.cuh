//===- Optimizer.cuh - Updates of parameters and their sum ---- -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A parameter's tuple of pointers: float[8] rates, the parameter, its state.
// Rates: learning rate, weight decay; then for SGD momentum, for AdamW beta1,
// beta2, epsilon, 1 / (1 - beta1^t), 1 / (1 - beta2^t).
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_OPTIMIZER_CUH
#define CAMBIUM_DEVICE_OPTIMIZER_CUH

#include "cambium/Flat.cuh"

namespace cambium {

//===----------------------------------------------------------------------===//
// Rules: from a weight, its gradient and its state to their new values
//===----------------------------------------------------------------------===//

struct Sgd {
  static constexpr int states = 0;
  float learningRate, decay;

  __device__ __forceinline__ explicit Sgd(const float *rates)
      : learningRate(rates[0]), decay(rates[1]) {}

  __device__ __forceinline__ void update(float gradient,
                                         float (&values)[1]) const {
    values[0] -= learningRate * (gradient + decay * values[0]);
  }
};

template <bool Nesterov> struct Momentum {
  static constexpr int states = 1;
  float learningRate, decay, inertia;

  __device__ __forceinline__ explicit Momentum(const float *rates)
      : learningRate(rates[0]), decay(rates[1]), inertia(rates[2]) {}

  __device__ __forceinline__ void update(float gradient,
                                         float (&values)[2]) const {
    const float decayed = gradient + decay * values[0];
    values[1] = inertia * values[1] + decayed;
    const float step = Nesterov ? decayed + inertia * values[1] : values[1];
    values[0] -= learningRate * step;
  }
};

struct AdamW {
  static constexpr int states = 2;
  float learningRate, decay, beta1, beta2, epsilon, unbias1, unbias2;

  __device__ __forceinline__ explicit AdamW(const float *rates)
      : learningRate(rates[0]), decay(rates[1]), beta1(rates[2]),
        beta2(rates[3]), epsilon(rates[4]), unbias1(rates[5]),
        unbias2(rates[6]) {}

  __device__ __forceinline__ void update(float gradient,
                                         float (&values)[3]) const {
    values[1] = beta1 * values[1] + (1.0f - beta1) * gradient;
    values[2] = beta2 * values[2] + (1.0f - beta2) * (gradient * gradient);
    const float deviation = sqrtf(values[2] * unbias2) + epsilon;
    const float direction = values[1] * unbias1 / deviation;
    values[0] -= learningRate * (decay * values[0] + direction);
  }
};

//===----------------------------------------------------------------------===//
// Updates
//===----------------------------------------------------------------------===//

/// What becomes of the sum of the new values of all parameters.
enum class DerivedSum { None, Overwrite, Accumulate };

/// Takes elements through all parameters of the list, in order. Their gradient
/// is read once and their sum written once, however many there are.
template <class Rule, DerivedSum Sum> struct Update {
  void *const *tuples;
  int parameters;
  const float *gradient;
  /// Null with DerivedSum::None.
  float *derived;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const Vec<N> gradients = load<N>(gradient + offset, true);
    Vec<N> sum = splat<N>(0.0f);
    if (Sum == DerivedSum::Accumulate)
      sum = load<N>(derived + offset, true);
#pragma unroll 1
    for (int parameter = 0; parameter < parameters; ++parameter) {
      const Vec<N> weights = updateOne<N>(
          tuples + parameter * (Rule::states + 2), offset, gradients);
#pragma unroll
      for (int i = 0; i < N; ++i)
        sum[i] += weights[i];
    }
    if (Sum != DerivedSum::None)
      store<N>(derived + offset, sum, true);
  }

private:
  /// Updates N elements of one parameter and its state; returns the former.
  template <int N>
  static __device__ __forceinline__ Vec<N>
  updateOne(void *const *tuple, long long offset, const Vec<N> &gradients) {
    constexpr int tensors = Rule::states + 1;
    const Rule rule(static_cast<const float *>(tuple[0]));
    Vec<N> values[tensors];
#pragma unroll
    for (int t = 0; t < tensors; ++t)
      values[t] =
          load<N>(static_cast<const float *>(tuple[1 + t]) + offset, true);
#pragma unroll
    for (int i = 0; i < N; ++i) {
      float element[tensors];
#pragma unroll
      for (int t = 0; t < tensors; ++t)
        element[t] = values[t][i];
      rule.update(gradients[i], element);
#pragma unroll
      for (int t = 0; t < tensors; ++t)
        values[t][i] = element[t];
    }
#pragma unroll
    for (int t = 0; t < tensors; ++t)
      store<N>(static_cast<float *>(tuple[1 + t]) + offset, values[t], true);
    return values[0];
  }
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_OPTIMIZER_CUH
