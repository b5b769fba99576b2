// RUN: cambium-opt %s --grow-collapse -split-input-file | FileCheck %s
// RUN: cambium-opt %s --grow-collapse --grow-collapse -split-input-file | FileCheck %s

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
grow.param @w1 : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
grow.param @w2 : tensor<3x3x16x32xf32> in @base init(#grow.zero)

// One flat sum of the parameters, whatever their number.
// CHECK-LABEL: func.func @branches
// CHECK-DAG: %[[W0:.*]] = grow.get @w0
// CHECK-DAG: %[[W1:.*]] = grow.get @w1
// CHECK-DAG: %[[W2:.*]] = grow.get @w2
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %[[W0]], %[[W1]], %[[W2]] : tensor<3x3x16x32xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.conv2d %arg0, %[[W]] stride [2, 2] padding [1, 1] : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x14x14x32xf32>
// CHECK-NEXT: return %[[Y]]
func.func @branches(%x: tensor<?x28x28x16xf32>) -> tensor<?x14x14x32xf32> {
  %w0 = grow.get @w0 : tensor<3x3x16x32xf32>
  %w1 = grow.get @w1 : tensor<3x3x16x32xf32>
  %w2 = grow.get @w2 : tensor<3x3x16x32xf32>
  %y = grow.map "block" sum (%x) over [(%w0), (%w1), (%w2)] {
  ^bb0(%in: tensor<?x28x28x16xf32>, %w: tensor<3x3x16x32xf32>):
    %c = grow.conv2d %in, %w stride [2, 2] padding [1, 1]
        : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x14x14x32xf32>
    grow.yield %c : tensor<?x14x14x32xf32>
  }
  return %y : tensor<?x14x14x32xf32>
}

// -----

// A single branch needs no weight expression.
// CHECK-LABEL: func.func @one_branch(
// CHECK-NEXT: %[[Y:.*]] = grow.linear %arg0, %arg1
// CHECK-NEXT: return %[[Y]]
func.func @one_branch(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %y = grow.map "head" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %l : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// CHECK-LABEL: func.func @linear
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %arg2 : tensor<64x10xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: return %[[Y]]
func.func @linear(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %y = grow.map "head" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %l : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// A mean is a scaled sum.
// CHECK-LABEL: func.func @mean
// CHECK-NEXT: %[[S:.*]] = grow.weight_sum %arg1, %arg2, %arg3, %arg4 : tensor<64x10xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_scale %[[S]] by 2.500000e-01 : tensor<64x10xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: return %[[Y]]
func.func @mean(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>,
                %w2: tensor<64x10xf32>, %w3: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %y = grow.map "head" mean (%x) over [(%w0), (%w1), (%w2), (%w3)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %l : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// Depthwise filters sum like others.
// CHECK-LABEL: func.func @groups
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %arg2 : tensor<3x3x1x16xf32>
// CHECK-NEXT: grow.conv2d %arg0, %[[W]] padding [2, 2] dilation [2, 2] groups 16
func.func @groups(%x: tensor<?x28x28x16xf32>, %w0: tensor<3x3x1x16xf32>, %w1: tensor<3x3x1x16xf32>) -> tensor<?x28x28x16xf32> {
  %y = grow.map "depthwise" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x28x28x16xf32>, %w: tensor<3x3x1x16xf32>):
    %c = grow.conv2d %in, %w padding [2, 2] dilation [2, 2] groups 16
        : (tensor<?x28x28x16xf32>, tensor<3x3x1x16xf32>) -> tensor<?x28x28x16xf32>
    grow.yield %c : tensor<?x28x28x16xf32>
  }
  return %y : tensor<?x28x28x16xf32>
}

// -----

// Layers that are added outside a map collapse too, in whichever order; what is
// not linear keeps its place in the sum.
// CHECK-LABEL: func.func @additions
// CHECK-NEXT: %[[R:.*]] = grow.relu %arg0
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %arg2, %arg3 : tensor<64x64xf32>
// CHECK-NEXT: %[[L:.*]] = grow.linear %arg0, %[[W]]
// CHECK-NEXT: %[[Y:.*]] = grow.add %[[L]], %[[R]]
// CHECK-NEXT: return %[[Y]]
func.func @additions(%x: tensor<?x64xf32>, %w0: tensor<64x64xf32>, %w1: tensor<64x64xf32>, %w2: tensor<64x64xf32>) -> tensor<?x64xf32> {
  %0 = grow.linear %x, %w0 : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %1 = grow.relu %x : tensor<?x64xf32>
  %2 = grow.add %0, %1 : tensor<?x64xf32>
  %3 = grow.linear %x, %w1 : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %4 = grow.add %2, %3 : tensor<?x64xf32>
  %5 = grow.linear %x, %w2 : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %6 = grow.add %4, %5 : tensor<?x64xf32>
  return %6 : tensor<?x64xf32>
}

// -----

// A layer whose result is used elsewhere is computed anyway.
// CHECK-LABEL: func.func @shared
// CHECK-NEXT: %[[A:.*]] = grow.linear %arg0, %arg1
// CHECK-NEXT: %[[B:.*]] = grow.linear %arg0, %arg2
// CHECK-NEXT: %[[S:.*]] = grow.add %[[A]], %[[B]]
// CHECK-NEXT: return %[[S]], %[[A]]
func.func @shared(%x: tensor<?x64xf32>, %w0: tensor<64x64xf32>, %w1: tensor<64x64xf32>) -> (tensor<?x64xf32>, tensor<?x64xf32>) {
  %0 = grow.linear %x, %w0 : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %1 = grow.linear %x, %w1 : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %2 = grow.add %0, %1 : tensor<?x64xf32>
  return %2, %0 : tensor<?x64xf32>, tensor<?x64xf32>
}

// -----

// Weights may be shared inputs, and expressions of weights.
// CHECK-LABEL: func.func @weights_in_body
// CHECK-NEXT: %[[A:.*]] = grow.weight_sum %arg2, %arg3 : tensor<64x10xf32>
// CHECK-NEXT: %[[B:.*]] = grow.weight_sum %arg1, %arg1 : tensor<64x10xf32>
// CHECK-NEXT: %[[C:.*]] = grow.weight_scale %[[B]] by 5.000000e-01
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %[[A]], %[[C]]
// CHECK-NEXT: grow.linear %arg0, %[[W]]
func.func @weights_in_body(%x: tensor<?x64xf32>, %t: tensor<64x10xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %y = grow.map "head" sum (%x, %t) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %tied: tensor<64x10xf32>, %w: tensor<64x10xf32>):
    %h = grow.weight_scale %tied by 0.5 : tensor<64x10xf32>
    %s = grow.weight_sum %w, %h : tensor<64x10xf32>
    %l = grow.linear %in, %s : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %l : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// No branch: grow-unroll-maps makes zeros of it.
// CHECK-LABEL: func.func @no_branch
// CHECK: grow.map "empty" sum
func.func @no_branch(%x: tensor<?x64xf32>) -> tensor<?x10xf32> {
  %y = grow.map "empty" sum (%x) over [] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %l : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}
