//===- ConvolutionLibrary.h - Convolutions of cuDNN -------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Convolutions by cuDNN's graph API (cuDNN 9), which is loaded at run time.
// Tensors are fp32 unless told otherwise: x and y in NHWC as everywhere,
// filters in cuDNN's order [outC][kernelH][kernelW][inC / groups]; the caller
// transposes.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_CONVOLUTIONLIBRARY_H
#define CAMBIUM_RUNTIME_CONVOLUTIONLIBRARY_H

#include "cambium/CompileOptions.h"
#include "cambium/Target/Common/ContractionSpec.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace cambium {

/// What cuDNN is asked for. A linear layer is a convolution of 1x1 images.
struct LibraryConvolution {
  ContractionSpec spec;
  ContractionExtents extents;
  /// Fp32 leaves tensor cores aside; Tf32 lets them round the operands. Bf16 is
  /// for tensors of bf16 only.
  Precision precision = Precision::Fp32;
  /// Tensors hold bf16 instead of fp32; for benchmarks.
  bool bf16Tensors = false;
  /// Adds to the result instead of writing it.
  bool accumulate = false;
  /// Whether plans are left out whose results may differ from run to run.
  bool reproducible = true;
};

/// One way in which cuDNN computes a convolution: an engine and its settings.
class LibraryPlan {
public:
  struct Impl;
  explicit LibraryPlan(std::shared_ptr<const Impl> impl);

  int64_t workspaceBytes() const;
  /// cuDNN's name of it, for reports.
  const std::string &name() const;

  /// Puts the computation on the handle's stream. Addresses are the device's:
  /// the tensors that the contraction reads, in its order, the one it writes,
  /// and workspaceBytes() of memory. Throws Error.
  void run(uint64_t lhs, uint64_t rhs, uint64_t result,
           uint64_t workspace) const;

private:
  std::shared_ptr<const Impl> impl;
};

/// cuDNN for one device and stream. Throws Error where the library, or what is
/// asked of it, is missing.
class ConvolutionLibrary {
public:
  /// For the current CUDA context; `stream` is a CUstream.
  static ConvolutionLibrary onStream(void *stream);
  /// For a device that may be absent, by its properties in cuDNN's JSON form
  /// (CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION): its plans cannot run.
  static ConvolutionLibrary forProperties(const std::string &json);

  /// As cuDNN gives it: 91900 is 9.19.0.
  int64_t version() const;

  /// The plans that cuDNN's heuristics propose, best first, at most `most`.
  /// Those that round more than the precision allows, or are less reproducible
  /// than is asked for, are left out. Empty if cuDNN has none.
  std::vector<LibraryPlan> plans(const LibraryConvolution &convolution,
                                 size_t most = 8) const;

private:
  struct Impl;
  explicit ConvolutionLibrary(std::shared_ptr<const Impl> impl)
      : impl(std::move(impl)) {}

  std::shared_ptr<const Impl> impl;
  friend struct LibraryPlan::Impl;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_CONVOLUTIONLIBRARY_H
