// RUN: not cambium-opt %s --grow-insert-layer="after=other name=n group=g" 2>&1 | FileCheck %s --check-prefix=AFTER
// RUN: not cambium-opt %s --grow-insert-layer="after=w name=n group=none" 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not cambium-opt %s --grow-insert-layer="after=w name=n group=g kernel=2x3" 2>&1 | FileCheck %s --check-prefix=EVEN
// RUN: not cambium-opt %s --grow-insert-layer="after=w group=g" 2>&1 | FileCheck %s --check-prefix=NAME
// RUN: not cambium-opt %s --grow-insert-layer="after=w name=block group=g" 2>&1 | FileCheck %s --check-prefix=TAKEN
// RUN: not cambium-opt %s --grow-insert-layer="after=twice name=n group=g" 2>&1 | FileCheck %s --check-prefix=TWICE

// AFTER: error: there is no map 'other' to insert a layer after; the network has 'block'
// GROUP: error: there is no optimizer group 'none'
// EVEN: error: cannot insert a layer of kernel 2x3: extents must be odd, so that the result has the input's
// NAME: error: cannot insert a layer called '': it needs a name
// TAKEN: error: cannot insert a layer called 'block': a map has that name; choose another
// TWICE: :[[@LINE+4]]:{{.*}}: error: cannot insert a layer after 'twice': 2 operations read it; name a parameter that one layer reads, or a map

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<3x3x4x4xf32> in @g init(#grow.kaiming)
grow.param @twice : tensor<3x3x4x4xf32> in @g init(#grow.kaiming)

func.func @forward(%x: tensor<?x9x9x4xf32>) -> tensor<?x9x9x4xf32> {
  %w = grow.get @w : tensor<3x3x4x4xf32>
  %0 = grow.conv2d %x, %w padding [1, 1] : (tensor<?x9x9x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x9x9x4xf32>
  %v = grow.get @twice : tensor<3x3x4x4xf32>
  %1 = grow.conv2d %0, %v padding [1, 1] : (tensor<?x9x9x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x9x9x4xf32>
  %2 = grow.conv2d %1, %v padding [1, 1] : (tensor<?x9x9x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x9x9x4xf32>
  %3 = grow.map "block" sum (%2) over [] {
  ^bb0(%in: tensor<?x9x9x4xf32>):
    grow.yield %in : tensor<?x9x9x4xf32>
  }
  return %3 : tensor<?x9x9x4xf32>
}
