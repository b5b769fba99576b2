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

// -----

// expected-error @below {{has blocks that do not have 32 channels, or a multiple, of each tensor for 9 taps}}
grow.kernel @k blocks <m = 300, n = 64, k = 64, warps_m = 3, warps_n = 2, stages = 2, patch_h = 4, patch_w = 8, precision = tf32> {
^bb0(%x: tensor<?x?x?x?xf32>, %dy: tensor<?x?x?x?xf32>):
  %dw = grow.conv2d_grad_filter %x, %dy padding [1, 1] : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<3x3x?x?xf32>
  grow.yield %dw : tensor<3x3x?x?xf32>
}

// -----

// expected-error @below {{has blocks whose warps do not have one to three times 32 rows by 32 columns each}}
grow.kernel @k blocks <m = 288, n = 64, k = 64, warps_m = 2, warps_n = 2, stages = 2, patch_h = 4, patch_w = 8, precision = tf32> {
^bb0(%x: tensor<?x?x?x?xf32>, %dy: tensor<?x?x?x?xf32>):
  %dw = grow.conv2d_grad_filter %x, %dy padding [1, 1] : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<3x3x?x?xf32>
  grow.yield %dw : tensor<3x3x?x?xf32>
}

// -----

// expected-error @below {{has blocks whose pixels are no powers of two, at least 16 in all}}
grow.kernel @k blocks <m = 288, n = 64, k = 48, warps_m = 3, warps_n = 2, stages = 2, patch_h = 4, patch_w = 8, precision = tf32> {
^bb0(%x: tensor<?x?x?x?xf32>, %dy: tensor<?x?x?x?xf32>):
  %dw = grow.conv2d_grad_filter %x, %dy padding [1, 1] : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<3x3x?x?xf32>
  grow.yield %dw : tensor<3x3x?x?xf32>
}

// -----

// expected-error @below {{has blocks that need 131072 bytes of shared memory; make the patch smaller}}
grow.kernel @k blocks <m = 128, n = 128, k = 128, warps_m = 2, warps_n = 4, stages = 1, patch_h = 1, patch_w = 128, precision = fp32> {
^bb0(%x: tensor<?x?x?x?xf32>, %dy: tensor<?x?x?x?xf32>):
  %dw = grow.conv2d_grad_filter %x, %dy : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<1x1x?x?xf32>
  grow.yield %dw : tensor<1x1x?x?xf32>
}
