//===- GrowInterfaces.td - Interfaces of operations --------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWINTERFACES
#define CAMBIUM_IR_GROWINTERFACES

include "mlir/IR/OpBase.td"

def Grow_PointwiseOpInterface : OpInterface<"PointwiseOpInterface"> {
  let cppNamespace = "::cambium::grow";
  let description = [{
    An operation whose result element depends on the operands' elements at the
    same place alone. Kernels fuse such operations freely.
  }];
  let methods = [
    InterfaceMethod<[{
        Builds the computation of one element, or of a vector of elements, in
        `arith` and `math`; the operands are `f32` or `vector<..xf32>`.
      }], "::mlir::Value", "buildScalar",
      (ins "::mlir::OpBuilder &":$builder, "::mlir::Location":$loc,
           "::mlir::ValueRange":$operands)>,
    InterfaceMethod<[{
        True if the operand is a vector over the last dimension, the same for
        every pixel.
      }], "bool", "isChannelOperand", (ins "unsigned":$index), "",
      [{ return false; }]>,
  ];
}

def Grow_DifferentiableOpInterface : OpInterface<"DifferentiableOpInterface"> {
  let cppNamespace = "::cambium::grow";
  let description = [{
    An operation with a rule for reverse-mode differentiation.
  }];
  let methods = [
    InterfaceMethod<[{
        Builds the gradient of every operand from those of the results.
        `operandGradients` has an entry for each operand; the rule leaves it
        null where the operand has no gradient (labels, statistics). Entries of
        `needed` that are false need not be built. Fails with a diagnostic on
        the operation where there is no gradient.
      }], "::mlir::LogicalResult", "buildGradients",
      (ins "::mlir::OpBuilder &":$builder,
           "::mlir::ValueRange":$resultGradients,
           "::llvm::ArrayRef<bool>":$needed,
           "::llvm::MutableArrayRef<::mlir::Value>":$operandGradients)>,
  ];
}

#endif // CAMBIUM_IR_GROWINTERFACES
