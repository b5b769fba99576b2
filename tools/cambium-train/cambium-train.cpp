//===- cambium-train.cpp - Trains a growing network -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Interrupt.h"
#include "Options.h"
#include "Progress.h"
#include "Report.h"
#include "TrainingRun.h"
#include "cambium/Error.h"

#include <cstdio>
#include <exception>

using namespace cambium::train;

/// Prints every diagnostic; the first line starts with "error: ".
static void print(const cambium::Error &error) {
  using Severity = cambium::Diagnostic::Severity;
  for (const cambium::Diagnostic &diagnostic : error.diagnostics()) {
    const char *severity = diagnostic.severity == Severity::Error ? "error"
                           : diagnostic.severity == Severity::Warning
                               ? "warning"
                           : diagnostic.severity == Severity::Remark ? "remark"
                                                                     : "note";
    const std::string &location = diagnostic.location;
    std::fprintf(stderr, "%s%s%s: %s\n", location.c_str(),
                 location.empty() ? "" : ": ", severity,
                 diagnostic.message.c_str());
  }
}

static int train(const Options &options) {
  int exitCode = 0;
  Progress progress(stdout, options.quiet);
  TrainingRun run(options, progress);
  run.prepare();
  noteInterrupts();
  try {
    run.train();
  } catch (const cambium::Error &error) {
    // What was trained so far is worth a report.
    progress.clear();
    print(error);
    exitCode = 1;
  }
  std::string report = run.finish();
  if (run.history().interrupted) {
    std::fprintf(stderr, "interrupted\n");
    exitCode = 128 + notedSignal();
  }
  std::printf("%s\n", resultLine(run.history(), report).c_str());
  return exitCode;
}

int main(int argc, char **argv) {
  try {
    return train(parseOptions(argc, argv));
  } catch (const UsageExit &usage) {
    std::fputs(usage.message.c_str(), usage.exitCode == 0 ? stdout : stderr);
    return usage.exitCode;
  } catch (const cambium::Error &error) {
    print(error);
  } catch (const std::exception &error) {
    std::fprintf(stderr, "error: %s\n", error.what());
  }
  return 1;
}
