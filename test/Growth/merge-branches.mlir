// RUN: cambium-opt %s --split-input-file --grow-merge-branches="map=block" | FileCheck %s

// Two windows, two maps: one filter of the largest window is left, and one bias.
// @carry says what they are worth: the expression that grow-collapse would
// evaluate in every step.

// CHECK-NOT:   @block.0.w
// CHECK:       grow.param @block.merged.w : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
// CHECK-NEXT:  grow.param @block.merged.b : tensor<6xf32> in @base init(#grow.zero)
// CHECK-LABEL: func.func @forward
// CHECK-DAG:     %[[W:.*]] = grow.get @block.merged.w
// CHECK-DAG:     %[[B:.*]] = grow.get @block.merged.b
// CHECK:         %[[Y:.*]] = grow.map "block" sum (%{{.*}}) over [(%[[W]], %[[B]])] {
// CHECK-NEXT:    ^bb0(%[[IN:.*]]: tensor<?x9x9x4xf32>, %[[F:.*]]: tensor<3x3x4x6xf32>, %[[V:.*]]: tensor<6xf32>):
// CHECK-NEXT:      %[[C:.*]] = grow.conv2d %[[IN]], %[[F]] padding [1, 1]
// CHECK-NEXT:      %[[R:.*]] = grow.bias_add %[[C]], %[[V]]
// CHECK-NEXT:      grow.yield %[[R]]
// CHECK:         return %[[Y]]
// CHECK-LABEL: func.func private @carry(
// CHECK-DAG:     {{%.*}}: tensor<3x3x4x6xf32> {grow.from = "block.0.w"}
// CHECK-DAG:     {{%.*}}: tensor<1x1x4x6xf32> {grow.from = "block.1x1.0.w"}
// CHECK-SAME:    -> (tensor<3x3x4x6xf32> {grow.to = "block.merged.w"}, tensor<6xf32> {grow.to = "block.merged.b"})
// CHECK:         grow.weight_pad
// CHECK:         grow.weight_sum

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.param @block.0.w : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @block.0.b : tensor<6xf32> in @base init(#grow.zero)
grow.param @block.1.w : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @block.1.b : tensor<6xf32> in @base init(#grow.zero)
grow.param @block.1x1.0.w : tensor<1x1x4x6xf32> in @base init(#grow.kaiming)
grow.param @block.1x1.0.b : tensor<6xf32> in @base init(#grow.zero)

func.func @forward(%x: tensor<?x9x9x4xf32>) -> tensor<?x9x9x6xf32> {
  %w0 = grow.get @block.0.w : tensor<3x3x4x6xf32>
  %b0 = grow.get @block.0.b : tensor<6xf32>
  %w1 = grow.get @block.1.w : tensor<3x3x4x6xf32>
  %b1 = grow.get @block.1.b : tensor<6xf32>
  %0 = grow.map "block" sum (%x) over [(%w0, %b0), (%w1, %b1)] {
  ^bb0(%in: tensor<?x9x9x4xf32>, %w: tensor<3x3x4x6xf32>, %b: tensor<6xf32>):
    %c = grow.conv2d %in, %w padding [1, 1]
        : (tensor<?x9x9x4xf32>, tensor<3x3x4x6xf32>) -> tensor<?x9x9x6xf32>
    %r = grow.bias_add %c, %b : (tensor<?x9x9x6xf32>, tensor<6xf32>) -> tensor<?x9x9x6xf32>
    grow.yield %r : tensor<?x9x9x6xf32>
  }
  %w2 = grow.get @block.1x1.0.w : tensor<1x1x4x6xf32>
  %b2 = grow.get @block.1x1.0.b : tensor<6xf32>
  %1 = grow.map "block.1x1" sum (%x) over [(%w2, %b2)] {
  ^bb0(%in: tensor<?x9x9x4xf32>, %w: tensor<1x1x4x6xf32>, %b: tensor<6xf32>):
    %c = grow.conv2d %in, %w
        : (tensor<?x9x9x4xf32>, tensor<1x1x4x6xf32>) -> tensor<?x9x9x6xf32>
    %r = grow.bias_add %c, %b : (tensor<?x9x9x6xf32>, tensor<6xf32>) -> tensor<?x9x9x6xf32>
    grow.yield %r : tensor<?x9x9x6xf32>
  }
  %2 = grow.add %0, %1 : tensor<?x9x9x6xf32>
  return %2 : tensor<?x9x9x6xf32>
}
