//===- Base.cuh - Arguments, vectors and memory -------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_BASE_CUH
#define CAMBIUM_DEVICE_BASE_CUH

namespace cambium {

/// What every phase of a kernel is given.
template <int Buffers, int Dims> struct Arguments {
  /// The kernel's tensors but those of single branches, then the workspace.
  void *buffers[Buffers];
  /// The branches' own tensors, one branch after the other.
  void *const *branches;
  /// Extents, and at the end the number of branches.
  int dims[Dims];
};

} // namespace cambium

#endif // CAMBIUM_DEVICE_BASE_CUH
