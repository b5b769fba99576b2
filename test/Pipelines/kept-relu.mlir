// Rectified branches keep the input, the result, which the loss reads, and one
// bit an element: 16 images of 8 x 8 pixels, one byte each, for each branch.
//
// RUN: cambium-opt %s -split-input-file --grow-train --grow-plan-memory="batch=16 print" -o /dev/null 2>&1 | FileCheck %s

// CHECK: @step, batch 16
// CHECK:       34816  peak of kept for backward
// CHECK: @step, batch 16
// CHECK:       36864  peak of kept for backward

// Nothing else does without bits.
//
// RUN: cambium-opt %s -split-input-file --grow-train=keep=recompute --grow-plan-memory="batch=16 print" -o /dev/null 2>&1 | FileCheck %s --check-prefix=AGAIN

// AGAIN: @step, batch 16
// AGAIN:       32768  peak of kept for backward
// AGAIN: @step, batch 16
// AGAIN:       32768  peak of kept for backward

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @b0 : tensor<4xf32> in @g init(#grow.zero)
grow.param @w1 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @b1 : tensor<4xf32> in @g init(#grow.zero)
grow.param @bias : tensor<4xf32> in @g init(#grow.zero)
func.func @loss(%image: tensor<?x8x8x4xf32>, %t: tensor<?x8x8x4xf32>) -> tensor<f32> {
  %bias = grow.get @bias : tensor<4xf32>
  %x = grow.bias_add %image, %bias : (tensor<?x8x8x4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
  %w0 = grow.get @w0 : tensor<3x3x4x4xf32>
  %b0 = grow.get @b0 : tensor<4xf32>
  %w1 = grow.get @w1 : tensor<3x3x4x4xf32>
  %b1 = grow.get @b1 : tensor<4xf32>
  %y = grow.map "block" sum (%x) over [(%w0, %b0), (%w1, %b1)] {
  ^bb0(%in: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x4xf32>, %b: tensor<4xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x8x8x4xf32>
    %z = grow.bias_add %c, %b : (tensor<?x8x8x4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
    %y = grow.relu %z : tensor<?x8x8x4xf32>
    grow.yield %y : tensor<?x8x8x4xf32>
  }
  %l = grow.mse %y, %t : (tensor<?x8x8x4xf32>, tensor<?x8x8x4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @b0 : tensor<4xf32> in @g init(#grow.zero)
grow.param @w1 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @b1 : tensor<4xf32> in @g init(#grow.zero)
grow.param @w2 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @b2 : tensor<4xf32> in @g init(#grow.zero)
grow.param @w3 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @b3 : tensor<4xf32> in @g init(#grow.zero)
grow.param @bias : tensor<4xf32> in @g init(#grow.zero)
func.func @loss(%image: tensor<?x8x8x4xf32>, %t: tensor<?x8x8x4xf32>) -> tensor<f32> {
  %bias = grow.get @bias : tensor<4xf32>
  %x = grow.bias_add %image, %bias : (tensor<?x8x8x4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
  %w0 = grow.get @w0 : tensor<3x3x4x4xf32>
  %b0 = grow.get @b0 : tensor<4xf32>
  %w1 = grow.get @w1 : tensor<3x3x4x4xf32>
  %b1 = grow.get @b1 : tensor<4xf32>
  %w2 = grow.get @w2 : tensor<3x3x4x4xf32>
  %b2 = grow.get @b2 : tensor<4xf32>
  %w3 = grow.get @w3 : tensor<3x3x4x4xf32>
  %b3 = grow.get @b3 : tensor<4xf32>
  %y = grow.map "block" sum (%x) over [(%w0, %b0), (%w1, %b1), (%w2, %b2), (%w3, %b3)] {
  ^bb0(%in: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x4xf32>, %b: tensor<4xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x8x8x4xf32>
    %z = grow.bias_add %c, %b : (tensor<?x8x8x4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
    %y = grow.relu %z : tensor<?x8x8x4xf32>
    grow.yield %y : tensor<?x8x8x4xf32>
  }
  %l = grow.mse %y, %t : (tensor<?x8x8x4xf32>, tensor<?x8x8x4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
