//===- Isa.h - Instruction sets of host kernels -----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_ISA_H
#define CAMBIUM_ISA_H

namespace cambium {

/// Instruction sets that host kernels are compiled for. Generic is the baseline
/// of the host's architecture; Native stands for the best that the host can
/// run.
enum class Isa { Native, Generic, AVX2, AVX512 };

} // namespace cambium

#endif // CAMBIUM_ISA_H
