// RUN: cambium-opt %s --grow-fuse-maps | FileCheck %s
// RUN: cambium-opt %s --grow-fuse-maps=keep=store | FileCheck %s --check-prefix=STORE

// Tuples keep their order; vectors of a branch are parameters like filters.
// Rectifiers need one bit an element.

// CHECK-LABEL: func.func @sum(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<?x8x8x4xf32>, %[[W0:[^:]*]]: {{.*}}, %[[B0:[^:]*]]: {{.*}}, %[[W1:[^:]*]]: {{.*}}, %[[B1:[^:]*]]: {{.*}})
// CHECK-NEXT:    %[[Y:.*]] = grow.fused_map branches 2 (%[[X]]) over (%[[W0]], %[[B0]], %[[W1]], %[[B1]]) join (sum) keep mask
// CHECK-NEXT:    ^bb0(%[[IN:.*]]: tensor<?x8x8x4xf32>, %[[W:.*]]: tensor<3x3x4x6xf32>, %[[B:.*]]: tensor<6xf32>):
// CHECK-NEXT:      %[[C:.*]] = grow.conv2d %[[IN]], %[[W]] padding [1, 1]
// CHECK-NEXT:      %[[Z:.*]] = grow.bias_add %[[C]], %[[B]]
// CHECK-NEXT:      %[[R:.*]] = grow.relu %[[Z]]
// CHECK-NEXT:      grow.yield %[[R]]
// CHECK:         return %[[Y]]
// STORE-LABEL: func.func @sum(
// STORE:         grow.fused_map {{.*}} keep store
func.func @sum(%x: tensor<?x8x8x4xf32>, %w0: tensor<3x3x4x6xf32>, %b0: tensor<6xf32>, %w1: tensor<3x3x4x6xf32>, %b1: tensor<6xf32>) -> tensor<?x8x8x6xf32> {
  %y = grow.map "m" sum (%x) over [(%w0, %b0), (%w1, %b1)] {
  ^bb0(%in: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x6xf32>, %b: tensor<6xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x6xf32>) -> tensor<?x8x8x6xf32>
    %z = grow.bias_add %c, %b : (tensor<?x8x8x6xf32>, tensor<6xf32>) -> tensor<?x8x8x6xf32>
    %r = grow.relu %z : tensor<?x8x8x6xf32>
    grow.yield %r : tensor<?x8x8x6xf32>
  }
  return %y : tensor<?x8x8x6xf32>
}

// What the body does not use is left out. Smooth activations are computed again.

// CHECK-LABEL: func.func @unused(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<?x4xf32>, %[[V:[^:]*]]: tensor<?x4xf32>, %[[W0:[^:]*]]: {{.*}}, %[[B0:[^:]*]]:
// CHECK-NEXT:    grow.fused_map branches 1 (%[[X]]) over (%[[W0]]) join (mean) keep recompute
// CHECK-NEXT:    ^bb0(%{{.*}}: tensor<?x4xf32>, %{{.*}}: tensor<4x3xf32>):
// STORE-LABEL: func.func @unused(
// STORE:         grow.fused_map {{.*}} keep store
func.func @unused(%x: tensor<?x4xf32>, %v: tensor<?x4xf32>, %w0: tensor<4x3xf32>, %b0: tensor<3xf32>) -> tensor<?x3xf32> {
  %y = grow.map "m" mean (%v, %x) over [(%b0, %w0)] {
  ^bb0(%unused: tensor<?x4xf32>, %in: tensor<?x4xf32>, %b: tensor<3xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %r = grow.silu %l : tensor<?x3xf32>
    grow.yield %r : tensor<?x3xf32>
  }
  return %y : tensor<?x3xf32>
}

// Operations on the input may be smooth: they cost little to compute again. A
// map's own `keep` wins over the option.

// CHECK-LABEL: func.func @concat(
// CHECK:         grow.fused_map {{.*}} join (concat) keep mask
// CHECK:           grow.gelu
// CHECK-NEXT:      grow.linear
// CHECK-NEXT:      grow.leaky_relu
// CHECK:         grow.fused_map {{.*}} join (concat) keep recompute
// STORE-LABEL: func.func @concat(
// STORE:         grow.fused_map {{.*}} keep store
// STORE:         grow.fused_map {{.*}} keep recompute
func.func @concat(%x: tensor<?x4xf32>, %w0: tensor<4x3xf32>, %w1: tensor<4x3xf32>) -> (tensor<?x6xf32>, tensor<?x6xf32>) {
  %y = grow.map "m" concat (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %a = grow.gelu %in : tensor<?x4xf32>
    %l = grow.linear %a, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %r = grow.leaky_relu %l : tensor<?x3xf32>
    grow.yield %r : tensor<?x3xf32>
  }
  %z = grow.map "n" concat (%x) over [(%w0), (%w1)] keep recompute {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %r = grow.leaky_relu %l : tensor<?x3xf32>
    grow.yield %r : tensor<?x3xf32>
  }
  return %y, %z : tensor<?x6xf32>, tensor<?x6xf32>
}

// Maps that are added become one if their bodies are equal.

// CHECK-LABEL: func.func @added(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<?x4xf32>, %[[R:[^:]*]]: tensor<?x3xf32>, %[[W0:[^:]*]]: {{.*}}, %[[W1:[^:]*]]: {{.*}}, %[[W2:[^:]*]]: {{.*}}, %[[W3:[^:]*]]: {{.*}})
// CHECK-NEXT:    %[[OTHER:.*]] = grow.fused_map branches 1 (%[[X]]) over (%[[W1]])
// CHECK:           grow.leaky_relu
// CHECK:         %[[Y:.*]] = grow.fused_map branches 4 (%[[X]]) over (%[[W0]], %[[W1]], %[[W2]], %[[W3]]) join (sum) keep mask
// CHECK:           grow.relu
// CHECK:         %[[S0:.*]] = grow.add %[[Y]], %[[R]]
// CHECK-NEXT:    %[[S1:.*]] = grow.add %[[S0]], %[[OTHER]]
// CHECK-NEXT:    return %[[S1]]
func.func @added(%x: tensor<?x4xf32>, %r: tensor<?x3xf32>, %w0: tensor<4x3xf32>, %w1: tensor<4x3xf32>, %w2: tensor<4x3xf32>, %w3: tensor<4x3xf32>) -> tensor<?x3xf32> {
  %a = grow.map "a" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %act = grow.relu %l : tensor<?x3xf32>
    grow.yield %act : tensor<?x3xf32>
  }
  %s0 = grow.add %a, %r : tensor<?x3xf32>
  %b = grow.map "b" sum (%x) over [(%w2)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %act = grow.relu %l : tensor<?x3xf32>
    grow.yield %act : tensor<?x3xf32>
  }
  %s1 = grow.add %s0, %b : tensor<?x3xf32>
  %c = grow.map "c" sum (%x) over [(%w1)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %act = grow.leaky_relu %l : tensor<?x3xf32>
    grow.yield %act : tensor<?x3xf32>
  }
  %s2 = grow.add %s1, %c : tensor<?x3xf32>
  %d = grow.map "d" sum (%x) over [(%w3)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %act = grow.relu %l : tensor<?x3xf32>
    grow.yield %act : tensor<?x3xf32>
  }
  %s3 = grow.add %s2, %d : tensor<?x3xf32>
  return %s3 : tensor<?x3xf32>
}

// But not if one is read elsewhere, keeps something else, or is a mean.

// CHECK-LABEL: func.func @apart(
// CHECK-COUNT-3: grow.fused_map branches 1
// CHECK:         grow.add
// CHECK-NEXT:    grow.add
func.func @apart(%x: tensor<?x4xf32>, %w0: tensor<4x3xf32>, %w1: tensor<4x3xf32>, %w2: tensor<4x3xf32>) -> (tensor<?x3xf32>, tensor<?x3xf32>) {
  %a = grow.map "a" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    grow.yield %l : tensor<?x3xf32>
  }
  %b = grow.map "b" sum (%x) over [(%w1)] keep store {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    grow.yield %l : tensor<?x3xf32>
  }
  %c = grow.map "c" mean (%x) over [(%w2)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    grow.yield %l : tensor<?x3xf32>
  }
  %s0 = grow.add %a, %b : tensor<?x3xf32>
  %s1 = grow.add %s0, %c : tensor<?x3xf32>
  return %s1, %a : tensor<?x3xf32>, tensor<?x3xf32>
}

// Other maps stay, and so does one of no branch; what they keep is decided. A
// map in a map fuses alone.

// CHECK-LABEL: func.func @others(
// CHECK:         grow.map "pools" {{.*}} keep recompute
// CHECK:         grow.map "none" {{.*}} over [] keep recompute
// STORE-LABEL: func.func @others(
// STORE:         grow.map "pools" {{.*}} keep store
func.func @others(%x: tensor<?x4x4x4xf32>, %w0: tensor<1x1x4x4xf32>) -> (tensor<?x4x4x4xf32>, tensor<?x4x4x4xf32>) {
  %y = grow.map "pools" sum (%x) over [(%w0), (%w0)] {
  ^bb0(%in: tensor<?x4x4x4xf32>, %w: tensor<1x1x4x4xf32>):
    %p = grow.max_pool2d %in window [3, 3] padding [1, 1] : (tensor<?x4x4x4xf32>) -> tensor<?x4x4x4xf32>
    %i = grow.map "inner" sum (%p) over [(%w)] {
    ^bb0(%j: tensor<?x4x4x4xf32>, %v: tensor<1x1x4x4xf32>):
      %c = grow.conv2d %j, %v : (tensor<?x4x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<?x4x4x4xf32>
      %r = grow.relu %c : tensor<?x4x4x4xf32>
      grow.yield %r : tensor<?x4x4x4xf32>
    }
    grow.yield %i : tensor<?x4x4x4xf32>
  }
  %z = grow.map "none" sum (%x) over [] {
  ^bb0(%in: tensor<?x4x4x4xf32>, %w: tensor<1x1x4x4xf32>):
    %c = grow.conv2d %in, %w : (tensor<?x4x4x4xf32>, tensor<1x1x4x4xf32>) -> tensor<?x4x4x4xf32>
    %r = grow.relu %c : tensor<?x4x4x4xf32>
    grow.yield %r : tensor<?x4x4x4xf32>
  }
  return %y, %z : tensor<?x4x4x4xf32>, tensor<?x4x4x4xf32>
}
