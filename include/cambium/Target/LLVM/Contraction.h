//===- Contraction.h - Convolution and matmul kernels for CPUs --*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Emits convolutions, matrix products and their gradients as register-tiled
// vector kernels in scf, arith, vector and llvm ops. Use:
//
//   spec      what is computed; all of it is compiled in
//   schedule  the register tile; compiled in, decides speed and never validity
//   layout    where the kernel's buffers and dims hold the three tensors
//
//   auto schedule = chooseSchedule(spec, vectorWidth(isa), extents);
//   emitContraction(builder, loc, "conv1", spec, schedule, layout, epilogue);
//   ...
//   LaunchSizes sizes = contractionLaunch(spec, schedule, layout, dims);
//
// One compiled kernel serves all extents: batch, height, width and channels
// are read from `dims` at run time.
//
// Tensors, dense row-major float32:
//   x [batch, inH, inW, inC]         linear: x [batch, inC]
//   w [kernelH, kernelW, inC / groups, outC]   w [inC, outC]
//   y [batch, outH, outW, outC]              y [batch, outC]
//
//   kind            lhs  rhs  result
//   Forward         x    w    y
//   BackwardData    dy   w    dx
//   BackwardFilter  x    dy   dw
//
// Each kind has two phases. Results do not depend on how the tasks of a phase
// are split among threads or ordered.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TARGET_LLVM_CONTRACTION_H
#define CAMBIUM_TARGET_LLVM_CONTRACTION_H

#include "cambium/Target/Common/ContractionSpec.h"
#include "cambium/Target/Common/LaunchSizes.h"
#include "mlir/IR/Value.h"
#include "llvm/ADT/ArrayRef.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <string>

namespace mlir {
class Location;
class OpBuilder;
} // namespace mlir

namespace cambium {

/// The register tile: `tile` rows by `vectors` vectors of accumulators. Rows
/// are output pixels (Forward, BackwardData) or filter taps (BackwardFilter);
/// up to two tiles of `tailTile` rows end a run of rows where that saves work.
/// With `winograd`, rows are tiles of outputs or, for BackwardFilter, channels
/// of x.
struct ContractionSchedule {
  /// Lanes of a vector: 4, 8 or 16 floats.
  int64_t vectorWidth = 8;
  int64_t vectors = 2;
  int64_t tile = 6;
  int64_t tailTile = 4;
  /// Kernels of branches only: side of an output tile of Winograd's algorithm,
  /// 2 or 4; 0 for direct sums of products.
  int64_t winograd = 0;
  /// Kernels of branches have Rows. With Planes, `vectors` counts channels, and
  /// `tile` and `tailTile` count vectors of pixels.
  TileOrder order = TileOrder::Rows;

  bool operator==(const ContractionSchedule &other) const;
  bool operator!=(const ContractionSchedule &other) const {
    return !(*this == other);
  }
  std::string str() const;
};

/// Where a kernel keeps one tensor: its index in `buffers` and the index in
/// `dims` of its first extent.
struct TensorSlot {
  int64_t buffer = 0;
  int64_t firstDim = 0;
};

/// Where a kernel keeps the tensors of its contraction. Further operands
/// (biases, residuals) may lie in between; only the epilogue sees them.
struct ContractionLayout {
  TensorSlot lhs, rhs, result;
  /// Index in `buffers` of the workspace, which no other emitter shares.
  int64_t workspace = 3;
  /// Number of entries of `buffers`, the workspace included.
  int64_t numBuffers = 4;

  /// The layout of a kernel with just lhs, rhs and result.
  static ContractionLayout plain(const ContractionSpec &spec);
};

/// Where in the result an accumulator goes.
struct OutputPoint {
  /// i64: element offset in the result tensor of the vector's first lane. The
  /// lanes are consecutive elements along the last dimension.
  mlir::Value offset;
  /// i64: index along the last dimension of the vector's first lane.
  mlir::Value channel;
  /// vector<Wxi1>: lanes inside the tensor; null where all are. Memory at
  /// other lanes must not be touched (see loadVector).
  mlir::Value mask;
  /// Base pointers of all buffers, indexed like `buffers`.
  llvm::ArrayRef<mlir::Value> buffers;
};

/// Maps an accumulator, vector<Wxf32>, to what is stored in the result. Called
/// several times per kernel, once for each place where stores are emitted, and
/// must emit the same computation each time. May store to further results.
using EpilogueFn = llvm::function_ref<mlir::Value(
    mlir::OpBuilder &, mlir::Location, mlir::Value, const OutputPoint &)>;

/// True if there is a kernel: BackwardFilter, contractions in groups and
/// products of matrices have Rows only, strided Forward has no Planes.
bool supportsOrder(const ContractionSpec &spec, TileOrder order);

/// A schedule that suits the spec. Unknown extents cost speed only.
/// `vectorWidth` is 4, 8 (16 registers assumed) or 16 (32 registers).
ContractionSchedule chooseSchedule(const ContractionSpec &spec,
                                   int64_t vectorWidth,
                                   const ContractionExtents &extents = {});
/// The best of one order, which the spec must support.
ContractionSchedule chooseSchedule(const ContractionSpec &spec,
                                   int64_t vectorWidth,
                                   const ContractionExtents &extents,
                                   TileOrder order);

/// Tasks, workspace and scratch for the kernel's dims.
LaunchSizes contractionLaunch(const ContractionSpec &spec,
                              const ContractionSchedule &schedule,
                              const ContractionLayout &layout,
                              llvm::ArrayRef<int64_t> dims);

/// Emits the phases as functions `<kernelName>_phase0` and `_phase1` at the
/// builder's insertion point, which must be inside a module. Without an
/// epilogue the accumulators are stored as they are. Spec and schedule must
/// hold positive sizes (padding may be zero); the caller has verified them.
void emitContraction(mlir::OpBuilder &builder, mlir::Location loc,
                     llvm::StringRef kernelName, const ContractionSpec &spec,
                     const ContractionSchedule &schedule,
                     const ContractionLayout &layout,
                     EpilogueFn epilogue = nullptr);

/// For epilogues: loads vector<width x f32> at `base` + `offset` elements (an
/// i64). Lanes outside `mask`, if there is one, are not read and give zero.
mlir::Value loadVector(mlir::OpBuilder &builder, mlir::Location loc,
                       mlir::Value base, mlir::Value offset, int64_t width,
                       mlir::Value mask);

/// For epilogues: stores a vector likewise.
void storeVector(mlir::OpBuilder &builder, mlir::Location loc,
                 mlir::Value vector, mlir::Value base, mlir::Value offset,
                 mlir::Value mask);

} // namespace cambium

#endif // CAMBIUM_TARGET_LLVM_CONTRACTION_H
