//===- Format.h - Text for people -------------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_FORMAT_H
#define CAMBIUM_TRAIN_FORMAT_H

#include <cstdint>
#include <string>
#include <vector>

namespace cambium::train {

/// printf into a string, always with '.' as the decimal point.
std::string format(const char *pattern, ...)
    __attribute__((format(printf, 1, 2)));

/// 18432 as "18 432".
std::string grouped(int64_t value, const char *separator = " ");

/// Seconds as "42 s", "3:07" (minutes) or "1:02:03" (hours).
std::string duration(double seconds);

/// Bytes as "512 B", "1.3 KiB", "12.4 MiB" or "2.1 GiB".
std::string bytes(int64_t count);

/// The shape as "28x28x1".
std::string extents(const std::vector<int64_t> &shape);

std::string join(const std::vector<std::string> &parts,
                 const std::string &separator);

/// One argument as a POSIX shell reads it back.
std::string shellQuoted(const std::string &argument);

/// Number and noun: "1 branch", "2 branches".
std::string counted(int64_t count, const std::string &singular,
                    const std::string &plural);

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_FORMAT_H
