// Of a normalised branch only the batch's statistics, two vectors of 16 bytes,
// are kept, since they move the running ones at the end.
//
// RUN: cambium-opt %s -split-input-file --grow-train --grow-plan-memory="batch=16 print" -o /dev/null 2>&1 | FileCheck %s

// CHECK: @step, batch 16
// CHECK:       [[ACTIVATION:[0-9]+]]  peak of activation
// CHECK-NEXT:       32896  peak of kept for backward
// CHECK:       [[WORKSPACE:[0-9]+]]  peak of workspace
// CHECK: @step, batch 16
// CHECK:       [[ACTIVATION]]  peak of activation
// CHECK-NEXT:       33024  peak of kept for backward
// CHECK:       [[WORKSPACE]]  peak of workspace

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s0 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h0 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m0 : tensor<4xf32> init(#grow.zero)
grow.state @v0 : tensor<4xf32> init(#grow.zero)
grow.param @w1 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s1 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h1 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m1 : tensor<4xf32> init(#grow.zero)
grow.state @v1 : tensor<4xf32> init(#grow.zero)
grow.param @w2 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s2 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h2 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m2 : tensor<4xf32> init(#grow.zero)
grow.state @v2 : tensor<4xf32> init(#grow.zero)
grow.param @w3 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s3 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h3 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m3 : tensor<4xf32> init(#grow.zero)
grow.state @v3 : tensor<4xf32> init(#grow.zero)
grow.param @bias : tensor<4xf32> in @g init(#grow.zero)
func.func @loss(%image: tensor<?x8x8x4xf32>, %t: tensor<?x8x8x4xf32>) -> tensor<f32> {
  %bias = grow.get @bias : tensor<4xf32>
  %x = grow.bias_add %image, %bias : (tensor<?x8x8x4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
  %w0 = grow.get @w0 : tensor<3x3x4x4xf32>
  %s0 = grow.get @s0 : tensor<4xf32>
  %h0 = grow.get @h0 : tensor<4xf32>
  %m0 = grow.get @m0 : tensor<4xf32>
  %v0 = grow.get @v0 : tensor<4xf32>
  %w1 = grow.get @w1 : tensor<3x3x4x4xf32>
  %s1 = grow.get @s1 : tensor<4xf32>
  %h1 = grow.get @h1 : tensor<4xf32>
  %m1 = grow.get @m1 : tensor<4xf32>
  %v1 = grow.get @v1 : tensor<4xf32>
  %w2 = grow.get @w2 : tensor<3x3x4x4xf32>
  %s2 = grow.get @s2 : tensor<4xf32>
  %h2 = grow.get @h2 : tensor<4xf32>
  %m2 = grow.get @m2 : tensor<4xf32>
  %v2 = grow.get @v2 : tensor<4xf32>
  %w3 = grow.get @w3 : tensor<3x3x4x4xf32>
  %s3 = grow.get @s3 : tensor<4xf32>
  %h3 = grow.get @h3 : tensor<4xf32>
  %m3 = grow.get @m3 : tensor<4xf32>
  %v3 = grow.get @v3 : tensor<4xf32>
  %y = grow.map "block" sum (%x) over [(%w0, %s0, %h0, %m0, %v0), (%w1, %s1, %h1, %m1, %v1), (%w2, %s2, %h2, %m2, %v2), (%w3, %s3, %h3, %m3, %v3)] {
  ^bb0(%in: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x4xf32>, %s: tensor<4xf32>, %h: tensor<4xf32>, %m: tensor<4xf32>, %v: tensor<4xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x8x8x4xf32>
    %n = grow.batch_norm %c, %s, %h, %m, %v : (tensor<?x8x8x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
    %y = grow.relu %n : tensor<?x8x8x4xf32>
    grow.yield %y : tensor<?x8x8x4xf32>
  }
  %l = grow.mse %y, %t : (tensor<?x8x8x4xf32>, tensor<?x8x8x4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s0 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h0 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m0 : tensor<4xf32> init(#grow.zero)
grow.state @v0 : tensor<4xf32> init(#grow.zero)
grow.param @w1 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s1 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h1 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m1 : tensor<4xf32> init(#grow.zero)
grow.state @v1 : tensor<4xf32> init(#grow.zero)
grow.param @w2 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s2 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h2 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m2 : tensor<4xf32> init(#grow.zero)
grow.state @v2 : tensor<4xf32> init(#grow.zero)
grow.param @w3 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s3 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h3 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m3 : tensor<4xf32> init(#grow.zero)
grow.state @v3 : tensor<4xf32> init(#grow.zero)
grow.param @w4 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s4 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h4 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m4 : tensor<4xf32> init(#grow.zero)
grow.state @v4 : tensor<4xf32> init(#grow.zero)
grow.param @w5 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s5 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h5 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m5 : tensor<4xf32> init(#grow.zero)
grow.state @v5 : tensor<4xf32> init(#grow.zero)
grow.param @w6 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s6 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h6 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m6 : tensor<4xf32> init(#grow.zero)
grow.state @v6 : tensor<4xf32> init(#grow.zero)
grow.param @w7 : tensor<3x3x4x4xf32> in @g init(#grow.zero)
grow.param @s7 : tensor<4xf32> in @g init(#grow.zero)
grow.param @h7 : tensor<4xf32> in @g init(#grow.zero)
grow.state @m7 : tensor<4xf32> init(#grow.zero)
grow.state @v7 : tensor<4xf32> init(#grow.zero)
grow.param @bias : tensor<4xf32> in @g init(#grow.zero)
func.func @loss(%image: tensor<?x8x8x4xf32>, %t: tensor<?x8x8x4xf32>) -> tensor<f32> {
  %bias = grow.get @bias : tensor<4xf32>
  %x = grow.bias_add %image, %bias : (tensor<?x8x8x4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
  %w0 = grow.get @w0 : tensor<3x3x4x4xf32>
  %s0 = grow.get @s0 : tensor<4xf32>
  %h0 = grow.get @h0 : tensor<4xf32>
  %m0 = grow.get @m0 : tensor<4xf32>
  %v0 = grow.get @v0 : tensor<4xf32>
  %w1 = grow.get @w1 : tensor<3x3x4x4xf32>
  %s1 = grow.get @s1 : tensor<4xf32>
  %h1 = grow.get @h1 : tensor<4xf32>
  %m1 = grow.get @m1 : tensor<4xf32>
  %v1 = grow.get @v1 : tensor<4xf32>
  %w2 = grow.get @w2 : tensor<3x3x4x4xf32>
  %s2 = grow.get @s2 : tensor<4xf32>
  %h2 = grow.get @h2 : tensor<4xf32>
  %m2 = grow.get @m2 : tensor<4xf32>
  %v2 = grow.get @v2 : tensor<4xf32>
  %w3 = grow.get @w3 : tensor<3x3x4x4xf32>
  %s3 = grow.get @s3 : tensor<4xf32>
  %h3 = grow.get @h3 : tensor<4xf32>
  %m3 = grow.get @m3 : tensor<4xf32>
  %v3 = grow.get @v3 : tensor<4xf32>
  %w4 = grow.get @w4 : tensor<3x3x4x4xf32>
  %s4 = grow.get @s4 : tensor<4xf32>
  %h4 = grow.get @h4 : tensor<4xf32>
  %m4 = grow.get @m4 : tensor<4xf32>
  %v4 = grow.get @v4 : tensor<4xf32>
  %w5 = grow.get @w5 : tensor<3x3x4x4xf32>
  %s5 = grow.get @s5 : tensor<4xf32>
  %h5 = grow.get @h5 : tensor<4xf32>
  %m5 = grow.get @m5 : tensor<4xf32>
  %v5 = grow.get @v5 : tensor<4xf32>
  %w6 = grow.get @w6 : tensor<3x3x4x4xf32>
  %s6 = grow.get @s6 : tensor<4xf32>
  %h6 = grow.get @h6 : tensor<4xf32>
  %m6 = grow.get @m6 : tensor<4xf32>
  %v6 = grow.get @v6 : tensor<4xf32>
  %w7 = grow.get @w7 : tensor<3x3x4x4xf32>
  %s7 = grow.get @s7 : tensor<4xf32>
  %h7 = grow.get @h7 : tensor<4xf32>
  %m7 = grow.get @m7 : tensor<4xf32>
  %v7 = grow.get @v7 : tensor<4xf32>
  %y = grow.map "block" sum (%x) over [(%w0, %s0, %h0, %m0, %v0), (%w1, %s1, %h1, %m1, %v1), (%w2, %s2, %h2, %m2, %v2), (%w3, %s3, %h3, %m3, %v3), (%w4, %s4, %h4, %m4, %v4), (%w5, %s5, %h5, %m5, %v5), (%w6, %s6, %h6, %m6, %v6), (%w7, %s7, %h7, %m7, %v7)] {
  ^bb0(%in: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x4xf32>, %s: tensor<4xf32>, %h: tensor<4xf32>, %m: tensor<4xf32>, %v: tensor<4xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x8x8x4xf32>
    %n = grow.batch_norm %c, %s, %h, %m, %v : (tensor<?x8x8x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x8x8x4xf32>
    %y = grow.relu %n : tensor<?x8x8x4xf32>
    grow.yield %y : tensor<?x8x8x4xf32>
  }
  %l = grow.mse %y, %t : (tensor<?x8x8x4xf32>, tensor<?x8x8x4xf32>) -> tensor<f32>
  return %l : tensor<f32>
}
