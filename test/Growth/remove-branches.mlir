// RUN: cambium-opt %s --split-input-file --grow-remove-branches="map=block branches=0,2" | FileCheck %s

// The parameters of the removed branches go with them; what is left keeps its
// name, and with it values and optimizer state. A branch that began as a copy of
// a removed one is now declared with the other's initial values. What another
// layer reads stays.

// CHECK-NOT:   @block.0.w
// CHECK:       grow.param @block.1.w : tensor<4x4xf32> in @base init(#grow.kaiming)
// CHECK-NEXT:  grow.param @shared : tensor<4x4xf32> in @base init(#grow.kaiming)
// CHECK-LABEL: func.func @forward
// CHECK:         %[[W1:.*]] = grow.get @block.1.w
// CHECK-NEXT:    %[[SHARED:.*]] = grow.get @shared
// CHECK-NEXT:    %[[Y:.*]] = grow.map "block" mean (%{{.*}}) over [(%[[W1]])]
// CHECK:         grow.linear %[[Y]], %[[SHARED]]

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.param @block.0.w : tensor<4x4xf32> in @base init(#grow.kaiming)
grow.param @block.1.w : tensor<4x4xf32> in @base init(#grow.copy<@block.0.w>)
grow.param @shared : tensor<4x4xf32> in @base init(#grow.kaiming)

func.func @forward(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %w0 = grow.get @block.0.w : tensor<4x4xf32>
  %w1 = grow.get @block.1.w : tensor<4x4xf32>
  %w2 = grow.get @shared : tensor<4x4xf32>
  %y = grow.map "block" mean (%x) over [(%w0), (%w1), (%w2)] {
  ^bb0(%in: tensor<?x4xf32>, %f: tensor<4x4xf32>):
    %l = grow.linear %in, %f : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    grow.yield %l : tensor<?x4xf32>
  }
  %z = grow.linear %y, %w2 : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  return %z : tensor<?x4xf32>
}
