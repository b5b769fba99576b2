// RUN: cambium-opt %s --grow-lower-to-emitc -split-input-file -verify-diagnostics

// expected-error @below {{'grow.kernel' op computes nothing}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>):
  grow.yield %x : tensor<?x?xf32>
}

// -----

// expected-error @below {{'grow.kernel' op yields nothing}}
grow.kernel @k {
^bb0(%w: tensor<3x3x?x?xf32>):
  %0 = grow.weight_crop %w [1, 1, 1, 1] : (tensor<3x3x?x?xf32>) -> tensor<1x1x?x?xf32>
  grow.yield
}

// -----

grow.kernel @k {
^bb0(%x: tensor<?x?x?x?xf32>):
  %0 = grow.relu %x : tensor<?x?x?x?xf32>
  // expected-error @below {{'grow.global_avg_pool' op cannot share a kernel with other operations}}
  %1 = grow.global_avg_pool %0 : (tensor<?x?x?x?xf32>) -> tensor<?x?xf32>
  grow.yield %1 : tensor<?x?xf32>
}

// -----

grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %b: tensor<?xf32>):
  %0 = grow.relu %b : tensor<?xf32>
  // expected-error @below {{takes a vector over channels that the kernel computes itself; it must be an argument}}
  %1 = grow.bias_add %x, %0 : (tensor<?x?xf32>, tensor<?xf32>) -> tensor<?x?xf32>
  grow.yield %1 : tensor<?x?xf32>
}

// -----

// expected-error @below {{'grow.kernel' op must yield results of its operation, each at most once}}
grow.kernel @k {
^bb0(%x: tensor<?x?x?x?xf32>):
  %0 = grow.global_avg_pool %x : (tensor<?x?x?x?xf32>) -> tensor<?x?xf32>
  grow.yield %0, %0 : tensor<?x?xf32>, tensor<?x?xf32>
}

// -----

// expected-error @below {{'grow.kernel' op needs blocks for its contraction}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %0 = grow.linear %x, %w : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
}

// -----

grow.kernel @k {
^bb0(%g: tensor<?xf32>, %other: tensor<?xf32>):
  // expected-error @below {{'grow.optimizer' op takes the gradient as the kernel's only argument}}
  grow.optimizer #grow.sgd by %g : tensor<?xf32>
  grow.yield
}
