// RUN: cambium-translate %s --grow-to-cuda | FileCheck %s

// The number of parameters follows the extents; their tensors are in the table.

// CHECK-LABEL: namespace sgd_kernel {
// CHECK: sgd_phase0(const __grid_constant__ Arguments<1, 2> args,
// CHECK: using Rule = Sgd;
// CHECK-NEXT: const Update<Rule, DerivedSum::None> update = {
// CHECK-NEXT: /*tuples=*/args.branches,
// CHECK-NEXT: /*parameters=*/args.dims[1],
// CHECK-NEXT: /*gradient=*/buffer<const float>(args, 0),
// CHECK-NEXT: /*derived=*/nullptr};
// CHECK-NEXT: forElements(update, product<0, 1>(args), /*wide=*/true, task);
grow.kernel @sgd {
^bb0(%g: tensor<?xf32>):
  grow.optimizer #grow.sgd by %g : tensor<?xf32>
  grow.yield
}

// CHECK-LABEL: namespace nesterov_kernel {
// CHECK: using Rule = Momentum</*Nesterov=*/true>;
// CHECK-NEXT: const Update<Rule, DerivedSum::Overwrite> update = {
// CHECK: /*derived=*/buffer<float>(args, 1)};
grow.kernel @nesterov {
^bb0(%g: tensor<?x?xf32>):
  grow.optimizer #grow.sgd<momentum = 0.9, nesterov = true> sum by %g : tensor<?x?xf32>
  grow.yield
}

// CHECK-LABEL: namespace adamw_kernel {
// CHECK: using Rule = AdamW;
// CHECK-NEXT: const Update<Rule, DerivedSum::Accumulate> update = {
grow.kernel @adamw {
^bb0(%g: tensor<?x?xf32>):
  grow.optimizer #grow.adamw accumulate by %g : tensor<?x?xf32>
  grow.yield
}
