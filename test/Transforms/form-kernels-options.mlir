// RUN: not cambium-opt %s --grow-form-kernels=vector-width=7 2>&1 | FileCheck %s -DWIDTH=7
// RUN: not cambium-opt %s --grow-form-kernels=vector-width=0 2>&1 | FileCheck %s -DWIDTH=0
// RUN: not cambium-opt %s --grow-train=vector-width=-8 2>&1 | FileCheck %s -DWIDTH=-8

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4x3xf32> in @g init(#grow.kaiming)

// CHECK: error: vectors of [[WIDTH]] floats are not possible; 4, 8 and 16 are
func.func @loss(%x: tensor<?x4xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  %w = grow.get @w : tensor<4x3xf32>
  %y = grow.linear %x, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %loss = grow.softmax_cross_entropy %y, %labels : (tensor<?x3xf32>, tensor<?xi32>) -> tensor<f32>
  return %loss : tensor<f32>
}
