// RUN: cambium-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.launch' op runs 'relu', which is not a grow.kernel}}
  %y = grow.launch @relu(%x) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

grow.kernel @relu {
^bb0(%x: tensor<?x4xf32>):
  %y = grow.relu %x : tensor<?x4xf32>
  grow.yield %y : tensor<?x4xf32>
}
func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.launch' op has 2 operands and 1 results but the kernel takes 1 and gives 1}}
  %y = grow.launch @relu(%x, %x) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

grow.kernel @relu {
^bb0(%x: tensor<?x4xf32>):
  %y = grow.relu %x : tensor<?x4xf32>
  grow.yield %y : tensor<?x4xf32>
}
func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.launch' op has 1 operands and 0 results but the kernel takes 1 and gives 1}}
  grow.launch @relu(%x) : (tensor<?x4xf32>) -> ()
  return
}

// -----

// expected-note @+1 {{the kernel is here}}
grow.kernel @relu {
^bb0(%x: tensor<?x4xf32>):
  %y = grow.relu %x : tensor<?x4xf32>
  grow.yield %y : tensor<?x4xf32>
}
func.func @f(%x: tensor<?x5xf32>) {
  // expected-error @+1 {{'grow.launch' op operand 0 is 'tensor<?x5xf32>' but the kernel has 'tensor<?x4xf32>'}}
  %y = grow.launch @relu(%x) : (tensor<?x5xf32>) -> tensor<?x4xf32>
  return
}

// -----

// expected-note @+1 {{the kernel is here}}
grow.kernel @relu {
^bb0(%x: tensor<?x4xf32>):
  %y = grow.relu %x : tensor<?x4xf32>
  grow.yield %y : tensor<?x4xf32>
}
func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.launch' op result 0 is 'tensor<?x5xf32>' but the kernel has 'tensor<?x4xf32>'}}
  %y = grow.launch @relu(%x) : (tensor<?x4xf32>) -> tensor<?x5xf32>
  return
}

// -----

// expected-note @+1 {{the kernel is here}}
grow.kernel @relu {
^bb0(%x: tensor<?x4xf32>):
  %y = grow.relu %x : tensor<?x4xf32>
  grow.yield %y : tensor<?x4xf32>
}
func.func @f(%x: tensor<?x4xi32>) {
  // expected-error @+1 {{'grow.launch' op operand 0 is 'tensor<?x4xi32>' but the kernel has 'tensor<?x4xf32>'}}
  %y = grow.launch @relu(%x) : (tensor<?x4xi32>) -> tensor<?x4xf32>
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
grow.kernel @sgd {
^bb0(%g: tensor<?xf32>):
  grow.optimizer #grow.sgd by %g : tensor<?xf32>
  grow.yield
}
func.func @f(%d: tensor<4xf32>) {
  // expected-error @+1 {{'grow.launch' op runs an optimizer kernel without `updates`}}
  grow.launch @sgd(%d) : (tensor<4xf32>) -> ()
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
grow.kernel @sgd {
^bb0(%g: tensor<?xf32>):
  grow.optimizer #grow.sgd by %g : tensor<?xf32>
  grow.yield
}
grow.kernel @relu {
^bb0(%x: tensor<?x4xf32>):
  %y = grow.relu %x : tensor<?x4xf32>
  grow.yield %y : tensor<?x4xf32>
}
func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.launch' op has `updates` but runs no optimizer kernel}}
  %y = grow.launch @relu(%x) updates [@w] : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
grow.kernel @sgd {
^bb0(%g: tensor<?xf32>):
  grow.optimizer #grow.sgd by %g : tensor<?xf32>
  grow.yield
}
func.func @f(%d: tensor<4xf32>) {
  // expected-error @+1 {{'grow.launch' op updates 'v', which is not a declared parameter}}
  grow.launch @sgd(%d) updates [@v] : (tensor<4xf32>) -> ()
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
grow.kernel @sgd {
^bb0(%g: tensor<?xf32>):
  grow.optimizer #grow.sgd by %g : tensor<?xf32>
  grow.yield
}
func.func @f(%d: tensor<8xf32>) {
  // expected-error @+1 {{'grow.launch' op updates 'w' of type 'tensor<4xf32>' by a gradient of type 'tensor<8xf32>'}}
  grow.launch @sgd(%d) updates [@w] : (tensor<8xf32>) -> ()
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
grow.kernel @sgd {
^bb0(%g: tensor<?xf32>):
  grow.optimizer #grow.sgd by %g : tensor<?xf32>
  grow.yield
}
func.func @f(%d: tensor<4xf32>) {
  // expected-error @+1 {{'grow.launch' op writes 'w', which is not a grow.derived}}
  grow.launch @sgd(%d) updates [@w] into @w : (tensor<4xf32>) -> ()
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
grow.kernel @sgd {
^bb0(%g: tensor<?xf32>, %h: tensor<?xf32>):
  grow.optimizer #grow.sgd by %g : tensor<?xf32>
  grow.yield
}
func.func @f(%d: tensor<4xf32>) {
  // expected-error @+1 {{'grow.launch' op runs an optimizer kernel, which takes the gradient alone}}
  grow.launch @sgd(%d, %d) updates [@w] : (tensor<4xf32>, tensor<4xf32>) -> ()
  return
}

// -----

func.func @f(%g: tensor<4xf32>) {
  // expected-error @+1 {{'grow.optimizer' op expects parent op 'grow.kernel'}}
  grow.optimizer #grow.sgd by %g : tensor<4xf32>
  return
}
