//===- Format.cpp - Text for people ---------------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Format.h"

#include <algorithm>
#include <cmath>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>

namespace cambium::train {

std::string format(const char *pattern, ...) {
  va_list arguments, again;
  va_start(arguments, pattern);
  va_copy(again, arguments);
  int length = std::vsnprintf(nullptr, 0, pattern, arguments);
  va_end(arguments);
  std::string text(static_cast<size_t>(std::max(length, 0)) + 1, '\0');
  std::vsnprintf(text.data(), text.size(), pattern, again);
  va_end(again);
  text.pop_back();
  return text;
}

std::string grouped(int64_t value, const char *separator) {
  std::string digits = std::to_string(value < 0 ? -value : value);
  std::string text = value < 0 ? "-" : "";
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i != 0 && (digits.size() - i) % 3 == 0)
      text += separator;
    text += digits[i];
  }
  return text;
}

std::string duration(double seconds) {
  int64_t whole = std::max<int64_t>(0, std::llround(seconds));
  if (whole < 60)
    return std::to_string(whole) + " s";
  auto part = [](int64_t value) {
    return format("%02d", static_cast<int>(value));
  };
  if (whole < 3600)
    return std::to_string(whole / 60) + ":" + part(whole % 60);
  return std::to_string(whole / 3600) + ":" + part(whole / 60 % 60) + ":" +
         part(whole % 60);
}

std::string bytes(int64_t count) {
  if (count < 1024)
    return std::to_string(count) + " B";
  double value = static_cast<double>(count);
  const char *unit = "";
  for (const char *next : {"KiB", "MiB", "GiB", "TiB"}) {
    if (value < 1024.0)
      break;
    value /= 1024.0;
    unit = next;
  }
  return format(value < 100.0 ? "%.1f %s" : "%.0f %s", value, unit);
}

std::string extents(const std::vector<int64_t> &shape) {
  std::string text;
  for (int64_t extent : shape)
    text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

std::string join(const std::vector<std::string> &parts,
                 const std::string &separator) {
  std::string text;
  for (size_t i = 0; i < parts.size(); ++i)
    text += (i == 0 ? "" : separator) + parts[i];
  return text;
}

std::string shellQuoted(const std::string &argument) {
  const char *plain = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                      "0123456789_@%+=:,./-";
  if (!argument.empty() &&
      argument.find_first_not_of(plain) == std::string::npos)
    return argument;
  std::string text = "'";
  for (char c : argument)
    text += c == '\'' ? std::string("'\\''") : std::string(1, c);
  return text + "'";
}

std::string counted(int64_t count, const std::string &singular,
                    const std::string &plural) {
  return grouped(count) + " " + (count == 1 ? singular : plural);
}

} // namespace cambium::train
