// RUN: not cambium-opt %s --grow-remove-branches="map=other branches=0" 2>&1 | FileCheck %s --check-prefix=MAP
// RUN: not cambium-opt %s --grow-remove-branches="map=sum" 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not cambium-opt %s --grow-remove-branches="map=sum branches=2" 2>&1 | FileCheck %s --check-prefix=INDEX
// RUN: not cambium-opt %s --grow-remove-branches="map=sum branches=0,0" 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: not cambium-opt %s --grow-remove-branches="map=concat branches=1" 2>&1 | FileCheck %s --check-prefix=CONCAT

// MAP: error: there is no map 'other' to remove branches from; the network has 'sum', 'concat'
// NONE: error: name at least one branch of 'sum' to remove
// INDEX: error: cannot remove branch 2 of 'sum', which has 2 branches, counted from 0
// TWICE: error: cannot remove branch 0 of 'sum' twice; name it once
// CONCAT: error: cannot remove branches of 'concat': they are concatenated, and what reads them expects all; freeze them instead
// CONCAT: note: read here

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<4x4xf32> in @g init(#grow.kaiming)
grow.param @w1 : tensor<4x4xf32> in @g init(#grow.kaiming)

func.func @forward(%x: tensor<?x4xf32>) -> tensor<?x8xf32> {
  %w0 = grow.get @w0 : tensor<4x4xf32>
  %w1 = grow.get @w1 : tensor<4x4xf32>
  %0 = grow.map "sum" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x4xf32>, %f: tensor<4x4xf32>):
    %l = grow.linear %in, %f : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    grow.yield %l : tensor<?x4xf32>
  }
  %1 = grow.map "concat" concat (%0) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x4xf32>, %f: tensor<4x4xf32>):
    %l = grow.linear %in, %f : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    grow.yield %l : tensor<?x4xf32>
  }
  return %1 : tensor<?x8xf32>
}
