//===- Trainer.h - Training and growing a network ---------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAINER_H
#define CAMBIUM_TRAINER_H

#include "cambium/CompileOptions.h"
#include "cambium/Error.h"
#include "cambium/Growth.h"
#include "cambium/Isa.h"
#include "cambium/Network.h"
#include "cambium/Tensor.h"

#include <array>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace cambium {

/// Where a trainer runs. On the host, results are bit-identical for any thread
/// count; on a CUDA device, from run to run.
struct Target {
  /// 0 threads: one for each core.
  static Target host(unsigned threads = 0, Isa isa = Isa::Native) {
    return Target{threads, isa};
  }
  /// The device with this number, as the driver counts them. NVIDIA's driver
  /// and NVRTC are loaded when a trainer is made for it; its constructor throws
  /// Error that says what is missing where there are none.
  static Target cuda(int device = 0) {
    return Target{0, Isa::Native, TargetKind::Cuda, device};
  }
  unsigned threads = 0;
  Isa isa = Isa::Native;
  TargetKind kind = TargetKind::Host;
  int device = 0;
};

/// What a growth did and cost.
struct GrowthReport {
  int64_t parametersAdded = 0;
  int64_t kernelsCompiled = 0;
  int64_t kernelsReused = 0;
  double milliseconds = 0.0;
  /// The compiler's remarks, such as branches that did not collapse.
  std::vector<Diagnostic> remarks;
};

/// Bytes by category.
struct MemoryReport {
  int64_t parameters = 0;
  /// Optimizer state and running statistics.
  int64_t state = 0;
  int64_t gradients = 0;
  /// Activations that live from forward to backward.
  int64_t keptForBackward = 0;
  /// Other activations, kernels' workspace, and per-thread scratch.
  int64_t workspace = 0;
  /// The whole arena. Gradients, kept and workspace are each given at their own
  /// peak and share the arena by lifetime, so their sum may be more.
  int64_t arena = 0;
};

struct Evaluation {
  double loss = 0.0;
  /// Share of rows whose largest output is at the label; NaN for targets that
  /// are not class labels.
  double accuracy = 0.0;
};

struct TrainerOptions {
  Target target = Target::host();
  /// Seed of every initial value.
  uint64_t seed = 0;
  CompileOptions compile = {};
};

/// Trains a network and grows it between steps. Parameters are allocated once
/// and keep their address for life. Not thread-safe; uses threads inside. Every
/// function throws Error for faults of its arguments and leaves the trainer as
/// it was.
class Trainer {
public:
  explicit Trainer(const Network &network, TrainerOptions options = {});
  ~Trainer();
  Trainer(Trainer &&) noexcept;
  Trainer &operator=(Trainer &&) noexcept;

  /// One forward, backward and update; returns the mean loss of the batch
  /// before the update.
  float step(const TensorView &inputs, const TensorView &targets);

  /// Loss and accuracy in inference mode; parameters and running statistics
  /// stay as they are.
  Evaluation evaluate(const TensorView &inputs, const TensorView &targets);

  /// The result of @forward in inference mode.
  Tensor predict(const TensorView &inputs);
  /// The same, into memory that `outputs` may have from an earlier call.
  void predict(const TensorView &inputs, Tensor &outputs);

  /// Returns the group's name, for AddBranches::group.
  std::string addGroup(const GroupOptions &options);
  void setLearningRate(const std::string &group, float learningRate);
  float learningRate(const std::string &group) const;

  GrowthReport grow(const AddBranches &growth);

  /// Texts that a program keeps in a checkpoint for itself, by name.
  using Notes = std::map<std::string, std::string>;

  /// Replaces the file by everything that the next steps and growths depend on:
  /// the network as grown, values, optimizer state, counts of updates, rates
  /// and the seed, as safetensors (docs/Checkpoints.md). The path has the old
  /// file or the new one, whenever the process ends.
  void save(const std::string &path, const Notes &notes = {}) const;
  /// A trainer that goes on where the saved one was, bit for bit if target and
  /// compile options are the same; the seed is the saved one. `notes` receives
  /// the texts. Throws Error with the reason for a file that is no checkpoint.
  static Trainer load(const std::string &path, TrainerOptions options = {},
                      Notes *notes = nullptr);

  /// Replaces the file by the network for inference: @forward alone, branches
  /// collapsed for good, layers in inference mode. It is a checkpoint, of which
  /// load makes a trainer that predicts the same.
  void exportInference(const std::string &path);

  /// Where the trainer runs: "host", or a CUDA device and its architecture, as
  /// in "NVIDIA A100-SXM4-40GB (sm_80)".
  std::string deviceName() const;
  /// What computes convolutions, for people: "generated kernels", with why it
  /// is no library where CompileOptions::convLibrary asks for one, or "cuDNN
  /// 9.14.0 for 3 of 5 convolutions", of the shapes that came so far.
  std::string convolutions() const;
  MemoryReport memory() const;
  /// Trained scalars.
  int64_t parameterCount() const;
  /// Names of the parameters in order of declaration.
  std::vector<std::string> parameterNames() const;
  /// A copy of a parameter's or a running statistic's values, by symbol.
  Tensor parameter(const std::string &name) const;
  void setParameter(const std::string &name, const TensorView &values);
  /// Address of the values, in the device's memory; stays the same for the
  /// parameter's life.
  const float *parameterAddress(const std::string &name) const;
  /// Copies of the optimizer's state: momentum, or the two AdamW moments.
  std::vector<Tensor> optimizerState(const std::string &name) const;

  /// The network as grown so far.
  Network network() const;
  /// The compiled step, for people: its IR after every pass.
  std::string stepIR() const;

private:
  struct Impl;
  std::unique_ptr<Impl> impl;
};

} // namespace cambium

#endif // CAMBIUM_TRAINER_H
