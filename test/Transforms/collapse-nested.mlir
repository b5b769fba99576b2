// RUN: cambium-opt %s --grow-collapse -split-input-file 2>/dev/null | FileCheck %s
// RUN: cambium-opt %s --grow-collapse --grow-collapse -split-input-file 2>/dev/null | FileCheck %s

// A sum of sums is one flat sum.
// CHECK-LABEL: func.func @sums
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %arg2, %arg3, %arg4 : tensor<64x10xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: return %[[Y]]
func.func @sums(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>, %w2: tensor<64x10xf32>, %w3: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %y = grow.map "outer" sum (%x) over [(%w0, %w1), (%w2, %w3)] {
  ^bb0(%in: tensor<?x64xf32>, %p: tensor<64x10xf32>, %q: tensor<64x10xf32>):
    %i = grow.map "inner" sum (%in) over [(%p), (%q)] {
    ^bb1(%in2: tensor<?x64xf32>, %w: tensor<64x10xf32>):
      %l = grow.linear %in2, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
      grow.yield %l : tensor<?x10xf32>
    }
    grow.yield %i : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// CHECK-LABEL: func.func @mean_of_concats
// CHECK-NEXT: %[[P:.*]] = grow.weight_sum %arg1, %arg3 : tensor<64x10xf32>
// CHECK-NEXT: %[[Q:.*]] = grow.weight_sum %arg2, %arg4 : tensor<64x10xf32>
// CHECK-NEXT: %[[C:.*]] = grow.weight_concat %[[P]], %[[Q]]
// CHECK-NEXT: %[[W:.*]] = grow.weight_scale %[[C]] by 5.000000e-01
// CHECK-NEXT: %[[Y:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: return %[[Y]]
func.func @mean_of_concats(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>, %w2: tensor<64x10xf32>, %w3: tensor<64x10xf32>) -> tensor<?x20xf32> {
  %y = grow.map "outer" mean (%x) over [(%w0, %w1), (%w2, %w3)] {
  ^bb0(%in: tensor<?x64xf32>, %p: tensor<64x10xf32>, %q: tensor<64x10xf32>):
    %i = grow.map "inner" concat (%in) over [(%p), (%q)] {
    ^bb1(%in2: tensor<?x64xf32>, %w: tensor<64x10xf32>):
      %l = grow.linear %in2, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
      grow.yield %l : tensor<?x10xf32>
    }
    grow.yield %i : tensor<?x20xf32>
  }
  return %y : tensor<?x20xf32>
}

// -----

// What stops the outer map leaves the inner one, and sums in its body, free.
// CHECK-LABEL: func.func @inner
// CHECK-NEXT: grow.map "outer" sum (%arg0) over [(%arg1, %arg2), (%arg3, %arg4)] {
// CHECK-NEXT: ^bb0(%[[IN:.*]]: tensor<?x64xf32>, %[[P:.*]]: tensor<64x10xf32>, %[[Q:.*]]: tensor<64x10xf32>):
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %[[P]], %[[Q]], %[[P]]
// CHECK-NEXT: %[[L:.*]] = grow.linear %[[IN]], %[[W]]
// CHECK-NEXT: grow.relu %[[L]]
func.func @inner(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>, %w2: tensor<64x10xf32>, %w3: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %y = grow.map "outer" sum (%x) over [(%w0, %w1), (%w2, %w3)] {
  ^bb0(%in: tensor<?x64xf32>, %p: tensor<64x10xf32>, %q: tensor<64x10xf32>):
    %i = grow.map "inner" sum (%in) over [(%p), (%q)] {
    ^bb1(%in2: tensor<?x64xf32>, %w: tensor<64x10xf32>):
      %l = grow.linear %in2, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
      grow.yield %l : tensor<?x10xf32>
    }
    %m = grow.linear %in, %p : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    %s = grow.add %i, %m : tensor<?x10xf32>
    %r = grow.relu %s : tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// The inner map reads what the outer body computes: layers in a row.
// CHECK-LABEL: func.func @inner_of_layer
// CHECK-NEXT: %[[A:.*]] = grow.weight_compose %arg1, %arg2
// CHECK-NEXT: %[[B:.*]] = grow.weight_compose %arg1, %arg3
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %[[A]], %[[B]] : tensor<3x3x8x16xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.conv2d %arg0, %[[W]] padding [1, 1]
// CHECK-NEXT: return %[[Y]]
func.func @inner_of_layer(%x: tensor<?x28x28x8xf32>, %s: tensor<1x1x8x16xf32>, %w0: tensor<3x3x16x16xf32>, %w1: tensor<3x3x16x16xf32>) -> tensor<?x28x28x16xf32> {
  %y = grow.map "outer" sum (%x) over [(%s, %w0, %w1)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %first: tensor<1x1x8x16xf32>, %p: tensor<3x3x16x16xf32>, %q: tensor<3x3x16x16xf32>):
    %t = grow.conv2d %in, %first : (tensor<?x28x28x8xf32>, tensor<1x1x8x16xf32>) -> tensor<?x28x28x16xf32>
    %i = grow.map "inner" sum (%t) over [(%p), (%q)] {
    ^bb1(%in2: tensor<?x28x28x16xf32>, %w: tensor<3x3x16x16xf32>):
      %c = grow.conv2d %in2, %w padding [1, 1] : (tensor<?x28x28x16xf32>, tensor<3x3x16x16xf32>) -> tensor<?x28x28x16xf32>
      grow.yield %c : tensor<?x28x28x16xf32>
    }
    grow.yield %i : tensor<?x28x28x16xf32>
  }
  return %y : tensor<?x28x28x16xf32>
}
