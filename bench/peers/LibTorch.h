//===- LibTorch.h - Growing layers and networks in PyTorch ------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A sum of branches as PyTorch's users write it. LibTorch works in its default
// layouts, NCHW and OIHW; what crosses this border is NHWC and HWCF, and is
// converted outside of step() and forward().
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_PEERS_LIBTORCH_H
#define CAMBIUM_BENCH_PEERS_LIBTORCH_H

#include "../memory/GrowingNetwork.h"
#include "Convolution.h"

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cambium::bench {

/// How to write a sum of branches.
enum class TorchForm {
  /// `torch.stack([layer(x) for layer in layers]).sum(0)`: "A".
  Stack,
  /// `y += layer(x)` for each layer: "A in place".
  InPlace,
  /// One layer with the filters of all branches, then a sum over them: "B".
  Wide
};
inline constexpr std::array<TorchForm, 3> torchForms = {
    TorchForm::Stack, TorchForm::InPlace, TorchForm::Wide};
/// As in names of counters.
inline const char *nameOf(TorchForm form) {
  return form == TorchForm::Stack     ? "stack"
         : form == TorchForm::InPlace ? "in_place"
                                      : "wide";
}

/// Bytes that LibTorch's allocator handed out: tensors, and what it reorders
/// for oneDNN, but not oneDNN's own scratch.
struct TorchMemory {
  /// The most at any time of a step: inputs, parameters, gradients, momentum,
  /// activations.
  int64_t peak = 0;
  /// Alive when forward has ended, but not before it began.
  int64_t kept = 0;
};

/// A layer, and the mean squared error between its result and a target.
struct TorchLayerCase {
  ConvShape shape;
  const float *x = nullptr, *target = nullptr;
  /// One for each branch.
  std::vector<const float *> filters;
  /// If not empty, a branch is relu(conv2d(x, w) + b), else conv2d(x, w).
  std::vector<const float *> biases;
  /// Whether x gets a gradient.
  bool inputGradient = true;
  /// Of SGD with momentum 0.9; none: parameters stay as they are.
  std::optional<float> learningRate;
};

struct TorchLayerResults {
  std::vector<float> y, dx;
  std::vector<std::vector<float>> filterGradients, biasGradients;
};

class TorchLayer {
public:
  virtual ~TorchLayer() = default;
  /// y, and what its gradients need.
  virtual void forward() = 0;
  /// Loss, gradients, update; returns the loss.
  virtual float step() = 0;
  /// What a step without update computes.
  virtual TorchLayerResults results() = 0;
  /// Of the layer's steps; y, which the loss keeps, is no part of `kept`, but x
  /// is.
  virtual TorchMemory memory() const = 0;
};

/// Parameters by name as in growingNetwork(), dense HWCF.
using NamedValues = std::map<std::string, std::vector<float>>;

/// A growing network, trained with SGD with momentum.
class TorchNetwork {
public:
  virtual ~TorchNetwork() = default;
  /// One step on the images and labels; returns the loss before the update.
  virtual float step() = 0;
  virtual NamedValues parameters() const = 0;
  /// `kept` has the inputs of layers as well, but not the network's.
  virtual TorchMemory memory() const = 0;
};

/// The network of tools/cambium-train/fashion-mnist.mlir.
struct TorchFashionCase {
  int64_t batch = 0;
  /// Of each of the two blocks; those of block1 are linear.
  int64_t branches = 1;
  /// By name as in the network, dense HWCF.
  NamedValues parameters;
  const float *images = nullptr;
  const int32_t *labels = nullptr;
};

class TorchFashion {
public:
  virtual ~TorchFashion() = default;
  /// One step on the images and labels, with the optimizer of the network's
  /// group for all parameters; returns the loss before the update.
  virtual float step() = 0;
};

/// Null if the program was built without LibTorch. Nothing that is passed need
/// outlive the call.
std::unique_ptr<TorchFashion> makeTorchFashion(const TorchFashionCase &network,
                                               unsigned threads);

/// In the order of torchForms; empty if the program was built without LibTorch.
/// Nothing that is passed need outlive the call.
std::vector<std::unique_ptr<TorchLayer>>
makeTorchLayers(const TorchLayerCase &layer, unsigned threads);
std::vector<std::unique_ptr<TorchNetwork>>
makeTorchNetworks(const GrowingNetwork &network, const NamedValues &parameters,
                  const float *images, const int32_t *labels, unsigned threads);

/// Name and version.
std::string torchName();

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_PEERS_LIBTORCH_H
