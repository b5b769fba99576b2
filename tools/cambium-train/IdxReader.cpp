//===- IdxReader.cpp - Files in IDX format --------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IdxReader.h"

#include "Format.h"
#include "cambium/Error.h"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <sys/stat.h>
#include <zlib.h>

namespace cambium::train {
namespace {

[[noreturn]] void fail(const std::string &path, const std::string &message) {
  throw Error("'" + path + "': " + message);
}

/// The bytes of a file, whether it is compressed or not.
///
/// zlib's gzread would do both too, but it drops bytes that follow the last
/// gzip member without a word, and so would hide a damaged file.
class ByteSource {
public:
  explicit ByteSource(const std::string &path) : path(path) {
    struct stat status;
    if (stat(path.c_str(), &status) != 0)
      fail(path, std::string("cannot be read: ") + std::strerror(errno));
    if (!S_ISREG(status.st_mode))
      fail(path, "is not a regular file");
    file.reset(std::fopen(path.c_str(), "rb"));
    if (!file)
      fail(path, std::string("cannot be opened: ") + std::strerror(errno));
    refill();
    compressed = available >= 2 && input[0] == 0x1f && input[1] == 0x8b;
    if (!compressed)
      return;
    if (inflateInit2(&stream, MAX_WBITS + 16) != Z_OK)
      fail(path, "cannot be decompressed: zlib failed to start");
    inflating = true;
  }
  ~ByteSource() {
    if (inflating)
      inflateEnd(&stream);
  }
  ByteSource(const ByteSource &) = delete;
  ByteSource &operator=(const ByteSource &) = delete;

  /// Reads up to `count` bytes; fewer only at the end of the data.
  size_t read(uint8_t *to, size_t count) {
    size_t done = 0;
    while (done < count) {
      size_t step = compressed ? inflateSome(to + done, count - done)
                               : copySome(to + done, count - done);
      if (step == 0)
        break;
      done += step;
    }
    return done;
  }

private:
  void refill() {
    next = input;
    available = std::fread(input, 1, sizeof(input), file.get());
    if (available == 0 && std::ferror(file.get()))
      fail(path, std::string("cannot be read: ") + std::strerror(errno));
  }

  size_t copySome(uint8_t *to, size_t count) {
    if (available == 0)
      refill();
    size_t step = std::min(count, available);
    std::memcpy(to, next, step);
    next += step;
    available -= step;
    return step;
  }

  /// A gzip file may hold several members, one after the other.
  bool startNextMember() {
    if (available == 0)
      refill();
    if (available == 0)
      return false;
    if (*next != 0x1f)
      fail(path, "corrupt gzip data: bytes that are not gzip follow the end of "
                 "the compressed data");
    inflateReset(&stream);
    memberEnded = false;
    return true;
  }

  size_t inflateSome(uint8_t *to, size_t count) {
    stream.next_out = to;
    stream.avail_out = static_cast<uInt>(std::min<size_t>(count, 1u << 30));
    const uInt room = stream.avail_out;
    while (stream.avail_out == room) {
      if (memberEnded && !startNextMember())
        return 0;
      if (available == 0)
        refill();
      if (available == 0)
        fail(path, "truncated gzip data: the file ends inside the compressed "
                   "data; copy or download it again");
      stream.next_in = next;
      stream.avail_in = static_cast<uInt>(available);
      int status = inflate(&stream, Z_NO_FLUSH);
      next = stream.next_in;
      available = stream.avail_in;
      memberEnded = status == Z_STREAM_END;
      if (status != Z_OK && status != Z_STREAM_END && status != Z_BUF_ERROR)
        fail(path, std::string("corrupt gzip data: ") +
                       (stream.msg ? stream.msg : zError(status)) +
                       "; copy or download the file again");
    }
    return room - stream.avail_out;
  }

  struct Closer {
    void operator()(std::FILE *file) const { std::fclose(file); }
  };

  std::string path;
  std::unique_ptr<std::FILE, Closer> file;
  uint8_t input[1 << 16];
  uint8_t *next = input;
  size_t available = 0;
  bool compressed = false;
  bool inflating = false;
  bool memberEnded = false;
  z_stream stream = {};
};

/// What a file must hold, for checks and messages.
struct Contents {
  const char *plural;
  const char *dimensions;
  int minRank;
  int maxRank;
};

const Contents images = {"images",
                         "3 dimensions (count, height, width) or 4 (count, "
                         "height, width, channels)",
                         3, 4};
const Contents labels = {"labels", "1 dimension (count)", 1, 1};

std::string typeName(uint8_t code) {
  switch (code) {
  case 0x09:
    return "signed bytes";
  case 0x0b:
    return "16-bit integers";
  case 0x0c:
    return "32-bit integers";
  case 0x0d:
    return "floats";
  case 0x0e:
    return "doubles";
  default:
    return format("values of the unknown type 0x%02x", code);
  }
}

/// Checks the four bytes of magic and returns the rank.
int readMagic(ByteSource &source, const std::string &path,
              const Contents &contents) {
  uint8_t magic[4];
  size_t got = source.read(magic, sizeof(magic));
  if (got == 0)
    fail(path, std::string("is empty; expected IDX ") + contents.plural);
  if (got < sizeof(magic))
    fail(path, format("truncated: %zu bytes are too few for the header of an "
                      "IDX file",
                      got));
  if (magic[0] != 0 || magic[1] != 0)
    fail(path,
         format("is not an IDX file: it starts with bytes %02x %02x %02x %02x, "
                "but IDX %s start with 00 00 08 %02x",
                magic[0], magic[1], magic[2], magic[3], contents.plural,
                contents.minRank));
  if (magic[2] != 0x08)
    fail(path, "holds " + typeName(magic[2]) + ", but " + contents.plural +
                   " must be unsigned bytes (IDX type 0x08)");
  int rank = magic[3];
  if (rank < contents.minRank || rank > contents.maxRank)
    fail(path,
         format("has %d dimension%s, but %s have %s", rank,
                rank == 1 ? "" : "s", contents.plural, contents.dimensions));
  return rank;
}

std::vector<int64_t> readShape(ByteSource &source, const std::string &path,
                               const Contents &contents) {
  int rank = readMagic(source, path, contents);
  std::vector<int64_t> shape;
  for (int i = 0; i < rank; ++i) {
    uint8_t raw[4];
    if (source.read(raw, sizeof(raw)) < sizeof(raw))
      fail(path, format("truncated: the header ends before the extent of "
                        "dimension %d of %d",
                        i + 1, rank));
    int64_t extent =
        int64_t(raw[0]) << 24 | raw[1] << 16 | raw[2] << 8 | raw[3];
    if (extent == 0)
      fail(path, format("the extent of dimension %d of %d is 0; expected at "
                        "least 1",
                        i + 1, rank));
    shape.push_back(extent);
  }
  return shape;
}

/// The number of bytes that the shape asks for.
uint64_t payloadBytes(const std::vector<int64_t> &shape,
                      const std::string &path) {
  uint64_t product = 1;
  for (int64_t extent : shape)
    if (__builtin_mul_overflow(product, static_cast<uint64_t>(extent),
                               &product) ||
        product > (uint64_t(1) << 40))
      fail(path, "the header asks for " + extents(shape) +
                     " bytes, more than any data set holds; it is corrupt");
  return product;
}

IdxArray readIdx(const std::string &path, const Contents &contents) {
  ByteSource source(path);
  IdxArray array;
  array.shape = readShape(source, path, contents);
  const uint64_t expected = payloadBytes(array.shape, path);

  // Grown as the data comes in: a corrupt header must not cost its memory.
  const uint64_t chunk = 16 << 20;
  while (array.values.size() < expected) {
    size_t have = array.values.size();
    size_t want = std::min<uint64_t>(chunk, expected - have);
    array.values.resize(have + want);
    size_t got = source.read(array.values.data() + have, want);
    if (got < want)
      fail(path, "truncated: " + extents(array.shape) + " " + contents.plural +
                     " need " + std::to_string(expected) +
                     " bytes after the header, but only " +
                     std::to_string(have + got) + " are there");
  }
  uint8_t beyond;
  if (source.read(&beyond, 1) != 0)
    fail(path, "trailing garbage: more bytes follow the " +
                   std::to_string(expected) + " that " + extents(array.shape) +
                   " " + contents.plural + " need");
  return array;
}

} // namespace

IdxArray readIdxImages(const std::string &path) {
  IdxArray array = readIdx(path, images);
  if (array.shape.size() == 3)
    array.shape.push_back(1);
  return array;
}

IdxArray readIdxLabels(const std::string &path) {
  return readIdx(path, labels);
}

} // namespace cambium::train
