// RUN: cambium-opt %s --grow-collapse -split-input-file | FileCheck %s
// RUN: cambium-opt %s --grow-collapse --grow-collapse -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @sum
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %arg3 : tensor<3x3x4x8xf32>
// CHECK-NEXT: %[[B:.*]] = grow.weight_sum %arg2, %arg4 : tensor<8xf32>
// CHECK-NEXT: %[[C:.*]] = grow.conv2d %arg0, %[[W]] padding [1, 1]
// CHECK-NEXT: %[[Y:.*]] = grow.bias_add %[[C]], %[[B]]
// CHECK-NEXT: return %[[Y]]
func.func @sum(%x: tensor<?x28x28x4xf32>, %w0: tensor<3x3x4x8xf32>, %b0: tensor<8xf32>, %w1: tensor<3x3x4x8xf32>, %b1: tensor<8xf32>) -> tensor<?x28x28x8xf32> {
  %y = grow.map "block" sum (%x) over [(%w0, %b0), (%w1, %b1)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %w: tensor<3x3x4x8xf32>, %b: tensor<8xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    %r = grow.bias_add %c, %b : (tensor<?x28x28x8xf32>, tensor<8xf32>) -> tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

// CHECK-LABEL: func.func @mean
// CHECK-NEXT: %[[SW:.*]] = grow.weight_sum %arg1, %arg3 : tensor<64x10xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_scale %[[SW]] by 5.000000e-01
// CHECK-NEXT: %[[SB:.*]] = grow.weight_sum %arg2, %arg4 : tensor<10xf32>
// CHECK-NEXT: %[[B:.*]] = grow.weight_scale %[[SB]] by 5.000000e-01
// CHECK-NEXT: %[[L:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: grow.bias_add %[[L]], %[[B]]
func.func @mean(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %b0: tensor<10xf32>, %w1: tensor<64x10xf32>, %b1: tensor<10xf32>) -> tensor<?x10xf32> {
  %y = grow.map "head" mean (%x) over [(%w0, %b0), (%w1, %b1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>, %b: tensor<10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    %r = grow.bias_add %l, %b : (tensor<?x10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// CHECK-LABEL: func.func @concat
// CHECK-NEXT: %[[W:.*]] = grow.weight_concat %arg1, %arg3
// CHECK-NEXT: %[[B:.*]] = grow.weight_concat %arg2, %arg4 : (tensor<10xf32>, tensor<10xf32>) -> tensor<20xf32>
// CHECK-NEXT: %[[L:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: grow.bias_add %[[L]], %[[B]]
func.func @concat(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %b0: tensor<10xf32>, %w1: tensor<64x10xf32>, %b1: tensor<10xf32>) -> tensor<?x20xf32> {
  %y = grow.map "head" concat (%x) over [(%w0, %b0), (%w1, %b1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>, %b: tensor<10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    %r = grow.bias_add %l, %b : (tensor<?x10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x20xf32>
}

// -----

// Only some terms have a bias, and the sum has one of its own.
// CHECK-LABEL: func.func @some
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %arg2, %arg3 : tensor<64x10xf32>
// CHECK-NEXT: %[[B:.*]] = grow.weight_sum %arg4, %arg5 : tensor<10xf32>
// CHECK-NEXT: %[[L:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: %[[Y:.*]] = grow.bias_add %[[L]], %[[B]]
// CHECK-NEXT: return %[[Y]]
func.func @some(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>, %w2: tensor<64x10xf32>, %b2: tensor<10xf32>, %b: tensor<10xf32>) -> tensor<?x10xf32> {
  %0 = grow.map "head" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %l : tensor<?x10xf32>
  }
  %1 = grow.linear %x, %w2 : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
  %2 = grow.bias_add %1, %b2 : (tensor<?x10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
  %3 = grow.add %0, %2 : tensor<?x10xf32>
  %y = grow.bias_add %3, %b : (tensor<?x10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
  return %y : tensor<?x10xf32>
}

// -----

// One bias for all branches counts once for each.
// CHECK-LABEL: func.func @shared
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg2, %arg3
// CHECK-NEXT: %[[B:.*]] = grow.weight_sum %arg1, %arg1
// CHECK-NEXT: %[[L:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: grow.bias_add %[[L]], %[[B]]
func.func @shared(%x: tensor<?x64xf32>, %bias: tensor<10xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %y = grow.map "head" sum (%x, %bias) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %b: tensor<10xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    %r = grow.bias_add %l, %b : (tensor<?x10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}
