//===- CommandLine.h - Flags of cambium-run ---------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TOOLS_CAMBIUM_RUN_COMMANDLINE_H
#define CAMBIUM_TOOLS_CAMBIUM_RUN_COMMANDLINE_H

#include "Run.h"

#include <variant>

namespace cambium {

struct CommandLine {
  std::string file;
  RunOptions options;
};

/// What to run or, after --help and faults, which are printed, the exit status.
std::variant<CommandLine, int> parseCommandLine(int argc, char **argv);

} // namespace cambium

#endif // CAMBIUM_TOOLS_CAMBIUM_RUN_COMMANDLINE_H
