//===- GrowWeightOps.td - Expressions of parameters --------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWWEIGHTOPS
#define CAMBIUM_IR_GROWWEIGHTOPS

include "cambium/IR/GrowBase.td"

class Grow_WeightOp<string opMnemonic, list<Trait> traits = []>
    : Grow_Op<opMnemonic, !listconcat([Pure, Grow_Differentiable], traits)>;

def Grow_WeightSumOp : Grow_WeightOp<"weight_sum",
    [SameOperandsAndResultType]> {
  let summary = "Sum of parameters";
  let description = [{
    Example: `%w = grow.weight_sum %w0, %w1 : tensor<3x3x16x32xf32>`
  }];
  let arguments = (ins Variadic<Grow_Tensor>:$terms);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = "$terms attr-dict `:` type($result)";
  let hasFolder = 1;
}

def Grow_WeightConcatOp : Grow_WeightOp<"weight_concat", [Grow_InfersType]> {
  let summary = "Joins parameters along the last dimension, the filters";
  let description = [{
    Example:

    ```mlir
    %w = grow.weight_concat %w0, %w1
        : (tensor<3x3x16x32xf32>, tensor<3x3x16x8xf32>) -> tensor<3x3x16x40xf32>
    ```
  }];
  let arguments = (ins Variadic<Grow_Tensor>:$parts);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = "$parts attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Grow_WeightSliceOp : Grow_WeightOp<"weight_slice", [Grow_InfersType]> {
  let summary = "A range of the last dimension of a parameter";
  let description = [{
    The gradient of a part of `grow.weight_concat`.

    Example:

    ```mlir
    %w1 = grow.weight_slice %w offset 32 size 8
        : (tensor<3x3x16x40xf32>) -> tensor<3x3x16x8xf32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input, I64Attr:$offset, I64Attr:$size);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = [{
    $input `offset` $offset `size` $size attr-dict `:`
    functional-type(operands, results)
  }];
  let hasFolder = 1;
}

def Grow_WeightPadOp : Grow_WeightOp<"weight_pad", [Grow_InfersType]> {
  let summary = "A filter with zeros around its window";
  let description = [{
    `padding` is `[top, left, bottom, right]`. A 1x1 filter padded by one on
    each side is the 3x3 filter of the same convolution with one more padding.

    Example:

    ```mlir
    %w = grow.weight_pad %w0 [1, 1, 1, 1]
        : (tensor<1x1x16x32xf32>) -> tensor<3x3x16x32xf32>
    ```
  }];
  let arguments = (ins Grow_Image:$input, DenseI64ArrayAttr:$padding);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $input $padding attr-dict `:` functional-type(operands, results)
  }];
  let hasFolder = 1;
}

def Grow_WeightCropOp : Grow_WeightOp<"weight_crop", [Grow_InfersType]> {
  let summary = "A filter without the border of its window";
  let description = [{
    The gradient of `grow.weight_pad`; `padding` is what it removes.

    Example:

    ```mlir
    %w0 = grow.weight_crop %w [1, 1, 1, 1]
        : (tensor<3x3x16x32xf32>) -> tensor<1x1x16x32xf32>
    ```
  }];
  let arguments = (ins Grow_Image:$input, DenseI64ArrayAttr:$padding);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $input $padding attr-dict `:` functional-type(operands, results)
  }];
  let hasFolder = 1;
}

def Grow_WeightScaleOp : Grow_WeightOp<"weight_scale",
    [SameOperandsAndResultType]> {
  let summary = "A parameter times a constant";
  let description = [{
    Example: `%w = grow.weight_scale %w0 by 0.5 : tensor<3x3x16x32xf32>`
  }];
  let arguments = (ins Grow_Tensor:$input, F64Attr:$factor);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = "$input `by` $factor attr-dict `:` type($result)";
  let hasFolder = 1;
}

def Grow_WeightComposeOp : Grow_WeightOp<"weight_compose", [Grow_InfersType]> {
  let summary = "The filter of a 1x1 convolution followed by another";
  let description = [{
    `w[kh, kw, c, f] = sum over m of first[0, 0, c, m] * second[kh, kw, m, f]`.
    Exact since a 1x1 convolution without bias maps padding to padding.

    Example:

    ```mlir
    %w = grow.weight_compose %w1, %w2
        : (tensor<1x1x16x8xf32>, tensor<3x3x8x32xf32>) -> tensor<3x3x16x32xf32>
    ```
  }];
  let arguments = (ins Grow_Image:$first, Grow_Image:$second);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $first `,` $second attr-dict `:` functional-type(operands, results)
  }];
}

#endif // CAMBIUM_IR_GROWWEIGHTOPS
