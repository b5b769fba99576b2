// RUN: cambium-opt %s --grow-form-kernels | FileCheck %s
// RUN: cambium-opt %s --grow-form-kernels --grow-form-kernels > %t.twice
// RUN: cambium-opt %s --grow-form-kernels | diff - %t.twice

grow.group @plain {optimizer = #grow.sgd, lr = 0.1}
grow.group @half {optimizer = #grow.sgd<momentum = 0.5>, lr = 0.1}
grow.group @most {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.01}
grow.group @adam {optimizer = #grow.adamw<beta1 = 0.8>, lr = 0.001}
grow.param @a : tensor<8x8xf32> in @half init(#grow.zero)
grow.param @b : tensor<8x8xf32> in @most init(#grow.zero)
grow.param @c : tensor<8x8xf32> in @plain init(#grow.zero)
grow.param @d : tensor<8x8xf32> in @adam init(#grow.zero)
grow.derived @sum : tensor<8x8xf32> sum [@a, @b, @c, @d]

// A contraction takes what follows it as epilogue; launches of other extents
// share the kernel.

// CHECK-LABEL: func.func @layers(
// CHECK-SAME:    %[[X:.*]]: tensor<?x8x8x4xf32>, %[[W:.*]]: tensor<3x3x4x16xf32>, %[[V:.*]]: tensor<3x3x16x16xf32>, %[[B:.*]]: tensor<16xf32>)
// CHECK-NEXT:    %[[Y:.*]] = grow.launch @[[CONV:.*]](%[[X]], %[[W]], %[[B]]) : {{.*}} -> tensor<?x8x8x16xf32>
// CHECK-NEXT:    %[[Z:.*]] = grow.launch @[[CONV]](%[[Y]], %[[V]], %[[B]]) : {{.*}} -> tensor<?x8x8x16xf32>
// CHECK-NEXT:    %[[F:.*]] = grow.flatten %[[Z]]
// CHECK-NEXT:    return %[[F]]
func.func @layers(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x16xf32>, %v: tensor<3x3x16x16xf32>,
                  %b: tensor<16xf32>) -> tensor<?x1024xf32> {
  %0 = grow.conv2d %x, %w padding [1, 1] : (tensor<?x8x8x4xf32>, tensor<3x3x4x16xf32>) -> tensor<?x8x8x16xf32>
  %1 = grow.bias_add %0, %b : (tensor<?x8x8x16xf32>, tensor<16xf32>) -> tensor<?x8x8x16xf32>
  %2 = grow.relu %1 : tensor<?x8x8x16xf32>
  %3 = grow.conv2d %2, %v padding [1, 1] : (tensor<?x8x8x16xf32>, tensor<3x3x16x16xf32>) -> tensor<?x8x8x16xf32>
  %4 = grow.bias_add %3, %b : (tensor<?x8x8x16xf32>, tensor<16xf32>) -> tensor<?x8x8x16xf32>
  %5 = grow.relu %4 : tensor<?x8x8x16xf32>
  %6 = grow.flatten %5 : (tensor<?x8x8x16xf32>) -> tensor<?x1024xf32>
  return %6 : tensor<?x1024xf32>
}

// A value that is used twice is stored, so the kernel ends with it.

// CHECK-LABEL: func.func @used_twice(
// CHECK-NEXT:    %[[Y:.*]] = grow.launch @[[LINEAR:.*]](%{{.*}}, %{{.*}})
// CHECK-NEXT:    %[[R:.*]] = grow.launch @[[RELU:.*]](%[[Y]])
// CHECK-NEXT:    return %[[Y]], %[[R]]
func.func @used_twice(%x: tensor<?x8xf32>, %w: tensor<8x8xf32>) -> (tensor<?x8xf32>, tensor<?x8xf32>) {
  %y = grow.linear %x, %w : (tensor<?x8xf32>, tensor<8x8xf32>) -> tensor<?x8xf32>
  %r = grow.relu %y : tensor<?x8xf32>
  return %y, %r : tensor<?x8xf32>, tensor<?x8xf32>
}

// Pointwise operations of one shape join, with a result for each value that is
// used elsewhere. What leads through a view does not join.

// CHECK-LABEL: func.func @cluster(
// CHECK-NEXT:    %[[C:.*]]:2 = grow.launch @[[TWO:.*]](%{{.*}}, %{{.*}})
// CHECK-NEXT:    %[[V:.*]] = grow.reshape %[[C]]#1
// CHECK-NEXT:    %[[S:.*]] = grow.launch @[[SIGMOID:.*]](%[[V]])
// CHECK-NEXT:    return %[[C]]#0, %[[S]]
func.func @cluster(%x: tensor<?x8xf32>, %y: tensor<?x8xf32>) -> (tensor<?x8xf32>, tensor<?x2x4xf32>) {
  %a = grow.add %x, %y : tensor<?x8xf32>
  %t = grow.tanh %a : tensor<?x8xf32>
  %v = grow.reshape %t : tensor<?x8xf32> -> tensor<?x2x4xf32>
  %s = grow.sigmoid %v : tensor<?x2x4xf32>
  return %a, %s : tensor<?x8xf32>, tensor<?x2x4xf32>
}

// Updates come last, one launch for each rule: the first writes the sum, the
// others add to it. Momenta of 0.5 and 0.9 are one rule, a momentum of 0 is
// another.

// What nobody reads gets no kernel.
// CHECK-LABEL: func.func @unused(
// CHECK-NEXT:    return
func.func @unused(%w: tensor<3x3x4x8xf32>) {
  %0 = grow.weight_crop %w [1, 1, 1, 1] : (tensor<3x3x4x8xf32>) -> tensor<1x1x4x8xf32>
  %1 = grow.weight_scale %0 by 2.0 : tensor<1x1x4x8xf32>
  return
}

// CHECK-LABEL: func.func @update(
// CHECK-SAME:    %[[G:.*]]: tensor<8x8xf32>)
// CHECK-NEXT:    %[[A:.*]] = grow.get @a
// CHECK-NEXT:    grow.launch @[[RELU]](%[[A]])
// CHECK-NEXT:    grow.launch @[[MOMENTUM:.*]](%[[G]]) updates [@a, @b] into @sum : (tensor<8x8xf32>) -> ()
// CHECK-NEXT:    grow.launch @[[PLAIN:.*]](%[[G]]) updates [@c] into @sum
// CHECK-NEXT:    grow.launch @[[ADAMW:.*]](%[[G]]) updates [@d] into @sum
// CHECK-NEXT:    return
func.func @update(%g: tensor<8x8xf32>) -> tensor<8x8xf32> {
  grow.update [@a, @b, @c, @d] by %g into @sum : tensor<8x8xf32>
  %a = grow.get @a : tensor<8x8xf32>
  %y = grow.relu %a : tensor<8x8xf32>
  return %y : tensor<8x8xf32>
}

// CHECK:       grow.kernel @[[CONV]] schedule
// CHECK-NEXT:  ^bb0(%{{.*}}: tensor<?x?x?x?xf32>, %{{.*}}: tensor<3x3x?x?xf32>, %{{.*}}: tensor<?xf32>):
// CHECK-NEXT:    grow.conv2d
// CHECK-NEXT:    grow.bias_add
// CHECK-NEXT:    grow.relu
// CHECK-NEXT:    grow.yield
// CHECK:       grow.kernel @[[LINEAR]] schedule
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:    grow.linear
// CHECK-NEXT:    grow.yield
// CHECK:       grow.kernel @[[RELU]] {
// CHECK:       grow.kernel @[[TWO]] {
// CHECK-NEXT:  ^bb0
// CHECK-NEXT:    %[[ADD:.*]] = grow.add
// CHECK-NEXT:    %[[TANH:.*]] = grow.tanh %[[ADD]]
// CHECK-NEXT:    grow.yield %[[ADD]], %[[TANH]]
// CHECK:       grow.kernel @[[SIGMOID]] {
// CHECK:       grow.kernel @[[MOMENTUM]] {
// CHECK:         grow.optimizer {{.*}}<momentum = {{.*}}> sum by
// CHECK:       grow.kernel @[[PLAIN]] {
// CHECK:         grow.optimizer #grow.sgd sum accumulate by
// CHECK:       grow.kernel @[[ADAMW]] {
// CHECK:         grow.optimizer #grow.adamw{{.*}} sum accumulate by
// CHECK-NOT:   grow.kernel
