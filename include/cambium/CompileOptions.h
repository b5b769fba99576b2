//===- CompileOptions.h - How networks are compiled -------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_COMPILEOPTIONS_H
#define CAMBIUM_COMPILEOPTIONS_H

namespace cambium {

/// What maps keep of their branches' values from forward to backward, unless
/// they say it themselves by `keep`. Gradients are the same, bit by bit, unless
/// branches share a parameter.
enum class KeepPolicy {
  /// Mask for rectifiers, Recompute for other activations.
  Auto,
  /// One sign bit an element, where that is enough; else as Recompute.
  Mask,
  /// Nothing: backward computes the values again.
  Recompute,
  /// The values.
  Store
};

/// How the kernels of maps compute 3x3 convolutions of stride 1.
enum class ConvAlgorithm {
  /// The faster one.
  Auto,
  /// Sums of products.
  Direct,
  /// Winograd's F(4x4, 3x3) (Lavin and Gray, 2016): a quarter of the
  /// multiplications, and a rounding error some four times larger.
  Winograd
};

/// What contractions on CUDA devices multiply. Memory holds fp32 in each case,
/// and sums are in fp32.
enum class Precision {
  /// The values as they are, on the CUDA cores.
  Fp32,
  /// Rounded to 10 bits of mantissa, on tensor cores.
  Tf32,
  /// Rounded to 7 bits of mantissa, on tensor cores.
  Bf16
};

/// "fp32", "tf32" or "bf16".
const char *precisionName(Precision precision);

/// What computes convolutions and linear layers on CUDA devices, where a kernel
/// holds nothing else: those of collapsed layers, and their gradients.
enum class ConvLibrary {
  /// Cambium's own kernels.
  Generated,
  /// cuDNN, which must be there; what follows a convolution is a kernel of its
  /// own. Where cuDNN cannot do what is asked for (with Precision::Bf16:
  /// nothing, as memory is fp32), the own kernels.
  Cudnn,
  /// The faster one, measured when a shape comes for the first time in the
  /// process; as Generated where cuDNN is missing. Results may differ in the
  /// last bits from process to process, as the measurements do.
  Auto
};

/// What kernels are made for.
enum class TargetKind { Host, Cuda };

struct CompileOptions {
  KeepPolicy keep = KeepPolicy::Auto;
  /// Host kernels; CUDA kernels are direct.
  ConvAlgorithm convAlgorithm = ConvAlgorithm::Auto;
  /// CUDA kernels; host kernels compute in fp32.
  Precision precision = Precision::Fp32;
  /// CUDA devices; the host has its own kernels only.
  ConvLibrary convLibrary = ConvLibrary::Generated;
};

} // namespace cambium

#endif // CAMBIUM_COMPILEOPTIONS_H
