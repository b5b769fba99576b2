// RUN: cambium-opt %s --grow-plan-memory=batch=2 | FileCheck %s
// RUN: cambium-opt %s --grow-plan-memory | FileCheck %s --check-prefix=ONE
// RUN: cambium-opt %s --grow-plan-memory="batch=2 print" -o /dev/null 2>&1 | FileCheck %s --check-prefix=TABLE

grow.kernel @relu {
^bb0(%x: tensor<?x?xf32>):
  %y = grow.relu %x : tensor<?x?xf32>
  grow.yield %y : tensor<?x?xf32>
}
grow.kernel @relu3 {
^bb0(%x: tensor<?x?x?xf32>):
  %y = grow.relu %x : tensor<?x?x?xf32>
  grow.yield %y : tensor<?x?x?xf32>
}
grow.kernel @channel_sum {
^bb0(%x: tensor<?x?xf32>):
  %y = grow.channel_sum %x : (tensor<?x?xf32>) -> tensor<?xf32>
  grow.yield %y : tensor<?xf32>
}

// A batch of 2 takes 512 bytes a tensor. The first buffer is dead when the third
// is made; it lives on in its view until then. The arena holds two.

// CHECK-LABEL: func.func @chain(
// CHECK-SAME:    attributes {grow.arena_bytes = 1024 : i64, grow.batch = 2 : i64}
// CHECK-NEXT:    grow.launch @relu({{.*}}) {grow.offsets = array<i64: 0>}
// CHECK-NEXT:    grow.reshape
// CHECK-NEXT:    grow.launch @relu3({{.*}}) {grow.offsets = array<i64: 512>}
// CHECK-NEXT:    grow.flatten
// CHECK-NEXT:    grow.launch @relu({{.*}}) {grow.offsets = array<i64: 0>}
// ONE-LABEL: func.func @chain(
// ONE-SAME:    attributes {grow.arena_bytes = 512 : i64, grow.batch = 1 : i64}
// ONE:         grow.launch @relu3({{.*}}) {grow.offsets = array<i64: 256>}
// TABLE-LABEL: @chain, batch 2: arena 1024 bytes, scratch 0 bytes a thread
// TABLE-NEXT:    offset {{ *}}bytes  launches     category           buffer
// TABLE-NEXT: {{^ +}}0 {{ *}}512  0-1          activation         relu.0
// TABLE-NEXT: {{^ +}}512 {{ *}}512  1-2          activation         relu3.1
// TABLE-NEXT: {{^ +}}0 {{ *}}512  2-2          activation         relu.2
// TABLE-NEXT: {{^ +}}1024  peak of activation
// TABLE-NEXT: {{^ +}}0  peak of kept for backward
// TABLE-NEXT: {{^ +}}0  peak of gradient
// TABLE-NEXT: {{^ +}}0  peak of workspace
func.func @chain(%x: tensor<?x64xf32>) -> tensor<?x64xf32> {
  %a = grow.launch @relu(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %av = grow.reshape %a : tensor<?x64xf32> -> tensor<?x8x8xf32>
  %b = grow.launch @relu3(%av) : (tensor<?x8x8xf32>) -> tensor<?x8x8xf32>
  %bv = grow.flatten %b : (tensor<?x8x8xf32>) -> tensor<?x64xf32>
  %c = grow.launch @relu(%bv) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %c : tensor<?x64xf32>
}

// A result lives to the end, also through a view, so its place is not reused.

// CHECK-LABEL: func.func @early_result(
// CHECK-SAME:    attributes {grow.arena_bytes = 1536 : i64, grow.batch = 2 : i64}
// CHECK:         grow.launch @relu({{.*}}) {grow.offsets = array<i64: 0>}
// CHECK:         grow.launch @relu({{.*}}) {grow.offsets = array<i64: 512>}
// CHECK:         grow.launch @relu({{.*}}) {grow.offsets = array<i64: 1024>}
// TABLE-LABEL: @early_result, batch 2
// TABLE:         512  0-2          activation         relu.0
func.func @early_result(%x: tensor<?x64xf32>) -> (tensor<?x8x8xf32>, tensor<?x64xf32>) {
  %a = grow.launch @relu(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %b = grow.launch @relu(%a) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %c = grow.launch @relu(%b) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %av = grow.reshape %a : tensor<?x64xf32> -> tensor<?x8x8xf32>
  return %av, %c : tensor<?x8x8xf32>, tensor<?x64xf32>
}

// A workspace lives during its launch alone and does not overlap the result.

// CHECK-LABEL: func.func @workspace(
// CHECK-SAME:    grow.arena_bytes = [[ARENA:[0-9]+]]
// CHECK-NEXT:    grow.launch @channel_sum({{.*}}) {grow.offsets = array<i64: [[PLACE:[1-9][0-9]*]]>, grow.workspace_offset = 0 : i64}
// TABLE-LABEL: @workspace, batch 2
// TABLE:       {{^ +[1-9][0-9]*}} {{ *}}256  0-0          activation         channel_sum.0
// TABLE-NEXT:  {{^ +}}0 {{ *}}[[BYTES:[1-9][0-9]*]]  0-0          workspace          channel_sum.0.workspace
// TABLE:       {{^ +}}[[BYTES]]  peak of workspace
func.func @workspace(%x: tensor<?x64xf32>) -> tensor<64xf32> {
  %s = grow.launch @channel_sum(%x) : (tensor<?x64xf32>) -> tensor<64xf32>
  return %s : tensor<64xf32>
}

// The loss divides a step: what is read after it is kept for backward.

// TABLE-LABEL: @step, batch 2
// TABLE:         512  0-2          kept for backward  relu.0
// TABLE-NEXT:    256  1-2          activation         channel_sum.1
// TABLE:         512  2-2          gradient           relu.2
// TABLE:       {{^ +}}512  peak of kept for backward
// TABLE-NEXT:  {{^ +}}512  peak of gradient
func.func @step(%x: tensor<?x64xf32>) -> (tensor<64xf32>, tensor<?x64xf32> {grow.gradient = @p}) {
  %a = grow.launch @relu(%x) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  %loss = grow.launch @channel_sum(%a) : (tensor<?x64xf32>) -> tensor<64xf32>
  %g = grow.launch @relu(%a) : (tensor<?x64xf32>) -> tensor<?x64xf32>
  return %loss, %g : tensor<64xf32>, tensor<?x64xf32>
}

// What the store holds comes last: a parameter, its momentum or its two AdamW
// moments, states and derived sums.

// TABLE: stored: parameters 1024 bytes, state 2048 bytes
grow.group @sgd {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.1}
grow.group @adamw {optimizer = #grow.adamw, lr = 0.1}
grow.param @a : tensor<128xf32> in @sgd init(#grow.zero)
grow.param @b : tensor<128xf32> in @adamw init(#grow.zero)
grow.state @mean : tensor<128xf32> init(#grow.zero)
