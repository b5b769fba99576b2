// RUN: cambium-opt %s --grow-split-neurons="layer=first neurons=2,0 group=grown" | FileCheck %s
// RUN: not cambium-opt %s --grow-split-neurons="layer=first group=grown" 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not cambium-opt %s --grow-split-neurons="layer=first neurons=1,1 group=grown" 2>&1 | FileCheck %s --check-prefix=TWICE
// RUN: not cambium-opt %s --grow-split-neurons="layer=first neurons=3 group=grown" 2>&1 | FileCheck %s --check-prefix=INDEX
// RUN: not cambium-opt %s --grow-split-neurons="layer=second neurons=0 group=grown" 2>&1 | FileCheck %s --check-prefix=SHARED

// The copies are parameters of their own. Old rows change their values, but not
// their place: the optimizer's state stays.

// CHECK-DAG:   grow.param @first.1 : tensor<4x2xf32> in @grown
// CHECK-DAG:   grow.param @bias.1 : tensor<2xf32> in @grown
// CHECK-DAG:   grow.param @second.1 : tensor<2x4xf32> in @grown
// CHECK-LABEL: func.func private @carry(
// CHECK-SAME:    %[[W:.*]]: tensor<4x3xf32> {grow.from = "first"}, %{{.*}}: tensor<3xf32> {grow.from = "bias"}, %[[V:.*]]: tensor<3x4xf32> {grow.from = "second"})
// CHECK-SAME:    (tensor<4x2xf32> {grow.to = "first.1"}, tensor<2xf32> {grow.to = "bias.1"}, tensor<2x4xf32> {grow.to = "second.1"}, tensor<3x4xf32> {grow.to = "second"})
// CHECK-NEXT:    %[[W2:.*]] = grow.weight_slice %[[W]] offset 2 size 1
// CHECK-NEXT:    %[[W0:.*]] = grow.weight_slice %[[W]] offset 0 size 1
// CHECK-NEXT:    grow.weight_concat %[[W2]], %[[W0]]
// CHECK:         grow.weight_scale %{{.*}} by 7.5{{.*}}e-01 : tensor<1x4xf32>
// CHECK:         grow.weight_scale %{{.*}} by 2.5{{.*}}e-01 : tensor<1x8xf32>

// NONE: error: name at least one output of 'first' to split
// TWICE: error: cannot split 'first': a neuron is named twice
// INDEX: error: cannot split 'first': it has 3 outputs, counted from 0, and no 3
// SHARED: error: cannot split 'second': its rows are shared out among copies, but they are not one parameter that it alone reads

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.group @grown {optimizer = #grow.adamw, lr = 0.1}
grow.param @first : tensor<4x3xf32> in @base init(#grow.kaiming)
grow.param @bias : tensor<3xf32> in @base init(#grow.zero)
grow.param @second : tensor<3x4xf32> in @base init(#grow.kaiming)
grow.param @shared : tensor<4x4xf32> in @base init(#grow.kaiming)

func.func @forward(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %w = grow.get @first : tensor<4x3xf32>
  %0 = grow.linear %x, %w : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  %b = grow.get @bias : tensor<3xf32>
  %1 = grow.bias_add %0, %b : (tensor<?x3xf32>, tensor<3xf32>) -> tensor<?x3xf32>
  %2 = grow.tanh %1 : tensor<?x3xf32>
  %v = grow.get @second : tensor<3x4xf32>
  %3 = grow.linear %2, %v : (tensor<?x3xf32>, tensor<3x4xf32>) -> tensor<?x4xf32>
  %s = grow.get @shared : tensor<4x4xf32>
  %4 = grow.linear %3, %s : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  %5 = grow.linear %4, %s : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
  return %5 : tensor<?x4xf32>
}
