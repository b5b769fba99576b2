//===- AtomicFile.cpp - Files replaced as a whole -------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/AtomicFile.h"

#include "cambium/Error.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <filesystem>
#include <sys/file.h>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>

using namespace cambium;

void AtomicFile::fail(const char *what) const {
  throw Error("cannot " + std::string(what) + " '" + path +
              "': " + std::generic_category().message(errno));
}

AtomicFile::AtomicFile(std::string path)
    : path(std::move(path)), partial(this->path + ".partial") {
  while (!open())
    ;
}

/// Returns false where another process moved the file away before it was
/// locked: it is complete now, and not to be touched.
bool AtomicFile::open() {
  descriptor = ::open(partial.c_str(),
                      O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
  if (descriptor < 0)
    fail("write");
  bool locked = ::flock(descriptor, LOCK_EX | LOCK_NB) == 0;
  if (!locked && errno == EWOULDBLOCK) {
    ::close(descriptor);
    throw Error("cannot write '" + path + "': another process is writing it");
  }
  struct stat ours, current;
  bool same = ::fstat(descriptor, &ours) == 0 &&
              ::lstat(partial.c_str(), &current) == 0 &&
              ours.st_dev == current.st_dev && ours.st_ino == current.st_ino;
  if (same && ::ftruncate(descriptor, 0) == 0)
    return true;
  int error = errno;
  ::close(descriptor);
  errno = error;
  if (same)
    fail("write");
  return false;
}

AtomicFile::~AtomicFile() {
  if (descriptor < 0)
    return;
  ::unlink(partial.c_str());
  ::close(descriptor);
}

void AtomicFile::write(const void *data, size_t bytes) {
  const auto *next = static_cast<const char *>(data);
  while (bytes > 0) {
    ssize_t written =
        ::write(descriptor, next, std::min(bytes, size_t(1) << 30));
    if (written < 0 && errno == EINTR)
      continue;
    if (written < 0)
      fail("write");
    next += written;
    bytes -= written;
  }
}

void AtomicFile::commit() {
  if (::fsync(descriptor) != 0)
    fail("write");
  if (::rename(partial.c_str(), path.c_str()) != 0)
    fail("replace");
  // Releases the lock only now, so that nobody writes to what was moved.
  ::close(descriptor);
  descriptor = -1;
  // The new name is on the disk when the folder is.
  std::string folder = std::filesystem::path(path).parent_path().string();
  int opened = ::open(folder.empty() ? "." : folder.c_str(),
                      O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0)
    return;
  // Some file systems cannot; the file itself is complete on all of them.
  (void)::fsync(opened);
  ::close(opened);
}
