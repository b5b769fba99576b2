//===- CudaCompiler.cpp - CUDA C++ to machine code ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/CudaCompiler.h"

#include "cambium/Error.h"

using namespace cambium;
using namespace cambium::cuda;

namespace {

/// A program of NVRTC, destroyed with this object.
class NvrtcUnit {
public:
  NvrtcUnit(const Nvrtc &nvrtc, std::string name)
      : nvrtc(nvrtc), name(std::move(name)) {}
  NvrtcUnit(const NvrtcUnit &) = delete;
  NvrtcUnit &operator=(const NvrtcUnit &) = delete;
  ~NvrtcUnit() {
    if (program)
      nvrtc.nvrtcDestroyProgram(&program);
  }

  void create(const std::string &source,
              const std::vector<const char *> &headers,
              const std::vector<const char *> &headerNames) {
    check(nvrtc.nvrtcCreateProgram(&program, source.c_str(), name.c_str(),
                                   static_cast<int>(headers.size()),
                                   headers.data(), headerNames.data()));
  }

  void compile(const std::vector<const char *> &options) {
    nvrtcResult result = nvrtc.nvrtcCompileProgram(
        program, static_cast<int>(options.size()), options.data());
    if (result != NVRTC_SUCCESS)
      fail(result, log());
  }

  std::string log() const {
    size_t bytes = 0;
    check(nvrtc.nvrtcGetProgramLogSize(program, &bytes));
    std::string text(bytes, '\0');
    if (bytes)
      check(nvrtc.nvrtcGetProgramLog(program, text.data()));
    // NVRTC counts the terminating zero.
    return text.substr(0, text.find('\0'));
  }

  std::vector<char> cubin() const {
    size_t bytes = 0;
    check(nvrtc.nvrtcGetCUBINSize(program, &bytes));
    std::vector<char> code(bytes);
    check(nvrtc.nvrtcGetCUBIN(program, code.data()));
    return code;
  }

private:
  void check(nvrtcResult result) const {
    if (result != NVRTC_SUCCESS)
      fail(result, "");
  }

  [[noreturn]] void fail(nvrtcResult result, const std::string &log) const {
    std::string message = "NVRTC (" + nvrtc.path + ") does not compile '" +
                          name + "': " + nvrtc.nvrtcGetErrorString(result);
    throw Error(log.empty() ? message : message + "\n" + log);
  }

  const Nvrtc &nvrtc;
  std::string name;
  nvrtcProgram program = nullptr;
};

} // namespace

std::string cuda::architectureName(int major, int minor) {
  std::string name = "sm_" + std::to_string(major) + std::to_string(minor);
  // wgmma and setmaxnreg are features of this architecture alone.
  return name == "sm_90" ? "sm_90a" : name;
}

Compiler::Compiler(const std::vector<Header> &headers, const Nvrtc &nvrtc)
    : nvrtc(nvrtc) {
  for (const Header &header : headers) {
    names.push_back(header.name);
    texts.push_back(header.text);
  }
}

Binary Compiler::compile(const std::string &source,
                         const std::string &architecture,
                         const std::string &name) const {
  NvrtcUnit unit(nvrtc, name);
  unit.create(source, texts, names);
  std::string target = "--gpu-architecture=" + architecture;
  // Multiplications and additions that the source writes apart may be fused, as
  // the host's are; nothing else of them is changed.
  unit.compile({target.c_str(), "--std=c++17", "--ptxas-options=-v"});
  return {unit.cubin(), unit.log()};
}

std::string Compiler::version() const {
  int major = 0, minor = 0;
  if (nvrtc.nvrtcVersion(&major, &minor) != NVRTC_SUCCESS)
    throw Error("NVRTC (" + nvrtc.path + ") does not say its version");
  return std::to_string(major) + "." + std::to_string(minor);
}
