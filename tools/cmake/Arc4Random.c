//===- Arc4Random.c - Random numbers for an older glibc -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Packaged LLVM seeds its random numbers by arc4random, the one function that
// it takes from glibc 2.36. With this one in its place the bundle runs
// with 2.34.
//
//===----------------------------------------------------------------------===//

#include <stdint.h>
#include <sys/random.h>

uint32_t arc4random(void) {
  uint32_t value = 0;
  // For some bytes it neither fails nor stops halfway, once the kernel has
  // started.
  ssize_t ignored = getrandom(&value, sizeof(value), 0);
  (void)ignored;
  return value;
}
