//===- Dialect.cpp - What the operations of the dialect share -------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "InferUtils.h"
#include "cambium/IR/Grow.h"

#include "mlir/IR/OpImplementation.h"

#include <charconv>

using namespace mlir;
using namespace cambium::grow;

std::string cambium::grow::realText(double value) {
  char text[32];
  return std::string(text, std::to_chars(text, text + sizeof(text), value).ptr);
}

std::array<int64_t, 4>
cambium::grow::expandPadding(llvm::ArrayRef<int64_t> padding) {
  if (padding.size() == 4)
    return {padding[0], padding[1], padding[2], padding[3]};
  assert(padding.size() == 2 && "verified to have two or four entries");
  return {padding[0], padding[1], padding[0], padding[1]};
}

int64_t cambium::grow::windowPositions(int64_t input, int64_t low, int64_t high,
                                       int64_t window, int64_t stride,
                                       int64_t dilation) {
  if (ShapedType::isDynamic(input) || ShapedType::isDynamic(window))
    return ShapedType::kDynamic;
  int64_t room = input + low + high - dilation * (window - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

bool cambium::grow::compatibleTypes(TypeRange inferred, TypeRange actual) {
  if (inferred.size() != actual.size())
    return false;
  for (auto [a, b] : llvm::zip(inferred, actual)) {
    auto x = dyn_cast<ShapedType>(a), y = dyn_cast<ShapedType>(b);
    if (!x || !y || x.getElementType() != y.getElementType() ||
        failed(verifyCompatibleShape(x, y)))
      return false;
  }
  return true;
}

FailureOr<Real> cambium::grow::parseReal(AsmParser &parser) {
  double value;
  if (parser.parseFloat(value))
    return failure();
  return Real(value);
}

void cambium::grow::printReal(AsmPrinter &printer, double value) {
  printer.printFloat(APFloat(value));
}

FailureOr<cambium::Precision> cambium::grow::parsePrecision(AsmParser &parser) {
  StringRef name;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&name))
    return failure();
  for (Precision precision :
       {Precision::Fp32, Precision::Tf32, Precision::Bf16})
    if (name == precisionName(precision))
      return precision;
  return parser.emitError(loc, "expected fp32, tf32 or bf16");
}

const char *cambium::precisionName(Precision precision) {
  switch (precision) {
  case Precision::Fp32:
    return "fp32";
  case Precision::Tf32:
    return "tf32";
  case Precision::Bf16:
    return "bf16";
  }
  llvm_unreachable("all precisions are covered");
}

FailureOr<cambium::TileOrder> cambium::grow::parseTileOrder(AsmParser &parser) {
  StringRef name;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&name))
    return failure();
  for (TileOrder order :
       {TileOrder::Rows, TileOrder::Columns, TileOrder::Planes})
    if (name == tileOrderName(order))
      return order;
  return parser.emitError(loc, "expected rows, columns or planes");
}

const char *cambium::tileOrderName(TileOrder order) {
  switch (order) {
  case TileOrder::Rows:
    return "rows";
  case TileOrder::Columns:
    return "columns";
  case TileOrder::Planes:
    return "planes";
  }
  llvm_unreachable("all orders are covered");
}
