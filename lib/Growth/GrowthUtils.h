//===- GrowthUtils.h - What growths share -----------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_GROWTH_GROWTHUTILS_H
#define CAMBIUM_LIB_GROWTH_GROWTHUTILS_H

#include "cambium/IR/Grow.h"

#include "mlir/IR/BuiltinOps.h"
#include "llvm/ADT/SetVector.h"

namespace cambium::grow {

/// The map with a name, in no other map; or a diagnostic that it cannot be
/// `done` what is asked for, such as "grow".
mlir::FailureOr<MapOp> findMap(mlir::ModuleOp module, llvm::StringRef name,
                               llvm::StringRef done);

/// A map, the maps beside it, which growth by branches of another window made,
/// and the additions that join them, in order.
struct JoinedMaps {
  llvm::SmallVector<MapOp> maps;
  llvm::SetVector<mlir::Operation *> tree;
  mlir::Value result;
};
JoinedMaps joinBeside(MapOp map);

/// True for reads and expressions of parameters.
bool isParameterExpression(mlir::Value value);

/// The operations that read a parameter or an expression of it, once for each
/// time that they do.
llvm::SmallVector<mlir::Operation *> readersOf(mlir::ModuleOp module,
                                               ParamOp param);

/// The parameters that an expression reads.
llvm::SmallVector<ParamOp> paramsOf(mlir::ModuleOp module,
                                    mlir::Value expression);

/// The convolution whose filter is the body's only one, or null.
Conv2DOp onlyConvolution(MapOp map);

/// Gives a map's convolution another window and the padding that keeps its
/// result's extents. Its filters must follow.
mlir::LogicalResult changeWindow(MapOp map, Conv2DOp conv,
                                 std::array<int64_t, 2> window);

/// The map beside `map` for branches with another window, made with no branch
/// and added to the result if there is none yet.
mlir::FailureOr<MapOp> siblingFor(mlir::ModuleOp module, MapOp map,
                                  std::array<int64_t, 2> window);

/// Fails, with a diagnostic, unless the network has the optimizer group.
mlir::LogicalResult checkGroup(mlir::ModuleOp module, llvm::StringRef group);

/// The parameter or state whose value is read, or null.
mlir::Operation *declarationOf(mlir::ModuleOp module, mlir::Value value);

/// Where declarations of parameters are added: behind the last one.
mlir::OpBuilder declarationBuilder(mlir::ModuleOp module);

/// Erases reads and expressions of them that have no use, and what is declared
/// if nothing else reads it. Parameters with a copy of it as initial values get
/// its own instead.
void eraseUnusedReads(mlir::ModuleOp module, mlir::ValueRange expressions);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_GROWTH_GROWTHUTILS_H
