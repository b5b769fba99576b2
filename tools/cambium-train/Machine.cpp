//===- Machine.cpp - This machine and process -----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Machine.h"

#include "Format.h"

#include <cstdlib>
#include <fstream>
#include <sys/utsname.h>
#include <thread>

namespace cambium::train {
namespace {

/// The text after `key` on the first line that starts with it.
std::string lookUp(const char *path, const std::string &key) {
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (line.compare(0, key.size(), key) != 0)
      continue;
    size_t start = line.find_first_not_of(" \t:=\"", key.size());
    size_t end = line.find_last_not_of(" \t\"");
    return start == std::string::npos ? ""
                                      : line.substr(start, end + 1 - start);
  }
  return "";
}

/// Lines such as "VmRSS:   1234 kB".
int64_t kibibytes(const char *path, const std::string &key) {
  return std::strtoll(lookUp(path, key).c_str(), nullptr, 10) * 1024;
}

} // namespace

int64_t residentBytes() { return kibibytes("/proc/self/status", "VmRSS:"); }

int64_t peakResidentBytes() { return kibibytes("/proc/self/status", "VmHWM:"); }

std::vector<std::pair<std::string, std::string>> describeMachine() {
  std::vector<std::pair<std::string, std::string>> rows;
  auto add = [&](const char *name, const std::string &value) {
    if (!value.empty())
      rows.emplace_back(name, value);
  };
  add("Processor", lookUp("/proc/cpuinfo", "model name"));
  add("Cores", std::to_string(std::thread::hardware_concurrency()));
  int64_t memory = kibibytes("/proc/meminfo", "MemTotal:");
  add("Memory", memory > 0 ? bytes(memory) : "");
  add("System", lookUp("/etc/os-release", "PRETTY_NAME"));
  utsname system;
  if (uname(&system) == 0)
    add("Kernel", std::string(system.sysname) + " " + system.release + " " +
                      system.machine);
  return rows;
}

} // namespace cambium::train
