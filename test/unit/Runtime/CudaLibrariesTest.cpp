//===- CudaLibrariesTest.cpp - Loading NVIDIA's libraries ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/CudaLibraries.h"
#include "cambium/Error.h"
#include "cambium/Runtime/CudaDevice.h"

#include "gtest/gtest.h"

#include <cstdlib>
#include <functional>

using namespace cambium;

namespace {

/// An environment variable for the life of the object.
class Variable {
public:
  Variable(const char *name, const char *value) : name(name) {
    if (const char *known = std::getenv(name))
      before = known, wasSet = true;
    setenv(name, value, /*overwrite=*/1);
  }
  ~Variable() {
    if (wasSet)
      setenv(name, before.c_str(), /*overwrite=*/1);
    else
      unsetenv(name);
  }

private:
  const char *name;
  std::string before;
  bool wasSet = false;
};

std::string messageOf(const std::function<void()> &call) {
  try {
    call();
  } catch (const Error &error) {
    EXPECT_EQ(error.diagnostics().size(), 1u);
    return error.what();
  }
  return "no error";
}

void expectParts(const std::string &message,
                 std::initializer_list<const char *> parts) {
  for (const char *part : parts)
    EXPECT_NE(message.find(part), std::string::npos)
        << "no '" << part << "' in: " << message;
}

TEST(CudaLibraries, AMissingFileIsNamedWithTheMend) {
  struct Case {
    const char *variable, *title;
    std::function<void()> load;
  };
  const Case cases[] = {
      {"CAMBIUM_CUDA_DRIVER", "the CUDA driver library",
       [] { cuda::Driver::load(); }},
      {"CAMBIUM_NVRTC", "NVRTC", [] { cuda::Nvrtc::load(); }},
      {"CAMBIUM_CUDNN", "cuDNN", [] { cuda::Cudnn::load(); }}};
  for (const Case &test : cases) {
    Variable variable(test.variable, "/nowhere/libmissing.so");
    expectParts(messageOf(test.load),
                {"cannot load ", test.title, "/nowhere/libmissing.so",
                 "to mend it, ", "install", test.variable});
  }
}

TEST(CudaLibraries, AMissingFunctionIsNamedWithItsLibrary) {
  Variable variable("CAMBIUM_NVRTC", "libc.so.6");
  expectParts(messageOf([] { cuda::Nvrtc::load(); }),
              {"NVRTC", "libc.so.6", "has no function 'nvrtcGetErrorString'",
               "CAMBIUM_NVRTC"});
}

TEST(CudaLibraries, ADeviceWithoutADriverIsOneError) {
  Variable variable("CAMBIUM_CUDA_DRIVER", "/nowhere/libcuda.so");
  for (int attempt = 0; attempt < 2; ++attempt)
    expectParts(messageOf([] { cuda::Device device; }),
                {"cannot load the CUDA driver library", "/nowhere/libcuda.so",
                 "Target::host()"});
}

} // namespace
