# What tools/bundle packs: executables that hold their part of LLVM and MLIR.

# The packaged archives; the linker takes what is needed from them. Of what they
# refer to outside, Cambium reaches zlib and zstd only.
file(GLOB archives ${CAMBIUM_LLVM_PREFIX}/lib/libLLVM*.a
     ${CAMBIUM_LLVM_PREFIX}/lib/libMLIR*.a)
list(FILTER archives EXCLUDE REGEX "Test|CAPI|MlirOptMain|BOLT|Exegesis")
add_library(CambiumStaticLLVM INTERFACE)
target_link_libraries(CambiumStaticLLVM INTERFACE ${archives} ZLIB::ZLIB
                      -l:libzstd.so.1)

# cambium_bundle(<executable>...)
#
# For each a target <executable>-bundled, which is not part of `all`: the same
# objects as build/bundle/<executable>-bundled, which finds libraries in ../lib.
function(cambium_bundle)
  foreach(name IN LISTS ARGN)
    if(NOT TARGET ${name})
      continue()
    endif()
    get_target_property(libraries ${name} LINK_LIBRARIES)
    add_executable(${name}-bundled EXCLUDE_FROM_ALL $<TARGET_OBJECTS:${name}>
                   ${PROJECT_SOURCE_DIR}/tools/cmake/Arc4Random.c)
    target_link_libraries(${name}-bundled PRIVATE ${libraries})
    target_link_options(${name}-bundled PRIVATE -Wl,--gc-sections
                        -Wl,--strip-all)
    set_target_properties(${name}-bundled PROPERTIES
      CAMBIUM_STATIC_LLVM ON
      LINKER_LANGUAGE CXX
      RUNTIME_OUTPUT_DIRECTORY ${PROJECT_BINARY_DIR}/bundle
      BUILD_WITH_INSTALL_RPATH ON
      INSTALL_RPATH "$ORIGIN/../lib")
    list(APPEND bundled ${name}-bundled)
  endforeach()
  add_custom_target(cambium-bundle DEPENDS ${bundled})
endfunction()

# Takes minutes, see docs/Testing.md.
if(CAMBIUM_BUILD_TESTS AND DEFINED ENV{CAMBIUM_TEST_BUNDLE})
  add_test(NAME bundle COMMAND ${PROJECT_SOURCE_DIR}/tools/bundle --check)
  set_tests_properties(bundle PROPERTIES RUN_SERIAL ON TIMEOUT 1800)
endif()
