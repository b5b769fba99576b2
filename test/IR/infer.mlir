// RUN: cambium-opt %s | FileCheck %s

// Verification infers each type anew, so a type that passes is the one inferred
// in every extent that both know; invalid-layers.mlir shows one that does not.

// CHECK-LABEL: func.func @windows
func.func @windows(%x: tensor<?x17x13x6xf32>, %w: tensor<3x5x6x7xf32>, %g: tensor<3x3x2x9xf32>) {
  // CHECK-NEXT: -> tensor<?x15x9x7xf32>
  %0 = grow.conv2d %x, %w : (tensor<?x17x13x6xf32>, tensor<3x5x6x7xf32>) -> tensor<?x15x9x7xf32>
  // CHECK-NEXT: stride [2, 3] padding [1, 2] {{.*}} -> tensor<?x9x5x7xf32>
  %1 = grow.conv2d %x, %w stride [2, 3] padding [1, 2] : (tensor<?x17x13x6xf32>, tensor<3x5x6x7xf32>) -> tensor<?x9x5x7xf32>
  // CHECK-NEXT: padding [0, 1, 2, 3] {{.*}} -> tensor<?x17x13x7xf32>
  %2 = grow.conv2d %x, %w padding [0, 1, 2, 3] : (tensor<?x17x13x6xf32>, tensor<3x5x6x7xf32>) -> tensor<?x17x13x7xf32>
  // CHECK-NEXT: dilation [4, 2] {{.*}} -> tensor<?x9x5x7xf32>
  %3 = grow.conv2d %x, %w dilation [4, 2] : (tensor<?x17x13x6xf32>, tensor<3x5x6x7xf32>) -> tensor<?x9x5x7xf32>
  // CHECK-NEXT: groups 3 {{.*}} -> tensor<?x15x11x9xf32>
  %4 = grow.conv2d %x, %g groups 3 : (tensor<?x17x13x6xf32>, tensor<3x3x2x9xf32>) -> tensor<?x15x11x9xf32>
  // CHECK-NEXT: window [2, 2] stride [2, 2] {{.*}} -> tensor<?x8x6x6xf32>
  %5 = grow.max_pool2d %x window [2, 2] stride [2, 2] : (tensor<?x17x13x6xf32>) -> tensor<?x8x6x6xf32>
  // CHECK-NEXT: window [3, 3] stride [2, 2] padding [1, 0, 0, 1] {{.*}} -> tensor<?x8x6x6xf32>
  %6 = grow.avg_pool2d %x window [3, 3] stride [2, 2] padding [1, 0, 0, 1] : (tensor<?x17x13x6xf32>) -> tensor<?x8x6x6xf32>
  // CHECK-NEXT: (tensor<?x17x13x6xf32>) -> tensor<?x6xf32>
  %7 = grow.global_avg_pool %x : (tensor<?x17x13x6xf32>) -> tensor<?x6xf32>
  // CHECK-NEXT: (tensor<?x17x13x6xf32>) -> tensor<?x1326xf32>
  %8 = grow.flatten %x : (tensor<?x17x13x6xf32>) -> tensor<?x1326xf32>
  return
}

// The map's result type is not written, so its text shows inference: a
// concatenation has the channels of all branches.

// CHECK-LABEL: func.func @maps
// CHECK-SAME: -> (tensor<?x4xf32>, tensor<?x12xf32>)
func.func @maps(%x: tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x12xf32>) {
  %mean = grow.map "a" mean (%x) over [(), (), ()] {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  %concat = grow.map "b" concat (%x) over [(), (), ()] {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return %mean, %concat : tensor<?x4xf32>, tensor<?x12xf32>
}

// In a kernel extents are dynamic; only what a window needs is known.

// CHECK-LABEL: grow.kernel @dynamic
grow.kernel @dynamic {
^bb0(%x: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>, %b: tensor<?xf32>):
  %0 = grow.conv2d %x, %w stride [2, 2] groups 2 : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
  %1 = grow.bias_add %0, %b : (tensor<?x?x?x?xf32>, tensor<?xf32>) -> tensor<?x?x?x?xf32>
  %scaled = grow.channel_scale %1, %b : (tensor<?x?x?x?xf32>, tensor<?xf32>) -> tensor<?x?x?x?xf32>
  %2 = grow.slice %scaled offset 4 size 8 : (tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  %3 = grow.fill 0.0 : tensor<?x?x?x?xf32>
  %4 = grow.concat %2, %3 : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  grow.yield %4 : tensor<?x?x?x?xf32>
}
