// RUN: cambium-translate %s --grow-to-cuda | FileCheck %s

// CHECK-LABEL: namespace concat_kernel {
// CHECK: Concat concat(product<8, 3>(args), buffer<float>(args, 2), args.dims[11],
// CHECK-NEXT: task);
// CHECK-NEXT: concat.part(buffer<const float>(args, 0), args.dims[3]);
// CHECK-NEXT: concat.part(buffer<const float>(args, 1), args.dims[7]);
grow.kernel @concat {
^bb0(%x: tensor<?x?x?x?xf32>, %y: tensor<?x?x?x?xf32>):
  %0 = grow.concat %x, %y : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  grow.yield %0 : tensor<?x?x?x?xf32>
}

// CHECK-LABEL: namespace slice_kernel {
// CHECK: /*from=*/{buffer<const float>(args, 0), args.dims[1], /*first=*/16},
// CHECK-NEXT: /*to=*/{buffer<float>(args, 1), args.dims[3], /*first=*/0}};
// CHECK-NEXT: forElements(slice, product<2, 2>(args), /*wide=*/slice.wide(), task);
grow.kernel @slice {
^bb0(%x: tensor<?x?xf32>):
  %0 = grow.slice %x offset 16 size 8 : (tensor<?x?xf32>) -> tensor<?x8xf32>
  grow.yield %0 : tensor<?x8xf32>
}

// Cropping is padding by negative numbers.

// CHECK-LABEL: namespace crop_kernel {
// CHECK: const MoveWindow window = {
// CHECK: /*top=*/-1,
// CHECK-NEXT: /*left=*/-2,
grow.kernel @crop {
^bb0(%x: tensor<5x7x?x?xf32>):
  %0 = grow.weight_crop %x [1, 2, 3, 4] : (tensor<5x7x?x?xf32>) -> tensor<1x1x?x?xf32>
  grow.yield %0 : tensor<1x1x?x?xf32>
}

// CHECK-LABEL: namespace fill_kernel {
// CHECK: /*value=*/0.1f,
grow.kernel @fill {
  %0 = grow.fill 0.1 : tensor<3x3x4x5xf32>
  grow.yield %0 : tensor<3x3x4x5xf32>
}

// CHECK-LABEL: namespace compose_kernel {
// CHECK: constexpr bool transposed = false;
// CHECK-NEXT: const Combine<transposed> combine = {
grow.kernel @compose {
^bb0(%a: tensor<1x1x?x?xf32>, %b: tensor<?x?x?x?xf32>):
  %0 = grow.weight_compose %a, %b : (tensor<1x1x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
  grow.yield %0 : tensor<?x?x?x?xf32>
}
