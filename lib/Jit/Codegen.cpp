//===- Codegen.cpp - From a kernel module to object code ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Codegen.h"
#include "cambium/Target/LLVM/LowerToLLVM.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Interfaces/FunctionInterfaces.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Export.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/IR/IRBuilder.h"
#include "llvm/IR/IntrinsicInst.h"
#include "llvm/IR/LegacyPassManager.h"
#include "llvm/MC/TargetRegistry.h"
#include "llvm/Passes/PassBuilder.h"
#include "llvm/Support/SmallVectorMemoryBuffer.h"
#include "llvm/Support/TargetSelect.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/Transforms/InstCombine/InstCombine.h"
#include "llvm/Transforms/Scalar/EarlyCSE.h"
#include "llvm/Transforms/Scalar/LICM.h"
#include "llvm/Transforms/Scalar/LoopPassManager.h"
#include "llvm/Transforms/Scalar/LoopRotation.h"
#include "llvm/Transforms/Scalar/SROA.h"
#include "llvm/Transforms/Scalar/SimplifyCFG.h"
#include <mutex>

using namespace llvm;

namespace cambium {

Error jitError(const Twine &message) {
  return createStringError(inconvertibleErrorCode(), message);
}

Expected<KernelSymbols> findKernel(mlir::ModuleOp module) {
  KernelSymbols kernel;
  SmallVector<unsigned> found;
  for (auto function : module.getOps<mlir::FunctionOpInterface>()) {
    auto [stem, number] = function.getName().rsplit("_phase");
    unsigned phase = 0;
    if (function.isExternal() || number.getAsInteger(10, phase))
      continue;
    if (!found.empty() && kernel.name != stem)
      return jitError("the module holds two kernels, '" + kernel.name +
                      "' and '" + stem + "'; compile them one by one");
    kernel.name = stem.str();
    found.push_back(phase);
  }
  if (found.empty())
    return jitError("the module holds no kernel: no function is named "
                    "'<kernel>_phase0'");
  llvm::sort(found);
  for (auto [expected, phase] : llvm::enumerate(found))
    if (phase != expected)
      return jitError("kernel '" + kernel.name + "' lacks the function '" +
                      kernel.name + "_phase" + Twine(expected) + "'");
  kernel.phases = found.size();
  return kernel;
}

Expected<std::unique_ptr<Module>> translateToLLVMIR(mlir::ModuleOp module,
                                                    LLVMContext &context) {
  std::string diagnostics;
  mlir::ScopedDiagnosticHandler handler(
      module.getContext(), [&](mlir::Diagnostic &diagnostic) {
        raw_string_ostream stream(diagnostics);
        stream << (diagnostics.empty() ? "" : "\n") << diagnostic.getLocation()
               << ": " << diagnostic;
        return mlir::success();
      });
  mlir::OwningOpRef<mlir::ModuleOp> copy = module.clone();
  mlir::PassManager passManager(module.getContext(),
                                mlir::ModuleOp::getOperationName());
  buildLowerToLLVMPipeline(passManager);
  if (mlir::failed(passManager.run(*copy)))
    return jitError("lowering to LLVM failed: " + diagnostics);
  auto translated = mlir::translateModuleToLLVMIR(*copy, context, "kernel");
  if (!translated)
    return jitError("translation to LLVM IR failed: " + diagnostics);
  return translated;
}

/// The x86 processor whose features `isa` stands for.
static StringRef x86Processor(Isa isa) {
  switch (isa) {
  case Isa::AVX512:
    return "x86-64-v4";
  case Isa::AVX2:
    return "x86-64-v3";
  case Isa::Generic:
  case Isa::Native:
    return "x86-64";
  }
  llvm_unreachable("covered switch");
}

Expected<std::unique_ptr<TargetMachine>> createTarget(Isa isa) {
  static std::once_flag initialized;
  std::call_once(initialized, [] {
    InitializeNativeTarget();
    InitializeNativeTargetAsmPrinter();
  });

  Triple triple(sys::getProcessTriple());
  if (isa == Isa::Native)
    isa = detectIsa();
  if (!triple.isX86() && isa != Isa::Generic)
    return jitError(Twine("instruction set '") + isaName(isa) +
                    "' needs an x86-64 machine, this one is " +
                    triple.getArchName());
  std::string error;
  const Target *target = TargetRegistry::lookupTarget(triple, error);
  if (!target)
    return jitError("no code generator for this machine: " + error);
  // The 512-bit vectors are chosen by the schedule, so no tuning may split
  // them.
  std::unique_ptr<TargetMachine> machine(target->createTargetMachine(
      triple, triple.isX86() ? x86Processor(isa) : StringRef("generic"),
      isa == Isa::AVX512 ? "-prefer-256-bit" : "", TargetOptions(), Reloc::PIC_,
      CodeModel::Small, CodeGenOptLevel::Aggressive,
      /*JIT=*/true));
  if (!machine)
    return jitError("no code generator for '" + triple.str() + "'");
  return machine;
}

/// Where the machine has no fused multiply-add, one costs a library call: use
/// a multiplication and an addition.
static void splitFusedMultiplyAdds(Module &module) {
  for (Function &function : module)
    for (BasicBlock &block : function)
      for (Instruction &instruction : llvm::make_early_inc_range(block)) {
        auto *fma = dyn_cast<IntrinsicInst>(&instruction);
        if (!fma || fma->getIntrinsicID() != Intrinsic::fma)
          continue;
        IRBuilder<> builder(fma);
        Value *product =
            builder.CreateFMul(fma->getOperand(0), fma->getOperand(1));
        fma->replaceAllUsesWith(
            builder.CreateFAdd(product, fma->getOperand(2)));
        fma->eraseFromParent();
      }
}

void optimize(Module &module, TargetMachine &target) {
  module.setDataLayout(target.createDataLayout());
  module.setTargetTriple(target.getTargetTriple());
  if (target.getTargetTriple().isX86() &&
      target.getTargetCPU() == x86Processor(Isa::Generic))
    splitFusedMultiplyAdds(module);
  for (Function &function : module) {
    function.addFnAttr("target-cpu", target.getTargetCPU());
    function.addFnAttr("target-features", target.getTargetFeatureString());
    function.setDoesNotThrow();
  }

  // The emitters have tiled, unrolled and vectorised. Loop unrolling on top
  // makes the accumulators spill, and the vectorisers only cost time.
  LoopAnalysisManager loopAnalyses;
  FunctionAnalysisManager functionAnalyses;
  CGSCCAnalysisManager callGraphAnalyses;
  ModuleAnalysisManager moduleAnalyses;
  PassBuilder builder(&target);
  builder.registerModuleAnalyses(moduleAnalyses);
  builder.registerCGSCCAnalyses(callGraphAnalyses);
  builder.registerFunctionAnalyses(functionAnalyses);
  builder.registerLoopAnalyses(loopAnalyses);
  builder.crossRegisterProxies(loopAnalyses, functionAnalyses,
                               callGraphAnalyses, moduleAnalyses);
  LoopPassManager loopPasses;
  loopPasses.addPass(LoopRotatePass());
  loopPasses.addPass(LICMPass(LICMOptions()));
  FunctionPassManager passes;
  passes.addPass(SROAPass(SROAOptions::ModifyCFG));
  passes.addPass(EarlyCSEPass(/*UseMemorySSA=*/true));
  passes.addPass(SimplifyCFGPass());
  passes.addPass(InstCombinePass());
  passes.addPass(createFunctionToLoopPassAdaptor(std::move(loopPasses),
                                                 /*UseMemorySSA=*/true));
  passes.addPass(EarlyCSEPass(/*UseMemorySSA=*/true));
  passes.addPass(InstCombinePass());
  passes.addPass(SimplifyCFGPass());
  ModulePassManager modulePasses;
  modulePasses.addPass(createModuleToFunctionPassAdaptor(std::move(passes)));
  modulePasses.run(module, moduleAnalyses);
}

Expected<SmallVector<char, 0>>
generateCode(Module &module, TargetMachine &target, CodeGenFileType type) {
  SmallVector<char, 0> code;
  raw_svector_ostream stream(code);
  legacy::PassManager passes;
  if (target.addPassesToEmitFile(passes, stream, nullptr, type))
    return jitError("the code generator of '" + target.getTargetTriple().str() +
                    "' cannot emit this kind of file");
  passes.run(module);
  return code;
}

Expected<std::string> emitAssembly(mlir::ModuleOp module, Isa isa) {
  auto target = createTarget(isa);
  if (!target)
    return target.takeError();
  (*target)->Options.MCOptions.AsmVerbose = true;
  LLVMContext context;
  auto translated = translateToLLVMIR(module, context);
  if (!translated)
    return translated.takeError();
  optimize(**translated, **target);
  auto code =
      generateCode(**translated, **target, CodeGenFileType::AssemblyFile);
  if (!code)
    return code.takeError();
  return std::string(code->data(), code->size());
}

Expected<std::string> emitLLVMIR(mlir::ModuleOp module, Isa isa) {
  auto target = createTarget(isa);
  if (!target)
    return target.takeError();
  LLVMContext context;
  auto translated = translateToLLVMIR(module, context);
  if (!translated)
    return translated.takeError();
  optimize(**translated, **target);
  std::string text;
  raw_string_ostream stream(text);
  (*translated)->print(stream, nullptr);
  return text;
}

} // namespace cambium
