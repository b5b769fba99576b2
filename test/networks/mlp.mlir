// A perceptron for regression, with growing linear layers, one of them not linear
// in its input, and a product of two branches.

grow.group @base {optimizer = #grow.sgd, lr = 0.1}

grow.param @hidden.0.w : tensor<13x17xf32> in @base init(#grow.kaiming)
grow.param @hidden.0.b : tensor<17xf32> in @base init(#grow.zero)
grow.param @hidden.1.w : tensor<13x17xf32> in @base init(#grow.kaiming)
grow.param @hidden.1.b : tensor<17xf32> in @base init(#grow.zero)
grow.param @gate.0.w : tensor<13x17xf32> in @base init(#grow.kaiming)
grow.param @gate.1.w : tensor<13x17xf32> in @base init(#grow.kaiming)
grow.param @gate.2.w : tensor<13x17xf32> in @base init(#grow.kaiming)
grow.param @gate.3.w : tensor<13x17xf32> in @base init(#grow.kaiming)
grow.param @mid.w : tensor<17x9xf32> in @base init(#grow.kaiming)
grow.param @mid.b : tensor<9xf32> in @base init(#grow.zero)
grow.param @head.w : tensor<9x3xf32> in @base init(#grow.kaiming)

func.func @forward(%x: tensor<?x13xf32>) -> tensor<?x3xf32> {
  %hidden.0.w = grow.get @hidden.0.w : tensor<13x17xf32>
  %hidden.0.b = grow.get @hidden.0.b : tensor<17xf32>
  %hidden.1.w = grow.get @hidden.1.w : tensor<13x17xf32>
  %hidden.1.b = grow.get @hidden.1.b : tensor<17xf32>
  %0 = grow.map "hidden" sum (%x) over [(%hidden.0.w, %hidden.0.b), (%hidden.1.w, %hidden.1.b)] {
  ^bb0(%in: tensor<?x13xf32>, %w: tensor<13x17xf32>, %b: tensor<17xf32>):
    %1 = grow.linear %in, %w : (tensor<?x13xf32>, tensor<13x17xf32>) -> tensor<?x17xf32>
    %2 = grow.bias_add %1, %b : (tensor<?x17xf32>, tensor<17xf32>) -> tensor<?x17xf32>
    %3 = grow.tanh %2 : tensor<?x17xf32>
    grow.yield %3 : tensor<?x17xf32>
  }
  %gate.0.w = grow.get @gate.0.w : tensor<13x17xf32>
  %gate.1.w = grow.get @gate.1.w : tensor<13x17xf32>
  %gate.2.w = grow.get @gate.2.w : tensor<13x17xf32>
  %gate.3.w = grow.get @gate.3.w : tensor<13x17xf32>
  %4 = grow.map "gate" sum (%x) over [(%gate.0.w), (%gate.1.w), (%gate.2.w), (%gate.3.w)] {
  ^bb0(%in: tensor<?x13xf32>, %w: tensor<13x17xf32>):
    %5 = grow.linear %in, %w : (tensor<?x13xf32>, tensor<13x17xf32>) -> tensor<?x17xf32>
    grow.yield %5 : tensor<?x17xf32>
  }
  %6 = grow.sigmoid %4 : tensor<?x17xf32>
  %7 = grow.mul %0, %6 : tensor<?x17xf32>
  %mid.w = grow.get @mid.w : tensor<17x9xf32>
  %8 = grow.linear %7, %mid.w : (tensor<?x17xf32>, tensor<17x9xf32>) -> tensor<?x9xf32>
  %mid.b = grow.get @mid.b : tensor<9xf32>
  %9 = grow.bias_add %8, %mid.b : (tensor<?x9xf32>, tensor<9xf32>) -> tensor<?x9xf32>
  %10 = grow.gelu %9 : tensor<?x9xf32>
  %head.w = grow.get @head.w : tensor<9x3xf32>
  %11 = grow.linear %10, %head.w : (tensor<?x9xf32>, tensor<9x3xf32>) -> tensor<?x3xf32>
  return %11 : tensor<?x3xf32>
}

func.func @loss(%x: tensor<?x13xf32>, %target: tensor<?x3xf32>) -> tensor<f32> {
  %y = call @forward(%x) : (tensor<?x13xf32>) -> tensor<?x3xf32>
  %loss = grow.mse %y, %target : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}
