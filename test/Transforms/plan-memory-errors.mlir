// RUN: cambium-opt %s --grow-plan-memory -split-input-file -verify-diagnostics
// RUN: not cambium-opt %S/plan-memory.mlir --grow-plan-memory=batch=0 2>&1 | FileCheck %s --check-prefix=BATCH

// BATCH: error: cannot plan for a batch of 0; batch= must be at least 1

func.func @f(%x: tensor<?x4xf32>) -> tensor<?x4xf32> {
  // expected-error @+1 {{'grow.relu' op is no launch, so its result would have no place; run --grow-form-kernels first}}
  %y = grow.relu %x : tensor<?x4xf32>
  return %y : tensor<?x4xf32>
}

// -----

grow.kernel @relu {
^bb0(%x: tensor<?x?x?x?xf32>):
  %y = grow.relu %x : tensor<?x?x?x?xf32>
  grow.yield %y : tensor<?x?x?x?xf32>
}
func.func @f(%x: tensor<?x?x8x4xf32>) -> tensor<?x?x8x4xf32> {
  // expected-error @+1 {{'grow.launch' op gives a 'tensor<?x?x8x4xf32>', but only the first extent, the batch, may be dynamic}}
  %y = grow.launch @relu(%x) : (tensor<?x?x8x4xf32>) -> tensor<?x?x8x4xf32>
  return %y : tensor<?x?x8x4xf32>
}

// -----

grow.kernel @relu {
^bb0(%x: tensor<?x?x?x?xf32>):
  %y = grow.relu %x : tensor<?x?x?x?xf32>
  grow.yield %y : tensor<?x?x?x?xf32>
}
func.func @f(%x: tensor<?x4294967296x4294967296x4xf32>) -> tensor<?x4294967296x4294967296x4xf32> {
  // expected-error @+1 {{for a batch of 1, more than a pebibyte; make the batch or the layer smaller}}
  %y = grow.launch @relu(%x) : (tensor<?x4294967296x4294967296x4xf32>) -> tensor<?x4294967296x4294967296x4xf32>
  return %y : tensor<?x4294967296x4294967296x4xf32>
}
