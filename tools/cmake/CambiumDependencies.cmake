# Finds everything Cambium builds on and sets the build-wide compile flags.

find_program(LLVM_CONFIG NAMES llvm-config-22 llvm-config REQUIRED)
execute_process(COMMAND ${LLVM_CONFIG} --prefix
                OUTPUT_VARIABLE CAMBIUM_LLVM_PREFIX
                OUTPUT_STRIP_TRAILING_WHITESPACE COMMAND_ERROR_IS_FATAL ANY)

# Debian's version file rejects find_package(MLIR 22), so the version is
# checked afterwards.
find_package(MLIR REQUIRED CONFIG HINTS ${CAMBIUM_LLVM_PREFIX}/lib/cmake/mlir
             NO_DEFAULT_PATH)
if(NOT LLVM_VERSION_MAJOR EQUAL 22)
  message(FATAL_ERROR "Cambium needs LLVM and MLIR 22, but ${MLIR_DIR} is "
                      "version ${LLVM_VERSION}; install libmlir-22-dev or set "
                      "LLVM_CONFIG to the right llvm-config")
endif()
if(NOT LLVM_ENABLE_RTTI)
  message(FATAL_ERROR "Cambium throws exceptions at its public border and "
                      "needs an LLVM built with RTTI; ${MLIR_DIR} is not")
endif()

list(APPEND CMAKE_MODULE_PATH ${LLVM_CMAKE_DIR} ${MLIR_CMAKE_DIR})
include(TableGen)
include(AddLLVM)
include(AddMLIR)
separate_arguments(CAMBIUM_LLVM_DEFINITIONS NATIVE_COMMAND ${LLVM_DEFINITIONS})

find_package(TBB REQUIRED CONFIG)
find_package(Threads REQUIRED)
find_package(ZLIB REQUIRED)
find_package(CLI11 REQUIRED CONFIG)
find_package(nlohmann_json REQUIRED CONFIG)
if(CAMBIUM_BUILD_TESTS)
  find_package(GTest REQUIRED CONFIG)
endif()

# What tools/setup installs on machines without CUDA's toolkit, for all presets;
# else Cambium finds them itself.
find_library(CAMBIUM_NVRTC_LIBRARY libnvrtc.so.13
  PATHS ${PROJECT_SOURCE_DIR}/build/cuda/nvrtc/nvidia/cu13/lib NO_DEFAULT_PATH)
find_program(CAMBIUM_NVDISASM nvdisasm
  HINTS ${PROJECT_SOURCE_DIR}/build/cuda/nvdisasm/nvidia/cu13/bin
        /usr/local/cuda/bin)

find_package(benchmark QUIET CONFIG)
option(CAMBIUM_BUILD_BENCH "Build the benchmarks" ${benchmark_FOUND})
if(CAMBIUM_BUILD_BENCH)
  find_package(benchmark REQUIRED CONFIG)
  find_path(CAMBIUM_DNNL_INCLUDE dnnl.hpp)
  find_library(CAMBIUM_DNNL_LIBRARY dnnl)
  if(CAMBIUM_DNNL_INCLUDE AND CAMBIUM_DNNL_LIBRARY)
    add_library(Cambium::oneDNN INTERFACE IMPORTED)
    target_include_directories(Cambium::oneDNN SYSTEM
                               INTERFACE ${CAMBIUM_DNNL_INCLUDE})
    target_link_libraries(Cambium::oneDNN INTERFACE ${CAMBIUM_DNNL_LIBRARY})
  endif()
  # Not find_package(Torch), whose targets set flags of CUDA and MKL.
  find_path(CAMBIUM_TORCH_INCLUDE torch/csrc/api/include/torch/torch.h)
  find_library(CAMBIUM_TORCH_LIBRARY torch)
  find_library(CAMBIUM_TORCH_CPU_LIBRARY torch_cpu)
  find_library(CAMBIUM_C10_LIBRARY c10)
  if(CAMBIUM_TORCH_INCLUDE AND CAMBIUM_TORCH_LIBRARY
     AND CAMBIUM_TORCH_CPU_LIBRARY AND CAMBIUM_C10_LIBRARY)
    add_library(Cambium::LibTorch INTERFACE IMPORTED)
    target_include_directories(Cambium::LibTorch SYSTEM INTERFACE
      ${CAMBIUM_TORCH_INCLUDE}
      ${CAMBIUM_TORCH_INCLUDE}/torch/csrc/api/include)
    target_link_libraries(Cambium::LibTorch INTERFACE ${CAMBIUM_TORCH_LIBRARY}
      ${CAMBIUM_TORCH_CPU_LIBRARY} ${CAMBIUM_C10_LIBRARY})
  endif()
endif()

find_program(CAMBIUM_CCACHE_EXE ccache)
if(CAMBIUM_CCACHE AND CAMBIUM_CCACHE_EXE)
  # ccache refuses precompiled headers unless told that they are not affected by
  # macros and time stamps.
  set(CMAKE_CXX_COMPILER_LAUNCHER ${CMAKE_COMMAND} -E env
      CCACHE_SLOPPINESS=pch_defines,time_macros,include_file_mtime,include_file_ctime
      ${CAMBIUM_CCACHE_EXE})
endif()

# One code model for libraries and executables lets both share the precompiled
# header, which clang rejects when -fPIC and -fPIE differ.
add_compile_options(-fPIC)

if(CAMBIUM_SANITIZE)
  # The vptr and function checks need type information that packaged LLVM keeps
  # hidden.
  add_compile_options(-fsanitize=${CAMBIUM_SANITIZE} -fno-sanitize=vptr,function
                      -fno-sanitize-recover=all -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${CAMBIUM_SANITIZE})
endif()
