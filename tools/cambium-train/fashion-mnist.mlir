// A small convolutional network for 28x28 grey images in ten classes, with two
// layers that grow.
//
//   block1  a sum of linear 3x3 branches: they collapse into one convolution,
//           so a step costs the same however many there are
//   block2  a sum of rectified 3x3 branches: each adds capacity
//
// Names end in the parameter's role; branches that are added are called
// block1.1.w, block1.2.w, ...

grow.group @base {optimizer = #grow.sgd<momentum = 0.9, nesterov = true>,
                  lr = 0.05, weight_decay = 5.0e-4}

grow.param @stem.w : tensor<3x3x1x16xf32> in @base init(#grow.kaiming)
grow.param @stem.b : tensor<16xf32> in @base init(#grow.zero)
grow.param @block1.0.w : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
grow.param @norm1.scale : tensor<32xf32> in @base init(#grow.constant<1.0>)
grow.param @norm1.shift : tensor<32xf32> in @base init(#grow.zero)
grow.state @norm1.mean : tensor<32xf32> init(#grow.zero)
grow.state @norm1.variance : tensor<32xf32> init(#grow.constant<1.0>)
grow.param @block2.0.w : tensor<3x3x32x64xf32> in @base init(#grow.kaiming)
grow.param @block2.0.b : tensor<64xf32> in @base init(#grow.zero)
grow.param @head.w : tensor<3136x10xf32> in @base init(#grow.kaiming)
grow.param @head.b : tensor<10xf32> in @base init(#grow.zero)

func.func @forward(%images: tensor<?x28x28x1xf32>) -> tensor<?x10xf32> {
  %stem.w = grow.get @stem.w : tensor<3x3x1x16xf32>
  %stem.b = grow.get @stem.b : tensor<16xf32>
  %0 = grow.conv2d %images, %stem.w padding [1, 1]
      : (tensor<?x28x28x1xf32>, tensor<3x3x1x16xf32>) -> tensor<?x28x28x16xf32>
  %1 = grow.bias_add %0, %stem.b
      : (tensor<?x28x28x16xf32>, tensor<16xf32>) -> tensor<?x28x28x16xf32>
  %2 = grow.relu %1 : tensor<?x28x28x16xf32>
  %3 = grow.max_pool2d %2 window [2, 2] stride [2, 2]
      : (tensor<?x28x28x16xf32>) -> tensor<?x14x14x16xf32>

  %block1.0.w = grow.get @block1.0.w : tensor<3x3x16x32xf32>
  %4 = grow.map "block1" sum (%3) over [(%block1.0.w)] {
  ^bb0(%x: tensor<?x14x14x16xf32>, %w: tensor<3x3x16x32xf32>):
    %y = grow.conv2d %x, %w padding [1, 1]
        : (tensor<?x14x14x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x14x14x32xf32>
    grow.yield %y : tensor<?x14x14x32xf32>
  }

  %scale = grow.get @norm1.scale : tensor<32xf32>
  %shift = grow.get @norm1.shift : tensor<32xf32>
  %mean = grow.get @norm1.mean : tensor<32xf32>
  %variance = grow.get @norm1.variance : tensor<32xf32>
  %5 = grow.batch_norm %4, %scale, %shift, %mean, %variance
      : (tensor<?x14x14x32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<32xf32>, tensor<32xf32>)
        -> tensor<?x14x14x32xf32>
  %6 = grow.relu %5 : tensor<?x14x14x32xf32>
  %7 = grow.max_pool2d %6 window [2, 2] stride [2, 2]
      : (tensor<?x14x14x32xf32>) -> tensor<?x7x7x32xf32>

  %block2.0.w = grow.get @block2.0.w : tensor<3x3x32x64xf32>
  %block2.0.b = grow.get @block2.0.b : tensor<64xf32>
  %8 = grow.map "block2" sum (%7) over [(%block2.0.w, %block2.0.b)] {
  ^bb0(%x: tensor<?x7x7x32xf32>, %w: tensor<3x3x32x64xf32>, %b: tensor<64xf32>):
    %c = grow.conv2d %x, %w padding [1, 1]
        : (tensor<?x7x7x32xf32>, tensor<3x3x32x64xf32>) -> tensor<?x7x7x64xf32>
    %s = grow.bias_add %c, %b : (tensor<?x7x7x64xf32>, tensor<64xf32>) -> tensor<?x7x7x64xf32>
    %y = grow.relu %s : tensor<?x7x7x64xf32>
    grow.yield %y : tensor<?x7x7x64xf32>
  }

  %head.w = grow.get @head.w : tensor<3136x10xf32>
  %head.b = grow.get @head.b : tensor<10xf32>
  %9 = grow.flatten %8 : (tensor<?x7x7x64xf32>) -> tensor<?x3136xf32>
  %10 = grow.linear %9, %head.w : (tensor<?x3136xf32>, tensor<3136x10xf32>) -> tensor<?x10xf32>
  %logits = grow.bias_add %10, %head.b : (tensor<?x10xf32>, tensor<10xf32>) -> tensor<?x10xf32>
  return %logits : tensor<?x10xf32>
}

func.func @loss(%images: tensor<?x28x28x1xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  %logits = call @forward(%images) : (tensor<?x28x28x1xf32>) -> tensor<?x10xf32>
  %loss = grow.softmax_cross_entropy %logits, %labels
      : (tensor<?x10xf32>, tensor<?xi32>) -> tensor<f32>
  return %loss : tensor<f32>
}
