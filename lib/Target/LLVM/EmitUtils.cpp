//===- EmitUtils.cpp - What the emitters of kernels share -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmitUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"

using namespace mlir;

namespace cambium::grow {

LaunchSizes flatLaunch(int64_t elements) {
  LaunchSizes sizes;
  sizes.tasks = {flatTasks(elements)};
  return sizes;
}

int64_t contractionWork(const ContractionSpec &spec, ArrayRef<int64_t> dims,
                        int64_t firstOfY, int64_t firstOfFilter) {
  constexpr int64_t multiplicationsOfElement = 8;
  int64_t rank = spec.linear ? 2 : 4, product = 1;
  // Pixels times the filter's elements.
  for (int64_t extent : dims.slice(firstOfY, rank - 1))
    product *= extent;
  for (int64_t extent : dims.slice(firstOfFilter, rank))
    product *= extent;
  return product / multiplicationsOfElement;
}

//===----------------------------------------------------------------------===//
// Phases and loops
//===----------------------------------------------------------------------===//

void KernelEmission::phase(function_ref<void(I64, I64)> emit) {
  emitPhase(k, name, numPhases++, numBuffers, [&](const PhaseArguments &args) {
    bufferArray = k.builder.getInsertionBlock()->getArgument(0);
    buffers = args.buffers;
    dims = args.dims;
    scratch = args.scratch;
    extents.shapes.clear();
    for (auto [tensor, first] :
         llvm::zip(signature.tensors, signature.firstDims)) {
      auto &shape = extents.shapes.emplace_back();
      for (auto [i, extent] : llvm::enumerate(tensor.getShape()))
        shape.push_back(ShapedType::isDynamic(extent)
                            ? I64(k, k.loadInt64(dims, first + i))
                            : I64(extent));
    }
    emit(args.begin, args.end);
  });
}

void KernelEmission::phaseOfTasks(Body body) {
  phase([&](I64 begin, I64 end) { k.loop(begin, end, body); });
}

void KernelEmission::phaseOfElements(int64_t buffer, VectorBody body) {
  phase([&](I64 begin, I64 end) {
    I64 elements = extents.elements(buffer);
    k.loop(begin, end, [&](I64 task) {
      auto [first, last] = block(task, flatBlock, elements);
      forVectors(first, last, body);
    });
  });
}

void KernelEmission::forVectors(I64 begin, I64 end, VectorBody body) {
  I64 count = (end - begin) / k.width;
  k.loop(0, count, [&](I64 index) { body(begin + index * k.width, Value()); });
  I64 rest = begin + count * k.width;
  k.ifThen(k.less(rest, end), [&] { body(rest, k.firstLanes(end - rest)); });
}

Values KernelEmission::forVectors(I64 begin, I64 end, ValueRange initial,
                                  CarryingVectorBody body) {
  I64 count = (end - begin) / k.width;
  Values carried =
      k.loop(0, count, initial, [&](I64 index, ValueRange carried) {
        return body(begin + index * k.width, Value(), carried);
      });
  I64 rest = begin + count * k.width;
  return k.ifThenYield(
      k.less(rest, end),
      [&] { return body(rest, k.firstLanes(end - rest), carried); }, carried);
}

void KernelEmission::forColumns(I64 count, int64_t together, ColumnBody body) {
  int64_t width = together * k.width;
  I64 groups = count / width;
  k.loop(0, groups, [&](I64 group) {
    SmallVector<I64> offsets;
    for (int64_t i = 0; i < together; ++i)
      offsets.push_back(group * width + i * k.width);
    body(offsets, Value());
  });
  forVectors(groups * width, count,
             [&](I64 offset, Value mask) { body(offset, mask); });
}

//===----------------------------------------------------------------------===//
// Arithmetic
//===----------------------------------------------------------------------===//

Value KernelEmission::constant(double value) {
  return arith::ConstantOp::create(
      k.builder, k.loc, FloatAttr::get(k.builder.getF32Type(), value));
}

Value KernelEmission::scalar64(double value) {
  return arith::ConstantOp::create(k.builder, k.loc,
                                   k.builder.getF64FloatAttr(value));
}

Value KernelEmission::toFloat(I64 value) {
  return arith::SIToFPOp::create(k.builder, k.loc, k.builder.getF32Type(),
                                 value.in(k));
}

Value KernelEmission::toDouble(I64 value) {
  return arith::SIToFPOp::create(k.builder, k.loc, f64(), value.in(k));
}

Value KernelEmission::sub(Value lhs, Value rhs) {
  return arith::SubFOp::create(k.builder, k.loc, lhs, rhs);
}

Value KernelEmission::mul(Value lhs, Value rhs) {
  return arith::MulFOp::create(k.builder, k.loc, lhs, rhs);
}

Value KernelEmission::div(Value lhs, Value rhs) {
  return arith::DivFOp::create(k.builder, k.loc, lhs, rhs);
}

Value KernelEmission::greater(Value lhs, Value rhs) {
  return arith::CmpFOp::create(k.builder, k.loc, arith::CmpFPredicate::OGT, lhs,
                               rhs);
}

Value KernelEmission::reduce(Value vector, vector::CombiningKind kind) {
  return vector::ReductionOp::create(k.builder, k.loc, kind, vector);
}

Value KernelEmission::zero64() {
  return arith::ConstantOp::create(
      k.builder, k.loc,
      DenseElementsAttr::get(vector64(), k.builder.getF64FloatAttr(0)));
}

static Type withElement(Type type, Type element) {
  if (auto vector = dyn_cast<VectorType>(type))
    return vector.clone(element);
  return element;
}

Value KernelEmission::widen(Value value) {
  return arith::ExtFOp::create(k.builder, k.loc,
                               withElement(value.getType(), f64()), value);
}

Value KernelEmission::narrow(Value value) {
  return arith::TruncFOp::create(
      k.builder, k.loc, withElement(value.getType(), k.builder.getF32Type()),
      value);
}

Value KernelEmission::splat64(Value scalar) {
  return vector::BroadcastOp::create(k.builder, k.loc, vector64(), scalar);
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static Value address(KernelBuilder &k, Type element, Value base, I64 offset) {
  return LLVM::GEPOp::create(
      k.builder, k.loc, base.getType(), element, base,
      ArrayRef<LLVM::GEPArg>{LLVM::GEPArg(offset.in(k))});
}

static constexpr unsigned doubleBytes = 8;

Value KernelEmission::at64(Value base, I64 offset) {
  return address(k, f64(), base, offset);
}

Value KernelEmission::load64(Type type, Value base, I64 offset, Value mask) {
  Value from = at64(base, offset);
  if (!mask)
    return LLVM::LoadOp::create(k.builder, k.loc, type, from, doubleBytes);
  return LLVM::MaskedLoadOp::create(k.builder, k.loc, type, from, mask,
                                    zero64(), doubleBytes);
}

void KernelEmission::store64(Value value, Value base, I64 offset, Value mask) {
  Value to = at64(base, offset);
  if (mask)
    LLVM::MaskedStoreOp::create(k.builder, k.loc, value, to, mask, doubleBytes);
  else
    LLVM::StoreOp::create(k.builder, k.loc, value, to, doubleBytes);
}

I64 KernelEmission::loadInt32(Value base, I64 offset) {
  Type i32 = k.builder.getI32Type();
  Value loaded = LLVM::LoadOp::create(k.builder, k.loc, i32,
                                      address(k, i32, base, offset));
  return {k, arith::ExtSIOp::create(k.builder, k.loc, k.builder.getI64Type(),
                                    loaded)};
}

void KernelEmission::storeIfYielded(Value vector, int64_t buffer, I64 offset,
                                    Value mask) {
  if (buffer >= 0)
    k.store(vector, buffers[buffer], offset, mask);
}

} // namespace cambium::grow
