// RUN: cambium-opt %s -split-input-file -verify-diagnostics --grow-fuse-maps=keep=mask | FileCheck %s

// Why a map does not fuse.

func.func @chain(%x: tensor<?x6x6x4xf32>, %p0: tensor<3x3x4x8xf32>, %q0: tensor<1x1x8x4xf32>, %p1: tensor<3x3x4x8xf32>, %q1: tensor<1x1x8x4xf32>) -> tensor<?x6x6x4xf32> {
  // expected-remark @+1 {{'block1': 2 branches computed one by one: 'grow.conv2d' is the second layer of the body}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0), (%p1, %q1)] {
  ^bb0(%in: tensor<?x6x6x4xf32>, %p: tensor<3x3x4x8xf32>, %q: tensor<1x1x8x4xf32>):
    %a = grow.conv2d %in, %p padding [1, 1] : (tensor<?x6x6x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
    %r = grow.relu %a : tensor<?x6x6x8xf32>
    // expected-note @+1 {{stopped here}}
    %c = grow.conv2d %r, %q : (tensor<?x6x6x8xf32>, tensor<1x1x8x4xf32>) -> tensor<?x6x6x4xf32>
    grow.yield %c : tensor<?x6x6x4xf32>
  }
  return %y : tensor<?x6x6x4xf32>
}

// -----

func.func @pool(%x: tensor<?x6x6x4xf32>) -> tensor<?x6x6x4xf32> {
  // expected-remark @+1 {{'block1': 1 branch has no kernel of its own: 'grow.avg_pool2d' is not elementwise}}
  %y = grow.map "block1" sum (%x) over [()] {
  ^bb0(%in: tensor<?x6x6x4xf32>):
    // expected-note @+1 {{stopped here}}
    %c = grow.avg_pool2d %in window [3, 3] padding [1, 1] : (tensor<?x6x6x4xf32>) -> tensor<?x6x6x4xf32>
    grow.yield %c : tensor<?x6x6x4xf32>
  }
  return %y : tensor<?x6x6x4xf32>
}

// -----

func.func @identity(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-remark @+1 {{'block1': 1 branch has no kernel of its own: its result comes from no convolution or linear layer}}
  %y = grow.map "block1" sum (%x) over [()] {
  ^bb0(%in: tensor<?x4xf32>):
    %r = grow.relu %in : tensor<?x4xf32>
    grow.yield %r : tensor<?x4xf32>
  }
  return %y : tensor<?x4xf32>
}

// -----

func.func @inputs(%x: tensor<?x4xf32>, %v: tensor<3xf32>, %w0: tensor<4x3xf32>) -> tensor<?x3xf32> {
  // expected-remark @+1 {{'block1': 1 branch has no kernel of its own: the body reads more than one input}}
  %y = grow.map "block1" sum (%x, %v) over [(%w0)] {
  ^bb0(%in: tensor<?x4xf32>, %b: tensor<3xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %z = grow.bias_add %l, %b : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
    grow.yield %z : tensor<?x3xf32>
  }
  return %y : tensor<?x3xf32>
}

// -----

func.func @residual(%x: tensor<?x4xf32>, %w0: tensor<4x4xf32>) -> tensor<?x4xf32> {
  // expected-remark @+1 {{'block1': 1 branch has no kernel of its own: 'grow.add' takes more than the layer's result and vectors that are parameters}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x4xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    // expected-note @+1 {{stopped here}}
    %z = grow.add %l, %in : tensor<?x4xf32>
    grow.yield %z : tensor<?x4xf32>
  }
  return %y : tensor<?x4xf32>
}

// -----

// The gradient of a vector before the layer is not elementwise.
func.func @biasBefore(%x: tensor<?x4xf32>, %b0: tensor<4xf32>, %w0: tensor<4x4xf32>) -> tensor<?x4xf32> {
  // expected-remark @+1 {{'block1': 1 branch has no kernel of its own: 'grow.bias_add' takes more than the layer's result and vectors that are parameters}}
  %y = grow.map "block1" sum (%x) over [(%b0, %w0)] {
  ^bb0(%in: tensor<?x4xf32>, %b: tensor<4xf32>, %w: tensor<4x4xf32>):
    // expected-note @+1 {{stopped here}}
    %z = grow.bias_add %in, %b : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    %l = grow.linear %z, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    grow.yield %l : tensor<?x4xf32>
  }
  return %y : tensor<?x4xf32>
}

// -----

func.func @square(%x: tensor<4x4xf32>) -> tensor<4x4xf32> {
  // expected-remark @+1 {{'block1': 1 branch has no kernel of its own: the weights of 'grow.linear' are not a parameter that only it uses}}
  %y = grow.map "block1" sum (%x) over [()] {
  ^bb0(%in: tensor<4x4xf32>):
    // expected-note @+1 {{stopped here}}
    %l = grow.linear %in, %in : (tensor<4x4xf32>, tensor<4x4xf32>) -> tensor<4x4xf32>
    grow.yield %l : tensor<4x4xf32>
  }
  return %y : tensor<4x4xf32>
}

// -----

// A filter that is computed from a parameter.
func.func @scaledWeights(%x: tensor<?x4xf32>, %w0: tensor<4x4xf32>) -> tensor<?x4xf32> {
  // expected-remark @+1 {{'block1': 1 branch has no kernel of its own: 'grow.weight_scale' is not elementwise}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x4xf32>):
    // expected-note @+1 {{stopped here}}
    %s = grow.weight_scale %w by 0.5 : tensor<4x4xf32>
    %l = grow.linear %in, %s : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    grow.yield %l : tensor<?x4xf32>
  }
  return %y : tensor<?x4xf32>
}

// -----

func.func @ownInput(%x: tensor<?x4xf32>, %p0: tensor<2x4xf32>, %w0: tensor<4x4xf32>) -> tensor<2x4xf32> {
  // expected-remark @+1 {{'block1': 1 branch has no kernel of its own: the input of 'grow.linear' is not the map's}}
  %y = grow.map "block1" sum (%x) over [(%p0, %w0)] {
  ^bb0(%in: tensor<?x4xf32>, %p: tensor<2x4xf32>, %w: tensor<4x4xf32>):
    // expected-note @+1 {{stopped here}}
    %l = grow.linear %p, %w : (tensor<2x4xf32>, tensor<4x4xf32>) -> tensor<2x4xf32>
    grow.yield %l : tensor<2x4xf32>
  }
  return %y : tensor<2x4xf32>
}

// -----

func.func @window(%x: tensor<?x6x6x4xf32>, %w0: tensor<?x3x4x4xf32>) -> tensor<?x?x4x4xf32> {
  // expected-remark @+1 {{'block1': 1 branch has no kernel of its own: its window is not known}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x6x6x4xf32>, %w: tensor<?x3x4x4xf32>):
    // expected-note @+1 {{stopped here}}
    %c = grow.conv2d %in, %w : (tensor<?x6x6x4xf32>, tensor<?x3x4x4xf32>) -> tensor<?x?x4x4xf32>
    grow.yield %c : tensor<?x?x4x4xf32>
  }
  return %y : tensor<?x?x4x4xf32>
}

// -----

// Bits were asked for, but do not do.

// CHECK-LABEL: func.func @smooth(
// CHECK:         keep recompute
func.func @smooth(%x: tensor<?x4xf32>, %w0: tensor<4x4xf32>) -> tensor<?x4xf32> {
  // expected-remark @+1 {{'block1': computed again for its gradients, since those of 'grow.tanh' need more than sign bits}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x4xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    // expected-note @+1 {{'grow.tanh' is here}}
    %t = grow.tanh %l : tensor<?x4xf32>
    grow.yield %t : tensor<?x4xf32>
  }
  return %y : tensor<?x4xf32>
}

// -----

// CHECK-LABEL: func.func @groups(
// CHECK:         keep recompute
func.func @groups(%x: tensor<?x6x6x4xf32>, %w0: tensor<3x3x2x8xf32>) -> tensor<?x6x6x8xf32> {
  // expected-remark @+1 {{'block1': computed again for its gradients, since those of 'grow.conv2d' need more than sign bits}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x6x6x4xf32>, %w: tensor<3x3x2x8xf32>):
    // expected-note @+1 {{'grow.conv2d' is here}}
    %c = grow.conv2d %in, %w padding [1, 1] groups 2 : (tensor<?x6x6x4xf32>, tensor<3x3x2x8xf32>) -> tensor<?x6x6x8xf32>
    %r = grow.relu %c : tensor<?x6x6x8xf32>
    grow.yield %r : tensor<?x6x6x8xf32>
  }
  return %y : tensor<?x6x6x8xf32>
}
