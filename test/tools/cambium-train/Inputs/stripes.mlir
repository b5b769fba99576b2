grow.group @base {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.05}
grow.param @conv.w : tensor<3x3x1x4xf32> in @base init(#grow.kaiming)
grow.param @classes.w : tensor<4x3xf32> in @base init(#grow.kaiming)

func.func @forward(%x: tensor<?x8x8x1xf32>) -> tensor<?x3xf32> {
  %w0 = grow.get @conv.w : tensor<3x3x1x4xf32>
  %c0 = grow.map "stripes" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x8x8x1xf32>, %w: tensor<3x3x1x4xf32>):
    %c = grow.conv2d %in, %w padding [1, 1]
        : (tensor<?x8x8x1xf32>, tensor<3x3x1x4xf32>) -> tensor<?x8x8x4xf32>
    grow.yield %c : tensor<?x8x8x4xf32>
  }
  %r = grow.relu %c0 : tensor<?x8x8x4xf32>
  %p = grow.global_avg_pool %r : (tensor<?x8x8x4xf32>) -> tensor<?x4xf32>
  %w1 = grow.get @classes.w : tensor<4x3xf32>
  %z = grow.linear %p, %w1 : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  return %z : tensor<?x3xf32>
}

func.func @loss(%x: tensor<?x8x8x1xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  %z = func.call @forward(%x) : (tensor<?x8x8x1xf32>) -> tensor<?x3xf32>
  %l = grow.softmax_cross_entropy %z, %labels
      : (tensor<?x3xf32>, tensor<?xi32>) -> tensor<f32>
  return %l : tensor<f32>
}
