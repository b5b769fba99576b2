// RUN: cambium-opt %s --grow-lower-to-emitc | FileCheck %s

// Each kernel becomes a module of EmitC operations, in which its names are its
// own; headers are included once. Whatever is no kernel goes.

//     CHECK: module {
// CHECK-NEXT: emitc.include "cambium/Base.cuh"
// CHECK-NEXT: emitc.include "cambium/Elementwise.cuh"
// CHECK-NOT: emitc.include
//     CHECK: module {
//     CHECK: emitc.verbatim {{.*}}namespace relu_kernel {
//     CHECK: emitc.func @elementsRelu(%[[X:.*]]: f32) -> f32
// CHECK-SAME: specifiers = ["static", "__device__", "__forceinline__"]
// CHECK-NEXT:   %[[Y:.*]] = expression %[[X]] : (f32) -> f32 {
//     CHECK:     %[[POSITIVE:.*]] = cmp gt, %[[X]], %{{.*}} : (f32, f32) -> i1
//     CHECK:     conditional %[[POSITIVE]], %[[X]], %{{.*}} : f32
//     CHECK:   return %[[Y]] : f32
//     CHECK: emitc.verbatim {{.*}}struct Elements {
//     CHECK: emitc.verbatim {{.*}}relu_phase0(
//     CHECK: module {
//     CHECK: emitc.verbatim {{.*}}namespace other_kernel {
//     CHECK: emitc.func @elementsRelu(
// CHECK-NOT: grow.kernel
// CHECK-NOT: func.func
grow.kernel @relu {
^bb0(%x: tensor<?x?xf32>):
  %y = grow.relu %x : tensor<?x?xf32>
  grow.yield %y : tensor<?x?xf32>
}
grow.kernel @other {
^bb0(%x: tensor<?xf32>):
  %y = grow.relu %x : tensor<?xf32>
  grow.yield %y : tensor<?xf32>
}
func.func @f(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %y = grow.launch @relu(%x) : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}
