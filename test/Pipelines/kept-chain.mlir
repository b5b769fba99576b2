// Branches that are computed one by one and again for their gradients: what is
// kept, alive at once, and asked for as workspace is the same for four and for
// eight.
//
// RUN: cambium-opt %s -split-input-file --grow-train --grow-plan-memory="batch=16 print" -o /dev/null 2>&1 | FileCheck %s

// CHECK: @step, batch 16
// CHECK:       [[ACTIVATION:[0-9]+]]  peak of activation
// CHECK-NEXT:       32768  peak of kept for backward
// CHECK:       [[WORKSPACE:[0-9]+]]  peak of workspace
// CHECK: @step, batch 16
// CHECK:       [[ACTIVATION]]  peak of activation
// CHECK-NEXT:       32768  peak of kept for backward
// CHECK:       [[WORKSPACE]]  peak of workspace

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u0 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w1 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u1 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w2 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u2 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w3 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u3 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @bias : tensor<4xf32> in @g init(#grow.zero)
func.func @loss(%image: tensor<?x8x8x4xf32>, %t: tensor<?x8x8x4xf32>) -> tensor<f32> {
  %bias = grow.get @bias : tensor<4xf32>
  %x = grow.bias_add %image, %bias : (tensor<?x8x8x4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
  %w0 = grow.get @w0 : tensor<3x3x4x4xf32>
  %u0 = grow.get @u0 : tensor<3x3x4x4xf32>
  %w1 = grow.get @w1 : tensor<3x3x4x4xf32>
  %u1 = grow.get @u1 : tensor<3x3x4x4xf32>
  %w2 = grow.get @w2 : tensor<3x3x4x4xf32>
  %u2 = grow.get @u2 : tensor<3x3x4x4xf32>
  %w3 = grow.get @w3 : tensor<3x3x4x4xf32>
  %u3 = grow.get @u3 : tensor<3x3x4x4xf32>
  %y = grow.map "block" sum (%x) over [(%w0, %u0), (%w1, %u1), (%w2, %u2), (%w3, %u3)] {
  ^bb0(%in: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x4xf32>, %u: tensor<3x3x4x4xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x8x8x4xf32>
    %r = grow.relu %c : tensor<?x8x8x4xf32>
    %y = grow.conv2d %r, %u padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x8x8x4xf32>
    grow.yield %y : tensor<?x8x8x4xf32>
  }
  %l = grow.mse %y, %t : (tensor<?x8x8x4xf32>, tensor<?x8x8x4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u0 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w1 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u1 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w2 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u2 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w3 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u3 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w4 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u4 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w5 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u5 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w6 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u6 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @w7 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @u7 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @bias : tensor<4xf32> in @g init(#grow.zero)
func.func @loss(%image: tensor<?x8x8x4xf32>, %t: tensor<?x8x8x4xf32>) -> tensor<f32> {
  %bias = grow.get @bias : tensor<4xf32>
  %x = grow.bias_add %image, %bias : (tensor<?x8x8x4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
  %w0 = grow.get @w0 : tensor<3x3x4x4xf32>
  %u0 = grow.get @u0 : tensor<3x3x4x4xf32>
  %w1 = grow.get @w1 : tensor<3x3x4x4xf32>
  %u1 = grow.get @u1 : tensor<3x3x4x4xf32>
  %w2 = grow.get @w2 : tensor<3x3x4x4xf32>
  %u2 = grow.get @u2 : tensor<3x3x4x4xf32>
  %w3 = grow.get @w3 : tensor<3x3x4x4xf32>
  %u3 = grow.get @u3 : tensor<3x3x4x4xf32>
  %w4 = grow.get @w4 : tensor<3x3x4x4xf32>
  %u4 = grow.get @u4 : tensor<3x3x4x4xf32>
  %w5 = grow.get @w5 : tensor<3x3x4x4xf32>
  %u5 = grow.get @u5 : tensor<3x3x4x4xf32>
  %w6 = grow.get @w6 : tensor<3x3x4x4xf32>
  %u6 = grow.get @u6 : tensor<3x3x4x4xf32>
  %w7 = grow.get @w7 : tensor<3x3x4x4xf32>
  %u7 = grow.get @u7 : tensor<3x3x4x4xf32>
  %y = grow.map "block" sum (%x) over [(%w0, %u0), (%w1, %u1), (%w2, %u2), (%w3, %u3), (%w4, %u4), (%w5, %u5), (%w6, %u6), (%w7, %u7)] {
  ^bb0(%in: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x4xf32>, %u: tensor<3x3x4x4xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x8x8x4xf32>
    %r = grow.relu %c : tensor<?x8x8x4xf32>
    %y = grow.conv2d %r, %u padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x8x8x4xf32>
    grow.yield %y : tensor<?x8x8x4xf32>
  }
  %l = grow.mse %y, %t : (tensor<?x8x8x4xf32>, tensor<?x8x8x4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
