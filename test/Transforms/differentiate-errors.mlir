// RUN: cambium-opt %s -split-input-file -verify-diagnostics --grow-differentiate

// expected-error @+1 {{no function 'loss' to differentiate; declare it or name another with `function=`}}
module {
}

// -----

// expected-error @+1 {{'func.func' op cannot be differentiated: it must return one 'tensor<f32>', the loss, but returns 'tensor<3xf32>'}}
func.func @loss(%x: tensor<3xf32>) -> tensor<3xf32> {
  return %x : tensor<3xf32>
}

// -----

// expected-error @+1 {{it must return one 'tensor<f32>', the loss, but returns nothing}}
func.func @loss() {
  return
}

// -----

// expected-error @+1 {{it must return one 'tensor<f32>', the loss, but returns 'tensor<f32>', 'tensor<f32>'}}
func.func @loss(%x: tensor<f32>) -> (tensor<f32>, tensor<f32>) {
  return %x, %x : tensor<f32>, tensor<f32>
}

// -----

// expected-error @+1 {{'func.func' op cannot be differentiated: it must have a body of one block}}
func.func private @loss(tensor<f32>) -> tensor<f32>

// -----

// expected-error @+1 {{'func.func' op cannot be differentiated into 'step': the name is taken; choose another with `result=`}}
func.func @loss(%x: tensor<f32>) -> tensor<f32> {
  return %x : tensor<f32>
}

// expected-note @+1 {{declared here}}
func.func private @step()

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<3xf32>) -> tensor<f32> {
  %w = grow.get @w : tensor<3xf32>
  // expected-error @+1 {{'grow.map' op cannot be differentiated: run --grow-collapse and --grow-unroll-maps first}}
  %y = grow.map "m" sum () over [(%w)] {
  ^bb0(%p: tensor<3xf32>):
    grow.yield %p : tensor<3xf32>
  }
  %loss = grow.mse %y, %t : (tensor<3xf32>, tensor<3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// -----

// The callee may read parameters, so a call is never taken for a constant.

func.func private @forward() -> tensor<3xf32>

func.func @loss(%t: tensor<3xf32>) -> tensor<f32> {
  // expected-error @+1 {{'func.call' op cannot be differentiated: run --inline first}}
  %y = func.call @forward() : () -> tensor<3xf32>
  %loss = grow.mse %y, %t : (tensor<3xf32>, tensor<3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<3xf32> in @g init(#grow.zero)

func.func @loss(%t: tensor<3xf32>) -> tensor<f32> {
  %w = grow.get @w : tensor<3xf32>
  // expected-error @+1 {{'arith.negf' op cannot be differentiated: it has no gradient, but a parameter reaches the loss through it}}
  %y = arith.negf %w : tensor<3xf32>
  %loss = grow.mse %y, %t : (tensor<3xf32>, tensor<3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// -----

func.func @loss(%x: tensor<?x3xf32>, %p: tensor<3xf32>, %t: tensor<?x3xf32>) -> tensor<f32> {
  // expected-error @+1 {{'grow.batch_norm' op in training mode moves its running mean, which must be a grow.state read by grow.get; or set `inference`}}
  %y = grow.batch_norm %x, %p, %p, %p, %p
      : (tensor<?x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
  %loss = grow.mse %y, %t : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// -----

// One state cannot follow two layers.

grow.state @mean : tensor<3xf32> init(#grow.zero)
grow.state @var0 : tensor<3xf32> init(#grow.zero)
grow.state @var1 : tensor<3xf32> init(#grow.zero)

func.func @loss(%x: tensor<?x3xf32>, %p: tensor<3xf32>, %t: tensor<?x3xf32>) -> tensor<f32> {
  %mean = grow.get @mean : tensor<3xf32>
  %var0 = grow.get @var0 : tensor<3xf32>
  %var1 = grow.get @var1 : tensor<3xf32>
  // expected-note @+1 {{set here}}
  %y = grow.batch_norm %x, %p, %p, %mean, %var0
      : (tensor<?x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
  // expected-error @+1 {{'grow.batch_norm' op moves the state 'mean', which is set already; give each use of a training-mode batch_norm states of its own}}
  %z = grow.batch_norm %y, %p, %p, %mean, %var1
      : (tensor<?x3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
  %loss = grow.mse %z, %t : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<3x3xf32> in @g init(#grow.zero)

func.func @loss(%x: tensor<?x3xf32>, %t: tensor<?x3xf32>) -> tensor<f32> {
  %w = grow.get @w : tensor<3x3xf32>
  // expected-error @+1 {{'grow.fused_map' op cannot be differentiated: a parameter reaches the loss through what a branch gives alone; join it by sum, mean or concat}}
  %y = grow.fused_map branches 1 (%x) over (%w) join (each) : (tensor<?x3xf32>, tensor<3x3xf32>) -> tensor<?x3xf32> {
  ^bb0(%in: tensor<?x3xf32>, %f: tensor<3x3xf32>):
    %c = grow.linear %in, %f : (tensor<?x3xf32>, tensor<3x3xf32>) -> tensor<?x3xf32>
    grow.yield %c : tensor<?x3xf32>
  }
  %loss = grow.mse %y, %t : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}
