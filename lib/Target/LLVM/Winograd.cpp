//===- Winograd.cpp - Transforms and products of Winograd's algorithm -----===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Winograd.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include <cmath>

using namespace mlir;
using namespace cambium;

//===----------------------------------------------------------------------===//
// Matrices
//===----------------------------------------------------------------------===//

/// Coefficients of the product of (x - root), lowest power first.
static SmallVector<double> polynomial(ArrayRef<double> roots) {
  SmallVector<double> coefficients = {1.0};
  for (double root : roots) {
    coefficients.push_back(0.0);
    for (size_t i = coefficients.size(); i-- > 0;)
      coefficients[i] =
          (i ? coefficients[i - 1] : 0.0) - root * coefficients[i];
  }
  return coefficients;
}

/// Points near 1 in both directions keep the error small: with these it is
/// half of that with 0, +-1, +-2.
static SmallVector<double> finitePoints(int64_t m) {
  if (m == 2)
    return {0.0, 1.0, -1.0};
  double root = std::sqrt(2.0);
  return {0.0, 1.0 / root, -1.0 / root, root, -root};
}

WinogradPlan::WinogradPlan(int64_t m)
    : m(m), points(m + 2), input{points, points, {}}, filter{points, 3, {}},
      output{points, m, {}} {
  SmallVector<double> finite = finitePoints(m);
  auto append = [](WinogradMatrix &matrix, ArrayRef<double> row) {
    matrix.values.append(row.begin(), row.end());
    matrix.values.resize(
        llvm::divideCeil(matrix.values.size(), matrix.columns) *
        matrix.columns);
  };
  auto powers = [](double point, int64_t count, double scale) {
    SmallVector<double> row;
    for (int64_t i = 0; i < count; ++i)
      row.push_back(scale * std::pow(point, i));
    return row;
  };
  for (double point : finite) {
    SmallVector<double> others;
    double product = 1.0;
    for (double other : finite) {
      if (other == point)
        continue;
      others.push_back(other);
      product *= point - other;
    }
    append(input, polynomial(others));
    append(filter, powers(point, 3, 1.0 / product));
    append(output, powers(point, m, 1.0));
  }
  append(input, polynomial(finite));
  append(filter, {0.0, 0.0, 1.0});
  SmallVector<double> last(m, 0.0);
  last.back() = 1.0;
  append(output, last);
  // Exact zeros and ones let the emitted code leave products out.
  for (WinogradMatrix *matrix : {&input, &filter, &output})
    for (double &value : matrix->values)
      for (double exact : {0.0, 1.0, -1.0})
        if (std::abs(value - exact) < 1e-12)
          value = exact;
}

//===----------------------------------------------------------------------===//
// Transforms
//===----------------------------------------------------------------------===//

Value WinogradEmitter::constant(double value) {
  return arith::ConstantOp::create(
      k.builder, k.loc,
      DenseElementsAttr::get(
          k.vectorType, k.builder.getF32FloatAttr(static_cast<float>(value))));
}

Value WinogradEmitter::scaled(Value vector, double factor) {
  if (!vector || factor == 1.0)
    return vector;
  return arith::MulFOp::create(k.builder, k.loc, vector, constant(factor));
}

Value WinogradEmitter::addScaled(Value accumulator, Value vector,
                                 double factor) {
  if (!vector || factor == 0.0)
    return accumulator;
  if (!accumulator)
    return scaled(vector, factor);
  if (factor == 1.0)
    return k.add(accumulator, vector);
  if (factor == -1.0)
    return arith::SubFOp::create(k.builder, k.loc, accumulator, vector);
  return k.fma(vector, constant(factor), accumulator);
}

/// Starts with a vector that needs no product, if there is one.
Value WinogradEmitter::combine(ArrayRef<Value> vectors,
                               ArrayRef<double> factors) {
  size_t first = llvm::find(factors, 1.0) - factors.begin();
  Value sum;
  if (first < factors.size())
    sum = vectors[first];
  for (auto [index, factor] : llvm::enumerate(factors))
    if (index != first)
      sum = addScaled(sum, vectors[index], factor);
  return sum;
}

static SmallVector<double> rowOf(const WinogradMatrix &matrix, int64_t point) {
  return SmallVector<double>(
      ArrayRef(matrix.values).slice(point * matrix.columns, matrix.columns));
}

WinogradEmitter::Values WinogradEmitter::toPoints(const WinogradMatrix &matrix,
                                                  ArrayRef<Value> x) {
  Values result = {combine(x, rowOf(matrix, 0))};
  for (int64_t point = 1; point + 1 < matrix.points; point += 2) {
    SmallVector<double> even = rowOf(matrix, point), odd = even;
    for (int64_t i = 0; i < matrix.columns; ++i)
      (i % 2 ? even : odd)[i] = 0.0;
    double scale = *llvm::find_if(llvm::reverse(odd),
                                  [](double factor) { return factor != 0.0; });
    for (double &factor : odd)
      factor /= scale;
    Value evenPart = combine(x, even), oddPart = combine(x, odd);
    result.push_back(addScaled(evenPart, oddPart, scale));
    result.push_back(addScaled(evenPart, oddPart, -scale));
  }
  result.push_back(combine(x, rowOf(matrix, matrix.points - 1)));
  return result;
}

WinogradEmitter::Values
WinogradEmitter::fromPoints(const WinogradMatrix &matrix, ArrayRef<Value> x) {
  Values sums(matrix.points), differences(matrix.points);
  for (int64_t point = 1; point + 1 < matrix.points; point += 2) {
    sums[point] = k.add(x[point], x[point + 1]);
    differences[point] =
        arith::SubFOp::create(k.builder, k.loc, x[point], x[point + 1]);
  }
  Values result;
  for (int64_t column = 0; column < matrix.columns; ++column) {
    Values vectors;
    SmallVector<double> factors;
    auto append = [&](Value vector, double factor) {
      vectors.push_back(vector);
      factors.push_back(factor);
    };
    append(x.front(), matrix(0, column));
    for (int64_t point = 1; point + 1 < matrix.points; point += 2)
      append((column % 2 ? differences : sums)[point], matrix(point, column));
    append(x.back(), matrix(matrix.points - 1, column));
    result.push_back(combine(vectors, factors));
  }
  return result;
}

/// Columns, then rows. The first pass leaves its results in memory because
/// they are too many for the registers.
void WinogradEmitter::twoPasses(int64_t from, int64_t to, Value memory,
                                LoadColumn load, StoreRow store,
                                function_ref<Values(ArrayRef<Value>)> pass) {
  k.loop(0, from, [&](I64 column) {
    Values vectors = pass(load(column));
    for (int64_t row = 0; row < to; ++row)
      k.store(vectors[row], memory, (column + row * from) * k.width);
  });
  k.loop(0, to, [&](I64 row) {
    Values vectors;
    for (int64_t column = 0; column < from; ++column)
      vectors.push_back(k.load(memory, (row * from + column) * k.width));
    store(row, pass(vectors));
  });
}

void WinogradEmitter::toPoints(const WinogradMatrix &matrix, Value memory,
                               LoadColumn load, StoreRow store) {
  twoPasses(matrix.columns, matrix.points, memory, load, store,
            [&](ArrayRef<Value> x) { return toPoints(matrix, x); });
}

void WinogradEmitter::fromPoints(const WinogradMatrix &matrix, Value memory,
                                 LoadColumn load, StoreRow store) {
  twoPasses(matrix.points, matrix.columns, memory, load, store,
            [&](ArrayRef<Value> x) { return fromPoints(matrix, x); });
}

WinogradEmitter::Values WinogradEmitter::loadColumn(Value base, int64_t rows,
                                                    I64 rowStride,
                                                    I64 columnStride,
                                                    I64 column) {
  Value top = k.at(base, column * columnStride);
  Values vectors;
  for (int64_t row = 0; row < rows; ++row)
    vectors.push_back(k.load(top, rowStride * row));
  return vectors;
}

void WinogradEmitter::storePoints(Value place, I64 pointStride, I64 row,
                                  ArrayRef<Value> vectors) {
  Value left = k.at(place, row * pointStride * plan.points);
  for (auto [column, vector] : llvm::enumerate(vectors))
    k.store(vector, left, pointStride * static_cast<int64_t>(column));
}

//===----------------------------------------------------------------------===//
// Products
//===----------------------------------------------------------------------===//

void WinogradEmitter::products(Value result, I64 pointStride, I64 rowStride,
                               I64 rows, const WinogradFactor &left,
                               const WinogradFactor &right, I64 depth,
                               bool addOld) {
  auto registerTile = [&](int64_t tile, I64 point, I64 first) {
    Value leftTile =
        k.at(left.base, point * left.pointStride + first * left.rowStride);
    Value rightPoint = k.at(right.base, point * right.pointStride);
    Values leftRows;
    for (int64_t row = 0; row < tile; ++row)
      leftRows.push_back(k.at(leftTile, left.rowStride * row));
    Values sums =
        k.loop(0, depth, Values(tile * schedule.vectors, k.zeroVector()),
               [&](I64 index, ValueRange carried) {
                 Values vectors, next;
                 for (int64_t v = 0; v < schedule.vectors; ++v)
                   vectors.push_back(
                       k.load(rightPoint, index * right.step + v * k.width));
                 for (int64_t row = 0; row < tile; ++row) {
                   Value scalar = k.broadcast(
                       k.loadFloat(leftRows[row], index * left.step));
                   for (int64_t v = 0; v < schedule.vectors; ++v)
                     next.push_back(k.fma(scalar, vectors[v],
                                          carried[row * schedule.vectors + v]));
                 }
                 return next;
               });
    Value to = k.at(result, point * pointStride + first * rowStride);
    for (int64_t row = 0; row < tile; ++row)
      for (int64_t v = 0; v < schedule.vectors; ++v) {
        I64 offset = rowStride * row + v * k.width;
        Value sum = sums[row * schedule.vectors + v];
        // Adding the old values last keeps sums over many blocks accurate.
        k.store(addOld ? k.add(k.load(to, offset), sum) : sum, to, offset);
      }
  };
  TileCounts<I64> counts = countTiles(schedule, rows);
  k.loop(0, plan.allPoints(), [&](I64 point) {
    k.loop(0, counts.tiles, [&](I64 index) {
      registerTile(schedule.tile, point, index * schedule.tile);
    });
    if (schedule.tailTile < schedule.tile)
      k.loop(0, counts.tailTiles, [&](I64 index) {
        registerTile(schedule.tailTile, point,
                     counts.tiles * schedule.tile + index * schedule.tailTile);
      });
  });
}

WinogradEmitter::Tile WinogradEmitter::tile(const WinogradTiles<I64> &tiles,
                                            I64 index) {
  I64 line = index / tiles.columns;
  return {line / tiles.rows, line % tiles.rows * plan.m,
          index % tiles.columns * plan.m};
}
