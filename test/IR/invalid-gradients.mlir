// RUN: cambium-opt %s -split-input-file -verify-diagnostics

func.func @f(%g: tensor<?x6x6x8xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+1 {{'grow.conv2d_grad_input' op takes the gradient of a result of type 'tensor<?x6x6x8xf32>', but the forward operation gives 'tensor<?x8x8x8xf32>'}}
  %d = grow.conv2d_grad_input %g, %w padding [1, 1] : (tensor<?x6x6x8xf32>, tensor<3x3x4x8xf32>) -> tensor<?x8x8x4xf32>
  return
}

// -----

func.func @f(%g: tensor<?x6x6x8xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+1 {{'grow.conv2d_grad_input' op: the input has 5 channels, so the filter's third extent must be 5, but it is 4}}
  %d = grow.conv2d_grad_input %g, %w : (tensor<?x6x6x8xf32>, tensor<3x3x4x8xf32>) -> tensor<?x8x8x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %g: tensor<?x6x6x8xf32>) {
  // expected-error @+1 {{'grow.conv2d_grad_filter' op takes the gradient of a result of type 'tensor<?x6x6x8xf32>', but the forward operation gives 'tensor<?x4x4x8xf32>'}}
  %d = grow.conv2d_grad_filter %x, %g : (tensor<?x8x8x4xf32>, tensor<?x6x6x8xf32>) -> tensor<5x5x4x8xf32>
  return
}

// -----

func.func @f(%g: tensor<?x10xf32>, %w: tensor<8x4xf32>) {
  // expected-error @+2 {{'grow.linear_grad_input' op the gradient's features are not the weight's columns: 10 against 4}}
  // expected-error @+1 {{'grow.linear_grad_input' op failed to infer returned types}}
  %d = grow.linear_grad_input %g, %w : (tensor<?x10xf32>, tensor<8x4xf32>) -> tensor<?x8xf32>
  return
}

// -----

func.func @f(%x: tensor<3x8xf32>, %g: tensor<2x4xf32>) {
  // expected-error @+2 {{'grow.linear_grad_weight' op input and gradient differ in the batch: 3 against 2}}
  // expected-error @+1 {{'grow.linear_grad_weight' op failed to infer returned types}}
  %d = grow.linear_grad_weight %x, %g : (tensor<3x8xf32>, tensor<2x4xf32>) -> tensor<8x4xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+2 {{'grow.channel_sum' op needs a last dimension, but the input is a scalar}}
  // expected-error @+1 {{'grow.channel_sum' op failed to infer returned types}}
  %d = grow.channel_sum %x : (tensor<f32>) -> tensor<1xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %g: tensor<?x3x3x4xf32>) {
  // expected-error @+2 {{'grow.max_pool2d_grad' op takes the gradient of a result of type 'tensor<?x3x3x4xf32>', but the forward operation gives 'tensor<?x4x4x4xf32>'}}
  // expected-error @+1 {{'grow.max_pool2d_grad' op failed to infer returned types}}
  %d = grow.max_pool2d_grad %x, %g window [2, 2] stride [2, 2] : (tensor<?x8x8x4xf32>, tensor<?x3x3x4xf32>) -> tensor<?x8x8x4xf32>
  return
}

// -----

func.func @f(%g: tensor<?x3x3x4xf32>) {
  // expected-error @+1 {{'grow.avg_pool2d_grad' op takes the gradient of a result of type 'tensor<?x3x3x4xf32>', but the forward operation gives 'tensor<?x4x4x4xf32>'}}
  %d = grow.avg_pool2d_grad %g window [2, 2] stride [2, 2] : (tensor<?x3x3x4xf32>) -> tensor<?x8x8x4xf32>
  return
}

// -----

func.func @f(%g: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.global_avg_pool_grad' op takes the gradient of a result of type 'tensor<?x4xf32>', but the forward operation gives 'tensor<?x8xf32>'}}
  %d = grow.global_avg_pool_grad %g : (tensor<?x4xf32>) -> tensor<?x7x7x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %m: tensor<8xf32>) {
  // expected-error @+2 {{'grow.batch_norm_stats' op: a vector has 8 elements but the input has 4 channels}}
  // expected-error @+1 {{'grow.batch_norm_stats' op failed to infer returned types}}
  %a, %b, %c, %d = grow.batch_norm_stats %x, %m, %m : (tensor<?x4xf32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>)
  return
}

// -----

func.func @f(%x: tensor<f32>, %m: tensor<8xf32>) {
  // expected-error @+2 {{'grow.batch_norm_stats' op needs a last dimension, but the input is a scalar}}
  // expected-error @+1 {{'grow.batch_norm_stats' op failed to infer returned types}}
  %a, %b, %c, %d = grow.batch_norm_stats %x, %m, %m : (tensor<f32>, tensor<8xf32>, tensor<8xf32>) -> (tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>)
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %g: tensor<?x5xf32>, %m: tensor<4xf32>) {
  // expected-error @+2 {{'grow.batch_norm_grad' op: the input is 'tensor<?x4xf32>' but the gradient is 'tensor<?x5xf32>'}}
  // expected-error @+1 {{'grow.batch_norm_grad' op failed to infer returned types}}
  %a, %b, %c = grow.batch_norm_grad %x, %m, %m, %m, %g : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<?x5xf32>) -> (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>)
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %m: tensor<8xf32>) {
  // expected-error @+2 {{'grow.batch_norm_grad' op: a vector has 8 elements but the input has 4 channels}}
  // expected-error @+1 {{'grow.batch_norm_grad' op failed to infer returned types}}
  %a, %b, %c = grow.batch_norm_grad %x, %m, %m, %m, %x : (tensor<?x4xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<?x4xf32>) -> (tensor<?x4xf32>, tensor<8xf32>, tensor<8xf32>)
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %l: tensor<2xi32>, %d: tensor<f32>) {
  // expected-error @+2 {{'grow.softmax_cross_entropy_grad' op logits and labels differ in the batch: 3 against 2}}
  // expected-error @+1 {{'grow.softmax_cross_entropy_grad' op failed to infer returned types}}
  %y = grow.softmax_cross_entropy_grad %x, %l, %d : (tensor<3x4xf32>, tensor<2xi32>, tensor<f32>) -> tensor<3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %t: tensor<?x5xf32>, %d: tensor<f32>) {
  // expected-error @+2 {{'grow.mse_grad' op: the input is 'tensor<?x4xf32>' but the target is 'tensor<?x5xf32>'}}
  // expected-error @+1 {{'grow.mse_grad' op failed to infer returned types}}
  %y = grow.mse_grad %x, %t, %d : (tensor<?x4xf32>, tensor<?x5xf32>, tensor<f32>) -> tensor<?x4xf32>
  return
}
