// RUN: cambium-opt %s | FileCheck %s
// RUN: cambium-opt %s | cambium-opt | FileCheck %s
// RUN: cambium-opt %s -mlir-print-op-generic | cambium-opt | FileCheck %s

// CHECK-LABEL: func @forward
// CHECK: %{{.*}}:5 = grow.fused_map branches 2{{ ?}}(%{{.*}}) over{{ ?}}(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) join (sum, each, each)
// CHECK-SAME: : (tensor<?x8x8x4xf32>, tensor<3x3x4x12xf32>, tensor<12xf32>, tensor<3x3x4x12xf32>, tensor<12xf32>) -> (tensor<?x8x8x12xf32>, tensor<?x8x8x12xi1>, tensor<?x8x8x12xi1>, tensor<?x8x8x12xf32>, tensor<?x8x8x12xf32>) {
// CHECK: grow.sign_bits %{{.*}} : tensor<?x8x8x12xf32> -> tensor<?x8x8x12xi1>
// CHECK: grow.yield %{{.*}}, %{{.*}}, %{{.*}} : tensor<?x8x8x12xf32>, tensor<?x8x8x12xi1>, tensor<?x8x8x12xf32>
func.func @forward(%x: tensor<?x8x8x4xf32>, %w0: tensor<3x3x4x12xf32>, %b0: tensor<12xf32>, %w1: tensor<3x3x4x12xf32>, %b1: tensor<12xf32>) -> tensor<?x8x8x12xf32> {
  %y, %s:2, %z:2 = grow.fused_map branches 2 (%x) over (%w0, %b0, %w1, %b1) join (sum, each, each)
      : (tensor<?x8x8x4xf32>, tensor<3x3x4x12xf32>, tensor<12xf32>, tensor<3x3x4x12xf32>, tensor<12xf32>)
        -> (tensor<?x8x8x12xf32>, tensor<?x8x8x12xi1>, tensor<?x8x8x12xi1>, tensor<?x8x8x12xf32>, tensor<?x8x8x12xf32>) {
  ^bb0(%in: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x12xf32>, %b: tensor<12xf32>):
    %0 = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x12xf32>) -> tensor<?x8x8x12xf32>
    %1 = grow.bias_add %0, %b : (tensor<?x8x8x12xf32>, tensor<12xf32>) -> tensor<?x8x8x12xf32>
    %2 = grow.relu %1 : tensor<?x8x8x12xf32>
    %3 = grow.sign_bits %1 : tensor<?x8x8x12xf32> -> tensor<?x8x8x12xi1>
    grow.yield %2, %3, %1 : tensor<?x8x8x12xf32>, tensor<?x8x8x12xi1>, tensor<?x8x8x12xf32>
  }
  return %y : tensor<?x8x8x12xf32>
}

// CHECK-LABEL: func @mean_without_parameters
// CHECK: grow.fused_map branches 3{{ ?}}(%{{.*}}) join (mean) : (tensor<2x4xf32>) -> tensor<2x4xf32> {
func.func @mean_without_parameters(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %y = grow.fused_map branches 3 (%x) join (mean) : (tensor<2x4xf32>) -> tensor<2x4xf32> {
  ^bb0(%in: tensor<2x4xf32>):
    %0 = grow.relu %in : tensor<2x4xf32>
    grow.yield %0 : tensor<2x4xf32>
  }
  return %y : tensor<2x4xf32>
}

// CHECK-LABEL: func @concat_and_its_gradient
// CHECK: grow.fused_map branches 2{{ ?}}(%{{.*}}) over{{ ?}}(%{{.*}}, %{{.*}}) join (concat) : (tensor<5x4xf32>, tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<5x6xf32> {
// CHECK: grow.fused_map branches 2{{ ?}}() sliced{{ ?}}(%{{.*}}) over{{ ?}}(%{{.*}}, %{{.*}}) join (sum) : (tensor<5x6xf32>, tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<5x4xf32> {
func.func @concat_and_its_gradient(%x: tensor<5x4xf32>, %dy: tensor<5x6xf32>, %w0: tensor<4x3xf32>, %w1: tensor<4x3xf32>) -> (tensor<5x6xf32>, tensor<5x4xf32>) {
  %y = grow.fused_map branches 2 (%x) over (%w0, %w1) join (concat)
      : (tensor<5x4xf32>, tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<5x6xf32> {
  ^bb0(%in: tensor<5x4xf32>, %w: tensor<4x3xf32>):
    %0 = grow.linear %in, %w : (tensor<5x4xf32>, tensor<4x3xf32>) -> tensor<5x3xf32>
    grow.yield %0 : tensor<5x3xf32>
  }
  %dx = grow.fused_map branches 2 () sliced (%dy) over (%w0, %w1) join (sum)
      : (tensor<5x6xf32>, tensor<4x3xf32>, tensor<4x3xf32>) -> tensor<5x4xf32> {
  ^bb0(%g: tensor<5x3xf32>, %w: tensor<4x3xf32>):
    %0 = grow.linear_grad_input %g, %w : (tensor<5x3xf32>, tensor<4x3xf32>) -> tensor<5x4xf32>
    grow.yield %0 : tensor<5x4xf32>
  }
  return %y, %dx : tensor<5x6xf32>, tensor<5x4xf32>
}

// CHECK-LABEL: func @parameters
// CHECK: grow.bits_grad %{{.*}}, %{{.*}} slope 2.500000e-01 : tensor<?x12xi1>, tensor<?x12xf32>
func.func @parameters(%x: tensor<?x4xf32>, %dy: tensor<?x12xf32>, %s: tensor<?x12xi1>) -> (tensor<4x12xf32>, tensor<12xf32>) {
  %dw, %db = grow.fused_map branches 1 (%x, %dy) over (%s) join (each, each)
      : (tensor<?x4xf32>, tensor<?x12xf32>, tensor<?x12xi1>) -> (tensor<4x12xf32>, tensor<12xf32>) {
  ^bb0(%in: tensor<?x4xf32>, %g: tensor<?x12xf32>, %bits: tensor<?x12xi1>):
    %0 = grow.bits_grad %bits, %g slope 0.25 : tensor<?x12xi1>, tensor<?x12xf32>
    %1 = grow.linear_grad_weight %in, %0 : (tensor<?x4xf32>, tensor<?x12xf32>) -> tensor<4x12xf32>
    %2 = grow.channel_sum %0 : (tensor<?x12xf32>) -> tensor<12xf32>
    grow.yield %1, %2 : tensor<4x12xf32>, tensor<12xf32>
  }
  return %dw, %db : tensor<4x12xf32>, tensor<12xf32>
}

// CHECK-LABEL: grow.kernel @k schedule <width = 8, vectors = 2, tile = 6, tail_tile = 4, winograd = 4> {
// CHECK: grow.fused_map branches ?{{ ?}}(%{{.*}}) over{{ ?}}(%{{.*}}) join (sum, each)
grow.kernel @k schedule <width = 8, vectors = 2, tile = 6, tail_tile = 4, winograd = 4> {
^bb0(%x: tensor<?x?x?x?xf32>, %r: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>):
  %y, %s = grow.fused_map branches ? (%x) over (%w) join (sum, each)
      : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> (tensor<?x?x?x?xf32>, tensor<?x?x?x?xi1>) {
  ^bb0(%in: tensor<?x?x?x?xf32>, %f: tensor<3x3x?x?xf32>):
    %0 = grow.conv2d %in, %f padding [1, 1] : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
    %1 = grow.relu %0 : tensor<?x?x?x?xf32>
    %2 = grow.sign_bits %0 : tensor<?x?x?x?xf32> -> tensor<?x?x?x?xi1>
    grow.yield %1, %2 : tensor<?x?x?x?xf32>, tensor<?x?x?x?xi1>
  }
  %t = grow.add %y, %r : tensor<?x?x?x?xf32>
  grow.yield %t, %s : tensor<?x?x?x?xf32>, tensor<?x?x?x?xi1>
}

// CHECK-LABEL: func @launch
// CHECK: %{{.*}}:3 = grow.launch @k(%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) branches 2 :
func.func @launch(%x: tensor<?x8x8x4xf32>, %r: tensor<?x8x8x12xf32>, %w0: tensor<3x3x4x12xf32>, %w1: tensor<3x3x4x12xf32>) -> tensor<?x8x8x12xf32> {
  %y:3 = grow.launch @k(%x, %r, %w0, %w1) branches 2
      : (tensor<?x8x8x4xf32>, tensor<?x8x8x12xf32>, tensor<3x3x4x12xf32>, tensor<3x3x4x12xf32>)
        -> (tensor<?x8x8x12xf32>, tensor<?x8x8x12xi1>, tensor<?x8x8x12xi1>)
  return %y#0 : tensor<?x8x8x12xf32>
}
