//===- Cuda.h - Numbers of the driver's interface ------------ -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_CUDA_H
#define CAMBIUM_TEST_SIMT_CUDA_H

namespace cambium::simt {

/// CUresult of cuda.h.
enum Error : int {
  success = 0,
  errorInvalidValue = 1,
  errorOutOfMemory = 2,
  errorNotInitialized = 3,
  errorInvalidDevice = 101,
  errorInvalidImage = 200,
  errorInvalidContext = 201,
  errorNoBinaryForGpu = 209,
  errorInvalidHandle = 400,
  errorNotFound = 500,
  errorNotReady = 600,
  errorIllegalAddress = 700,
  errorLaunchOutOfResources = 701,
  errorLaunchTimeout = 702,
  errorAssert = 710,
  errorIllegalInstruction = 715,
  errorMisalignedAddress = 716,
  errorInvalidAddressSpace = 717,
  errorStreamCaptureUnsupported = 900,
  errorStreamCaptureInvalidated = 901,
  errorIllegalState = 401
};

/// CUdevice_attribute of cuda.h.
enum DeviceAttribute : int {
  maxThreadsPerBlock = 1,
  maxBlockDimX = 2,
  maxBlockDimY = 3,
  maxBlockDimZ = 4,
  maxGridDimX = 5,
  maxGridDimY = 6,
  maxGridDimZ = 7,
  maxSharedMemoryPerBlock = 8,
  warpSize = 10,
  clockRate = 13,
  multiprocessorCount = 16,
  memoryClockRate = 36,
  globalMemoryBusWidth = 37,
  l2CacheSize = 38,
  computeCapabilityMajor = 75,
  computeCapabilityMinor = 76,
  maxSharedMemoryPerMultiprocessor = 81,
  maxSharedMemoryPerBlockOptin = 97
};

/// CUfunction_attribute of cuda.h.
enum FunctionAttribute : int {
  functionMaxThreadsPerBlock = 0,
  functionSharedSizeBytes = 1,
  functionConstSizeBytes = 2,
  functionLocalSizeBytes = 3,
  functionNumRegs = 4,
  functionMaxDynamicSharedSizeBytes = 8
};

/// nvrtcResult of nvrtc.h.
enum CompilerResult : int {
  compilerSuccess = 0,
  compilerInvalidInput = 3,
  compilerInvalidProgram = 4,
  compilerInvalidOption = 5,
  compilerFailed = 6,
  compilerInternalError = 11
};

} // namespace cambium::simt

#endif // CAMBIUM_TEST_SIMT_CUDA_H
