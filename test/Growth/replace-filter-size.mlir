// RUN: cambium-opt %s --grow-replace-filter-size="map=block kernel=5x5" | FileCheck %s
// RUN: cambium-opt %s --grow-replace-filter-size="map=block kernel=1x1 branches=1" | FileCheck %s --check-prefix=ONE
// RUN: not cambium-opt %s --grow-replace-filter-size="map=block kernel=3x3" 2>&1 | FileCheck %s --check-prefix=SAME
// RUN: not cambium-opt %s --grow-replace-filter-size="map=block kernel=0x3" 2>&1 | FileCheck %s --check-prefix=ZERO
// RUN: not cambium-opt %s --grow-replace-filter-size="map=block kernel=5x5 branches=2" 2>&1 | FileCheck %s --check-prefix=INDEX
// RUN: not cambium-opt %s --grow-replace-filter-size="map=rows kernel=5x5" 2>&1 | FileCheck %s --check-prefix=ROWS

// All branches: the map stays, with new filters in the groups of the old ones. The
// old values are in their middle.

// CHECK-NOT:   @block.0.w :
// CHECK:       grow.param @block.0.w.1 : tensor<5x5x4x4xf32> in @base init(#grow.kaiming)
// CHECK-NEXT:  grow.param @block.1.w.1 : tensor<5x5x4x4xf32> in @grown init(#grow.zero)
// CHECK:       grow.map "block" sum
// CHECK:         grow.conv2d %{{.*}}, %{{.*}} padding [2, 2
// CHECK:       func.func private @carry
// CHECK-NEXT:    grow.weight_pad %{{.*}} [1, 1, 1, 1] : (tensor<3x3x4x4xf32>) -> tensor<5x5x4x4xf32>

// One branch: it goes to a map beside the others.

// ONE:       grow.map "block" sum (%{{.*}}) over [(%{{[^)]*}})] {
// ONE:       grow.map "block.1x1" sum (%{{.*}}) over [(%{{[^)]*}})] {
// ONE:       grow.weight_crop %{{.*}} [1, 1, 1, 1]

// SAME: error: the branches of 'block' have that filter size already
// ZERO: error: cannot replace the filter size of 'block' by 0x3; extents are at least 1
// INDEX: error: cannot replace the filter size of branch 2 of 'block', which has 2, counted from 0
// ROWS: error: the branches of 'rows' have no filter size: their body needs one convolution

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.group @grown {optimizer = #grow.adamw, lr = 0.1}
grow.param @block.0.w : tensor<3x3x4x4xf32> in @base init(#grow.kaiming)
grow.param @block.1.w : tensor<3x3x4x4xf32> in @grown init(#grow.zero)

func.func @forward(%x: tensor<?x9x9x4xf32>) -> tensor<?x9x9x4xf32> {
  %w0 = grow.get @block.0.w : tensor<3x3x4x4xf32>
  %w1 = grow.get @block.1.w : tensor<3x3x4x4xf32>
  %0 = grow.map "block" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x9x9x4xf32>, %f: tensor<3x3x4x4xf32>):
    %c = grow.conv2d %in, %f padding [1, 1]
        : (tensor<?x9x9x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x9x9x4xf32>
    grow.yield %c : tensor<?x9x9x4xf32>
  }
  %1 = grow.map "rows" sum (%0) over [] {
  ^bb0(%in: tensor<?x9x9x4xf32>):
    grow.yield %in : tensor<?x9x9x4xf32>
  }
  return %1 : tensor<?x9x9x4xf32>
}
