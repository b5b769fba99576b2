//===- CudaUsage.cpp - Reads ptxas' statistics ----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The log of a kernel and of a function that it calls:
//
//   ptxas info    : Compiling entry function 'a' for 'sm_80'
//   ptxas info    : Function properties for a
//   ptxas         .     8 bytes stack frame, 0 bytes spill stores, 0 bytes
//   spill loads ptxas info    : Used 19 registers, used 1 barriers, 8 bytes
//   cumulative stack size, 256 bytes smem, 364 bytes cmem[0] ptxas info    :
//   Function properties for _Z1fv ptxas         .     0 bytes stack frame, 0
//   bytes spill stores, 0 bytes spill loads
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/CudaCompiler.h"

#include "cambium/Error.h"

#include <algorithm>
#include <cstdlib>
#include <set>
#include <sstream>

using namespace cambium;
using namespace cambium::cuda;

/// The number in front of ` <unit>`, -1 if there is none.
static int64_t figure(const std::string &line, const std::string &unit) {
  size_t end = line.find(" " + unit);
  if (end == std::string::npos || end == 0)
    return -1;
  size_t begin = line.find_last_not_of("0123456789", end - 1) + 1;
  return begin == end ? -1 : std::atoll(line.c_str() + begin);
}

/// What follows `mark` up to `end`, empty if the mark is not there.
static std::string textAfter(const std::string &line, const std::string &mark,
                             char end) {
  size_t begin = line.find(mark);
  if (begin == std::string::npos)
    return "";
  begin += mark.size();
  return line.substr(begin, line.find(end, begin) - begin);
}

namespace {

/// Goes through a log line by line.
class UsageParser {
public:
  explicit UsageParser(const std::string &log) : log(log) {}

  std::vector<FunctionUsage> parse() {
    std::istringstream lines(log);
    for (std::string line; std::getline(lines, line);)
      if (!parseLine(line))
        fail("has a line that cannot be read: " + line);
    if (entries.empty())
      fail("says nothing of a kernel");
    for (const std::string &entry : entries)
      if (!complete.count(entry))
        fail("lacks figures of '" + entry + "'");
    return std::move(all);
  }

private:
  [[noreturn]] void fail(const std::string &what) const {
    throw Error("NVRTC's log " + what + "\n" + log);
  }

  bool parseLine(const std::string &line) {
    std::string entry = textAfter(line, "Compiling entry function '", '\'');
    if (!entry.empty())
      entries.insert(entry);
    std::string function = textAfter(line, "Function properties for ", ' ');
    if (!function.empty()) {
      all.emplace_back();
      all.back().name = function;
      all.back().entry = entries.count(function);
      memoryRead = false;
    }
    if (line.find("bytes stack frame") != std::string::npos)
      return parseMemory(line);
    if (line.find(": Used ") != std::string::npos)
      return parseRegisters(line);
    return true;
  }

  bool parseMemory(const std::string &line) {
    if (all.empty())
      return false;
    FunctionUsage &function = all.back();
    function.stackBytes = figure(line, "bytes stack frame");
    function.spillStoreBytes = figure(line, "bytes spill stores");
    function.spillLoadBytes = figure(line, "bytes spill loads");
    memoryRead = function.stackBytes >= 0 && function.spillStoreBytes >= 0 &&
                 function.spillLoadBytes >= 0;
    return memoryRead;
  }

  bool parseRegisters(const std::string &line) {
    if (!memoryRead || !all.back().entry)
      return false;
    FunctionUsage &function = all.back();
    function.registers = static_cast<int>(figure(line, "registers"));
    // Not mentioned where it is 0.
    function.sharedBytes = std::max<int64_t>(figure(line, "bytes smem"), 0);
    complete.insert(function.name);
    return function.registers > 0;
  }

  const std::string &log;
  std::vector<FunctionUsage> all;
  std::set<std::string> entries, complete;
  /// The line of memory of the last function was there.
  bool memoryRead = false;
};

} // namespace

std::vector<FunctionUsage> cuda::parseFunctionUsage(const std::string &log) {
  return UsageParser(log).parse();
}
