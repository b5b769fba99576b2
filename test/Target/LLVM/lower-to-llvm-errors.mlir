// RUN: cambium-opt %s --grow-lower-to-llvm -split-input-file -verify-diagnostics

// expected-error @below {{'grow.kernel' op needs a schedule for its contraction}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %0 = grow.linear %x, %w : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
}

// -----

// expected-error @below {{'grow.kernel' op has a schedule for vectors of 5 floats; 4, 8 and 16 are possible}}
grow.kernel @k schedule <width = 5, vectors = 1, tile = 1, tail_tile = 1> {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %0 = grow.linear %x, %w : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
}

// -----

// expected-error @below {{'grow.kernel' op has a schedule with sizes of more than 64}}
grow.kernel @k schedule <width = 8, vectors = 1, tile = 65, tail_tile = 1> {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %0 = grow.linear %x, %w : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
}

// -----

// expected-error @below {{'grow.kernel' op has a schedule with sizes that are not positive}}
grow.kernel @k schedule <width = 8, vectors = 1, tile = 0, tail_tile = 1> {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %0 = grow.linear %x, %w : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
}

// -----

// expected-error @below {{'grow.kernel' op has a schedule in order of columns, which there is not for its contraction; set order to rows}}
grow.kernel @k schedule <width = 8, vectors = 2, tile = 6, tail_tile = 4, order = columns> {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %0 = grow.linear %x, %w : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
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

// expected-error @below {{'grow.kernel' op yields nothing}}
grow.kernel @k {
^bb0(%w: tensor<3x3x?x?xf32>):
  %0 = grow.weight_crop %w [1, 1, 1, 1] : (tensor<3x3x?x?xf32>) -> tensor<1x1x?x?xf32>
  grow.yield
}
