// RUN: not cambium-opt %s --grow-freeze 2>&1 | FileCheck %s --check-prefix=NONE
// RUN: not cambium-opt %s --grow-freeze="groups=other" 2>&1 | FileCheck %s --check-prefix=GROUP
// RUN: not cambium-opt %s --grow-freeze="groups=empty" 2>&1 | FileCheck %s --check-prefix=EMPTY
// RUN: not cambium-opt %s --grow-freeze="params=v" 2>&1 | FileCheck %s --check-prefix=PARAM
// RUN: not cambium-opt %s --grow-freeze="maps=m" 2>&1 | FileCheck %s --check-prefix=MAP
// RUN: not cambium-opt %s --grow-thaw="params=w" 2>&1 | FileCheck %s --check-prefix=THAW

// NONE: error: nothing to freeze; name groups, maps or parameters
// GROUP: error: there is no optimizer group 'other'
// EMPTY: :[[@LINE+6]]:{{.*}}: error: no other parameter is in group 'empty'
// PARAM: error: there is no parameter 'v' to freeze
// MAP: error: there is no map 'm' to freeze; the network has none
// THAW: :[[@LINE+4]]:{{.*}}: error: 'w' cannot be thawed: it is not frozen

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.group @empty {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<4xf32> in @g init(#grow.zero)
