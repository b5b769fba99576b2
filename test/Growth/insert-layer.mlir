// RUN: cambium-opt %s --grow-insert-layer="after=conv.w name=deeper group=grown kernel=5x3" | FileCheck %s
// RUN: cambium-opt %s --grow-insert-layer="after=block name=deeper group=grown" | FileCheck %s --check-prefix=MAP

// The layer comes behind the bias and the activation of the layer that it is
// named after. Its last filter is zero, so the network computes the same; the first
// one is not, so that the last has a gradient. As a map it can grow in its turn.

// CHECK:       grow.param @deeper.0.first : tensor<5x3x6x6xf32> in @grown init(#grow.kaiming)
// CHECK-NEXT:  grow.param @deeper.0.b : tensor<6xf32> in @grown init(#grow.zero)
// CHECK-NEXT:  grow.param @deeper.0.second : tensor<1x1x6x6xf32> in @grown init(#grow.zero)
// CHECK-LABEL: func.func @forward
// CHECK:         %[[X:.*]] = grow.relu
// CHECK:         %[[D:.*]] = grow.map "deeper" sum (%[[X]]) over [(%{{.*}}, %{{.*}}, %{{.*}})] {
// CHECK:           %[[A:.*]] = grow.conv2d %{{.*}}, %{{.*}} padding [2, 1]
// CHECK-NEXT:      %[[B:.*]] = grow.bias_add %[[A]]
// CHECK-NEXT:      %[[C:.*]] = grow.relu %[[B]]
// CHECK-NEXT:      %[[E:.*]] = grow.conv2d %[[C]]
// CHECK-NEXT:      grow.yield %[[E]]
// CHECK:         %[[Y:.*]] = grow.add %[[X]], %[[D]]
// CHECK:         grow.global_avg_pool %[[Y]]

// Behind a map of rows the new layer is linear.

// MAP:       grow.param @deeper.0.first : tensor<3x3xf32>
// MAP:       %[[X:.*]] = grow.map "block"
// MAP:       %[[D:.*]] = grow.map "deeper" sum (%[[X]])
// MAP:         grow.linear
// MAP:         grow.linear
// MAP:       %[[Y:.*]] = grow.add %[[X]], %[[D]]
// MAP:       return %[[Y]]

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.group @grown {optimizer = #grow.adamw, lr = 0.1}
grow.param @conv.w : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @conv.b : tensor<6xf32> in @base init(#grow.zero)
grow.param @block.0.w : tensor<6x3xf32> in @base init(#grow.kaiming)

func.func @forward(%x: tensor<?x9x9x4xf32>) -> tensor<?x3xf32> {
  %w = grow.get @conv.w : tensor<3x3x4x6xf32>
  %b = grow.get @conv.b : tensor<6xf32>
  %c = grow.conv2d %x, %w padding [1, 1]
      : (tensor<?x9x9x4xf32>, tensor<3x3x4x6xf32>) -> tensor<?x9x9x6xf32>
  %d = grow.bias_add %c, %b : (tensor<?x9x9x6xf32>, tensor<6xf32>) -> tensor<?x9x9x6xf32>
  %r = grow.relu %d : tensor<?x9x9x6xf32>
  %p = grow.global_avg_pool %r : (tensor<?x9x9x6xf32>) -> tensor<?x6xf32>
  %v = grow.get @block.0.w : tensor<6x3xf32>
  %y = grow.map "block" sum (%p) over [(%v)] {
  ^bb0(%in: tensor<?x6xf32>, %f: tensor<6x3xf32>):
    %l = grow.linear %in, %f : (tensor<?x6xf32>, tensor<6x3xf32>) -> tensor<?x3xf32>
    grow.yield %l : tensor<?x3xf32>
  }
  return %y : tensor<?x3xf32>
}
