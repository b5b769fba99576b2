// RUN: cambium-opt %s -split-input-file --grow-differentiate | FileCheck %s

// The gradient rule of each operation. Losses here read parameters and apply
// one operation each; %[[D]] is the gradient of the operation's result.

// conv2d: both gradients have the convolution's geometry.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @v : tensor<1x1x6x6xf32> in @g init(#grow.zero)
grow.param @w : tensor<3x3x2x6xf32> in @g init(#grow.zero)

func.func @loss(%x: tensor<?x8x8x6xf32>, %t: tensor<?x4x4x6xf32>) -> tensor<f32> {
  %v = grow.get @v : tensor<1x1x6x6xf32>
  %w = grow.get @w : tensor<3x3x2x6xf32>
  %u = grow.conv2d %x, %v : (tensor<?x8x8x6xf32>, tensor<1x1x6x6xf32>) -> tensor<?x8x8x6xf32>
  %y = grow.conv2d %u, %w stride [2, 2] padding [2, 2, 1, 1] dilation [2, 2] groups 3
      : (tensor<?x8x8x6xf32>, tensor<3x3x2x6xf32>) -> tensor<?x4x4x6xf32>
  %loss = grow.mse %y, %t : (tensor<?x4x4x6xf32>, tensor<?x4x4x6xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[V:.*]] = grow.get @v
// CHECK:         %[[W:.*]] = grow.get @w
// CHECK:         %[[U:.*]] = grow.conv2d
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DU:.*]] = grow.conv2d_grad_input %[[D]], %[[W]] stride [2, 2] padding [2, 2, 1, 1] dilation [2, 2] groups 3
// CHECK-SAME:      -> tensor<?x8x8x6xf32>
// CHECK-NEXT:    %[[DW:.*]] = grow.conv2d_grad_filter %[[U]], %[[D]] stride [2, 2] padding [2, 2, 1, 1] dilation [2, 2] groups 3
// CHECK-SAME:      -> tensor<3x3x2x6xf32>
// CHECK-NEXT:    %[[DV:.*]] = grow.conv2d_grad_filter %{{.*}}, %[[DU]]
// CHECK-NEXT:    return %{{.*}}, %[[DV]], %[[DW]]

// -----

// linear

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x4xf32> in @g init(#grow.zero)
grow.param @w : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<2x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x4xf32>
  %w = grow.get @w : tensor<4x3xf32>
  %y = grow.linear %a, %w : (tensor<2x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  %loss = grow.mse %y, %t : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[A:.*]] = grow.get @a
// CHECK:         %[[W:.*]] = grow.get @w
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.linear_grad_input %[[D]], %[[W]]
// CHECK-NEXT:    %[[DW:.*]] = grow.linear_grad_weight %[[A]], %[[D]]
// CHECK-NEXT:    return %{{.*}}, %[[DA]], %[[DW]]

// -----

// bias_add: the gradient of the vector is summed over all other dimensions.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x4xf32> in @g init(#grow.zero)
grow.param @b : tensor<4xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<2x4xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x4xf32>
  %b = grow.get @b : tensor<4xf32>
  %y = grow.bias_add %a, %b : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %loss = grow.mse %y, %t : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DB:.*]] = grow.channel_sum %[[D]]
// CHECK-NEXT:    return %{{.*}}, %[[D]], %[[DB]]

// -----

// channel_scale: the vector's gradient sums the product with the input.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x4xf32> in @g init(#grow.zero)
grow.param @s : tensor<4xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<2x4xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x4xf32>
  %s = grow.get @s : tensor<4xf32>
  %y = grow.channel_scale %a, %s : (tensor<2x4xf32>, tensor<4xf32>) -> tensor<2x4xf32>
  %loss = grow.mse %y, %t : (tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[A:.*]] = grow.get @a
// CHECK:         %[[S:.*]] = grow.get @s
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.channel_scale %[[D]], %[[S]]
// CHECK-NEXT:    %[[P:.*]] = grow.mul %[[D]], %[[A]]
// CHECK-NEXT:    %[[DS:.*]] = grow.channel_sum %[[P]]
// CHECK-NEXT:    return %{{.*}}, %[[DA]], %[[DS]]

// -----

// relu: from its result, so that the input need not be kept.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @p : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %p = grow.get @p : tensor<4x3xf32>
  %y = grow.relu %p : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[P:.*]] = grow.get @p
// CHECK-NEXT:    %[[Y:.*]] = grow.relu %[[P]]
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DP:.*]] = grow.relu_grad %[[Y]], %[[D]]
// CHECK-NEXT:    return %{{.*}}, %[[DP]]

// -----

// leaky_relu: from its result, so that the input need not be kept.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @p : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %p = grow.get @p : tensor<4x3xf32>
  %y = grow.leaky_relu %p slope 0.25 : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[P:.*]] = grow.get @p
// CHECK-NEXT:    %[[Y:.*]] = grow.leaky_relu %[[P]]
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DP:.*]] = grow.leaky_relu_grad %[[Y]], %[[D]] slope 2.500000e-01
// CHECK-NEXT:    return %{{.*}}, %[[DP]]

// -----

// tanh: from its result, so that the input need not be kept.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @p : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %p = grow.get @p : tensor<4x3xf32>
  %y = grow.tanh %p : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[P:.*]] = grow.get @p
// CHECK-NEXT:    %[[Y:.*]] = grow.tanh %[[P]]
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DP:.*]] = grow.tanh_grad %[[Y]], %[[D]]
// CHECK-NEXT:    return %{{.*}}, %[[DP]]

// -----

// sigmoid: from its result, so that the input need not be kept.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @p : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %p = grow.get @p : tensor<4x3xf32>
  %y = grow.sigmoid %p : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[P:.*]] = grow.get @p
// CHECK-NEXT:    %[[Y:.*]] = grow.sigmoid %[[P]]
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DP:.*]] = grow.sigmoid_grad %[[Y]], %[[D]]
// CHECK-NEXT:    return %{{.*}}, %[[DP]]

// -----

// gelu: from its input.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @p : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %p = grow.get @p : tensor<4x3xf32>
  %y = grow.gelu %p : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[P:.*]] = grow.get @p
// CHECK-NEXT:    %[[Y:.*]] = grow.gelu %[[P]]
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DP:.*]] = grow.gelu_grad %[[P]], %[[D]]
// CHECK-NEXT:    return %{{.*}}, %[[DP]]

// -----

// silu: from its input.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @p : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %p = grow.get @p : tensor<4x3xf32>
  %y = grow.silu %p : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[P:.*]] = grow.get @p
// CHECK-NEXT:    %[[Y:.*]] = grow.silu %[[P]]
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DP:.*]] = grow.silu_grad %[[P]], %[[D]]
// CHECK-NEXT:    return %{{.*}}, %[[DP]]

// -----

// add: the result's gradient itself.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<4x3xf32> in @g init(#grow.zero)
grow.param @b : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<4x3xf32>
  %b = grow.get @b : tensor<4x3xf32>
  %y = grow.add %a, %b : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    return %{{.*}}, %[[D]], %[[D]]

// -----

// mul: the gradient times the other factor.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<4x3xf32> in @g init(#grow.zero)
grow.param @b : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<4x3xf32>
  %b = grow.get @b : tensor<4x3xf32>
  %y = grow.mul %a, %b : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[A:.*]] = grow.get @a
// CHECK:         %[[B:.*]] = grow.get @b
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.mul %[[D]], %[[B]]
// CHECK-NEXT:    %[[DB:.*]] = grow.mul %[[D]], %[[A]]
// CHECK-NEXT:    return %{{.*}}, %[[DA]], %[[DB]]

// -----

// mul of a value with itself: both factors' gradients add up.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<4x3xf32>
  %y = grow.mul %a, %a : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[D0:.*]] = grow.mul %[[D]], %[[A:.*]] :
// CHECK-NEXT:    %[[D1:.*]] = grow.mul %[[D]], %[[A]] :
// CHECK-NEXT:    %[[DA:.*]] = grow.weight_sum %[[D0]], %[[D1]]
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// scale

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<4x3xf32>
  %y = grow.scale %a by 0.5 : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.scale %[[D]] by 5.000000e-01
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// max_pool2d: finds the largest elements again in the input.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x6x6x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<2x3x3x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x6x6x3xf32>
  %y = grow.max_pool2d %a window [3, 3] stride [2, 2] padding [1, 1]
      : (tensor<2x6x6x3xf32>) -> tensor<2x3x3x3xf32>
  %loss = grow.mse %y, %t : (tensor<2x3x3x3xf32>, tensor<2x3x3x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[A:.*]] = grow.get @a
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.max_pool2d_grad %[[A]], %[[D]] window [3, 3] stride [2, 2] padding [1, 1]
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// avg_pool2d: needs the input's extents alone.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x6x6x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<2x3x3x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x6x6x3xf32>
  %y = grow.avg_pool2d %a window [2, 2] stride [2, 2]
      : (tensor<2x6x6x3xf32>) -> tensor<2x3x3x3xf32>
  %loss = grow.mse %y, %t : (tensor<2x3x3x3xf32>, tensor<2x3x3x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.avg_pool2d_grad %[[D]] window [2, 2] stride [2, 2]
// CHECK-SAME:      -> tensor<2x6x6x3xf32>
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// global_avg_pool

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x6x6x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<2x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x6x6x3xf32>
  %y = grow.global_avg_pool %a : (tensor<2x6x6x3xf32>) -> tensor<2x3xf32>
  %loss = grow.mse %y, %t : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.global_avg_pool_grad %[[D]] : (tensor<2x3xf32>) -> tensor<2x6x6x3xf32>
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// batch_norm with given statistics is affine: the gradient of the input is the
// result's, normalised around zero without a shift; that of the scale is summed
// over the normalised input.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<4x3xf32> in @g init(#grow.zero)
grow.param @scale : tensor<3xf32> in @g init(#grow.zero)
grow.param @shift : tensor<3xf32> in @g init(#grow.zero)
grow.state @mean : tensor<3xf32> init(#grow.zero)
grow.state @var : tensor<3xf32> init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<4x3xf32>
  %scale = grow.get @scale : tensor<3xf32>
  %shift = grow.get @shift : tensor<3xf32>
  %mean = grow.get @mean : tensor<3xf32>
  %var = grow.get @var : tensor<3xf32>
  %y = grow.batch_norm %a, %scale, %shift, %mean, %var epsilon 1.0e-3 inference
      : (tensor<4x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[A:.*]] = grow.get @a
// CHECK:         %[[SCALE:.*]] = grow.get @scale
// CHECK:         %[[MEAN:.*]] = grow.get @mean
// CHECK:         %[[VAR:.*]] = grow.get @var
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[ZERO:.*]] = grow.fill 0.000000e+00 : tensor<3xf32>
// CHECK-NEXT:    %[[DA:.*]] = grow.batch_norm %[[D]], %[[SCALE]], %[[ZERO]], %[[ZERO]], %[[VAR]] epsilon 1.000000e-03 inference
// CHECK-NEXT:    %[[ONE:.*]] = grow.fill 1.000000e+00 : tensor<3xf32>
// CHECK-NEXT:    %[[N:.*]] = grow.batch_norm %[[A]], %[[ONE]], %[[ZERO]], %[[MEAN]], %[[VAR]] epsilon 1.000000e-03 inference
// CHECK-NEXT:    %[[DN:.*]] = grow.mul %[[D]], %[[N]]
// CHECK-NEXT:    %[[DSCALE:.*]] = grow.channel_sum %[[DN]]
// CHECK-NEXT:    %[[DSHIFT:.*]] = grow.channel_sum %[[D]]
// CHECK-NOT:     grow.set
// CHECK:         return %{{.*}}, %[[DA]], %[[DSCALE]], %[[DSHIFT]]

// -----

// reshape: back to the input's shape.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x6xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<2x3x2xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x6xf32>
  %y = grow.reshape %a : tensor<2x6xf32> -> tensor<2x3x2xf32>
  %loss = grow.mse %y, %t : (tensor<2x3x2xf32>, tensor<2x3x2xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.reshape %[[D]] : tensor<2x3x2xf32> -> tensor<2x6xf32>
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// flatten

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x3x2xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<2x6xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x3x2xf32>
  %y = grow.flatten %a : (tensor<2x3x2xf32>) -> tensor<2x6xf32>
  %loss = grow.mse %y, %t : (tensor<2x6xf32>, tensor<2x6xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.reshape %[[D]] : tensor<2x6xf32> -> tensor<2x3x2xf32>
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// concat: each part gets its range; the input in the middle needs none.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x1xf32> in @g init(#grow.zero)
grow.param @b : tensor<2x2xf32> in @g init(#grow.zero)

func.func @loss(%x: tensor<2x4xf32>, %t: tensor<2x7xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x1xf32>
  %b = grow.get @b : tensor<2x2xf32>
  %y = grow.concat %a, %x, %b
      : (tensor<2x1xf32>, tensor<2x4xf32>, tensor<2x2xf32>) -> tensor<2x7xf32>
  %loss = grow.mse %y, %t : (tensor<2x7xf32>, tensor<2x7xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.slice %[[D]] offset 0 size 1
// CHECK-NEXT:    %[[DB:.*]] = grow.slice %[[D]] offset 5 size 2
// CHECK-NEXT:    return %{{.*}}, %[[DA]], %[[DB]]

// -----

// slice: zeros on both sides, with the batch of the gradient.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @b : tensor<7xf32> in @g init(#grow.zero)

func.func @loss(%x: tensor<?x7xf32>, %t: tensor<?x2xf32>) -> tensor<f32> {
  %b = grow.get @b : tensor<7xf32>
  %u = grow.bias_add %x, %b : (tensor<?x7xf32>, tensor<7xf32>) -> tensor<?x7xf32>
  %y = grow.slice %u offset 1 size 2 : (tensor<?x7xf32>) -> tensor<?x2xf32>
  %loss = grow.mse %y, %t : (tensor<?x2xf32>, tensor<?x2xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[L:.*]] = grow.fill 0.000000e+00 batch_of %[[D]] : tensor<?x2xf32> -> tensor<?x1xf32>
// CHECK-NEXT:    %[[R:.*]] = grow.fill 0.000000e+00 batch_of %[[D]] : tensor<?x2xf32> -> tensor<?x4xf32>
// CHECK-NEXT:    %[[DU:.*]] = grow.concat %[[L]], %[[D]], %[[R]]
// CHECK-NEXT:    %[[DB:.*]] = grow.channel_sum %[[DU]]
// CHECK-NEXT:    return %{{.*}}, %[[DB]]

// -----

// slice at the start: no empty tensor of zeros before it.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x7xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<2x2xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x7xf32>
  %y = grow.slice %a offset 0 size 2 : (tensor<2x7xf32>) -> tensor<2x2xf32>
  %loss = grow.mse %y, %t : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[R:.*]] = grow.fill 0.000000e+00 : tensor<2x5xf32>
// CHECK-NEXT:    %[[DA:.*]] = grow.concat %[[D]], %[[R]]
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// fill: of its operand it takes the batch alone, so no gradient passes.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<4x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<4x3xf32>
  %f = grow.fill 2.0 batch_of %a : tensor<4x3xf32> -> tensor<4x3xf32>
  %y = grow.mul %a, %f : tensor<4x3xf32>
  %loss = grow.mse %y, %t : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[F:.*]] = grow.fill 2.0
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.mul %[[D]], %[[F]]
// CHECK:         return %{{.*}}, %[[DA]]

// -----

// mse: the target has no gradient, even where it depends on a parameter.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<4x3xf32> in @g init(#grow.zero)
grow.param @target : tensor<4x3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<f32>) -> tensor<f32> {
  %a = grow.get @a : tensor<4x3xf32>
  %target = grow.get @target : tensor<4x3xf32>
  %z = grow.mse %a, %target : (tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<f32>
  %y = grow.scale %z by 3.0 : tensor<f32>
  %loss = grow.mse %y, %t : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[A:.*]] = grow.get @a
// CHECK:         %[[TARGET:.*]] = grow.get @target
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DZ:.*]] = grow.scale %[[D]] by 3.0
// CHECK-NEXT:    %[[DA:.*]] = grow.mse_grad %[[A]], %[[TARGET]], %[[DZ]]
// CHECK-NEXT:    %[[DB:.*]] = grow.fill 0.000000e+00
// CHECK-NEXT:    return %{{.*}}, %[[DA]], %[[DB]]

// -----

// softmax_cross_entropy: times the gradient of the loss.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<2x3xf32> in @g init(#grow.zero)

func.func @loss(%labels: tensor<2xi32>, %t: tensor<f32>) -> tensor<f32> {
  %a = grow.get @a : tensor<2x3xf32>
  %z = grow.softmax_cross_entropy %a, %labels : (tensor<2x3xf32>, tensor<2xi32>) -> tensor<f32>
  %y = grow.scale %z by 3.0 : tensor<f32>
  %loss = grow.mse %y, %t : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[LABELS:.*]]: tensor<2xi32>, %
// CHECK:         %[[A:.*]] = grow.get @a
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DZ:.*]] = grow.scale %[[D]] by 3.0
// CHECK-NEXT:    %[[DA:.*]] = grow.softmax_cross_entropy_grad %[[A]], %[[LABELS]], %[[DZ]]
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// weight_concat and weight_slice are each other's gradients.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3x3x2x1xf32> in @g init(#grow.zero)
grow.param @b : tensor<3x3x2x4xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<3x3x2x3xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<3x3x2x1xf32>
  %b = grow.get @b : tensor<3x3x2x4xf32>
  %c = grow.weight_concat %a, %b
      : (tensor<3x3x2x1xf32>, tensor<3x3x2x4xf32>) -> tensor<3x3x2x5xf32>
  %y = grow.weight_slice %c offset 0 size 3
      : (tensor<3x3x2x5xf32>) -> tensor<3x3x2x3xf32>
  %loss = grow.mse %y, %t : (tensor<3x3x2x3xf32>, tensor<3x3x2x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[R:.*]] = grow.fill 0.000000e+00 : tensor<3x3x2x2xf32>
// CHECK-NEXT:    %[[DC:.*]] = grow.weight_concat %[[D]], %[[R]]
// CHECK-NEXT:    %[[DA:.*]] = grow.weight_slice %[[DC]] offset 0 size 1
// CHECK-NEXT:    %[[DB:.*]] = grow.weight_slice %[[DC]] offset 1 size 4
// CHECK-NEXT:    return %{{.*}}, %[[DA]], %[[DB]]

// -----

// weight_pad and weight_crop are each other's gradients.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<1x1x2x4xf32> in @g init(#grow.zero)
grow.param @b : tensor<3x3x2x4xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<1x2x2x4xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<1x1x2x4xf32>
  %b = grow.get @b : tensor<3x3x2x4xf32>
  %p = grow.weight_pad %a [1, 2, 1, 0] : (tensor<1x1x2x4xf32>) -> tensor<3x3x2x4xf32>
  %s = grow.weight_sum %p, %b : tensor<3x3x2x4xf32>
  %y = grow.weight_crop %s [1, 0, 1, 1]
      : (tensor<3x3x2x4xf32>) -> tensor<1x2x2x4xf32>
  %loss = grow.mse %y, %t : (tensor<1x2x2x4xf32>, tensor<1x2x2x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DB:.*]] = grow.weight_pad %[[D]] [1, 0, 1, 1]
// CHECK-NEXT:    %[[DA:.*]] = grow.weight_crop %[[DB]] [1, 2, 1, 0]
// CHECK-NEXT:    return %{{.*}}, %[[DA]], %[[DB]]

// -----

// weight_scale

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3x3x2x4xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<3x3x2x4xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<3x3x2x4xf32>
  %y = grow.weight_scale %a by 0.5 : tensor<3x3x2x4xf32>
  %loss = grow.mse %y, %t : (tensor<3x3x2x4xf32>, tensor<3x3x2x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.weight_scale %[[D]] by 5.000000e-01
// CHECK-NEXT:    return %{{.*}}, %[[DA]]

// -----

// weight_compose

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<1x1x5x2xf32> in @g init(#grow.zero)
grow.param @b : tensor<3x3x2x4xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<3x3x5x4xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<1x1x5x2xf32>
  %b = grow.get @b : tensor<3x3x2x4xf32>
  %y = grow.weight_compose %a, %b
      : (tensor<1x1x5x2xf32>, tensor<3x3x2x4xf32>) -> tensor<3x3x5x4xf32>
  %loss = grow.mse %y, %t : (tensor<3x3x5x4xf32>, tensor<3x3x5x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[A:.*]] = grow.get @a
// CHECK:         %[[B:.*]] = grow.get @b
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA:.*]] = grow.weight_compose_grad_first %[[D]], %[[B]]
// CHECK-NEXT:    %[[DB:.*]] = grow.weight_compose_grad_second %[[D]], %[[A]]
// CHECK-NEXT:    return %{{.*}}, %[[DA]], %[[DB]]

// -----

// weight_sum: one value for all terms; an inner sum used twice adds its uses up
// first.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3x3x2x4xf32> in @g init(#grow.zero)
grow.param @b : tensor<3x3x2x4xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<3x3x2x4xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<3x3x2x4xf32>
  %b = grow.get @b : tensor<3x3x2x4xf32>
  %s = grow.weight_sum %a, %b : tensor<3x3x2x4xf32>
  %h = grow.weight_scale %s by 0.5 : tensor<3x3x2x4xf32>
  %y = grow.weight_sum %s, %h : tensor<3x3x2x4xf32>
  %loss = grow.mse %y, %t : (tensor<3x3x2x4xf32>, tensor<3x3x2x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[D:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DH:.*]] = grow.weight_scale %[[D]] by 5.000000e-01
// CHECK-NEXT:    %[[DS:.*]] = grow.weight_sum %[[D]], %[[DH]]
// CHECK-NEXT:    return %{{.*}}, %[[DS]], %[[DS]]
