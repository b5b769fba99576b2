// RUN: not cambium-opt %s --grow-add-branches="map=other group=g" 2>&1 | FileCheck %s --check-prefix=MAP
// RUN: not cambium-opt %s --grow-add-branches="map=block group=none" 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not cambium-opt %s --grow-add-branches="map=block group=g count=0" 2>&1 | FileCheck %s --check-prefix=COUNT
// RUN: not cambium-opt %s --grow-add-branches="map=block group=g kernel=five" 2>&1 | FileCheck %s --check-prefix=KERNEL
// RUN: not cambium-opt %s --grow-add-branches="map=block group=g kernel=3x3" 2>&1 | FileCheck %s --check-prefix=NOCONV
// RUN: not cambium-opt %s --grow-add-branches="map=block group=g init=copy branch=3" 2>&1 | FileCheck %s --check-prefix=COPY
// RUN: not cambium-opt %s --grow-add-branches="map=twice group=g" 2>&1 | FileCheck %s --check-prefix=TWICE

// MAP: error: there is no map 'other' to grow; the network has 'block', 'twice', 'twice'
// GROUP: error: there is no optimizer group 'none'; add it with addGroup, or declare `grow.group @none`
// COUNT: error: a growth adds at least one branch
// KERNEL: error: kernel=five: expected HEIGHTxWIDTH, such as 3x3
// NOCONV: :[[@LINE+11]]:{{.*}}: error: branches of another filter size need a body with one convolution, but that of 'block' has none or several
// COPY: :[[@LINE+10]]:{{.*}}: error: cannot copy branch 3 of 'block', which has 1 branches
// TWICE: :[[@LINE+14]]:{{.*}}: error: cannot grow 'twice': the name stands for 2 maps, or for one inside another

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4x4xf32> in @g init(#grow.kaiming)



func.func @forward(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  %w = grow.get @w : tensor<4x4xf32>
  %0 = grow.map "block" sum (%x) over [(%w)] {
  ^bb0(%in: tensor<?x4xf32>, %f: tensor<4x4xf32>):
    %l = grow.linear %in, %f : (tensor<?x4xf32>, tensor<4x4xf32>) -> tensor<?x4xf32>
    grow.yield %l : tensor<?x4xf32>
  }
  %1 = grow.map "twice" sum (%0) over [(%w)] {
  ^bb0(%in: tensor<?x4xf32>, %f: tensor<4x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  %2 = grow.map "twice" sum (%1) over [(%w)] {
  ^bb0(%in: tensor<?x4xf32>, %f: tensor<4x4xf32>):
    grow.yield %in : tensor<?x4xf32>
  }
  return %2 : tensor<?x4xf32>
}
