// RUN: cambium-opt %s --grow-widen="layer=conv.w count=2 group=grown" | FileCheck %s
// RUN: cambium-opt %s --grow-widen="layer=conv.w count=2 group=grown" -o %t
// RUN: cambium-run %t --grad --compare=reference | FileCheck %s --check-prefix=GRAD

// The old filter stays a parameter of its own; the new ones are another, in
// another group. What is read per channel gets a block each, and so do the filters
// that take the new channels in: rows of zeros, so that nothing changes.

// CHECK-DAG: grow.param @conv.w : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
// CHECK-DAG: grow.param @conv.w.1 : tensor<3x3x4x2xf32> in @grown init(#grow.kaiming)
// CHECK-DAG: grow.param @scale.1 : tensor<2xf32> in @grown init(#grow.constant<1.{{.*}}>)
// CHECK-DAG: grow.param @shift.1 : tensor<2xf32> in @grown init(#grow.zero)
// CHECK-DAG: grow.param @next.w.1 : tensor<3x3x2x5xf32> in @grown init(#grow.zero)
// CHECK-DAG: grow.param @head.w.1 : tensor<2x3xf32> in @grown init(#grow.zero)

// A batch norm moves its running statistics as a whole, so wider ones take the old
// ones' place and values.

// CHECK-DAG: grow.state @mean.1 : tensor<8xf32> init(#grow.zero)
// CHECK-DAG: grow.state @var.1 : tensor<8xf32> init(#grow.constant<1.{{.*}}>)
// CHECK-NOT: @mean{{ }}

// CHECK-LABEL: func.func @forward
// CHECK:         %[[OLD:.*]] = grow.get @conv.w :
// CHECK:         %[[NEW:.*]] = grow.get @conv.w.1
// CHECK-NEXT:    %[[W:.*]] = grow.weight_concat %[[OLD]], %[[NEW]] {{.*}} -> tensor<3x3x4x8xf32>
// CHECK-NEXT:    %[[C:.*]] = grow.conv2d %{{.*}}, %[[W]] {{.*}} -> tensor<?x9x9x8xf32>
// CHECK:         grow.batch_norm %[[C]]

// Rows are joined as columns of another shape.

// CHECK:         %[[R:.*]] = grow.relu {{.*}} : tensor<?x9x9x8xf32>
// CHECK:         %[[V:.*]] = grow.get @next.w :
// CHECK:         %[[VOLD:.*]] = grow.reshape %[[V]] : tensor<3x3x6x5xf32> -> tensor<3x3x1x30xf32>
// CHECK:         %[[VNEW:.*]] = grow.reshape %{{.*}} : tensor<3x3x2x5xf32> -> tensor<3x3x1x10xf32>
// CHECK:         %[[VALL:.*]] = grow.weight_concat %[[VOLD]], %[[VNEW]]
// CHECK:         %[[ROWS:.*]] = grow.reshape %[[VALL]] : tensor<3x3x1x40xf32> -> tensor<3x3x8x5xf32>
// CHECK:         grow.conv2d %[[R]], %[[ROWS]] {{.*}} -> tensor<?x9x9x5xf32>

// The other side of a sum has zeros for them.

// CHECK:         %[[ZERO:.*]] = grow.fill 0.0{{.*}} tensor<?x9x9x2xf32>
// CHECK:         %[[WIDE:.*]] = grow.concat %{{.*}}, %[[ZERO]]
// CHECK:         grow.add %[[R]], %[[WIDE]] : tensor<?x9x9x8xf32>
// CHECK:         return %{{.*}} : tensor<?x3xf32>
// CHECK-LABEL: func.func private @carry
// CHECK-SAME:    grow.to = "mean.1"
// CHECK-SAME:    grow.to = "var.1"

// GRAD: gradient of @head.w.1
// GRAD: within the tolerance

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.group @grown {optimizer = #grow.adamw, lr = 0.1}
grow.param @conv.w : tensor<3x3x4x6xf32> in @base init(#grow.kaiming)
grow.param @scale : tensor<6xf32> in @base init(#grow.constant<1.0>)
grow.param @shift : tensor<6xf32> in @base init(#grow.zero)
grow.state @mean : tensor<6xf32> init(#grow.zero)
grow.state @var : tensor<6xf32> init(#grow.constant<1.0>)
grow.param @next.w : tensor<3x3x6x5xf32> in @base init(#grow.kaiming)
grow.param @short.w : tensor<1x1x5x6xf32> in @base init(#grow.kaiming)
grow.param @head.w : tensor<6x3xf32> in @base init(#grow.kaiming)

func.func @forward(%x: tensor<?x9x9x4xf32>) -> tensor<?x3xf32> {
  %w = grow.get @conv.w : tensor<3x3x4x6xf32>
  %c = grow.conv2d %x, %w padding [1, 1]
      : (tensor<?x9x9x4xf32>, tensor<3x3x4x6xf32>) -> tensor<?x9x9x6xf32>
  %s = grow.get @scale : tensor<6xf32>
  %t = grow.get @shift : tensor<6xf32>
  %m = grow.get @mean : tensor<6xf32>
  %v = grow.get @var : tensor<6xf32>
  %n = grow.batch_norm %c, %s, %t, %m, %v
      : (tensor<?x9x9x6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>, tensor<6xf32>) -> tensor<?x9x9x6xf32>
  %r = grow.relu %n : tensor<?x9x9x6xf32>
  %w1 = grow.get @next.w : tensor<3x3x6x5xf32>
  %c1 = grow.conv2d %r, %w1 padding [1, 1]
      : (tensor<?x9x9x6xf32>, tensor<3x3x6x5xf32>) -> tensor<?x9x9x5xf32>
  %w2 = grow.get @short.w : tensor<1x1x5x6xf32>
  %c2 = grow.conv2d %c1, %w2
      : (tensor<?x9x9x5xf32>, tensor<1x1x5x6xf32>) -> tensor<?x9x9x6xf32>
  %a = grow.add %r, %c2 : tensor<?x9x9x6xf32>
  %p = grow.global_avg_pool %a : (tensor<?x9x9x6xf32>) -> tensor<?x6xf32>
  %h = grow.get @head.w : tensor<6x3xf32>
  %y = grow.linear %p, %h : (tensor<?x6xf32>, tensor<6x3xf32>) -> tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}

func.func @loss(%x: tensor<?x9x9x4xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  %y = call @forward(%x) : (tensor<?x9x9x4xf32>) -> tensor<?x3xf32>
  %loss = grow.softmax_cross_entropy %y, %labels : (tensor<?x3xf32>, tensor<?xi32>) -> tensor<f32>
  return %loss : tensor<f32>
}
