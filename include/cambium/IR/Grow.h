//===- Grow.h - The grow dialect --------------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Operations, attributes and interfaces of the grow dialect, and the window
// arithmetic that verifiers, the reference interpreter and kernels share.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROW_H
#define CAMBIUM_IR_GROW_H

#include "cambium/CompileOptions.h"
#include "cambium/Target/Common/ContractionSpec.h"
#include "mlir/Bytecode/BytecodeOpInterface.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/BuiltinAttributes.h"
#include "mlir/IR/BuiltinTypes.h"
#include "mlir/IR/Dialect.h"
#include "mlir/IR/OpDefinition.h"
#include "mlir/IR/OpImplementation.h"
#include "mlir/IR/SymbolTable.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"
#include "mlir/Interfaces/SideEffectInterfaces.h"

#include "llvm/ADT/bit.h"

#include <array>

namespace cambium::grow {

/// Padding as [top, left, bottom, right] from its short or long form.
std::array<int64_t, 4> expandPadding(llvm::ArrayRef<int64_t> padding);

/// Number of window positions along one dimension, or kDynamic where the input
/// is dynamic: floor((input + low + high - dilation * (window - 1) - 1) /
/// stride) + 1. At most 0 where the window does not fit.
int64_t windowPositions(int64_t input, int64_t low, int64_t high,
                        int64_t window, int64_t stride, int64_t dilation);

/// Pairwise equal but for dynamic extents.
bool compatibleTypes(mlir::TypeRange inferred, mlir::TypeRange actual);

/// A real number as an attribute's parameter: compared and hashed by its bits.
struct Real {
  Real(double value) : value(value) {}
  operator double() const { return value; }
  bool operator==(const Real &other) const {
    return llvm::bit_cast<uint64_t>(value) ==
           llvm::bit_cast<uint64_t>(other.value);
  }
  friend llvm::hash_code hash_value(const Real &real) {
    return llvm::hash_value(llvm::bit_cast<uint64_t>(real.value));
  }

  double value;
};

mlir::FailureOr<Real> parseReal(mlir::AsmParser &parser);
void printReal(mlir::AsmPrinter &printer, double value);

mlir::FailureOr<Precision> parsePrecision(mlir::AsmParser &parser);
mlir::FailureOr<TileOrder> parseTileOrder(mlir::AsmParser &parser);

} // namespace cambium::grow

#include "cambium/IR/GrowEnums.h.inc"

#include "cambium/IR/GrowInterfaces.h.inc"

#include "cambium/IR/GrowDialect.h.inc"

#define GET_ATTRDEF_CLASSES
#include "cambium/IR/GrowAttributes.h.inc"

#define GET_OP_CLASSES
#include "cambium/IR/GrowOps.h.inc"

namespace cambium::grow {

/// What an optimizer's update code depends on: the optimizer with placeholders
/// for rates and momenta, which are read at run time.
mlir::Attribute updateRule(mlir::Attribute optimizer);

/// Tensors of the parameter's shape that an optimizer keeps for it: momentum,
/// or both moments.
int64_t optimizerStates(mlir::Attribute optimizer);

} // namespace cambium::grow

#endif // CAMBIUM_IR_GROW_H
