//===- GrowOps.td - Operations of the grow dialect ---------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWOPS
#define CAMBIUM_IR_GROWOPS

include "cambium/IR/GrowModuleOps.td"
include "cambium/IR/GrowLayerOps.td"
include "cambium/IR/GrowWeightOps.td"
include "cambium/IR/GrowGradientOps.td"
include "cambium/IR/GrowBranchOps.td"
include "cambium/IR/GrowKernelOps.td"

#endif // CAMBIUM_IR_GROWOPS
