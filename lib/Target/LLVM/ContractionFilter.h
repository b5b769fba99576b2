//===- ContractionFilter.h - Tiles of BackwardFilter ------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What filter gradients of one contraction and of many branches have in common:
// register tiles over source rows and packed gradients in scratch, summed up to
// partial gradients. A partial gradient lies in memory as
//   [group][channel block][kernelH][tap run][run row][block]
// with surplus run rows and channels, so that no mask is needed.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONFILTER_H
#define CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONFILTER_H

#include "ContractionEmitter.h"

namespace cambium {

/// Output rows [firstRow, endRow) of an image for one group, and the source
/// rows [firstSource, endSource) that they read.
struct FilterUnit {
  I64 group, image, firstRow, endRow, firstSource, endSource;
};

/// Source channels that are packed at a time.
struct FilterPanels {
  I64 first, channels;
};

class FilterTiles : public TileEmitter {
public:
  using Geometry = FilterGeometry<I64>;
  /// Points to a source row in the layout of scratch rows.
  using RowPointer = llvm::function_ref<mlir::Value(I64 source)>;
  /// Stores lanes of a gradient, `offset` elements from its beginning. `mask`
  /// is null if all lanes exist.
  using Store = llvm::function_ref<void(mlir::Value sum, I64 offset,
                                        I64 channel, mlir::Value mask)>;

  FilterTiles(KernelBuilder &kernel, const ContractionSpec &spec,
              const ContractionSchedule &schedule)
      : TileEmitter{kernel, spec, schedule, planColumns(spec)} {}

  /// One of `g.units`.
  FilterUnit unit(const Geometry &g, I64 index, I64 group);

  /// Offset in x of a source row's first float of the group.
  I64 sourceOffset(const Geometry &g, const FilterUnit &unit, I64 source) {
    return (unit.image * g.sourceRows + source) * g.sourceColumns *
               g.sourceChannels +
           unit.group * g.sourceGroup;
  }
  /// Pointwise rows are read in place if what a surplus tile row reads past
  /// their end still lies in the tensor.
  bool readsInPlace() const { return pointwise() && spec.groups == 1; }
  mlir::Value canReadInPlace(const Geometry &g, I64 row) {
    I64 pixels = minOf((row + 1) * g.outputColumns, g.pixels);
    return k.lessEqual(pixels * g.sourceChannels + g.paddedRunRows - g.runRows,
                       g.pixels * g.sourceChannels);
  }

  /// Adds the products of source rows and gradient, packed as [pixel][block],
  /// to a channel block of a partial gradient.
  void addProducts(const Geometry &g, const FilterUnit &unit, RowPointer source,
                   mlir::Value packed, mlir::Value partial);

  /// True for windows of one tap: there is nothing that taps could share, so
  /// x is packed as [tile of channels][pixel][channel], which no stride spoils.
  bool packsSource() const { return cambium::packsSource(spec); }
  /// Pixels of a unit.
  I64 pixels(const Geometry &g, const FilterUnit &unit) {
    return (unit.endRow - unit.firstRow - 1) * g.outputColumns +
           rowColumns(unit.endRow - 1, g.outputColumns, g.pixels);
  }
  void forPanels(const Geometry &g,
                 llvm::function_ref<void(const FilterPanels &)> body);
  void packSource(const Geometry &g, const FilterUnit &unit, mlir::Value x,
                  mlir::Value memory, const FilterPanels &panels);
  /// The same as `addProducts`, of a packed source.
  void addPanelProducts(const Geometry &g, const FilterUnit &unit,
                        mlir::Value memory, mlir::Value packed,
                        mlir::Value partial, const FilterPanels &panels);

  /// Adds up partial gradients in order: one of `g.reduceTasks(spec)` tasks.
  void reduce(const Geometry &g, I64 task, mlir::Value partials, Store store);

private:
  /// Run rows that read the same source rows from the same column on.
  struct RunRows {
    I64 kernelRow, column;
    mlir::Value partial;
  };
  void emitTile(const Geometry &g, const FilterUnit &unit, RowPointer source,
                mlir::Value packed, const RunRows &run, int64_t tile,
                I64 first);
  void packTile(const Geometry &g, const FilterUnit &unit, mlir::Value x,
                mlir::Value panel, int64_t tile, I64 first);
  void addTile(mlir::ValueRange sums, mlir::Value partial, int64_t tile,
               I64 first);
  void reduceRow(const Geometry &g, I64 kernelRow, I64 kernelColumn,
                 I64 sourceChannel, mlir::Value partials, Store store);
};

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_CONTRACTIONFILTER_H
