//===- KernelCache.cpp - Machine code by what it was made of --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/API/KernelCache.h"
#include "cambium/API/ConvolutionChooser.h"
#include "cambium/Error.h"
#include "cambium/Runtime/CudaCompiler.h"
#include "cambium/Runtime/CudaDevice.h"
#include "cambium/Runtime/HostDevice.h"
#include "cambium/Target/CUDA/CudaEmitter.h"
#include "cambium/Target/LLVM/KernelEmitter.h"

#include "llvm/Support/Error.h"

#include <tbb/parallel_for.h>

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

KernelCache::~KernelCache() = default;

ConvolutionChooser *KernelCache::convolutions(ConvLibrary) { return nullptr; }

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
  std::vector<std::shared_ptr<const KernelCode>> made(missing.size());
  tbb::parallel_for(size_t(0), missing.size(),
                    [&](size_t i) { made[i] = compile(missing[i].second); });
  if (llvm::is_contained(made, nullptr))
    return failure();
  for (auto [entry, code] : llvm::zip(missing, made)) {
    request.kernels[entry.second.getSymName().str()] = code;
    byContent[entry.first] = code;
  }
  return request;
}

//===----------------------------------------------------------------------===//
// Host
//===----------------------------------------------------------------------===//

HostKernelCache::HostKernelCache(std::unique_ptr<Jit> jit)
    : jit(std::move(jit)) {}
HostKernelCache::~HostKernelCache() = default;

Isa HostKernelCache::isa() const { return jit->isa(); }

std::shared_ptr<const KernelCode> HostKernelCache::compile(KernelOp kernel) {
  OwningOpRef<ModuleOp> code(ModuleOp::create(kernel.getLoc()));
  if (failed(emitKernel(kernel, vectorWidth(jit->isa()), *code)))
    return nullptr;
  llvm::Expected<CompiledKernel> compiled = jit->compile(*code);
  if (compiled)
    return std::make_shared<const HostKernel>(std::move(*compiled));
  kernel.emitError("cannot compile the kernel: ")
      << llvm::toString(compiled.takeError());
  return nullptr;
}

//===----------------------------------------------------------------------===//
// CUDA
//===----------------------------------------------------------------------===//

static std::vector<cuda::Header> headers() {
  std::vector<cuda::Header> headers;
  for (const DeviceHeader &header : deviceHeaders())
    headers.push_back({header.name, header.text});
  return headers;
}

CudaKernelCache::CudaKernelCache(cuda::Device &device)
    : device(device), architecture(device.architecture()),
      compiler(std::make_unique<cuda::Compiler>(headers())) {}
CudaKernelCache::~CudaKernelCache() = default;

ConvolutionChooser *CudaKernelCache::convolutions(ConvLibrary wanted) {
  if (wanted == ConvLibrary::Generated)
    return nullptr;
  std::unique_ptr<ConvolutionChooser> &chooser = choosers[wanted];
  if (!chooser)
    chooser = std::make_unique<ConvolutionChooser>(*this, wanted);
  return chooser.get();
}

std::shared_ptr<const KernelCode>
CudaKernelCache::compile(const std::string &source,
                         const std::string &name) const {
  cuda::Binary binary = compiler->compile(source, architecture, name + ".cu");
  return device.load(binary.cubin, name);
}

std::shared_ptr<const KernelCode> CudaKernelCache::compile(KernelOp kernel) {
  FailureOr<std::string> source = cudaSource(kernel);
  if (failed(source))
    return nullptr;
  try {
    return compile(*source, cudaKernelName(kernel));
  } catch (const Error &error) {
    kernel.emitError("cannot compile the kernel: ") << error.what();
    return nullptr;
  }
}
