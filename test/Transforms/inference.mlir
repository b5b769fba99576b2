// RUN: cambium-opt %s --grow-inference | FileCheck %s

// Batch normalisation uses its running statistics, inside maps too.

// CHECK-LABEL: func.func @forward(
func.func @forward(%x: tensor<?x3xf32>, %p: tensor<3xf32>) -> tensor<?x3xf32> {
  // CHECK: grow.batch_norm {{.*}} momentum 2.000000e-01 inference
  %y = grow.batch_norm %x, %p, %p, %p, %p momentum 0.2
      : (tensor<?x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
  // CHECK: grow.map
  %z = grow.map "m" sum (%y) over [(%p)] {
  ^bb0(%in: tensor<?x3xf32>, %s: tensor<3xf32>):
    // CHECK: grow.batch_norm {{.*}} inference
    %b = grow.batch_norm %in, %s, %s, %s, %s
        : (tensor<?x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
    grow.yield %b : tensor<?x3xf32>
  }
  return %z : tensor<?x3xf32>
}
