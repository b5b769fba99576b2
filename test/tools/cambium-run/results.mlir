// RUN: cambium-run %s --backend=reference | FileCheck %s
// RUN: cambium-run %s --backend=host | FileCheck %s
// RUN: cambium-run %s --backend=reference --entry=large | FileCheck %s --check-prefix=LARGE
// RUN: cambium-run %s --backend=reference --batch=5 --entry=batch | FileCheck %s --check-prefix=BATCH
// RUN: cambium-run %s --backend=reference --entry=batch --random-inputs=1 > %t.1
// RUN: cambium-run %s --backend=reference --entry=batch --random-inputs=1 > %t.1again
// RUN: cambium-run %s --backend=reference --entry=batch --random-inputs=2 > %t.2
// RUN: cmp %t.1 %t.1again
// RUN: not cmp %t.1 %t.2

grow.group @g {optimizer = #grow.sgd, lr = 0.1}
grow.param @w : tensor<2x2xf32> in @g init(#grow.constant<1.5>)
grow.param @b : tensor<2xf32> in @g init(#grow.constant<-0.25>)

// CHECK: result 0: 2x2 = [6.5, 6.5, 6.5, 6.5]
// CHECK-NEXT: result 1: 2 = [-0.25, -0.25]
func.func @forward() -> (tensor<2x2xf32>, tensor<2xf32>) {
  %x = grow.fill 2.25 : tensor<2x2xf32>
  %w = grow.get @w : tensor<2x2xf32>
  %b = grow.get @b : tensor<2xf32>
  %y = grow.linear %x, %w : (tensor<2x2xf32>, tensor<2x2xf32>) -> tensor<2x2xf32>
  %z = grow.bias_add %y, %b : (tensor<2x2xf32>, tensor<2xf32>) -> tensor<2x2xf32>
  return %z, %b : tensor<2x2xf32>, tensor<2xf32>
}

// LARGE: result 0: 40x3 = [1, 1, 1, 1, ..., 1, 1, 1, 1] min 1 mean 1 max 1
func.func @large() -> tensor<40x3xf32> {
  %x = grow.fill 1.0 : tensor<40x3xf32>
  return %x : tensor<40x3xf32>
}

// BATCH: result 0: 5x3 = [
func.func @batch(%x: tensor<?x3xf32>) -> tensor<?x3xf32> {
  %y = grow.relu %x : tensor<?x3xf32>
  return %y : tensor<?x3xf32>
}
