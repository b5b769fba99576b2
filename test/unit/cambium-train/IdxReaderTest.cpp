//===- IdxReaderTest.cpp - Reading, checking and batching IDX data --------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "IdxReader.h"
#include "Batches.h"
#include "Dataset.h"
#include "cambium/Error.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>
#include <zlib.h>

using namespace cambium::train;

namespace {

/// A folder of its own for each test.
class IdxReaderTest : public testing::Test {
protected:
  void SetUp() override {
    const auto *test = testing::UnitTest::GetInstance()->current_test_info();
    folder = std::filesystem::path(testing::TempDir()) / test->name();
    std::filesystem::remove_all(folder);
    std::filesystem::create_directories(folder);
  }
  void TearDown() override { std::filesystem::remove_all(folder); }

  std::string write(const std::string &name, const std::string &content) {
    std::string path = (folder / name).string();
    std::ofstream(path, std::ios::binary) << content;
    return path;
  }

  /// A plain data set of 2x3 images whose pixels count up from 0.
  void writeSet(const std::string &prefix, uint32_t images, uint32_t labels);

  std::filesystem::path folder;
};

std::string header(uint8_t type, const std::vector<uint32_t> &extents) {
  std::string text = {'\0', '\0', static_cast<char>(type),
                      static_cast<char>(extents.size())};
  for (uint32_t extent : extents)
    for (int shift : {24, 16, 8, 0})
      text += static_cast<char>(extent >> shift);
  return text;
}

std::string counting(size_t count) {
  std::string text;
  for (size_t i = 0; i < count; ++i)
    text += static_cast<char>(i);
  return text;
}

void IdxReaderTest::writeSet(const std::string &prefix, uint32_t images,
                             uint32_t labels) {
  write(prefix + "-images-idx3-ubyte",
        header(8, {images, 2, 3}) + counting(images * 6));
  std::string classes;
  for (uint32_t i = 0; i < labels; ++i)
    classes += static_cast<char>(i % 10);
  write(prefix + "-labels-idx1-ubyte", header(8, {labels}) + classes);
}

std::string gzipped(const std::string &text) {
  z_stream stream = {};
  deflateInit2(&stream, 9, Z_DEFLATED, MAX_WBITS + 16, 8, Z_DEFAULT_STRATEGY);
  std::string result(deflateBound(&stream, text.size()), '\0');
  stream.next_in = reinterpret_cast<Bytef *>(const_cast<char *>(text.data()));
  stream.avail_in = static_cast<uInt>(text.size());
  stream.next_out = reinterpret_cast<Bytef *>(result.data());
  stream.avail_out = static_cast<uInt>(result.size());
  deflate(&stream, Z_FINISH);
  result.resize(stream.total_out);
  deflateEnd(&stream);
  return result;
}

/// The message of the error that `action` throws.
template <typename Action> std::string messageOf(Action action) {
  try {
    action();
  } catch (const cambium::Error &error) {
    return error.what();
  }
  return "no error";
}

#define EXPECT_MESSAGE(action, part)                                           \
  EXPECT_NE(messageOf([&] { action; }).find(part), std::string::npos)          \
      << messageOf([&] { action; })

TEST_F(IdxReaderTest, ReadsPlainAndGzipAlike) {
  std::string text = header(8, {2, 2, 3}) + counting(12);
  std::string half = text.substr(0, 9), rest = text.substr(9);
  for (const std::string &content :
       {text, gzipped(text), gzipped(half) + gzipped(rest)}) {
    IdxArray images = readIdxImages(write("images", content));
    EXPECT_EQ(images.shape, (std::vector<int64_t>{2, 2, 3, 1}));
    ASSERT_EQ(images.values.size(), 12u);
    EXPECT_EQ(images.values[0], 0);
    EXPECT_EQ(images.values[11], 11);
  }
}

TEST_F(IdxReaderTest, ReadsChannels) {
  IdxArray images =
      readIdxImages(write("rgb", header(8, {1, 2, 2, 3}) + counting(12)));
  EXPECT_EQ(images.shape, (std::vector<int64_t>{1, 2, 2, 3}));
}

TEST_F(IdxReaderTest, ReadsLabels) {
  IdxArray labels = readIdxLabels(write("labels", header(8, {3}) + "\1\2\3"));
  EXPECT_EQ(labels.shape, std::vector<int64_t>{3});
  EXPECT_EQ(labels.values, (std::vector<uint8_t>{1, 2, 3}));
}

TEST_F(IdxReaderTest, NamesTheFile) {
  EXPECT_MESSAGE(readIdxLabels(write("empty", "")), "empty': is empty");
}

TEST_F(IdxReaderTest, RefusesWhatIsNotThere) {
  EXPECT_MESSAGE(readIdxLabels((folder / "absent").string()),
                 "cannot be read: No such file");
  EXPECT_MESSAGE(readIdxLabels(folder.string()), "not a regular file");
}

TEST_F(IdxReaderTest, RefusesWrongHeaders) {
  EXPECT_MESSAGE(readIdxImages(write("f", "GIF89a, not IDX")),
                 "is not an IDX file: it starts with bytes 47 49 46 38, but "
                 "IDX images start with 00 00 08 03");
  EXPECT_MESSAGE(readIdxImages(write("f", "ab")), "truncated: 2 bytes");
  EXPECT_MESSAGE(readIdxImages(write("f", header(0x0d, {1, 1, 1}) + "abcd")),
                 "holds floats, but images must be unsigned bytes");
  EXPECT_MESSAGE(readIdxImages(write("f", header(8, {3}) + "abc")),
                 "has 1 dimension, but images have 3 dimensions");
  EXPECT_MESSAGE(readIdxLabels(write("f", header(8, {1, 1, 3}) + "abc")),
                 "has 3 dimensions, but labels have 1 dimension");
  EXPECT_MESSAGE(readIdxImages(write("f", header(8, {3, 0, 3}))),
                 "the extent of dimension 2 of 3 is 0");
  EXPECT_MESSAGE(
      readIdxImages(write("f", header(8, {3, 1, 3}).substr(0, 10))),
      "truncated: the header ends before the extent of dimension 2 of 3");
  EXPECT_MESSAGE(
      readIdxImages(write("f", header(8, {~0u, ~0u, ~0u, ~0u}) + "abc")),
      "more than any data set holds");
}

TEST_F(IdxReaderTest, RefusesWrongLengths) {
  std::string text = header(8, {2, 2, 3});
  EXPECT_MESSAGE(readIdxImages(write("f", text + counting(11))),
                 "truncated: 2x2x3 images need 12 bytes after the header, but "
                 "only 11 are there");
  EXPECT_MESSAGE(readIdxImages(write("f", text + counting(13))),
                 "trailing garbage: more bytes follow the 12 that 2x2x3 images "
                 "need");
  EXPECT_MESSAGE(readIdxImages(write("f", gzipped(text + counting(11)))),
                 "only 11 are there");
  EXPECT_MESSAGE(readIdxImages(write("f", gzipped(text + counting(13)))),
                 "trailing garbage");
}

TEST_F(IdxReaderTest, AnAbsurdCountCostsNoMemory) {
  // 2^32 - 1 images of 28x28 would be 3 TiB.
  EXPECT_MESSAGE(
      readIdxImages(write("f", header(8, {~0u, 16, 16}) + counting(100))),
      "only 100 are there");
}

TEST_F(IdxReaderTest, RefusesDamagedGzip) {
  std::string good = gzipped(header(8, {2, 2, 3}) + counting(12));
  EXPECT_MESSAGE(readIdxImages(write("f", good.substr(0, good.size() - 5))),
                 "truncated gzip data");
  EXPECT_MESSAGE(readIdxImages(write("f", good + "tail")),
                 "bytes that are not gzip follow");
  std::string wrongSum = good;
  wrongSum[good.size() - 6] ^= 1;
  EXPECT_MESSAGE(readIdxImages(write("f", wrongSum)),
                 "corrupt gzip data: incorrect data check");
  std::string wrongBlock = good;
  wrongBlock[10] = '\x07';
  EXPECT_MESSAGE(readIdxImages(write("f", wrongBlock)),
                 "corrupt gzip data: invalid block type");
}

TEST_F(IdxReaderTest, LoadsASet) {
  writeSet("train", 5, 5);
  writeSet("t10k", 3, 3);
  Dataset data = loadDataset(folder.string());
  EXPECT_EQ(data.train.count, 5);
  EXPECT_EQ(data.test.count, 3);
  EXPECT_EQ(data.train.height, 2);
  EXPECT_EQ(data.train.width, 3);
  EXPECT_EQ(data.train.channels, 1);

  Dataset limited = loadDataset(folder.string(), 2, 9);
  EXPECT_EQ(limited.train.count, 2);
  EXPECT_EQ(limited.train.labels.size(), 2u);
  EXPECT_EQ(limited.train.pixels.size(), 12u);
  EXPECT_EQ(limited.test.count, 3);
}

TEST_F(IdxReaderTest, RefusesSetsThatDoNotFit) {
  EXPECT_MESSAGE(loadDataset((folder / "absent").string()),
                 "is not a directory");
  EXPECT_MESSAGE(loadDataset(folder.string()),
                 "holds no training images: expected "
                 "'train-images-idx3-ubyte' or 'train-images-idx3-ubyte.gz'");
  writeSet("train", 5, 4);
  writeSet("t10k", 3, 3);
  EXPECT_MESSAGE(loadDataset(folder.string()), "holds 4 labels, but ");
  writeSet("train", 5, 5);
  write("t10k-images-idx3-ubyte", header(8, {3, 3, 3}) + counting(27));
  EXPECT_MESSAGE(loadDataset(folder.string()), "test images are 3x3x1, but ");
}

TEST_F(IdxReaderTest, ChecksLabels) {
  writeSet("train", 5, 5);
  writeSet("t10k", 3, 3);
  Dataset data = loadDataset(folder.string());
  data.train.checkLabels(5);
  EXPECT_MESSAGE(data.train.checkLabels(4),
                 "label 4 of image 4 is out of range: the network has 4 "
                 "classes, so labels are 0 to 3");
}

ImageSet numbered(int64_t count, int64_t height, int64_t width) {
  ImageSet set;
  set.count = count;
  set.height = height;
  set.width = width;
  set.channels = 1;
  for (int64_t i = 0; i < count; ++i) {
    set.labels.push_back(static_cast<int32_t>(i));
    for (int64_t p = 0; p < height * width; ++p)
      set.pixels.push_back(static_cast<uint8_t>(i * 7 + p * 3));
  }
  return set;
}

TEST(Normalization, HasMeanZeroAndDeviationOneForEachChannel) {
  ImageSet set = numbered(50, 4, 4);
  set.width = 2;
  set.channels = 2;
  Normalization normalization(set);
  for (int64_t c = 0; c < 2; ++c) {
    double sum = 0.0, squares = 0.0;
    int64_t count = 0;
    for (size_t i = c; i < set.pixels.size(); i += 2, ++count) {
      double value = normalization.table(c)[set.pixels[i]];
      sum += value;
      squares += value * value;
    }
    EXPECT_NEAR(sum / count, 0.0, 1e-5);
    EXPECT_NEAR(squares / count, 1.0, 1e-5);
  }
}

TEST(Normalization, LeavesOneColourAtZero) {
  ImageSet set = numbered(2, 2, 2);
  std::fill(set.pixels.begin(), set.pixels.end(), 200);
  EXPECT_EQ(Normalization(set).table(0)[200], 0.0f);
}

std::vector<int32_t> labelsOf(Batches &batches, int64_t epoch) {
  std::vector<int32_t> labels;
  batches.start(epoch);
  for (Batch batch; batches.next(batch);)
    labels.insert(labels.end(), batch.labels.begin(), batch.labels.end());
  return labels;
}

TEST(Batches, FileOrderKeepsEveryImage) {
  ImageSet set = numbered(10, 2, 2);
  Normalization normalization(set);
  Batches batches(set, normalization, {4, Batches::Order::File, false, 0});
  EXPECT_EQ(batches.perEpoch(), 3);
  EXPECT_EQ(labelsOf(batches, 0), set.labels);
}

TEST(Batches, ShufflesBySeedAndEpochAndLeavesOutThePartialBatch) {
  ImageSet set = numbered(10, 2, 2);
  Normalization normalization(set);
  Batches::Options options = {4, Batches::Order::Shuffled, false, 3};
  Batches batches(set, normalization, options), same(batches);
  options.seed = 4;
  Batches other(set, normalization, options);
  EXPECT_EQ(batches.perEpoch(), 2);
  std::vector<int32_t> first = labelsOf(batches, 0);
  EXPECT_EQ(std::set<int32_t>(first.begin(), first.end()).size(), 8u);
  EXPECT_NE(first, labelsOf(batches, 1));
  EXPECT_NE(first, labelsOf(other, 0));
  EXPECT_EQ(first, labelsOf(same, 0));
}

TEST(Batches, ASetSmallerThanABatchIsOneBatch) {
  ImageSet set = numbered(3, 2, 2);
  Normalization normalization(set);
  Batches batches(set, normalization, {8, Batches::Order::Shuffled, false, 0});
  EXPECT_EQ(labelsOf(batches, 0).size(), 3u);
}

TEST(Batches, ImagesStayWithTheirLabels) {
  ImageSet set = numbered(10, 2, 2);
  Normalization normalization(set);
  Batches batches(set, normalization, {5, Batches::Order::Shuffled, false, 1});
  Batch batch;
  while (batches.next(batch)) {
    EXPECT_EQ(batch.shape, (std::vector<int64_t>{5, 2, 2, 1}));
    for (int64_t i = 0; i < 5; ++i)
      for (int64_t p = 0; p < 4; ++p)
        EXPECT_EQ(batch.images[i * 4 + p],
                  normalization.table(0)[set.pixels[batch.labels[i] * 4 + p]]);
  }
}

TEST(Batches, AugmentationFlipsAndShifts) {
  ImageSet set = numbered(1, 5, 5);
  std::fill(set.pixels.begin(), set.pixels.end(), 0);
  set.pixels[2 * 5 + 1] = 255; // row 2, column 1; flipped: column 3
  Normalization normalization(set);
  Batches::Options options = {1, Batches::Order::Shuffled, true, 9};
  Batches batches(set, normalization, options),
      same(set, normalization, options);
  std::set<std::pair<int64_t, int64_t>> places;
  const float lit = normalization.table(0)[255];
  for (int64_t epoch = 0; epoch < 400; ++epoch) {
    Batch batch, again;
    batches.start(epoch);
    same.start(epoch);
    ASSERT_TRUE(batches.next(batch));
    ASSERT_TRUE(same.next(again));
    EXPECT_EQ(batch.images, again.images);
    auto found = std::find(batch.images.begin(), batch.images.end(), lit);
    EXPECT_EQ(std::count(found, batch.images.end(), lit),
              found == batch.images.end() ? 0 : 1);
    if (found == batch.images.end())
      continue; // shifted over the edge
    int64_t at = found - batch.images.begin();
    places.insert({at / 5, at % 5});
  }
  // Rows 0 to 4; columns -1 to 3 and, flipped, 1 to 5: all within the image.
  EXPECT_EQ(places.size(), 25u);
}

} // namespace
