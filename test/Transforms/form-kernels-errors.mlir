// RUN: cambium-opt %s --grow-form-kernels -allow-unregistered-dialect -split-input-file -verify-diagnostics

func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{'grow.map' op is left; run --grow-fuse-maps and --grow-unroll-maps first}}
  %y = grow.map "m" sum (%x) over [()] {
  ^bb0(%in: tensor<?x4xf32>):
    %r = grow.relu %in : tensor<?x4xf32>
    grow.yield %r : tensor<?x4xf32>
  }
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>, %v: tensor<4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{'grow.batch_norm' op is in training mode outside a step; run --grow-inference or --grow-differentiate first}}
  %y = grow.batch_norm %x, %v, %v, %v, %v
      : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @g(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  return %x : tensor<?x4xf32>
}
func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{'func.call' op is not of the grow dialect, so no kernel computes it; inline calls first}}
  %y = func.call @g(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{'other.op' op is not of the grow dialect}}
  %y = "other.op"(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

// expected-error @+1 {{'func.func' op has control flow; kernels are formed of one block of operations}}
func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  "other.br"()[^bb1] : () -> ()
^bb1:
  return %x : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>, %w: tensor<4x3xf32>) -> tensor<2x3xf32> {
  // expected-error @+1 {{'grow.linear' op mixes the unknown batch with a fixed extent; make both `?` or both the same number}}
  %y = grow.linear %x, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<2x3xf32>
  return %y : tensor<2x3xf32>
}

// -----

func.func @f(%x: tensor<2x4xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  // expected-error @+1 {{'grow.softmax_cross_entropy' op mixes the unknown batch with a fixed extent}}
  %y = grow.softmax_cross_entropy %x, %labels : (tensor<2x4xf32>, tensor<?xi32>) -> tensor<f32>
  return %y : tensor<f32>
}

// -----

func.func @f(%x: tensor<2x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{'grow.reshape' op mixes the unknown batch with a fixed extent}}
  %y = grow.reshape %x : tensor<2x4xf32> -> tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>, %a: tensor<4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{'grow.fused_map' op has a body that no kernel computes; write it as a grow.map, which --grow-fuse-maps or --grow-unroll-maps takes}}
  %y = grow.fused_map branches 1 (%x) over (%a) join (sum) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>, %b: tensor<4xf32>):
    %r = grow.bias_add %in, %b : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    grow.yield %r : tensor<?x4xf32>
  }
  return %y : tensor<?x4xf32>
}
