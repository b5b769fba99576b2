// RUN: cambium-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'product' joins no branches; use sum, mean or concat}}
  %y = grow.map "m" product (%x) over [] {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected 'over'}}
  %y = grow.map "m" sum (%x) {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected one block that ends in a grow.yield of one tensor}}
  %y = grow.map "m" sum (%x) over [] {
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected one block that ends in a grow.yield of one tensor}}
  %y = grow.map "m" sum (%x) over [] {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in, %in : tensor<?x4xf32>, tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{expected one block that ends in a grow.yield of one tensor}}
  %y = grow.map "m" concat (%x) over [()] {
  ^bb0(%in: tensor<?x4xf32>):
    %c = arith.constant 1.0 : f32
    grow.yield %c : f32
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{2 inputs, but the body takes 1 arguments}}
  %y = grow.map "m" sum (%x, %x) over [] {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %b: tensor<4xf32>) {
  // expected-error @+1 {{branch 0 has 2 parameters, but the body takes 1 for each}}
  %y = grow.map "m" sum (%x) over [(%b, %b), (%b)] {
  ^bb0(%in: tensor<?x4xf32>, %bias: tensor<4xf32>):
    %c = grow.bias_add %in, %bias : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    grow.yield %c : tensor<?x4xf32>
  }
  return
}

// -----

// The number of parameters in all is right, but not that of each branch.
func.func @f(%x: tensor<?x4xf32>, %b: tensor<4xf32>) {
  // expected-error @+1 {{branch 0 has 1 parameters, but the body takes 2 for each}}
  %y = grow.map "m" sum (%x) over [(%b), (%b, %b, %b)] {
  ^bb0(%in: tensor<?x4xf32>, %b0: tensor<4xf32>, %b1: tensor<4xf32>):
    %c = grow.bias_add %in, %b0 : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    %d = grow.bias_add %c, %b1 : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    grow.yield %d : tensor<?x4xf32>
  }
  return
}

// -----

// The custom form takes types from the body, so a branch of another shape is a
// use of another type.
// expected-note @+1 {{prior use here}}
func.func @f(%x: tensor<?x4xf32>, %b: tensor<8xf32>) {
  // expected-error @+1 {{use of value '%b' expects different type than prior uses: 'tensor<4xf32>' vs 'tensor<8xf32>'}}
  %y = grow.map "m" sum (%x) over [(%b)] {
  ^bb0(%in: tensor<?x4xf32>, %bias: tensor<4xf32>):
    %c = grow.bias_add %in, %bias : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    grow.yield %c : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.map' op cannot concatenate no branch; use sum, or add a branch}}
  %y = grow.map "m" concat (%x) over [] {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+1 {{'grow.map' op cannot concatenate scalars, which have no last dimension; use sum or mean}}
  %y = grow.map "m" concat (%x) over [()] {
  ^bb0(%in: tensor<f32>):
    grow.yield %in : tensor<f32>
  }
  return
}

// -----

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @b : tensor<4xf32> in @g init(#grow.zero)
func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.map' op needs a body of pure operations; pass what it reads as an operand}}
  %y = grow.map "m" sum (%x) over [()] {
  ^bb0(%in: tensor<?x4xf32>):
    // expected-note @+1 {{'grow.get' is here}}
    %b = grow.get @b : tensor<4xf32>
    %c = grow.bias_add %in, %b : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    grow.yield %c : tensor<?x4xf32>
  }
  return
}

// -----

grow.state @s : tensor<4xf32> init(#grow.zero)
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.map' op needs a body of pure operations}}
  %y = grow.map "m" sum (%x) over [()] {
  ^bb0(%in: tensor<4xf32>):
    // expected-note @+1 {{'grow.set' is here}}
    grow.set @s, %in : tensor<4xf32>
    grow.yield %in : tensor<4xf32>
  }
  return
}

// -----

// The body sees its arguments alone.
func.func @f(%x: tensor<?x4xf32>, %b: tensor<4xf32>) {
  // expected-note @+1 {{required by region isolation constraints}}
  %y = grow.map "m" sum (%x) over [()] {
  ^bb0(%in: tensor<?x4xf32>):
    // expected-error @+1 {{'grow.bias_add' op using value defined outside the region}}
    %c = grow.bias_add %in, %b : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    grow.yield %c : tensor<?x4xf32>
  }
  return
}

// -----

// The generic form states what the custom form infers.
func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.map' op has a negative number of branches}}
  %y = "grow.map"(%x) <{name = "m", reduction = #grow<reduction sum>, branches = -1 : i64, operandSegmentSizes = array<i32: 1, 0>}> ({
  ^bb0(%in: tensor<4xf32>):
    "grow.yield"(%in) : (tensor<4xf32>) -> ()
  }) : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.map' op has 2 inputs but its body takes 1 arguments}}
  %y = "grow.map"(%x, %x) <{name = "m", reduction = #grow<reduction sum>, branches = 1 : i64, operandSegmentSizes = array<i32: 2, 0>}> ({
  ^bb0(%in: tensor<4xf32>):
    "grow.yield"(%in) : (tensor<4xf32>) -> ()
  }) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.map' op needs 1 parameters for each of 3 branches, so 3, but has 2}}
  %y = "grow.map"(%x, %x, %x) <{name = "m", reduction = #grow<reduction sum>, branches = 3 : i64, operandSegmentSizes = array<i32: 1, 2>}> ({
  ^bb0(%in: tensor<4xf32>, %p: tensor<4xf32>):
    %s = "grow.add"(%in, %p) : (tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
    "grow.yield"(%s) : (tensor<4xf32>) -> ()
  }) : (tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<8xf32>) {
  // expected-error @+1 {{'grow.map' op input 0 is 'tensor<8xf32>' but the body takes 'tensor<4xf32>'}}
  %y = "grow.map"(%x) <{name = "m", reduction = #grow<reduction sum>, branches = 1 : i64, operandSegmentSizes = array<i32: 1, 0>}> ({
  ^bb0(%in: tensor<4xf32>):
    "grow.yield"(%in) : (tensor<4xf32>) -> ()
  }) : (tensor<8xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %a: tensor<4xf32>, %b: tensor<8xf32>) {
  // expected-error @+1 {{'grow.map' op branch 1: parameter 0 is 'tensor<8xf32>' but the body takes 'tensor<4xf32>'; branches of another shape need a map of their own}}
  %y = "grow.map"(%x, %a, %b) <{name = "m", reduction = #grow<reduction sum>, branches = 2 : i64, operandSegmentSizes = array<i32: 1, 2>}> ({
  ^bb0(%in: tensor<?x4xf32>, %bias: tensor<4xf32>):
    %s = "grow.bias_add"(%in, %bias) : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
    "grow.yield"(%s) : (tensor<?x4xf32>) -> ()
  }) : (tensor<?x4xf32>, tensor<4xf32>, tensor<8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.map' op needs a body that ends in a grow.yield of one tensor}}
  %y = "grow.map"(%x) <{name = "m", reduction = #grow<reduction sum>, branches = 1 : i64, operandSegmentSizes = array<i32: 1, 0>}> ({
  ^bb0(%in: tensor<4xf32>):
    "grow.yield"() : () -> ()
  }) : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.map' op needs a body that ends in a grow.yield of one tensor}}
  %y = "grow.map"(%x) <{name = "m", reduction = #grow<reduction sum>, branches = 1 : i64, operandSegmentSizes = array<i32: 1, 0>}> ({
  ^bb0(%in: tensor<4xf32>):
    %0 = "grow.relu"(%in) : (tensor<4xf32>) -> tensor<4xf32>
  }) : (tensor<4xf32>) -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.map' op has type 'tensor<?x4xf32>' but its branches give 'tensor<?x8xf32>'}}
  %y = "grow.map"(%x) <{name = "m", reduction = #grow<reduction concat>, branches = 2 : i64, operandSegmentSizes = array<i32: 1, 0>}> ({
  ^bb0(%in: tensor<?x4xf32>):
    "grow.yield"(%in) : (tensor<?x4xf32>) -> ()
  }) : (tensor<?x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.yield' op expects parent op to be one of 'grow.map, grow.fused_map, grow.kernel'}}
  grow.yield %x : tensor<4xf32>
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'all' is not what a map can keep; use mask, recompute or store}}
  %y = grow.map "m" sum (%x) over [] keep all {
  ^bb0(%in: tensor<?x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return
}
