//===- AtomicFile.h - Files replaced as a whole -----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_ATOMICFILE_H
#define CAMBIUM_RUNTIME_ATOMICFILE_H

#include <cstddef>
#include <string>

namespace cambium {

/// Writes a file beside its place, `path.partial`, and moves it there when it
/// is complete and on the disk. Whenever the process or the machine ends, the
/// path has the old contents or the new. What a killed process leaves beside it
/// is overwritten by the next. Every function throws Error.
class AtomicFile {
public:
  /// Fails while another process writes to the same place.
  explicit AtomicFile(std::string path);
  /// Discards what was not committed.
  ~AtomicFile();
  AtomicFile(const AtomicFile &) = delete;
  AtomicFile &operator=(const AtomicFile &) = delete;

  void write(const void *data, size_t bytes);
  /// The path has the new contents when this returns.
  void commit();

private:
  bool open();
  [[noreturn]] void fail(const char *what) const;

  std::string path, partial;
  int descriptor = -1;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_ATOMICFILE_H
