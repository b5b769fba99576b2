//===- cambium-translate.cpp - Prints kernels as CUDA C++ -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Pipelines/Pipelines.h"
#include "cambium/Target/CUDA/CudaEmitter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Tools/mlir-translate/MlirTranslateMain.h"
#include "mlir/Tools/mlir-translate/Translation.h"

#include "llvm/ADT/StringSet.h"
#include "llvm/Support/CommandLine.h"

using namespace cambium;
using namespace cambium::grow;
using namespace mlir;

namespace {

struct Options {
  llvm::cl::opt<std::string> loss{
      "loss", llvm::cl::init("loss"),
      llvm::cl::desc("The function of a network to differentiate, if it is "
                     "there; else only forward kernels are printed")};
  llvm::cl::opt<Precision> precision{
      "precision", llvm::cl::init(Precision::Fp32),
      llvm::cl::desc("What contractions of a network multiply"),
      precisionValues()};
  llvm::cl::opt<bool> selfContained{
      "self-contained",
      llvm::cl::desc("Print the device library's headers as well")};
};

} // namespace

static LogicalResult makeKernels(ModuleOp module, const Options &options) {
  PipelineOptions pipeline;
  pipeline.target = TargetKind::Cuda;
  pipeline.precision = options.precision;
  bool differentiated = module.lookupSymbol<func::FuncOp>(options.loss);
  pipeline.loss = differentiated ? options.loss.getValue() : std::string();
  // A remark on a map should not be lost behind the map's whole body.
  module.getContext()->printOpOnDiagnostic(false);
  PassManager manager(module.getContext());
  buildTrainPipeline(manager, pipeline);
  return manager.run(module);
}

/// Prints the source with its headers in the place of the lines that include
/// them.
static void printInlined(StringRef source, llvm::StringSet<> &included,
                         raw_ostream &os) {
  for (StringRef line : llvm::split(source, '\n')) {
    StringRef name = line;
    if (!name.consume_front("#include \"") || !name.consume_back("\"")) {
      os << line << '\n';
      continue;
    }
    for (const DeviceHeader &header : deviceHeaders())
      if (name == header.name && included.insert(name).second)
        printInlined(header.text, included, os);
  }
}

static LogicalResult growToCuda(ModuleOp module, raw_ostream &os,
                                const Options &options) {
  if (module.getOps<KernelOp>().empty() && failed(makeKernels(module, options)))
    return failure();
  OwningOpRef<ModuleOp> code(ModuleOp::create(module.getLoc()));
  for (auto kernel : module.getOps<KernelOp>())
    if (failed(emitCudaKernel(kernel, *code)))
      return failure();
  std::string source;
  llvm::raw_string_ostream stream(source);
  if (failed(printCuda(*code, stream)))
    return failure();
  llvm::StringSet<> included;
  if (options.selfContained)
    printInlined(source, included, os);
  else
    os << source;
  return success();
}

int main(int argc, char **argv) {
  Options options;
  TranslateFromMLIRRegistration registration(
      "grow-to-cuda", "Print a network, or the kernels of one, as CUDA C++",
      [&](ModuleOp module, raw_ostream &os) {
        return growToCuda(module, os, options);
      },
      registerDialects);
  return failed(mlirTranslateMain(
      argc, argv, "Cambium's translation driver: prints CUDA C++"));
}
