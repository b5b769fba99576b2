// RUN: cambium-opt %s -split-input-file -verify-diagnostics --grow-unroll-maps

func.func @f() -> tensor<?x4xf32> {
  // expected-error @+1 {{'grow.map' op has neither branches nor inputs, so its batch is unknown: add a branch, or an input that has the batch}}
  %y = grow.map "m" sum () over [] {
  ^bb0(%w: tensor<?x4xf32>):
    grow.yield %w : tensor<?x4xf32>
  }
  return %y : tensor<?x4xf32>
}
