//===- KernelCorpus.h - Every kernel of the tests ------------- -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The kernels that the conformance suite emits for CUDA, each once: those of
// its operations, of its forms of branches by every policy, of its optimizers
// and of the repository's networks.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_UNIT_NVRTC_KERNELCORPUS_H
#define CAMBIUM_TEST_UNIT_NVRTC_KERNELCORPUS_H

#include "cambium/CompileOptions.h"
#include "cambium/Target/Common/LaunchSizes.h"

#include <string>
#include <vector>

namespace cambium::nvrtc {

struct CorpusKernel {
  /// The case that emitted it first, and what it is called there.
  std::string origin;
  /// CUDA C++, whose kernel is called "kernel".
  std::string source;
  /// Has a schedule of thread blocks.
  bool contraction = false;
  /// The launches of this kernel, one of each kind.
  std::vector<LaunchSizes> launches;
};

struct Corpus {
  std::vector<CorpusKernel> kernels;
  /// What could not be emitted or planned, with diagnostics.
  std::vector<std::string> faults;
};

/// All kernels for one precision, in a fixed order.
const Corpus &corpus(Precision precision);

} // namespace cambium::nvrtc

#endif // CAMBIUM_TEST_UNIT_NVRTC_KERNELCORPUS_H
