// RUN: cambium-opt %s -split-input-file --grow-apply-updates | FileCheck %s

// Gradient results become updates; other results stay.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3xf32> in @g init(#grow.zero)
grow.param @b : tensor<4xf32> in @g init(#grow.zero)

// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[LOSS:.*]]: tensor<f32>, %[[DA:.*]]: tensor<3xf32>, %[[DB:.*]]: tensor<4xf32>) -> tensor<f32> {
// CHECK-NEXT:    grow.update [@a] by %[[DA]] : tensor<3xf32>
// CHECK-NEXT:    grow.update [@b] by %[[DB]] : tensor<4xf32>
// CHECK-NEXT:    return %[[LOSS]] : tensor<f32>
func.func @step(%loss: tensor<f32>, %da: tensor<3xf32>, %db: tensor<4xf32>)
    -> (tensor<f32>, tensor<3xf32> {grow.gradient = @a}, tensor<4xf32> {grow.gradient = @b}) {
  return %loss, %da, %db : tensor<f32>, tensor<3xf32>, tensor<4xf32>
}

// -----

// The branches of a collapsed sum are updated together, and their sum is kept
// by the update. Every function that adds up the same terms reads it instead.

grow.group @old {optimizer = #grow.sgd, lr = 0.1}
grow.group @new {optimizer = #grow.adamw, lr = 0.01}
// CHECK: grow.param @a
// CHECK: grow.param @b
// CHECK-NEXT: grow.derived @a.sum : tensor<4x3xf32> sum [@a, @b]
grow.param @a : tensor<4x3xf32> in @old init(#grow.kaiming)
grow.param @b : tensor<4x3xf32> in @new init(#grow.zero)

// CHECK-LABEL: func.func @forward(
// CHECK-NEXT:    %[[W:.*]] = grow.get @a.sum : tensor<4x3xf32>
// CHECK-NEXT:    grow.linear %{{.*}}, %[[W]]
func.func @forward(%x: tensor<?x4xf32>) -> tensor<?x3xf32> {
  %a = grow.get @a : tensor<4x3xf32>
  %b = grow.get @b : tensor<4x3xf32>
  %w = grow.weight_sum %a, %b : tensor<4x3xf32>
  %y = grow.linear %x, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}

// CHECK-LABEL: func.func @step(
// CHECK-NEXT:    %[[W:.*]] = grow.get @a.sum : tensor<4x3xf32>
// CHECK-NEXT:    grow.linear %{{.*}}, %[[W]]
// CHECK:         %[[DW:.*]] = grow.linear_grad_weight
// CHECK-NEXT:    grow.update [@a, @b] by %[[DW]] into @a.sum : tensor<4x3xf32>
// CHECK-NEXT:    return
func.func @step(%x: tensor<?x4xf32>, %t: tensor<?x3xf32>)
    -> (tensor<f32>, tensor<4x3xf32> {grow.gradient = @a}, tensor<4x3xf32> {grow.gradient = @b}) {
  %a = grow.get @a : tensor<4x3xf32>
  %b = grow.get @b : tensor<4x3xf32>
  %w = grow.weight_sum %a, %b : tensor<4x3xf32>
  %y = grow.linear %x, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %loss = grow.mse %y, %t : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<f32>
  %one = grow.fill 1.0 : tensor<f32>
  %dy = grow.mse_grad %y, %t, %one : (tensor<?x3xf32>, tensor<?x3xf32>, tensor<f32>) -> tensor<?x3xf32>
  %dw = grow.linear_grad_weight %x, %dy : (tensor<?x4xf32>, tensor<?x3xf32>) -> tensor<4x3xf32>
  return %loss, %dw, %dw : tensor<f32>, tensor<4x3xf32>, tensor<4x3xf32>
}

// -----

// Terms with a gradient of their own stay terms. A mean scales the gradient of
// all its branches alike.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3x3x1x2xf32> in @g init(#grow.kaiming)
grow.param @c : tensor<1x1x1x2xf32> in @g init(#grow.kaiming)
grow.param @b : tensor<3x3x1x2xf32> in @g init(#grow.kaiming)

// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[LOSS:.*]]: tensor<f32>, %[[DW:.*]]: tensor<3x3x1x2xf32>)
// CHECK-NEXT:    %[[C:.*]] = grow.get @c
// CHECK-NEXT:    %[[P:.*]] = grow.weight_pad %[[C]]
// CHECK-NEXT:    %[[S:.*]] = grow.get @a.sum
// CHECK-NEXT:    %[[W:.*]] = grow.weight_sum %[[S]], %[[P]]
// CHECK-NEXT:    %[[M:.*]] = grow.weight_scale %[[W]] by 3.300000e-01
// CHECK-NEXT:    %[[DS:.*]] = grow.weight_scale %[[DW]] by 3.300000e-01
// CHECK-NEXT:    %[[DC:.*]] = grow.weight_crop %[[DS]]
// CHECK-NEXT:    grow.update [@a, @b] by %[[DS]] into @a.sum
// CHECK-NEXT:    grow.update [@c] by %[[DC]]
// CHECK-NEXT:    return %[[LOSS]], %[[M]]
func.func @step(%loss: tensor<f32>, %dw: tensor<3x3x1x2xf32>)
    -> (tensor<f32>, tensor<3x3x1x2xf32> {grow.gradient = @a},
        tensor<1x1x1x2xf32> {grow.gradient = @c},
        tensor<3x3x1x2xf32> {grow.gradient = @b}, tensor<3x3x1x2xf32>) {
  %a = grow.get @a : tensor<3x3x1x2xf32>
  %b = grow.get @b : tensor<3x3x1x2xf32>
  %c = grow.get @c : tensor<1x1x1x2xf32>
  %p = grow.weight_pad %c [1, 1, 1, 1] : (tensor<1x1x1x2xf32>) -> tensor<3x3x1x2xf32>
  %w = grow.weight_sum %a, %p, %b : tensor<3x3x1x2xf32>
  %m = grow.weight_scale %w by 0.33 : tensor<3x3x1x2xf32>
  %ds = grow.weight_scale %dw by 0.33 : tensor<3x3x1x2xf32>
  %dc = grow.weight_crop %ds [1, 1, 1, 1] : (tensor<3x3x1x2xf32>) -> tensor<1x1x1x2xf32>
  return %loss, %ds, %dc, %ds, %m
      : tensor<f32>, tensor<3x3x1x2xf32>, tensor<1x1x1x2xf32>, tensor<3x3x1x2xf32>, tensor<3x3x1x2xf32>
}

// -----

// @c has a second use, so its gradient differs from that of @a and @b and it
// stays a term of the sum. A function that sums other terms keeps its sum.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3xf32> in @g init(#grow.zero)
grow.param @b : tensor<3xf32> in @g init(#grow.zero)
grow.param @c : tensor<3xf32> in @g init(#grow.zero)
grow.param @d : tensor<3xf32> in @g init(#grow.zero)

// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[DW:.*]]: tensor<3xf32>, %[[DC:.*]]: tensor<3xf32>)
// CHECK-DAG:     %[[C:.*]] = grow.get @c
// CHECK-DAG:     %[[S:.*]] = grow.get @a.sum
// CHECK:         grow.weight_sum %[[S]], %[[C]]
// CHECK-NEXT:    grow.update [@a, @b] by %[[DW]] into @a.sum
// CHECK-NEXT:    grow.update [@c] by %[[DC]]
// CHECK-NEXT:    grow.update [@d] by %[[DW]]
func.func @step(%dw: tensor<3xf32>, %dc: tensor<3xf32>)
    -> (tensor<3xf32>, tensor<3xf32> {grow.gradient = @a},
        tensor<3xf32> {grow.gradient = @b}, tensor<3xf32> {grow.gradient = @c},
        tensor<3xf32> {grow.gradient = @d}) {
  %a = grow.get @a : tensor<3xf32>
  %b = grow.get @b : tensor<3xf32>
  %c = grow.get @c : tensor<3xf32>
  %w = grow.weight_sum %a, %b, %c : tensor<3xf32>
  return %w, %dw, %dw, %dc, %dw
      : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// CHECK-LABEL: func.func @part(
// CHECK:         %[[A:.*]] = grow.get @a :
// CHECK:         %[[C:.*]] = grow.get @c :
// CHECK:         grow.weight_sum %[[A]], %[[C]]
func.func @part() -> tensor<3xf32> {
  %a = grow.get @a : tensor<3xf32>
  %c = grow.get @c : tensor<3xf32>
  %w = grow.weight_sum %a, %c : tensor<3xf32>
  return %w : tensor<3xf32>
}

// -----

// Sums of different layers are kept apart even if their gradients are one
// value. A term that comes twice is in no kept sum.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3xf32> in @g init(#grow.zero)
grow.param @b : tensor<3xf32> in @g init(#grow.zero)
grow.param @c : tensor<3xf32> in @g init(#grow.zero)
grow.param @d : tensor<3xf32> in @g init(#grow.zero)
grow.param @e : tensor<3xf32> in @g init(#grow.zero)

// CHECK:         grow.derived @a.sum : tensor<3xf32> sum [@a, @b]
// CHECK-NEXT:    grow.derived @c.sum : tensor<3xf32> sum [@c, @d]
// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[DW:.*]]: tensor<3xf32>, %[[DE:.*]]: tensor<3xf32>)
// CHECK:         %[[E:.*]] = grow.get @e
// CHECK:         grow.weight_sum %[[E]], %[[E]]
// CHECK:         grow.update [@a, @b] by %[[DW]] into @a.sum
// CHECK-NEXT:    grow.update [@c, @d] by %[[DW]] into @c.sum
// CHECK-NEXT:    grow.update [@e] by %[[DE]]
func.func @step(%dw: tensor<3xf32>, %de: tensor<3xf32>)
    -> (tensor<3xf32>, tensor<3xf32>, tensor<3xf32>,
        tensor<3xf32> {grow.gradient = @a}, tensor<3xf32> {grow.gradient = @b},
        tensor<3xf32> {grow.gradient = @c}, tensor<3xf32> {grow.gradient = @d},
        tensor<3xf32> {grow.gradient = @e}) {
  %a = grow.get @a : tensor<3xf32>
  %b = grow.get @b : tensor<3xf32>
  %c = grow.get @c : tensor<3xf32>
  %d = grow.get @d : tensor<3xf32>
  %e = grow.get @e : tensor<3xf32>
  %w = grow.weight_sum %a, %b : tensor<3xf32>
  %v = grow.weight_sum %c, %d : tensor<3xf32>
  %u = grow.weight_sum %e, %e : tensor<3xf32>
  return %w, %v, %u, %dw, %dw, %dw, %dw, %de
      : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>,
        tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}

// -----

// Parameters with one gradient that no sum joins share an update: here two
// that the loss does not depend on.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3xf32> in @g init(#grow.zero)
grow.param @b : tensor<3xf32> in @g init(#grow.zero)

// CHECK-NOT:     grow.derived
// CHECK-LABEL: func.func @step(
// CHECK:         grow.update [@a, @b] by %{{.*}} : tensor<3xf32>
func.func @step(%loss: tensor<f32>)
    -> (tensor<f32>, tensor<3xf32> {grow.gradient = @a}, tensor<3xf32> {grow.gradient = @b}) {
  %zero = grow.fill 0.0 : tensor<3xf32>
  return %loss, %zero, %zero : tensor<f32>, tensor<3xf32>, tensor<3xf32>
}

// -----

// A sum of an earlier run is written again, and the name of a new one is
// chosen to be free.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3xf32> in @g init(#grow.zero)
grow.param @b : tensor<3xf32> in @g init(#grow.zero)
grow.param @c : tensor<3xf32> in @g init(#grow.zero)
grow.param @d : tensor<3xf32> in @g init(#grow.zero)
grow.derived @c.sum : tensor<3xf32> sum [@a, @b]

// CHECK:         grow.derived @c.sum : tensor<3xf32> sum [@a, @b]
// CHECK-NEXT:    grow.derived @[[NEW:c.sum.+]] : tensor<3xf32> sum [@c, @d]
// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[DW:.*]]: tensor<3xf32>)
// CHECK:         grow.get @c.sum :
// CHECK-NEXT:    grow.get @[[NEW]] :
// CHECK-NEXT:    grow.update [@a, @b] by %[[DW]] into @c.sum
// CHECK-NEXT:    grow.update [@c, @d] by %[[DW]] into @[[NEW]]
func.func @step(%dw: tensor<3xf32>)
    -> (tensor<3xf32>, tensor<3xf32>,
        tensor<3xf32> {grow.gradient = @a}, tensor<3xf32> {grow.gradient = @b},
        tensor<3xf32> {grow.gradient = @c}, tensor<3xf32> {grow.gradient = @d}) {
  %w = grow.get @c.sum : tensor<3xf32>
  %c = grow.get @c : tensor<3xf32>
  %d = grow.get @d : tensor<3xf32>
  %v = grow.weight_sum %c, %d : tensor<3xf32>
  return %w, %v, %dw, %dw, %dw, %dw
      : tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>
}
