// RUN: cambium-translate %s --grow-to-cuda | FileCheck %s

// Sums take two phases: chunks of rows, then the chunks in order.

// CHECK: #include "cambium/Base.cuh"
// CHECK: #include "cambium/Reduce.cuh"
// CHECK-LABEL: namespace channel_sum_kernel {
// CHECK: // A block adds up elements
// CHECK: extern "C" __global__ void __launch_bounds__(256)
// CHECK-NEXT: channel_sum_phase0(const __grid_constant__ Arguments<3, 5> args,
// CHECK: const long long rows = product<0, 3>(args);
// CHECK-NEXT: const int channels = args.dims[3];
// CHECK-NEXT: const PlainTerms terms = {
// CHECK-NEXT: /*x=*/buffer<const float>(args, 0)};
// CHECK-NEXT: addChunk(terms, rows, channels, task, buffer<double>(args, 2));
// CHECK: channel_sum_phase1(
// CHECK: const StoreSum finish = {
// CHECK-NEXT: /*y=*/buffer<float>(args, 1)};
// CHECK-NEXT: addChunks(finish, rows, channels, task, buffer<double>(args, 2));
// CHECK-NOT: _phase2
grow.kernel @channel_sum {
^bb0(%x: tensor<?x?x?x?xf32>):
  %0 = grow.channel_sum %x : (tensor<?x?x?x?xf32>) -> tensor<?xf32>
  grow.yield %0 : tensor<?xf32>
}

// Results that nobody reads are not written.

// CHECK-LABEL: namespace stats_kernel {
// CHECK: const MomentTerms terms = {
// CHECK: const NormStats finish = {
// CHECK-NEXT: /*momentum=*/0.3,
// CHECK: /*mean=*/buffer<float>(args, 3),
// CHECK-NEXT: /*variance=*/buffer<float>(args, 4),
// CHECK-NEXT: /*nextMean=*/nullptr,
// CHECK-NEXT: /*nextVariance=*/nullptr};
grow.kernel @stats {
^bb0(%x: tensor<?x?xf32>, %m: tensor<?xf32>, %v: tensor<?xf32>):
  %0:4 = grow.batch_norm_stats %x, %m, %v momentum 0.3 : (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>) -> (tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>)
  grow.yield %0#0, %0#1 : tensor<?xf32>, tensor<?xf32>
}

// The gradient of the input has a phase, the vectors alone do not need it.

// CHECK-LABEL: namespace norm_grad_kernel {
// CHECK: norm_grad_phase1(
// CHECK: float *const coefficients = behindChunks(buffer<double>(args, 8), rows,
// CHECK-NEXT: channels, NormGradSums::sums);
// CHECK: /*epsilon=*/0.001,
// CHECK: norm_grad_phase2(
// CHECK: const NormGradInput gradient = {
// CHECK: forElements(gradient, rows * channels, /*wide=*/channels % 4 == 0, task);
grow.kernel @norm_grad {
^bb0(%x: tensor<?x?xf32>, %s: tensor<?xf32>, %m: tensor<?xf32>, %v: tensor<?xf32>, %dy: tensor<?x?xf32>):
  %0:3 = grow.batch_norm_grad %x, %s, %m, %v, %dy epsilon 1.0e-3 : (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>)
  grow.yield %0#0, %0#1, %0#2 : tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>
}

// CHECK-LABEL: namespace norm_grad_vectors_kernel {
// CHECK: /*coefficients=*/nullptr};
// CHECK-NOT: norm_grad_vectors_phase2
grow.kernel @norm_grad_vectors {
^bb0(%x: tensor<?x?xf32>, %s: tensor<?xf32>, %m: tensor<?xf32>, %v: tensor<?xf32>, %dy: tensor<?x?xf32>):
  %0:3 = grow.batch_norm_grad %x, %s, %m, %v, %dy : (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?xf32>, tensor<?x?xf32>) -> (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>)
  grow.yield %0#1, %0#2 : tensor<?xf32>, tensor<?xf32>
}
