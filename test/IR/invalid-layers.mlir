// RUN: cambium-opt %s -split-input-file -verify-diagnostics

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op takes stride [h, w] with entries of at least 1}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w stride [0, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op takes stride [h, w] with entries of at least 1}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w stride [1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op takes dilation [h, w] with entries of at least 1}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w dilation [1, 1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op takes padding [h, w] or [top, left, bottom, right] with no negative entry}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w padding [1, 1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op takes padding [h, w] or [top, left, bottom, right] with no negative entry}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w padding [-1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op needs at least one group}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w groups 0 : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op: 4 channels do not divide into 3 groups}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w groups 3 : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x2x7xf32>) {
  // expected-error @+2 {{'grow.conv2d' op: 7 filters do not divide into 2 groups}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w groups 2 : (tensor<?x8x8x4xf32>, tensor<3x3x2x7xf32>) -> tensor<?x6x6x7xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x3x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op: the input has 4 channels, so the filter's third extent must be 4, but it is 3}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w : (tensor<?x8x8x4xf32>, tensor<3x3x3x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<9x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op: a window of 9 with dilation 1 does not fit a padded height of 8}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w : (tensor<?x8x8x4xf32>, tensor<9x3x4x8xf32>) -> tensor<?x1x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op: a window of 3 with dilation 5 does not fit a padded width of 10}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w padding [1, 1] dilation [1, 5] : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+2 {{'grow.conv2d' op inferred type(s) 'tensor<?x6x6x8xf32>' are incompatible with return type(s) of operation 'tensor<?x8x8x8xf32>'}}
  // expected-error @+1 {{'grow.conv2d' op failed to infer returned types}}
  %y = grow.conv2d %x, %w : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x8x8x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8xf32>, %w: tensor<3x3x4x8xf32>) {
  // expected-error @+1 {{'grow.conv2d' op operand #0 must be 4D tensor of 32-bit float values, but got 'tensor<?x8xf32>'}}
  %y = grow.conv2d %x, %w : (tensor<?x8xf32>, tensor<3x3x4x8xf32>) -> tensor<?x6x6x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x16xf32>, %w: tensor<8x4xf32>) {
  // expected-error @+2 {{'grow.linear' op the input's features are not the weight's rows: 16 against 8}}
  // expected-error @+1 {{'grow.linear' op failed to infer returned types}}
  %y = grow.linear %x, %w : (tensor<?x16xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x16xf32>, %b: tensor<8xf32>) {
  // expected-error @+2 {{'grow.bias_add' op: the bias has 8 elements but the input has 16 channels}}
  // expected-error @+1 {{'grow.bias_add' op failed to infer returned types}}
  %y = grow.bias_add %x, %b : (tensor<?x16xf32>, tensor<8xf32>) -> tensor<?x16xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>, %b: tensor<8xf32>) {
  // expected-error @+2 {{'grow.bias_add' op needs a last dimension, but the input is a scalar}}
  // expected-error @+1 {{'grow.bias_add' op failed to infer returned types}}
  %y = grow.bias_add %x, %b : (tensor<f32>, tensor<8xf32>) -> tensor<f32>
  return
}

// -----

func.func @f(%x: tensor<?x16xf32>, %s: tensor<8xf32>) {
  // expected-error @+2 {{'grow.channel_scale' op: the scale has 8 elements but the input has 16 channels}}
  // expected-error @+1 {{'grow.channel_scale' op failed to infer returned types}}
  %y = grow.channel_scale %x, %s : (tensor<?x16xf32>, tensor<8xf32>) -> tensor<?x16xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.leaky_relu' op has slope -0.1; it must be in [0, 1]}}
  %y = grow.leaky_relu %x slope -0.1 : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.leaky_relu' op has slope 1.5; it must be in [0, 1]}}
  %y = grow.leaky_relu %x slope 1.5 : tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>) {
  // expected-error @+2 {{'grow.max_pool2d' op takes window [h, w] with entries of at least 1}}
  // expected-error @+1 {{'grow.max_pool2d' op failed to infer returned types}}
  %y = grow.max_pool2d %x window [2] : (tensor<?x8x8x4xf32>) -> tensor<?x8x8x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>) {
  // expected-error @+2 {{'grow.max_pool2d' op takes window [h, w] with entries of at least 1}}
  // expected-error @+1 {{'grow.max_pool2d' op failed to infer returned types}}
  %y = grow.max_pool2d %x window [0, 2] : (tensor<?x8x8x4xf32>) -> tensor<?x8x8x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>) {
  // expected-error @+2 {{'grow.max_pool2d' op: a window of 9 with dilation 1 does not fit a padded width of 8}}
  // expected-error @+1 {{'grow.max_pool2d' op failed to infer returned types}}
  %y = grow.max_pool2d %x window [2, 9] : (tensor<?x8x8x4xf32>) -> tensor<?x7x1x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>) {
  // expected-error @+2 {{'grow.avg_pool2d' op takes window [h, w] with entries of at least 1}}
  // expected-error @+1 {{'grow.avg_pool2d' op failed to infer returned types}}
  %y = grow.avg_pool2d %x window [2] : (tensor<?x8x8x4xf32>) -> tensor<?x8x8x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>) {
  // expected-error @+2 {{'grow.avg_pool2d' op takes window [h, w] with entries of at least 1}}
  // expected-error @+1 {{'grow.avg_pool2d' op failed to infer returned types}}
  %y = grow.avg_pool2d %x window [0, 2] : (tensor<?x8x8x4xf32>) -> tensor<?x8x8x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>) {
  // expected-error @+2 {{'grow.avg_pool2d' op: a window of 9 with dilation 1 does not fit a padded width of 8}}
  // expected-error @+1 {{'grow.avg_pool2d' op failed to infer returned types}}
  %y = grow.avg_pool2d %x window [2, 9] : (tensor<?x8x8x4xf32>) -> tensor<?x7x1x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x8x8x4xf32>) {
  // expected-error @+2 {{'grow.max_pool2d' op: padding 2 is not smaller than the window of 2, so a window could be padding alone}}
  // expected-error @+1 {{'grow.max_pool2d' op failed to infer returned types}}
  %y = grow.max_pool2d %x window [2, 3] padding [2, 2] : (tensor<?x8x8x4xf32>) -> tensor<?x11x10x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %a: tensor<4xf32>, %b: tensor<8xf32>) {
  // expected-error @+2 {{'grow.batch_norm' op: the scale has 8 elements but the input has 4 channels}}
  // expected-error @+1 {{'grow.batch_norm' op failed to infer returned types}}
  %y = grow.batch_norm %x, %b, %a, %a, %a : (tensor<?x4xf32>, tensor<8xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %a: tensor<4xf32>, %b: tensor<8xf32>) {
  // expected-error @+2 {{'grow.batch_norm' op: the shift has 8 elements but the input has 4 channels}}
  // expected-error @+1 {{'grow.batch_norm' op failed to infer returned types}}
  %y = grow.batch_norm %x, %a, %b, %a, %a : (tensor<?x4xf32>, tensor<4xf32>, tensor<8xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %a: tensor<4xf32>, %b: tensor<8xf32>) {
  // expected-error @+2 {{'grow.batch_norm' op: the mean has 8 elements but the input has 4 channels}}
  // expected-error @+1 {{'grow.batch_norm' op failed to infer returned types}}
  %y = grow.batch_norm %x, %a, %a, %b, %a : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<8xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %a: tensor<4xf32>, %b: tensor<8xf32>) {
  // expected-error @+2 {{'grow.batch_norm' op: the variance has 8 elements but the input has 4 channels}}
  // expected-error @+1 {{'grow.batch_norm' op failed to infer returned types}}
  %y = grow.batch_norm %x, %a, %a, %a, %b : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<8xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %a: tensor<4xf32>) {
  // expected-error @+1 {{'grow.batch_norm' op has momentum 1.5; it must be in [0, 1]}}
  %y = grow.batch_norm %x, %a, %a, %a, %a momentum 1.5 : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %a: tensor<4xf32>) {
  // expected-error @+1 {{'grow.batch_norm' op needs a positive epsilon}}
  %y = grow.batch_norm %x, %a, %a, %a, %a epsilon 0.0 : (tensor<?x4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>, %a: tensor<4xf32>) {
  // expected-error @+2 {{'grow.batch_norm' op needs a last dimension, but the input is a scalar}}
  // expected-error @+1 {{'grow.batch_norm' op failed to infer returned types}}
  %y = grow.batch_norm %x, %a, %a, %a, %a : (tensor<f32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>, tensor<4xf32>) -> tensor<f32>
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+1 {{'grow.reshape' op needs a batch, the first dimension, on both sides}}
  %y = grow.reshape %x : tensor<f32> -> tensor<1x1xf32>
  return
}

// -----

func.func @f(%x: tensor<2x6xf32>) {
  // expected-error @+1 {{'grow.reshape' op the number of elements changes: 12 against 15}}
  %y = grow.reshape %x : tensor<2x6xf32> -> tensor<3x5xf32>
  return
}

// -----

func.func @f(%x: tensor<?x6xf32>) {
  // expected-error @+1 {{'grow.reshape' op the number of elements behind the batch changes: 6 against 8}}
  %y = grow.reshape %x : tensor<?x6xf32> -> tensor<?x2x4xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+2 {{'grow.flatten' op needs a batch, the first dimension, but the input is a scalar}}
  // expected-error @+1 {{'grow.flatten' op failed to infer returned types}}
  %y = grow.flatten %x : (tensor<f32>) -> tensor<1x1xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+2 {{'grow.concat' op needs at least one part}}
  // expected-error @+1 {{'grow.concat' op failed to infer returned types}}
  %y = grow.concat : () -> tensor<4xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+2 {{'grow.concat' op joins along the last dimension, but a scalar has none}}
  // expected-error @+1 {{'grow.concat' op failed to infer returned types}}
  %y = grow.concat %x, %x : (tensor<f32>, tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @f(%a: tensor<?x4xf32>, %b: tensor<4xf32>) {
  // expected-error @+2 {{'grow.concat' op: part 1 has rank 1 but the first has rank 2}}
  // expected-error @+1 {{'grow.concat' op failed to infer returned types}}
  %y = grow.concat %a, %b : (tensor<?x4xf32>, tensor<4xf32>) -> tensor<?x8xf32>
  return
}

// -----

func.func @f(%a: tensor<?x8x4xf32>, %b: tensor<?x9x4xf32>) {
  // expected-error @+2 {{'grow.concat' op parts differ in another extent than the last: 9 against 8}}
  // expected-error @+1 {{'grow.concat' op failed to infer returned types}}
  %y = grow.concat %a, %b : (tensor<?x8x4xf32>, tensor<?x9x4xf32>) -> tensor<?x8x8xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+2 {{'grow.slice' op: the range [2, 5) is not inside the last extent 4}}
  // expected-error @+1 {{'grow.slice' op failed to infer returned types}}
  %y = grow.slice %x offset 2 size 3 : (tensor<?x4xf32>) -> tensor<?x3xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+2 {{'grow.slice' op: the range [-1, 1) is not inside the last extent 4}}
  // expected-error @+1 {{'grow.slice' op failed to infer returned types}}
  %y = grow.slice %x offset -1 size 2 : (tensor<?x4xf32>) -> tensor<?x2xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+2 {{'grow.slice' op: the range [0, 0) is not inside the last extent 4}}
  // expected-error @+1 {{'grow.slice' op failed to infer returned types}}
  %y = grow.slice %x offset 0 size 0 : (tensor<?x4xf32>) -> tensor<?x0xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+2 {{'grow.slice' op takes a range of the last dimension, but a scalar has none}}
  // expected-error @+1 {{'grow.slice' op failed to infer returned types}}
  %y = grow.slice %x offset 0 size 1 : (tensor<f32>) -> tensor<f32>
  return
}

// -----

func.func @f(%x: tensor<4xf32>) {
  // expected-error @+1 {{'grow.fill' op of type 'tensor<?x4xf32>' needs an operand for its batch and static other extents}}
  %y = grow.fill 0.0 : tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>) {
  // expected-error @+1 {{'grow.fill' op of type 'tensor<?x?xf32>' needs an operand for its batch and static other extents}}
  %y = grow.fill 0.0 batch_of %x : tensor<?x4xf32> -> tensor<?x?xf32>
  return
}

// -----

func.func @f(%x: tensor<f32>) {
  // expected-error @+1 {{'grow.fill' op takes a batch from a tensor but a scalar has none}}
  %y = grow.fill 0.0 batch_of %x : tensor<f32> -> tensor<?x4xf32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %l: tensor<2xi32>) {
  // expected-error @+2 {{'grow.softmax_cross_entropy' op logits and labels differ in the batch: 3 against 2}}
  // expected-error @+1 {{'grow.softmax_cross_entropy' op failed to infer returned types}}
  %y = grow.softmax_cross_entropy %x, %l : (tensor<3x4xf32>, tensor<2xi32>) -> tensor<f32>
  return
}

// -----

func.func @f(%x: tensor<3x4xf32>, %l: tensor<3xf32>) {
  // expected-error @+1 {{'grow.softmax_cross_entropy' op operand #1 must be 1D tensor of 32-bit signless integer values, but got 'tensor<3xf32>'}}
  %y = grow.softmax_cross_entropy %x, %l : (tensor<3x4xf32>, tensor<3xf32>) -> tensor<f32>
  return
}

// -----

func.func @f(%x: tensor<?x4xf32>, %t: tensor<?x5xf32>) {
  // expected-error @+2 {{'grow.mse' op: the input is 'tensor<?x4xf32>' but the target is 'tensor<?x5xf32>'}}
  // expected-error @+1 {{'grow.mse' op failed to infer returned types}}
  %y = grow.mse %x, %t : (tensor<?x4xf32>, tensor<?x5xf32>) -> tensor<f32>
  return
}

// -----

func.func @f(%a: tensor<?x4xf32>, %b: tensor<?x5xf32>) {
  // expected-error @+1 {{'grow.add' op requires the same type for all operands and results}}
  %y = "grow.add"(%a, %b) : (tensor<?x4xf32>, tensor<?x5xf32>) -> tensor<?x4xf32>
  return
}
