//===- BranchHooks.h - The hooks of the harness's kernels -------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_UNIT_BRANCHES_BRANCHHOOKS_H
#define CAMBIUM_TEST_UNIT_BRANCHES_BRANCHHOOKS_H

#include "BranchHarness.h"

namespace cambium::test {

/// Buffers that hooks use, shared ones first; -1 where there is none.
struct HookPlaces {
  int64_t input = -1, gradient = -1, residual = -1;
  /// Among the branch's.
  int64_t bias = -1, bits = -1;
};

/// Calls `use` with the hooks of a case, which live as long as the call.
void withHooks(const BranchCase &test, const HookPlaces &places, int64_t width,
               llvm::function_ref<void(const BranchHooks &)> use);

} // namespace cambium::test

#endif // CAMBIUM_TEST_UNIT_BRANCHES_BRANCHHOOKS_H
