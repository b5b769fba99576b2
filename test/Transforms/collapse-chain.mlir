// RUN: cambium-opt %s --grow-collapse -split-input-file 2>/dev/null | FileCheck %s
// RUN: cambium-opt %s --grow-collapse --grow-collapse -split-input-file 2>/dev/null | FileCheck %s

// A 1x1 convolution, then another: paddings add, the second's stride stays.
// CHECK-LABEL: func.func @branches
// CHECK-NEXT: %[[A:.*]] = grow.weight_compose %arg1, %arg2 : (tensor<1x1x8x16xf32>, tensor<3x3x16x16xf32>) -> tensor<3x3x8x16xf32>
// CHECK-NEXT: %[[B:.*]] = grow.weight_compose %arg3, %arg4
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %[[A]], %[[B]] : tensor<3x3x8x16xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.conv2d %arg0, %[[W]] stride [2, 2] padding [2, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x16xf32>) -> tensor<?x15x14x16xf32>
// CHECK-NEXT: return %[[Y]]
func.func @branches(%x: tensor<?x28x28x8xf32>, %p0: tensor<1x1x8x16xf32>, %q0: tensor<3x3x16x16xf32>, %p1: tensor<1x1x8x16xf32>, %q1: tensor<3x3x16x16xf32>) -> tensor<?x15x14x16xf32> {
  %y = grow.map "deep" sum (%x) over [(%p0, %q0), (%p1, %q1)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %p: tensor<1x1x8x16xf32>, %q: tensor<3x3x16x16xf32>):
    %t = grow.conv2d %in, %p padding [1, 0] : (tensor<?x28x28x8xf32>, tensor<1x1x8x16xf32>) -> tensor<?x30x28x16xf32>
    %c = grow.conv2d %t, %q stride [2, 2] padding [1, 1] : (tensor<?x30x28x16xf32>, tensor<3x3x16x16xf32>) -> tensor<?x15x14x16xf32>
    grow.yield %c : tensor<?x15x14x16xf32>
  }
  return %y : tensor<?x15x14x16xf32>
}

// -----

// A convolution, then a 1x1: its filter is an image under the second. A bias at
// the end is no obstacle.
// CHECK-LABEL: func.func @pointwise_last
// CHECK-NEXT: %[[W:.*]] = grow.conv2d %arg1, %arg2 : (tensor<3x3x8x16xf32>, tensor<1x1x16x16xf32>) -> tensor<3x3x8x16xf32>
// CHECK-NEXT: %[[C:.*]] = grow.conv2d %arg0, %[[W]] stride [2, 2] padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x16xf32>) -> tensor<?x14x14x16xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.bias_add %[[C]], %arg3
// CHECK-NEXT: return %[[Y]]
func.func @pointwise_last(%x: tensor<?x28x28x8xf32>, %p: tensor<3x3x8x16xf32>, %q: tensor<1x1x16x16xf32>, %b: tensor<16xf32>) -> tensor<?x14x14x16xf32> {
  %t = grow.conv2d %x, %p padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x16xf32>) -> tensor<?x28x28x16xf32>
  %c = grow.conv2d %t, %q stride [2, 2] : (tensor<?x28x28x16xf32>, tensor<1x1x16x16xf32>) -> tensor<?x14x14x16xf32>
  %y = grow.bias_add %c, %b : (tensor<?x14x14x16xf32>, tensor<16xf32>) -> tensor<?x14x14x16xf32>
  return %y : tensor<?x14x14x16xf32>
}

// -----

// Branches of 1x1 convolutions, then a convolution of their sum.
// CHECK-LABEL: func.func @map_then_layer
// CHECK-NEXT: %[[P:.*]] = grow.weight_sum %arg1, %arg2 : tensor<1x1x8x16xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_compose %[[P]], %arg3
// CHECK-NEXT: grow.conv2d %arg0, %[[W]] padding [1, 1]
func.func @map_then_layer(%x: tensor<?x28x28x8xf32>, %p0: tensor<1x1x8x16xf32>, %p1: tensor<1x1x8x16xf32>, %q: tensor<3x3x16x16xf32>) -> tensor<?x28x28x16xf32> {
  %t = grow.map "expand" sum (%x) over [(%p0), (%p1)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %p: tensor<1x1x8x16xf32>):
    %c = grow.conv2d %in, %p : (tensor<?x28x28x8xf32>, tensor<1x1x8x16xf32>) -> tensor<?x28x28x16xf32>
    grow.yield %c : tensor<?x28x28x16xf32>
  }
  %y = grow.conv2d %t, %q padding [1, 1] : (tensor<?x28x28x16xf32>, tensor<3x3x16x16xf32>) -> tensor<?x28x28x16xf32>
  return %y : tensor<?x28x28x16xf32>
}

// -----

// A bottleneck is cheaper than its product; the map in it collapses alone.
// CHECK-LABEL: func.func @bottleneck
// CHECK-NEXT: %[[P:.*]] = grow.weight_sum %arg1, %arg2 : tensor<1x1x64x8xf32>
// CHECK-NEXT: %[[T:.*]] = grow.conv2d %arg0, %[[P]]
// CHECK-NEXT: %[[Y:.*]] = grow.conv2d %[[T]], %arg3 padding [1, 1]
// CHECK-NEXT: return %[[Y]]
func.func @bottleneck(%x: tensor<?x28x28x64xf32>, %p0: tensor<1x1x64x8xf32>, %p1: tensor<1x1x64x8xf32>, %q: tensor<3x3x8x64xf32>) -> tensor<?x28x28x64xf32> {
  %t = grow.map "reduce" sum (%x) over [(%p0), (%p1)] {
  ^bb0(%in: tensor<?x28x28x64xf32>, %p: tensor<1x1x64x8xf32>):
    %c = grow.conv2d %in, %p : (tensor<?x28x28x64xf32>, tensor<1x1x64x8xf32>) -> tensor<?x28x28x8xf32>
    grow.yield %c : tensor<?x28x28x8xf32>
  }
  %y = grow.conv2d %t, %q padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x64xf32>) -> tensor<?x28x28x64xf32>
  return %y : tensor<?x28x28x64xf32>
}

// -----

// Nine branches of that bottleneck cost more than one full convolution.
// CHECK-LABEL: func.func @bottlenecks
// CHECK-NEXT: %[[P:.*]] = grow.weight_compose %arg1, %arg2
// CHECK-COUNT-8: grow.weight_compose %arg1, %arg2
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %[[P]],
// CHECK-NEXT: %[[Y:.*]] = grow.conv2d %arg0, %[[W]] padding [1, 1]
// CHECK-NEXT: return %[[Y]]
func.func @bottlenecks(%x: tensor<?x28x28x64xf32>, %p0: tensor<1x1x64x8xf32>, %q0: tensor<3x3x8x64xf32>) -> tensor<?x28x28x64xf32> {
  %y = grow.map "reduce" sum (%x) over [(%p0, %q0), (%p0, %q0), (%p0, %q0), (%p0, %q0), (%p0, %q0), (%p0, %q0), (%p0, %q0), (%p0, %q0), (%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x64xf32>, %p: tensor<1x1x64x8xf32>, %q: tensor<3x3x8x64xf32>):
    %t = grow.conv2d %in, %p : (tensor<?x28x28x64xf32>, tensor<1x1x64x8xf32>) -> tensor<?x28x28x8xf32>
    %c = grow.conv2d %t, %q padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x64xf32>) -> tensor<?x28x28x64xf32>
    grow.yield %c : tensor<?x28x28x64xf32>
  }
  return %y : tensor<?x28x28x64xf32>
}

// -----

// The product of two matrices pays for a batch that is known to be large.
// CHECK-LABEL: func.func @matrices
// CHECK-NEXT: %[[W:.*]] = grow.linear %arg1, %arg2 : (tensor<64x64xf32>, tensor<64x10xf32>) -> tensor<64x10xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.linear %arg0, %[[W]] : (tensor<1024x64xf32>, tensor<64x10xf32>) -> tensor<1024x10xf32>
// CHECK-NEXT: return %[[Y]]
func.func @matrices(%x: tensor<1024x64xf32>, %p: tensor<64x64xf32>, %q: tensor<64x10xf32>) -> tensor<1024x10xf32> {
  %0 = grow.linear %x, %p : (tensor<1024x64xf32>, tensor<64x64xf32>) -> tensor<1024x64xf32>
  %1 = grow.linear %0, %q : (tensor<1024x64xf32>, tensor<64x10xf32>) -> tensor<1024x10xf32>
  return %1 : tensor<1024x10xf32>
}

// -----

// CHECK-LABEL: func.func @matrices_of_any_batch
// CHECK-NEXT: %[[T:.*]] = grow.linear %arg0, %arg1
// CHECK-NEXT: grow.linear %[[T]], %arg2
func.func @matrices_of_any_batch(%x: tensor<?x64xf32>, %p: tensor<64x64xf32>, %q: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %0 = grow.linear %x, %p : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %1 = grow.linear %0, %q : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
  return %1 : tensor<?x10xf32>
}
