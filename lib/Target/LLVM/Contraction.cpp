//===- Contraction.cpp - Emits convolutions and matrix products -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/LLVM/Contraction.h"
#include "ContractionEmitter.h"

using namespace mlir;

namespace cambium {

Extents<I64> ContractionEmitter::extents(Value dims) {
  const TensorSlot slots[] = {layout.lhs, layout.rhs, layout.result};
  return readExtents<I64>(spec, [&](int tensor, int64_t dimension) {
    return I64(k, k.loadInt64(dims, slots[tensor].firstDim + dimension));
  });
}

I64 TileEmitter::rowColumns(I64 row, I64 columns, I64 pixels) {
  return pointwise() ? minOf(columns, pixels - row * columns) : columns;
}

TileEmitter::RowSpan TileEmitter::rowSpan(I64 existing, I64 scratchColumns) {
  int64_t skipped = std::max<int64_t>(-columns.shift, 0);
  I64 left = minOf(std::max<int64_t>(columns.shift, 0), scratchColumns);
  return {left, skipped,
          maxOf(minOf(existing - skipped, scratchColumns - left), I64(0))};
}

void TileEmitter::clearMargins(Value row, I64 existing, I64 groupChannels,
                               I64 scratchColumns) {
  RowSpan span = rowSpan(existing, scratchColumns);
  if (columns.shift > 0)
    k.fillZero(row, span.left * groupChannels);
  k.fillZero(k.at(row, (span.left + span.count) * groupChannels),
             (scratchColumns - span.left - span.count) * groupChannels);
}

void TileEmitter::copyRow(Value from, I64 existing, I64 channels, Value to,
                          I64 groupChannels, I64 scratchColumns) {
  RowSpan span = rowSpan(existing, scratchColumns);
  clearMargins(to, existing, groupChannels, scratchColumns);
  if (spec.groups == 1) {
    k.copy(k.at(to, span.left * groupChannels),
           k.at(from, channels * span.skipped), span.count * groupChannels);
    return;
  }
  k.loop(0, span.count, [&](I64 column) {
    k.loop(0, groupChannels, [&](I64 channel) {
      Value value =
          k.loadFloat(from, (column + span.skipped) * channels + channel);
      k.storeFloat(value, to, (span.left + column) * groupChannels + channel);
    });
  });
}

void TileEmitter::transpose(Value from, I64 fromStride, I64 rows, Value to,
                            I64 toStride, I64 channels) {
  int64_t width = k.width;
  auto one = [&](I64 row, I64 channel) {
    k.storeFloat(k.loadFloat(from, row * fromStride + channel), to,
                 channel * toStride + row);
  };
  I64 wholeRows = rows / width * width;
  I64 wholeChannels = channels / width * width;
  k.loop(0, wholeRows / width, [&](I64 rowBlock) {
    I64 firstRow = rowBlock * width;
    k.loop(0, wholeChannels / width, [&](I64 channelBlock) {
      I64 firstChannel = channelBlock * width;
      Values vectors;
      for (int64_t row = 0; row < width; ++row)
        vectors.push_back(
            k.load(from, (firstRow + row) * fromStride + firstChannel));
      vectors = k.transpose(vectors);
      for (int64_t channel = 0; channel < width; ++channel)
        k.store(vectors[channel], to,
                (firstChannel + channel) * toStride + firstRow);
    });
    k.loop(wholeChannels, channels, [&](I64 channel) {
      k.loop(firstRow, firstRow + width, [&](I64 row) { one(row, channel); });
    });
  });
  k.loop(wholeRows, rows, [&](I64 row) {
    k.loop(0, channels, [&](I64 channel) { one(row, channel); });
  });
}

TileEmitter::Run TileEmitter::tapRun(I64 columnClass, I64 run) {
  SmallVector<int64_t> column, firstTap, numTaps;
  for (const auto &runs : columns.classes)
    for (const TapRun &tapRun : runs) {
      column.push_back(tapRun.column);
      firstTap.push_back(tapRun.firstTap);
      numTaps.push_back(tapRun.numTaps);
    }
  I64 index = columnClass * columns.runsPerClass() + run;
  return {k.lookUp(column, index), k.lookUp(firstTap, index),
          k.lookUp(numTaps, index)};
}

TileEmitter::Values TileEmitter::accumulate(Values accumulators, int64_t tile,
                                            I64 count, ArrayRef<Value> left,
                                            I64 leftStep, Value right) {
  return k.loop(0, count, accumulators, [&](I64 step, ValueRange carried) {
    Values rights, next;
    for (int64_t v = 0; v < schedule.vectors; ++v)
      rights.push_back(
          k.load(right, step * block() + v * schedule.vectorWidth));
    for (int64_t row = 0; row < tile; ++row) {
      Value scalar = k.broadcast(k.loadFloat(left[row], step * leftStep));
      for (int64_t v = 0; v < schedule.vectors; ++v)
        next.push_back(
            k.fma(scalar, rights[v], carried[row * schedule.vectors + v]));
    }
    return next;
  });
}

TileEmitter::Values TileEmitter::zeroTile(int64_t tile) {
  return Values(tile * schedule.vectors, k.zeroVector());
}

void TileEmitter::forTiles(I64 rows, function_ref<void(int64_t, I64)> body) {
  TileCounts<I64> counts = countTiles(schedule, rows);
  k.loop(0, counts.tiles,
         [&](I64 index) { body(schedule.tile, index * schedule.tile); });
  if (schedule.tailTile >= schedule.tile)
    return;
  k.loop(0, counts.tailTiles, [&](I64 index) {
    body(schedule.tailTile,
         counts.tiles * schedule.tile + index * schedule.tailTile);
  });
}

void ContractionEmitter::finish(Value accumulator, I64 offset, I64 channel,
                                Value mask, const PhaseArguments &arguments) {
  if (epilogue) {
    OutputPoint point{offset.in(k), channel.in(k), mask, arguments.buffers};
    accumulator = epilogue(k.builder, k.loc, accumulator, point);
  }
  k.store(accumulator, arguments.buffers[layout.result.buffer], offset, mask);
}

void emitContraction(OpBuilder &builder, Location loc, StringRef kernelName,
                     const ContractionSpec &spec,
                     const ContractionSchedule &schedule,
                     const ContractionLayout &layout, EpilogueFn epilogue) {
  KernelBuilder kernel(builder, loc, schedule.vectorWidth);
  ContractionEmitter emitter{{kernel, spec, schedule, planColumns(spec)},
                             kernelName,
                             layout,
                             epilogue};
  if (spec.kind == ContractionSpec::Kind::BackwardFilter)
    emitFilterContraction(emitter);
  else if (schedule.order == TileOrder::Columns)
    emitColumnContraction(emitter);
  else if (schedule.order == TileOrder::Planes)
    emitPlaneContraction(emitter);
  else
    emitRowContraction(emitter);
}

} // namespace cambium
