// RUN: cambium-opt %s --canonicalize | FileCheck %s

// What does nothing goes.

// CHECK-LABEL: func.func @nothing_left(
// CHECK-SAME:    %[[X:[a-z0-9]*]]: tensor<?x4xf32>, %[[W:[a-z0-9]*]]: tensor<3x3x4x8xf32>)
// CHECK-NEXT:    return %[[X]], %[[X]], %[[X]], %[[X]], %[[X]], %[[W]], %[[W]], %[[W]], %[[W]], %[[W]], %[[W]] :
func.func @nothing_left(%x: tensor<?x4xf32>, %w: tensor<3x3x4x8xf32>)
    -> (tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>,
        tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>,
        tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>) {
  %scale = grow.scale %x by 1.0 : tensor<?x4xf32>
  %reshape = grow.reshape %x : tensor<?x4xf32> -> tensor<?x4xf32>
  %flatten = grow.flatten %x : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %concat = grow.concat %x : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %slice = grow.slice %x offset 0 size 4 : (tensor<?x4xf32>) -> tensor<?x4xf32>
  %sum = grow.weight_sum %w : tensor<3x3x4x8xf32>
  %wconcat = grow.weight_concat %w : (tensor<3x3x4x8xf32>) -> tensor<3x3x4x8xf32>
  %wslice = grow.weight_slice %w offset 0 size 8 : (tensor<3x3x4x8xf32>) -> tensor<3x3x4x8xf32>
  %pad = grow.weight_pad %w [0, 0, 0, 0] : (tensor<3x3x4x8xf32>) -> tensor<3x3x4x8xf32>
  %crop = grow.weight_crop %w [0, 0, 0, 0] : (tensor<3x3x4x8xf32>) -> tensor<3x3x4x8xf32>
  %wscale = grow.weight_scale %w by 1.0 : tensor<3x3x4x8xf32>
  return %scale, %reshape, %flatten, %concat, %slice, %sum, %wconcat, %wslice, %pad, %crop, %wscale
      : tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>, tensor<?x4xf32>,
        tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>,
        tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>
}

// What does something stays.

// CHECK-LABEL: func.func @kept(
// CHECK-NEXT:    grow.scale %{{.*}} by 2.0
// CHECK-NEXT:    grow.slice %{{.*}} offset 0 size 2
// CHECK-NEXT:    grow.slice %{{.*}} offset 2 size 2
// CHECK-NEXT:    grow.concat
// CHECK-NEXT:    grow.weight_sum
// CHECK-NEXT:    grow.weight_scale %{{.*}} by 5.0
// CHECK-NEXT:    grow.weight_pad %{{.*}} [0, 0, 0, 1]
// CHECK-NEXT:    grow.weight_crop %{{.*}} [1, 0, 0, 0]
// CHECK-NEXT:    return
func.func @kept(%x: tensor<?x4xf32>, %w: tensor<3x3x4x8xf32>)
    -> (tensor<?x4xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x8xf32>,
        tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>, tensor<3x4x4x8xf32>, tensor<2x3x4x8xf32>) {
  %scale = grow.scale %x by 2.0 : tensor<?x4xf32>
  %first = grow.slice %x offset 0 size 2 : (tensor<?x4xf32>) -> tensor<?x2xf32>
  %second = grow.slice %x offset 2 size 2 : (tensor<?x4xf32>) -> tensor<?x2xf32>
  %concat = grow.concat %x, %x : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x8xf32>
  %sum = grow.weight_sum %w, %w : tensor<3x3x4x8xf32>
  %wscale = grow.weight_scale %w by 0.5 : tensor<3x3x4x8xf32>
  %pad = grow.weight_pad %w [0, 0, 0, 1] : (tensor<3x3x4x8xf32>) -> tensor<3x4x4x8xf32>
  %crop = grow.weight_crop %w [1, 0, 0, 0] : (tensor<3x3x4x8xf32>) -> tensor<2x3x4x8xf32>
  return %scale, %first, %second, %concat, %sum, %wscale, %pad, %crop
      : tensor<?x4xf32>, tensor<?x2xf32>, tensor<?x2xf32>, tensor<?x8xf32>,
        tensor<3x3x4x8xf32>, tensor<3x3x4x8xf32>, tensor<3x4x4x8xf32>, tensor<2x3x4x8xf32>
}

// With a dynamic last extent equal types do not make a range the whole.

// CHECK-LABEL: func.func @dynamic_range(
// CHECK-NEXT:    grow.slice %{{.*}} offset 0 size 4
// CHECK-NEXT:    grow.weight_slice %{{.*}} offset 0 size 4
func.func @dynamic_range(%x: tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  %y = grow.slice %x offset 0 size 4 : (tensor<?x?xf32>) -> tensor<?x?xf32>
  %z = grow.weight_slice %x offset 0 size 4 : (tensor<?x?xf32>) -> tensor<?x?xf32>
  return %y, %z : tensor<?x?xf32>, tensor<?x?xf32>
}

// CHECK-LABEL: func.func @relu_twice(
// CHECK-NEXT:    %[[Y:.*]] = grow.relu %{{.*}} :
// CHECK-NEXT:    return %[[Y]]
func.func @relu_twice(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %y = grow.relu %x : tensor<?x4xf32>
  %z = grow.relu %y : tensor<?x4xf32>
  return %z : tensor<?x4xf32>
}

// CHECK-LABEL: func.func @relu_of_fill(
// CHECK-NEXT:    %[[ZERO:.*]] = grow.fill 0.0
// CHECK-NEXT:    %[[ONE:.*]] = grow.fill 1.0
// CHECK-NEXT:    %[[MINUS:.*]] = grow.fill -1.0
// CHECK-NEXT:    %[[NAN:.*]] = grow.fill 0x7FF8000000000000
// CHECK-NEXT:    %[[A:.*]] = grow.relu %[[MINUS]]
// CHECK-NEXT:    %[[B:.*]] = grow.relu %[[NAN]]
// CHECK-NEXT:    return %[[ZERO]], %[[ONE]], %[[A]], %[[B]]
func.func @relu_of_fill() -> (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) {
  %zero = grow.fill 0.0 : tensor<4xf32>
  %one = grow.fill 1.0 : tensor<4xf32>
  %minus = grow.fill -1.0 : tensor<4xf32>
  %nan = grow.fill 0x7FF8000000000000 : tensor<4xf32>
  %a = grow.relu %zero : tensor<4xf32>
  %b = grow.relu %one : tensor<4xf32>
  %c = grow.relu %minus : tensor<4xf32>
  %d = grow.relu %nan : tensor<4xf32>
  return %a, %b, %c, %d : tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>
}

// Reshapes join, and vanish where they lead back.

// CHECK-LABEL: func.func @reshapes(
// CHECK-SAME:    %[[X:.*]]: tensor<?x12xf32>)
// CHECK-NEXT:    %[[Y:.*]] = grow.reshape %[[X]] : tensor<?x12xf32> -> tensor<?x2x6xf32>
// CHECK-NEXT:    return %[[Y]], %[[X]] :
func.func @reshapes(%x: tensor<?x12xf32>) -> (tensor<?x2x6xf32>, tensor<?x12xf32>) {
  %a = grow.reshape %x : tensor<?x12xf32> -> tensor<?x3x4xf32>
  %b = grow.reshape %a : tensor<?x3x4xf32> -> tensor<?x2x6xf32>
  %c = grow.reshape %a : tensor<?x3x4xf32> -> tensor<?x12xf32>
  return %b, %c : tensor<?x2x6xf32>, tensor<?x12xf32>
}
