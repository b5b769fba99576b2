// RUN: cambium-run %s --compare=reference | FileCheck %s
// RUN: cambium-run %s --entry=loss --grad --compare=reference --threads=3 --isa=generic --batch=7 | FileCheck %s --check-prefix=GRAD
// RUN: cambium-run %s --entry=loss --grad --compare=reference --backend=kernels --tolerance=1e-10 | FileCheck %s --check-prefix=GRAD
// RUN: not cambium-run %s --grad --compare=reference --tolerance=0 | FileCheck %s --check-prefix=ABOVE
// RUN: cambium-run %s --time | FileCheck %s --check-prefix=TIME

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w0 : tensor<3x3x3x10xf32> in @g init(#grow.kaiming)
grow.param @w1 : tensor<1x1x3x10xf32> in @g init(#grow.kaiming)
grow.param @unused : tensor<3xf32> in @g init(#grow.zero)

// CHECK: result 0 {{ *}}2x10 {{ *}}magnitude {{.*}} error
// CHECK-NEXT: largest relative error: {{.*}}, within the tolerance of 0.0001
func.func @forward(%x: tensor<?x9x9x3xf32>) -> tensor<?x10xf32> {
  %w0 = grow.get @w0 : tensor<3x3x3x10xf32>
  %w1 = grow.get @w1 : tensor<1x1x3x10xf32>
  %0 = grow.map "wide" sum (%x) over [(%w0)] {
  ^bb0(%in: tensor<?x9x9x3xf32>, %w: tensor<3x3x3x10xf32>):
    %c = grow.conv2d %in, %w padding [1, 1] : (tensor<?x9x9x3xf32>, tensor<3x3x3x10xf32>) -> tensor<?x9x9x10xf32>
    grow.yield %c : tensor<?x9x9x10xf32>
  }
  %1 = grow.map "narrow" sum (%x) over [(%w1)] {
  ^bb0(%in: tensor<?x9x9x3xf32>, %w: tensor<1x1x3x10xf32>):
    %c = grow.conv2d %in, %w : (tensor<?x9x9x3xf32>, tensor<1x1x3x10xf32>) -> tensor<?x9x9x10xf32>
    grow.yield %c : tensor<?x9x9x10xf32>
  }
  %2 = grow.add %0, %1 : tensor<?x9x9x10xf32>
  %3 = grow.silu %2 : tensor<?x9x9x10xf32>
  %4 = grow.global_avg_pool %3 : (tensor<?x9x9x10xf32>) -> tensor<?x10xf32>
  return %4 : tensor<?x10xf32>
}

// GRAD: loss {{ *}}scalar
// GRAD-NEXT: gradient of @w0 {{ *}}3x3x3x10
// GRAD-NEXT: gradient of @w1 {{ *}}1x1x3x10
// GRAD-NEXT: gradient of @unused {{ *}}3 {{ *}}magnitude 0 {{ *}}error 0.00e+00
// GRAD-NEXT: largest relative error: {{.*}}, within the tolerance
// ABOVE: above tolerance
// ABOVE: above the tolerance of 0
// TIME: loading: {{.*}} ms; running: {{.*}} ms, the median of
func.func @loss(%x: tensor<?x9x9x3xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  %0 = func.call @forward(%x) : (tensor<?x9x9x3xf32>) -> tensor<?x10xf32>
  %1 = grow.softmax_cross_entropy %0, %labels : (tensor<?x10xf32>, tensor<?xi32>) -> tensor<f32>
  return %1 : tensor<f32>
}
