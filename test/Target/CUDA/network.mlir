// RUN: cambium-translate --grow-to-cuda --precision=bf16 %s 2>/dev/null | FileCheck %s --check-prefixes=CHECK,STEP
// RUN: cambium-translate --grow-to-cuda --precision=bf16 --loss= %s 2>/dev/null | FileCheck %s --check-prefixes=CHECK,FORWARD
// RUN: cambium-translate --grow-to-cuda --precision=fp32 %s 2>/dev/null | FileCheck %s --check-prefix=FP32
// RUN: cambium-translate --grow-to-cuda --self-contained %s 2>/dev/null | FileCheck %s --check-prefix=ALONE

// Branches with a ReLU inside become one kernel, which adds up any number of
// them. What a branch makes of its accumulators is an element function, called
// where the accumulators are, in registers.

//      CHECK: #include "cambium/Base.cuh"
//      CHECK: #include "cambium/Rows.cuh"
//      CHECK: namespace fused_map_kernel {
//      CHECK: float [[RELU:[a-zA-Z]*pilogueRelu]](float accumulator, float bias) {
// CHECK-NEXT:   float t1 = accumulator + bias;
// CHECK-NEXT:   return t1 > 0.0f ? t1 : 0.0f;
// CHECK-NEXT: }
//      CHECK: struct {{[a-zA-Z]*}}Epilogue {
//      CHECK:   const Vec<N> bias = loadChannels<N>(
// CHECK-NEXT:       branchBuffer<const float>(args, place.branch, 2, 1),
// CHECK-NEXT:       place);
//  CHECK-NOT:   storeBits
//      CHECK:   result[i] = [[RELU]](accumulator[i], bias[i]);
//      CHECK: using Math = Bf16;
//      CHECK: // A block computes {{[0-9]+}} pixels
//      CHECK: extern "C" __global__ void __launch_bounds__(
// CHECK-NEXT: fused_map_phase1(const __grid_constant__ Arguments<
//      CHECK:   computeRows<Rows>(args, task);
// FORWARD-NOT: {{Bits<N>|computeRows|cambium::Filter|Momentum}}

// A step keeps one bit for each element, the sign of what the ReLU gives, and
// its gradient reads that.

//      STEP: bool [[SIGN:[a-zA-Z]*pilogueSignBits]](float result) {
// STEP-NEXT:   return result > 0.0f;
//      STEP:   Bits<N> signBits;
//      STEP:   result[i] = [[RELU]](accumulator[i], bias[i]);
// STEP-NEXT:   signBits.set(i, [[SIGN]](result[i]));
//      STEP:   storeBits<N>(
// STEP-NEXT:       branchBuffer<unsigned char>(args, place.branch, 3, 2),
// STEP-NEXT:       place, signBits);
//      STEP: float {{[a-zA-Z]*}}radientBitsGrad(bool signs, float dy) {
// STEP-NEXT:   return signs ? dy : 0.0f;
//      STEP: struct {{[a-zA-Z]*}}Gradient {
//      STEP:   const Bits<N> signs = loadBits<N>(
//      STEP:   const Vec<N> dy = loadElements<N>(

// FP32-NOT: Bf16
//     FP32: using Math = Fp32;
// FP32-NOT: Bf16

// ALONE-NOT: #include
//     ALONE: template <int Buffers, int Dims> struct Arguments {
// ALONE-NOT: template <int Buffers, int Dims> struct Arguments {
// ALONE-NOT: #include

grow.group @base {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.05}
grow.param @a.w : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
grow.param @a.b : tensor<32xf32> in @base init(#grow.zero)
grow.param @b.w : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
grow.param @b.b : tensor<32xf32> in @base init(#grow.zero)

func.func @forward(%x: tensor<?x28x28x16xf32>) -> tensor<?x28x28x32xf32> {
  %aw = grow.get @a.w : tensor<3x3x16x32xf32>
  %ab = grow.get @a.b : tensor<32xf32>
  %bw = grow.get @b.w : tensor<3x3x16x32xf32>
  %bb = grow.get @b.b : tensor<32xf32>
  %0 = grow.map "block" sum (%x) over [(%aw, %ab), (%bw, %bb)] {
  ^bb0(%in: tensor<?x28x28x16xf32>, %w: tensor<3x3x16x32xf32>, %b: tensor<32xf32>):
    %conv = grow.conv2d %in, %w padding [1, 1]
        : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x28x28x32xf32>
    %s = grow.bias_add %conv, %b : (tensor<?x28x28x32xf32>, tensor<32xf32>) -> tensor<?x28x28x32xf32>
    %r = grow.relu %s : tensor<?x28x28x32xf32>
    grow.yield %r : tensor<?x28x28x32xf32>
  }
  return %0 : tensor<?x28x28x32xf32>
}

func.func @loss(%x: tensor<?x28x28x16xf32>, %target: tensor<?x28x28x32xf32>) -> tensor<f32> {
  %y = call @forward(%x) : (tensor<?x28x28x16xf32>) -> tensor<?x28x28x32xf32>
  %loss = grow.mse %y, %target : (tensor<?x28x28x32xf32>, tensor<?x28x28x32xf32>) -> tensor<f32>
  return %loss : tensor<f32>
}
