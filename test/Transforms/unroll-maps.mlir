// RUN: cambium-opt %s --grow-unroll-maps | FileCheck %s

// The body once for each tuple; the results are added in the branches' order,
// each at once.

// CHECK-LABEL: func.func @sum(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<?x4xf32>, %[[W0:[^:]*]]: {{.*}}, %[[W1:[^:]*]]: {{.*}}, %[[W2:[^:]*]]: {{.*}})
// CHECK-NEXT:    %[[L0:.*]] = grow.linear %[[X]], %[[W0]]
// CHECK-NEXT:    %[[R0:.*]] = grow.relu %[[L0]]
// CHECK-NEXT:    %[[L1:.*]] = grow.linear %[[X]], %[[W1]]
// CHECK-NEXT:    %[[R1:.*]] = grow.relu %[[L1]]
// CHECK-NEXT:    %[[S1:.*]] = grow.add %[[R0]], %[[R1]]
// CHECK-NEXT:    %[[L2:.*]] = grow.linear %[[X]], %[[W2]]
// CHECK-NEXT:    %[[R2:.*]] = grow.relu %[[L2]]
// CHECK-NEXT:    %[[S2:.*]] = grow.add %[[S1]], %[[R2]]
// CHECK-NEXT:    return %[[S2]]
func.func @sum(%x: tensor<?x4xf32>, %w0: tensor<4x3xf32>, %w1: tensor<4x3xf32>, %w2: tensor<4x3xf32>) -> tensor<?x3xf32> {
  %y = grow.map "m" sum (%x) over [(%w0), (%w1), (%w2)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %r = grow.relu %l : tensor<?x3xf32>
    grow.yield %r : tensor<?x3xf32>
  }
  return %y : tensor<?x3xf32>
}

// A tuple may hold several parameters; a mean is a sum, scaled.

// CHECK-LABEL: func.func @mean(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<?x3xf32>, %[[A0:[^:]*]]: {{.*}}, %[[B0:[^:]*]]: {{.*}}, %[[A1:[^:]*]]: {{.*}}, %[[B1:[^:]*]]: {{.*}})
// CHECK-NEXT:    %[[L0:.*]] = grow.linear %[[X]], %[[A0]]
// CHECK-NEXT:    %[[R0:.*]] = grow.bias_add %[[L0]], %[[B0]]
// CHECK-NEXT:    %[[L1:.*]] = grow.linear %[[X]], %[[A1]]
// CHECK-NEXT:    %[[R1:.*]] = grow.bias_add %[[L1]], %[[B1]]
// CHECK-NEXT:    %[[S:.*]] = grow.add %[[R0]], %[[R1]]
// CHECK-NEXT:    %[[M:.*]] = grow.scale %[[S]] by 5.000000e-01
// CHECK-NEXT:    return %[[M]]
func.func @mean(%x: tensor<?x3xf32>, %a0: tensor<3x3xf32>, %b0: tensor<3xf32>, %a1: tensor<3x3xf32>, %b1: tensor<3xf32>) -> tensor<?x3xf32> {
  %y = grow.map "m" mean (%x) over [(%a0, %b0), (%a1, %b1)] {
  ^bb0(%in: tensor<?x3xf32>, %w: tensor<3x3xf32>, %b: tensor<3xf32>):
    %l = grow.linear %in, %w : (tensor<?x3xf32>, tensor<3x3xf32>) -> tensor<?x3xf32>
    %r = grow.bias_add %l, %b : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
    grow.yield %r : tensor<?x3xf32>
  }
  return %y : tensor<?x3xf32>
}

// CHECK-LABEL: func.func @concat(
// CHECK:         %[[R0:.*]] = grow.linear
// CHECK-NEXT:    %[[R1:.*]] = grow.linear
// CHECK-NEXT:    %[[C:.*]] = grow.concat %[[R0]], %[[R1]] : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<?x6xf32>
// CHECK-NEXT:    return %[[C]]
func.func @concat(%x: tensor<?x4xf32>, %w0: tensor<4x3xf32>, %w1: tensor<4x3xf32>) -> tensor<?x6xf32> {
  %y = grow.map "m" concat (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    grow.yield %l : tensor<?x3xf32>
  }
  return %y : tensor<?x6xf32>
}

// One branch is its body, whatever the reduction.

// CHECK-LABEL: func.func @single(
// CHECK-NEXT:    %[[R:.*]] = grow.mul
// CHECK-NEXT:    return %[[R]]
func.func @single(%x: tensor<4xf32>, %w0: tensor<4xf32>) -> tensor<4xf32> {
  %y = grow.map "m" mean (%x) over [(%w0)] {
  ^bb0(%in: tensor<4xf32>, %w: tensor<4xf32>):
    %r = grow.mul %in, %w : tensor<4xf32>
    grow.yield %r : tensor<4xf32>
  }
  return %y : tensor<4xf32>
}

// No branch is zero, with the input's batch.

// CHECK-LABEL: func.func @none(
// CHECK-SAME:    %[[X:.*]]: tensor<?x4xf32>)
// CHECK-NEXT:    %[[ZERO:.*]] = grow.fill 0.000000e+00 batch_of %[[X]] : tensor<?x4xf32> -> tensor<?x3xf32>
// CHECK-NEXT:    return %[[ZERO]]
func.func @none(%x: tensor<?x4xf32>) -> tensor<?x3xf32> {
  %y = grow.map "m" sum (%x) over [] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    grow.yield %l : tensor<?x3xf32>
  }
  return %y : tensor<?x3xf32>
}

// CHECK-LABEL: func.func @noneStatic(
// CHECK:         grow.fill 0.000000e+00 : tensor<2x4xf32>
func.func @noneStatic(%x: tensor<2x4xf32>) -> tensor<2x4xf32> {
  %y = grow.map "m" mean (%x) over [] {
  ^bb0(%in: tensor<2x4xf32>):
    grow.yield %in : tensor<2x4xf32>
  }
  return %y : tensor<2x4xf32>
}

// Maps in maps. What is the same in all branches is computed once.

// CHECK-LABEL: func.func @nested(
// CHECK-SAME:    %[[X:[^:]*]]: tensor<4xf32>, %[[A:[^:]*]]: tensor<4xf32>, %[[B:[^:]*]]: tensor<4xf32>)
// CHECK-NEXT:    %[[XX:.*]] = grow.mul %[[X]], %[[X]]
// CHECK-NEXT:    %[[AA:.*]] = grow.mul %[[X]], %[[A]]
// CHECK-NEXT:    %[[SA:.*]] = grow.add %[[AA]], %[[XX]]
// CHECK-NEXT:    %[[BB:.*]] = grow.mul %[[X]], %[[B]]
// CHECK-NEXT:    %[[SB:.*]] = grow.add %[[BB]], %[[XX]]
// CHECK-NEXT:    %[[S:.*]] = grow.add %[[SA]], %[[SB]]
// CHECK-NEXT:    return %[[S]]
func.func @nested(%x: tensor<4xf32>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %y = grow.map "outer" sum (%x) over [(%a), (%b)] {
  ^bb0(%in: tensor<4xf32>, %w: tensor<4xf32>):
    %z = grow.map "inner" sum (%in) over [(%w), (%in)] {
    ^bb0(%inner: tensor<4xf32>, %v: tensor<4xf32>):
      %m = grow.mul %inner, %v : tensor<4xf32>
      grow.yield %m : tensor<4xf32>
    }
    grow.yield %z : tensor<4xf32>
  }
  return %y : tensor<4xf32>
}

// Values to be computed again for gradients: the operations of each branch have
// a number. Those of an inner map belong to the outer's branch; what all branches
// share has none.

// CHECK-LABEL: func.func @tags(
// CHECK-NEXT:    grow.mul %{{.*}} {grow.branch = [[A:[0-9]+]] : i64}
// CHECK-NEXT:    grow.tanh %{{.*}} {grow.branch = [[A]] : i64}
// CHECK-NEXT:    grow.mul %{{.*}} {grow.branch = [[B:[0-9]+]] : i64}
// CHECK-NEXT:    grow.tanh %{{.*}} {grow.branch = [[B]] : i64}
// CHECK-NEXT:    grow.add %{{[^{]*$}}
// CHECK-NEXT:    grow.tanh %{{[^{]*$}}
// CHECK-NEXT:    grow.mul %{{.*}} {grow.branch = {{[0-9]+}} : i64}
// CHECK-NEXT:    grow.mul %{{.*}} {grow.branch = [[C:[0-9]+]] : i64}
// CHECK-NEXT:    grow.add %{{.*}} {grow.branch = [[C]] : i64}
// CHECK-NEXT:    return
func.func @tags(%x: tensor<4xf32>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %y = grow.map "m" sum (%x) over [(%a), (%b)] keep mask {
  ^bb0(%in: tensor<4xf32>, %w: tensor<4xf32>):
    %m = grow.mul %in, %w : tensor<4xf32>
    %t = grow.tanh %m : tensor<4xf32>
    grow.yield %t : tensor<4xf32>
  }
  %z = grow.map "outer" sum (%y) over [(%a)] keep recompute {
  ^bb0(%in: tensor<4xf32>, %w: tensor<4xf32>):
    %t = grow.tanh %in : tensor<4xf32>
    %i = grow.map "inner" sum (%t) over [(%w), (%t)] keep recompute {
    ^bb0(%inner: tensor<4xf32>, %v: tensor<4xf32>):
      %m = grow.mul %inner, %v : tensor<4xf32>
      grow.yield %m : tensor<4xf32>
    }
    grow.yield %i : tensor<4xf32>
  }
  return %z : tensor<4xf32>
}

// Stored values need none; the branches of an inner map have theirs, others in
// each branch of the outer one.

// CHECK-LABEL: func.func @innerTags(
// CHECK-NEXT:    grow.mul %{{[^{]*$}}
// CHECK-NEXT:    grow.mul %{{.*}} {grow.branch = [[A:[0-9]+]] : i64}
// CHECK-NEXT:    grow.mul %{{[^{]*$}}
// CHECK-NOT:     {grow.branch = [[A]] : i64}
// CHECK:         grow.mul %{{.*}} {grow.branch = {{[0-9]+}} : i64}
// CHECK-NEXT:    grow.add %{{[^{]*$}}
func.func @innerTags(%x: tensor<4xf32>, %a: tensor<4xf32>, %b: tensor<4xf32>) -> tensor<4xf32> {
  %y = grow.map "outer" sum (%x) over [(%a), (%b)] keep store {
  ^bb0(%in: tensor<4xf32>, %w: tensor<4xf32>):
    %t = grow.mul %in, %w : tensor<4xf32>
    %i = grow.map "inner" sum (%t) over [(%w)] keep recompute {
    ^bb0(%inner: tensor<4xf32>, %v: tensor<4xf32>):
      %m = grow.mul %inner, %v : tensor<4xf32>
      grow.yield %m : tensor<4xf32>
    }
    grow.yield %i : tensor<4xf32>
  }
  return %y : tensor<4xf32>
}
