// RUN: cambium-opt %s -split-input-file -verify-diagnostics

func.func @f() {
  // expected-error @+1 {{'grow.weight_sum' op expected 1 or more operands, but found 0}}
  %w = grow.weight_sum : tensor<4x4xf32>
  return
}

// -----

func.func @f() {
  // expected-error @+2 {{'grow.weight_concat' op needs at least one part}}
  // expected-error @+1 {{'grow.weight_concat' op failed to infer returned types}}
  %w = grow.weight_concat : () -> tensor<4x4xf32>
  return
}

// -----

func.func @f(%a: tensor<4x4xf32>, %b: tensor<5x4xf32>) {
  // expected-error @+2 {{'grow.weight_concat' op parts differ in another extent than the last: 5 against 4}}
  // expected-error @+1 {{'grow.weight_concat' op failed to infer returned types}}
  %w = grow.weight_concat %a, %b : (tensor<4x4xf32>, tensor<5x4xf32>) -> tensor<4x8xf32>
  return
}

// -----

func.func @f(%a: tensor<4x4xf32>) {
  // expected-error @+2 {{'grow.weight_slice' op: the range [3, 5) is not inside the last extent 4}}
  // expected-error @+1 {{'grow.weight_slice' op failed to infer returned types}}
  %w = grow.weight_slice %a offset 3 size 2 : (tensor<4x4xf32>) -> tensor<4x2xf32>
  return
}

// -----

func.func @f(%a: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.weight_pad' op takes padding [top, left, bottom, right] with no negative entry}}
  // expected-error @+1 {{'grow.weight_pad' op failed to infer returned types}}
  %w = grow.weight_pad %a [1, 1] : (tensor<3x3x4x8xf32>) -> tensor<5x5x4x8xf32>
  return
}

// -----

func.func @f(%a: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.weight_pad' op takes padding [top, left, bottom, right] with no negative entry}}
  // expected-error @+1 {{'grow.weight_pad' op failed to infer returned types}}
  %w = grow.weight_pad %a [1, 1, 1, -1] : (tensor<3x3x4x8xf32>) -> tensor<5x3x4x8xf32>
  return
}

// -----

func.func @f(%a: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.weight_crop' op leaves nothing of a 3x3 window}}
  // expected-error @+1 {{'grow.weight_crop' op failed to infer returned types}}
  %w = grow.weight_crop %a [2, 0, 1, 0] : (tensor<3x3x4x8xf32>) -> tensor<1x3x4x8xf32>
  return
}

// -----

func.func @f(%a: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.weight_crop' op leaves nothing of a 3x3 window}}
  // expected-error @+1 {{'grow.weight_crop' op failed to infer returned types}}
  %w = grow.weight_crop %a [0, 2, 0, 2] : (tensor<3x3x4x8xf32>) -> tensor<3x1x4x8xf32>
  return
}

// -----

func.func @f(%a: tensor<3x3x4x8xf32>, %b: tensor<3x3x8x2xf32>) {
  // expected-error @+2 {{'grow.weight_compose' op: the first filter is 'tensor<3x3x4x8xf32>' but its window must be 1x1}}
  // expected-error @+1 {{'grow.weight_compose' op failed to infer returned types}}
  %w = grow.weight_compose %a, %b : (tensor<3x3x4x8xf32>, tensor<3x3x8x2xf32>) -> tensor<3x3x4x2xf32>
  return
}

// -----

func.func @f(%a: tensor<1x1x4x8xf32>, %b: tensor<3x3x6x2xf32>) {
  // expected-error @+2 {{'grow.weight_compose' op the first filter's filters are not the second's channels: 8 against 6}}
  // expected-error @+1 {{'grow.weight_compose' op failed to infer returned types}}
  %w = grow.weight_compose %a, %b : (tensor<1x1x4x8xf32>, tensor<3x3x6x2xf32>) -> tensor<3x3x4x2xf32>
  return
}

// -----

func.func @f(%g: tensor<3x3x4x2xf32>, %b: tensor<5x3x8x2xf32>) {
  // expected-error @+2 {{'grow.weight_compose_grad_first' op gradient and second filter differ in an extent: 3 against 5}}
  // expected-error @+1 {{'grow.weight_compose_grad_first' op failed to infer returned types}}
  %w = grow.weight_compose_grad_first %g, %b : (tensor<3x3x4x2xf32>, tensor<5x3x8x2xf32>) -> tensor<1x1x4x8xf32>
  return
}

// -----

func.func @f(%g: tensor<3x3x4x2xf32>, %a: tensor<1x1x5x8xf32>) {
  // expected-error @+2 {{'grow.weight_compose_grad_second' op gradient and first filter differ in channels: 4 against 5}}
  // expected-error @+1 {{'grow.weight_compose_grad_second' op failed to infer returned types}}
  %w = grow.weight_compose_grad_second %g, %a : (tensor<3x3x4x2xf32>, tensor<1x1x5x8xf32>) -> tensor<3x3x8x2xf32>
  return
}
