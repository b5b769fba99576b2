// RUN: not cambium-opt %s --grow-merge-branches="map=other" 2>&1 | FileCheck %s --check-prefix=MAP
// RUN: not cambium-opt %s --grow-merge-branches="map=rectified" 2>&1 | FileCheck %s --check-prefix=LINEAR
// RUN: not cambium-opt %s --grow-merge-branches="map=shared" 2>&1 | FileCheck %s --check-prefix=SHARED
// RUN: not cambium-opt %s --grow-merge-branches="map=none" 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not cambium-opt %s --grow-merge-branches="map=rectified group=other" 2>&1 | FileCheck %s --check-prefix=GROUP

// MAP: error: there is no map 'other' to merge; the network has 'rectified', 'shared', 'none'
// LINEAR: error: cannot merge 'rectified': its branches are no single layer: {{.*}}grow.relu
// SHARED: error: cannot merge 'shared': its parameter 'w1' is shared with another layer
// SHARED: note: read here
// NONE: error: cannot merge 'none': it has no branch with parameters
// GROUP: error: there is no optimizer group 'other'

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<4x4xf32> in @g init(#grow.kaiming)
grow.param @w1 : tensor<4x4xf32> in @g init(#grow.kaiming)

func.func @forward(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %w0 = grow.get @w0 : tensor<4x4xf32>
  %0 = grow.map "rectified" sum (%x) over [(%w0), (%w0)] {
  ^bb0(%in: tensor<?x4xf32>, %f: tensor<4x4xf32>):
    %l = grow.linear %in, %f : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    %r = grow.relu %l : tensor<?x4xf32>
    grow.yield %r : tensor<?x4xf32>
  }
  %w1 = grow.get @w1 : tensor<4x4xf32>
  %1 = grow.map "shared" sum (%0) over [(%w1)] {
  ^bb0(%in: tensor<?x4xf32>, %f: tensor<4x4xf32>):
    %l = grow.linear %in, %f : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    grow.yield %l : tensor<?x4xf32>
  }
  %2 = grow.map "none" sum (%1) over [] {
  ^bb0(%in: tensor<?x4xf32>, %f: tensor<4x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  %3 = grow.linear %2, %w1 : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  return %3 : tensor<?x4xf32>
}
