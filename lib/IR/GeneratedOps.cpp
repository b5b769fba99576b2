//===- GeneratedOps.cpp - What TableGen makes of the operations -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchSyntax.h"
#include "cambium/IR/Grow.h"

#include "mlir/IR/DialectImplementation.h"
#include "mlir/IR/TypeUtilities.h"
#include "mlir/Interfaces/InferTypeOpInterface.h"

using namespace mlir;
using namespace cambium::grow;

#define GET_OP_CLASSES
#include "cambium/IR/GrowOps.cpp.inc"
