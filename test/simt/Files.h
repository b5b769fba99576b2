//===- Files.h - Temporary files and compiler runs ----------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_FILES_H
#define CAMBIUM_TEST_SIMT_FILES_H

#include <string>
#include <string_view>
#include <vector>

namespace cambium::simt {

/// A new folder, deleted with this object. All functions here throw
/// std::runtime_error.
class TemporaryFolder {
public:
  TemporaryFolder();
  TemporaryFolder(const TemporaryFolder &) = delete;
  TemporaryFolder &operator=(const TemporaryFolder &) = delete;
  ~TemporaryFolder();

  const std::string &path() const { return folder; }

private:
  std::string folder;
};

/// Makes the folders above it too.
void writeFile(const std::string &path, std::string_view content);
std::string readFile(const std::string &path);

/// Runs a program in `folder`. False if it fails; `output` is what it has
/// written to standard error.
bool runProgram(const std::vector<std::string> &command,
                const std::string &folder, std::string &output);

} // namespace cambium::simt

#endif // CAMBIUM_TEST_SIMT_FILES_H
