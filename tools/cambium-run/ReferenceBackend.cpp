//===- ReferenceBackend.cpp - Networks in double precision ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Backend.h"
#include "cambium/Reference/ReferenceInterpreter.h"
#include "cambium/Transforms/Passes.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Transforms/Passes.h"

using namespace mlir;
using namespace cambium;

namespace {

class ReferenceProgram : public Program {
public:
  ReferenceProgram(OwningOpRef<ModuleOp> module,
                   ReferenceInterpreter interpreter)
      : module(std::move(module)), interpreter(std::move(interpreter)) {}

  FailureOr<Tensors> call(StringRef function,
                          ArrayRef<ReferenceTensor> inputs) override {
    return interpreter.call(function, inputs);
  }

  std::optional<ReferenceTensor> value(StringRef symbol) override {
    const ReferenceVariable *variable = interpreter.variable(symbol);
    if (!variable)
      return std::nullopt;
    return variable->value;
  }

  bool setValue(StringRef symbol, const ReferenceTensor &value) override {
    const ReferenceVariable *variable = interpreter.variable(symbol);
    return variable && variable->value.shape == value.shape &&
           succeeded(interpreter.setValue(symbol, value));
  }

private:
  OwningOpRef<ModuleOp> module;
  ReferenceInterpreter interpreter;
};

class ReferenceBackend : public Backend {
public:
  explicit ReferenceBackend(bool ofKernels) : ofKernels(ofKernels) {}

  FailureOr<std::unique_ptr<Program>>
  load(ModuleOp network, const ProgramOptions &options) override {
    OwningOpRef<ModuleOp> module = network.clone();
    constexpr int64_t vectorWidth = 8;
    if (failed(ofKernels ? makeKernels(*module, options, vectorWidth)
                         : addStep(*module, options)))
      return failure();
    FailureOr<ReferenceInterpreter> interpreter =
        ReferenceInterpreter::create(*module, options.seed);
    if (failed(interpreter))
      return failure();
    return std::unique_ptr<Program>(std::make_unique<ReferenceProgram>(
        std::move(module), std::move(*interpreter)));
  }

private:
  /// The shortest way to gradients: no collapse, no simplification.
  static LogicalResult addStep(ModuleOp module, const ProgramOptions &options) {
    PassManager passes(module.getContext());
    if (options.kind != ProgramKind::Forward) {
      passes.addPass(createInlinerPass());
      passes.addNestedPass<func::FuncOp>(grow::createGrowUnrollMaps());
      passes.addPass(grow::createGrowDifferentiate({options.loss, "step"}));
    }
    passes.addNestedPass<func::FuncOp>(grow::createGrowInference());
    if (options.kind == ProgramKind::Training)
      passes.addPass(grow::createGrowApplyUpdates({"step"}));
    return passes.run(module);
  }

  bool ofKernels;
};

} // namespace

std::unique_ptr<Backend> cambium::createReferenceBackend() {
  return std::make_unique<ReferenceBackend>(/*ofKernels=*/false);
}

std::unique_ptr<Backend> cambium::createKernelBackend() {
  return std::make_unique<ReferenceBackend>(/*ofKernels=*/true);
}
