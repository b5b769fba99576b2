//===- Machine.h - This machine and process ---------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_MACHINE_H
#define CAMBIUM_TRAIN_MACHINE_H

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace cambium::train {

/// Memory of this process; 0 where the system does not tell.
int64_t residentBytes();
int64_t peakResidentBytes();

/// Processor, cores, memory and system, as far as the system tells.
std::vector<std::pair<std::string, std::string>> describeMachine();

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_MACHINE_H
