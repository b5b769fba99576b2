//===- Checkpoint.h - Trainers in files -------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_API_CHECKPOINT_H
#define CAMBIUM_LIB_API_CHECKPOINT_H

#include "cambium/Network.h"
#include "cambium/Runtime/ParameterStore.h"
#include "cambium/Runtime/Safetensors.h"

#include "mlir/IR/BuiltinOps.h"

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace cambium::internal {

/// The shape that a parameter or a running statistic has in files: the last
/// axis first, then the one before it, then the others in their order. So HWCF
/// filters are OIHW, and weights [in, out] are [out, in].
std::vector<int64_t> fileShape(const std::vector<int64_t> &shape);
/// Between the two layouts; `shape` is that in memory.
void toFileLayout(const std::vector<int64_t> &shape, const float *from,
                  float *to);
void fromFileLayout(const std::vector<int64_t> &shape, const float *from,
                    float *to);

/// Replaces the file atomically by a network's text, what the store holds of
/// it, the seed of new values, and texts that the caller keeps. Throws Error.
void saveCheckpoint(const std::string &path, mlir::ModuleOp network,
                    const ParameterStore &store, uint64_t seed,
                    const std::map<std::string, std::string> &notes);

/// A file that holds a network and exactly its tensors.
class Checkpoint {
public:
  /// Throws Error with the reason if the file is anything else.
  explicit Checkpoint(const std::string &path);

  const Network &network() const { return *parsed; }
  uint64_t seed() const { return seedOfValues; }
  const std::map<std::string, std::string> &notes() const { return texts; }
  /// Gives the tensors of a store made for the network their values, state and
  /// counts of updates. Throws Error.
  void restore(ParameterStore &store) const;

private:
  const std::string &text(const char *key) const;
  void readNetwork();
  void readSteps();
  void checkTensors() const;

  SafetensorsFile file;
  std::shared_ptr<const Network> parsed;
  uint64_t seedOfValues = 0;
  std::map<std::string, int64_t> steps;
  std::map<std::string, std::string> texts;
};

} // namespace cambium::internal

#endif // CAMBIUM_LIB_API_CHECKPOINT_H
