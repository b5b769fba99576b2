//===- Error.cpp - Errors at the public border ----------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Error.h"

using namespace cambium;

static const char *severityName(Diagnostic::Severity severity) {
  switch (severity) {
  case Diagnostic::Severity::Error:
    return "error";
  case Diagnostic::Severity::Warning:
    return "warning";
  case Diagnostic::Severity::Remark:
    return "remark";
  case Diagnostic::Severity::Note:
    return "note";
  }
  return "";
}

std::string Error::format(const std::vector<Diagnostic> &diagnostics) {
  std::string text;
  for (const Diagnostic &diagnostic : diagnostics) {
    if (!text.empty())
      text += '\n';
    if (!diagnostic.location.empty())
      text += diagnostic.location + ": ";
    if (diagnostics.size() > 1 || !diagnostic.location.empty())
      text += std::string(severityName(diagnostic.severity)) + ": ";
    text += diagnostic.message;
  }
  return text;
}
