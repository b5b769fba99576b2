//===- FilterEmitter.h - Products of filter gradients -----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What filter gradients of one contraction and of branches have in common. The
// blocks of output rows of all images are the units. A partial gradient sums
// up a range of them, and lies in the workspace as
//   [group][channel block][kernelH][tap run][run row][block]
// with surplus run rows and channels, so that no mask is needed.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_FILTEREMITTER_H
#define CAMBIUM_LIB_TARGET_LLVM_FILTEREMITTER_H

#include "ContractionEmitter.h"

namespace cambium {

class FilterEmitter {
public:
  using Geometry = FilterGeometry<I64>;
  /// The scratch row, or what equals it, of a source row.
  using SourceRow = llvm::function_ref<mlir::Value(I64 source)>;
  /// Stores lanes of a gradient, `offset` elements from its beginning; `mask`
  /// is null if all lanes lie inside.
  using Store =
      llvm::function_ref<void(mlir::Value sum, I64 offset, I64 channel,
                              mlir::Value mask)>;

  /// A block of output rows of an image, and the source rows that they read.
  struct Unit {
    I64 group, image, firstRow, endRow, firstSource, endSource;
  };

  explicit FilterEmitter(ContractionEmitter &emitter)
      : e(emitter), k(emitter.k), spec(emitter.spec),
        schedule(emitter.schedule) {}

  Unit unit(const Geometry &g, I64 index, I64 group);

  I64 existingColumns(const Geometry &g, I64 row) {
    return e.rowColumns(row, g.outputColumns, g.pixels);
  }

  /// Offset in x of a source row's first float of the group.
  I64 sourceOffset(const Geometry &g, const Unit &unit, I64 source) {
    return (unit.image * g.sourceRows + source) * g.sourceColumns *
               g.sourceChannels +
           unit.group * g.sourceGroup;
  }
  /// Pointwise rows can be read in place if what a surplus tile row reads past
  /// their end still lies in the tensor. False if they never can.
  bool readsInPlace() const { return e.pointwise() && spec.groups == 1; }
  mlir::Value canReadInPlace(const Geometry &g, I64 row) {
    I64 pixels = minOf((row + 1) * g.outputColumns, g.pixels);
    return k.lessEqual(pixels * g.sourceChannels + g.paddedRunRows - g.runRows,
                       g.pixels * g.sourceChannels);
  }

  /// Adds the products of the unit's rows of x and of the gradient, packed as
  /// [pixel][block], to the partial gradient of the channel block.
  void addProducts(const Geometry &g, const Unit &unit, SourceRow sourceRow,
                   mlir::Value packed, mlir::Value partial);

  /// Adds up the partial gradients in order: task of g.reduceTasks(spec).
  void reduce(const Geometry &g, I64 task, mlir::Value partials, Store store);

private:
  void emitTile(const Geometry &g, const Unit &unit, SourceRow sourceRow,
                mlir::Value packed, I64 kernelRow, I64 column,
                mlir::Value partial, int64_t tile, I64 first);
  void reduceRow(const Geometry &g, I64 kernelRow, I64 kernelColumn,
                 I64 sourceChannel, mlir::Value partials, Store store);

  ContractionEmitter &e;
  KernelBuilder &k;
  const ContractionSpec &spec;
  const ContractionSchedule &schedule;
};

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_FILTEREMITTER_H
