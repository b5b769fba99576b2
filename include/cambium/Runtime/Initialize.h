//===- Initialize.h - Initial values of parameters --------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_INITIALIZE_H
#define CAMBIUM_RUNTIME_INITIALIZE_H

#include <cstdint>
#include <string>
#include <vector>

namespace cambium {

enum class InitKind { Zero, Kaiming, Constant };

/// Writes the initial values of a parameter or state to `out`, which has room
/// for the product of `shape` (row-major).
///
/// * Zero: 0.
/// * Constant: `value`; no other kind reads it.
/// * Kaiming: normal values of mean 0 and standard deviation sqrt(2 / fan_in),
///   where fan_in is the product of all extents but the last (1 for vectors and
///   scalars). He et al., "Delving Deep into Rectifiers", 2015.
///
/// An element's value is a function of the seed, the symbol and its row-major
/// index alone (a counter-based generator), so it depends neither on other
/// parameters, nor on the order of initialisation, nor on threads.
void initialize(InitKind kind, double value, uint64_t seed,
                const std::string &symbol, const std::vector<int64_t> &shape,
                float *out);

} // namespace cambium

#endif // CAMBIUM_RUNTIME_INITIALIZE_H
