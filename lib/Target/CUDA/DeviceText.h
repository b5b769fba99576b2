//===- DeviceText.h - Pieces of the text of kernels --------- -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_CUDA_DEVICETEXT_H
#define CAMBIUM_LIB_TARGET_CUDA_DEVICETEXT_H

#include "CudaEmission.h"

namespace cambium::grow {

/// The shortest literal that is the number.
std::string literal(double value);
std::string floatLiteral(double value);

/// The buffer as `const float *`, `float *` or another pointer; `nullptr` for
/// -1, a result that nobody reads.
std::string bufferText(int64_t buffer, llvm::StringRef type);
inline std::string readText(int64_t buffer) {
  return bufferText(buffer, "const float");
}
inline std::string writeText(int64_t buffer) {
  return bufferText(buffer, "float");
}

/// Extents of the kernel's tensors, as in TensorExtents.
struct ExtentText {
  explicit ExtentText(const Signature &signature) : signature(signature) {}

  std::string extent(int64_t buffer, int64_t dim) const;
  std::string channels(int64_t buffer) const;
  std::string rows(int64_t buffer) const;
  std::string elements(int64_t buffer) const;
  /// Product of `count` extents from `first` on.
  std::string product(int64_t buffer, int64_t first, int64_t count) const;
  /// `{height, width, channels}`.
  std::string image(int64_t buffer) const;
  /// True if accesses to four channels are aligned.
  std::string wide(int64_t buffer) const;

private:
  int64_t rank(int64_t buffer) const;

  const Signature &signature;
};

/// `const <type> <name> = {/*field=*/value, ...};`
using Fields = llvm::ArrayRef<std::pair<llvm::StringRef, std::string>>;
std::string aggregate(llvm::StringRef type, llvm::StringRef name,
                      Fields fields);

/// `function(argument, ...)`, wrapped behind the bracket.
std::string callText(llvm::StringRef function,
                     llvm::ArrayRef<std::string> arguments);

/// As in device/cambium/Flat.cuh.
inline constexpr int flatThreads = 256;
inline constexpr int64_t flatElements = 4 * flatThreads;

/// As in device/cambium/Reduce.cuh.
inline constexpr int reduceThreads = 256;
inline constexpr int64_t reduceColumns = 32;
inline int64_t reduceLanes(int64_t channels) {
  return channels % 4 == 0 ? 4 : 1;
}
/// Shared memory in which a block adds `count` sums of each thread.
inline int64_t reduceBytes(int64_t count) {
  return count * reduceThreads * static_cast<int64_t>(sizeof(double));
}

/// Launch of a phase of forElements.
LaunchSizes elementLaunch(int64_t elements);
void addPhase(LaunchSizes &sizes, int64_t tasks, int threads,
              int64_t sharedBytes = 0);

/// A phase that gives `work`, declared in `lines`, the elements of a tensor.
/// `wide` is a condition: see forElements.
void flatPhase(CudaEmission &e, llvm::StringRef comment,
               const llvm::Twine &lines, llvm::StringRef work,
               const llvm::Twine &elements, llvm::StringRef wide,
               int minBlocks = 0);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_CUDA_DEVICETEXT_H
