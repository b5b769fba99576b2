// RUN: cambium-opt %s --inline --grow-unroll-maps --canonicalize --cse --grow-differentiate --canonicalize --cse --grow-apply-updates | FileCheck %s

// From a loss to a step, as the pipeline does it. Both layers read the same
// sum, in places of their own; common subexpressions make the two sums and the
// gradients of their terms one, so the terms still share an update.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<4x4xf32> in @g init(#grow.kaiming)
grow.param @b : tensor<4x4xf32> in @g init(#grow.kaiming)
grow.param @s : tensor<4x4xf32> in @g init(#grow.kaiming)

func.func @layer(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %a = grow.get @a : tensor<4x4xf32>
  %b = grow.get @b : tensor<4x4xf32>
  %w = grow.weight_sum %a, %b : tensor<4x4xf32>
  %y = grow.linear %x, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

func.func @loss(%x: tensor<?x4xf32>, %t: tensor<?x4xf32>) -> tensor<f32> {
  %y = func.call @layer(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %s = grow.get @s : tensor<4x4xf32>
  %m = grow.map "m" sum (%y) over [(%s)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x4xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    %r = grow.silu %l : tensor<?x4xf32>
    grow.yield %r : tensor<?x4xf32>
  }
  %z = func.call @layer(%m) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %loss = grow.mse %z, %t : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK:         grow.derived @a.sum : tensor<4x4xf32> sum [@a, @b]
// CHECK-LABEL: func.func @layer(
// CHECK-NEXT:    grow.get @a.sum
// CHECK-NEXT:    grow.linear
// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[X:.*]]: tensor<?x4xf32>, %[[T:.*]]: tensor<?x4xf32>) -> tensor<f32> {
// CHECK-NEXT:    %[[W:.*]] = grow.get @a.sum
// CHECK-NEXT:    %[[Y:.*]] = grow.linear %[[X]], %[[W]]
// CHECK-NEXT:    %[[S:.*]] = grow.get @s
// CHECK:         %[[L:.*]] = grow.linear %[[Y]], %[[S]]
// CHECK:         %[[M:.*]] = grow.silu %[[L]]
// CHECK:         %[[Z:.*]] = grow.linear %[[M]], %[[W]]
// CHECK:         %[[DZ:.*]] = grow.mse_grad %[[Z]], %[[T]]
// CHECK:         %[[DM:.*]] = grow.linear_grad_input %[[DZ]], %[[W]]
// CHECK:         %[[DW1:.*]] = grow.linear_grad_weight %[[M]], %[[DZ]]
// CHECK:         %[[DL:.*]] = grow.silu_grad %[[L]], %[[DM]]
// CHECK:         %[[DY:.*]] = grow.linear_grad_input %[[DL]], %[[S]]
// CHECK:         %[[DS:.*]] = grow.linear_grad_weight %[[Y]], %[[DL]]
// CHECK:         %[[DW0:.*]] = grow.linear_grad_weight %[[X]], %[[DY]]
// CHECK:         %[[DW:.*]] = grow.weight_sum %[[DW1]], %[[DW0]]
// CHECK-NEXT:    grow.update [@a, @b] by %[[DW]] into @a.sum
// CHECK-NEXT:    grow.update [@s] by %[[DS]]
