//===- RandomInputs.h - Values for a function's arguments -------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TOOLS_CAMBIUM_RUN_RANDOMINPUTS_H
#define CAMBIUM_TOOLS_CAMBIUM_RUN_RANDOMINPUTS_H

#include "Backend.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

namespace cambium {

/// Draws a value for every argument of a function: normal float32 values of
/// deviation 1 and, for class labels, classes that the losses they reach know.
/// `batch` stands for a dynamic first extent; other dynamic extents are
/// diagnosed. The same seed gives the same values.
mlir::FailureOr<Tensors> drawInputs(mlir::func::FuncOp function, int64_t batch,
                                    uint64_t seed);

} // namespace cambium

#endif // CAMBIUM_TOOLS_CAMBIUM_RUN_RANDOMINPUTS_H
