// RUN: cambium-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fused_map' op needs a branch}}
  %y = grow.fused_map branches 0 (%x) join (sum) : (tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fused_map' op has an unknown number of branches, which only a grow.kernel may have}}
  %y = grow.fused_map branches ? (%x) join (sum) : (tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fused_map' op has 2 inputs but its body takes 1 arguments}}
  %y = grow.fused_map branches 1 (%x, %x) join (sum) : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %w: tensor<4x3xf32>) {
  // expected-error @+1 {{'grow.fused_map' op needs 1 parameters for each of 2 branches, but has 1}}
  %y = grow.fused_map branches 2 (%x) over (%w) join (sum) : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32> {
  ^bb0(%in: tensor<?x4xf32>, %w0: tensor<4x3xf32>):
    %0 = grow.linear %in, %w0 : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    grow.yield %0 : tensor<?x3xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x5xf32>) {
  // expected-error @+1 {{'grow.fused_map' op input 0 is 'tensor<?x5xf32>' but the body takes 'tensor<?x4xf32>'}}
  %y = grow.fused_map branches 1 (%x) join (sum) : (tensor<?x5xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fused_map' op sliced input 0 is 'tensor<?x4xf32>' but its branches' parts make a 'tensor<?x8xf32>'}}
  %y = grow.fused_map branches 2 () sliced (%x) join (sum) : (tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %w: tensor<4x3xf32>, %v: tensor<4x5xf32>) {
  // expected-error @+1 {{'grow.fused_map' op parameter 1 is 'tensor<4x5xf32>' but the body takes 'tensor<4x3xf32>'}}
  %y = grow.fused_map branches 2 (%x) over (%w, %v) join (sum) : (tensor<?x4xf32>, tensor<4x3xf32>, tensor<4x5xf32>) -> tensor<?x3xf32> {
  ^bb0(%in: tensor<?x4xf32>, %w0: tensor<4x3xf32>):
    %0 = grow.linear %in, %w0 : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    grow.yield %0 : tensor<?x3xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fused_map' op needs a body that ends in a grow.yield of 2 values, one for each join}}
  %y:2 = grow.fused_map branches 1 (%x) join (sum, sum) : (tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x4xf32>) {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fused_map' op yields bits, which only `each` can join}}
  %y = grow.fused_map branches 1 (%x) join (sum) : (tensor<?x4xf32>) -> tensor<?x4xi1> {
  ^bb0(%in: tensor<?x4xf32>):
    %0 = grow.sign_bits %in : tensor<?x4xf32> -> tensor<?x4xi1>
    grow.yield %0 : tensor<?x4xi1>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fused_map' op has results of other types than its branches give}}
  %y = grow.fused_map branches 2 (%x) join (concat) : (tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fused_map' op has results of other types than its branches give}}
  %y = grow.fused_map branches 2 (%x) join (each) : (tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @g() {
  return
}
func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fused_map' op needs a body of pure operations}}
  %y = grow.fused_map branches 1 (%x) join (sum) : (tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>):
    // expected-note @+1 {{'func.call' is here}}
    func.call @g() : () -> ()
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+2 {{'last' joins nothing; use sum, mean, concat or each}}
  %y = grow.fused_map branches 1 (%x)
      join (last) : (tensor<?x4xf32>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  %y, %s = grow.fused_map branches 1 (%x) join (sum, each) : (tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<?x3xi1>) {
  ^bb0(%in: tensor<?x4xf32>):
    // expected-error @+1 {{'grow.sign_bits' op relates 'tensor<?x3xi1>' to 'tensor<?x4xf32>'; both need the same shape of at least one dimension}}
    %0 = grow.sign_bits %in : tensor<?x4xf32> -> tensor<?x3xi1>
    grow.yield %in, %0 : tensor<?x4xf32>, tensor<?x3xi1>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %s: tensor<?x3xi1>) {
  %y = grow.fused_map branches 1 (%x) over (%s) join (sum) : (tensor<?x4xf32>, tensor<?x3xi1>) -> tensor<?x4xf32> {
  ^bb0(%in: tensor<?x4xf32>, %bits: tensor<?x3xi1>):
    // expected-error @+1 {{'grow.bits_grad' op relates 'tensor<?x3xi1>' to 'tensor<?x4xf32>'; both need the same shape of at least one dimension}}
    %0 = grow.bits_grad %bits, %in slope 0.0 : tensor<?x3xi1>, tensor<?x4xf32>
    grow.yield %0 : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.sign_bits' op expects parent op 'grow.fused_map'}}
  %0 = grow.sign_bits %x : tensor<?x4xf32> -> tensor<?x4xi1>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %s: tensor<?x4xi1>) {
  // expected-error @+1 {{'grow.bits_grad' op expects parent op 'grow.fused_map'}}
  %0 = grow.bits_grad %s, %x slope 0.0 : tensor<?x4xi1>, tensor<?x4xf32>
  return
}

// -----

// expected-error @+1 {{'grow.kernel' op takes one grow.fused_map, with `?` branches}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>):
  %y = grow.fused_map branches ? (%x) join (sum) : (tensor<?x?xf32>) -> tensor<?x?xf32> {
  ^bb0(%in: tensor<?x?xf32>):
    grow.yield %in : tensor<?x?xf32>
  }
  %z = grow.fused_map branches ? (%x) join (sum) : (tensor<?x?xf32>) -> tensor<?x?xf32> {
  ^bb0(%in: tensor<?x?xf32>):
    grow.yield %in : tensor<?x?xf32>
  }
  grow.yield %y, %z : tensor<?x?xf32>, tensor<?x?xf32>
}

// -----

// expected-error @+1 {{'grow.kernel' op takes one grow.fused_map, with `?` branches}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>):
  %y = grow.fused_map branches 2 (%x) join (sum) : (tensor<?x?xf32>) -> tensor<?x?xf32> {
  ^bb0(%in: tensor<?x?xf32>):
    grow.yield %in : tensor<?x?xf32>
  }
  grow.yield %y : tensor<?x?xf32>
}

// -----

// expected-error @+1 {{'grow.kernel' op must pass its last arguments, in order, as the parameters of its grow.fused_map}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>, %v: tensor<?x?xf32>):
  %y = grow.fused_map branches ? (%x) over (%v, %w) join (sum) : (tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32> {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>, %p1: tensor<?x?xf32>):
    grow.yield %in : tensor<?x?xf32>
  }
  grow.yield %y : tensor<?x?xf32>
}

// -----

// expected-error @+1 {{'grow.kernel' op must pass its last arguments, in order, as the parameters of its grow.fused_map}}
grow.kernel @k {
^bb0(%w: tensor<?x?xf32>, %x: tensor<?x?xf32>):
  %y = grow.fused_map branches ? (%x) over (%w) join (sum) : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32> {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>):
    grow.yield %in : tensor<?x?xf32>
  }
  grow.yield %y : tensor<?x?xf32>
}

// -----

// expected-error @+1 {{'grow.kernel' op uses a parameter of its grow.fused_map elsewhere}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %y = grow.fused_map branches ? (%x) over (%w) join (sum) : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32> {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>):
    grow.yield %in : tensor<?x?xf32>
  }
  %z = grow.add %y, %w : tensor<?x?xf32>
  grow.yield %z : tensor<?x?xf32>
}

// -----

// expected-error @+1 {{'grow.kernel' op must yield what its grow.fused_map gives for each branch, in order, as its last results}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>):
  %y, %s = grow.fused_map branches ? (%x) join (sum, each) : (tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  ^bb0(%in: tensor<?x?xf32>):
    grow.yield %in, %in : tensor<?x?xf32>, tensor<?x?xf32>
  }
  grow.yield %y : tensor<?x?xf32>
}

// -----

// expected-error @+1 {{'grow.kernel' op must yield what its grow.fused_map gives for each branch, in order, as its last results}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>):
  %y, %s = grow.fused_map branches ? (%x) join (sum, each) : (tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  ^bb0(%in: tensor<?x?xf32>):
    grow.yield %in, %in : tensor<?x?xf32>, tensor<?x?xf32>
  }
  grow.yield %s, %y : tensor<?x?xf32>, tensor<?x?xf32>
}

// -----

// expected-error @+1 {{'grow.kernel' op must yield what its grow.fused_map gives for each branch, in order, as its last results}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>):
  %y, %s, %t = grow.fused_map branches ? (%x) join (sum, each, each) : (tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>) {
  ^bb0(%in: tensor<?x?xf32>):
    grow.yield %in, %in, %in : tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>
  }
  grow.yield %y, %t, %s : tensor<?x?xf32>, tensor<?x?xf32>, tensor<?x?xf32>
}

// -----

grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %y, %s = grow.fused_map branches ? (%x) over (%w) join (sum, each) : (tensor<?x?xf32>, tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>):
    grow.yield %in, %in : tensor<?x?xf32>, tensor<?x?xf32>
  }
  grow.yield %y, %s : tensor<?x?xf32>, tensor<?x?xf32>
}
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error @+1 {{'grow.launch' op runs a kernel over branches without `branches`}}
  %y:2 = grow.launch @k(%x, %x) : (tensor<2x4xf32>, tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)
  return
}

// -----

grow.kernel @k {
^bb0(%x: tensor<?x?xf32>):
  %0 = grow.relu %x : tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
}
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error @+1 {{'grow.launch' op has `branches` but runs no kernel over branches}}
  %y = grow.launch @k(%x) branches 2 : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return
}

// -----

grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %y, %s = grow.fused_map branches ? (%x) over (%w) join (sum, each) : (tensor<?x?xf32>, tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>):
    grow.yield %in, %in : tensor<?x?xf32>, tensor<?x?xf32>
  }
  grow.yield %y, %s : tensor<?x?xf32>, tensor<?x?xf32>
}
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error @+1 {{'grow.launch' op needs a branch}}
  %y = grow.launch @k(%x) branches 0 : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return
}

// -----

grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %y = grow.fused_map branches ? (%x) over (%w) join (sum) : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32> {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>):
    grow.yield %in : tensor<?x?xf32>
  }
  grow.yield %y : tensor<?x?xf32>
}
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error @+1 {{'grow.launch' op has 2 operands and results, too few for 9223372036854775807 branches}}
  %y = grow.launch @k(%x) branches 9223372036854775807 : (tensor<2x4xf32>) -> tensor<2x4xf32>
  return
}

// -----

grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %y, %s = grow.fused_map branches ? (%x) over (%w) join (sum, each) : (tensor<?x?xf32>, tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>):
    grow.yield %in, %in : tensor<?x?xf32>, tensor<?x?xf32>
  }
  grow.yield %y, %s : tensor<?x?xf32>, tensor<?x?xf32>
}
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error @+1 {{'grow.launch' op has 2 operands and 2 results but the kernel takes 3 and gives 3}}
  %y:2 = grow.launch @k(%x, %x) branches 2 : (tensor<2x4xf32>, tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)
  return
}

// -----

grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %y, %s = grow.fused_map branches ? (%x) over (%w) join (sum, each) : (tensor<?x?xf32>, tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>):
    grow.yield %in, %in : tensor<?x?xf32>, tensor<?x?xf32>
  }
  grow.yield %y, %s : tensor<?x?xf32>, tensor<?x?xf32>
}
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error @+1 {{'grow.launch' op has 3 operands and 2 results but the kernel takes 3 and gives 3}}
  %y:2 = grow.launch @k(%x, %x, %x) branches 2 : (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>)
  return
}

// -----

// expected-note @+1 {{the kernel is here}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %y, %s = grow.fused_map branches ? (%x) over (%w) join (sum, each) : (tensor<?x?xf32>, tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>):
    grow.yield %in, %in : tensor<?x?xf32>, tensor<?x?xf32>
  }
  grow.yield %y, %s : tensor<?x?xf32>, tensor<?x?xf32>
}
func.func @f(%x: tensor<2x4xf32>, %v: tensor<4xf32>) {
  // expected-error @+1 {{'grow.launch' op operand 2 is 'tensor<4xf32>' but the kernel has 'tensor<?x?xf32>'}}
  %y:3 = grow.launch @k(%x, %x, %v) branches 2 : (tensor<2x4xf32>, tensor<2x4xf32>, tensor<4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>)
  return
}

// -----

// expected-note @+1 {{the kernel is here}}
grow.kernel @k {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
  %y, %s = grow.fused_map branches ? (%x) over (%w) join (sum, each) : (tensor<?x?xf32>, tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?x?xf32>) {
  ^bb0(%in: tensor<?x?xf32>, %p0: tensor<?x?xf32>):
    grow.yield %in, %in : tensor<?x?xf32>, tensor<?x?xf32>
  }
  grow.yield %y, %s : tensor<?x?xf32>, tensor<?x?xf32>
}
func.func @f(%x: tensor<2x4xf32>) {
  // expected-error @+1 {{'grow.launch' op result 2 is 'tensor<2x4xi1>' but the kernel has 'tensor<?x?xf32>'}}
  %y:3 = grow.launch @k(%x, %x, %x) branches 2 : (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) -> (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xi1>)
  return
}
