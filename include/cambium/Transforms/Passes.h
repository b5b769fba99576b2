//===- Passes.h - Passes of the grow dialect --------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRANSFORMS_PASSES_H
#define CAMBIUM_TRANSFORMS_PASSES_H

#include "cambium/CompileOptions.h"
#include "mlir/Pass/Pass.h"

#include <memory>

namespace mlir::func {
class FuncOp;
}

namespace cambium::grow {

/// The values of options of these types.
inline auto convAlgorithmValues() {
  return llvm::cl::values(
      clEnumValN(ConvAlgorithm::Auto, "auto", "the faster one"),
      clEnumValN(ConvAlgorithm::Direct, "direct", "sums of products"),
      clEnumValN(ConvAlgorithm::Winograd, "winograd",
                 "Winograd's F(4x4, 3x3) wherever it is possible"));
}

inline auto keepPolicyValues() {
  return llvm::cl::values(
      clEnumValN(KeepPolicy::Auto, "auto", "bits where they are enough"),
      clEnumValN(KeepPolicy::Mask, "mask", "one bit an element"),
      clEnumValN(KeepPolicy::Recompute, "recompute", "nothing"),
      clEnumValN(KeepPolicy::Store, "store", "the values"));
}

inline auto targetKindValues() {
  return llvm::cl::values(
      clEnumValN(TargetKind::Host, "host", "this machine's processor"),
      clEnumValN(TargetKind::Cuda, "cuda", "a CUDA device"));
}

inline auto precisionValues() {
  return llvm::cl::values(
      clEnumValN(Precision::Fp32, "fp32", "the values as they are"),
      clEnumValN(Precision::Tf32, "tf32", "values of 10 bits of mantissa"),
      clEnumValN(Precision::Bf16, "bf16", "values of 7 bits of mantissa"));
}

inline auto convLibraryValues() {
  return llvm::cl::values(
      clEnumValN(ConvLibrary::Generated, "generated", "kernels"),
      clEnumValN(ConvLibrary::Cudnn, "cudnn", "cuDNN where it can"),
      clEnumValN(ConvLibrary::Auto, "auto", "the faster one"));
}

#define GEN_PASS_DECL
#define GEN_PASS_REGISTRATION
#include "cambium/Transforms/Passes.h.inc"

} // namespace cambium::grow

#endif // CAMBIUM_TRANSFORMS_PASSES_H
