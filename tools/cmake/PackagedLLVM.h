//===- PackagedLLVM.h - The layout of packaged LLVM -------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Comes before everything else in the precompiled header. The class that counts
// a pass's statistics has another layout with assertions than without; packaged
// LLVM is built without, and ours must agree in presets that keep assertions.
//
//===----------------------------------------------------------------------===//

#ifdef NDEBUG
#include "llvm/ADT/Statistic.h"
#else
#define NDEBUG
#include "llvm/ADT/Statistic.h"
#undef NDEBUG
#endif
