// RUN: cambium-opt %s --grow-collapse -split-input-file | FileCheck %s
// RUN: cambium-opt %s --grow-collapse --grow-collapse -split-input-file | FileCheck %s

grow.group @base {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.05}
grow.group @grown {optimizer = #grow.adamw, lr = 1.0e-3}
grow.param @a.w : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
grow.param @b.w : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
grow.param @c.w : tensor<1x1x16x32xf32> in @grown init(#grow.zero)
grow.param @d.w : tensor<1x1x16x32xf32> in @grown init(#grow.zero)

// The example of the README: two maps with two branches each.
// CHECK-LABEL: func.func @forward
// CHECK-DAG: %[[A:.*]] = grow.get @a.w
// CHECK-DAG: %[[B:.*]] = grow.get @b.w
// CHECK-DAG: %[[C:.*]] = grow.get @c.w
// CHECK-DAG: %[[D:.*]] = grow.get @d.w
// CHECK-NEXT: %[[LARGE:.*]] = grow.weight_sum %[[A]], %[[B]] : tensor<3x3x16x32xf32>
// CHECK-NEXT: %[[SMALL:.*]] = grow.weight_sum %[[C]], %[[D]] : tensor<1x1x16x32xf32>
// CHECK-NEXT: %[[PADDED:.*]] = grow.weight_pad %[[SMALL]] [1, 1, 1, 1] : (tensor<1x1x16x32xf32>) -> tensor<3x3x16x32xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %[[LARGE]], %[[PADDED]] : tensor<3x3x16x32xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.conv2d %arg0, %[[W]] padding [1, 1] : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x28x28x32xf32>
// CHECK-NEXT: return %[[Y]]
func.func @forward(%x: tensor<?x28x28x16xf32>) -> tensor<?x28x28x32xf32> {
  %a = grow.get @a.w : tensor<3x3x16x32xf32>
  %b = grow.get @b.w : tensor<3x3x16x32xf32>
  %c = grow.get @c.w : tensor<1x1x16x32xf32>
  %d = grow.get @d.w : tensor<1x1x16x32xf32>
  %0 = grow.map "block" sum (%x) over [(%a), (%b)] {
  ^bb0(%in: tensor<?x28x28x16xf32>, %w: tensor<3x3x16x32xf32>):
    %conv = grow.conv2d %in, %w padding [1, 1]
        : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x28x28x32xf32>
    grow.yield %conv : tensor<?x28x28x32xf32>
  }
  %1 = grow.map "block.1x1" sum (%x) over [(%c), (%d)] {
  ^bb0(%in: tensor<?x28x28x16xf32>, %w: tensor<1x1x16x32xf32>):
    %conv = grow.conv2d %in, %w
        : (tensor<?x28x28x16xf32>, tensor<1x1x16x32xf32>) -> tensor<?x28x28x32xf32>
    grow.yield %conv : tensor<?x28x28x32xf32>
  }
  %y = grow.add %0, %1 : tensor<?x28x28x32xf32>
  return %y : tensor<?x28x28x32xf32>
}

// -----

// Three sizes in one body, with a dynamic height and width.
// CHECK-LABEL: func.func @three_sizes
// CHECK-NEXT: %[[W1:.*]] = grow.weight_sum %arg1, %arg4 : tensor<1x1x16x32xf32>
// CHECK-NEXT: %[[P1:.*]] = grow.weight_pad %[[W1]] [2, 2, 2, 2]
// CHECK-NEXT: %[[W3:.*]] = grow.weight_sum %arg2, %arg5 : tensor<3x3x16x32xf32>
// CHECK-NEXT: %[[P3:.*]] = grow.weight_pad %[[W3]] [1, 1, 1, 1]
// CHECK-NEXT: %[[W5:.*]] = grow.weight_sum %arg3, %arg6 : tensor<5x5x16x32xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %[[P1]], %[[P3]], %[[W5]] : tensor<5x5x16x32xf32>
// CHECK-NEXT: %[[Y:.*]] = grow.conv2d %arg0, %[[W]] stride [2, 2] padding [2, 2]
// CHECK-NEXT: return %[[Y]]
func.func @three_sizes(%x: tensor<?x?x?x16xf32>,
    %a1: tensor<1x1x16x32xf32>, %a3: tensor<3x3x16x32xf32>, %a5: tensor<5x5x16x32xf32>,
    %b1: tensor<1x1x16x32xf32>, %b3: tensor<3x3x16x32xf32>, %b5: tensor<5x5x16x32xf32>) -> tensor<?x?x?x32xf32> {
  %y = grow.map "inception" sum (%x) over [(%a1, %a3, %a5), (%b1, %b3, %b5)] {
  ^bb0(%in: tensor<?x?x?x16xf32>, %w1: tensor<1x1x16x32xf32>, %w3: tensor<3x3x16x32xf32>, %w5: tensor<5x5x16x32xf32>):
    %c1 = grow.conv2d %in, %w1 stride [2, 2] : (tensor<?x?x?x16xf32>, tensor<1x1x16x32xf32>) -> tensor<?x?x?x32xf32>
    %c3 = grow.conv2d %in, %w3 stride [2, 2] padding [1, 1] : (tensor<?x?x?x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x?x?x32xf32>
    %c5 = grow.conv2d %in, %w5 stride [2, 2] padding [2, 2] : (tensor<?x?x?x16xf32>, tensor<5x5x16x32xf32>) -> tensor<?x?x?x32xf32>
    %s = grow.add %c1, %c3 : tensor<?x?x?x32xf32>
    %t = grow.add %s, %c5 : tensor<?x?x?x32xf32>
    grow.yield %t : tensor<?x?x?x32xf32>
  }
  return %y : tensor<?x?x?x32xf32>
}

// -----

// An even window reaches further to one side.
// CHECK-LABEL: func.func @even
// CHECK-NEXT: %[[P:.*]] = grow.weight_pad %arg2 [1, 1, 0, 0] : (tensor<2x2x4x8xf32>) -> tensor<3x3x4x8xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %[[P]]
// CHECK-NEXT: grow.conv2d %arg0, %[[W]] padding [1, 1]
func.func @even(%x: tensor<?x28x28x4xf32>, %w3: tensor<3x3x4x8xf32>, %w2: tensor<2x2x4x8xf32>) -> tensor<?x28x28x8xf32> {
  %a = grow.conv2d %x, %w3 padding [1, 1] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
  %b = grow.conv2d %x, %w2 padding [0, 0, 1, 1] : (tensor<?x28x28x4xf32>, tensor<2x2x4x8xf32>) -> tensor<?x28x28x8xf32>
  %y = grow.add %a, %b : tensor<?x28x28x8xf32>
  return %y : tensor<?x28x28x8xf32>
}

// -----

// With a stride the last row of windows may end before the image does: windows
// meet the same positions though their paddings below differ.
// CHECK-LABEL: func.func @uneven_end
// CHECK-NEXT: %[[P:.*]] = grow.weight_pad %arg2 [0, 0, 1, 1] : (tensor<1x1x4x8xf32>) -> tensor<2x2x4x8xf32>
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %[[P]]
// CHECK-NEXT: grow.conv2d %arg0, %[[W]] stride [2, 2] : (tensor<?x28x28x4xf32>, tensor<2x2x4x8xf32>) -> tensor<?x14x14x8xf32>
func.func @uneven_end(%x: tensor<?x28x28x4xf32>, %w2: tensor<2x2x4x8xf32>, %w1: tensor<1x1x4x8xf32>) -> tensor<?x14x14x8xf32> {
  %a = grow.conv2d %x, %w2 stride [2, 2] : (tensor<?x28x28x4xf32>, tensor<2x2x4x8xf32>) -> tensor<?x14x14x8xf32>
  %b = grow.conv2d %x, %w1 stride [2, 2] : (tensor<?x28x28x4xf32>, tensor<1x1x4x8xf32>) -> tensor<?x14x14x8xf32>
  %y = grow.add %a, %b : tensor<?x14x14x8xf32>
  return %y : tensor<?x14x14x8xf32>
}

// -----

// A 1x1 window takes any dilation; one zero more is two pixels of padding.
// CHECK-LABEL: func.func @dilated
// CHECK-NEXT: %[[P:.*]] = grow.weight_pad %arg2 [1, 1, 1, 1]
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %arg1, %[[P]]
// CHECK-NEXT: grow.conv2d %arg0, %[[W]] padding [2, 2] dilation [2, 2]
func.func @dilated(%x: tensor<?x28x28x4xf32>, %w3: tensor<3x3x4x8xf32>, %w1: tensor<1x1x4x8xf32>) -> tensor<?x28x28x8xf32> {
  %a = grow.conv2d %x, %w3 padding [2, 2] dilation [2, 2] : (tensor<?x28x28x4xf32>, tensor<3x3x4x8xf32>) -> tensor<?x28x28x8xf32>
  %b = grow.conv2d %x, %w1 : (tensor<?x28x28x4xf32>, tensor<1x1x4x8xf32>) -> tensor<?x28x28x8xf32>
  %y = grow.add %a, %b : tensor<?x28x28x8xf32>
  return %y : tensor<?x28x28x8xf32>
}

// -----

// A row and a column would need a full window, which costs more.
// CHECK-LABEL: func.func @row_and_column
// CHECK-NEXT: grow.conv2d %arg0, %arg1
// CHECK-NEXT: grow.conv2d %arg0, %arg2
// CHECK-NEXT: grow.add
func.func @row_and_column(%x: tensor<?x28x28x4xf32>, %row: tensor<1x7x4x8xf32>, %column: tensor<7x1x4x8xf32>) -> tensor<?x28x28x8xf32> {
  %a = grow.conv2d %x, %row padding [0, 3] : (tensor<?x28x28x4xf32>, tensor<1x7x4x8xf32>) -> tensor<?x28x28x8xf32>
  %b = grow.conv2d %x, %column padding [3, 0] : (tensor<?x28x28x4xf32>, tensor<7x1x4x8xf32>) -> tensor<?x28x28x8xf32>
  %y = grow.add %a, %b : tensor<?x28x28x8xf32>
  return %y : tensor<?x28x28x8xf32>
}

// -----

// But both fit into a window that is there anyway.
// CHECK-LABEL: func.func @row_column_and_window
// CHECK-NEXT: %[[ROW:.*]] = grow.weight_pad %arg1 [3, 0, 3, 0]
// CHECK-NEXT: %[[COLUMN:.*]] = grow.weight_pad %arg2 [0, 3, 0, 3]
// CHECK-NEXT: %[[W:.*]] = grow.weight_sum %[[ROW]], %[[COLUMN]], %arg3
// CHECK-NEXT: grow.conv2d %arg0, %[[W]] padding [3, 3]
func.func @row_column_and_window(%x: tensor<?x28x28x4xf32>, %row: tensor<1x7x4x8xf32>, %column: tensor<7x1x4x8xf32>, %w: tensor<7x7x4x8xf32>) -> tensor<?x28x28x8xf32> {
  %a = grow.conv2d %x, %row padding [0, 3] : (tensor<?x28x28x4xf32>, tensor<1x7x4x8xf32>) -> tensor<?x28x28x8xf32>
  %b = grow.conv2d %x, %column padding [3, 0] : (tensor<?x28x28x4xf32>, tensor<7x1x4x8xf32>) -> tensor<?x28x28x8xf32>
  %c = grow.conv2d %x, %w padding [3, 3] : (tensor<?x28x28x4xf32>, tensor<7x7x4x8xf32>) -> tensor<?x28x28x8xf32>
  %s = grow.add %a, %b : tensor<?x28x28x8xf32>
  %y = grow.add %s, %c : tensor<?x28x28x8xf32>
  return %y : tensor<?x28x28x8xf32>
}
