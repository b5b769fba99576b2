//===- SafetensorsTest.cpp - Files of tensors, good and bad ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Runtime/Safetensors.h"

#include "cambium/Error.h"
#include "cambium/Runtime/AtomicFile.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sys/wait.h>
#include <unistd.h>

using namespace cambium;

namespace {

class SafetensorsTest : public ::testing::Test {
protected:
  SafetensorsTest() {
    const auto *info = ::testing::UnitTest::GetInstance()->current_test_info();
    folder = ::testing::TempDir() + "safetensors-" + info->name() + "-" +
             std::to_string(getpid());
    std::filesystem::remove_all(folder);
    std::filesystem::create_directory(folder);
    path = folder + "/file.safetensors";
  }
  ~SafetensorsTest() override { std::filesystem::remove_all(folder); }

  void put(const std::string &bytes) const {
    std::ofstream(path, std::ios::binary) << bytes;
  }
  void put(const std::string &header, size_t dataBytes) const {
    put(lengthOf(header.size()) + header + std::string(dataBytes, '\0'));
  }
  static std::string lengthOf(uint64_t length) {
    return {reinterpret_cast<const char *>(&length), sizeof(length)};
  }
  std::string bytes() const {
    std::ifstream in(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  std::vector<std::string> files() const {
    std::vector<std::string> names;
    for (const auto &entry : std::filesystem::directory_iterator(folder))
      names.push_back(entry.path().filename().string());
    std::sort(names.begin(), names.end());
    return names;
  }
  /// The reason for which the file at the path is refused; empty if it is not.
  std::string reason() const {
    try {
      SafetensorsFile file(path);
    } catch (const Error &error) {
      return error.what();
    }
    return "";
  }
  void expectReason(const std::string &part) const {
    std::string why = reason();
    EXPECT_NE(why.find(part), std::string::npos) << "the reason is: " << why;
    EXPECT_NE(why.find(path), std::string::npos) << "the reason is: " << why;
  }

  std::string folder, path;
};

SafetensorsItem item(const std::string &name, std::vector<int64_t> shape,
                     std::vector<float> values) {
  return {name, std::move(shape), [values = std::move(values)](float *to) {
            std::copy(values.begin(), values.end(), to);
          }};
}

TEST_F(SafetensorsTest, ReadsWhatWasWritten) {
  const float nan = std::nanf("0x1234");
  std::vector<float> values = {1.0f, -0.0f, nan, INFINITY, 1e-40f, -2.5f};
  writeSafetensors(path, {{"key", "text \"quoted\"\n"}},
                   {item("a", {2, 3}, values), item("b.c", {}, {7.0f}),
                    item("none", {4, 0}, {})});
  EXPECT_EQ(files(), std::vector<std::string>{"file.safetensors"});
  SafetensorsFile file(path);
  EXPECT_EQ(file.metadata().at("key"), "text \"quoted\"\n");
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.tensors().at("a").shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(file.tensors().at("a").offset % 8, 0u);
  EXPECT_EQ(file.tensors().at("none").elements, 0);
  std::vector<float> read(6);
  file.read(file.tensors().at("a"), read.data());
  EXPECT_EQ(std::memcmp(read.data(), values.data(), 24), 0);
  file.read(file.tensors().at("b.c"), read.data());
  EXPECT_EQ(read[0], 7.0f);
}

TEST_F(SafetensorsTest, HasTheFormatsBytes) {
  writeSafetensors(path, {}, {item("w", {2}, {1.0f, 2.0f})});
  std::string header = R"({"__metadata__":{},"w":{"dtype":"F32","shape":[2],)"
                       R"("data_offsets":[0,8]}})";
  header.resize((header.size() + 7) / 8 * 8, ' ');
  EXPECT_EQ(bytes(), lengthOf(header.size()) + header +
                         std::string("\0\0\x80\x3f\0\0\0\x40", 8));
}

TEST_F(SafetensorsTest, RefusesEveryTruncation) {
  writeSafetensors(
      path, {{"a", "b"}},
      {item("x", {3}, {1.0f, 2.0f, 3.0f}), item("y", {1}, {4.0f})});
  std::string whole = bytes();
  EXPECT_EQ(reason(), "");
  for (size_t length = 0; length < whole.size(); ++length) {
    put(whole.substr(0, length));
    EXPECT_NE(reason(), "") << length << " bytes";
  }
  put(whole + '\0');
  expectReason("1 bytes at its end belong to no tensor");
}

TEST_F(SafetensorsTest, SurvivesEveryBitFlip) {
  writeSafetensors(path, {{"a", "b"}}, {item("x", {2}, {1.0f, 2.0f})});
  std::string whole = bytes();
  int refused = 0;
  for (size_t bit = 0; bit < whole.size() * 8; ++bit) {
    std::string flipped = whole;
    flipped[bit / 8] ^= char(1 << bit % 8);
    put(flipped);
    refused += !reason().empty();
  }
  // What is left are names, texts, spaces and values.
  EXPECT_GT(refused, 400);
}

TEST_F(SafetensorsTest, RefusesBadHeaders) {
  put("short");
  expectReason("shorter than the 8 bytes");
  put(lengthOf(100) + "{}");
  expectReason("truncated");
  put(lengthOf(uint64_t(1) << 60) + "{}");
  expectReason("more than the format allows");
  put(lengthOf(~uint64_t(0)) + "{}");
  expectReason("more than the format allows");
  put("", 0);
  expectReason("its header is not JSON");
  put("{\"a\":", 0);
  expectReason("its header is not JSON");
  put("{\"\xff\":{}}", 0);
  expectReason("its header is not JSON");
  put("[1]", 0);
  expectReason("no JSON object");
  put("{} {}", 0);
  expectReason("its header is not JSON");
  put(std::string(1000000, '['), 0);
  expectReason("nested too deeply");
  put(R"({"__metadata__":3})", 0);
  expectReason("metadata are no JSON object");
  put(R"({"__metadata__":{"a":3}})", 0);
  expectReason("metadata 'a' are no string");
}

TEST_F(SafetensorsTest, RefusesBadTensors) {
  auto tensor = [](const char *name, const char *type, const char *shape,
                   const char *offsets) {
    return std::string("\"") + name + R"(":{"dtype":")" + type +
           R"(","shape":)" + shape + R"(,"data_offsets":)" + offsets + "}";
  };
  auto one = [&](const char *type, const char *shape, const char *offsets) {
    put("{" + tensor("x", type, shape, offsets) + "}", 8);
  };
  one("F32", "[2]", "[0,8]");
  EXPECT_EQ(reason(), "");
  one("F16", "[4]", "[0,8]");
  expectReason("tensor 'x': it is of type F16");
  one("F32", "[3]", "[0,8]");
  expectReason("disagree");
  one("F32", "[-2]", "[0,8]");
  expectReason("whole numbers from 0 up");
  one("F32", "[2.0]", "[0,8]");
  expectReason("whole numbers from 0 up");
  one("F32", "[18446744073709551615]", "[0,8]");
  expectReason("whole numbers from 0 up");
  one("F32", "[4294967296,4294967296]", "[0,8]");
  expectReason("too large");
  one("F32", "[4294967296,2147483648,2]", "[0,0]");
  expectReason("too large");
  one("F32", "[3]", "[0,12]");
  expectReason("beyond the end of the file");
  one("F32", "[2]", "[8,0]");
  expectReason("not begin and end");
  one("F32", "[2]", "[0,4,8]");
  expectReason("not begin and end");
  one("F32", "[1]", "[4,8]");
  expectReason("bytes before tensor 'x' belong to none");
  one("F32", "[1]", "[0,4]");
  expectReason("4 bytes at its end belong to no tensor");
  put(R"({"x":3})", 0);
  expectReason("it is no object");
  put(R"({"x":{"shape":[],"data_offsets":[0,4]}})", 4);
  expectReason("no 'dtype'");
  put("{" + tensor("x", "F32", "[2]", "[0,8]") + "," +
          tensor("y", "F32", "[1]", "[4,8]") + "}",
      8);
  expectReason("tensor 'y' overlaps");
  put("{" + tensor("x", "F32", "[1]", "[0,4]") + "," +
          tensor("x", "F32", "[1]", "[4,8]") + "}",
      8);
  expectReason("'x' is there twice");
}

TEST_F(SafetensorsTest, RefusesWhatIsNoFile) {
  expectReason("No such file");
  std::filesystem::create_directory(path);
  expectReason("it is not a file");
}

TEST_F(SafetensorsTest, FailedWritesLeaveTheOldFile) {
  writeSafetensors(path, {}, {item("x", {1}, {1.0f})});
  std::string old = bytes();
  EXPECT_THROW(writeSafetensors(path, {{"a", "\xff"}}, {}), Error);
  EXPECT_THROW(writeSafetensors(
                   path, {}, {item("x", {1}, {2.0f}), item("x", {1}, {3.0f})}),
               Error);
  EXPECT_THROW(writeSafetensors(path, {}, {item("__metadata__", {1}, {2.0f})}),
               Error);
  EXPECT_THROW(writeSafetensors(
                   path, {}, {{"x", {1}, [](float *) { throw Error("no"); }}}),
               Error);
  EXPECT_THROW(writeSafetensors(folder + "/missing/file", {}, {}), Error);
  EXPECT_EQ(bytes(), old);
  EXPECT_EQ(files(), std::vector<std::string>{"file.safetensors"});
}

TEST_F(SafetensorsTest, OneWritesAtATime) {
  AtomicFile first(path);
  EXPECT_THROW(AtomicFile second(path), Error);
  first.write("one", 3);
  first.commit();
  AtomicFile second(path);
  second.write("other", 5);
  EXPECT_EQ(bytes(), "one");
  second.commit();
  EXPECT_EQ(bytes(), "other");
}

/// Replaces the file for ever by a tensor whose elements are all one number,
/// each time another.
[[noreturn]] void writeForEver(const std::string &path) {
  for (float value = 2.0f;; ++value)
    writeSafetensors(path, {}, {{"x", {4096}, [value](float *to) {
                                   std::fill_n(to, 4096, value);
                                 }}});
}

TEST_F(SafetensorsTest, KilledWritersLeaveAWholeFile) {
  writeSafetensors(path, {}, {item("x", {1}, {1.0f})});
  bool replaced = false;
  for (int trial = 0; trial < 60; ++trial) {
    pid_t child = fork();
    ASSERT_GE(child, 0);
    if (child == 0)
      writeForEver(path);
    usleep(300 + 531 * trial % 7001);
    kill(child, SIGKILL);
    ASSERT_EQ(waitpid(child, nullptr, 0), child);
    ASSERT_EQ(reason(), "") << "after trial " << trial;
    SafetensorsFile file(path);
    const SafetensorsFile::Tensor &tensor = file.tensors().at("x");
    std::vector<float> values(tensor.elements);
    file.read(tensor, values.data());
    for (float value : values)
      ASSERT_EQ(value, values[0]) << "after trial " << trial;
    replaced |= values[0] > 1.0f;
  }
  EXPECT_TRUE(replaced);
  // What the last one left beside it does not matter.
  writeSafetensors(path, {}, {item("x", {1}, {5.0f})});
  EXPECT_EQ(files(), std::vector<std::string>{"file.safetensors"});
}

} // namespace
