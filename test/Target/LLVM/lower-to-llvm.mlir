// RUN: cambium-opt %s --grow-lower-to-llvm=vector-width=8 -split-input-file | FileCheck %s
// RUN: cambium-opt %s --grow-lower-to-llvm=vector-width=16 -split-input-file | FileCheck %s --check-prefix=WIDE

// An elementwise cluster: one phase, the rest of a block masked. Whatever is no
// kernel goes.

// CHECK-NOT: func.func
// CHECK-LABEL: llvm.func @relu_phase0
// CHECK-SAME: (%{{.*}}: !llvm.ptr, %{{.*}}: !llvm.ptr, %{{.*}}: i64, %{{.*}}: i64, %{{.*}}: !llvm.ptr)
// CHECK: llvm.load {{.*}} {alignment = 4 : i64} : !llvm.ptr -> vector<8xf32>
// CHECK: llvm.fcmp "ogt"
// CHECK: llvm.store {{.*}} {alignment = 4 : i64} : vector<8xf32>, !llvm.ptr
// CHECK: llvm.intr.masked.load
// CHECK: llvm.intr.masked.store
// CHECK-NOT: @relu_phase1
// CHECK-NOT: grow.
// WIDE: llvm.load {{.*}} : !llvm.ptr -> vector<16xf32>
grow.kernel @relu {
^bb0(%x: tensor<?x?xf32>):
  %y = grow.relu %x : tensor<?x?xf32>
  grow.yield %y : tensor<?x?xf32>
}
func.func @f(%x: tensor<3x5xf32>) -> tensor<3x5xf32> {
  %y = grow.launch @relu(%x) : (tensor<3x5xf32>) -> tensor<3x5xf32>
  return %y : tensor<3x5xf32>
}

// -----

// A contraction keeps its schedule's width and applies its epilogue where it
// stores.

// CHECK-LABEL: llvm.func @linear_phase0
// CHECK-LABEL: llvm.func @linear_phase1
// CHECK: llvm.intr.fmuladd{{.*}}vector<4xf32>
// CHECK: llvm.fadd {{.*}} vector<4xf32>
// WIDE-LABEL: llvm.func @linear_phase1
// WIDE: llvm.intr.fmuladd{{.*}}vector<4xf32>
grow.kernel @linear schedule <width = 4, vectors = 1, tile = 2, tail_tile = 1> {
^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>, %b: tensor<?xf32>):
  %0 = grow.linear %x, %w : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
  %1 = grow.bias_add %0, %b : (tensor<?x?xf32>, tensor<?xf32>) -> tensor<?x?xf32>
  grow.yield %1 : tensor<?x?xf32>
}

// -----

// Sums take two phases and double precision.

// CHECK-LABEL: llvm.func @channel_sum_phase0
// CHECK: llvm.fpext {{.*}} vector<8xf32> to vector<8xf64>
// CHECK: llvm.fadd {{.*}} vector<8xf64>
// CHECK-LABEL: llvm.func @channel_sum_phase1
// CHECK: llvm.fptrunc {{.*}} vector<8xf64> to vector<8xf32>
grow.kernel @channel_sum {
^bb0(%x: tensor<?x?x?x?xf32>):
  %0 = grow.channel_sum %x : (tensor<?x?x?x?xf32>) -> tensor<?xf32>
  grow.yield %0 : tensor<?xf32>
}

// -----

// Transcendental functions become polynomials: no calls.

// CHECK-LABEL: llvm.func @activations_phase0
// CHECK-NOT: llvm.call
// CHECK-NOT: llvm.intr.exp
// CHECK-NOT: llvm.intr.tanh
grow.kernel @activations {
^bb0(%x: tensor<?xf32>):
  %0 = grow.silu %x : tensor<?xf32>
  %1 = grow.tanh %0 : tensor<?xf32>
  %2 = grow.gelu %1 : tensor<?xf32>
  grow.yield %2 : tensor<?xf32>
}

// -----

// The list of parameters is read at run time.

// CHECK-LABEL: llvm.func @sgd_phase0
// CHECK: llvm.getelementptr {{.*}} -> !llvm.ptr, !llvm.ptr
// CHECK: llvm.load {{.*}} : !llvm.ptr -> !llvm.ptr
grow.kernel @sgd {
^bb0(%g: tensor<?x?xf32>):
  grow.optimizer #grow.sgd<momentum = 0.9> sum by %g : tensor<?x?xf32>
  grow.yield
}
