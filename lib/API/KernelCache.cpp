//===- KernelCache.cpp - Machine code by what it was made of --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/API/HostProgram.h"
#include "cambium/IR/Grow.h"
#include "cambium/Target/LLVM/KernelEmitter.h"

#include "llvm/Support/Error.h"

#include <atomic>
#include <tbb/parallel_for.h>

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

/// Machine code for one kernel; null after a diagnostic.
static std::shared_ptr<const CompiledKernel> compile(KernelOp kernel,
                                                     Jit &jit) {
  OwningOpRef<ModuleOp> code(ModuleOp::create(kernel.getLoc()));
  if (failed(emitKernel(kernel, vectorWidth(jit.isa()), *code)))
    return nullptr;
  llvm::Expected<CompiledKernel> compiled = jit.compile(*code);
  if (compiled)
    return std::make_shared<const CompiledKernel>(std::move(*compiled));
  kernel.emitError("cannot compile the kernel: ")
      << llvm::toString(compiled.takeError());
  return nullptr;
}

FailureOr<KernelCache::Request> KernelCache::get(ModuleOp module) {
  Request request;
  std::vector<std::pair<std::string, KernelOp>> missing;
  for (auto kernel : module.getOps<KernelOp>()) {
    std::string content = kernel.getContent();
    auto known = byContent.find(content);
    auto code = known == byContent.end() ? nullptr : known->second.lock();
    if (code)
      request.kernels[kernel.getSymName().str()] = std::move(code);
    else
      missing.emplace_back(std::move(content), kernel);
  }
  request.reused = request.kernels.size();
  request.compiled = missing.size();
  // Threads must find every dialect loaded.
  module.getContext()->loadAllAvailableDialects();
  std::vector<std::shared_ptr<const CompiledKernel>> made(missing.size());
  tbb::parallel_for(size_t(0), missing.size(), [&](size_t i) {
    made[i] = compile(missing[i].second, *jit);
  });
  if (llvm::is_contained(made, nullptr))
    return failure();
  for (auto [entry, code] : llvm::zip(missing, made)) {
    request.kernels[entry.second.getSymName().str()] = code;
    byContent[entry.first] = code;
  }
  return request;
}
