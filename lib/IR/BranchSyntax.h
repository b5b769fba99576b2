//===- BranchSyntax.h - Directives of grow.fused_map's syntax ---*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_IR_BRANCHSYNTAX_H
#define CAMBIUM_LIB_IR_BRANCHSYNTAX_H

#include "cambium/IR/Grow.h"

namespace cambium::grow {

/// branches ::= integer | `?`
mlir::ParseResult parseBranches(mlir::OpAsmParser &parser,
                                mlir::IntegerAttr &branches);
void printBranches(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                   mlir::IntegerAttr branches);

/// joins ::= `(` (`sum` | `mean` | `concat` | `each`), ... `)`
mlir::ParseResult parseJoins(mlir::OpAsmParser &parser, mlir::ArrayAttr &joins);
void printJoins(mlir::OpAsmPrinter &printer, mlir::Operation *op,
                mlir::ArrayAttr joins);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_IR_BRANCHSYNTAX_H
