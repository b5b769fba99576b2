//===- cambium-run.cpp - Runs a function of a network ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "CommandLine.h"
#include "cambium/Pipelines/Pipelines.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Support/FileUtilities.h"
#include "llvm/Support/SourceMgr.h"

using namespace cambium;

/// Parses the file and runs it; diagnostics go to standard error.
static RunOutcome runFile(const std::string &file, const RunOptions &options) {
  mlir::DialectRegistry registry;
  grow::registerDialects(registry);
  mlir::MLIRContext context(registry);
  context.printOpOnDiagnostic(false);
  std::string message;
  auto buffer = mlir::openInputFile(file, &message);
  if (!buffer) {
    llvm::errs() << "error: " << message << "\n";
    return RunOutcome::BadInput;
  }
  llvm::SourceMgr sources;
  sources.AddNewSourceBuffer(std::move(buffer), llvm::SMLoc());
  mlir::SourceMgrDiagnosticHandler handler(sources, &context);
  // What the collapse leaves is cambium-opt's to tell.
  context.getDiagEngine().registerHandler([](mlir::Diagnostic &diagnostic) {
    return mlir::success(diagnostic.getSeverity() ==
                         mlir::DiagnosticSeverity::Remark);
  });
  auto network = mlir::parseSourceFile<mlir::ModuleOp>(sources, &context);
  return network ? run(*network, options, llvm::outs()) : RunOutcome::BadInput;
}

int main(int argc, char **argv) {
  std::variant<CommandLine, int> parsed = parseCommandLine(argc, argv);
  if (int *status = std::get_if<int>(&parsed))
    return *status;
  const auto &command = std::get<CommandLine>(parsed);
  return static_cast<int>(runFile(command.file, command.options));
}
