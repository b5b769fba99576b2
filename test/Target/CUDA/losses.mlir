// RUN: cambium-translate %s --grow-to-cuda | FileCheck %s

// A warp for each row; the rows' losses are added up by one block.

// CHECK-LABEL: namespace cross_entropy_kernel {
// CHECK: // A warp computes the loss of a row, a thread every 32nd class.
// CHECK: cross_entropy_phase0(const __grid_constant__ Arguments<4, 3> args,
// CHECK: const long long rows = product<0, 1>(args);
// CHECK-NEXT: crossEntropyRow(buffer<const float>(args, 0), buffer<const int>(args, 1),
// CHECK-NEXT: rows, args.dims[1], task, buffer<double>(args, 3));
// CHECK: cross_entropy_phase1(
// CHECK: storeMean(buffer<const double>(args, 3), rows, rows,
// CHECK-NEXT: buffer<float>(args, 2));
grow.kernel @cross_entropy {
^bb0(%x: tensor<?x?xf32>, %l: tensor<?xi32>):
  %0 = grow.softmax_cross_entropy %x, %l : (tensor<?x?xf32>, tensor<?xi32>) -> tensor<f32>
  grow.yield %0 : tensor<f32>
}

// CHECK-LABEL: namespace mse_grad_kernel {
// CHECK: const long long elements = product<0, 2>(args);
// CHECK-NEXT: const SquaredErrorGrad work = {
// CHECK-NEXT: /*elements=*/elements,
// CHECK: forElements(work, elements, /*wide=*/true, task);
grow.kernel @mse_grad {
^bb0(%x: tensor<?x?xf32>, %t: tensor<?x?xf32>, %d: tensor<f32>):
  %0 = grow.mse_grad %x, %t, %d : (tensor<?x?xf32>, tensor<?x?xf32>, tensor<f32>) -> tensor<?x?xf32>
  grow.yield %0 : tensor<?x?xf32>
}
