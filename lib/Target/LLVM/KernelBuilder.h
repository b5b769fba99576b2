//===- KernelBuilder.h - Writing kernels as if in C -------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_KERNELBUILDER_H
#define CAMBIUM_LIB_TARGET_LLVM_KERNELBUILDER_H

#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinTypes.h"
#include "llvm/ADT/STLFunctionalExtras.h"
#include <algorithm>
#include <cstdint>
#include <optional>

namespace cambium {

class KernelBuilder;

/// An i64 of the kernel being built, with C's operators. Known constants fold
/// at once and need no builder, so formulas written as templates over the
/// integer type serve the host (int64_t) and the kernel (I64) alike.
class I64 {
public:
  I64(int64_t constant) : constant(constant) {}
  I64(KernelBuilder &builder, mlir::Value value)
      : builder(&builder), value(value) {}

  /// The value, as an operation of `builder`.
  mlir::Value in(KernelBuilder &builder) const;

  friend I64 operator+(I64 lhs, I64 rhs);
  friend I64 operator-(I64 lhs, I64 rhs);
  friend I64 operator*(I64 lhs, I64 rhs);
  /// Rounds towards zero.
  friend I64 operator/(I64 lhs, I64 rhs);
  friend I64 operator%(I64 lhs, I64 rhs);
  friend I64 minOf(I64 lhs, I64 rhs);
  friend I64 maxOf(I64 lhs, I64 rhs);
  /// lhs < rhs ? yes : no.
  friend I64 selectLess(I64 lhs, I64 rhs, I64 yes, I64 no);

private:
  KernelBuilder *builder = nullptr;
  mlir::Value value;
  std::optional<int64_t> constant;
};

inline int64_t minOf(int64_t lhs, int64_t rhs) { return std::min(lhs, rhs); }
inline int64_t maxOf(int64_t lhs, int64_t rhs) { return std::max(lhs, rhs); }
inline int64_t selectLess(int64_t lhs, int64_t rhs, int64_t yes, int64_t no) {
  return lhs < rhs ? yes : no;
}

/// lhs / rhs rounded up, for lhs >= 0 and rhs > 0.
template <typename Int> Int ceilDiv(Int lhs, Int rhs) {
  return (lhs + rhs - Int(1)) / rhs;
}

/// Emits operations at the builder's insertion point. Pointers are !llvm.ptr,
/// offsets count floats.
class KernelBuilder {
public:
  using Body = llvm::function_ref<void(I64)>;
  using CarryingBody =
      llvm::function_ref<llvm::SmallVector<mlir::Value>(I64, mlir::ValueRange)>;
  using Block = llvm::function_ref<void()>;
  using YieldingBlock = llvm::function_ref<llvm::SmallVector<mlir::Value>()>;

  KernelBuilder(mlir::OpBuilder &builder, mlir::Location loc,
                int64_t vectorWidth);

  mlir::OpBuilder &builder;
  mlir::Location loc;
  const int64_t width;
  const mlir::VectorType vectorType;

  /// Loops over [begin, end), or not at all if that is empty.
  void loop(I64 begin, I64 end, Body body);
  /// Likewise, carrying values from one iteration to the next.
  llvm::SmallVector<mlir::Value>
  loop(I64 begin, I64 end, mlir::ValueRange initial, CarryingBody body);
  /// Calls `body(first, mask)` for the vectors of [0, count), with a null mask
  /// but for an incomplete one at the end.
  void forVectors(I64 count, llvm::function_ref<void(I64, mlir::Value)> body);
  void ifThen(mlir::Value condition, Block then);
  void ifThenElse(mlir::Value condition, Block then, Block otherwise);
  /// The block's values where the condition holds, else `otherwise`.
  llvm::SmallVector<mlir::Value> ifThenYield(mlir::Value condition,
                                             YieldingBlock then,
                                             mlir::ValueRange otherwise);

  mlir::Value less(I64 lhs, I64 rhs);
  mlir::Value lessEqual(I64 lhs, I64 rhs) { return less(lhs, rhs + 1); }
  mlir::Value equal(I64 lhs, I64 rhs);
  mlir::Value both(mlir::Value lhs, mlir::Value rhs);
  mlir::Value either(mlir::Value lhs, mlir::Value rhs);
  mlir::Value select(mlir::Value condition, mlir::Value yes, mlir::Value no);
  /// values[index], for 0 <= index < values.size().
  I64 lookUp(llvm::ArrayRef<int64_t> values, I64 index);

  mlir::Value at(mlir::Value base, I64 offset);
  mlir::Value loadFloat(mlir::Value base, I64 offset);
  void storeFloat(mlir::Value value, mlir::Value base, I64 offset);
  mlir::Value load(mlir::Value base, I64 offset, mlir::Value mask = {});
  void store(mlir::Value vector, mlir::Value base, I64 offset,
             mlir::Value mask = {});
  void copy(mlir::Value to, mlir::Value from, I64 count);
  void fillZero(mlir::Value to, I64 count);
  mlir::Value loadInt64(mlir::Value base, int64_t index);
  mlir::Value loadPointer(mlir::Value base, I64 index);

  mlir::Value zeroFloat();
  mlir::Value zeroVector();
  mlir::Value broadcast(mlir::Value scalar);
  mlir::Value add(mlir::Value lhs, mlir::Value rhs);
  mlir::Value fma(mlir::Value lhs, mlir::Value rhs, mlir::Value accumulator);
  /// Vectors of columns from `width` vectors of rows.
  llvm::SmallVector<mlir::Value> transpose(llvm::ArrayRef<mlir::Value> rows);
  /// vector<Wxi1>: the first `count` lanes, all if it is W or more.
  mlir::Value firstLanes(I64 count);
};

/// One phase function. `emit` gets its arguments and fills its body.
struct PhaseArguments {
  llvm::SmallVector<mlir::Value> buffers;
  mlir::Value dims;
  I64 begin, end;
  mlir::Value scratch;
  /// The array that holds `buffers` and, for kernels of branches, the pointers
  /// of each branch after them.
  mlir::Value pointers;
};
void emitPhase(KernelBuilder &kernel, llvm::StringRef kernelName,
               unsigned phase, int64_t numBuffers,
               llvm::function_ref<void(const PhaseArguments &)> emit);

} // namespace cambium

#endif // CAMBIUM_LIB_TARGET_LLVM_KERNELBUILDER_H
