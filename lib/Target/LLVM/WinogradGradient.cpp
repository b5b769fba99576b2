//===- WinogradGradient.cpp - Gradients of tiles of outputs ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "WinogradGradient.h"
#include "mlir/Dialect/Arith/IR/Arith.h"

using namespace mlir;
using namespace cambium;

void WinogradGradient::recompute(
    const WinogradBlock &block, I64 channelBlock, Value input,
    const WinogradPanel<I64> &inputPanel, Value filter,
    const WinogradFilter<I64> &filterLayout, Value products,
    const WinogradPanel<I64> &productPanel, Value accumulators, Value memory) {
  forward.outputs(
      block, channelBlock, input, inputPanel, filter, filterLayout, products,
      productPanel, memory,
      [&](Value accumulator, const WinogradForward::Place &place) {
        I64 pixel =
            (place.index * w.plan.m + place.row) * w.plan.m + place.column;
        I64 lane = place.channel - channelBlock * w.block();
        k.store(accumulator, accumulators, pixel * w.block() + lane);
      });
}

void WinogradGradient::emit(const WinogradBlock &block, const Branch &branch,
                            I64 channelBlock, Value accumulators, Value to,
                            const WinogradPanel<I64> &panel, Value memory,
                            Value sums) {
  const Extents<I64> &y = block.extents;
  int64_t m = w.plan.m;
  k.loop(0, block.count, [&](I64 index) {
    WinogradEmitter::Tile tile = w.tile(block.tiles, block.first + index);
    I64 pixel = (tile.image * y.outH + tile.row) * y.outW + tile.column;
    k.loop(0, w.schedule.vectors, [&](I64 v) {
      I64 lane = v * k.width;
      I64 channel = channelBlock * w.block() + lane;
      auto transform = [&](Value mask) {
        Place place{pixel,
                    y.outH - tile.row,
                    y.outW - tile.column,
                    channel,
                    mask,
                    Value(),
                    Value()};
        if (accumulators)
          place.accumulators =
              k.at(accumulators, index * (m * m * w.block()) + lane);
        if (sums)
          place.sums = k.at(sums, lane * floatsPerDouble);
        Value points = k.at(to, index * panel.tileStride + lane);
        w.toPoints(
            w.plan.output, memory,
            [&](I64 c) { return column(block, branch, place, c); },
            [&](I64 row, ArrayRef<Value> vectors) {
              w.storePoints(points, panel.pointStride, row, vectors);
            });
      };
      I64 remaining = y.outC - channel;
      k.ifThenElse(
          k.lessEqual(k.width, remaining), [&] { transform(Value()); },
          [&] {
            k.ifThen(k.less(0, remaining),
                     [&] { transform(k.firstLanes(remaining)); });
          });
    });
  });
}

/// The column's gradients from top to bottom, zero outside of y.
WinogradGradient::Values WinogradGradient::column(const WinogradBlock &block,
                                                  const Branch &branch,
                                                  const Place &place,
                                                  I64 index) {
  SmallVector<Values> elements;
  Value exists = k.less(index, place.columns);
  for (int64_t row = 0; row < w.plan.m; ++row)
    elements.push_back(k.ifThenYield(
        k.both(exists, k.less(row, place.rows)),
        [&] { return element(block, branch, place, row, index); },
        Values(1 + e.spec.sums, k.zeroVector())));
  if (place.sums)
    addToSums(elements, place.sums);
  Values gradients;
  for (const Values &values : elements)
    gradients.push_back(values.front());
  return gradients;
}

/// The gradient at a pixel that exists, then what is summed over pixels.
WinogradGradient::Values WinogradGradient::element(const WinogradBlock &block,
                                                   const Branch &branch,
                                                   const Place &place, I64 row,
                                                   I64 column) {
  const Extents<I64> &y = block.extents;
  Value accumulator;
  if (place.accumulators)
    accumulator =
        k.load(place.accumulators, (row * w.plan.m + column) * w.block());
  BranchPoint point = e.point(block.arguments, branch.index, branch.branches,
                              branch.tuple, place.pixel + row * y.outW + column,
                              place.channel, y.outC, place.mask);
  Values terms;
  Value gradient =
      e.hooks.gradientAndSums
          ? e.hooks.gradientAndSums(k.builder, k.loc, accumulator, point, terms)
          : e.gradient(accumulator, point);
  terms.insert(terms.begin(), gradient);
  return terms;
}

void WinogradGradient::addToSums(ArrayRef<Values> elements, Value sums) {
  for (int64_t sum = 0; sum < e.spec.sums; ++sum) {
    Values terms;
    for (const Values &values : elements)
      terms.push_back(arith::ExtFOp::create(k.builder, k.loc, e.doubles(),
                                            values[1 + sum]));
    for (size_t step = 1; step < terms.size(); step *= 2)
      for (size_t i = 0; i + step < terms.size(); i += 2 * step)
        terms[i] = k.add(terms[i], terms[i + step]);
    int64_t offset = sum * w.block() * floatsPerDouble;
    e.storeDoubles(k.add(e.loadDoubles(sums, offset), terms.front()), sums,
                   offset);
  }
}
