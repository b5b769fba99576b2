// RUN: cambium-opt %s --grow-differentiate='function=distance result=train' | FileCheck %s

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @p : tensor<3xf32> in @g init(#grow.zero)

func.func @distance(%t: tensor<3xf32>) -> tensor<f32> {
  %p = grow.get @p : tensor<3xf32>
  %d = grow.mse %p, %t : (tensor<3xf32>, tensor<3xf32>) -> tensor<f32>
  return %d : tensor<f32>
}

// CHECK: func.func @distance(
// CHECK: func.func @train(
// CHECK-SAME: -> (tensor<f32>, tensor<3xf32> {grow.gradient = @p})
