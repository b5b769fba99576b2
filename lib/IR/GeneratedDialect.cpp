//===- GeneratedDialect.cpp - What TableGen makes of the dialect ----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchSyntax.h"
#include "InferUtils.h"
#include "cambium/IR/Grow.h"

#include "mlir/IR/DialectImplementation.h"
#include "mlir/Transforms/InliningUtils.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace cambium::grow;

#include "cambium/IR/GrowDialect.cpp.inc"
#include "cambium/IR/GrowEnums.cpp.inc"
#include "cambium/IR/GrowInterfaces.cpp.inc"

#define GET_ATTRDEF_CLASSES
#include "cambium/IR/GrowAttributes.cpp.inc"

namespace {
/// All operations are free of context, so calls between networks inline.
struct GrowInlinerInterface : DialectInlinerInterface {
  using DialectInlinerInterface::DialectInlinerInterface;

  bool isLegalToInline(Operation *, Region *, bool, IRMapping &) const final {
    return true;
  }
};
} // namespace

void GrowDialect::initialize() {
  addInterfaces<GrowInlinerInterface>();
  addAttributes<
#define GET_ATTRDEF_LIST
#include "cambium/IR/GrowAttributes.cpp.inc"
      >();
  addOperations<
#define GET_OP_LIST
#include "cambium/IR/GrowOps.cpp.inc"
      >();
}
