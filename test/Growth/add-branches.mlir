// RUN: cambium-opt %s --grow-add-branches="map=block count=2 group=grown" | FileCheck %s
// RUN: cambium-opt %s --grow-add-branches="map=block group=grown init=copy branch=0" | FileCheck %s --check-prefix=COPY
// RUN: cambium-opt %s --grow-add-branches="map=block group=grown init=kaiming kernel=5x5" | FileCheck %s --check-prefix=WIDE

// A growth by branches of the same shape declares parameters and makes an operand
// list longer: no operation of the function is new but the reads.

// CHECK:       grow.param @block.0.w : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
// CHECK-NEXT:  grow.param @block.1.w : tensor<3x3x4x6xf32> in @grown init(#grow.zero)
// CHECK-NEXT:  grow.param @block.2.w : tensor<3x3x4x6xf32> in @grown init(#grow.zero)
// CHECK-LABEL: func.func @forward
// CHECK:         %[[W0:.*]] = grow.get @block.0.w
// CHECK-NEXT:    %[[W1:.*]] = grow.get @block.1.w
// CHECK-NEXT:    %[[W2:.*]] = grow.get @block.2.w
// CHECK-NEXT:    grow.map "block" sum (%{{.*}}) over [(%[[W0]]), (%[[W1]]), (%[[W2]])]
// CHECK-NOT:   @carry

// A copy takes the other's values at that moment.

// COPY: grow.param @block.1.w : tensor<3x3x4x6xf32> in @grown init(#grow.copy<@block.0.w>)

// Branches of another window have a map of their own beside the first; padding
// keeps the extents.

// WIDE:       grow.param @block.5x5.0.w : tensor<5x5x4x6xf32> in @grown init(#grow.kaiming)
// WIDE:       %[[OLD:.*]] = grow.map "block" sum
// WIDE:       %[[NEW:.*]] = grow.map "block.5x5" sum
// WIDE:         grow.conv2d %{{.*}}, %{{.*}} padding [2, 2
// WIDE:       grow.add %[[OLD]], %[[NEW]]

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.group @grown {optimizer = #grow.adamw, lr = 0.1}
grow.param @block.0.w : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)

func.func @forward(%x: tensor<?x9x9x4xf32>) -> tensor<?x9x9x6xf32> {
  %w = grow.get @block.0.w : tensor<3x3x4x6xf32>
  %y = grow.map "block" sum (%x) over [(%w)] {
  ^bb0(%in: tensor<?x9x9x4xf32>, %f: tensor<3x3x4x6xf32>):
    %c = grow.conv2d %in, %f padding [1, 1]
        : (tensor<?x9x9x4xf32>, tensor<3x3x4x6xf32>) -> tensor<?x9x9x6xf32>
    grow.yield %c : tensor<?x9x9x6xf32>
  }
  return %y : tensor<?x9x9x6xf32>
}
