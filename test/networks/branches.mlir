// A layer of 32 linear branches in two optimizer groups, one channel in, and a
// layer of eight rectified branches with chains in their bodies.

grow.group @base {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.05}
grow.group @adam {optimizer = #grow.adamw, lr = 1.0e-3}

grow.param @linear.0.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.1.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.2.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.3.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.4.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.5.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.6.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.7.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.8.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.9.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.10.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.11.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.12.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.13.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.14.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.15.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.16.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.17.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.18.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.19.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.20.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.21.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.22.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.23.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.24.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.25.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.26.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.27.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.28.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.29.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @linear.30.w : tensor<3x3x1x6xf32> in @base init(#grow.kaiming)
grow.param @linear.31.w : tensor<3x3x1x6xf32> in @adam init(#grow.kaiming)
grow.param @rectified.0.first : tensor<1x1x6x4xf32> in @base init(#grow.kaiming)
grow.param @rectified.0.b : tensor<4xf32> in @base init(#grow.zero)
grow.param @rectified.0.second : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @rectified.1.first : tensor<1x1x6x4xf32> in @base init(#grow.kaiming)
grow.param @rectified.1.b : tensor<4xf32> in @base init(#grow.zero)
grow.param @rectified.1.second : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @rectified.2.first : tensor<1x1x6x4xf32> in @base init(#grow.kaiming)
grow.param @rectified.2.b : tensor<4xf32> in @base init(#grow.zero)
grow.param @rectified.2.second : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @rectified.3.first : tensor<1x1x6x4xf32> in @base init(#grow.kaiming)
grow.param @rectified.3.b : tensor<4xf32> in @base init(#grow.zero)
grow.param @rectified.3.second : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @rectified.4.first : tensor<1x1x6x4xf32> in @base init(#grow.kaiming)
grow.param @rectified.4.b : tensor<4xf32> in @base init(#grow.zero)
grow.param @rectified.4.second : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @rectified.5.first : tensor<1x1x6x4xf32> in @base init(#grow.kaiming)
grow.param @rectified.5.b : tensor<4xf32> in @base init(#grow.zero)
grow.param @rectified.5.second : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @rectified.6.first : tensor<1x1x6x4xf32> in @base init(#grow.kaiming)
grow.param @rectified.6.b : tensor<4xf32> in @base init(#grow.zero)
grow.param @rectified.6.second : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @rectified.7.first : tensor<1x1x6x4xf32> in @base init(#grow.kaiming)
grow.param @rectified.7.b : tensor<4xf32> in @base init(#grow.zero)
grow.param @rectified.7.second : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @head.w : tensor<96x5xf32> in @base init(#grow.kaiming)
grow.param @head.b : tensor<5xf32> in @base init(#grow.zero)

func.func @forward(%x: tensor<?x9x9x1xf32>) -> tensor<?x5xf32> {
  %linear.0.w = grow.get @linear.0.w : tensor<3x3x1x6xf32>
  %linear.1.w = grow.get @linear.1.w : tensor<3x3x1x6xf32>
  %linear.2.w = grow.get @linear.2.w : tensor<3x3x1x6xf32>
  %linear.3.w = grow.get @linear.3.w : tensor<3x3x1x6xf32>
  %linear.4.w = grow.get @linear.4.w : tensor<3x3x1x6xf32>
  %linear.5.w = grow.get @linear.5.w : tensor<3x3x1x6xf32>
  %linear.6.w = grow.get @linear.6.w : tensor<3x3x1x6xf32>
  %linear.7.w = grow.get @linear.7.w : tensor<3x3x1x6xf32>
  %linear.8.w = grow.get @linear.8.w : tensor<3x3x1x6xf32>
  %linear.9.w = grow.get @linear.9.w : tensor<3x3x1x6xf32>
  %linear.10.w = grow.get @linear.10.w : tensor<3x3x1x6xf32>
  %linear.11.w = grow.get @linear.11.w : tensor<3x3x1x6xf32>
  %linear.12.w = grow.get @linear.12.w : tensor<3x3x1x6xf32>
  %linear.13.w = grow.get @linear.13.w : tensor<3x3x1x6xf32>
  %linear.14.w = grow.get @linear.14.w : tensor<3x3x1x6xf32>
  %linear.15.w = grow.get @linear.15.w : tensor<3x3x1x6xf32>
  %linear.16.w = grow.get @linear.16.w : tensor<3x3x1x6xf32>
  %linear.17.w = grow.get @linear.17.w : tensor<3x3x1x6xf32>
  %linear.18.w = grow.get @linear.18.w : tensor<3x3x1x6xf32>
  %linear.19.w = grow.get @linear.19.w : tensor<3x3x1x6xf32>
  %linear.20.w = grow.get @linear.20.w : tensor<3x3x1x6xf32>
  %linear.21.w = grow.get @linear.21.w : tensor<3x3x1x6xf32>
  %linear.22.w = grow.get @linear.22.w : tensor<3x3x1x6xf32>
  %linear.23.w = grow.get @linear.23.w : tensor<3x3x1x6xf32>
  %linear.24.w = grow.get @linear.24.w : tensor<3x3x1x6xf32>
  %linear.25.w = grow.get @linear.25.w : tensor<3x3x1x6xf32>
  %linear.26.w = grow.get @linear.26.w : tensor<3x3x1x6xf32>
  %linear.27.w = grow.get @linear.27.w : tensor<3x3x1x6xf32>
  %linear.28.w = grow.get @linear.28.w : tensor<3x3x1x6xf32>
  %linear.29.w = grow.get @linear.29.w : tensor<3x3x1x6xf32>
  %linear.30.w = grow.get @linear.30.w : tensor<3x3x1x6xf32>
  %linear.31.w = grow.get @linear.31.w : tensor<3x3x1x6xf32>
  %0 = grow.map "linear" sum (%x) over [(%linear.0.w), (%linear.1.w), (%linear.2.w), (%linear.3.w), (%linear.4.w), (%linear.5.w), (%linear.6.w), (%linear.7.w), (%linear.8.w), (%linear.9.w), (%linear.10.w), (%linear.11.w), (%linear.12.w), (%linear.13.w), (%linear.14.w), (%linear.15.w), (%linear.16.w), (%linear.17.w), (%linear.18.w), (%linear.19.w), (%linear.20.w), (%linear.21.w), (%linear.22.w), (%linear.23.w), (%linear.24.w), (%linear.25.w), (%linear.26.w), (%linear.27.w), (%linear.28.w), (%linear.29.w), (%linear.30.w), (%linear.31.w)] {
  ^bb0(%in: tensor<?x9x9x1xf32>, %w: tensor<3x3x1x6xf32>):
    %1 = grow.conv2d %in, %w padding [1, 1]
        : (tensor<?x9x9x1xf32>, tensor<3x3x1x6xf32>) -> tensor<?x9x9x6xf32>
    grow.yield %1 : tensor<?x9x9x6xf32>
  }
  %2 = grow.scale %0 by 0.1 : tensor<?x9x9x6xf32>
  %3 = grow.relu %2 : tensor<?x9x9x6xf32>
  %rectified.0.first = grow.get @rectified.0.first : tensor<1x1x6x4xf32>
  %rectified.0.b = grow.get @rectified.0.b : tensor<4xf32>
  %rectified.0.second = grow.get @rectified.0.second : tensor<3x3x4x6xf32>
  %rectified.1.first = grow.get @rectified.1.first : tensor<1x1x6x4xf32>
  %rectified.1.b = grow.get @rectified.1.b : tensor<4xf32>
  %rectified.1.second = grow.get @rectified.1.second : tensor<3x3x4x6xf32>
  %rectified.2.first = grow.get @rectified.2.first : tensor<1x1x6x4xf32>
  %rectified.2.b = grow.get @rectified.2.b : tensor<4xf32>
  %rectified.2.second = grow.get @rectified.2.second : tensor<3x3x4x6xf32>
  %rectified.3.first = grow.get @rectified.3.first : tensor<1x1x6x4xf32>
  %rectified.3.b = grow.get @rectified.3.b : tensor<4xf32>
  %rectified.3.second = grow.get @rectified.3.second : tensor<3x3x4x6xf32>
  %rectified.4.first = grow.get @rectified.4.first : tensor<1x1x6x4xf32>
  %rectified.4.b = grow.get @rectified.4.b : tensor<4xf32>
  %rectified.4.second = grow.get @rectified.4.second : tensor<3x3x4x6xf32>
  %rectified.5.first = grow.get @rectified.5.first : tensor<1x1x6x4xf32>
  %rectified.5.b = grow.get @rectified.5.b : tensor<4xf32>
  %rectified.5.second = grow.get @rectified.5.second : tensor<3x3x4x6xf32>
  %rectified.6.first = grow.get @rectified.6.first : tensor<1x1x6x4xf32>
  %rectified.6.b = grow.get @rectified.6.b : tensor<4xf32>
  %rectified.6.second = grow.get @rectified.6.second : tensor<3x3x4x6xf32>
  %rectified.7.first = grow.get @rectified.7.first : tensor<1x1x6x4xf32>
  %rectified.7.b = grow.get @rectified.7.b : tensor<4xf32>
  %rectified.7.second = grow.get @rectified.7.second : tensor<3x3x4x6xf32>
  %4 = grow.map "rectified" mean (%3) over [(%rectified.0.first, %rectified.0.b, %rectified.0.second), (%rectified.1.first, %rectified.1.b, %rectified.1.second), (%rectified.2.first, %rectified.2.b, %rectified.2.second), (%rectified.3.first, %rectified.3.b, %rectified.3.second), (%rectified.4.first, %rectified.4.b, %rectified.4.second), (%rectified.5.first, %rectified.5.b, %rectified.5.second), (%rectified.6.first, %rectified.6.b, %rectified.6.second), (%rectified.7.first, %rectified.7.b, %rectified.7.second)] {
  ^bb0(%in: tensor<?x9x9x6xf32>, %first: tensor<1x1x6x4xf32>, %b: tensor<4xf32>, %second: tensor<3x3x4x6xf32>):
    %5 = grow.conv2d %in, %first
        : (tensor<?x9x9x6xf32>, tensor<1x1x6x4xf32>) -> tensor<?x9x9x4xf32>
    %6 = grow.bias_add %5, %b : (tensor<?x9x9x4xf32>, tensor<4xf32>) -> tensor<?x9x9x4xf32>
    %7 = grow.relu %6 : tensor<?x9x9x4xf32>
    %8 = grow.conv2d %7, %second padding [1, 1]
        : (tensor<?x9x9x4xf32>, tensor<3x3x4x6xf32>) -> tensor<?x9x9x6xf32>
    %9 = grow.relu %8 : tensor<?x9x9x6xf32>
    grow.yield %9 : tensor<?x9x9x6xf32>
  }
  %10 = grow.add %3, %4 : tensor<?x9x9x6xf32>
  %11 = grow.max_pool2d %10 window [2, 2] stride [2, 2] : (tensor<?x9x9x6xf32>) -> tensor<?x4x4x6xf32>
  %12 = grow.flatten %11 : (tensor<?x4x4x6xf32>) -> tensor<?x96xf32>
  %head.w = grow.get @head.w : tensor<96x5xf32>
  %13 = grow.linear %12, %head.w : (tensor<?x96xf32>, tensor<96x5xf32>) -> tensor<?x5xf32>
  %head.b = grow.get @head.b : tensor<5xf32>
  %14 = grow.bias_add %13, %head.b : (tensor<?x5xf32>, tensor<5xf32>) -> tensor<?x5xf32>
  return %14 : tensor<?x5xf32>
}

func.func @loss(%x: tensor<?x9x9x1xf32>, %target: tensor<?xi32>) -> tensor<f32> {
  %y = call @forward(%x) : (tensor<?x9x9x1xf32>) -> tensor<?x5xf32>
  %loss = grow.softmax_cross_entropy %y, %target : (tensor<?x5xf32>, tensor<?xi32>) -> tensor<f32>
  return %loss : tensor<f32>
}
