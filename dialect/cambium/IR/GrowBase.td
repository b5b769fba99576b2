//===- GrowBase.td - What the operations share -------------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWBASE
#define CAMBIUM_IR_GROWBASE

include "cambium/IR/GrowAttributes.td"
include "cambium/IR/GrowInterfaces.td"
include "mlir/IR/BuiltinAttributeInterfaces.td"
include "mlir/IR/CommonAttrConstraints.td"
include "mlir/IR/SymbolInterfaces.td"
include "mlir/Interfaces/InferTypeOpInterface.td"
include "mlir/Interfaces/SideEffectInterfaces.td"

class Grow_Op<string opMnemonic, list<Trait> traits = []>
    : Op<Grow_Dialect, opMnemonic, traits>;

def Grow_Tensor : RankedTensorOf<[F32]>;
def Grow_Image : TensorRankOf<[F32], [4]>;
def Grow_Matrix : TensorRankOf<[F32], [2]>;
def Grow_Vector : TensorRankOf<[F32], [1]>;
def Grow_Scalar : TensorRankOf<[F32], [0]>;
def Grow_Bits : RankedTensorOf<[I1]>;
def Grow_TensorOrBits : RankedTensorOf<[F32, I1]>;
def Grow_Labels : TensorRankOf<[I32], [1]>;

/// Shape inference through the adaptor. A result type that knows more or fewer
/// extents than the inferred one is accepted.
defvar Grow_InfersType = InferTypeOpAdaptorBase<[{
  static bool isCompatibleReturnTypes(::mlir::TypeRange inferred,
                                      ::mlir::TypeRange actual) {
    return ::cambium::grow::compatibleTypes(inferred, actual);
  }
}]>;

defvar Grow_Differentiable =
    DeclareOpInterfaceMethods<Grow_DifferentiableOpInterface>;
defvar Grow_Pointwise =
    DeclareOpInterfaceMethods<Grow_PointwiseOpInterface>;

/// Window geometry shared by convolutions and their gradients.
defvar Grow_WindowArguments = (ins
    DefaultValuedAttr<DenseI64ArrayAttr, "{1, 1}">:$strides,
    DefaultValuedAttr<DenseI64ArrayAttr, "{0, 0}">:$padding,
    DefaultValuedAttr<DenseI64ArrayAttr, "{1, 1}">:$dilations,
    DefaultValuedAttr<I64Attr, "1">:$groups);

defvar Grow_PoolArguments = (ins
    DenseI64ArrayAttr:$window,
    DefaultValuedAttr<DenseI64ArrayAttr, "{1, 1}">:$strides,
    DefaultValuedAttr<DenseI64ArrayAttr, "{0, 0}">:$padding);

#endif // CAMBIUM_IR_GROWBASE
