//===- cambium-opt.cpp - Reads, transforms and prints IR ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Growth/Passes.h"
#include "cambium/Pipelines/Pipelines.h"

#include "mlir/Tools/mlir-opt/MlirOptMain.h"

#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"

int main(int argc, char **argv) {
  // A remark on a map should not be lost behind the map's whole body.
  constexpr llvm::StringLiteral flag = "--mlir-print-op-on-diagnostic";
  char off[] = "--mlir-print-op-on-diagnostic=false";
  llvm::SmallVector<char *> arguments(argv, argv + argc);
  if (llvm::none_of(arguments, [&](llvm::StringRef argument) {
        return argument.contains(flag.drop_front());
      }))
    arguments.insert(arguments.begin() + 1, off);
  argc = arguments.size();
  arguments.push_back(nullptr);
  mlir::DialectRegistry registry;
  cambium::grow::registerDialects(registry);
  cambium::grow::registerPipelines();
  cambium::grow::registerGrowthPasses();
  return mlir::asMainReturnCode(mlir::MlirOptMain(
      argc, arguments.data(),
      "Cambium's optimizer driver: runs passes of the grow dialect", registry));
}
