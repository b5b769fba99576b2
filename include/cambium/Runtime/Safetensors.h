//===- Safetensors.h - Tensors in files -------------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The safetensors format: the length of a header as 8 little-endian bytes; the
// header, a JSON object of each tensor's type, shape and place; the tensors.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_RUNTIME_SAFETENSORS_H
#define CAMBIUM_RUNTIME_SAFETENSORS_H

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

namespace cambium {

/// A float32 tensor to be written, row-major.
struct SafetensorsItem {
  std::string name;
  std::vector<int64_t> shape;
  /// Writes all elements to the address that it is given.
  std::function<void(float *)> fill;
};

/// Replaces the file atomically; holds one tensor in memory at a time. Names
/// and metadata must be UTF-8, and names must differ. Throws Error.
void writeSafetensors(const std::string &path,
                      const std::map<std::string, std::string> &metadata,
                      const std::vector<SafetensorsItem> &tensors);

/// A file whose header was found sound: all tensors are float32, lie inside the
/// file one behind the other, and fill it.
class SafetensorsFile {
public:
  struct Tensor {
    std::vector<int64_t> shape;
    int64_t elements = 0;
    /// In the file.
    uint64_t offset = 0;
  };

  /// Throws Error with a reason if the file cannot be read or is malformed.
  explicit SafetensorsFile(const std::string &path);
  ~SafetensorsFile();
  SafetensorsFile(SafetensorsFile &&other) noexcept;
  SafetensorsFile(const SafetensorsFile &) = delete;

  const std::map<std::string, std::string> &metadata() const { return notes; }
  const std::map<std::string, Tensor> &tensors() const { return all; }
  /// Reads all elements. Throws Error.
  void read(const Tensor &tensor, float *to) const;
  /// Throws Error that names the file.
  [[noreturn]] void fail(const std::string &reason) const;

private:
  void readBytes(void *to, uint64_t bytes, uint64_t offset) const;
  void parse(const std::string &header, uint64_t end);
  void checkPlaces(uint64_t begin, uint64_t end) const;

  std::string path;
  int descriptor = -1;
  std::map<std::string, std::string> notes;
  std::map<std::string, Tensor> all;
};

} // namespace cambium

#endif // CAMBIUM_RUNTIME_SAFETENSORS_H
