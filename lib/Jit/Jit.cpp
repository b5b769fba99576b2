//===- Jit.cpp - Compiles kernels into this process -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Jit/Jit.h"
#include "Codegen.h"
#include "llvm/ADT/StringMap.h"
#include "llvm/ADT/StringSwitch.h"
#include "llvm/ExecutionEngine/Orc/LLJIT.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/TargetParser/Host.h"
#include <atomic>
#include <mutex>

using namespace llvm;

namespace cambium {

static bool canRun(Isa isa) {
  if (isa == Isa::Native || isa == Isa::Generic)
    return true;
  StringMap<bool> features = sys::getHostCPUFeatures();
  auto has = [&](std::initializer_list<const char *> names) {
    return llvm::all_of(
        names, [&](const char *name) { return features.lookup(name); });
  };
  bool avx2 = has({"avx2", "fma", "bmi", "bmi2", "f16c", "lzcnt", "movbe"});
  if (isa == Isa::AVX2)
    return avx2;
  return avx2 &&
         has({"avx512f", "avx512bw", "avx512cd", "avx512dq", "avx512vl"});
}

Isa detectIsa() {
  static const Isa best = canRun(Isa::AVX512) ? Isa::AVX512
                          : canRun(Isa::AVX2) ? Isa::AVX2
                                              : Isa::Generic;
  return best;
}

Expected<Isa> parseIsa(const std::string &name) {
  auto isa = StringSwitch<std::optional<Isa>>(name)
                 .Case("native", Isa::Native)
                 .Case("generic", Isa::Generic)
                 .Case("avx2", Isa::AVX2)
                 .Case("avx512", Isa::AVX512)
                 .Default(std::nullopt);
  if (!isa)
    return jitError("unknown instruction set '" + name +
                    "'; use native, generic, avx2 or avx512");
  return *isa;
}

const char *isaName(Isa isa) {
  switch (isa) {
  case Isa::Native:
    return "native";
  case Isa::Generic:
    return "generic";
  case Isa::AVX2:
    return "avx2";
  case Isa::AVX512:
    return "avx512";
  }
  llvm_unreachable("covered switch");
}

int64_t vectorWidth(Isa isa) {
  switch (isa) {
  case Isa::Native:
    return vectorWidth(detectIsa());
  case Isa::Generic:
    return 4;
  case Isa::AVX2:
    return 8;
  case Isa::AVX512:
    return 16;
  }
  llvm_unreachable("covered switch");
}

struct Jit::State {
  Isa isa = Isa::Generic;
  std::unique_ptr<orc::LLJIT> engine;
  orc::JITDylib *processSymbols = nullptr;
  std::atomic<uint64_t> numKernels = 0;
  /// Pass managers load dialects into the context, which modules of other
  /// threads may share.
  std::mutex loweringMutex;

  /// Causes of failed lookups, which the session reports apart from them. A
  /// failing thread may see those of another one too.
  std::mutex reportMutex;
  std::string reports;

  void report(Error error) {
    std::lock_guard<std::mutex> lock(reportMutex);
    reports += "; " + toString(std::move(error));
  }
  Error withReports(Error error) {
    std::lock_guard<std::mutex> lock(reportMutex);
    return jitError(toString(std::move(error)) + std::exchange(reports, {}));
  }
};

struct CompiledKernel::Code {
  std::shared_ptr<Jit::State> jit;
  /// Holds this kernel only, so that kernels may share symbol names.
  orc::JITDylib *library = nullptr;
  orc::ResourceTrackerSP tracker;
  std::string name;
  std::vector<PhaseFunction> phases;

  ~Code() {
    if (!library)
      return;
    // Memory that cannot be unmapped is lost but harmless, and a destructor
    // has nobody to report to.
    consumeError(tracker->remove());
    tracker.reset();
    consumeError(jit->engine->getExecutionSession().removeJITDylib(*library));
  }
};

CompiledKernel::CompiledKernel(std::unique_ptr<Code> code)
    : code(std::move(code)) {}
CompiledKernel::CompiledKernel(CompiledKernel &&) noexcept = default;
CompiledKernel &CompiledKernel::operator=(CompiledKernel &&) noexcept = default;
CompiledKernel::~CompiledKernel() = default;

const std::string &CompiledKernel::name() const { return code->name; }
const std::vector<PhaseFunction> &CompiledKernel::phases() const {
  return code->phases;
}

Jit::Jit(std::shared_ptr<State> state) : state(std::move(state)) {}
Jit::~Jit() = default;
Isa Jit::isa() const { return state->isa; }

Expected<std::unique_ptr<Jit>> Jit::create(Isa isa) {
  if (isa == Isa::Native)
    isa = detectIsa();
  if (!canRun(isa))
    return jitError(Twine("this machine (") + sys::getHostCPUName() +
                    ") cannot run instruction set '" + isaName(isa) +
                    "'; the best it can run is '" + isaName(detectIsa()) + "'");
  auto target = createTarget(isa);
  if (!target)
    return target.takeError();

  orc::JITTargetMachineBuilder machine((*target)->getTargetTriple());
  auto engine = orc::LLJITBuilder()
                    .setJITTargetMachineBuilder(std::move(machine))
                    .setPlatformSetUp(orc::setUpInactivePlatform)
                    .create();
  if (!engine)
    return engine.takeError();
  auto state = std::make_shared<State>();
  state->isa = isa;
  state->engine = std::move(*engine);
  state->processSymbols = state->engine->getProcessSymbolsJITDylib().get();
  state->engine->getExecutionSession().setErrorReporter(
      [state = state.get()](Error error) { state->report(std::move(error)); });
  return std::unique_ptr<Jit>(new Jit(std::move(state)));
}

Expected<CompiledKernel> Jit::compile(mlir::ModuleOp module) {
  auto symbols = findKernel(module);
  if (!symbols)
    return symbols.takeError();
  auto target = createTarget(state->isa);
  if (!target)
    return target.takeError();
  LLVMContext context;
  auto translated = [&] {
    std::lock_guard<std::mutex> lock(state->loweringMutex);
    return translateToLLVMIR(module, context);
  }();
  if (!translated)
    return translated.takeError();
  optimize(**translated, **target);
  auto object =
      generateCode(**translated, **target, CodeGenFileType::ObjectFile);
  if (!object)
    return object.takeError();

  auto &session = state->engine->getExecutionSession();
  auto code = std::make_unique<CompiledKernel::Code>();
  code->jit = state;
  code->name = symbols->name;
  std::string libraryName =
      (Twine(symbols->name) + "." + Twine(state->numKernels++)).str();
  code->library = &session.createBareJITDylib(libraryName);
  code->tracker = code->library->createResourceTracker();
  if (state->processSymbols)
    code->library->addToLinkOrder(*state->processSymbols);
  if (Error error = state->engine->addObjectFile(
          code->tracker, std::make_unique<SmallVectorMemoryBuffer>(
                             std::move(*object), libraryName)))
    return std::move(error);
  for (unsigned phase = 0; phase < symbols->phases; ++phase) {
    auto address = state->engine->lookup(
        *code->library, (symbols->name + "_phase" + Twine(phase)).str());
    if (!address)
      return state->withReports(address.takeError());
    code->phases.push_back(address->toPtr<PhaseFunction>());
  }
  return CompiledKernel(std::move(code));
}

} // namespace cambium
