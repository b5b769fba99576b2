//===- ScalarCode.h - Device functions on scalars ------------ -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_CUDA_SCALARCODE_H
#define CAMBIUM_LIB_TARGET_CUDA_SCALARCODE_H

#include "mlir/Dialect/EmitC/IR/EmitC.h"
#include "mlir/IR/Builders.h"

#include <string>

namespace cambium::grow {

struct ScalarParameter {
  std::string name;
  mlir::Type type;
};

/// Emits a `__device__` function where `builder` stands. `body` builds its
/// result in arith and math, which become expressions in EmitC. Returns the
/// function's name, which is `name` unless another has it.
std::string emitScalarFunction(
    mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef name,
    llvm::ArrayRef<ScalarParameter> parameters, mlir::Type result,
    llvm::function_ref<mlir::Value(mlir::OpBuilder &, mlir::ValueRange)> body);

/// Prints the function as C++ with the names of its parameters, for which
/// upstream's printer has no place.
mlir::LogicalResult printFunction(mlir::emitc::FuncOp function,
                                  llvm::raw_ostream &os);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_CUDA_SCALARCODE_H
