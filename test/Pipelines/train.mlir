// What each level of a training step looks like.
//
// RUN: cambium-opt %s --grow-simplify | FileCheck %s --check-prefix=SIMPLE
// RUN: cambium-opt %s --grow-gradients | FileCheck %s --check-prefix=GRAD
// RUN: cambium-opt %s --grow-train | FileCheck %s --check-prefix=STEP

// A third branch makes no other kernels: from the first kernel on,
// the text is the same.
//
// RUN: cambium-opt %s --grow-train | sed -n '/grow.kernel/,$p' > %t.two
// RUN: sed -e 's/^grow.param @b1.w.*/&\ngrow.param @b2.w : tensor<3x3x1x4xf32> in @base init(#grow.zero)/' \
// RUN:   -e 's/^  %%w1 = .*/&\n  %%w2 = grow.get @b2.w : tensor<3x3x1x4xf32>/' \
// RUN:   -e 's/(%%w0), (%%w1)/(%%w0), (%%w1), (%%w2)/' %s > %t.mlir
// RUN: cambium-opt %t.mlir --grow-train > %t.out
// RUN: FileCheck %s --check-prefix=THREE < %t.out
// RUN: sed -n '/grow.kernel/,$p' %t.out | diff %t.two -

// THREE: grow.derived @{{.*}} sum [@b0.w, @b1.w, @b2.w]
// THREE: grow.launch @sgd(%{{.*}}) updates [@b0.w, @b1.w, @b2.w] into

// The linear branches become one convolution of a sum, also in the caller.

// SIMPLE-LABEL: func.func @forward(
// SIMPLE-SAME:    %[[X:.*]]: tensor<?x8x8x1xf32>)
// SIMPLE-NEXT:    %[[W0:.*]] = grow.get @b0.w
// SIMPLE-NEXT:    %[[W1:.*]] = grow.get @b1.w
// SIMPLE-NEXT:    %[[W:.*]] = grow.weight_sum %[[W0]], %[[W1]]
// SIMPLE-NEXT:    %[[C:.*]] = grow.conv2d %[[X]], %[[W]] padding [1, 1]
// SIMPLE-NEXT:    %[[R:.*]] = grow.relu %[[C]]
// SIMPLE-NEXT:    %[[F:.*]] = grow.flatten %[[R]]
// SIMPLE-NEXT:    %[[FC:.*]] = grow.get @fc.w
// SIMPLE-NEXT:    %[[Y:.*]] = grow.linear %[[F]], %[[FC]]
// SIMPLE-NEXT:    return %[[Y]]
// SIMPLE-LABEL: func.func @loss(
// SIMPLE-NOT:     call
// SIMPLE-COUNT-1: grow.conv2d
// SIMPLE:         grow.softmax_cross_entropy
// SIMPLE-NOT:   func.func

// The step gives the loss and a gradient for each parameter; the branches share
// one.

// GRAD-LABEL: func.func @step(
// GRAD-SAME:    %[[X:.*]]: tensor<?x8x8x1xf32>, %[[LABELS:.*]]: tensor<?xi32>)
// GRAD-SAME:    -> (tensor<f32>, tensor<3x3x1x4xf32> {grow.gradient = @b0.w}, tensor<3x3x1x4xf32> {grow.gradient = @b1.w}, tensor<256x10xf32> {grow.gradient = @fc.w})
// GRAD:         %[[C:.*]] = grow.conv2d %[[X]]
// GRAD-NEXT:    %[[R:.*]] = grow.relu %[[C]]
// GRAD-NEXT:    %[[F:.*]] = grow.flatten %[[R]]
// GRAD-NEXT:    %[[FC:.*]] = grow.get @fc.w
// GRAD-NEXT:    %[[Y:.*]] = grow.linear %[[F]], %[[FC]]
// GRAD-NEXT:    %[[LOSS:.*]] = grow.softmax_cross_entropy %[[Y]], %[[LABELS]]
// GRAD-NEXT:    %[[ONE:.*]] = grow.fill 1.0
// GRAD-NEXT:    %[[DY:.*]] = grow.softmax_cross_entropy_grad %[[Y]], %[[LABELS]], %[[ONE]]
// GRAD-NEXT:    %[[DF:.*]] = grow.linear_grad_input %[[DY]], %[[FC]]
// GRAD-NEXT:    %[[DFC:.*]] = grow.linear_grad_weight %[[F]], %[[DY]]
// GRAD-NEXT:    %[[DR:.*]] = grow.reshape %[[DF]]
// GRAD-NEXT:    %[[DC:.*]] = grow.relu_grad %[[R]], %[[DR]]
// GRAD-NEXT:    %[[DW:.*]] = grow.conv2d_grad_filter %[[X]], %[[DC]] padding [1, 1]
// GRAD-NEXT:    return %[[LOSS]], %[[DW]], %[[DW]], %[[DFC]]

// The step reads and writes the sum of the branches; what is left are launches.

// STEP:       grow.derived @[[SUM:.*]] : tensor<3x3x1x4xf32> sum [@b0.w, @b1.w]
// STEP-LABEL: func.func @forward(
// STEP-NEXT:    %[[W:.*]] = grow.get @[[SUM]]
// STEP-NEXT:    grow.launch @[[CONV:.*]](%{{.*}}, %[[W]])
// STEP-LABEL: func.func @step(
// STEP-SAME:    -> tensor<f32>
// STEP-NEXT:    %[[W:.*]] = grow.get @[[SUM]]
// STEP-NEXT:    grow.launch @[[CONV]](%{{.*}}, %[[W]])
// STEP:         %[[LOSS:.*]] = grow.launch @softmax_cross_entropy(
// STEP:         %[[DFC:.*]] = grow.launch @linear_grad_weight(
// STEP:         grow.launch @{{.*}}(%[[DFC]]) updates [@fc.w]
// STEP:         %[[DW:.*]] = grow.launch @conv2d_grad_filter(
// STEP-NEXT:    grow.launch @[[SGD:.*]](%[[DW]]) updates [@b0.w, @b1.w] into @[[SUM]]
// STEP-NEXT:    return %[[LOSS]]
// STEP:       grow.kernel @[[CONV]] schedule
// STEP:         grow.conv2d
// STEP-NEXT:    grow.relu
// STEP-NEXT:    grow.yield
// STEP:       grow.kernel @[[SGD]] {
// STEP:         grow.optimizer {{.*}} sum by

grow.group @base {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.05}
grow.param @b0.w : tensor<3x3x1x4xf32> in @base init(#grow.kaiming)
grow.param @b1.w : tensor<3x3x1x4xf32> in @base init(#grow.zero)
grow.param @fc.w : tensor<256x10xf32> in @base init(#grow.kaiming)

func.func @forward(%x: tensor<?x8x8x1xf32>) -> tensor<?x10xf32> {
  %w0 = grow.get @b0.w : tensor<3x3x1x4xf32>
  %w1 = grow.get @b1.w : tensor<3x3x1x4xf32>
  %c = grow.map "conv" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x8x8x1xf32>, %w: tensor<3x3x1x4xf32>):
    %y = grow.conv2d %in, %w padding [1, 1] : (tensor<?x8x8x1xf32>, tensor<3x3x1x4xf32>) -> tensor<?x8x8x4xf32>
    grow.yield %y : tensor<?x8x8x4xf32>
  }
  %r = grow.relu %c : tensor<?x8x8x4xf32>
  %f = grow.flatten %r : (tensor<?x8x8x4xf32>) -> tensor<?x256xf32>
  %w = grow.get @fc.w : tensor<256x10xf32>
  %y = grow.linear %f, %w : (tensor<?x256xf32>, tensor<256x10xf32>) -> tensor<?x10xf32>
  return %y : tensor<?x10xf32>
}

func.func @loss(%x: tensor<?x8x8x1xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  %y = func.call @forward(%x) : (tensor<?x8x8x1xf32>) -> tensor<?x10xf32>
  %l = grow.softmax_cross_entropy %y, %labels : (tensor<?x10xf32>, tensor<?xi32>) -> tensor<f32>
  return %l : tensor<f32>
}
