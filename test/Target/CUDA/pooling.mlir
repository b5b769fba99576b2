// RUN: cambium-translate %s --grow-to-cuda | FileCheck %s

// The window is a struct of constants; extents are read at run time.

// CHECK-LABEL: namespace max_pool_grad_kernel {
// CHECK: struct Window {
// CHECK-NEXT: static constexpr int height = 3, width = 2;
// CHECK-NEXT: static constexpr int strideH = 2, strideW = 1;
// CHECK: static constexpr int top = 1, left = 0;
// CHECK: // A block computes consecutive elements of dx, a thread four channels of a
// CHECK: __launch_bounds__(256, 1)
// CHECK-NEXT: max_pool_grad_phase0(const __grid_constant__ Arguments<3, 12> args,
// CHECK: const MaxPoolGrad<Window> pool = {
// CHECK-NEXT: /*input=*/{args.dims[1], args.dims[2], args.dims[3]},
// CHECK-NEXT: /*output=*/{args.dims[5], args.dims[6], args.dims[7]},
// CHECK-NEXT: /*x=*/buffer<const float>(args, 0),
// CHECK-NEXT: /*dy=*/buffer<const float>(args, 1),
// CHECK-NEXT: /*dx=*/buffer<float>(args, 2)};
// CHECK-NEXT: forElements(pool, product<8, 4>(args), /*wide=*/args.dims[11] % 4 == 0,
// CHECK-NEXT: task);
grow.kernel @max_pool_grad {
^bb0(%x: tensor<?x?x?x?xf32>, %dy: tensor<?x?x?x?xf32>):
  %0 = grow.max_pool2d_grad %x, %dy window [3, 2] stride [2, 1] padding [1, 0] : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  grow.yield %0 : tensor<?x?x?x?xf32>
}

// CHECK-LABEL: namespace avg_pool_kernel {
// CHECK: const AvgPool<Window> pool = {
// CHECK: /*y=*/buffer<float>(args, 1)};
grow.kernel @avg_pool {
^bb0(%x: tensor<?x?x?x?xf32>):
  %0 = grow.avg_pool2d %x window [2, 2] stride [2, 2] : (tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  grow.yield %0 : tensor<?x?x?x?xf32>
}

// CHECK-LABEL: namespace global_kernel {
// CHECK: const int area = args.dims[1] * args.dims[2];
// CHECK-NEXT: averageImage(buffer<const float>(args, 0), buffer<float>(args, 1), area,
// CHECK-NEXT: args.dims[3], task);
grow.kernel @global {
^bb0(%x: tensor<?x?x?x?xf32>):
  %0 = grow.global_avg_pool %x : (tensor<?x?x?x?xf32>) -> tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
}
