// RUN: cambium-opt %s -split-input-file -verify-diagnostics

// expected-error @+1 {{'grow.group' op lr is -0.1; it must be in [0, infinity)}}
grow.group @g {optimizer = #grow.sgd, lr = -0.1}

// -----

// expected-error @+1 {{'grow.group' op weight_decay is -1; it must be in [0, infinity)}}
grow.group @g {optimizer = #grow.sgd, lr = 0.1, weight_decay = -1.0}

// -----

// expected-error @+1 {{'grow.group' op momentum is 1; it must be in [0, 1)}}
grow.group @g {optimizer = #grow.sgd<momentum = 1.0>, lr = 0.1}

// -----

// expected-error @+1 {{'grow.group' op asks for Nesterov's method without momentum; set momentum or drop nesterov}}
grow.group @g {optimizer = #grow.sgd<nesterov = true>, lr = 0.1}

// -----

// expected-error @+1 {{'grow.group' op beta1 is 1.5; it must be in [0, 1)}}
grow.group @g {optimizer = #grow.adamw<beta1 = 1.5>, lr = 0.1}

// -----

// expected-error @+1 {{'grow.group' op beta2 is -0.5; it must be in [0, 1)}}
grow.group @g {optimizer = #grow.adamw<beta2 = -0.5>, lr = 0.1}

// -----

// expected-error @+1 {{'grow.group' op epsilon must be positive, it divides}}
grow.group @g {optimizer = #grow.adamw<epsilon = 0.0>, lr = 0.1}

// -----

// expected-error @+1 {{'grow.group' op attribute 'optimizer' failed to satisfy constraint: an optimizer: #grow.sgd or #grow.adamw}}
grow.group @g {optimizer = "sgd", lr = 0.1}

// -----

// expected-error @+1 {{'grow.param' op is in group 'base', which is not declared; add `grow.group @base`}}
grow.param @w : tensor<4x4xf32> in @base init(#grow.zero)

// -----

// A parameter is no group.
grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @v : tensor<4x4xf32> in @g init(#grow.zero)
// expected-error @+1 {{'grow.param' op is in group 'v', which is not declared}}
grow.param @w : tensor<4x4xf32> in @v init(#grow.zero)

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-error @+1 {{'grow.param' op has type 'tensor<?x4xf32>', but stored values need a static shape}}
grow.param @w : tensor<?x4xf32> in @g init(#grow.zero)

// -----

// expected-error @+1 {{'grow.state' op has type 'tensor<?xf32>', but stored values need a static shape}}
grow.state @s : tensor<?xf32> init(#grow.zero)

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-error @+1 {{'grow.param' op #grow.kaiming needs a filter or matrix, but 'tensor<4xf32>' has no fan-in; use #grow.zero or #grow.constant}}
grow.param @b : tensor<4xf32> in @g init(#grow.kaiming)

// -----

// expected-error @+1 {{'grow.state' op #grow.kaiming needs a filter or matrix, but 'tensor<f32>' has no fan-in}}
grow.state @s : tensor<f32> init(#grow.kaiming)

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-error @+1 {{'grow.param' op attribute 'init' failed to satisfy constraint: initial values: #grow.zero, #grow.kaiming, #grow.constant or #grow.copy}}
grow.param @w : tensor<4x4xf32> in @g init(1.0)

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-error @+1 {{'grow.param' op copies 'v', which is not a declared parameter}}
grow.param @w : tensor<4x4xf32> in @g init(#grow.copy<@v>)

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-note @+1 {{the source is declared here}}
grow.param @v : tensor<4x8xf32> in @g init(#grow.zero)
// expected-error @+1 {{'grow.param' op has type 'tensor<4x4xf32>' but copies 'tensor<4x8xf32>'}}
grow.param @w : tensor<4x4xf32> in @g init(#grow.copy<@v>)

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-error @+1 {{'grow.param' op copies 'w', which copies in a circle; give one of them initial values of its own}}
grow.param @w : tensor<4x4xf32> in @g init(#grow.copy<@w>)

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-error @+1 {{'grow.param' op copies 'a', which copies in a circle}}
grow.param @a : tensor<4x4xf32> in @g init(#grow.copy<@b>)
grow.param @b : tensor<4x4xf32> in @g init(#grow.copy<@a>)

// -----

// expected-error @+1 {{'grow.state' op copies 'v', which is not a declared parameter}}
grow.state @s : tensor<4xf32> init(#grow.copy<@v>)

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-note @+1 {{the source is declared here}}
grow.param @v : tensor<8xf32> in @g init(#grow.zero)
// expected-error @+1 {{'grow.state' op has type 'tensor<4xf32>' but copies 'tensor<8xf32>'}}
grow.state @s : tensor<4xf32> init(#grow.copy<@v>)

// -----

// expected-error @+1 {{'grow.derived' op needs at least one term}}
grow.derived @d : tensor<4x4xf32> sum []

// -----

grow.state @s : tensor<4x4xf32> init(#grow.zero)
// expected-error @+1 {{'grow.derived' op sums 's', which is not a declared parameter}}
grow.derived @d : tensor<4x4xf32> sum [@s]

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-note @+1 {{declared here}}
grow.param @w : tensor<4x8xf32> in @g init(#grow.zero)
// expected-error @+1 {{'grow.derived' op uses 'w' as 'tensor<4x4xf32>' but it is 'tensor<4x8xf32>'}}
grow.derived @d : tensor<4x4xf32> sum [@w]

// -----

func.func @f() {
  // expected-error @+1 {{'grow.get' op names 'w', which is not a declared parameter or state}}
  %w = grow.get @w : tensor<4x4xf32>
  return
}

// -----

// A group has no value.
grow.group @g {optimizer = #grow.sgd, lr = 0.1}
func.func @f() {
  // expected-error @+1 {{'grow.get' op names 'g', which is not a declared parameter or state}}
  %w = grow.get @g : tensor<4x4xf32>
  return
}

// -----

// expected-note @+1 {{declared here}}
grow.state @s : tensor<8xf32> init(#grow.zero)
func.func @f() {
  // expected-error @+1 {{'grow.get' op uses 's' as 'tensor<4xf32>' but it is 'tensor<8xf32>'}}
  %s = grow.get @s : tensor<4xf32>
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
func.func @f(%v: tensor<4xf32>) {
  // expected-error @+1 {{'grow.set' op sets 'w', which is not a declared state; parameters change by grow.update alone}}
  grow.set @w, %v : tensor<4xf32>
  return
}

// -----

// expected-note @+1 {{declared here}}
grow.state @s : tensor<8xf32> init(#grow.zero)
func.func @f(%v: tensor<4xf32>) {
  // expected-error @+1 {{'grow.set' op uses 's' as 'tensor<4xf32>' but it is 'tensor<8xf32>'}}
  grow.set @s, %v : tensor<4xf32>
  return
}

// -----

func.func @f(%g: tensor<4xf32>) {
  // expected-error @+1 {{'grow.update' op needs at least one parameter}}
  grow.update [] by %g : tensor<4xf32>
  return
}

// -----

grow.state @s : tensor<4xf32> init(#grow.zero)
func.func @f(%g: tensor<4xf32>) {
  // expected-error @+1 {{'grow.update' op updates 's', which is not a declared parameter}}
  grow.update [@s] by %g : tensor<4xf32>
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
// expected-note @+1 {{declared here}}
grow.param @w : tensor<8xf32> in @g init(#grow.zero)
func.func @f(%g: tensor<4xf32>) {
  // expected-error @+1 {{'grow.update' op uses 'w' as 'tensor<4xf32>' but it is 'tensor<8xf32>'}}
  grow.update [@w] by %g : tensor<4xf32>
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
func.func @f(%g: tensor<4xf32>) {
  // expected-error @+1 {{'grow.update' op writes 'w', which is not a grow.derived}}
  grow.update [@w] by %g into @w : tensor<4xf32>
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @v : tensor<4xf32> in @g init(#grow.zero)
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
// expected-note @+1 {{declared here}}
grow.derived @sum : tensor<4xf32> sum [@v, @w]
func.func @f(%g: tensor<4xf32>) {
  // expected-error @+1 {{'grow.update' op updates other parameters than 'sum' sums}}
  grow.update [@w] by %g into @sum : tensor<4xf32>
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
func.func @f(%g: tensor<4xf32>) {
  // expected-error @+1 {{'grow.update' op names 'w' twice}}
  grow.update [@w, @w] by %g : tensor<4xf32>
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
// expected-error @+1 {{'grow.derived' op names 'w' twice}}
grow.derived @sum : tensor<4xf32> sum [@w, @w]
