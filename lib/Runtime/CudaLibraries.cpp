//===- CudaLibraries.cpp - NVIDIA's libraries at run time -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/CudaLibraries.h"

#include "cambium/Error.h"

#include <algorithm>
#include <cstdlib>
#include <dlfcn.h>
#include <filesystem>
#include <vector>

using namespace cambium;
using namespace cambium::cuda;

namespace fs = std::filesystem;

namespace {

/// What to say and where to look.
struct Description {
  const char *title;
  /// Environment variable with the path of the library.
  const char *variable;
  std::vector<const char *> sonames;
  bool inToolkit;
  const char *mend;
};

const Description driverDescription{
    "the CUDA driver library",
    "CAMBIUM_CUDA_DRIVER",
    {"libcuda.so.1"},
    /*inToolkit=*/false,
    "install NVIDIA's driver, or run on Target::host()"};
const Description nvrtcDescription{
    "NVRTC, NVIDIA's run-time compiler",
    "CAMBIUM_NVRTC",
    {"libnvrtc.so.13", "libnvrtc.so.12"},
    /*inToolkit=*/true,
    "install the CUDA toolkit's libnvrtc, version 12 or later, or set "
    "CUDA_HOME to the toolkit's folder"};
const Description cudnnDescription{"cuDNN",
                                   "CAMBIUM_CUDNN",
                                   {"libcudnn.so.9"},
                                   /*inToolkit=*/true,
                                   "install cuDNN 9"};

/// Folders of installed toolkits: those that the environment names first, then
/// the newest.
std::vector<fs::path> toolkits() {
  std::vector<fs::path> found;
  for (const char *variable : {"CUDA_HOME", "CUDA_PATH"})
    if (const char *home = std::getenv(variable); home && *home)
      found.emplace_back(home);
  found.emplace_back("/usr/local/cuda");
  std::vector<std::pair<double, fs::path>> versions;
  std::error_code ignored;
  for (const auto &entry : fs::directory_iterator("/usr/local", ignored)) {
    std::string name = entry.path().filename().string();
    if (name.rfind("cuda-", 0) == 0)
      versions.emplace_back(std::strtod(name.c_str() + 5, nullptr),
                            entry.path());
  }
  std::sort(versions.rbegin(), versions.rend());
  for (auto &[version, path] : versions)
    found.push_back(std::move(path));
  return found;
}

/// An open library; it stays open for the life of the process.
class Library {
public:
  explicit Library(const Description &description) : description(description) {
    const char *given = std::getenv(description.variable);
    if (given && *given)
      open(given);
    else
      search();
    if (!handle)
      throw Error(std::string("cannot load ") + description.title +
                  "; tried:" + tried + "\nto mend it, " + description.mend +
                  "; " + description.variable + " may name the library's file");
  }

  template <typename Function>
  void resolve(const char *name, Function &function) const {
    function = reinterpret_cast<Function>(dlsym(handle, name));
    if (!function)
      throw Error(std::string(description.title) + ", " + path +
                  ", has no function '" + name + "'; it is too old or is not " +
                  "the library that " + description.variable +
                  " should name: " + description.mend);
  }

  std::string path;

private:
  bool open(const std::string &file);
  void search();

  const Description &description;
  void *handle = nullptr;
  std::string tried;
};

bool Library::open(const std::string &file) {
  handle = dlopen(file.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle)
    path = file;
  else if (const char *reason = dlerror())
    tried += std::string("\n  ") + reason;
  return handle;
}

void Library::search() {
  for (const char *soname : description.sonames)
    if (open(soname))
      return;
  if (!description.inToolkit)
    return;
  for (const fs::path &toolkit : toolkits())
    for (const char *folder : {"lib64", "lib"})
      for (const char *soname : description.sonames) {
        fs::path file = toolkit / folder / soname;
        std::error_code ignored;
        if (!fs::exists(file, ignored))
          tried += "\n  " + file.string() + ": no such file";
        else if (open(file.string()))
          return;
      }
}

} // namespace

Driver Driver::load() {
  Library library(driverDescription);
  Driver table;
#define CAMBIUM_DRIVER_SYMBOL(result, name, parameters)                        \
  library.resolve(#name, table.name);
#include "cambium/Runtime/CudaSymbols.def"
  table.path = library.path;
  return table;
}

Nvrtc Nvrtc::load() {
  Library library(nvrtcDescription);
  Nvrtc table;
#define CAMBIUM_NVRTC_SYMBOL(result, name, parameters)                         \
  library.resolve(#name, table.name);
#include "cambium/Runtime/CudaSymbols.def"
  table.path = library.path;
  return table;
}

Cudnn Cudnn::load() {
  Library library(cudnnDescription);
  Cudnn table;
#define CAMBIUM_CUDNN_SYMBOL(result, name, parameters)                         \
  library.resolve(#name, table.name);
#include "cambium/Runtime/CudaSymbols.def"
  table.path = library.path;
  return table;
}

const Driver &Driver::get() {
  static const Driver table = load();
  return table;
}

const Nvrtc &Nvrtc::get() {
  static const Nvrtc table = load();
  return table;
}

const Cudnn &Cudnn::get() {
  static const Cudnn table = load();
  return table;
}

void cuda::check(CUresult result, const char *doing) {
  if (result == CUDA_SUCCESS)
    return;
  const char *name = nullptr, *text = nullptr;
  const Driver &driver = Driver::get();
  driver.cuGetErrorName(result, &name);
  driver.cuGetErrorString(result, &text);
  std::string code = "CUDA error " + std::to_string(result);
  throw Error(std::string(doing) + ": " + (name ? name : code) +
              (text ? std::string(", ") + text : std::string()));
}
