// RUN: cambium-translate --grow-to-cuda -split-input-file -verify-diagnostics %s

// Kernels are printed as they are: those for the host have no tile for blocks.

// expected-error @below {{'grow.kernel' op needs blocks for its contraction}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %0 = grow.linear %x, %w : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
}

// -----

// A network goes through the pipeline, whose errors are those of the tool.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<3x3xf32> in @g init(#grow.zero)
// expected-error @below {{'func.func' op cannot be differentiated: it must return one 'tensor<f32>', the loss, but returns 'tensor<?x3xf32>'}}
func.func @loss(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %w = grow.get @w : tensor<3x3xf32>
  %y = grow.linear %x, %w : (tensor<?x3xf32>, tensor<3x3xf32>) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}
