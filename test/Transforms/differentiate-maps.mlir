// RUN: cambium-opt %s -split-input-file --grow-fuse-maps --grow-unroll-maps --grow-differentiate | FileCheck %s --check-prefixes=CHECK,MASK
// RUN: cambium-opt %s -split-input-file --grow-fuse-maps=keep=recompute --grow-unroll-maps --grow-differentiate | FileCheck %s --check-prefixes=CHECK,AGAIN
// RUN: cambium-opt %s -split-input-file --grow-fuse-maps=keep=store --grow-unroll-maps --grow-differentiate | FileCheck %s --check-prefix=STORE

// Gradients of maps that are not unrolled are maps: one for the input, one for
// the parameters. What they read of the branches is one bit an element, all
// values computed again, or stored values.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @s : tensor<1x1x1x2xf32> in @g init(#grow.kaiming)
grow.param @w0 : tensor<3x3x2x3xf32> in @g init(#grow.kaiming)
grow.param @b0 : tensor<3xf32> in @g init(#grow.zero)
grow.param @w1 : tensor<3x3x2x3xf32> in @g init(#grow.kaiming)
grow.param @b1 : tensor<3xf32> in @g init(#grow.zero)

func.func @loss(%x: tensor<?x4x5x1xf32>, %t: tensor<?x4x5x3xf32>) -> tensor<f32> {
  %s = grow.get @s : tensor<1x1x1x2xf32>
  %h = grow.conv2d %x, %s : (tensor<?x4x5x1xf32>, tensor<1x1x1x2xf32>) -> tensor<?x4x5x2xf32>
  %w0 = grow.get @w0 : tensor<3x3x2x3xf32>
  %b0 = grow.get @b0 : tensor<3xf32>
  %w1 = grow.get @w1 : tensor<3x3x2x3xf32>
  %b1 = grow.get @b1 : tensor<3xf32>
  %y = grow.map "m" sum (%h) over [(%w0, %b0), (%w1, %b1)] {
  ^bb0(%in: tensor<?x4x5x2xf32>, %w: tensor<3x3x2x3xf32>, %b: tensor<3xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x4x5x2xf32>, tensor<3x3x2x3xf32>) -> tensor<?x4x5x3xf32>
    %z = grow.bias_add %c, %b : (tensor<?x4x5x3xf32>, tensor<3xf32>) -> tensor<?x4x5x3xf32>
    %r = grow.relu %z : tensor<?x4x5x3xf32>
    grow.yield %r : tensor<?x4x5x3xf32>
  }
  %loss = grow.mse %y, %t : (tensor<?x4x5x3xf32>, tensor<?x4x5x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// The loss function keeps nothing.
// CHECK-LABEL: func.func @loss(
// CHECK:         grow.fused_map branches 2 (%{{.*}}) over (%{{.*}}, %{{.*}}, %{{.*}}, %{{.*}}) join (sum) :
// CHECK-NOT:     sign_bits
// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[X:.*]]: tensor<?x4x5x1xf32>,
// CHECK:         %[[H:.*]] = grow.conv2d %[[X]]
// CHECK:         %[[W0:.*]] = grow.get @w0
// CHECK:         %[[B0:.*]] = grow.get @b0
// CHECK:         %[[W1:.*]] = grow.get @w1
// CHECK:         %[[B1:.*]] = grow.get @b1
//
// MASK:          %[[Y:.*]]:3 = grow.fused_map branches 2 (%[[H]]) over (%[[W0]], %[[B0]], %[[W1]], %[[B1]]) join (sum, each)
// MASK:            %[[R:.*]] = grow.relu
// MASK-NEXT:       %[[BITS:.*]] = grow.sign_bits %[[R]]
// MASK-NEXT:       grow.yield %[[R]], %[[BITS]]
// MASK:          %[[DY:.*]] = grow.mse_grad %[[Y]]#0
// MASK-NEXT:     %[[DP:.*]]:4 = grow.fused_map branches 2 (%[[H]], %[[DY]]) over (%[[Y]]#1, %[[Y]]#2) join (each, each)
// MASK-NEXT:     ^bb0(%[[IN:.*]]: tensor<?x4x5x2xf32>, %[[G:.*]]: tensor<?x4x5x3xf32>, %[[S:.*]]: tensor<?x4x5x3xi1>):
// MASK-NEXT:       %[[DZ:.*]] = grow.bits_grad %[[S]], %[[G]] slope 0.0
// MASK-DAG:        %[[DB:.*]] = grow.channel_sum %[[DZ]]
// MASK-DAG:        %[[DW:.*]] = grow.conv2d_grad_filter %[[IN]], %[[DZ]] padding [1, 1]
// MASK-NEXT:       grow.yield %[[DW]], %[[DB]]
// MASK:          %[[DH:.*]] = grow.fused_map branches 2 (%[[DY]]) over (%[[W0]], %[[Y]]#1, %[[W1]], %[[Y]]#2) join (sum)
// MASK-NEXT:     ^bb0(%[[G:.*]]: tensor<?x4x5x3xf32>, %[[W:.*]]: tensor<3x3x2x3xf32>, %[[S:.*]]: tensor<?x4x5x3xi1>):
// MASK-NEXT:       %[[DZ:.*]] = grow.bits_grad %[[S]], %[[G]] slope 0.0
// MASK-NEXT:       %[[DIN:.*]] = grow.conv2d_grad_input %[[DZ]], %[[W]] padding [1, 1]
// MASK-NEXT:       grow.yield %[[DIN]]
//
// AGAIN:         %[[Y:.*]] = grow.fused_map branches 2 (%[[H]]) over (%[[W0]], %[[B0]], %[[W1]], %[[B1]]) join (sum)
// AGAIN:         %[[DY:.*]] = grow.mse_grad %[[Y]]
// AGAIN-NEXT:    %[[DP:.*]]:4 = grow.fused_map branches 2 (%[[H]], %[[DY]]) over (%[[W0]], %[[B0]], %[[W1]], %[[B1]]) join (each, each)
// AGAIN:         %[[DH:.*]] = grow.fused_map branches 2 (%[[H]], %[[DY]]) over (%[[W0]], %[[B0]], %[[W1]], %[[B1]]) join (sum)
// AGAIN-NEXT:    ^bb0(%[[IN:.*]]: tensor<?x4x5x2xf32>, %[[G:.*]]: tensor<?x4x5x3xf32>, %[[W:.*]]: tensor<3x3x2x3xf32>, %[[B:.*]]: tensor<3xf32>):
// AGAIN-NEXT:      %[[C:.*]] = grow.conv2d %[[IN]], %[[W]] padding [1, 1]
// AGAIN-NEXT:      %[[Z:.*]] = grow.bias_add %[[C]], %[[B]]
// AGAIN-NEXT:      %[[R:.*]] = grow.relu %[[Z]]
// AGAIN-NEXT:      %[[DZ:.*]] = grow.relu_grad %[[R]], %[[G]]
// AGAIN-NEXT:      %[[DIN:.*]] = grow.conv2d_grad_input %[[DZ]], %[[W]] padding [1, 1]
// AGAIN-NEXT:      grow.yield %[[DIN]]
//
// CHECK:         %[[DS:.*]] = grow.conv2d_grad_filter %[[X]], %[[DH]]
// CHECK:         return %{{.*}}, %[[DS]], %[[DP]]#0, %[[DP]]#2, %[[DP]]#1, %[[DP]]#3

// STORE-LABEL: func.func @step(
// STORE:         %[[Y:.*]]:3 = grow.fused_map {{.*}} join (sum, each)
// STORE:           %[[R:.*]] = grow.relu
// STORE-NEXT:      grow.yield %[[R]], %[[R]]
// STORE:         %[[DY:.*]] = grow.mse_grad %[[Y]]#0
// STORE:         grow.fused_map branches 2 (%[[DY]]) over (%{{.*}}, %[[Y]]#1, %{{.*}}, %[[Y]]#2) join (sum)
// STORE-NEXT:    ^bb0(%[[G:.*]]: tensor<?x4x5x3xf32>, %{{.*}}, %[[S:.*]]: tensor<?x4x5x3xf32>):
// STORE-NEXT:      grow.relu_grad %[[S]], %[[G]]

// -----

// Smooth activations are computed again; the gradient of a mean is shared out
// before the maps.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<4x3xf32> in @g init(#grow.kaiming)
grow.param @w1 : tensor<4x3xf32> in @g init(#grow.kaiming)
grow.param @w2 : tensor<4x3xf32> in @g init(#grow.kaiming)

func.func @loss(%x: tensor<?x4xf32>, %t: tensor<?x3xf32>) -> tensor<f32> {
  %w0 = grow.get @w0 : tensor<4x3xf32>
  %w1 = grow.get @w1 : tensor<4x3xf32>
  %w2 = grow.get @w2 : tensor<4x3xf32>
  %y = grow.map "m" mean (%x) over [(%w0), (%w1), (%w2)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %a = grow.gelu %l : tensor<?x3xf32>
    grow.yield %a : tensor<?x3xf32>
  }
  %loss = grow.mse %y, %t : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// The input is no parameter's, so there is no map for its gradient.

// CHECK-LABEL: func.func @step(
// CHECK-SAME:    %[[X:.*]]: tensor<?x4xf32>,
// CHECK:         grow.fused_map branches 3 (%[[X]]) {{.*}} join (mean)
// CHECK:         %[[DY:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[SHARE:.*]] = grow.scale %[[DY]] by 0.333
// CHECK-NEXT:    %[[DW:.*]]:3 = grow.fused_map branches 3 (%[[X]], %[[SHARE]]) over (%{{.*}}, %{{.*}}, %{{.*}}) join (each)
// CHECK:           %[[L:.*]] = grow.linear
// CHECK-NEXT:      %[[DL:.*]] = grow.gelu_grad %[[L]]
// CHECK-NEXT:      grow.linear_grad_weight %{{.*}}, %[[DL]]
// CHECK:         return %{{.*}}, %[[DW]]#0, %[[DW]]#1, %[[DW]]#2

// STORE-LABEL: func.func @step(
// STORE:         grow.fused_map {{.*}} join (mean, each)
// STORE:           %[[L:.*]] = grow.linear
// STORE-NEXT:      %[[A:.*]] = grow.gelu %[[L]]
// STORE-NEXT:      grow.yield %[[A]], %[[L]]

// -----

// Each branch of a concatenation gets its part of the gradient. Operations on
// the input are computed again whatever is kept.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @s : tensor<2xf32> in @g init(#grow.zero)
grow.param @w0 : tensor<3x3x2x3xf32> in @g init(#grow.kaiming)
grow.param @w1 : tensor<3x3x2x3xf32> in @g init(#grow.kaiming)

func.func @loss(%x: tensor<?x5x4x2xf32>, %t: tensor<?x3x2x6xf32>) -> tensor<f32> {
  %s = grow.get @s : tensor<2xf32>
  %h = grow.bias_add %x, %s : (tensor<?x5x4x2xf32>, tensor<2xf32>) -> tensor<?x5x4x2xf32>
  %w0 = grow.get @w0 : tensor<3x3x2x3xf32>
  %w1 = grow.get @w1 : tensor<3x3x2x3xf32>
  %y = grow.map "m" concat (%h) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x5x4x2xf32>, %w: tensor<3x3x2x3xf32>):
    %a = grow.tanh %in : tensor<?x5x4x2xf32>
    %m = grow.mul %a, %in : tensor<?x5x4x2xf32>
    %c = grow.conv2d %m, %w stride [2, 2] padding [1, 1] : (tensor<?x5x4x2xf32>, tensor<3x3x2x3xf32>) -> tensor<?x3x2x3xf32>
    %r = grow.leaky_relu %c slope 0.25 : tensor<?x3x2x3xf32>
    %z = grow.scale %r by 2.0 : tensor<?x3x2x3xf32>
    grow.yield %z : tensor<?x3x2x3xf32>
  }
  %loss = grow.mse %y, %t : (tensor<?x3x2x6xf32>, tensor<?x3x2x6xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// STORE-LABEL: func.func @step(
// CHECK-LABEL: func.func @step(
// MASK:         %[[H:.*]] = grow.bias_add
// MASK:         %[[Y:.*]]:3 = grow.fused_map branches 2 (%[[H]]) {{.*}} join (concat, each)
// MASK:         %[[DY:.*]] = grow.mse_grad
// MASK-NEXT:    grow.fused_map branches 2 (%[[H]]) sliced (%[[DY]]) over (%[[Y]]#1, %[[Y]]#2) join (each)
// MASK-NEXT:    ^bb0(%[[IN:.*]]: tensor<?x5x4x2xf32>, %{{.*}}, %{{.*}}):
// MASK-NEXT:      %[[A:.*]] = grow.tanh %[[IN]]
// MASK-NEXT:      %[[M:.*]] = grow.mul %[[A]], %[[IN]]
// MASK:           grow.conv2d_grad_filter %[[M]], %{{.*}} stride [2, 2] padding [1, 1]
// MASK:         grow.fused_map branches 2 (%[[H]]) sliced (%[[DY]]) {{.*}} join (sum)
// MASK-NEXT:    ^bb0(%[[IN:.*]]: tensor<?x5x4x2xf32>, %[[G:.*]]: tensor<?x3x2x3xf32>, %[[W:.*]]: tensor<3x3x2x3xf32>, %[[S:.*]]: tensor<?x3x2x3xi1>):
// MASK-NEXT:      %[[A:.*]] = grow.tanh %[[IN]]
// MASK-NEXT:      %[[DR:.*]] = grow.scale %[[G]] by 2.0
// MASK-NEXT:      %[[DC:.*]] = grow.bits_grad %[[S]], %[[DR]] slope 2.5
// MASK-NEXT:      %[[DM:.*]] = grow.conv2d_grad_input %[[DC]], %[[W]] stride [2, 2] padding [1, 1]
// MASK:           grow.tanh_grad %[[A]]

// -----

// Several values of one branch may be needed: by a product, by the gradient of
// a scale.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<4x3xf32> in @g init(#grow.kaiming)
grow.param @s0 : tensor<3xf32> in @g init(#grow.zero)
grow.param @w1 : tensor<4x3xf32> in @g init(#grow.kaiming)
grow.param @s1 : tensor<3xf32> in @g init(#grow.zero)

func.func @loss(%x: tensor<?x4xf32>, %t: tensor<?x3xf32>) -> tensor<f32> {
  %w0 = grow.get @w0 : tensor<4x3xf32>
  %s0 = grow.get @s0 : tensor<3xf32>
  %w1 = grow.get @w1 : tensor<4x3xf32>
  %s1 = grow.get @s1 : tensor<3xf32>
  %y = grow.map "m" sum (%x) over [(%w0, %s0), (%w1, %s1)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x3xf32>, %s: tensor<3xf32>):
    %l = grow.linear %in, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
    %a = grow.sigmoid %l : tensor<?x3xf32>
    %m = grow.mul %a, %l : tensor<?x3xf32>
    %z = grow.channel_scale %m, %s : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
    grow.yield %z : tensor<?x3xf32>
  }
  %loss = grow.mse %y, %t : (tensor<?x3xf32>, tensor<?x3xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         grow.fused_map {{.*}} join (sum) :
// CHECK:         grow.fused_map {{.*}} join (each, each) :

// STORE-LABEL: func.func @step(
// STORE:         grow.fused_map {{.*}} join (sum, each, each, each)
// STORE:           %[[L:.*]] = grow.linear
// STORE-NEXT:      %[[A:.*]] = grow.sigmoid %[[L]]
// STORE-NEXT:      %[[M:.*]] = grow.mul %[[A]], %[[L]]
// STORE-NEXT:      %[[Z:.*]] = grow.channel_scale %[[M]]
// STORE-NEXT:      grow.yield %[[Z]], %[[M]], %[[L]], %[[A]]

// -----

// A branch that is not one kernel is computed again where its gradient is built,
// from what the branch reads. Branches follow one another, and their gradients
// are added at once.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @s : tensor<2xf32> in @g init(#grow.zero)
grow.param @p0 : tensor<3x3x2x3xf32> in @g init(#grow.kaiming)
grow.param @q0 : tensor<1x1x3x2xf32> in @g init(#grow.kaiming)
grow.param @p1 : tensor<3x3x2x3xf32> in @g init(#grow.kaiming)
grow.param @q1 : tensor<1x1x3x2xf32> in @g init(#grow.kaiming)

func.func @loss(%x: tensor<?x4x5x2xf32>, %t: tensor<?x4x5x2xf32>) -> tensor<f32> {
  %s = grow.get @s : tensor<2xf32>
  %h = grow.bias_add %x, %s : (tensor<?x4x5x2xf32>, tensor<2xf32>) -> tensor<?x4x5x2xf32>
  %p0 = grow.get @p0 : tensor<3x3x2x3xf32>
  %q0 = grow.get @q0 : tensor<1x1x3x2xf32>
  %p1 = grow.get @p1 : tensor<3x3x2x3xf32>
  %q1 = grow.get @q1 : tensor<1x1x3x2xf32>
  %y = grow.map "m" sum (%h) over [(%p0, %q0), (%p1, %q1)] {
  ^bb0(%in: tensor<?x4x5x2xf32>, %p: tensor<3x3x2x3xf32>, %q: tensor<1x1x3x2xf32>):
    %a = grow.conv2d %in, %p padding [1, 1] : (tensor<?x4x5x2xf32>, tensor<3x3x2x3xf32>) -> tensor<?x4x5x3xf32>
    %r = grow.tanh %a : tensor<?x4x5x3xf32>
    %c = grow.conv2d %r, %q : (tensor<?x4x5x3xf32>, tensor<1x1x3x2xf32>) -> tensor<?x4x5x2xf32>
    grow.yield %c : tensor<?x4x5x2xf32>
  }
  %loss = grow.mse %y, %t : (tensor<?x4x5x2xf32>, tensor<?x4x5x2xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK-NOT:     grow.branch
// CHECK:         %[[H:.*]] = grow.bias_add
// CHECK:         %[[P0:.*]] = grow.get @p0
// CHECK:         %[[Q0:.*]] = grow.get @q0
// CHECK:         %[[P1:.*]] = grow.get @p1
// CHECK:         %[[Q1:.*]] = grow.get @q1
// CHECK:         %[[DY:.*]] = grow.mse_grad
// CHECK-NEXT:    %[[IN1:.*]] = grow.barrier %[[H]] after %[[DY]]
// CHECK-NEXT:    %[[A1:.*]] = grow.conv2d %[[IN1]], %[[P1]]
// CHECK-NEXT:    %[[R1:.*]] = grow.tanh %[[A1]]
// CHECK-NEXT:    %[[DR1:.*]] = grow.conv2d_grad_input %[[DY]], %[[Q1]]
// CHECK-NEXT:    %[[DQ1:.*]] = grow.conv2d_grad_filter %[[R1]], %[[DY]]
// CHECK-NEXT:    %[[DA1:.*]] = grow.tanh_grad %[[R1]], %[[DR1]]
// CHECK-NEXT:    %[[DH1:.*]] = grow.conv2d_grad_input %[[DA1]], %[[P1]]
// CHECK-NEXT:    %[[DP1:.*]] = grow.conv2d_grad_filter %[[IN1]], %[[DA1]]
// CHECK-NEXT:    %[[IN0:.*]] = grow.barrier %[[H]] after %[[DY]]
// CHECK-NEXT:    %[[A0:.*]] = grow.conv2d %[[IN0]], %[[P0]]
// CHECK-NEXT:    %[[R0:.*]] = grow.tanh %[[A0]]
// CHECK:         %[[DH0:.*]] = grow.conv2d_grad_input %{{.*}}, %[[P0]]
// CHECK:         %[[DH:.*]] = grow.add %[[DH1]], %[[DH0]]
// CHECK-NEXT:    grow.channel_sum %[[DH]]

// STORE-LABEL: func.func @step(
// STORE-NOT:     grow.barrier

// -----

// Statistics of a batch are computed again with the rest, but move once. Values
// that no gradient reads are not.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<1x1x2x2xf32> in @g init(#grow.kaiming)
grow.param @scale : tensor<2xf32> in @g init(#grow.zero)
grow.param @shift : tensor<2xf32> in @g init(#grow.zero)
grow.state @mean : tensor<2xf32> init(#grow.zero)
grow.state @var : tensor<2xf32> init(#grow.zero)

func.func @loss(%x: tensor<?x4x4x2xf32>, %t: tensor<?x2x2x2xf32>) -> tensor<f32> {
  %w = grow.get @w : tensor<1x1x2x2xf32>
  %scale = grow.get @scale : tensor<2xf32>
  %shift = grow.get @shift : tensor<2xf32>
  %mean = grow.get @mean : tensor<2xf32>
  %var = grow.get @var : tensor<2xf32>
  %y = grow.map "m" sum (%x) over [(%w, %scale, %shift, %mean, %var)] {
  ^bb0(%in: tensor<?x4x4x2xf32>, %f: tensor<1x1x2x2xf32>, %a: tensor<2xf32>, %b: tensor<2xf32>, %m: tensor<2xf32>, %v: tensor<2xf32>):
    %c = grow.conv2d %in, %f : (tensor<?x4x4x2xf32>, tensor<1x1x2x2xf32>) -> tensor<?x4x4x2xf32>
    %n = grow.batch_norm %c, %a, %b, %m, %v
        : (tensor<?x4x4x2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>, tensor<2xf32>) -> tensor<?x4x4x2xf32>
    %r = grow.silu %n : tensor<?x4x4x2xf32>
    %p = grow.max_pool2d %r window [2, 2] stride [2, 2] : (tensor<?x4x4x2xf32>) -> tensor<?x2x2x2xf32>
    grow.yield %p : tensor<?x2x2x2xf32>
  }
  %loss = grow.mse %y, %t : (tensor<?x2x2x2xf32>, tensor<?x2x2x2xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK-COUNT-1: grow.batch_norm_stats
// CHECK:         grow.set @mean
// CHECK-NEXT:    grow.set @var
// CHECK:         grow.mse_grad
// CHECK:         %[[X:.*]] = grow.barrier
// CHECK-NEXT:    %[[C:.*]] = grow.conv2d %[[X]]
// CHECK-NEXT:    %[[MEAN:.*]], %[[VAR:.*]], %{{.*}}, %{{.*}} = grow.batch_norm_stats %[[C]]
// CHECK-NEXT:    %[[N:.*]] = grow.batch_norm %[[C]], %{{.*}}, %{{.*}}, %[[MEAN]], %[[VAR]] inference
// CHECK-NEXT:    %[[R:.*]] = grow.silu %[[N]]
// CHECK-NEXT:    %[[DR:.*]] = grow.max_pool2d_grad %[[R]]
// CHECK-NEXT:    %[[DN:.*]] = grow.silu_grad %[[N]], %[[DR]]
// CHECK-NEXT:    %[[DC:.*]], %{{.*}}, %{{.*}} = grow.batch_norm_grad %[[C]], %{{.*}}, %[[MEAN]], %[[VAR]], %[[DN]]
// CHECK-NEXT:    grow.conv2d_grad_filter %[[X]], %[[DC]]
// CHECK-NOT:     grow.set

// -----

// A fused map in a branch that is computed again keeps its bits there alone.

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @a : tensor<4x4xf32> in @g init(#grow.kaiming)
grow.param @b : tensor<4x4xf32> in @g init(#grow.kaiming)

func.func @loss(%x: tensor<?x4xf32>, %t: tensor<?x4xf32>) -> tensor<f32> {
  %a = grow.get @a : tensor<4x4xf32>
  %b = grow.get @b : tensor<4x4xf32>
  %y = grow.map "outer" sum (%x) over [(%a, %b)] {
  ^bb0(%in: tensor<?x4xf32>, %w: tensor<4x4xf32>, %v: tensor<4x4xf32>):
    %h = grow.map "inner" sum (%in) over [(%w), (%v)] keep mask {
    ^bb0(%i: tensor<?x4xf32>, %u: tensor<4x4xf32>):
      %l = grow.linear %i, %u : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
      %r = grow.relu %l : tensor<?x4xf32>
      grow.yield %r : tensor<?x4xf32>
    }
    %z = grow.linear %h, %w : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    grow.yield %z : tensor<?x4xf32>
  }
  %loss = grow.mse %y, %t : (tensor<?x4xf32>, tensor<?x4xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}

// CHECK-LABEL: func.func @step(
// CHECK:         grow.fused_map {{.*}} join (sum)
// CHECK:         grow.mse_grad
// CHECK:         %[[X:.*]] = grow.barrier
// CHECK:         grow.fused_map branches 2 (%[[X]]) {{.*}} join (sum, each)
// CHECK:         grow.fused_map branches 2 (%[[X]], %{{.*}}) {{.*}} join (each)
