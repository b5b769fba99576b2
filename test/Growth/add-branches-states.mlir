// RUN: cambium-opt %s --grow-add-branches="map=block group=grown init=copy branch=0" | FileCheck %s

// Branches that copy others also take their running statistics. States have no
// initial value of that kind, so a private function says what to carry over; it
// takes values from before the growth, and no pipeline keeps it.

// CHECK:       grow.state @block.1.mean : tensor<4xf32> init(#grow.zero)
// CHECK:       func.func private @carry(
// CHECK-SAME:    %[[MEAN:.*]]: tensor<4xf32> {grow.from = "block.0.mean"},
// CHECK-SAME:    %[[VAR:.*]]: tensor<4xf32> {grow.from = "block.0.var"})
// CHECK-SAME:    -> (tensor<4xf32> {grow.to = "block.1.mean"}, tensor<4xf32> {grow.to = "block.1.var"})
// CHECK-NEXT:    return %[[MEAN]], %[[VAR]]

grow.group @grown {optimizer = #grow.adamw, lr = 0.1}
grow.param @block.0.scale : tensor<4xf32> in @grown init(#grow.constant<1.0>)
grow.param @block.0.shift : tensor<4xf32> in @grown init(#grow.zero)
grow.state @block.0.mean : tensor<4xf32> init(#grow.zero)
grow.state @block.0.var : tensor<4xf32> init(#grow.constant<1.0>)

func.func @forward(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %s = grow.get @block.0.scale : tensor<4xf32>
  %t = grow.get @block.0.shift : tensor<4xf32>
  %m = grow.get @block.0.mean : tensor<4xf32>
  %v = grow.get @block.0.var : tensor<4xf32>
  %y = grow.map "block" sum (%x) over [(%s, %t, %m, %v)] {
  ^bb0(%in: tensor<?x4xf32>, %scale: tensor<4xf32>, %shift: tensor<4xf32>, %mean: tensor<4xf32>, %var: tensor<4xf32>):
    %n = grow.batch_norm %in, %scale, %shift, %mean, %var
        : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    grow.yield %n : tensor<?x4xf32>
  }
  return %y : tensor<?x4xf32>
}
