// RUN: cambium-opt %s -split-input-file -verify-diagnostics --grow-apply-updates

// expected-error @+1 {{no function 'step' to apply updates in; run --grow-differentiate first or name another with `function=`}}
module {
}

// -----

// expected-error @+1 {{'func.func' op has no result marked `grow.gradient`: run --grow-differentiate first}}
func.func @step(%loss: tensor<f32>) -> tensor<f32> {
  return %loss : tensor<f32>
}

// -----

// expected-error @+1 {{'func.func' op result 1 is marked as gradient of @w, which is not a declared parameter}}
func.func @step(%loss: tensor<f32>, %dw: tensor<3xf32>)
    -> (tensor<f32>, tensor<3xf32> {grow.gradient = @w}) {
  return %loss, %dw : tensor<f32>, tensor<3xf32>
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<3xf32> in @g init(#grow.zero)

// expected-error @+1 {{'func.func' op result 1 is a second gradient of @w; add them up first}}
func.func @step(%d0: tensor<3xf32>, %d1: tensor<3xf32>)
    -> (tensor<3xf32> {grow.gradient = @w}, tensor<3xf32> {grow.gradient = @w}) {
  return %d0, %d1 : tensor<3xf32>, tensor<3xf32>
}

// -----

// expected-error @+1 {{'func.func' op must have a body of one block to apply updates}}
func.func private @step() -> tensor<f32>

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<3xf32> in @g init(#grow.zero)

// expected-error @+1 {{'func.func' op is used, so its gradient results cannot become updates: inline its calls or remove them}}
func.func @step(%dw: tensor<3xf32>) -> (tensor<3xf32> {grow.gradient = @w}) {
  return %dw : tensor<3xf32>
}

func.func @caller(%dw: tensor<3xf32>) -> tensor<3xf32> {
  // expected-note @+1 {{used here}}
  %d = func.call @step(%dw) : (tensor<3xf32>) -> tensor<3xf32>
  return %d : tensor<3xf32>
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3xf32> in @g init(#grow.zero)
grow.param @b : tensor<3xf32> in @g init(#grow.zero)
// expected-error @+1 {{'grow.derived' op would go out of date: its terms 'a' and 'b' have different gradients, so no single update writes it; read them one by one and add them by grow.weight_sum}}
grow.derived @sum : tensor<3xf32> sum [@a, @b]

func.func @step(%da: tensor<3xf32>, %db: tensor<3xf32>)
    -> (tensor<3xf32> {grow.gradient = @a}, tensor<3xf32> {grow.gradient = @b}) {
  return %da, %db : tensor<3xf32>, tensor<3xf32>
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<3xf32> in @g init(#grow.zero)
grow.param @b : tensor<3xf32> in @g init(#grow.zero)
grow.derived @sum : tensor<3xf32> sum [@a, @b]
// expected-error @+1 {{'grow.derived' op would go out of date: its term 'b' is also a term of 'sum', and an update writes one sum}}
grow.derived @more : tensor<3xf32> sum [@b]

func.func @step(%dw: tensor<3xf32>)
    -> (tensor<3xf32> {grow.gradient = @a}, tensor<3xf32> {grow.gradient = @b}) {
  return %dw, %dw : tensor<3xf32>, tensor<3xf32>
}
