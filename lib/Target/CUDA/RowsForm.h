//===- RowsForm.h - Convolutions and gradients of inputs ----- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_CUDA_ROWSFORM_H
#define CAMBIUM_LIB_TARGET_CUDA_ROWSFORM_H

#include "BranchBuffers.h"
#include "cambium/Target/Common/BranchBody.h"
#include "device/cambium/RowsPlan.cuh"

#include <array>

namespace cambium::grow {

/// An extent: factor * dims[place] or, where the extent is static, `factor`.
struct RowsExtent {
  int64_t place = -1;
  int64_t factor = 1;
  /// The channels of all branches, of which one branch's are meant.
  bool ofAllBranches = false;
};

/// One use of computeRows (device/cambium/Rows.cuh), with the phase that packs
/// its filters.
struct RowsKernel {
  RowsTile tile = {};
  Precision precision = Precision::Fp32;
  /// In the order of cambium::RowsExtents.
  std::array<RowsExtent, 8> extents;
  /// Where filters are, and the workspace.
  HookBuffer filter;
  int64_t workspace = -1, tupleSize = 0;
  /// Where sums lie between rounds; -1 if branches are not added up.
  int64_t result = -1;
  /// Index in `dims` of the number of branches; -1 for a single contraction.
  int64_t branchesDim = -1;

  /// Name of the struct, which other names begin with.
  std::string name = "Rows";
  /// Text: enumerators of cambium::Join and cambium::Apply.
  const char *join = "Sum", *apply = "Never";
  bool sourceOfBranch = false;
  /// Text: structs with `apply`.
  std::string source, epilogue = "void", finish;
  /// Text of expressions of `args`: branches of a round, and the first byte of
  /// the packed filters in the workspace; empty for RowsPlan's choice and 0.
  std::string perRound, firstByte;
  /// Accumulators are kept in the workspace after the packed filters; `finish`
  /// is empty.
  bool keeps = false;

  cambium::RowsExtents extentsOf(llvm::ArrayRef<int64_t> dims) const;
  RowsPlan plan(llvm::ArrayRef<int64_t> dims, int perRound = 0) const;
  /// Bytes in the workspace for one branch.
  int64_t branchBytes(const RowsPlan &plan) const;

  /// Prints tile() and extents(args) as a struct `<name>Shape`, then the struct
  /// for computeRows, then two phases.
  void printShape(CudaEmission &e) const;
  void printStruct(CudaEmission &e) const;
  void printPhases(CudaEmission &e) const;
  /// Adds what these phases take.
  void addTo(LaunchSizes &sizes, const RowsPlan &plan) const;
};

/// The tensors of a contraction in a kernel, by their place in the signature.
struct RowsTensors {
  int64_t source = -1, filter = -1, result = -1;
  bool slicedSource = false;
};

/// A kernel with the tile that `blocks` mean for `spec`, and its extents. Fails
/// with a diagnostic if `blocks` is null or does not suit. The kind of `spec`
/// may be another than that of the kernel's contraction.
mlir::FailureOr<RowsKernel> rowsKernel(KernelOp kernel,
                                       const Signature &signature,
                                       const ContractionSpec &spec,
                                       const RowsTensors &tensors,
                                       BlockTileAttr blocks);

/// Text of a struct `name` for RowsKernel::source that reads a tensor as it is,
/// or for RowsKernel::finish that stores to it.
void printSource(CudaEmission &e, llvm::StringRef name, const HookBuffer &from,
                 int64_t tupleSize);
void printFinish(CudaEmission &e, llvm::StringRef name, const HookBuffer &to);

/// The forward contraction of a body whose gradients take its result: a
/// RowsKernel named `Again` that computes accumulators and keeps them, where
/// `Again::kept(args, branch)` has those of a branch of the round, with the
/// extents of y. Prints the input hook; the caller sets perRound and firstByte
/// and prints struct and phases.
mlir::FailureOr<RowsKernel> recomputeKernel(KernelOp kernel,
                                            const Signature &signature,
                                            const BranchBody &body,
                                            BlockTileAttr blocks);
void printRecomputeSource(CudaEmission &e, KernelOp kernel,
                          const Signature &signature, const BranchBody &body);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_CUDA_ROWSFORM_H
