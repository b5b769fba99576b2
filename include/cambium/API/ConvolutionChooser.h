//===- ConvolutionChooser.h - cuDNN or a generated kernel -------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_API_CONVOLUTIONCHOOSER_H
#define CAMBIUM_API_CONVOLUTIONCHOOSER_H

#include "cambium/API/KernelCache.h"
#include "cambium/Runtime/ConvolutionLibrary.h"
#include "cambium/Transforms/MemoryPlan.h"

#include <map>
#include <optional>
#include <string>

namespace cambium {

/// Says of the launches of a CUDA device which are computed by cuDNN, and how.
class ConvolutionChooser {
public:
  /// Throws Error for ConvLibrary::Cudnn where cuDNN is missing. The cache and
  /// its device outlive the chooser.
  ConvolutionChooser(CudaKernelCache &cache, ConvLibrary wanted);

  /// A launch by cuDNN. It takes filters as [outC][kH][kW][inC / groups], which
  /// is the transpose of ours as a matrix of outC columns; in the launch's
  /// workspace such a filter comes first, then what the plan asks for.
  struct Choice {
    LibraryPlan plan;
    ContractionSpec::Kind kind;
    int64_t filterRows = 0, filterColumns = 0;

    int64_t filterBytes() const;
    int64_t workspaceBytes() const;
  };

  /// Null where the launch's kernel is to run, `code` on `launch.dims` and
  /// `launch.sizes`. With ConvLibrary::Auto both may run on the device, with
  /// its arena. The choice lives as long as the chooser.
  const Choice *choose(grow::KernelOp kernel,
                       const grow::MemoryPlan::Launch &launch,
                       const std::shared_ptr<const KernelCode> &code);

  /// Appends the launches that compute `replaced`, a launch of the kernel with
  /// its workspace, by cuDNN.
  void append(BoundPlan &bound, const Choice &choice,
              const Launch &replaced) const;

  /// For people: "cuDNN 9.14.0 for 3 of 5 convolutions", or why it has none.
  std::string description() const;

private:
  struct Candidate;

  std::optional<Choice> find(const Candidate &candidate) const;
  std::optional<Choice> fastest(const Candidate &candidate) const;

  CudaKernelCache &cache;
  const ConvLibrary wanted;
  /// None where it cannot be loaded; `missing` says why.
  std::optional<ConvolutionLibrary> library;
  std::string missing;
  std::shared_ptr<const KernelCode> transpose;
  /// By convolution and precision.
  std::map<std::string, std::optional<Choice>> choices;
};

} // namespace cambium

#endif // CAMBIUM_API_CONVOLUTIONCHOOSER_H
