//===- Trials.h - How much tests repeat themselves --------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sanitizers watch the compiler, not the machine code that it generates, and
// compiling is most of what tests of kernels do. So under them every form of
// kernel is still made and run, but less often.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_TRIALS_H
#define CAMBIUM_TEST_TRIALS_H

#include <cstdint>
#include <vector>

namespace cambium::test {

#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
inline constexpr bool sanitized = true;
#else
inline constexpr bool sanitized = false;
#endif

/// How many random trials to make of what deserves `count`.
template <typename T> constexpr T trials(T count) {
  return sanitized ? (count + 3) / 4 : count;
}

/// Heights of register tiles. Under sanitizers without the one in between.
inline std::vector<int64_t> registerTiles() {
  return sanitized ? std::vector<int64_t>{1, 6} : std::vector<int64_t>{1, 3, 6};
}

/// Channels that call for one to four vectors in registers. What is asked of
/// them is a matter of machine code.
inline std::vector<int64_t> assemblyChannels() {
  return sanitized ? std::vector<int64_t>{48}
                   : std::vector<int64_t>{8, 16, 24, 48, 64};
}

} // namespace cambium::test

#endif // CAMBIUM_TEST_TRIALS_H
