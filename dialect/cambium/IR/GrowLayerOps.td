//===- GrowLayerOps.td - Layers of networks ----------------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWLAYEROPS
#define CAMBIUM_IR_GROWLAYEROPS

include "cambium/IR/GrowBase.td"

//===----------------------------------------------------------------------===//
// Map
//===----------------------------------------------------------------------===//

def Grow_MapOp : Grow_Op<"map",
    [AttrSizedOperandSegments, IsolatedFromAbove, SingleBlock,
     RecursiveMemoryEffects]> {
  let summary = "One body over a list of parameter tuples";
  let description = [{
    Applies the body to the inputs and to each tuple of the list, and joins the
    branches' results: `sum`, `mean`, or `concat` along the last dimension. The
    sum or mean of no branch is zero. Growing the layer appends tuples.

    The body's arguments are the inputs, then one tuple. It sees nothing else,
    so what a branch needs is in plain sight. The result's type is that of the
    body's result; for `concat` the last extent is multiplied by the number of
    branches.

    `keep` says what backward finds of a branch's values: `mask` one sign bit an
    element, `recompute` nothing, `store` the values. Without it the pipeline's
    option decides. All give the same gradients, bit by bit, unless branches share
    a parameter.

    Example:

    ```mlir
    %y = grow.map "block1" sum (%x) over [(%w0), (%w1)] {
    ^bb0(%in: tensor<?x28x28x16xf32>, %w: tensor<3x3x16x32xf32>):
      %c = grow.conv2d %in, %w padding [1, 1]
          : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x28x28x32xf32>
      %r = grow.relu %c : tensor<?x28x28x32xf32>
      grow.yield %r : tensor<?x28x28x32xf32>
    }
    ```
  }];
  let arguments = (ins StrAttr:$name,
                       Grow_ReductionAttr:$reduction,
                       I64Attr:$branches,
                       OptionalAttr<Grow_KeepAttr>:$keep,
                       Variadic<Grow_Tensor>:$inputs,
                       Variadic<Grow_Tensor>:$params);
  let results = (outs Grow_Tensor:$result);
  let regions = (region SizedRegion<1>:$body);
  let hasCustomAssemblyFormat = 1;
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// Number of operands in a tuple.
    int64_t getTupleSize() {
      return getBody().getNumArguments() - getInputs().size();
    }
    /// The operands of one branch's tuple; `getParams()` holds all, branch by
    /// branch.
    ::mlir::ValueRange getTuple(int64_t branch) {
      return ::mlir::ValueRange(getParams())
          .slice(branch * getTupleSize(), getTupleSize());
    }
    ::mlir::Value getYielded();
    /// The result's type for a body's result and a number of branches.
    static ::mlir::RankedTensorType joinedType(::mlir::RankedTensorType branch,
                                               Reduction reduction,
                                               int64_t branches);
  }];
}

def Grow_YieldOp : Grow_Op<"yield",
    [Pure, Terminator, ParentOneOf<["MapOp", "FusedMapOp", "KernelOp"]>]> {
  let summary = "Ends the body of a map or a kernel";
  let description = [{
    Example: see `grow.map`.
  }];
  let arguments = (ins Variadic<Grow_TensorOrBits>:$operands);
  let assemblyFormat = "($operands^ `:` type($operands))? attr-dict";
}

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

def Grow_Conv2DOp : Grow_Op<"conv2d",
    [Pure, Grow_InfersType, Grow_Differentiable]> {
  let summary = "Two-dimensional convolution";
  let description = [{
    Cross-correlation of `NHWC` images with `HWCF` filters, as in other
    frameworks:

    ```
    y[n, oh, ow, f] = sum over kh, kw, c of
        x[n, oh*sh - top + kh*dh, ow*sw - left + kw*dw, c] * w[kh, kw, c, f]
    ```

    `padding` is `[h, w]` for both sides or `[top, left, bottom, right]`. With
    `groups`, channels and filters fall into that many equal groups and the
    filter's channel extent is that of one group.

    Example:

    ```mlir
    %y = grow.conv2d %x, %w stride [2, 2] padding [1, 1]
        : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x14x14x32xf32>
    ```
  }];
  let arguments = !con((ins Grow_Image:$input, Grow_Image:$filter),
                       Grow_WindowArguments);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $input `,` $filter (`stride` $strides^)? (`padding` $padding^)?
    (`dilation` $dilations^)? (`groups` $groups^)? attr-dict `:`
    functional-type(operands, results)
  }];
}

def Grow_LinearOp : Grow_Op<"linear",
    [Pure, Grow_InfersType, Grow_Differentiable]> {
  let summary = "Product with a weight matrix";
  let description = [{
    `y[n, m] = sum over k of x[n, k] * w[k, m]`

    Example:

    ```mlir
    %y = grow.linear %x, %w : (tensor<?x512xf32>, tensor<512x10xf32>) -> tensor<?x10xf32>
    ```
  }];
  let arguments = (ins Grow_Matrix:$input, Grow_Matrix:$weight);
  let results = (outs Grow_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $weight attr-dict `:` functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//
// Pointwise operations
//===----------------------------------------------------------------------===//

class Grow_PointwiseOp<string opMnemonic, list<Trait> traits = []>
    : Grow_Op<opMnemonic, !listconcat([Pure, Grow_Pointwise], traits)>;

class Grow_UnaryOp<string opMnemonic, list<Trait> traits = []>
    : Grow_PointwiseOp<opMnemonic, !listconcat(
        [SameOperandsAndResultType, Grow_Differentiable], traits)> {
  let arguments = (ins Grow_Tensor:$input);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($result)";
}

def Grow_BiasAddOp : Grow_PointwiseOp<"bias_add",
    [Grow_InfersType, Grow_Differentiable]> {
  let summary = "Adds a vector over the last dimension";
  let description = [{
    `y[..., c] = x[..., c] + b[c]`

    Example:

    ```mlir
    %y = grow.bias_add %x, %b : (tensor<?x28x28x32xf32>, tensor<32xf32>) -> tensor<?x28x28x32xf32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input, Grow_Vector:$bias);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = [{
    $input `,` $bias attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = [{
    bool isChannelOperand(unsigned index) { return index == 1; }
  }];
}

def Grow_ChannelScaleOp : Grow_PointwiseOp<"channel_scale",
    [Grow_InfersType, Grow_Differentiable]> {
  let summary = "Product with a vector over the last dimension";
  let description = [{
    `y[..., c] = x[..., c] * s[c]`, such as the learned scale of a branch.

    Example:

    ```mlir
    %y = grow.channel_scale %x, %s : (tensor<?x28x28x32xf32>, tensor<32xf32>) -> tensor<?x28x28x32xf32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input, Grow_Vector:$scale);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = [{
    $input `,` $scale attr-dict `:` functional-type(operands, results)
  }];
  let extraClassDeclaration = [{
    bool isChannelOperand(unsigned index) { return index == 1; }
  }];
}

def Grow_ReluOp : Grow_UnaryOp<"relu", [Idempotent]> {
  let summary = "max(x, 0)";
  let description = [{
    The gradient is 0 at `x <= 0`.

    Example: `%y = grow.relu %x : tensor<?x28x28x32xf32>`
  }];
  let hasFolder = 1;
}

def Grow_LeakyReluOp : Grow_UnaryOp<"leaky_relu"> {
  let summary = "x where positive, slope * x elsewhere";
  let description = [{
    `slope` is in `[0, 1]`, so that the sign of the result tells that of the
    input. The gradient at 0 is `slope`.

    Example: `%y = grow.leaky_relu %x slope 0.01 : tensor<?x28x28x32xf32>`
  }];
  let arguments = (ins Grow_Tensor:$input,
                       DefaultValuedAttr<F64Attr, "0.01">:$slope);
  let assemblyFormat = [{
    $input (`slope` $slope^)? attr-dict `:` type($result)
  }];
  let hasVerifier = 1;
}

def Grow_GeluOp : Grow_UnaryOp<"gelu"> {
  let summary = "Gaussian error linear unit";
  let description = [{
    `x * (1 + erf(x / sqrt(2))) / 2`, the exact form of Hendrycks and Gimpel,
    2016.

    Example: `%y = grow.gelu %x : tensor<?x512xf32>`
  }];
}

def Grow_SiluOp : Grow_UnaryOp<"silu"> {
  let summary = "x * sigmoid(x)";
  let description = [{
    Example: `%y = grow.silu %x : tensor<?x512xf32>`
  }];
}

def Grow_TanhOp : Grow_UnaryOp<"tanh"> {
  let summary = "Hyperbolic tangent";
  let description = [{
    Example: `%y = grow.tanh %x : tensor<?x512xf32>`
  }];
}

def Grow_SigmoidOp : Grow_UnaryOp<"sigmoid"> {
  let summary = "1 / (1 + exp(-x))";
  let description = [{
    Example: `%y = grow.sigmoid %x : tensor<?x512xf32>`
  }];
}

class Grow_BinaryOp<string opMnemonic, list<Trait> traits = []>
    : Grow_PointwiseOp<opMnemonic, !listconcat(
        [SameOperandsAndResultType, Grow_Differentiable], traits)> {
  let arguments = (ins Grow_Tensor:$lhs, Grow_Tensor:$rhs);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = "$lhs `,` $rhs attr-dict `:` type($result)";
}

def Grow_AddOp : Grow_BinaryOp<"add", [Commutative]> {
  let summary = "Elementwise sum";
  let description = [{
    Example: `%y = grow.add %a, %b : tensor<?x28x28x32xf32>`
  }];
}

def Grow_MulOp : Grow_BinaryOp<"mul", [Commutative]> {
  let summary = "Elementwise product";
  let description = [{
    Example: `%y = grow.mul %a, %b : tensor<?x28x28x32xf32>`
  }];
}

def Grow_ScaleOp : Grow_UnaryOp<"scale"> {
  let summary = "Product with a constant";
  let description = [{
    Example: `%y = grow.scale %x by 0.5 : tensor<?x28x28x32xf32>`
  }];
  let arguments = (ins Grow_Tensor:$input, F64Attr:$factor);
  let assemblyFormat = "$input `by` $factor attr-dict `:` type($result)";
  let hasFolder = 1;
}

//===----------------------------------------------------------------------===//
// Pooling
//===----------------------------------------------------------------------===//

class Grow_PoolOp<string opMnemonic> : Grow_Op<opMnemonic,
    [Pure, Grow_InfersType, Grow_Differentiable]> {
  let arguments = !con((ins Grow_Image:$input), Grow_PoolArguments);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $input `window` $window (`stride` $strides^)? (`padding` $padding^)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def Grow_MaxPool2DOp : Grow_PoolOp<"max_pool2d"> {
  let summary = "Largest element of each window";
  let description = [{
    Padding never wins; it must be smaller than the window, so that no window
    is padding alone. The gradient goes to the first largest element in
    row-major order. `padding` as in `grow.conv2d`.

    Example:

    ```mlir
    %y = grow.max_pool2d %x window [2, 2] stride [2, 2]
        : (tensor<?x28x28x32xf32>) -> tensor<?x14x14x32xf32>
    ```
  }];
}

def Grow_AvgPool2DOp : Grow_PoolOp<"avg_pool2d"> {
  let summary = "Mean of each window";
  let description = [{
    Padding counts as zeros, so every window is divided by its full size.
    `padding` as in `grow.conv2d`.

    Example:

    ```mlir
    %y = grow.avg_pool2d %x window [2, 2] stride [2, 2]
        : (tensor<?x28x28x32xf32>) -> tensor<?x14x14x32xf32>
    ```
  }];
}

def Grow_GlobalAvgPoolOp : Grow_Op<"global_avg_pool",
    [Pure, Grow_InfersType, Grow_Differentiable]> {
  let summary = "Mean over height and width";
  let description = [{
    Example:

    ```mlir
    %y = grow.global_avg_pool %x : (tensor<?x7x7x64xf32>) -> tensor<?x64xf32>
    ```
  }];
  let arguments = (ins Grow_Image:$input);
  let results = (outs Grow_Matrix:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//
// Normalisation
//===----------------------------------------------------------------------===//

def Grow_BatchNormOp : Grow_Op<"batch_norm",
    [Pure, Grow_InfersType, Grow_Differentiable]> {
  let summary = "Batch normalisation over the last dimension";
  let description = [{
    `y = (x - mean) / sqrt(variance + epsilon) * scale + shift` for each
    channel. Ioffe and Szegedy, 2015.

    Without `inference` the mean and the (biased) variance are those of the
    batch, and `mean` and `variance`, which must then be states read by
    `grow.get`, move toward them when a step is made of the function:
    `running = (1 - momentum) * running + momentum * batch`, with the unbiased
    variance, as PyTorch does. With `inference` the operands are used and
    nothing moves.

    Example:

    ```mlir
    %y = grow.batch_norm %x, %scale, %shift, %mean, %variance momentum 0.1
        : (tensor<?x28x28x32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<32xf32>)
          -> tensor<?x28x28x32xf32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input, Grow_Vector:$scale,
                       Grow_Vector:$shift, Grow_Vector:$mean,
                       Grow_Vector:$variance,
                       DefaultValuedAttr<F64Attr, "0.1">:$momentum,
                       DefaultValuedAttr<F64Attr, "1.0e-5">:$epsilon,
                       UnitAttr:$inference);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = [{
    $input `,` $scale `,` $shift `,` $mean `,` $variance
    (`momentum` $momentum^)? (`epsilon` $epsilon^)? (`inference` $inference^)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Shapes
//===----------------------------------------------------------------------===//

def Grow_ReshapeOp : Grow_Op<"reshape", [Pure, Grow_Differentiable]> {
  let summary = "The same elements under another shape";
  let description = [{
    A dynamic batch stays the first dimension; the other extents are static and
    keep their product. Static shapes, such as those of parameters, have the same
    number of elements.

    Example:

    ```mlir
    %y = grow.reshape %x : tensor<?x7x7x32xf32> -> tensor<?x49x32xf32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
  let hasFolder = 1;
}

def Grow_FlattenOp : Grow_Op<"flatten",
    [Pure, Grow_InfersType, Grow_Differentiable]> {
  let summary = "All dimensions but the batch in one";
  let description = [{
    Example:

    ```mlir
    %y = grow.flatten %x : (tensor<?x7x7x32xf32>) -> tensor<?x1568xf32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input);
  let results = (outs Grow_Matrix:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Grow_ConcatOp : Grow_Op<"concat",
    [Pure, Grow_InfersType, Grow_Differentiable]> {
  let summary = "Joins tensors along the last dimension";
  let description = [{
    Example:

    ```mlir
    %y = grow.concat %a, %b
        : (tensor<?x28x28x16xf32>, tensor<?x28x28x32xf32>) -> tensor<?x28x28x48xf32>
    ```
  }];
  let arguments = (ins Variadic<Grow_Tensor>:$inputs);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = "$inputs attr-dict `:` functional-type(operands, results)";
  let hasFolder = 1;
}

def Grow_SliceOp : Grow_Op<"slice",
    [Pure, Grow_InfersType, Grow_Differentiable]> {
  let summary = "A range of the last dimension";
  let description = [{
    `y[..., c] = x[..., offset + c]` for `size` channels.

    Example:

    ```mlir
    %y = grow.slice %x offset 16 size 32
        : (tensor<?x28x28x48xf32>) -> tensor<?x28x28x32xf32>
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

def Grow_FillOp : Grow_Op<"fill", [Pure, Grow_Differentiable]> {
  let summary = "A tensor of one value";
  let description = [{
    With a dynamic batch, the batch is that of the operand.

    Example:

    ```mlir
    %a = grow.fill 0.0 : tensor<3x3x16x32xf32>
    %b = grow.fill 0.0 batch_of %x : tensor<?x28x28x16xf32> -> tensor<?x28x28x32xf32>
    ```
  }];
  let arguments = (ins F64Attr:$value, Optional<Grow_Tensor>:$batch_of);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = [{
    $value (`batch_of` $batch_of^ `:` type($batch_of) `->`):(`:`)?
    type($result) attr-dict
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Losses
//===----------------------------------------------------------------------===//

def Grow_SoftmaxCrossEntropyOp : Grow_Op<"softmax_cross_entropy",
    [Pure, Grow_InfersType, Grow_Differentiable]> {
  let summary = "Mean cross-entropy of softmax with class labels";
  let description = [{
    `mean over n of (log(sum over k of exp(x[n, k])) - x[n, labels[n]])`. Labels
    are in `[0, classes)`.

    Example:

    ```mlir
    %loss = grow.softmax_cross_entropy %logits, %labels
        : (tensor<?x10xf32>, tensor<?xi32>) -> tensor<f32>
    ```
  }];
  let arguments = (ins Grow_Matrix:$logits, Grow_Labels:$labels);
  let results = (outs Grow_Scalar:$result);
  let assemblyFormat = [{
    $logits `,` $labels attr-dict `:` functional-type(operands, results)
  }];
}

def Grow_MseOp : Grow_Op<"mse", [Pure, Grow_InfersType, Grow_Differentiable]> {
  let summary = "Mean squared error";
  let description = [{
    The mean over all elements of `(x - target)^2`. The target has no gradient.

    Example:

    ```mlir
    %loss = grow.mse %y, %target : (tensor<?x10xf32>, tensor<?x10xf32>) -> tensor<f32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input, Grow_Tensor:$target);
  let results = (outs Grow_Scalar:$result);
  let assemblyFormat = [{
    $input `,` $target attr-dict `:` functional-type(operands, results)
  }];
}

#endif // CAMBIUM_IR_GROWLAYEROPS
