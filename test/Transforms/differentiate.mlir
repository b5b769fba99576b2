// RUN: cambium-opt %s -split-input-file --grow-differentiate | FileCheck %s

// The step function returns the loss, then a gradient for each parameter in
// the order of declaration. The input needs no gradient, so none is built for
// it.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w1 : tensor<8x4xf32> in @g init(#grow.kaiming)
grow.param @b1 : tensor<4xf32> in @g init(#grow.zero)
grow.param @w2 : tensor<4x3xf32> in @g init(#grow.kaiming)

func.func @loss(%x: tensor<?x8xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  %w1 = grow.get @w1 : tensor<8x4xf32>
  %b1 = grow.get @b1 : tensor<4xf32>
  %w2 = grow.get @w2 : tensor<4x3xf32>
  %h = grow.linear %x, %w1 : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  %hb = grow.bias_add %h, %b1 : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %a = grow.relu %hb : tensor<?x4xf32>
  %y = grow.linear %a, %w2 : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %loss = grow.softmax_cross_entropy %y, %labels : (tensor<?x3xf32>, tensor<?xi32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// The loss function stays as it is.
// CHECK-LABEL: func.func @loss(
// CHECK-SAME:    -> tensor<f32>
// CHECK-NOT:     _grad
// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[X:.*]]: tensor<?x8xf32>, %[[LABELS:.*]]: tensor<?xi32>)
// CHECK-SAME:    -> (tensor<f32>,
// CHECK-SAME:        tensor<8x4xf32> {grow.gradient = @w1},
// CHECK-SAME:        tensor<4xf32> {grow.gradient = @b1},
// CHECK-SAME:        tensor<4x3xf32> {grow.gradient = @w2})
// CHECK:         %[[W2:.*]] = grow.get @w2
// CHECK:         %[[A:.*]] = grow.relu
// CHECK:         %[[Y:.*]] = grow.linear %[[A]], %[[W2]]
// CHECK:         %[[LOSS:.*]] = grow.softmax_cross_entropy %[[Y]], %[[LABELS]]
// CHECK:         %[[ONE:.*]] = grow.fill 1.000000e+00 : tensor<f32>
// CHECK-NEXT:    %[[DY:.*]] = grow.softmax_cross_entropy_grad %[[Y]], %[[LABELS]], %[[ONE]]
// CHECK-NEXT:    %[[DA:.*]] = grow.linear_grad_input %[[DY]], %[[W2]]
// CHECK-NEXT:    %[[DW2:.*]] = grow.linear_grad_weight %[[A]], %[[DY]]
// CHECK-NEXT:    %[[DH:.*]] = grow.relu_grad %[[A]], %[[DA]]
// CHECK-NEXT:    %[[DB1:.*]] = grow.channel_sum %[[DH]]
// CHECK-NEXT:    %[[DW1:.*]] = grow.linear_grad_weight %[[X]], %[[DH]]
// CHECK-NEXT:    return %[[LOSS]], %[[DW1]], %[[DB1]], %[[DW2]]

// -----

// A parameter that the loss does not depend on gets zeros. States have no
// gradient, and what is computed from them and from inputs alone needs none.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @used : tensor<3xf32> in @g init(#grow.zero)
grow.param @unused : tensor<5xf32> in @g init(#grow.zero)
grow.state @s : tensor<3xf32> init(#grow.zero)

func.func @loss(%t: tensor<3xf32>) -> tensor<f32> {
  %p = grow.get @used : tensor<3xf32>
  %s = grow.get @s : tensor<3xf32>
  %r = grow.relu %s : tensor<3xf32>
  %m = grow.mul %p, %r : tensor<3xf32>
  %loss = grow.mse %m, %t : (tensor<3xf32>, tensor<3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[R:.*]] = grow.relu
// CHECK:         %[[DM:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DP:.*]] = grow.mul %[[DM]], %[[R]]
// CHECK-NEXT:    %[[ZERO:.*]] = grow.fill 0.000000e+00 : tensor<5xf32>
// CHECK-NEXT:    return %{{.*}}, %[[DP]], %[[ZERO]]

// -----

// A value used twice gets the sum of both uses' gradients: an add for
// activations, a weight_sum for weights.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4x4xf32> in @g init(#grow.zero)

func.func @loss(%x: tensor<?x4xf32>, %t: tensor<?x4xf32>) -> tensor<f32> {
  %w = grow.get @w : tensor<4x4xf32>
  %h = grow.linear %x, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  %a = grow.tanh %h : tensor<?x4xf32>
  %again = grow.get @w : tensor<4x4xf32>
  %y = grow.linear %a, %again : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  %z = grow.add %a, %y : tensor<?x4xf32>
  %loss = grow.mse %z, %t : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[DZ:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[DA1:.*]] = grow.linear_grad_input %[[DZ]]
// CHECK-NEXT:    %[[DW1:.*]] = grow.linear_grad_weight %{{.*}}, %[[DZ]]
// CHECK-NEXT:    %[[DA:.*]] = grow.add %[[DZ]], %[[DA1]]
// CHECK-NEXT:    %[[DH:.*]] = grow.tanh_grad %{{.*}}, %[[DA]]
// CHECK-NEXT:    %[[DW2:.*]] = grow.linear_grad_weight %{{.*}}, %[[DH]]
// CHECK-NEXT:    %[[DW:.*]] = grow.weight_sum %[[DW1]], %[[DW2]]
// CHECK-NEXT:    return %{{.*}}, %[[DW]]

// -----

// The branches of a collapsed sum all get one value.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3x3x1x2xf32> in @g init(#grow.kaiming)
grow.param @b : tensor<3x3x1x2xf32> in @g init(#grow.kaiming)
grow.param @c : tensor<1x1x1x2xf32> in @g init(#grow.kaiming)

func.func @loss(%x: tensor<?x8x8x1xf32>, %t: tensor<?x8x8x2xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<3x3x1x2xf32>
  %b = grow.get @b : tensor<3x3x1x2xf32>
  %c = grow.get @c : tensor<1x1x1x2xf32>
  %p = grow.weight_pad %c [1, 1, 1, 1] : (tensor<1x1x1x2xf32>) -> tensor<3x3x1x2xf32>
  %w = grow.weight_sum %a, %b, %p : tensor<3x3x1x2xf32>
  %y = grow.conv2d %x, %w padding [1, 1]
      : (tensor<?x8x8x1xf32>, tensor<3x3x1x2xf32>) -> tensor<?x8x8x2xf32>
  %loss = grow.mse %y, %t : (tensor<?x8x8x2xf32>, tensor<?x8x8x2xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK-NOT:     grow.conv2d_grad_input
// CHECK:         %[[DW:.*]] = grow.conv2d_grad_filter
// CHECK-NEXT:    %[[DC:.*]] = grow.weight_crop %[[DW]] [1, 1, 1, 1]
// CHECK-NEXT:    return %{{.*}}, %[[DW]], %[[DW]], %[[DC]]

// -----

// Batch normalisation in training mode becomes statistics, normalisation by
// them, and a move of the running statistics, in the step only.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @scale : tensor<4xf32> in @g init(#grow.constant<1.0>)
grow.param @shift : tensor<4xf32> in @g init(#grow.zero)
grow.state @mean : tensor<4xf32> init(#grow.zero)
grow.state @var : tensor<4xf32> init(#grow.constant<1.0>)

func.func @loss(%x: tensor<?x4xf32>, %t: tensor<?x4xf32>) -> tensor<f32> {
  %scale = grow.get @scale : tensor<4xf32>
  %shift = grow.get @shift : tensor<4xf32>
  %mean = grow.get @mean : tensor<4xf32>
  %var = grow.get @var : tensor<4xf32>
  %y = grow.batch_norm %x, %scale, %shift, %mean, %var momentum 0.2 epsilon 1.0e-3
      : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  %loss = grow.mse %y, %t : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @loss(
// CHECK-NOT:     grow.set
// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[X:.*]]: tensor<?x4xf32>, %
// CHECK:         %[[SCALE:.*]] = grow.get @scale
// CHECK:         %[[SHIFT:.*]] = grow.get @shift
// CHECK:         %[[MEAN:.*]] = grow.get @mean
// CHECK:         %[[VAR:.*]] = grow.get @var
// CHECK:         %[[M:.*]], %[[V:.*]], %[[NEXT_M:.*]], %[[NEXT_V:.*]] = grow.batch_norm_stats %[[X]], %[[MEAN]], %[[VAR]] momentum 2.000000e-01
// CHECK-NEXT:    grow.batch_norm %[[X]], %[[SCALE]], %[[SHIFT]], %[[M]], %[[V]] epsilon 1.000000e-03 inference
// CHECK-NEXT:    grow.set @mean, %[[NEXT_M]]
// CHECK-NEXT:    grow.set @var, %[[NEXT_V]]
// CHECK:         %[[DY:.*]] = grow.mse_grad
// CHECK-NEXT:    %{{.*}}, %[[DSCALE:.*]], %[[DSHIFT:.*]] = grow.batch_norm_grad %[[X]], %[[SCALE]], %[[M]], %[[V]], %[[DY]] epsilon 1.000000e-03
// CHECK-NEXT:    return %{{.*}}, %[[DSCALE]], %[[DSHIFT]]

// -----

// A derived sum that the loss reads hands its gradient to its terms.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3xf32> in @g init(#grow.zero)
grow.param @b : tensor<3xf32> in @g init(#grow.zero)
grow.derived @a.sum : tensor<3xf32> sum [@a, @b]

func.func @loss(%t: tensor<3xf32>) -> tensor<f32> {
  %s = grow.get @a.sum : tensor<3xf32>
  %loss = grow.mse %s, %t : (tensor<3xf32>, tensor<3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         %[[DS:.*]] = grow.mse_grad
// CHECK-NEXT:    return %{{.*}}, %[[DS]], %[[DS]]

// -----

// A loss that no parameter reaches: all gradients are zeros.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3xf32> in @g init(#grow.zero)

func.func @loss(%x: tensor<f32>) -> tensor<f32> {
  return %x : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[X:.*]]: tensor<f32>)
// CHECK-NEXT:    %[[ZERO:.*]] = grow.fill 0.000000e+00 : tensor<3xf32>
// CHECK-NEXT:    return %[[X]], %[[ZERO]]
