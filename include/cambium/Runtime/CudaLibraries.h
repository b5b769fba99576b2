//===- CudaLibraries.h - NVIDIA's libraries at run time ---------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// libcuda, NVRTC and cuDNN, loaded when they are first asked for: Cambium is
// built without the CUDA toolkit and runs where there is none. The types are
// those of cuda.h, nvrtc.h and cudnn_graph.h, as far as CudaSymbols.def uses
// them, with the names that they have there.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_CUDALIBRARIES_H
#define CAMBIUM_RUNTIME_CUDALIBRARIES_H

#include <cstddef>
#include <cstdint>
#include <string>

namespace cambium::cuda {

// The names of these types are NVIDIA's.
// NOLINTBEGIN(readability-identifier-naming)

/// Those that Cambium tells apart; cuGetErrorName knows all.
enum CUresult : int {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_IMAGE = 200,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_NOT_SUPPORTED = 801,
  CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,
  CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901,
  CUDA_ERROR_UNKNOWN = 999
};

enum CUdevice_attribute : int {
  /// In kHz.
  CU_DEVICE_ATTRIBUTE_CLOCK_RATE = 13,
  CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT = 16,
  /// In kHz.
  CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE = 36,
  CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH = 37,
  CU_DEVICE_ATTRIBUTE_L2_CACHE_SIZE = 38,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR = 75,
  CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR = 76,
  CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN = 97
};

enum CUfunction_attribute : int {
  CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK = 0,
  CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES = 1,
  CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES = 3,
  CU_FUNC_ATTRIBUTE_NUM_REGS = 4,
  CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES = 8
};

enum CUstreamCaptureMode : int {
  CU_STREAM_CAPTURE_MODE_GLOBAL = 0,
  CU_STREAM_CAPTURE_MODE_THREAD_LOCAL = 1,
  CU_STREAM_CAPTURE_MODE_RELAXED = 2
};

inline constexpr unsigned CU_STREAM_NON_BLOCKING = 1;
inline constexpr unsigned CU_EVENT_DEFAULT = 0;
inline constexpr unsigned CU_EVENT_DISABLE_TIMING = 2;
inline constexpr unsigned CU_MEMHOSTALLOC_PORTABLE = 1;

using CUdevice = int;
using CUdeviceptr = unsigned long long;
using CUcontext = struct CUctx_st *;
using CUmodule = struct CUmod_st *;
using CUfunction = struct CUfunc_st *;
using CUstream = struct CUstream_st *;
using CUevent = struct CUevent_st *;
using CUgraph = struct CUgraph_st *;
using CUgraphExec = struct CUgraphExec_st *;

enum nvrtcResult : int {
  NVRTC_SUCCESS = 0,
  NVRTC_ERROR_OUT_OF_MEMORY = 1,
  NVRTC_ERROR_INVALID_INPUT = 3,
  NVRTC_ERROR_INVALID_PROGRAM = 4,
  NVRTC_ERROR_INVALID_OPTION = 5,
  NVRTC_ERROR_COMPILATION = 6,
  NVRTC_ERROR_INTERNAL_ERROR = 11
};
using nvrtcProgram = struct _nvrtcProgram *;

enum cudnnStatus_t : int { CUDNN_STATUS_SUCCESS = 0 };
enum cudnnBackendDescriptorType_t : int {};
enum cudnnBackendAttributeName_t : int {};
enum cudnnBackendAttributeType_t : int {};
using cudnnHandle_t = struct cudnnContext *;
using cudnnBackendDescriptor_t = void *;

// NOLINTEND(readability-identifier-naming)

/// The driver's functions. It is the file that CAMBIUM_CUDA_DRIVER names, else
/// libcuda.so.1.
struct Driver {
#define CAMBIUM_DRIVER_SYMBOL(result, name, parameters)                        \
  result(*name) parameters = nullptr;
#include "cambium/Runtime/CudaSymbols.def"

  /// The library's file, as found.
  std::string path;

  /// Loaded at the first call, once for the process. Throws Error that says
  /// what is missing, where it was looked for, and the mend; a later call tries
  /// again.
  static const Driver &get();
  /// A table of its own, from where the environment says now.
  static Driver load();
};

/// NVRTC's functions. It is the file that CAMBIUM_NVRTC names, else
/// libnvrtc.so.13 or .12, by the loader's own paths, then in the folders of
/// $CUDA_HOME, $CUDA_PATH and /usr/local/cuda*.
struct Nvrtc {
#define CAMBIUM_NVRTC_SYMBOL(result, name, parameters)                         \
  result(*name) parameters = nullptr;
#include "cambium/Runtime/CudaSymbols.def"

  std::string path;

  /// As Driver's.
  static const Nvrtc &get();
  static Nvrtc load();
};

/// cuDNN's functions. It is the file that CAMBIUM_CUDNN names, else
/// libcudnn.so.9, looked for as NVRTC is.
struct Cudnn {
#define CAMBIUM_CUDNN_SYMBOL(result, name, parameters)                         \
  result(*name) parameters = nullptr;
#include "cambium/Runtime/CudaSymbols.def"

  std::string path;

  /// As Driver's.
  static const Cudnn &get();
  static Cudnn load();
};

/// Nothing on success; else throws Error, `doing` with the driver's name and
/// text of the error behind it: "cannot copy the inputs: CUDA_ERROR_...".
void check(CUresult result, const char *doing);

} // namespace cambium::cuda

#endif // CAMBIUM_RUNTIME_CUDALIBRARIES_H
