// RUN: cambium-opt %s | cambium-opt | FileCheck %s

// Groups, parameters and states are symbols of the module; hyper-parameters
// that keep their default are not printed.

// CHECK: grow.group @base {lr = 5.000000e-02 : f64, optimizer = #grow.sgd<momentum = {{.*}}>, weight_decay = 5.000000e-04 : f64}
grow.group @base {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.05,
                  weight_decay = 5.0e-4}
// CHECK: grow.group @nesterov {{.*}}#grow.sgd<momentum = {{.*}}, nesterov = true>
grow.group @nesterov {optimizer = #grow.sgd<momentum = 0.9, nesterov = true>, lr = 0.05}
// CHECK: grow.group @plain {{.*}}#grow.sgd
grow.group @plain {optimizer = #grow.sgd, lr = 0.05}
// CHECK: grow.group @adam {{.*}}#grow.adamw
grow.group @adam {optimizer = #grow.adamw<beta1 = 0.8>, lr = 1.0e-3}

// CHECK: grow.param @conv.w : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
grow.param @conv.w : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
// CHECK: grow.param @copy.w : tensor<3x3x16x32xf32> in @base init(#grow.copy<@conv.w>)
grow.param @copy.w : tensor<3x3x16x32xf32> in @base init(#grow.copy<@conv.w>)
// CHECK: grow.state @bn.mean : tensor<32xf32> init(#grow.zero)
grow.state @bn.mean : tensor<32xf32> init(#grow.zero)
// CHECK: grow.state @bn.variance : tensor<32xf32> init(#grow.constant<1.000000e+00>)
grow.state @bn.variance : tensor<32xf32> init(#grow.constant<1.0>)
// CHECK: grow.derived @sum : tensor<3x3x16x32xf32> sum [@conv.w, @copy.w]
grow.derived @sum : tensor<3x3x16x32xf32> sum [@conv.w, @copy.w]

// CHECK-LABEL: func.func @step
func.func @step(%mean: tensor<32xf32>, %dw: tensor<3x3x16x32xf32>) -> tensor<3x3x16x32xf32> {
  // CHECK: %[[W:.*]] = grow.get @conv.w : tensor<3x3x16x32xf32>
  %w = grow.get @conv.w : tensor<3x3x16x32xf32>
  // CHECK: grow.set @bn.mean, %{{.*}} : tensor<32xf32>
  grow.set @bn.mean, %mean : tensor<32xf32>
  // CHECK: grow.update [@conv.w, @copy.w] by %{{.*}} into @sum : tensor<3x3x16x32xf32>
  grow.update [@conv.w, @copy.w] by %dw into @sum : tensor<3x3x16x32xf32>
  return %w : tensor<3x3x16x32xf32>
}

// CHECK: grow.kernel @conv schedule <width = 8, vectors = 2, tile = 6, tail_tile = 4> {
grow.kernel @conv schedule <width = 8, vectors = 2, tile = 6, tail_tile = 4> {
^bb0(%x: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>, %b: tensor<?xf32>):
  %c = grow.conv2d %x, %w padding [1, 1]
      : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
  %y = grow.bias_add %c, %b : (tensor<?x?x?x?xf32>, tensor<?xf32>) -> tensor<?x?x?x?xf32>
  grow.yield %y : tensor<?x?x?x?xf32>
}

grow.kernel @sgd {
^bb0(%g: tensor<?x?x?x?xf32>):
  // CHECK: grow.optimizer #grow.sgd<momentum = {{.*}}> sum by %{{.*}} : tensor<?x?x?x?xf32>
  grow.optimizer #grow.sgd<momentum = 0.9> sum by %g : tensor<?x?x?x?xf32>
  grow.yield
}

// CHECK-LABEL: func.func @launches
func.func @launches(%x: tensor<?x28x28x16xf32>, %w: tensor<3x3x16x32xf32>, %b: tensor<32xf32>,
                    %dw: tensor<3x3x16x32xf32>) -> tensor<?x28x28x32xf32> {
  // CHECK: grow.launch @conv(%{{.*}}, %{{.*}}, %{{.*}}) : (
  %y = grow.launch @conv(%x, %w, %b)
      : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>, tensor<32xf32>) -> tensor<?x28x28x32xf32>
  // CHECK: grow.launch @sgd(%{{.*}}) updates [@conv.w, @copy.w] into @sum
  grow.launch @sgd(%dw) updates [@conv.w, @copy.w] into @sum : (tensor<3x3x16x32xf32>) -> ()
  return %y : tensor<?x28x28x32xf32>
}
