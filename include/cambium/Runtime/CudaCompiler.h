//===- CudaCompiler.h - CUDA C++ to machine code ------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// NVRTC, NVIDIA's compiler as a library. It needs neither a GPU nor a driver.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_CUDACOMPILER_H
#define CAMBIUM_RUNTIME_CUDACOMPILER_H

#include "cambium/Runtime/CudaLibraries.h"

#include <string>
#include <vector>

namespace cambium::cuda {

/// A text that sources include by its name. Its strings outlive the compiler.
struct Header {
  const char *name;
  const char *text;
};

/// Machine code for one architecture.
struct Binary {
  /// An ELF file for cuModuleLoadData.
  std::vector<char> cubin;
  /// What the compiler said: ptxas' statistics, warnings.
  std::string log;
};

/// The architecture that kernels for a device of this compute capability are
/// compiled for: sm_90a for 9.0, else sm_<major><minor>.
std::string architectureName(int major, int minor);

/// Compiles CUDA C++. All functions may be called from several threads at once;
/// their compilations run in parallel.
class Compiler {
public:
  /// The default throws Error where NVRTC cannot be loaded.
  explicit Compiler(const std::vector<Header> &headers,
                    const Nvrtc &nvrtc = Nvrtc::get());

  /// Compiles a translation unit for "sm_80", "sm_90a" and so on. `name` stands
  /// for the file in messages. Throws Error, with the log, where it fails.
  Binary compile(const std::string &source, const std::string &architecture,
                 const std::string &name = "kernel.cu") const;

  /// NVRTC's, "13.0": part of the key of what is kept of its results.
  std::string version() const;

private:
  const Nvrtc &nvrtc;
  std::vector<const char *> names, texts;
};

/// What a function takes on the device.
struct FunctionUsage {
  std::string name;
  /// A `__global__` function. The others are those that were not inlined, and
  /// use their callers' registers.
  bool entry = false;
  /// Of a thread.
  int registers = 0;
  /// Local memory of a thread, spilled registers included.
  int64_t stackBytes = 0;
  int64_t spillStoreBytes = 0;
  int64_t spillLoadBytes = 0;
  /// Static shared memory of a block.
  int64_t sharedBytes = 0;
};

/// Reads a log of NVRTC. Throws Error if there is no entry function in it or a
/// figure is missing.
std::vector<FunctionUsage> parseFunctionUsage(const std::string &log);

} // namespace cambium::cuda

#endif // CAMBIUM_RUNTIME_CUDACOMPILER_H
