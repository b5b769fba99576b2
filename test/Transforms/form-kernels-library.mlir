// RUN: cambium-opt %s --grow-form-kernels="target=cuda conv-library=cudnn" | FileCheck %s --check-prefixes=CHECK,BARE
// RUN: cambium-opt %s --grow-form-kernels="target=cuda conv-library=cudnn precision=bf16" | FileCheck %s --check-prefixes=CHECK,FUSED
// RUN: cambium-opt %s --grow-form-kernels="target=cuda conv-library=auto" | FileCheck %s --check-prefixes=CHECK,FUSED
// RUN: cambium-opt %s --grow-form-kernels="conv-library=cudnn" | FileCheck %s --check-prefixes=CHECK,FUSED

// What cuDNN may compute takes no epilogue; there is no cuDNN on the host, nor
// for bf16, and auto compares what kernels are otherwise.

// CHECK-LABEL: func.func @layer
// BARE: grow.launch @conv2d
// BARE-NEXT: grow.launch @relu
// FUSED: grow.launch @conv2d
// FUSED-NEXT: return

// CHECK: grow.kernel @conv2d
// CHECK: grow.conv2d
// BARE-NEXT: grow.yield
// FUSED-NEXT: grow.relu
func.func @layer(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x8xf32>) -> tensor<?x8x8x8xf32> {
  %c = grow.conv2d %x, %w padding [1, 1]
      : (tensor<?x8x8x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x8x8x8xf32>
  %r = grow.relu %c : tensor<?x8x8x8xf32>
  return %r : tensor<?x8x8x8xf32>
}
