//===- KernelBuilder.cpp - Writing kernels as if in C ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelBuilder.h"
#include "cambium/Target/LLVM/Contraction.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"

using namespace mlir;
using namespace cambium;

/// Floats have no more alignment than their own: channels are arbitrary.
static constexpr unsigned floatBytes = 4;

Value I64::in(KernelBuilder &kernel) const {
  if (!constant)
    return value;
  return arith::ConstantOp::create(kernel.builder, kernel.loc,
                                   kernel.builder.getI64IntegerAttr(*constant));
}

namespace cambium {

I64 operator+(I64 lhs, I64 rhs) {
  if (lhs.constant && rhs.constant)
    return *lhs.constant + *rhs.constant;
  if (lhs.constant == 0)
    return rhs;
  if (rhs.constant == 0)
    return lhs;
  KernelBuilder &b = lhs.builder ? *lhs.builder : *rhs.builder;
  return {b, arith::AddIOp::create(b.builder, b.loc, lhs.in(b), rhs.in(b))};
}

I64 operator-(I64 lhs, I64 rhs) {
  if (rhs.constant)
    return lhs + -*rhs.constant;
  KernelBuilder &b = *rhs.builder;
  return {b, arith::SubIOp::create(b.builder, b.loc, lhs.in(b), rhs.in(b))};
}

I64 operator*(I64 lhs, I64 rhs) {
  if (lhs.constant && rhs.constant)
    return *lhs.constant * *rhs.constant;
  if (lhs.constant == 0 || rhs.constant == 0)
    return 0;
  if (lhs.constant == 1)
    return rhs;
  if (rhs.constant == 1)
    return lhs;
  KernelBuilder &b = lhs.builder ? *lhs.builder : *rhs.builder;
  return {b, arith::MulIOp::create(b.builder, b.loc, lhs.in(b), rhs.in(b))};
}

I64 operator/(I64 lhs, I64 rhs) {
  if (lhs.constant && rhs.constant)
    return *lhs.constant / *rhs.constant;
  if (rhs.constant == 1)
    return lhs;
  KernelBuilder &b = lhs.builder ? *lhs.builder : *rhs.builder;
  return {b, arith::DivSIOp::create(b.builder, b.loc, lhs.in(b), rhs.in(b))};
}

I64 operator%(I64 lhs, I64 rhs) {
  if (lhs.constant && rhs.constant)
    return *lhs.constant % *rhs.constant;
  if (rhs.constant == 1)
    return 0;
  KernelBuilder &b = lhs.builder ? *lhs.builder : *rhs.builder;
  return {b, arith::RemSIOp::create(b.builder, b.loc, lhs.in(b), rhs.in(b))};
}

I64 minOf(I64 lhs, I64 rhs) {
  if (lhs.constant && rhs.constant)
    return std::min(*lhs.constant, *rhs.constant);
  KernelBuilder &b = lhs.builder ? *lhs.builder : *rhs.builder;
  return {b, arith::MinSIOp::create(b.builder, b.loc, lhs.in(b), rhs.in(b))};
}

I64 maxOf(I64 lhs, I64 rhs) {
  if (lhs.constant && rhs.constant)
    return std::max(*lhs.constant, *rhs.constant);
  KernelBuilder &b = lhs.builder ? *lhs.builder : *rhs.builder;
  return {b, arith::MaxSIOp::create(b.builder, b.loc, lhs.in(b), rhs.in(b))};
}

I64 selectLess(I64 lhs, I64 rhs, I64 yes, I64 no) {
  if (lhs.constant && rhs.constant)
    return *lhs.constant < *rhs.constant ? yes : no;
  KernelBuilder &b = lhs.builder ? *lhs.builder : *rhs.builder;
  return {b, b.select(b.less(lhs, rhs), yes.in(b), no.in(b))};
}

} // namespace cambium

KernelBuilder::KernelBuilder(OpBuilder &builder, Location loc,
                             int64_t vectorWidth)
    : builder(builder), loc(loc), width(vectorWidth),
      vectorType(VectorType::get({vectorWidth}, builder.getF32Type())) {}

void KernelBuilder::loop(I64 begin, I64 end, Body body) {
  loop(begin, end, ValueRange(), [&](I64 index, ValueRange) {
    body(index);
    return SmallVector<Value>();
  });
}

SmallVector<Value> KernelBuilder::loop(I64 begin, I64 end, ValueRange initial,
                                       CarryingBody body) {
  auto loop = scf::ForOp::create(
      builder, loc, begin.in(*this), end.in(*this), I64(1).in(*this), initial,
      [&](OpBuilder &, Location, Value index, ValueRange carried) {
        // The inner builder is a copy; this object keeps emitting into its own.
        OpBuilder::InsertionGuard guard(builder);
        builder.setInsertionPointToEnd(index.getParentBlock());
        SmallVector<Value> next = body(I64(*this, index), carried);
        scf::YieldOp::create(builder, loc, next);
      });
  return SmallVector<Value>(loop.getResults());
}

void KernelBuilder::forVectors(I64 count, function_ref<void(I64, Value)> body) {
  I64 vectors = count / width;
  loop(0, vectors, [&](I64 index) { body(index * width, Value()); });
  I64 rest = vectors * width;
  ifThen(less(rest, count), [&] { body(rest, firstLanes(count - rest)); });
}

void KernelBuilder::ifThen(Value condition, Block then) {
  auto branch = scf::IfOp::create(builder, loc, condition,
                                  /*withElseRegion=*/false);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  then();
}

void KernelBuilder::ifThenElse(Value condition, Block then, Block otherwise) {
  auto branch = scf::IfOp::create(builder, loc, condition,
                                  /*withElseRegion=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  then();
  builder.setInsertionPointToStart(branch.elseBlock());
  otherwise();
}

SmallVector<Value> KernelBuilder::ifThenYield(Value condition,
                                              YieldingBlock then,
                                              ValueRange otherwise) {
  auto branch = scf::IfOp::create(builder, loc, TypeRange(otherwise), condition,
                                  /*addThenBlock=*/true,
                                  /*addElseBlock=*/true);
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(branch.thenBlock());
  scf::YieldOp::create(builder, loc, then());
  builder.setInsertionPointToStart(branch.elseBlock());
  scf::YieldOp::create(builder, loc, otherwise);
  return SmallVector<Value>(branch.getResults());
}

Value KernelBuilder::less(I64 lhs, I64 rhs) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt,
                               lhs.in(*this), rhs.in(*this));
}

Value KernelBuilder::equal(I64 lhs, I64 rhs) {
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::eq,
                               lhs.in(*this), rhs.in(*this));
}

Value KernelBuilder::both(Value lhs, Value rhs) {
  return arith::AndIOp::create(builder, loc, lhs, rhs);
}

Value KernelBuilder::either(Value lhs, Value rhs) {
  return arith::OrIOp::create(builder, loc, lhs, rhs);
}

Value KernelBuilder::select(Value condition, Value yes, Value no) {
  return arith::SelectOp::create(builder, loc, condition, yes, no);
}

I64 KernelBuilder::lookUp(ArrayRef<int64_t> values, I64 index) {
  I64 result = values.front();
  for (size_t i = 1; i < values.size(); ++i)
    if (!llvm::all_equal(values.take_front(i + 1)))
      result = selectLess(index, static_cast<int64_t>(i), result, values[i]);
  return result;
}

Value KernelBuilder::at(Value base, I64 offset) {
  return LLVM::GEPOp::create(
      builder, loc, base.getType(), builder.getF32Type(), base,
      ArrayRef<LLVM::GEPArg>{LLVM::GEPArg(offset.in(*this))});
}

Value KernelBuilder::loadFloat(Value base, I64 offset) {
  return LLVM::LoadOp::create(builder, loc, builder.getF32Type(),
                              at(base, offset), floatBytes);
}

void KernelBuilder::storeFloat(Value value, Value base, I64 offset) {
  LLVM::StoreOp::create(builder, loc, value, at(base, offset), floatBytes);
}

Value KernelBuilder::load(Value base, I64 offset, Value mask) {
  return loadVector(builder, loc, base, offset.in(*this), width, mask);
}

void KernelBuilder::store(Value vector, Value base, I64 offset, Value mask) {
  storeVector(builder, loc, vector, base, offset.in(*this), mask);
}

void KernelBuilder::copy(Value to, Value from, I64 count) {
  LLVM::MemcpyOp::create(builder, loc, to, from, (count * floatBytes).in(*this),
                         /*isVolatile=*/false);
}

void KernelBuilder::fillZero(Value to, I64 count) {
  Value zero = LLVM::ConstantOp::create(builder, loc, builder.getI8Type(), 0);
  LLVM::MemsetOp::create(builder, loc, to, zero, (count * floatBytes).in(*this),
                         /*isVolatile=*/false);
}

Value KernelBuilder::loadInt64(Value base, int64_t index) {
  Type type = builder.getI64Type();
  Value address =
      LLVM::GEPOp::create(builder, loc, base.getType(), type, base,
                          ArrayRef<LLVM::GEPArg>{static_cast<int32_t>(index)});
  return LLVM::LoadOp::create(builder, loc, type, address);
}

Value KernelBuilder::loadPointer(Value base, I64 index) {
  Type type = base.getType();
  Value address = LLVM::GEPOp::create(
      builder, loc, type, type, base,
      ArrayRef<LLVM::GEPArg>{LLVM::GEPArg(index.in(*this))});
  return LLVM::LoadOp::create(builder, loc, type, address);
}

Value KernelBuilder::zeroFloat() {
  return arith::ConstantOp::create(builder, loc, builder.getF32FloatAttr(0));
}

Value KernelBuilder::zeroVector() {
  return arith::ConstantOp::create(
      builder, loc,
      DenseElementsAttr::get(vectorType, builder.getF32FloatAttr(0)));
}

Value KernelBuilder::broadcast(Value scalar) {
  return vector::BroadcastOp::create(builder, loc, vectorType, scalar);
}

Value KernelBuilder::add(Value lhs, Value rhs) {
  return arith::AddFOp::create(builder, loc, lhs, rhs);
}

Value KernelBuilder::fma(Value lhs, Value rhs, Value accumulator) {
  return vector::FMAOp::create(builder, loc, lhs, rhs, accumulator);
}

/// Shuffles that processors have one instruction for: interleaving within
/// quads, then exchanging whole quads.
SmallVector<Value> KernelBuilder::transpose(ArrayRef<Value> rows) {
  auto shuffle = [&](Value lhs, Value rhs, function_ref<int64_t(int64_t)> of) {
    SmallVector<int64_t> lanes;
    for (int64_t lane = 0; lane < width; ++lane)
      lanes.push_back(of(lane));
    return vector::ShuffleOp::create(builder, loc, lhs, rhs, lanes).getResult();
  };
  SmallVector<Value> result(rows);
  constexpr int64_t quad = 4;
  // Pairs of lanes from `first` on, one of each row.
  auto interleave = [&](Value lhs, Value rhs, int64_t first) {
    return shuffle(lhs, rhs, [&](int64_t lane) {
      int64_t from = lane / quad * quad + first + lane % quad / 2;
      return lane % 2 ? width + from : from;
    });
  };
  auto joinHalves = [&](Value lhs, Value rhs, int64_t first) {
    return shuffle(lhs, rhs, [&](int64_t lane) {
      int64_t from = lane / quad * quad + first + lane % 2;
      return lane % quad < 2 ? from : width + from;
    });
  };
  for (int64_t row = 0; row < width; row += quad) {
    Value *four = &result[row];
    Value low[] = {interleave(four[0], four[1], 0),
                   interleave(four[2], four[3], 0)};
    Value high[] = {interleave(four[0], four[1], 2),
                    interleave(four[2], four[3], 2)};
    four[0] = joinHalves(low[0], low[1], 0);
    four[1] = joinHalves(low[0], low[1], 2);
    four[2] = joinHalves(high[0], high[1], 0);
    four[3] = joinHalves(high[0], high[1], 2);
  }
  for (int64_t distance = quad; distance < width; distance *= 2)
    for (int64_t row = 0; row < width; ++row) {
      if (row & distance)
        continue;
      Value lhs = result[row], rhs = result[row + distance];
      result[row] = shuffle(lhs, rhs, [&](int64_t lane) {
        return lane & distance ? width + lane - distance : lane;
      });
      result[row + distance] = shuffle(lhs, rhs, [&](int64_t lane) {
        return lane & distance ? width + lane : lane + distance;
      });
    }
  return result;
}

Value KernelBuilder::firstLanes(I64 count) {
  SmallVector<int32_t> lanes = llvm::to_vector(llvm::seq<int32_t>(0, width));
  auto type = VectorType::get({width}, builder.getI32Type());
  Value laneVector = arith::ConstantOp::create(
      builder, loc, DenseElementsAttr::get(type, ArrayRef<int32_t>(lanes)));
  I64 clamped = maxOf(0, minOf(count, width));
  Value limit = arith::TruncIOp::create(builder, loc, builder.getI32Type(),
                                        clamped.in(*this));
  Value limits = vector::BroadcastOp::create(builder, loc, type, limit);
  return arith::CmpIOp::create(builder, loc, arith::CmpIPredicate::slt,
                               laneVector, limits);
}

void cambium::emitPhase(KernelBuilder &kernel, StringRef kernelName,
                        unsigned phase, int64_t numBuffers,
                        function_ref<void(const PhaseArguments &)> emit) {
  OpBuilder &builder = kernel.builder;
  OpBuilder::InsertionGuard guard(builder);
  Type pointer = LLVM::LLVMPointerType::get(builder.getContext());
  Type i64 = builder.getI64Type();
  auto type =
      builder.getFunctionType({pointer, pointer, i64, i64, pointer}, {});
  auto function = func::FuncOp::create(
      builder, kernel.loc, (kernelName + "_phase" + Twine(phase)).str(), type);
  builder.setInsertionPointToStart(function.addEntryBlock());
  SmallVector<Value> buffers;
  for (int64_t index = 0; index < numBuffers; ++index)
    buffers.push_back(kernel.loadPointer(function.getArgument(0), index));
  emit({buffers, function.getArgument(1), I64(kernel, function.getArgument(2)),
        I64(kernel, function.getArgument(3)), function.getArgument(4),
        function.getArgument(0)});
  func::ReturnOp::create(builder, kernel.loc);
}

Value cambium::loadVector(OpBuilder &builder, Location loc, Value base,
                          Value offset, int64_t width, Value mask) {
  Type element = builder.getF32Type();
  auto type = VectorType::get({width}, element);
  Value address =
      LLVM::GEPOp::create(builder, loc, base.getType(), element, base,
                          ArrayRef<LLVM::GEPArg>{LLVM::GEPArg(offset)});
  if (!mask)
    return LLVM::LoadOp::create(builder, loc, type, address, floatBytes);
  Value zero = arith::ConstantOp::create(
      builder, loc, DenseElementsAttr::get(type, builder.getF32FloatAttr(0)));
  return LLVM::MaskedLoadOp::create(builder, loc, type, address, mask, zero,
                                    floatBytes);
}

void cambium::storeVector(OpBuilder &builder, Location loc, Value vector,
                          Value base, Value offset, Value mask) {
  Value address =
      LLVM::GEPOp::create(builder, loc, base.getType(), builder.getF32Type(),
                          base, ArrayRef<LLVM::GEPArg>{LLVM::GEPArg(offset)});
  if (mask)
    LLVM::MaskedStoreOp::create(builder, loc, vector, address, mask,
                                floatBytes);
  else
    LLVM::StoreOp::create(builder, loc, vector, address, floatBytes);
}
