//===- GrowGradientOps.td - Gradients of layers ------------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWGRADIENTOPS
#define CAMBIUM_IR_GROWGRADIENTOPS

include "cambium/IR/GrowLayerOps.td"

class Grow_GradientOp<string opMnemonic, list<Trait> traits = []>
    : Grow_Op<opMnemonic, !listconcat([Pure], traits)>;

//===----------------------------------------------------------------------===//
// Contractions
//===----------------------------------------------------------------------===//

def Grow_Conv2DGradInputOp : Grow_GradientOp<"conv2d_grad_input"> {
  let summary = "Gradient of a convolution with respect to its input";
  let description = [{
    The result's height and width are those of the convolution's input.

    Example:

    ```mlir
    %dx = grow.conv2d_grad_input %dy, %w stride [2, 2] padding [1, 1]
        : (tensor<?x14x14x32xf32>, tensor<3x3x16x32xf32>) -> tensor<?x28x28x16xf32>
    ```
  }];
  let arguments = !con((ins Grow_Image:$gradient, Grow_Image:$filter),
                       Grow_WindowArguments);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $gradient `,` $filter (`stride` $strides^)? (`padding` $padding^)?
    (`dilation` $dilations^)? (`groups` $groups^)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Grow_Conv2DGradFilterOp : Grow_GradientOp<"conv2d_grad_filter"> {
  let summary = "Gradient of a convolution with respect to its filter";
  let description = [{
    Example:

    ```mlir
    %dw = grow.conv2d_grad_filter %x, %dy padding [1, 1]
        : (tensor<?x28x28x16xf32>, tensor<?x28x28x32xf32>) -> tensor<3x3x16x32xf32>
    ```
  }];
  let arguments = !con((ins Grow_Image:$input, Grow_Image:$gradient),
                       Grow_WindowArguments);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $input `,` $gradient (`stride` $strides^)? (`padding` $padding^)?
    (`dilation` $dilations^)? (`groups` $groups^)? attr-dict `:`
    functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Grow_LinearGradInputOp : Grow_GradientOp<"linear_grad_input",
    [Grow_InfersType]> {
  let summary = "Gradient of a linear layer with respect to its input";
  let description = [{
    Example:

    ```mlir
    %dx = grow.linear_grad_input %dy, %w
        : (tensor<?x10xf32>, tensor<512x10xf32>) -> tensor<?x512xf32>
    ```
  }];
  let arguments = (ins Grow_Matrix:$gradient, Grow_Matrix:$weight);
  let results = (outs Grow_Matrix:$result);
  let assemblyFormat = [{
    $gradient `,` $weight attr-dict `:` functional-type(operands, results)
  }];
}

def Grow_LinearGradWeightOp : Grow_GradientOp<"linear_grad_weight",
    [Grow_InfersType]> {
  let summary = "Gradient of a linear layer with respect to its weight";
  let description = [{
    Example:

    ```mlir
    %dw = grow.linear_grad_weight %x, %dy
        : (tensor<?x512xf32>, tensor<?x10xf32>) -> tensor<512x10xf32>
    ```
  }];
  let arguments = (ins Grow_Matrix:$input, Grow_Matrix:$gradient);
  let results = (outs Grow_Matrix:$result);
  let assemblyFormat = [{
    $input `,` $gradient attr-dict `:` functional-type(operands, results)
  }];
}

def Grow_ChannelSumOp : Grow_GradientOp<"channel_sum", [Grow_InfersType]> {
  let summary = "Sum over all dimensions but the last";
  let description = [{
    The gradient of the vector of `grow.bias_add`.

    Example:

    ```mlir
    %db = grow.channel_sum %dy : (tensor<?x28x28x32xf32>) -> tensor<32xf32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input);
  let results = (outs Grow_Vector:$result);
  let assemblyFormat = "$input attr-dict `:` functional-type(operands, results)";
}

//===----------------------------------------------------------------------===//
// Activations
//===----------------------------------------------------------------------===//

/// Gradient of an activation. `saved` is the activation's result where the
/// derivative follows from it, so that the input need not be kept, else its
/// input.
class Grow_ActivationGradOp<string activation> : Grow_GradientOp<
    activation # "_grad", [SameOperandsAndResultType, Grow_Pointwise]> {
  let arguments = (ins Grow_Tensor:$saved, Grow_Tensor:$gradient);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = "$saved `,` $gradient attr-dict `:` type($result)";
}

def Grow_ReluGradOp : Grow_ActivationGradOp<"relu"> {
  let summary = "Gradient of relu, from its result";
  let description = [{
    Example: `%dx = grow.relu_grad %y, %dy : tensor<?x512xf32>`
  }];
}

def Grow_LeakyReluGradOp : Grow_ActivationGradOp<"leaky_relu"> {
  let summary = "Gradient of leaky_relu, from its result";
  let description = [{
    Example: `%dx = grow.leaky_relu_grad %y, %dy slope 0.01 : tensor<?x512xf32>`
  }];
  let arguments = (ins Grow_Tensor:$saved, Grow_Tensor:$gradient,
                       DefaultValuedAttr<F64Attr, "0.01">:$slope);
  let assemblyFormat = [{
    $saved `,` $gradient (`slope` $slope^)? attr-dict `:` type($result)
  }];
}

def Grow_GeluGradOp : Grow_ActivationGradOp<"gelu"> {
  let summary = "Gradient of gelu, from its input";
  let description = [{
    Example: `%dx = grow.gelu_grad %x, %dy : tensor<?x512xf32>`
  }];
}

def Grow_SiluGradOp : Grow_ActivationGradOp<"silu"> {
  let summary = "Gradient of silu, from its input";
  let description = [{
    Example: `%dx = grow.silu_grad %x, %dy : tensor<?x512xf32>`
  }];
}

def Grow_TanhGradOp : Grow_ActivationGradOp<"tanh"> {
  let summary = "Gradient of tanh, from its result";
  let description = [{
    Example: `%dx = grow.tanh_grad %y, %dy : tensor<?x512xf32>`
  }];
}

def Grow_SigmoidGradOp : Grow_ActivationGradOp<"sigmoid"> {
  let summary = "Gradient of sigmoid, from its result";
  let description = [{
    Example: `%dx = grow.sigmoid_grad %y, %dy : tensor<?x512xf32>`
  }];
}

//===----------------------------------------------------------------------===//
// Pooling
//===----------------------------------------------------------------------===//

def Grow_MaxPool2DGradOp : Grow_GradientOp<"max_pool2d_grad",
    [Grow_InfersType]> {
  let summary = "Gradient of max_pool2d";
  let description = [{
    The largest element of each window is found again in the input.

    Example:

    ```mlir
    %dx = grow.max_pool2d_grad %x, %dy window [2, 2] stride [2, 2]
        : (tensor<?x28x28x32xf32>, tensor<?x14x14x32xf32>) -> tensor<?x28x28x32xf32>
    ```
  }];
  let arguments = !con((ins Grow_Image:$input, Grow_Image:$gradient),
                       Grow_PoolArguments);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $input `,` $gradient `window` $window (`stride` $strides^)?
    (`padding` $padding^)? attr-dict `:` functional-type(operands, results)
  }];
}

def Grow_AvgPool2DGradOp : Grow_GradientOp<"avg_pool2d_grad"> {
  let summary = "Gradient of avg_pool2d";
  let description = [{
    The result's height and width are those of the pooling's input.

    Example:

    ```mlir
    %dx = grow.avg_pool2d_grad %dy window [2, 2] stride [2, 2]
        : (tensor<?x14x14x32xf32>) -> tensor<?x28x28x32xf32>
    ```
  }];
  let arguments = !con((ins Grow_Image:$gradient), Grow_PoolArguments);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $gradient `window` $window (`stride` $strides^)? (`padding` $padding^)?
    attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

def Grow_GlobalAvgPoolGradOp : Grow_GradientOp<"global_avg_pool_grad"> {
  let summary = "Gradient of global_avg_pool";
  let description = [{
    Example:

    ```mlir
    %dx = grow.global_avg_pool_grad %dy : (tensor<?x64xf32>) -> tensor<?x7x7x64xf32>
    ```
  }];
  let arguments = (ins Grow_Matrix:$gradient);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $gradient attr-dict `:` functional-type(operands, results)
  }];
  let hasVerifier = 1;
}

//===----------------------------------------------------------------------===//
// Normalisation
//===----------------------------------------------------------------------===//

def Grow_BatchNormStatsOp : Grow_GradientOp<"batch_norm_stats",
    [Grow_InfersType]> {
  let summary = "Statistics of a batch and the running statistics after it";
  let description = [{
    Results, one element a channel: mean, biased variance, and the running mean
    and (unbiased) variance moved toward them by `momentum`.

    Example:

    ```mlir
    %mean, %var, %next_mean, %next_var =
        grow.batch_norm_stats %x, %running_mean, %running_var momentum 0.1
        : (tensor<?x28x28x32xf32>, tensor<32xf32>, tensor<32xf32>)
          -> (tensor<32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<32xf32>)
    ```
  }];
  let arguments = (ins Grow_Tensor:$input, Grow_Vector:$running_mean,
                       Grow_Vector:$running_variance,
                       DefaultValuedAttr<F64Attr, "0.1">:$momentum);
  let results = (outs Grow_Vector:$mean, Grow_Vector:$variance,
                      Grow_Vector:$next_mean, Grow_Vector:$next_variance);
  let assemblyFormat = [{
    $input `,` $running_mean `,` $running_variance (`momentum` $momentum^)?
    attr-dict `:` functional-type(operands, results)
  }];
}

def Grow_BatchNormGradOp : Grow_GradientOp<"batch_norm_grad",
    [Grow_InfersType]> {
  let summary = "Gradient of batch_norm in training mode";
  let description = [{
    `mean` and `variance` are the batch's, from `grow.batch_norm_stats`. Results:
    gradients of input, scale and shift.

    Example:

    ```mlir
    %dx, %dscale, %dshift = grow.batch_norm_grad %x, %scale, %mean, %var, %dy
        : (tensor<?x28x28x32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<?x28x28x32xf32>)
          -> (tensor<?x28x28x32xf32>, tensor<32xf32>, tensor<32xf32>)
    ```
  }];
  let arguments = (ins Grow_Tensor:$input, Grow_Vector:$scale,
                       Grow_Vector:$mean, Grow_Vector:$variance,
                       Grow_Tensor:$gradient,
                       DefaultValuedAttr<F64Attr, "1.0e-5">:$epsilon);
  let results = (outs Grow_Tensor:$d_input, Grow_Vector:$d_scale,
                      Grow_Vector:$d_shift);
  let assemblyFormat = [{
    $input `,` $scale `,` $mean `,` $variance `,` $gradient
    (`epsilon` $epsilon^)? attr-dict `:` functional-type(operands, results)
  }];
}

//===----------------------------------------------------------------------===//
// Losses and weight expressions
//===----------------------------------------------------------------------===//

def Grow_SoftmaxCrossEntropyGradOp : Grow_GradientOp<
    "softmax_cross_entropy_grad", [Grow_InfersType]> {
  let summary = "Gradient of softmax_cross_entropy";
  let description = [{
    `dx[n, k] = (softmax(x[n])[k] - (k == labels[n])) / batch * gradient`

    Example:

    ```mlir
    %dx = grow.softmax_cross_entropy_grad %logits, %labels, %d
        : (tensor<?x10xf32>, tensor<?xi32>, tensor<f32>) -> tensor<?x10xf32>
    ```
  }];
  let arguments = (ins Grow_Matrix:$logits, Grow_Labels:$labels,
                       Grow_Scalar:$gradient);
  let results = (outs Grow_Matrix:$result);
  let assemblyFormat = [{
    $logits `,` $labels `,` $gradient attr-dict `:`
    functional-type(operands, results)
  }];
}

def Grow_MseGradOp : Grow_GradientOp<"mse_grad", [Grow_InfersType]> {
  let summary = "Gradient of mse";
  let description = [{
    `dx = 2 * (x - target) / elements * gradient`

    Example:

    ```mlir
    %dx = grow.mse_grad %y, %target, %d
        : (tensor<?x10xf32>, tensor<?x10xf32>, tensor<f32>) -> tensor<?x10xf32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input, Grow_Tensor:$target,
                       Grow_Scalar:$gradient);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = [{
    $input `,` $target `,` $gradient attr-dict `:`
    functional-type(operands, results)
  }];
}

def Grow_WeightComposeGradFirstOp : Grow_GradientOp<
    "weight_compose_grad_first", [Grow_InfersType]> {
  let summary = "Gradient of weight_compose with respect to the 1x1 filter";
  let description = [{
    Example:

    ```mlir
    %d1 = grow.weight_compose_grad_first %dw, %w2
        : (tensor<3x3x16x32xf32>, tensor<3x3x8x32xf32>) -> tensor<1x1x16x8xf32>
    ```
  }];
  let arguments = (ins Grow_Image:$gradient, Grow_Image:$second);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $gradient `,` $second attr-dict `:` functional-type(operands, results)
  }];
}

def Grow_WeightComposeGradSecondOp : Grow_GradientOp<
    "weight_compose_grad_second", [Grow_InfersType]> {
  let summary = "Gradient of weight_compose with respect to the second filter";
  let description = [{
    Example:

    ```mlir
    %d2 = grow.weight_compose_grad_second %dw, %w1
        : (tensor<3x3x16x32xf32>, tensor<1x1x16x8xf32>) -> tensor<3x3x8x32xf32>
    ```
  }];
  let arguments = (ins Grow_Image:$gradient, Grow_Image:$first);
  let results = (outs Grow_Image:$result);
  let assemblyFormat = [{
    $gradient `,` $first attr-dict `:` functional-type(operands, results)
  }];
}

#endif // CAMBIUM_IR_GROWGRADIENTOPS
