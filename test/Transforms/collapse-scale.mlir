// RUN: cambium-opt %s --grow-collapse -split-input-file | FileCheck %s
// RUN: cambium-opt %s --grow-collapse --grow-collapse -split-input-file | FileCheck %s

// Equal factors leave the sum of parameters flat.
// CHECK-LABEL: func.func @branches
// CHECK-NEXT: %[[S:.*]] = grow.weight_sum %arg1, %arg2 : tensor<64x10xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_scale %[[S]] by 1.000000e-01
// CHECK-NEXT: %[[Y:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: return %[[Y]]
func.func @branches(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %y = grow.map "head" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    %s = grow.scale %l by 0.1 : tensor<?x10xf32>
    grow.yield %s : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// A scaled mean is scaled once.
// CHECK-LABEL: func.func @scaled_mean
// CHECK-NEXT: %[[S:.*]] = grow.weight_sum %arg1, %arg2 : tensor<64x10xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_scale %[[S]] by 1.500000e+00
// CHECK-NEXT: %[[Y:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: return %[[Y]]
func.func @scaled_mean(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %m = grow.map "head" mean (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %l : tensor<?x10xf32>
  }
  %y = grow.scale %m by 3.0 : tensor<?x10xf32>
  return %y : tensor<?x10xf32>
}

// -----

// Different factors, and a bias that is scaled with its branch.
// CHECK-LABEL: func.func @factors
// CHECK-NEXT: %[[HALF:.*]] = grow.weight_scale %arg2 by 5.000000e-01
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %[[HALF]]
// CHECK-NEXT: %[[B:.*]] = grow.weight_scale %arg3 by 5.000000e-01
// CHECK-NEXT: %[[L:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: grow.bias_add %[[L]], %[[B]]
func.func @factors(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>, %b1: tensor<10xf32>) -> tensor<?x10xf32> {
  %0 = grow.linear %x, %w0 : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
  %1 = grow.linear %x, %w1 : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
  %2 = grow.bias_add %1, %b1 : (tensor<?x10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
  %3 = grow.scale %2 by 0.5 : tensor<?x10xf32>
  %y = grow.add %0, %3 : tensor<?x10xf32>
  return %y : tensor<?x10xf32>
}

// -----

// A factor is applied after padding, so that equal factors meet in one place.
// CHECK-LABEL: func.func @scaled_and_padded
// CHECK-NEXT: %[[P:.*]] = grow.weight_pad %arg2 [1, 1, 1, 1]
// CHECK-NEXT: %[[S:.*]] = grow.weight_scale %[[P]] by 2.000000e+00
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %[[S]]
// CHECK-NEXT: grow.conv2d %arg0, %[[W]] padding [1, 1]
func.func @scaled_and_padded(%x: tensor<?x28x28x4xf32>, %w3: tensor<3x3x4x8xf32>, %w1: tensor<1x1x4x8xf32>) -> tensor<?x28x28x8xf32> {
  %a = grow.conv2d %x, %w3 padding [1, 1] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
  %b = grow.conv2d %x, %w1 : (tensor<?x28x28x4xf32>, tensor<1x1x4x8xf32>) -> tensor<?x28x28x8xf32>
  %c = grow.scale %b by 2.0 : tensor<?x28x28x8xf32>
  %y = grow.add %a, %c : tensor<?x28x28x8xf32>
  return %y : tensor<?x28x28x8xf32>
}

// -----

// A factor on one layer stays where it is.
// CHECK-LABEL: func.func @alone
// CHECK-NEXT: grow.linear %arg0, %arg1
// CHECK-NEXT: grow.scale
func.func @alone(%x: tensor<?x64xf32>, %w: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %0 = grow.linear %x, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
  %y = grow.scale %0 by 2.0 : tensor<?x10xf32>
  return %y : tensor<?x10xf32>
}
