//===- Error.h - Errors at the public border --------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_ERROR_H
#define CAMBIUM_ERROR_H

#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace cambium {

/// One message of the compiler or runtime, with the place it speaks of.
struct Diagnostic {
  enum class Severity { Error, Warning, Remark, Note };
  Severity severity = Severity::Error;
  /// `file:line:column`, or empty where the fault has no place in a text.
  std::string location;
  std::string message;
};

/// Thrown by every public function for faults of its input. what() holds all
/// diagnostics, one a line; the object that threw is left as it was.
class Error : public std::runtime_error {
public:
  explicit Error(std::vector<Diagnostic> diagnostics)
      : std::runtime_error(format(diagnostics)), all(std::move(diagnostics)) {}
  explicit Error(const std::string &message)
      : Error(std::vector<Diagnostic>{
            {Diagnostic::Severity::Error, "", message}}) {}

  const std::vector<Diagnostic> &diagnostics() const { return all; }

private:
  static std::string format(const std::vector<Diagnostic> &diagnostics);

  std::vector<Diagnostic> all;
};

} // namespace cambium

#endif // CAMBIUM_ERROR_H
