// RUN: cambium-opt %s --grow-form-kernels -allow-unregistered-dialect -split-input-file -verify-diagnostics

func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{'grow.map' op is left; run --grow-collapse and --grow-unroll-maps first}}
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
