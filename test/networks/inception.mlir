// Layers of several filter sizes: sums that collapse by padding, a concatenation,
// pooling branches, groups and dilation, odd extents, both optimizers.

grow.group @base {optimizer = #grow.sgd<momentum = 0.9, nesterov = true>, lr = 0.02}
grow.group @adam {optimizer = #grow.adamw<beta2 = 0.99>, lr = 1.0e-3, weight_decay = 1.0e-2}

grow.param @sizes3.0.w : tensor<3x3x4x10xf32> in @base init(#grow.kaiming)
grow.param @sizes3.1.w : tensor<3x3x4x10xf32> in @base init(#grow.kaiming)
grow.param @sizes1.0.w : tensor<1x1x4x10xf32> in @adam init(#grow.kaiming)
grow.param @sizes1.0.b : tensor<10xf32> in @adam init(#grow.zero)
grow.param @sizes1.1.w : tensor<1x1x4x10xf32> in @adam init(#grow.kaiming)
grow.param @sizes1.1.b : tensor<10xf32> in @adam init(#grow.zero)
grow.param @sizes1.2.w : tensor<1x1x4x10xf32> in @adam init(#grow.kaiming)
grow.param @sizes1.2.b : tensor<10xf32> in @adam init(#grow.zero)
grow.param @sizes5.0.w : tensor<5x5x4x10xf32> in @adam init(#grow.kaiming)
grow.param @wide.0.w : tensor<3x3x5x4xf32> in @adam init(#grow.kaiming)
grow.param @wide.1.w : tensor<3x3x5x4xf32> in @adam init(#grow.kaiming)
grow.param @wide.2.w : tensor<3x3x5x4xf32> in @adam init(#grow.kaiming)
grow.param @chain.0.first : tensor<1x1x22x3xf32> in @adam init(#grow.kaiming)
grow.param @chain.0.second : tensor<3x3x3x12xf32> in @adam init(#grow.kaiming)
grow.param @chain.1.first : tensor<1x1x22x3xf32> in @adam init(#grow.kaiming)
grow.param @chain.1.second : tensor<3x3x3x12xf32> in @adam init(#grow.kaiming)
grow.param @head.w : tensor<360x7xf32> in @adam init(#grow.kaiming)
grow.param @head.b : tensor<7xf32> in @adam init(#grow.zero)

func.func @forward(%x: tensor<?x11x9x4xf32>) -> tensor<?x7xf32> {
  %sizes3.0.w = grow.get @sizes3.0.w : tensor<3x3x4x10xf32>
  %sizes3.1.w = grow.get @sizes3.1.w : tensor<3x3x4x10xf32>
  %0 = grow.map "sizes3" sum (%x) over [(%sizes3.0.w), (%sizes3.1.w)] {
  ^bb0(%in: tensor<?x11x9x4xf32>, %w: tensor<3x3x4x10xf32>):
    %1 = grow.conv2d %in, %w padding [1, 1]
        : (tensor<?x11x9x4xf32>, tensor<3x3x4x10xf32>) -> tensor<?x11x9x10xf32>
    grow.yield %1 : tensor<?x11x9x10xf32>
  }
  %sizes1.0.w = grow.get @sizes1.0.w : tensor<1x1x4x10xf32>
  %sizes1.0.b = grow.get @sizes1.0.b : tensor<10xf32>
  %sizes1.1.w = grow.get @sizes1.1.w : tensor<1x1x4x10xf32>
  %sizes1.1.b = grow.get @sizes1.1.b : tensor<10xf32>
  %sizes1.2.w = grow.get @sizes1.2.w : tensor<1x1x4x10xf32>
  %sizes1.2.b = grow.get @sizes1.2.b : tensor<10xf32>
  %2 = grow.map "sizes1" mean (%x) over [(%sizes1.0.w, %sizes1.0.b), (%sizes1.1.w, %sizes1.1.b), (%sizes1.2.w, %sizes1.2.b)] {
  ^bb0(%in: tensor<?x11x9x4xf32>, %w: tensor<1x1x4x10xf32>, %b: tensor<10xf32>):
    %3 = grow.conv2d %in, %w
        : (tensor<?x11x9x4xf32>, tensor<1x1x4x10xf32>) -> tensor<?x11x9x10xf32>
    %4 = grow.bias_add %3, %b : (tensor<?x11x9x10xf32>, tensor<10xf32>) -> tensor<?x11x9x10xf32>
    grow.yield %4 : tensor<?x11x9x10xf32>
  }
  %sizes5.0.w = grow.get @sizes5.0.w : tensor<5x5x4x10xf32>
  %5 = grow.map "sizes5" sum (%x) over [(%sizes5.0.w)] {
  ^bb0(%in: tensor<?x11x9x4xf32>, %w: tensor<5x5x4x10xf32>):
    %6 = grow.conv2d %in, %w padding [2, 2]
        : (tensor<?x11x9x4xf32>, tensor<5x5x4x10xf32>) -> tensor<?x11x9x10xf32>
    %7 = grow.scale %6 by 0.5 : tensor<?x11x9x10xf32>
    grow.yield %7 : tensor<?x11x9x10xf32>
  }
  %8 = grow.add %0, %2 : tensor<?x11x9x10xf32>
  %9 = grow.add %8, %5 : tensor<?x11x9x10xf32>
  %10 = grow.leaky_relu %9 slope 0.1 : tensor<?x11x9x10xf32>
  %wide.0.w = grow.get @wide.0.w : tensor<3x3x5x4xf32>
  %wide.1.w = grow.get @wide.1.w : tensor<3x3x5x4xf32>
  %wide.2.w = grow.get @wide.2.w : tensor<3x3x5x4xf32>
  %11 = grow.map "wide" concat (%10) over [(%wide.0.w), (%wide.1.w), (%wide.2.w)] {
  ^bb0(%in: tensor<?x11x9x10xf32>, %w: tensor<3x3x5x4xf32>):
    %12 = grow.conv2d %in, %w padding [2, 2] dilation [2, 2] groups 2
        : (tensor<?x11x9x10xf32>, tensor<3x3x5x4xf32>) -> tensor<?x11x9x4xf32>
    grow.yield %12 : tensor<?x11x9x4xf32>
  }
  %13 = grow.avg_pool2d %10 window [3, 3] stride [1, 1] padding [1, 1] : (tensor<?x11x9x10xf32>) -> tensor<?x11x9x10xf32>
  %14 = grow.concat %11, %13
      : (tensor<?x11x9x12xf32>, tensor<?x11x9x10xf32>) -> tensor<?x11x9x22xf32>
  %15 = grow.max_pool2d %14 window [3, 3] stride [2, 2] padding [1, 1] : (tensor<?x11x9x22xf32>) -> tensor<?x6x5x22xf32>
  %16 = grow.silu %15 : tensor<?x6x5x22xf32>
  %chain.0.first = grow.get @chain.0.first : tensor<1x1x22x3xf32>
  %chain.0.second = grow.get @chain.0.second : tensor<3x3x3x12xf32>
  %chain.1.first = grow.get @chain.1.first : tensor<1x1x22x3xf32>
  %chain.1.second = grow.get @chain.1.second : tensor<3x3x3x12xf32>
  %17 = grow.map "chain" sum (%16) over [(%chain.0.first, %chain.0.second), (%chain.1.first, %chain.1.second)] {
  ^bb0(%in: tensor<?x6x5x22xf32>, %first: tensor<1x1x22x3xf32>, %second: tensor<3x3x3x12xf32>):
    %18 = grow.conv2d %in, %first
        : (tensor<?x6x5x22xf32>, tensor<1x1x22x3xf32>) -> tensor<?x6x5x3xf32>
    %19 = grow.conv2d %18, %second padding [1, 1]
        : (tensor<?x6x5x3xf32>, tensor<3x3x3x12xf32>) -> tensor<?x6x5x12xf32>
    grow.yield %19 : tensor<?x6x5x12xf32>
  }
  %20 = grow.gelu %17 : tensor<?x6x5x12xf32>
  %21 = grow.flatten %20 : (tensor<?x6x5x12xf32>) -> tensor<?x360xf32>
  %head.w = grow.get @head.w : tensor<360x7xf32>
  %22 = grow.linear %21, %head.w : (tensor<?x360xf32>, tensor<360x7xf32>) -> tensor<?x7xf32>
  %head.b = grow.get @head.b : tensor<7xf32>
  %23 = grow.bias_add %22, %head.b : (tensor<?x7xf32>, tensor<7xf32>) -> tensor<?x7xf32>
  return %23 : tensor<?x7xf32>
}

func.func @loss(%x: tensor<?x11x9x4xf32>, %target: tensor<?xi32>) -> tensor<f32> {
  %y = call @forward(%x) : (tensor<?x11x9x4xf32>) -> tensor<?x7xf32>
  %loss = grow.softmax_cross_entropy %y, %target : (tensor<?x7xf32>, tensor<?xi32>) -> tensor<f32>
  return %loss : tensor<f32>
}
