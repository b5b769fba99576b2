// RUN: cambium-translate --grow-to-cuda -split-input-file %s | FileCheck %s

// A cluster without vectors over channels runs over its elements as if they
// were one vector. Scalar code comes from the operations, with a function for
// each value that is stored; parameters have the names of their roles.

//      CHECK: #include "cambium/Base.cuh"
// CHECK-NEXT: #include "cambium/Elementwise.cuh"
//      CHECK: namespace relu_kernel {
//      CHECK: using namespace cambium;
//      CHECK: static __device__ __forceinline__ float elementsRelu(float x) {
// CHECK-NEXT:   return x > 0.0f ? x : 0.0f;
// CHECK-NEXT: }
//      CHECK: // What is computed of each element: grow.relu.
// CHECK-NEXT: struct Elements {
// CHECK-NEXT:   template <int N, class Args>
// CHECK-NEXT:   static __device__ __forceinline__ void
// CHECK-NEXT:   apply(const Args &args, const Place &place) {
// CHECK-NEXT:     const Vec<N> x = loadElements<N>(buffer<const float>(args, 0), place);
// CHECK-NEXT:     Vec<N> relu;
// CHECK-NEXT: #pragma unroll
// CHECK-NEXT:     for (int i = 0; i < N; ++i) {
// CHECK-NEXT:       relu[i] = elementsRelu(x[i]);
// CHECK-NEXT:     }
// CHECK-NEXT:     storeElements<N>(buffer<float>(args, 1), place, relu);
// CHECK-NEXT:   }
// CHECK-NEXT: };
//      CHECK: extern "C" __global__ void __launch_bounds__(256)
// CHECK-NEXT: relu_phase0(const __grid_constant__ Arguments<2, 4> args, const int firstTask) {
// CHECK-NEXT:   const int task = firstTask + static_cast<int>(blockIdx.x);
// CHECK-NEXT:   elementwise<Elements>(args, product<2, 2>(args), task);
// CHECK-NEXT: }
//      CHECK: } // namespace relu_kernel
grow.kernel @relu {
^bb0(%x: tensor<?x?xf32>):
  %y = grow.relu %x : tensor<?x?xf32>
  grow.yield %y : tensor<?x?xf32>
}

// -----

// With vectors over channels a thread has channels of one pixel. A value that
// is stored is in a variable, of which later values are computed.

// CHECK-LABEL: namespace bias_relu_kernel {
//      CHECK: float elementsBiasAdd(float x, float bias) {
// CHECK-NEXT:   return x + bias;
//      CHECK: float elementsRelu(float biasAdd) {
//      CHECK: const Vec<N> bias = loadChannels<N>(buffer<const float>(args, 1), place);
//      CHECK: biasAdd[i] = elementsBiasAdd(x[i], bias[i]);
// CHECK-NEXT: relu[i] = elementsRelu(biasAdd[i]);
//      CHECK: storeElements<N>(buffer<float>(args, 2), place, biasAdd);
// CHECK-NEXT: storeElements<N>(buffer<float>(args, 3), place, relu);
//      CHECK: // A block computes 1024 consecutive elements, a thread four of a pixel
// CHECK-NEXT: // where the channels are a multiple of four.
//      CHECK: channelElementwise<Elements>(args, product<5, 4>(args),
// CHECK-NEXT:                              /*channels=*/args.dims[8], task);
grow.kernel @bias_relu {
^bb0(%x: tensor<?x8x8x?xf32>, %b: tensor<?xf32>):
  %0 = grow.bias_add %x, %b : (tensor<?x8x8x?xf32>, tensor<?xf32>) -> tensor<?x8x8x?xf32>
  %1 = grow.relu %0 : tensor<?x8x8x?xf32>
  grow.yield %0, %1 : tensor<?x8x8x?xf32>, tensor<?x8x8x?xf32>
}

// -----

// Functions of the math dialect are CUDA's, in single precision; a value that
// is used once is no variable.

// CHECK-LABEL: namespace silu_grad_kernel {
//      CHECK: float elementsTanh(float x, float dy) {
// CHECK-NEXT:   float t1 = 1.0f / (expf(-x) + 1.0f);
// CHECK-NEXT:   return tanhf(dy * (t1 * (x * (1.0f - t1) + 1.0f)));
// CHECK-NEXT: }
grow.kernel @silu_grad {
^bb0(%x: tensor<?xf32>, %dy: tensor<?xf32>):
  %0 = grow.silu_grad %x, %dy : tensor<?xf32>
  %1 = grow.tanh %0 : tensor<?xf32>
  grow.yield %1 : tensor<?xf32>
}

// -----

// CHECK-LABEL: namespace gelu_kernel {
//      CHECK: float elementsGelu(float x) {
//      CHECK:   float t1 = 1.0f / (fabsf(x) * 0.28284273f + 1.0f);
//      CHECK:   = fmaf(t1, fmaf(
//      CHECK:   return
grow.kernel @gelu {
^bb0(%x: tensor<?xf32>):
  %0 = grow.gelu %x : tensor<?xf32>
  grow.yield %0 : tensor<?xf32>
}

// -----

// Normalisation by statistics that are known is elementwise.

// CHECK-LABEL: namespace norm_kernel {
//      CHECK: float elementsBatchNorm(
// CHECK-SAME: float x
//      CHECK:   return fmaf(x - mean, scale / sqrtf(variance + 1e-05f), shift);
grow.kernel @norm {
^bb0(%x: tensor<?x4x4x8xf32>, %s: tensor<8xf32>, %h: tensor<8xf32>, %m: tensor<8xf32>, %v: tensor<8xf32>):
  %y = grow.batch_norm %x, %s, %h, %m, %v inference
      : (tensor<?x4x4x8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>, tensor<8xf32>) -> tensor<?x4x4x8xf32>
  grow.yield %y : tensor<?x4x4x8xf32>
}

// -----

// Sums and multiples of parameters, of any rank; constants have as many digits
// as they need.

// CHECK-LABEL: namespace weights_kernel {
//      CHECK: float elementsWeightScale(float x, float x1, float x2) {
// CHECK-NEXT:   return ((x + x1) + x2) * 0.1f;
//      CHECK: elementwise<Elements>(args, product<6, 2>(args), task);
grow.kernel @weights {
^bb0(%a: tensor<3x?xf32>, %b: tensor<3x?xf32>, %c: tensor<3x?xf32>):
  %0 = grow.weight_sum %a, %b, %c : tensor<3x?xf32>
  %1 = grow.weight_scale %0 by 0.1 : tensor<3x?xf32>
  grow.yield %1 : tensor<3x?xf32>
}

// -----

// A name that C++ does not take is changed.

// CHECK-LABEL: namespace _2_relu_x_kernel {
//      CHECK: _2_relu_x_phase0(
grow.kernel @"2-relu.x" {
^bb0(%x: tensor<f32>):
  %y = grow.relu %x : tensor<f32>
  grow.yield %y : tensor<f32>
}
