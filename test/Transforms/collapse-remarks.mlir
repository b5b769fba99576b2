// RUN: cambium-opt %s --grow-collapse -split-input-file -verify-diagnostics -o /dev/null

// Each map that stays says why.
func.func @relu(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>, %w2: tensor<64x10xf32>, %w3: tensor<64x10xf32>, %w4: tensor<64x10xf32>, %w5: tensor<64x10xf32>, %w6: tensor<64x10xf32>, %w7: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 8 branches not collapsed: 'grow.relu' is not linear}}
  %y = grow.map "block1" sum (%x) over [(%w0), (%w1), (%w2), (%w3), (%w4), (%w5), (%w6), (%w7)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.relu %l : tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

func.func @leaky_relu(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: 'grow.leaky_relu' is not linear}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.leaky_relu %l slope 0.1 : tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

func.func @gelu(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 2 branches not collapsed: 'grow.gelu' is not linear}}
  %y = grow.map "block1" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.gelu %l : tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

func.func @silu(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 2 branches not collapsed: 'grow.silu' is not linear}}
  %y = grow.map "block1" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.silu %l : tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

func.func @tanh(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 2 branches not collapsed: 'grow.tanh' is not linear}}
  %y = grow.map "block1" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.tanh %l : tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

func.func @sigmoid(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 2 branches not collapsed: 'grow.sigmoid' is not linear}}
  %y = grow.map "block1" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.sigmoid %l : tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

func.func @mul(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>, %w1: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 2 branches not collapsed: 'grow.mul' is not linear in its input}}
  %y = grow.map "block1" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.mul %l, %l : tensor<?x10xf32>
    grow.yield %r : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// A linear end does not make the whole linear.
func.func @linear_end(%x: tensor<?x64xf32>, %p0: tensor<64x64xf32>, %q0: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: 'grow.relu' is not linear}}
  %y = grow.map "block1" mean (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x64xf32>, %p: tensor<64x64xf32>, %q: tensor<64x10xf32>):
    %l = grow.linear %in, %p : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.relu %l : tensor<?x64xf32>
    %m = grow.linear %r, %q : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %m : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.param @scale : tensor<10xf32> in @base init(#grow.constant<1.0>)
grow.param @shift : tensor<10xf32> in @base init(#grow.zero)
grow.state @mean : tensor<10xf32> init(#grow.zero)
grow.state @variance : tensor<10xf32> init(#grow.constant<1.0>)
func.func @batch_norm_training(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %s = grow.get @scale : tensor<10xf32>
  %t = grow.get @shift : tensor<10xf32>
  %m = grow.get @mean : tensor<10xf32>
  %v = grow.get @variance : tensor<10xf32>
  // expected-remark @+1 {{'block1': 1 branch not collapsed: 'grow.batch_norm' in training mode depends on the whole batch}}
  %y = grow.map "block1" sum (%x) over [(%w0, %s, %t, %m, %v)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>, %scale: tensor<10xf32>, %shift: tensor<10xf32>, %mean: tensor<10xf32>, %variance: tensor<10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    // expected-note @+1 {{stopped here}}
    %n = grow.batch_norm %l, %scale, %shift, %mean, %variance
        : (tensor<?x10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
    grow.yield %n : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.param @scale : tensor<10xf32> in @base init(#grow.constant<1.0>)
grow.param @shift : tensor<10xf32> in @base init(#grow.zero)
grow.state @mean : tensor<10xf32> init(#grow.zero)
grow.state @variance : tensor<10xf32> init(#grow.constant<1.0>)
func.func @batch_norm_inference(%x: tensor<?x64xf32>, %w0: tensor<64x10xf32>) -> tensor<?x10xf32> {
  %s = grow.get @scale : tensor<10xf32>
  %t = grow.get @shift : tensor<10xf32>
  %m = grow.get @mean : tensor<10xf32>
  %v = grow.get @variance : tensor<10xf32>
  // expected-remark @+1 {{'block1': 1 branch not collapsed: the statistics of 'grow.batch_norm' have no weight expression}}
  %y = grow.map "block1" sum (%x) over [(%w0, %s, %t, %m, %v)] {
  ^bb0(%in: tensor<?x64xf32>, %w: tensor<64x10xf32>, %scale: tensor<10xf32>, %shift: tensor<10xf32>, %mean: tensor<10xf32>, %variance: tensor<10xf32>):
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    // expected-note @+1 {{stopped here}}
    %n = grow.batch_norm %l, %scale, %shift, %mean, %variance inference
        : (tensor<?x10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
    grow.yield %n : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

func.func @max_pool(%x: tensor<?x28x28x4xf32>, %w0: tensor<3x3x4x8xf32>) -> tensor<?x14x14x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: 'grow.max_pool2d' is not linear}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %w: tensor<3x3x4x8xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.max_pool2d %c window [2, 2] stride [2, 2] : (tensor<?x28x28x8xf32>) -> tensor<?x14x14x8xf32>
    grow.yield %r : tensor<?x14x14x8xf32>
  }
  return %y : tensor<?x14x14x8xf32>
}

// -----

func.func @avg_pool(%x: tensor<?x28x28x4xf32>, %w0: tensor<3x3x4x8xf32>) -> tensor<?x14x14x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: 'grow.avg_pool2d' has no filter to sum}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %w: tensor<3x3x4x8xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.avg_pool2d %c window [2, 2] stride [2, 2] : (tensor<?x28x28x8xf32>) -> tensor<?x14x14x8xf32>
    grow.yield %r : tensor<?x14x14x8xf32>
  }
  return %y : tensor<?x14x14x8xf32>
}

// -----

func.func @flatten(%x: tensor<?x28x28x4xf32>, %w0: tensor<3x3x4x8xf32>) -> tensor<?x6272xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: 'grow.flatten' has no weight expression}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %w: tensor<3x3x4x8xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.flatten %c : (tensor<?x28x28x8xf32>) -> tensor<?x6272xf32>
    grow.yield %r : tensor<?x6272xf32>
  }
  return %y : tensor<?x6272xf32>
}

// -----

func.func @strides(%x: tensor<?x15x15x4xf32>, %p0: tensor<3x3x4x8xf32>, %q0: tensor<8x8x4x8xf32>) -> tensor<?x8x8x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: strides differ ([2, 2] against [1, 1])}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x15x15x4xf32>, %p: tensor<3x3x4x8xf32>, %q: tensor<8x8x4x8xf32>):
    %a = grow.conv2d %in, %p stride [2, 2] padding [1, 1] : (tensor<?x15x15x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x8x8x8xf32>
    %b = grow.conv2d %in, %q : (tensor<?x15x15x4xf32>, tensor<8x8x4x8xf32>) -> tensor<?x8x8x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.add %a, %b : tensor<?x8x8x8xf32>
    grow.yield %r : tensor<?x8x8x8xf32>
  }
  return %y : tensor<?x8x8x8xf32>
}

// -----

func.func @dilations(%x: tensor<?x28x28x4xf32>, %p0: tensor<3x3x4x8xf32>, %q0: tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: dilations differ ([1, 1] against [2, 2])}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %p: tensor<3x3x4x8xf32>, %q: tensor<3x3x4x8xf32>):
    %a = grow.conv2d %in, %p padding [1, 1] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    %b = grow.conv2d %in, %q padding [2, 2] dilation [2, 2] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.add %a, %b : tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

func.func @groups(%x: tensor<?x28x28x4xf32>, %p0: tensor<3x3x4x8xf32>, %q0: tensor<3x3x1x8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: groups differ (1 against 4)}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %p: tensor<3x3x4x8xf32>, %q: tensor<3x3x1x8xf32>):
    %a = grow.conv2d %in, %p padding [1, 1] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    %b = grow.conv2d %in, %q padding [1, 1] groups 4 : (tensor<?x28x28x4xf32>, tensor<3x3x1x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.add %a, %b : tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

func.func @dilated_grid(%x: tensor<?x28x28x4xf32>, %p0: tensor<3x3x4x8xf32>, %q0: tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: paddings differ by less than the dilation}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %p: tensor<3x3x4x8xf32>, %q: tensor<3x3x4x8xf32>):
    %a = grow.conv2d %in, %p padding [2, 2] dilation [2, 2] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    %b = grow.conv2d %in, %q padding [1, 1, 3, 3] dilation [2, 2] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.add %a, %b : tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

// The number of positions depends on the height, which is not known.
func.func @paddings(%x: tensor<?x?x?x4xf32>, %p0: tensor<2x2x4x8xf32>, %q0: tensor<1x1x4x8xf32>) -> tensor<?x?x?x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: paddings differ, so the windows do not meet the same positions}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x?x?x4xf32>, %p: tensor<2x2x4x8xf32>, %q: tensor<1x1x4x8xf32>):
    %a = grow.conv2d %in, %p stride [2, 2] : (tensor<?x?x?x4xf32>, tensor<2x2x4x8xf32>) -> tensor<?x?x?x8xf32>
    %b = grow.conv2d %in, %q stride [2, 2] : (tensor<?x?x?x4xf32>, tensor<1x1x4x8xf32>) -> tensor<?x?x?x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.add %a, %b : tensor<?x?x?x8xf32>
    grow.yield %r : tensor<?x?x?x8xf32>
  }
  return %y : tensor<?x?x?x8xf32>
}

// -----

func.func @row_and_column(%x: tensor<?x28x28x4xf32>, %p0: tensor<1x7x4x8xf32>, %q0: tensor<7x1x4x8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: one layer would cost 3.5 times as much}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %p: tensor<1x7x4x8xf32>, %q: tensor<7x1x4x8xf32>):
    %a = grow.conv2d %in, %p padding [0, 3] : (tensor<?x28x28x4xf32>, tensor<1x7x4x8xf32>) -> tensor<?x28x28x8xf32>
    %b = grow.conv2d %in, %q padding [3, 0] : (tensor<?x28x28x4xf32>, tensor<7x1x4x8xf32>) -> tensor<?x28x28x8xf32>
    %r = grow.add %a, %b : tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

func.func @residual(%x: tensor<?x28x28x8xf32>, %w0: tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: 'grow.add' takes the input itself, which has no filter}}
  %y = grow.map "block1" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %w: tensor<3x3x8x8xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.add %c, %in : tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

func.func @inputs(%x: tensor<?x28x28x8xf32>, %z: tensor<?x28x28x8xf32>, %p0: tensor<3x3x8x8xf32>, %q0: tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: the branches read different inputs}}
  %y = grow.map "block1" sum (%x, %z) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %other: tensor<?x28x28x8xf32>, %p: tensor<3x3x8x8xf32>, %q: tensor<3x3x8x8xf32>):
    %a = grow.conv2d %in, %p padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32>
    %b = grow.conv2d %other, %q padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.add %a, %b : tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

func.func @grouped_concat(%x: tensor<?x28x28x4xf32>, %w0: tensor<3x3x1x4xf32>, %w1: tensor<3x3x1x4xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 2 branches not collapsed: results of grouped convolutions interleave when they are concatenated}}
  %y = grow.map "block1" concat (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %w: tensor<3x3x1x4xf32>):
    %r = grow.conv2d %in, %w padding [1, 1] groups 4 : (tensor<?x28x28x4xf32>, tensor<3x3x1x4xf32>) -> tensor<?x28x28x4xf32>
    grow.yield %r : tensor<?x28x28x4xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

func.func @bias_at_border(%x: tensor<?x28x28x8xf32>, %p0: tensor<1x1x8x8xf32>, %q0: tensor<3x3x8x8xf32>, %b0: tensor<8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: a bias before a padded convolution is not exact at the border}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0, %b0)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %p: tensor<1x1x8x8xf32>, %q: tensor<3x3x8x8xf32>, %b: tensor<8xf32>):
    %a = grow.conv2d %in, %p : (tensor<?x28x28x8xf32>, tensor<1x1x8x8xf32>) -> tensor<?x28x28x8xf32>
    %d = grow.bias_add %a, %b : (tensor<?x28x28x8xf32>, tensor<8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.conv2d %d, %q padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

func.func @bias_between(%x: tensor<?x28x28x8xf32>, %p0: tensor<1x1x8x8xf32>, %q0: tensor<3x3x8x8xf32>, %b0: tensor<8xf32>) -> tensor<?x26x26x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: a bias between two layers has no weight expression}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0, %b0)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %p: tensor<1x1x8x8xf32>, %q: tensor<3x3x8x8xf32>, %b: tensor<8xf32>):
    %a = grow.conv2d %in, %p : (tensor<?x28x28x8xf32>, tensor<1x1x8x8xf32>) -> tensor<?x28x28x8xf32>
    %d = grow.bias_add %a, %b : (tensor<?x28x28x8xf32>, tensor<8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.conv2d %d, %q : (tensor<?x28x28x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x26x26x8xf32>
    grow.yield %r : tensor<?x26x26x8xf32>
  }
  return %y : tensor<?x26x26x8xf32>
}

// -----

func.func @large_windows(%x: tensor<?x28x28x8xf32>, %p0: tensor<3x3x8x8xf32>, %q0: tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: only 1x1 convolutions compose with another}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %p: tensor<3x3x8x8xf32>, %q: tensor<3x3x8x8xf32>):
    %a = grow.conv2d %in, %p padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.conv2d %a, %q padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

func.func @padding_between(%x: tensor<?x28x28x8xf32>, %p0: tensor<3x3x8x8xf32>, %q0: tensor<1x1x8x8xf32>) -> tensor<?x30x30x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: padding between two convolutions is not exact at the border}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %p: tensor<3x3x8x8xf32>, %q: tensor<1x1x8x8xf32>):
    %a = grow.conv2d %in, %p padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.conv2d %a, %q padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<1x1x8x8xf32>) -> tensor<?x30x30x8xf32>
    grow.yield %r : tensor<?x30x30x8xf32>
  }
  return %y : tensor<?x30x30x8xf32>
}

// -----

func.func @strided_first(%x: tensor<?x28x28x8xf32>, %p0: tensor<1x1x8x8xf32>, %q0: tensor<3x3x8x8xf32>) -> tensor<?x14x14x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: a strided convolution before another does not compose}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %p: tensor<1x1x8x8xf32>, %q: tensor<3x3x8x8xf32>):
    %a = grow.conv2d %in, %p stride [2, 2] : (tensor<?x28x28x8xf32>, tensor<1x1x8x8xf32>) -> tensor<?x14x14x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.conv2d %a, %q padding [1, 1] : (tensor<?x14x14x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x14x14x8xf32>
    grow.yield %r : tensor<?x14x14x8xf32>
  }
  return %y : tensor<?x14x14x8xf32>
}

// -----

func.func @grouped_chain(%x: tensor<?x28x28x8xf32>, %p0: tensor<1x1x8x8xf32>, %q0: tensor<3x3x1x8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: grouped convolutions do not compose}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x8xf32>, %p: tensor<1x1x8x8xf32>, %q: tensor<3x3x1x8xf32>):
    %a = grow.conv2d %in, %p : (tensor<?x28x28x8xf32>, tensor<1x1x8x8xf32>) -> tensor<?x28x28x8xf32>
    // expected-note @+1 {{stopped here}}
    %r = grow.conv2d %a, %q padding [1, 1] groups 8 : (tensor<?x28x28x8xf32>, tensor<3x3x1x8xf32>) -> tensor<?x28x28x8xf32>
    grow.yield %r : tensor<?x28x28x8xf32>
  }
  return %y : tensor<?x28x28x8xf32>
}

// -----

// Composed, the filter has 64x64 channels instead of 64x8 and 8x64.
func.func @bottleneck(%x: tensor<?x28x28x64xf32>, %p0: tensor<1x1x64x8xf32>, %q0: tensor<3x3x8x64xf32>) -> tensor<?x28x28x64xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: one layer would cost 7.3 times as much at batch 1}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x28x28x64xf32>, %p: tensor<1x1x64x8xf32>, %q: tensor<3x3x8x64xf32>):
    %a = grow.conv2d %in, %p : (tensor<?x28x28x64xf32>, tensor<1x1x64x8xf32>) -> tensor<?x28x28x8xf32>
    %r = grow.conv2d %a, %q padding [1, 1] : (tensor<?x28x28x8xf32>, tensor<3x3x8x64xf32>) -> tensor<?x28x28x64xf32>
    grow.yield %r : tensor<?x28x28x64xf32>
  }
  return %y : tensor<?x28x28x64xf32>
}

// -----

// With one row in a batch, the product of the matrices costs more than it saves.
func.func @matrices(%x: tensor<?x64xf32>, %p0: tensor<64x64xf32>, %q0: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: one layer would cost 8.8 times as much at batch 1}}
  %y = grow.map "block1" sum (%x) over [(%p0, %q0)] {
  ^bb0(%in: tensor<?x64xf32>, %p: tensor<64x64xf32>, %q: tensor<64x10xf32>):
    %l = grow.linear %in, %p : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
    %m = grow.linear %l, %q : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %m : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

func.func @weights_from_elsewhere(%x: tensor<?x64xf32>, %p0: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'block1': 1 branch not collapsed: the weights of 'grow.linear' come from 'grow.tanh'}}
  %y = grow.map "block1" sum (%x) over [(%p0)] {
  ^bb0(%in: tensor<?x64xf32>, %p: tensor<64x10xf32>):
    // expected-note @+1 {{stopped here}}
    %w = grow.tanh %p : tensor<64x10xf32>
    %l = grow.linear %in, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
    grow.yield %l : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// Both maps collapse, but into two convolutions.
func.func @maps(%x: tensor<?x28x28x4xf32>, %w0: tensor<3x3x4x8xf32>, %w1: tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32> {
  // expected-note @+1 {{'near' is here}}
  %0 = grow.map "near" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %w: tensor<3x3x4x8xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    grow.yield %c : tensor<?x28x28x8xf32>
  }
  // expected-remark @+1 {{'far': not joined with 'near': dilations differ ([1, 1] against [2, 2])}}
  %1 = grow.map "far" sum (%x) over [(%w1)] {
  ^bb0(%in: tensor<?x28x28x4xf32>, %w: tensor<3x3x4x8xf32>):
    %c = grow.conv2d %in, %w padding [2, 2] dilation [2, 2] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
    grow.yield %c : tensor<?x28x28x8xf32>
  }
  %y = grow.add %0, %1 : tensor<?x28x28x8xf32>
  return %y : tensor<?x28x28x8xf32>
}

// -----

// The inner map alone stops the outer one, and both say so.
func.func @nested(%x: tensor<?x64xf32>, %p0: tensor<64x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'outer': 1 branch not collapsed: 'grow.relu' is not linear}}
  %y = grow.map "outer" sum (%x) over [(%p0)] {
  ^bb0(%in: tensor<?x64xf32>, %p: tensor<64x10xf32>):
    // expected-remark @+1 {{'inner': 2 branches not collapsed: 'grow.relu' is not linear}}
    %i = grow.map "inner" sum (%in) over [(%p), (%p)] {
    ^bb1(%in2: tensor<?x64xf32>, %w: tensor<64x10xf32>):
      %l = grow.linear %in2, %w : (tensor<?x64xf32>, tensor<64x10xf32>) -> tensor<?x10xf32>
      // expected-note @+1 {{stopped here}}
      %r = grow.relu %l : tensor<?x10xf32>
      grow.yield %r : tensor<?x10xf32>
    }
    grow.yield %i : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}

// -----

// The sum would have 2^16 terms.
func.func @doubled(%x: tensor<?x4xf32>, %w0: tensor<4x10xf32>) -> tensor<?x10xf32> {
  // expected-remark @+1 {{'doubled': 1 branch not collapsed: the body uses its own values too often}}
  %y = grow.map "doubled" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x10xf32>):
    // expected-note @+1 {{stopped here}}
    %0 = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x10xf32>) -> tensor<?x10xf32>
    %1 = grow.add %0, %0 : tensor<?x10xf32>
    %2 = grow.add %1, %1 : tensor<?x10xf32>
    %3 = grow.add %2, %2 : tensor<?x10xf32>
    %4 = grow.add %3, %3 : tensor<?x10xf32>
    %5 = grow.add %4, %4 : tensor<?x10xf32>
    %6 = grow.add %5, %5 : tensor<?x10xf32>
    %7 = grow.add %6, %6 : tensor<?x10xf32>
    %8 = grow.add %7, %7 : tensor<?x10xf32>
    %9 = grow.add %8, %8 : tensor<?x10xf32>
    %10 = grow.add %9, %9 : tensor<?x10xf32>
    %11 = grow.add %10, %10 : tensor<?x10xf32>
    %12 = grow.add %11, %11 : tensor<?x10xf32>
    %13 = grow.add %12, %12 : tensor<?x10xf32>
    %14 = grow.add %13, %13 : tensor<?x10xf32>
    %15 = grow.add %14, %14 : tensor<?x10xf32>
    %16 = grow.add %15, %15 : tensor<?x10xf32>
    grow.yield %16 : tensor<?x10xf32>
  }
  return %y : tensor<?x10xf32>
}
