// A residual network with strides, batch norms and a shortcut by a 1x1
// convolution. The main branch of the second block grows.

grow.group @base {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.05, weight_decay = 5.0e-4}

grow.param @stem.w : tensor<3x3x3x8xf32> in @base init(#grow.kaiming)
grow.param @stem.bn.scale : tensor<8xf32> in @base init(#grow.constant<1.0>)
grow.param @stem.bn.shift : tensor<8xf32> in @base init(#grow.zero)
grow.state @stem.bn.mean : tensor<8xf32> init(#grow.zero)
grow.state @stem.bn.variance : tensor<8xf32> init(#grow.constant<1.0>)
grow.param @a1.w : tensor<3x3x8x8xf32> in @base init(#grow.kaiming)
grow.param @a1.bn.scale : tensor<8xf32> in @base init(#grow.constant<1.0>)
grow.param @a1.bn.shift : tensor<8xf32> in @base init(#grow.zero)
grow.state @a1.bn.mean : tensor<8xf32> init(#grow.zero)
grow.state @a1.bn.variance : tensor<8xf32> init(#grow.constant<1.0>)
grow.param @a2.w : tensor<3x3x8x8xf32> in @base init(#grow.kaiming)
grow.param @a2.bn.scale : tensor<8xf32> in @base init(#grow.constant<1.0>)
grow.param @a2.bn.shift : tensor<8xf32> in @base init(#grow.zero)
grow.state @a2.bn.mean : tensor<8xf32> init(#grow.zero)
grow.state @a2.bn.variance : tensor<8xf32> init(#grow.constant<1.0>)
grow.param @block.0.w : tensor<3x3x8x17xf32> in @base init(#grow.kaiming)
grow.param @block.1.w : tensor<3x3x8x17xf32> in @base init(#grow.kaiming)
grow.param @block.2.w : tensor<3x3x8x17xf32> in @base init(#grow.kaiming)
grow.param @b1.bn.scale : tensor<17xf32> in @base init(#grow.constant<1.0>)
grow.param @b1.bn.shift : tensor<17xf32> in @base init(#grow.zero)
grow.state @b1.bn.mean : tensor<17xf32> init(#grow.zero)
grow.state @b1.bn.variance : tensor<17xf32> init(#grow.constant<1.0>)
grow.param @b2.w : tensor<3x3x17x17xf32> in @base init(#grow.kaiming)
grow.param @b2.bn.scale : tensor<17xf32> in @base init(#grow.constant<1.0>)
grow.param @b2.bn.shift : tensor<17xf32> in @base init(#grow.zero)
grow.state @b2.bn.mean : tensor<17xf32> init(#grow.zero)
grow.state @b2.bn.variance : tensor<17xf32> init(#grow.constant<1.0>)
grow.param @short.w : tensor<1x1x8x17xf32> in @base init(#grow.kaiming)
grow.param @head.w : tensor<17x10xf32> in @base init(#grow.kaiming)
grow.param @head.b : tensor<10xf32> in @base init(#grow.zero)

func.func @forward(%x: tensor<?x15x13x3xf32>) -> tensor<?x10xf32> {
  %stem.w = grow.get @stem.w : tensor<3x3x3x8xf32>
  %0 = grow.conv2d %x, %stem.w padding [1, 1]
      : (tensor<?x15x13x3xf32>, tensor<3x3x3x8xf32>) -> tensor<?x15x13x8xf32>
  %stem.bn.scale = grow.get @stem.bn.scale : tensor<8xf32>
  %stem.bn.shift = grow.get @stem.bn.shift : tensor<8xf32>
  %stem.bn.mean = grow.get @stem.bn.mean : tensor<8xf32>
  %stem.bn.variance = grow.get @stem.bn.variance : tensor<8xf32>
  %1 = grow.batch_norm %0, %stem.bn.scale, %stem.bn.shift, %stem.bn.mean, %stem.bn.variance
      : (tensor<?x15x13x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x15x13x8xf32>
  %2 = grow.relu %1 : tensor<?x15x13x8xf32>
  %a1.w = grow.get @a1.w : tensor<3x3x8x8xf32>
  %3 = grow.conv2d %2, %a1.w padding [1, 1]
      : (tensor<?x15x13x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x15x13x8xf32>
  %a1.bn.scale = grow.get @a1.bn.scale : tensor<8xf32>
  %a1.bn.shift = grow.get @a1.bn.shift : tensor<8xf32>
  %a1.bn.mean = grow.get @a1.bn.mean : tensor<8xf32>
  %a1.bn.variance = grow.get @a1.bn.variance : tensor<8xf32>
  %4 = grow.batch_norm %3, %a1.bn.scale, %a1.bn.shift, %a1.bn.mean, %a1.bn.variance
      : (tensor<?x15x13x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x15x13x8xf32>
  %5 = grow.relu %4 : tensor<?x15x13x8xf32>
  %a2.w = grow.get @a2.w : tensor<3x3x8x8xf32>
  %6 = grow.conv2d %5, %a2.w padding [1, 1]
      : (tensor<?x15x13x8xf32>, tensor<3x3x8x8xf32>) -> tensor<?x15x13x8xf32>
  %a2.bn.scale = grow.get @a2.bn.scale : tensor<8xf32>
  %a2.bn.shift = grow.get @a2.bn.shift : tensor<8xf32>
  %a2.bn.mean = grow.get @a2.bn.mean : tensor<8xf32>
  %a2.bn.variance = grow.get @a2.bn.variance : tensor<8xf32>
  %7 = grow.batch_norm %6, %a2.bn.scale, %a2.bn.shift, %a2.bn.mean, %a2.bn.variance
      : (tensor<?x15x13x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x15x13x8xf32>
  %8 = grow.add %2, %7 : tensor<?x15x13x8xf32>
  %9 = grow.relu %8 : tensor<?x15x13x8xf32>
  %block.0.w = grow.get @block.0.w : tensor<3x3x8x17xf32>
  %block.1.w = grow.get @block.1.w : tensor<3x3x8x17xf32>
  %block.2.w = grow.get @block.2.w : tensor<3x3x8x17xf32>
  %10 = grow.map "block" sum (%9) over [(%block.0.w), (%block.1.w), (%block.2.w)] {
  ^bb0(%in: tensor<?x15x13x8xf32>, %w: tensor<3x3x8x17xf32>):
    %11 = grow.conv2d %in, %w stride [2, 2] padding [1, 1]
        : (tensor<?x15x13x8xf32>, tensor<3x3x8x17xf32>) -> tensor<?x8x7x17xf32>
    grow.yield %11 : tensor<?x8x7x17xf32>
  }
  %b1.bn.scale = grow.get @b1.bn.scale : tensor<17xf32>
  %b1.bn.shift = grow.get @b1.bn.shift : tensor<17xf32>
  %b1.bn.mean = grow.get @b1.bn.mean : tensor<17xf32>
  %b1.bn.variance = grow.get @b1.bn.variance : tensor<17xf32>
  %12 = grow.batch_norm %10, %b1.bn.scale, %b1.bn.shift, %b1.bn.mean, %b1.bn.variance
      : (tensor<?x8x7x17xf32>, tensor<17xf32>, tensor<17xf32>, tensor<17xf32>, tensor<17xf32>) -> tensor<?x8x7x17xf32>
  %13 = grow.relu %12 : tensor<?x8x7x17xf32>
  %b2.w = grow.get @b2.w : tensor<3x3x17x17xf32>
  %14 = grow.conv2d %13, %b2.w padding [1, 1]
      : (tensor<?x8x7x17xf32>, tensor<3x3x17x17xf32>) -> tensor<?x8x7x17xf32>
  %b2.bn.scale = grow.get @b2.bn.scale : tensor<17xf32>
  %b2.bn.shift = grow.get @b2.bn.shift : tensor<17xf32>
  %b2.bn.mean = grow.get @b2.bn.mean : tensor<17xf32>
  %b2.bn.variance = grow.get @b2.bn.variance : tensor<17xf32>
  %15 = grow.batch_norm %14, %b2.bn.scale, %b2.bn.shift, %b2.bn.mean, %b2.bn.variance
      : (tensor<?x8x7x17xf32>, tensor<17xf32>, tensor<17xf32>, tensor<17xf32>, tensor<17xf32>) -> tensor<?x8x7x17xf32>
  %short.w = grow.get @short.w : tensor<1x1x8x17xf32>
  %16 = grow.conv2d %9, %short.w stride [2, 2]
      : (tensor<?x15x13x8xf32>, tensor<1x1x8x17xf32>) -> tensor<?x8x7x17xf32>
  %17 = grow.add %15, %16 : tensor<?x8x7x17xf32>
  %18 = grow.relu %17 : tensor<?x8x7x17xf32>
  %19 = grow.global_avg_pool %18 : (tensor<?x8x7x17xf32>) -> tensor<?x17xf32>
  %head.w = grow.get @head.w : tensor<17x10xf32>
  %20 = grow.linear %19, %head.w : (tensor<?x17xf32>, tensor<17x10xf32>) -> tensor<?x10xf32>
  %head.b = grow.get @head.b : tensor<10xf32>
  %21 = grow.bias_add %20, %head.b : (tensor<?x10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
  return %21 : tensor<?x10xf32>
}

func.func @loss(%x: tensor<?x15x13x3xf32>, %target: tensor<?xi32>) -> tensor<f32> {
  %y = call @forward(%x) : (tensor<?x15x13x3xf32>) -> tensor<?x10xf32>
  %loss = grow.softmax_cross_entropy %y, %target : (tensor<?x10xf32>, tensor<?xi32>) -> tensor<f32>
  return %loss : tensor<f32>
}
