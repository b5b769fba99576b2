// RUN: cambium-translate %s --grow-to-cuda | FileCheck %s

// A contraction's `blocks` are the constants of its tile. The window is static,
// and extents are read at run time.

// Forward: rows of the product are pixels, here patches of 8x16, and columns are
// channels of y. A first phase packs the filter in the order of reading.

// CHECK-LABEL: // grow.kernel @conv2d blocks <m = 128, n = 64, k = 32,
// CHECK: // Buffers: 0 %arg0, 1 %arg1, 2 result 0, 3 the workspace.
// CHECK-NEXT: namespace conv2d_kernel {
// CHECK: struct RowsShape {
// CHECK: return {/*data=*/false,
// CHECK-NEXT: /*kernelH=*/3, /*kernelW=*/3, /*strideH=*/2, /*strideW=*/2,
// CHECK-NEXT: /*padTop=*/1, /*padLeft=*/1, /*dilationH=*/1, /*dilationW=*/1,
// CHECK-NEXT: /*groups=*/1, /*m=*/128, /*n=*/64, /*k=*/32,
// CHECK-NEXT: /*warpsM=*/2, /*warpsN=*/2, /*stages=*/3, /*patchH=*/8,
// CHECK-NEXT: /*patchW=*/16, /*bytes=*/2,
// CHECK: return {/*batch=*/args.dims[0],
// CHECK-NEXT: /*sourceH=*/args.dims[1],
// CHECK-NEXT: /*sourceW=*/args.dims[2],
// CHECK-NEXT: /*sourceC=*/args.dims[6],
// CHECK-NEXT: /*resultH=*/args.dims[9],
// CHECK-NEXT: /*resultW=*/args.dims[10],
// CHECK-NEXT: /*resultC=*/args.dims[7],
// CHECK-NEXT: /*branches=*/1};
// CHECK: // What computeRows computes.
// CHECK-NEXT: struct Rows : RowsShape {
// CHECK-NEXT: using Math = Bf16;
// CHECK: // Packs filters: a block packs a part of one branch's filter, a thread 16 bytes.
// CHECK: conv2d_phase0(const __grid_constant__ Arguments<4, 12> args,
// CHECK: packFilters<Rows>(args, task);
// CHECK: // A block computes 128 pixels (8 x 16 in 1 image) by 64 channels.
// CHECK-NEXT: // A warp of its 2 x 2 has 64 by 32 of them, a thread 64 accumulators: two
// CHECK-NEXT: // neighbouring channels of every eighth, in every eighth pixel.
// CHECK: extern "C" __global__ void __launch_bounds__(128, 1)
// CHECK-NEXT: conv2d_phase1(const __grid_constant__ Arguments<4, 12> args,
// CHECK: computeRows<Rows>(args, task);
grow.kernel @conv2d blocks <m = 128, n = 64, k = 32, warps_m = 2, warps_n = 2, stages = 3, patch_h = 8, patch_w = 16, precision = bf16> {
^bb0(%x: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>):
  %y = grow.conv2d %x, %w stride [2, 2] padding [1, 1] : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
  grow.yield %y : tensor<?x?x?x?xf32>
}

// The gradient of the input is the same with dy as the source; with patch_h = 0 a
// block has any pixels in succession.

// CHECK-LABEL: namespace conv2d_grad_input_kernel {
// CHECK: return {/*data=*/true,
// CHECK: /*m=*/64, /*n=*/32, /*k=*/16,
// CHECK-NEXT: /*warpsM=*/4, /*warpsN=*/1, /*stages=*/2, /*patchH=*/0,
// CHECK-NEXT: /*patchW=*/0, /*bytes=*/4,
// CHECK: using Math = Fp32;
// CHECK: // A block computes 64 pixels by 32 channels.
// CHECK-NEXT: // A warp of its 4 x 1 has 16 by 32 of them, a thread 16 accumulators: two
// CHECK: computeRows<Rows>(args, task);
grow.kernel @conv2d_grad_input blocks <m = 64, n = 32, k = 16, warps_m = 4, warps_n = 1, stages = 2, patch_h = 0, patch_w = 0, precision = fp32> {
^bb0(%dy: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>):
  %dx = grow.conv2d_grad_input %dy, %w padding [1, 1] : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
  grow.yield %dx : tensor<?x?x?x?xf32>
}

// The gradient of the filter: rows are taps by channels of x, here 9 by 32,
// columns are channels of dy, and k are the pixels of a patch.

// CHECK-LABEL: namespace conv2d_grad_filter_kernel {
// CHECK: struct FilterShape {
// CHECK: /*tapRows=*/3, /*tapColumns=*/3, /*inputs=*/32,
// CHECK-NEXT: /*outputs=*/64, /*units=*/3, /*images=*/2,
// CHECK-NEXT: /*rows=*/4, /*columns=*/8, /*stages=*/2,
// CHECK: using Element = Tf32;
// CHECK: // Adds up partial gradients. A block has 9 of 9 taps and 32 channels of x and 64 of dy.
// CHECK-NEXT: // It goes over the patches of its part of the pixels, 4x8 pixels of 2 images each.
// CHECK-NEXT: // A warp of its 6 has 3 units of 32 rows (a tap and 32 channels of x) by 32
// CHECK-NEXT: // columns, a thread 32 accumulators of each unit.
// CHECK: extern "C" __global__ void __launch_bounds__(192, 1)
// CHECK-NEXT: conv2d_grad_filter_phase0(
// CHECK: FilterBlock<Filter>::accumulate(args, task);
// CHECK: // Adds up the parts in order and stores the gradients.
// CHECK: conv2d_grad_filter_phase1(
// CHECK: FilterBlock<Filter>::finish(args, task);
grow.kernel @conv2d_grad_filter blocks <m = 288, n = 64, k = 64, warps_m = 3, warps_n = 2, stages = 2, patch_h = 4, patch_w = 8, precision = tf32> {
^bb0(%x: tensor<?x?x?x?xf32>, %dy: tensor<?x?x?x?xf32>):
  %dw = grow.conv2d_grad_filter %x, %dy padding [1, 1] : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<3x3x?x?xf32>
  grow.yield %dw : tensor<3x3x?x?xf32>
}
