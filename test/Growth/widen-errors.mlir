// RUN: not cambium-opt %s --grow-widen="layer=other group=g" 2>&1 | FileCheck %s --check-prefix=LAYER
// RUN: not cambium-opt %s --grow-widen="layer=w group=none" 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not cambium-opt %s --grow-widen="layer=w group=g count=0" 2>&1 | FileCheck %s --check-prefix=COUNT
// RUN: not cambium-opt %s --grow-widen="layer=w group=g init=copy" 2>&1 | FileCheck %s --check-prefix=COPY
// RUN: not cambium-opt %s --grow-widen="layer=b group=g" 2>&1 | FileCheck %s --check-prefix=BIAS
// RUN: not cambium-opt %s --grow-widen="layer=w group=g" 2>&1 | FileCheck %s --check-prefix=GROUPS
// RUN: not cambium-opt %s --grow-widen="layer=last.w group=g" 2>&1 | FileCheck %s --check-prefix=RETURN

// LAYER: error: there is no map 'other' to widen; the network has none
// GROUP: error: there is no optimizer group 'none'
// COUNT: error: cannot widen 'w' by 0 channels; it must be between 1 and
// COPY: error: cannot widen 'w' by copies; use zero, constant or kaiming
// BIAS: error: cannot widen 'b': it is not the filter or matrix that one layer reads; name such a parameter, or a map
// GROUPS: error: cannot widen 'w': a convolution with groups takes its channels; widen it before the groups, or not at all
// RETURN: error: cannot widen 'last.w': the function would return more channels; a layer must take them in before

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<3x3x4x4xf32> in @g init(#grow.kaiming)
grow.param @b : tensor<4xf32> in @g init(#grow.zero)
grow.param @grouped.w : tensor<3x3x2x4xf32> in @g init(#grow.kaiming)
grow.param @last.w : tensor<3x3x4x4xf32> in @g init(#grow.kaiming)

func.func @forward(%x: tensor<?x9x9x4xf32>) -> tensor<?x9x9x4xf32> {
  %w = grow.get @w : tensor<3x3x4x4xf32>
  %0 = grow.conv2d %x, %w padding [1, 1] : (tensor<?x9x9x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x9x9x4xf32>
  %b = grow.get @b : tensor<4xf32>
  %1 = grow.bias_add %0, %b : (tensor<?x9x9x4xf32>, tensor<4xf32>) -> tensor<?x9x9x4xf32>
  %v = grow.get @grouped.w : tensor<3x3x2x4xf32>
  %2 = grow.conv2d %1, %v padding [1, 1] groups 2 : (tensor<?x9x9x4xf32>, tensor<3x3x2x4xf32>) -> tensor<?x9x9x4xf32>
  %u = grow.get @last.w : tensor<3x3x4x4xf32>
  %3 = grow.conv2d %2, %u padding [1, 1] : (tensor<?x9x9x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x9x9x4xf32>
  return %3 : tensor<?x9x9x4xf32>
}
