// RUN: cambium-opt %s --grow-collapse -split-input-file | FileCheck %s
// RUN: cambium-opt %s --grow-collapse --grow-collapse -split-input-file | FileCheck %s

// CHECK-LABEL: func.func @map
// CHECK-NEXT: %[[W:.*]] = grow.weight_concat %arg1, %arg2 : (tensor<3x3x16x32xf32>, tensor<3x3x16x32xf32>) -> tensor<3x3x16x64xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.conv2d %arg0, %[[W]] padding [1, 1]
// CHECK-NEXT: return %[[Y]]
func.func @map(%x: tensor<?x28x28x16xf32>, %w0: tensor<3x3x16x32xf32>, %w1: tensor<3x3x16x32xf32>) -> tensor<?x28x28x64xf32> {
  %y = grow.map "wide" concat (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x28x28x16xf32>, %w: tensor<3x3x16x32xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x28x28x32xf32>
    grow.yield %c : tensor<?x28x28x32xf32>
  }
  return %y : tensor<?x28x28x64xf32>
}

// -----

// Parts of different width, a part without bias.
// CHECK-LABEL: func.func @parts
// CHECK-NEXT: %[[W:.*]] = grow.weight_concat %arg1, %arg2 : (tensor<64x10xf32>, tensor<64x2xf32>) -> tensor<64x12xf32>
// CHECK-NEXT: %[[Z:.*]] = grow.fill 0.000000e+00 : tensor<10xf32>
// CHECK-NEXT: %[[B:.*]] = grow.weight_concat %[[Z]], %arg3 : (tensor<10xf32>, tensor<2xf32>) -> tensor<12xf32>
// CHECK-NEXT: %[[L:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: %[[Y:.*]] = grow.bias_add %[[L]], %[[B]]
// CHECK-NEXT: return %[[Y]]
func.func @parts(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x2xf32>, %b1: tensor<2xf32>) -> tensor<?x12xf32> {
  %0 = grow.linear %x, %w0 : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
  %1 = grow.linear %x, %w1 : (tensor<?x64xf32>, tensor<64x2xf32>) -> tensor<?x2xf32>
  %2 = grow.bias_add %1, %b1 : (tensor<?x2xf32>, tensor<2xf32>) -> tensor<?x2xf32>
  %y = grow.concat %0, %2 : (tensor<?x10xf32>, tensor<?x2xf32>) -> tensor<?x12xf32>
  return %y : tensor<?x12xf32>
}

// -----

// Sums of concatenations are concatenations of sums, so that sums stay flat.
// CHECK-LABEL: func.func @sum_of_concats
// CHECK-NEXT: %[[P:.*]] = grow.weight_sum %arg1, %arg3 : tensor<64x10xf32>
// CHECK-NEXT: %[[Q:.*]] = grow.weight_sum %arg2, %arg4 : tensor<64x2xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_concat %[[P]], %[[Q]]
// CHECK-NEXT: grow.linear %arg0, %[[W]]
func.func @sum_of_concats(%x: tensor<?x64xf32>, %p0: tensor<64x10xf32>, %q0: tensor<64x2xf32>, %p1: tensor<64x10xf32>, %q1: tensor<64x2xf32>) -> tensor<?x12xf32> {
  %y = grow.map "heads" sum (%x) over [(%p0, %q0), (%p1, %q1)] {
  ^bb0(%in: tensor<?x64xf32>, %p: tensor<64x10xf32>, %q: tensor<64x2xf32>):
    %0 = grow.linear %in, %p : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    %1 = grow.linear %in, %q : (tensor<?x64xf32>, tensor<64x2xf32>) -> tensor<?x2xf32>
    %2 = grow.concat %0, %1 : (tensor<?x10xf32>, tensor<?x2xf32>) -> tensor<?x12xf32>
    grow.yield %2 : tensor<?x12xf32>
  }
  return %y : tensor<?x12xf32>
}

// -----

// Padding the 1x1 filters of a concatenation would multiply their cost by nine.
// CHECK-LABEL: func.func @sizes
// CHECK: grow.concat
func.func @sizes(%x: tensor<?x28x28x16xf32>, %w1: tensor<1x1x16x32xf32>, %w3: tensor<3x3x16x32xf32>) -> tensor<?x28x28x64xf32> {
  %0 = grow.conv2d %x, %w1 : (tensor<?x28x28x16xf32>, tensor<1x1x16x32xf32>) -> tensor<?x28x28x32xf32>
  %1 = grow.conv2d %x, %w3 padding [1, 1] : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x28x28x32xf32>
  %y = grow.concat %0, %1 : (tensor<?x28x28x32xf32>, tensor<?x28x28x32xf32>) -> tensor<?x28x28x64xf32>
  return %y : tensor<?x28x28x64xf32>
}
