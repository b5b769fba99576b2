// A fused map becomes a kernel that knows no number of branches, with what
// follows the sum as its epilogue. A map of two and a map of three branches
// launch the same kernel, whatever their channels, where the same tiles suit both:
// growth compiles nothing.

// RUN: cambium-opt %s --grow-form-kernels | FileCheck %s
// RUN: cambium-opt %s --grow-form-kernels=conv-algorithm=winograd \
// RUN:   | FileCheck %s --check-prefix=WINOGRAD
// RUN: cambium-opt %s --grow-form-kernels=vector-width=4 \
// RUN:   | FileCheck %s --check-prefix=NARROW

// CHECK-LABEL: func.func @two(
// CHECK-NEXT:    %[[L:.*]]:3 = grow.launch @fused_map(%arg0, %arg1, %arg2, %arg4, %arg3, %arg5) branches 2
// CHECK-NEXT:    return %[[L]]#0, %[[L]]#1, %[[L]]#2
func.func @two(%x: tensor<?x8x8x4xf32>, %r: tensor<?x8x8x6xf32>,
               %w0: tensor<3x3x4x6xf32>, %w1: tensor<3x3x4x6xf32>,
               %b0: tensor<6xf32>, %b1: tensor<6xf32>)
    -> (tensor<?x8x8x6xf32>, tensor<?x8x8x6xi1>, tensor<?x8x8x6xi1>) {
  %y, %s:2 = grow.fused_map branches 2 (%x) over (%w0, %b0, %w1, %b1) join (sum, each)
      : (tensor<?x8x8x4xf32>, tensor<3x3x4x6xf32>, tensor<6xf32>, tensor<3x3x4x6xf32>, tensor<6xf32>)
        -> (tensor<?x8x8x6xf32>, tensor<?x8x8x6xi1>, tensor<?x8x8x6xi1>) {
  ^bb0(%in: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x6xf32>, %b: tensor<6xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x6xf32>) -> tensor<?x8x8x6xf32>
    %z = grow.bias_add %c, %b : (tensor<?x8x8x6xf32>, tensor<6xf32>) -> tensor<?x8x8x6xf32>
    %q = grow.relu %z : tensor<?x8x8x6xf32>
    %s = grow.sign_bits %z : tensor<?x8x8x6xf32> -> tensor<?x8x8x6xi1>
    grow.yield %q, %s : tensor<?x8x8x6xf32>, tensor<?x8x8x6xi1>
  }
  %t = grow.add %y, %r : tensor<?x8x8x6xf32>
  return %t, %s#0, %s#1 : tensor<?x8x8x6xf32>, tensor<?x8x8x6xi1>, tensor<?x8x8x6xi1>
}

// CHECK-LABEL: func.func @three(
// CHECK-NEXT:    grow.launch @fused_map({{.*}}) branches 3
func.func @three(%x: tensor<?x8x8x1xf32>, %r: tensor<?x8x8x3xf32>,
                 %w: tensor<3x3x1x3xf32>, %b: tensor<3xf32>)
    -> (tensor<?x8x8x3xf32>, tensor<?x8x8x3xi1>) {
  %y, %s:3 = grow.fused_map branches 3 (%x) over (%w, %b, %w, %b, %w, %b) join (sum, each)
      : (tensor<?x8x8x1xf32>, tensor<3x3x1x3xf32>, tensor<3xf32>, tensor<3x3x1x3xf32>, tensor<3xf32>, tensor<3x3x1x3xf32>, tensor<3xf32>)
        -> (tensor<?x8x8x3xf32>, tensor<?x8x8x3xi1>, tensor<?x8x8x3xi1>, tensor<?x8x8x3xi1>) {
  ^bb0(%in: tensor<?x8x8x1xf32>, %wi: tensor<3x3x1x3xf32>, %bi: tensor<3xf32>):
    %c = grow.conv2d %in, %wi padding [1, 1] : (tensor<?x8x8x1xf32>, tensor<3x3x1x3xf32>) -> tensor<?x8x8x3xf32>
    %z = grow.bias_add %c, %bi : (tensor<?x8x8x3xf32>, tensor<3xf32>) -> tensor<?x8x8x3xf32>
    %q = grow.relu %z : tensor<?x8x8x3xf32>
    %s = grow.sign_bits %z : tensor<?x8x8x3xf32> -> tensor<?x8x8x3xi1>
    grow.yield %q, %s : tensor<?x8x8x3xf32>, tensor<?x8x8x3xi1>
  }
  %t = grow.add %y, %r : tensor<?x8x8x3xf32>
  return %t, %s#1 : tensor<?x8x8x3xf32>, tensor<?x8x8x3xi1>
}

// What a map gives for each branch comes branch by branch.

// CHECK-LABEL: func.func @each(
// CHECK-NEXT:    %[[L:.*]]:4 = grow.launch @fused_map_0(%arg0, %arg1) branches 2
// CHECK-NEXT:    return %[[L]]#0, %[[L]]#2, %[[L]]#1, %[[L]]#3
func.func @each(%x: tensor<?x8x8x4xf32>, %dy: tensor<?x8x8x6xf32>)
    -> (tensor<3x3x4x6xf32>, tensor<3x3x4x6xf32>, tensor<6xf32>, tensor<6xf32>) {
  %dw:2, %db:2 = grow.fused_map branches 2 (%x, %dy) join (each, each)
      : (tensor<?x8x8x4xf32>, tensor<?x8x8x6xf32>)
        -> (tensor<3x3x4x6xf32>, tensor<3x3x4x6xf32>, tensor<6xf32>, tensor<6xf32>) {
  ^bb0(%in: tensor<?x8x8x4xf32>, %g: tensor<?x8x8x6xf32>):
    %a = grow.relu %in : tensor<?x8x8x4xf32>
    %w = grow.conv2d_grad_filter %a, %g padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<?x8x8x6xf32>) -> tensor<3x3x4x6xf32>
    %b = grow.channel_sum %g : (tensor<?x8x8x6xf32>) -> tensor<6xf32>
    grow.yield %w, %b : tensor<3x3x4x6xf32>, tensor<6xf32>
  }
  return %dw#0, %dw#1, %db#0, %db#1 : tensor<3x3x4x6xf32>, tensor<3x3x4x6xf32>, tensor<6xf32>, tensor<6xf32>
}

// Bits need vectors of eight lanes, also where registers have four.

// CHECK-LABEL: grow.kernel @fused_map
// CHECK-SAME:    schedule <width = 8,
// CHECK-NOT:     winograd
// CHECK-NEXT:  ^bb0(%[[X:.*]]: tensor<?x?x?x?xf32>, %[[R:.*]]: tensor<?x?x?x?xf32>, %[[W:.*]]: tensor<3x3x?x?xf32>, %[[B:.*]]: tensor<?xf32>):
// CHECK-NEXT:    %[[MAP:.*]]:2 = grow.fused_map branches ? (%[[X]]) over (%[[W]], %[[B]]) join (sum, each)
// CHECK-NEXT:    ^bb0(%[[IN:.*]]: tensor<?x?x?x?xf32>, %[[WI:.*]]: tensor<3x3x?x?xf32>, %[[BI:.*]]: tensor<?xf32>):
// CHECK-NEXT:      grow.conv2d %[[IN]], %[[WI]] padding [1, 1] : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
// CHECK:           grow.sign_bits {{.*}} -> tensor<?x?x?x?xi1>
// CHECK:         %[[SUM:.*]] = grow.add %[[MAP]]#0, %[[R]]
// CHECK-NEXT:    grow.yield %[[SUM]], %[[MAP]]#1

// WINOGRAD: grow.kernel @fused_map schedule <{{.*}}winograd = 4>
// NARROW:   grow.kernel @fused_map schedule <width = 8,
