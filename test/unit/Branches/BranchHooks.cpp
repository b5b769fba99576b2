//===- BranchHooks.cpp - The hooks of the harness's kernels ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchHooks.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "mlir/Dialect/Vector/IR/VectorOps.h"
#include "mlir/IR/Builders.h"

using namespace cambium;
using namespace cambium::test;
using namespace mlir;
using Kind = ContractionSpec::Kind;

namespace {

/// Emits the hooks' operations for vectors of one width.
struct HookBuilder {
  OpBuilder &b;
  Location loc;
  const BranchPoint &point;

  Value index(int64_t value) {
    return arith::ConstantOp::create(b, loc, b.getI64IntegerAttr(value));
  }
  Value add(Value lhs, Value rhs) {
    return arith::AddIOp::create(b, loc, lhs, rhs);
  }
  Value mul(Value lhs, Value rhs) {
    return arith::MulIOp::create(b, loc, lhs, rhs);
  }
  Value div(Value lhs, int64_t rhs) {
    return arith::DivSIOp::create(b, loc, lhs, index(rhs));
  }

  Value splat(VectorType type, float value) {
    return arith::ConstantOp::create(
        b, loc, DenseElementsAttr::get(type, b.getF32FloatAttr(value)));
  }
  Value isPositive(Value vector) {
    return arith::CmpFOp::create(b, loc, arith::CmpFPredicate::OGT, vector,
                                 splat(cast<VectorType>(vector.getType()), 0));
  }
  Value positivePart(Value vector) { return where(isPositive(vector), vector); }
  /// The vector where the condition holds, and zero elsewhere.
  Value where(Value condition, Value vector) {
    return arith::SelectOp::create(
        b, loc, condition, vector,
        splat(cast<VectorType>(vector.getType()), 0));
  }

  /// Offset of the point in a tensor of one branch or of all.
  Value offset(bool joined) {
    Value pixel = point.pixel;
    if (joined)
      pixel = add(mul(pixel, point.branches), point.branch);
    return add(mul(pixel, point.channels), point.channel);
  }
  Value load(Value base, Value at, int64_t width) {
    return loadVector(b, loc, base, at, width, point.mask);
  }

  /// Loads the branch's bias and adds it.
  Value addBias(Value accumulator, int64_t bias) {
    int64_t width = cast<VectorType>(accumulator.getType()).getNumElements();
    return arith::AddFOp::create(b, loc, accumulator,
                                 load(point.tuple[bias], point.channel, width));
  }

  Value byteAddress(Value bits, int64_t byte) {
    Value channelBytes = div(add(point.channels, index(7)), 8);
    Value at = add(add(mul(point.pixel, channelBytes), div(point.channel, 8)),
                   index(byte));
    return LLVM::GEPOp::create(b, loc, bits.getType(), b.getI8Type(), bits,
                               ArrayRef<LLVM::GEPArg>{LLVM::GEPArg(at)});
  }
  /// Calls `access` for byte `byte` of the vector's bits if that lies in the
  /// tensor.
  void ifInside(int64_t byte, llvm::function_ref<void()> access) {
    if (!point.mask)
      return access();
    Value inside = vector::ExtractOp::create(b, loc, point.mask, byte * 8);
    auto branch = scf::IfOp::create(b, loc, inside, /*withElseRegion=*/false);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    access();
  }
  Value byteOrZero(Value bits, int64_t byte) {
    auto load = [&]() -> Value {
      return LLVM::LoadOp::create(b, loc, b.getI8Type(),
                                  byteAddress(bits, byte), 1);
    };
    if (!point.mask)
      return load();
    Value inside = vector::ExtractOp::create(b, loc, point.mask, byte * 8);
    Value zero = arith::ConstantOp::create(b, loc, b.getI8IntegerAttr(0));
    auto branch =
        scf::IfOp::create(b, loc, TypeRange{b.getI8Type()}, inside, true, true);
    OpBuilder::InsertionGuard guard(b);
    b.setInsertionPointToStart(branch.thenBlock());
    scf::YieldOp::create(b, loc, load());
    b.setInsertionPointToStart(branch.elseBlock());
    scf::YieldOp::create(b, loc, zero);
    return branch.getResult(0);
  }

  void storeBits(Value condition, Value bits) {
    int64_t bytes = cast<VectorType>(condition.getType()).getNumElements() / 8;
    auto type = VectorType::get({bytes}, b.getI8Type());
    Value packed = vector::BitCastOp::create(b, loc, type, condition);
    for (int64_t byte = 0; byte < bytes; ++byte)
      ifInside(byte, [&] {
        Value value = vector::ExtractOp::create(b, loc, packed, byte);
        LLVM::StoreOp::create(b, loc, value, byteAddress(bits, byte), 1);
      });
  }
  Value loadBits(Value bits, int64_t width) {
    SmallVector<Value> bytes;
    for (int64_t byte = 0; byte < width / 8; ++byte)
      bytes.push_back(byteOrZero(bits, byte));
    auto type = VectorType::get({width / 8}, b.getI8Type());
    Value packed = vector::FromElementsOp::create(b, loc, type, bytes);
    return vector::BitCastOp::create(
        b, loc, VectorType::get({width}, b.getI1Type()), packed);
  }

  /// z / (1 + z^2), and its derivative (1 - z^2) / (1 + z^2)^2.
  Value smooth(Value z) {
    return arith::DivFOp::create(b, loc, z, onePlusSquare(z));
  }
  Value smoothSlope(Value z) {
    auto type = cast<VectorType>(z.getType());
    Value square = arith::MulFOp::create(b, loc, z, z);
    Value above = arith::SubFOp::create(b, loc, splat(type, 1), square);
    Value below = onePlusSquare(z);
    return arith::DivFOp::create(b, loc, above,
                                 arith::MulFOp::create(b, loc, below, below));
  }

private:
  Value onePlusSquare(Value z) {
    Value square = arith::MulFOp::create(b, loc, z, z);
    return arith::AddFOp::create(b, loc, square,
                                 splat(cast<VectorType>(z.getType()), 1));
  }
};

/// The hooks of one case. `width` is that of its vectors.
struct CaseHooks {
  const BranchCase &test;
  const HookPlaces &places;

  Value activate(HookBuilder h, Value accumulator) const {
    if (test.activation == Activation::None)
      return accumulator;
    Value z = h.addBias(accumulator, places.bias);
    if (test.activation == Activation::Smooth)
      return h.smooth(z);
    h.storeBits(h.isPositive(z), h.point.tuple[places.bits]);
    return h.positivePart(z);
  }

  Value gradient(HookBuilder h, Value accumulator, int64_t width) const {
    Value dy = h.load(h.point.shared[places.gradient],
                      h.offset(test.slicedGradient), width);
    if (test.activation == Activation::None)
      return dy;
    if (test.readsBits())
      return h.where(h.loadBits(h.point.tuple[places.bits], width), dy);
    Value z = h.addBias(accumulator, places.bias);
    if (test.activation == Activation::Relu)
      return h.where(h.isPositive(z), dy);
    return arith::MulFOp::create(h.b, h.loc, dy, h.smoothSlope(z));
  }
};

} // namespace

void cambium::test::withHooks(
    const BranchCase &test, const HookPlaces &places, int64_t width,
    llvm::function_ref<void(const BranchHooks &)> use) {
  CaseHooks hooks{test, places};
  auto input = [&](OpBuilder &b, Location loc, Value x,
                   const BranchPoint &point) -> Value {
    return HookBuilder{b, loc, point}.positivePart(x);
  };
  auto activate = [&](OpBuilder &b, Location loc, Value accumulator,
                      const BranchPoint &point) -> Value {
    return hooks.activate({b, loc, point}, accumulator);
  };
  auto inputGradient = [&](OpBuilder &b, Location loc, Value accumulator,
                           const BranchPoint &point) -> Value {
    HookBuilder h{b, loc, point};
    Value x = h.load(point.shared[places.input], h.offset(false), width);
    return h.where(h.isPositive(x), accumulator);
  };
  auto gradient = [&](OpBuilder &b, Location loc, Value accumulator,
                      const BranchPoint &point) -> Value {
    return hooks.gradient({b, loc, point}, accumulator, width);
  };
  auto gradientAndSums = [&](OpBuilder &b, Location loc, Value accumulator,
                             const BranchPoint &point,
                             SmallVectorImpl<Value> &sums) -> Value {
    Value value = hooks.gradient({b, loc, point}, accumulator, width);
    if (test.sums > 0)
      sums.push_back(value);
    if (test.sums > 1)
      sums.push_back(arith::MulFOp::create(b, loc, value, value));
    return value;
  };
  auto finish = [&](OpBuilder &b, Location loc, Value joined,
                    const BranchPoint &point) -> Value {
    HookBuilder h{b, loc, point};
    bool concat = test.join == BranchSpec::Join::Concat;
    Value residual =
        h.load(point.shared[places.residual], h.offset(concat), width);
    return arith::AddFOp::create(b, loc, joined, residual);
  };

  BranchHooks given;
  bool plain = test.activation == Activation::None;
  if (test.inputRelu && (test.kind != Kind::BackwardData || test.recomputes()))
    given.input = input;
  if (test.kind == Kind::Forward && !plain)
    given.epilogue = activate;
  if (test.kind == Kind::BackwardData && test.inputRelu)
    given.epilogue = inputGradient;
  if (test.kind == Kind::BackwardFilter && test.sums > 0)
    given.gradientAndSums = gradientAndSums;
  else if (test.kind != Kind::Forward && !plain)
    given.gradient = gradient;
  if (test.residual)
    given.finish = finish;
  use(given);
}
