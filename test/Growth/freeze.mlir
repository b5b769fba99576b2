// RUN: cambium-opt %s --grow-freeze="groups=base" | FileCheck %s
// RUN: cambium-opt %s --grow-freeze="groups=base" --grow-thaw="params=head.w" | FileCheck %s --check-prefix=THAW
// RUN: cambium-opt %s --grow-freeze="maps=block" --grow-train | FileCheck %s --check-prefix=MAP
// RUN: cambium-opt %s --grow-freeze="params=block.0.w" --grow-gradients | FileCheck %s --check-prefix=PART
// RUN: cambium-opt %s --grow-freeze="groups=base" -o %t
// RUN: cambium-run %t --grad --compare=reference | FileCheck %s --check-prefix=LEFT
// RUN: cambium-opt %s --grow-freeze="groups=base,grown" --grow-train | FileCheck %s --check-prefix=ALL

// CHECK:      grow.param @block.0.w : tensor<8x4xf32> in @base init(#grow.kaiming) {grow.frozen}
// CHECK-NEXT: grow.param @block.1.w : tensor<8x4xf32> in @grown init(#grow.zero){{$}}
// CHECK-NEXT: grow.param @head.w : tensor<4x3xf32> in @base init(#grow.kaiming) {grow.frozen}

// THAW:      grow.param @block.0.w {{.*}} {grow.frozen}
// THAW:      grow.param @head.w : tensor<4x3xf32> in @base init(#grow.kaiming){{$}}

// With all its branches frozen, nothing before the head is differentiated, and
// only the head is updated.

// MAP-LABEL: func.func @step
// MAP:         grow.launch @softmax_cross_entropy_grad
// MAP-NEXT:    grow.launch @linear_grad_weight
// MAP-NEXT:    grow.launch @sgd(%{{.*}}) updates [@head.w]
// MAP-NEXT:    return

// A frozen branch of a fused map costs no gradient, though its neighbour has one:
// the map of gradients has one branch. The forward map has both.

// PART-LABEL: func.func @step
// PART-SAME:    -> (tensor<f32>, tensor<8x4xf32> {grow.gradient = @block.1.w}, tensor<4x3xf32> {grow.gradient = @head.w})
// PART:         grow.fused_map branches 2
// PART:         grow.fused_map branches 1
// PART-NOT:     grow.fused_map

// What is left is the gradient that it was.

// LEFT:      loss
// LEFT-NEXT: gradient of @block.1.w
// LEFT-NEXT: within the tolerance

// With everything frozen, a step computes the loss.

// ALL-LABEL: func.func @step
// ALL-NOT:     updates
// ALL:         return %{{.*}} : tensor<f32>

grow.group @base {optimizer = #grow.sgd, lr = 0.1}
grow.group @grown {optimizer = #grow.adamw, lr = 0.1}
grow.param @block.0.w : tensor<8x4xf32> in @base init(#grow.kaiming)
grow.param @block.1.w : tensor<8x4xf32> in @grown init(#grow.zero)
grow.param @head.w : tensor<4x3xf32> in @base init(#grow.kaiming)

func.func @forward(%x: tensor<?x8xf32>) -> tensor<?x3xf32> {
  %w0 = grow.get @block.0.w : tensor<8x4xf32>
  %w1 = grow.get @block.1.w : tensor<8x4xf32>
  %y = grow.map "block" sum (%x) over [(%w0), (%w1)] {
  ^bb0(%in: tensor<?x8xf32>, %f: tensor<8x4xf32>):
    %l = grow.linear %in, %f : (tensor<?x8xf32>, tensor<8x4xf32>) -> tensor<?x4xf32>
    %r = grow.relu %l : tensor<?x4xf32>
    grow.yield %r : tensor<?x4xf32>
  }
  %h = grow.get @head.w : tensor<4x3xf32>
  %z = grow.linear %y, %h : (tensor<?x4xf32>, tensor<4x3xf32>) -> tensor<?x3xf32>
  return %z : tensor<?x3xf32>
}

func.func @loss(%x: tensor<?x8xf32>, %labels: tensor<?xi32>) -> tensor<f32> {
  %y = call @forward(%x) : (tensor<?x8xf32>) -> tensor<?x3xf32>
  %loss = grow.softmax_cross_entropy %y, %labels : (tensor<?x3xf32>, tensor<?xi32>) -> tensor<f32>
  return %loss : tensor<f32>
}
