//===- Safetensors.cpp - Tensors in files ---------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/Safetensors.h"

#include "cambium/Error.h"
#include "cambium/Runtime/AtomicFile.h"

#include <algorithm>
#include <cerrno>
#include <fcntl.h>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <sys/stat.h>
#include <system_error>
#include <unistd.h>
#include <utility>

using namespace cambium;
using Json = nlohmann::ordered_json;

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
              "numbers are written as they lie in memory");

namespace {

const char *const metadataKey = "__metadata__";
/// The format's limit.
constexpr uint64_t mostHeaderBytes = 100'000'000;

/// Nothing where the product does not fit.
std::optional<int64_t> elementsOf(const std::vector<int64_t> &shape) {
  int64_t elements = 1;
  for (int64_t extent : shape)
    if (extent < 0 || __builtin_mul_overflow(elements, extent, &elements))
      return std::nullopt;
  if (elements > INT64_MAX / int64_t(sizeof(float)))
    return std::nullopt;
  return elements;
}

std::string headerOf(const std::map<std::string, std::string> &metadata,
                     const std::vector<SafetensorsItem> &tensors) {
  Json header = Json::object();
  header[metadataKey] = metadata;
  int64_t offset = 0;
  for (const SafetensorsItem &tensor : tensors) {
    int64_t bytes = elementsOf(tensor.shape).value() * sizeof(float);
    if (header.contains(tensor.name))
      throw Error("two tensors are called '" + tensor.name + "'");
    header[tensor.name] = {{"dtype", "F32"},
                           {"shape", tensor.shape},
                           {"data_offsets", {offset, offset + bytes}}};
    offset += bytes;
  }
  std::string text = header.dump();
  // The tensors behind it start aligned.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

/// Refuses what the parser would take: nested values, and two values of one
/// name, of which readers may take either.
class HeaderCheck {
public:
  bool operator()(int depth, Json::parse_event_t event, Json &parsed) {
    using Event = Json::parse_event_t;
    if ((event == Event::object_start || event == Event::array_start) &&
        depth > 2)
      throw Error("values are nested too deeply");
    if (event == Event::object_start)
      keys.emplace_back();
    if (event == Event::object_end)
      keys.pop_back();
    if (event == Event::key &&
        !keys.back().insert(parsed.get_ref<const std::string &>()).second)
      throw Error("'" + parsed.get<std::string>() + "' is there twice");
    return true;
  }

private:
  std::vector<std::set<std::string>> keys;
};

/// An array of numbers from 0 up, that fit.
std::vector<int64_t> numbers(const Json &json, const char *key) {
  auto found = json.find(key);
  if (found == json.end() || !found->is_array())
    throw Error(std::string("'") + key + "' is no array");
  std::vector<int64_t> values;
  for (const Json &value : *found) {
    if (!value.is_number_unsigned() || value.get<uint64_t>() > INT64_MAX)
      throw Error(std::string("'") + key +
                  "' holds something other than whole numbers from 0 up");
    values.push_back(value.get<int64_t>());
  }
  return values;
}

SafetensorsFile::Tensor tensorOf(const Json &json, uint64_t begin,
                                 uint64_t end) {
  if (!json.is_object())
    throw Error("it is no object");
  auto type = json.find("dtype");
  if (type == json.end() || !type->is_string())
    throw Error("it has no 'dtype'");
  if (*type != "F32")
    throw Error("it is of type " + type->get<std::string>() +
                "; only F32 can be read");
  SafetensorsFile::Tensor tensor;
  tensor.shape = numbers(json, "shape");
  std::optional<int64_t> elements = elementsOf(tensor.shape);
  if (!elements)
    throw Error("its shape is too large");
  tensor.elements = *elements;
  std::vector<int64_t> offsets = numbers(json, "data_offsets");
  if (offsets.size() != 2 || offsets[0] > offsets[1])
    throw Error("'data_offsets' are not begin and end");
  if (uint64_t(offsets[1]) > end - begin)
    throw Error("it reaches beyond the end of the file");
  if (offsets[1] - offsets[0] != *elements * int64_t(sizeof(float)))
    throw Error("its shape and 'data_offsets' disagree");
  tensor.offset = begin + offsets[0];
  return tensor;
}

} // namespace

void cambium::writeSafetensors(
    const std::string &path, const std::map<std::string, std::string> &metadata,
    const std::vector<SafetensorsItem> &tensors) {
  std::string header;
  try {
    header = headerOf(metadata, tensors);
  } catch (const Json::exception &) {
    throw Error("cannot write '" + path +
                "': a name or text in it is not UTF-8");
  } catch (const Error &error) {
    throw Error("cannot write '" + path + "': " + error.what());
  }
  if (header.size() > mostHeaderBytes)
    throw Error("cannot write '" + path +
                "': its header would be longer than " +
                std::to_string(mostHeaderBytes) + " bytes");
  AtomicFile file(path);
  uint64_t length = header.size();
  file.write(&length, sizeof(length));
  file.write(header.data(), header.size());
  std::vector<float> values;
  for (const SafetensorsItem &tensor : tensors) {
    values.resize(*elementsOf(tensor.shape));
    tensor.fill(values.data());
    file.write(values.data(), values.size() * sizeof(float));
  }
  file.commit();
}

SafetensorsFile::SafetensorsFile(const std::string &path) : path(path) {
  // Opening a pipe would wait for its other end.
  descriptor = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  struct stat info;
  if (descriptor < 0 || ::fstat(descriptor, &info) != 0) {
    int error = errno;
    if (descriptor >= 0)
      ::close(std::exchange(descriptor, -1));
    throw Error("cannot read '" + path +
                "': " + std::generic_category().message(error));
  }
  try {
    if (!S_ISREG(info.st_mode))
      fail("it is not a file");
    uint64_t size = info.st_size, length;
    if (size < sizeof(length))
      fail("it is shorter than the 8 bytes of a header's length");
    readBytes(&length, sizeof(length), 0);
    if (length > mostHeaderBytes)
      fail("its header would have " + std::to_string(length) +
           " bytes, more than the format allows; it is no safetensors file");
    if (length > size - sizeof(length))
      fail("its header has " + std::to_string(length) + " bytes but the file " +
           std::to_string(size) + "; it is truncated, or no safetensors file");
    std::string header(length, '\0');
    readBytes(header.data(), length, sizeof(length));
    parse(header, size);
    checkPlaces(sizeof(length) + length, size);
  } catch (...) {
    ::close(descriptor);
    throw;
  }
}

SafetensorsFile::~SafetensorsFile() {
  if (descriptor >= 0)
    ::close(descriptor);
}

SafetensorsFile::SafetensorsFile(SafetensorsFile &&other) noexcept
    : path(std::move(other.path)),
      descriptor(std::exchange(other.descriptor, -1)),
      notes(std::move(other.notes)), all(std::move(other.all)) {}

void SafetensorsFile::fail(const std::string &reason) const {
  throw Error("cannot use '" + path + "': " + reason);
}

void SafetensorsFile::readBytes(void *to, uint64_t bytes,
                                uint64_t offset) const {
  auto *next = static_cast<char *>(to);
  while (bytes > 0) {
    ssize_t got = ::pread(descriptor, next,
                          std::min<uint64_t>(bytes, uint64_t(1) << 30), offset);
    if (got < 0 && errno == EINTR)
      continue;
    if (got < 0)
      fail(std::generic_category().message(errno));
    if (got == 0)
      fail("it became shorter while it was read");
    next += got;
    offset += got;
    bytes -= got;
  }
}

void SafetensorsFile::parse(const std::string &header, uint64_t end) {
  uint64_t begin = sizeof(uint64_t) + header.size();
  Json json;
  try {
    HeaderCheck check;
    json = Json::parse(header,
                       [&](int depth, Json::parse_event_t event, Json &parsed) {
                         return check(depth, event, parsed);
                       });
  } catch (const Json::exception &error) {
    fail(std::string("its header is not JSON: ") + error.what());
  } catch (const Error &error) {
    fail(std::string("in its header, ") + error.what());
  }
  if (!json.is_object())
    fail("its header is no JSON object");
  for (const auto &[name, value] : json.items()) {
    if (name != metadataKey) {
      try {
        all.emplace(name, tensorOf(value, begin, end));
      } catch (const Error &error) {
        fail("tensor '" + name + "': " + error.what());
      }
      continue;
    }
    if (!value.is_object())
      fail("its metadata are no JSON object");
    for (const auto &[key, text] : value.items()) {
      if (!text.is_string())
        fail("the metadata '" + key + "' are no string");
      notes.emplace(key, text.get<std::string>());
    }
  }
}

void SafetensorsFile::checkPlaces(uint64_t begin, uint64_t end) const {
  using Place = std::pair<uint64_t, uint64_t>;
  std::vector<std::pair<Place, std::string>> places;
  for (const auto &[name, tensor] : all)
    places.push_back(
        {{tensor.offset, tensor.offset + tensor.elements * sizeof(float)},
         name});
  std::sort(places.begin(), places.end());
  for (const auto &[place, name] : places) {
    if (place.first < begin)
      fail("tensor '" + name + "' overlaps the one before it");
    if (place.first > begin)
      fail("bytes before tensor '" + name + "' belong to none");
    begin = place.second;
  }
  if (begin != end)
    fail(std::to_string(end - begin) + " bytes at its end belong to no tensor");
}

void SafetensorsFile::read(const Tensor &tensor, float *to) const {
  readBytes(to, tensor.elements * sizeof(float), tensor.offset);
}
