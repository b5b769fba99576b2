//===- CudnnTrainerTest.cpp - Training with convolutions of cuDNN ---------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Networks trained on libcambium-simt.so, which is a CUDA device, NVRTC and
// cuDNN on this processor, beside the same networks trained on the host. The
// tests are in the order in which a process can do them: cuDNN, once loaded,
// stays.
//
//===----------------------------------------------------------------------===//

#include "cambium/Builder.h"
#include "cambium/Trainer.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <random>

using namespace cambium;

namespace {

class Simt : public ::testing::Environment {
  void SetUp() override {
    setenv("CAMBIUM_CUDA_DRIVER", CAMBIUM_SIMT_LIBRARY, /*overwrite=*/1);
    setenv("CAMBIUM_NVRTC", CAMBIUM_SIMT_LIBRARY, /*overwrite=*/1);
    setenv("CAMBIUM_CUDNN", "/nowhere/libcudnn.so", /*overwrite=*/1);
    setenv("CAMBIUM_SIMT_CACHE", CAMBIUM_SIMT_KERNELS, /*overwrite=*/0);
  }
};
const auto *const simt = ::testing::AddGlobalTestEnvironment(new Simt);

void provideCudnn() {
  setenv("CAMBIUM_CUDNN", CAMBIUM_SIMT_LIBRARY, /*overwrite=*/1);
}

/// A collapsed layer with a rectifier behind it, a strided one of two groups
/// without, and a head.
Network makeNetwork() {
  Builder builder;
  builder.group({"base", Sgd{0.9f, true}, 0.05f, 5e-4f});
  Value x = builder.input({7, 6, 3});
  Value y = builder
                .map("collapsed", Builder::Reduction::Sum, 2, x,
                     [](const Value &in) {
                       return in.conv2d("w", 8, {3, 3}, {{1, 1}, {1, 1}});
                     })
                .relu();
  y = y.conv2d("strided", 6, {3, 2}, {{2, 1}, {1, 0}, {1, 1}, 2});
  return builder.softmaxCrossEntropy(
      y.flatten().linear("head.w", 4).bias("head.b"));
}

/// One plain layer, dilated.
Network makeDilated() {
  Builder builder;
  builder.group({"base", Sgd{0.9f}, 0.05f, 0.0f});
  Value y =
      builder.input({7, 6, 3}).conv2d("w", 4, {3, 3}, {{1, 1}, {1, 1}, {2, 1}});
  return builder.softmaxCrossEntropy(y.globalAvgPool());
}

/// One plain layer and nothing else that takes time.
Network makePlain(int64_t filters) {
  Builder builder;
  builder.group({"base", Sgd{0.9f}, 0.05f, 0.0f});
  Value y =
      builder.input({7, 6, 3}).conv2d("w", filters, {3, 3}, {{1, 1}, {1, 1}});
  return builder.softmaxCrossEntropy(y.globalAvgPool());
}

struct Batch {
  explicit Batch(int64_t size, unsigned seed = 1) : shape{size, 7, 6, 3} {
    std::mt19937 random(seed);
    images.resize(size * 7 * 6 * 3);
    for (float &value : images)
      value = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    for (int64_t i = 0; i < size; ++i)
      labels.push_back(random() % 2);
  }
  TensorView inputs() const { return {images.data(), shape}; }
  TensorView targets() const { return {labels.data(), {shape[0]}}; }

  std::vector<int64_t> shape;
  std::vector<float> images;
  std::vector<int32_t> labels;
};

TrainerOptions onHost() {
  TrainerOptions options;
  options.target = Target::host(1);
  options.seed = 7;
  return options;
}

TrainerOptions onCuda(ConvLibrary library,
                      Precision precision = Precision::Fp32) {
  TrainerOptions options;
  options.target = Target::cuda();
  options.seed = 7;
  options.compile.precision = precision;
  options.compile.convLibrary = library;
  return options;
}

/// The largest difference of a parameter, as a share of its largest element.
double distance(const Trainer &got, const Trainer &want) {
  EXPECT_EQ(got.parameterNames(), want.parameterNames());
  double most = 0.0;
  for (const std::string &name : want.parameterNames()) {
    std::vector<float> mine = got.parameter(name).data;
    std::vector<float> theirs = want.parameter(name).data;
    double largest = 1e-3, difference = 0.0;
    for (size_t i = 0; i < theirs.size(); ++i) {
      largest = std::max<double>(largest, std::abs(theirs[i]));
      double here = std::abs(double(mine[i]) - theirs[i]);
      // Not std::max, which loses a NaN.
      difference = here <= difference ? difference : here;
    }
    most = difference / largest <= most ? most : difference / largest;
  }
  return most;
}

std::vector<float> allBits(const Trainer &trainer) {
  std::vector<float> bits;
  for (const std::string &name : trainer.parameterNames()) {
    std::vector<float> values = trainer.parameter(name).data;
    bits.insert(bits.end(), values.begin(), values.end());
  }
  return bits;
}

void step(Trainer &trainer, int64_t size, unsigned seed = 1) {
  Batch batch(size, seed);
  trainer.step(batch.inputs(), batch.targets());
}

bool contains(const std::string &text, const std::string &part) {
  return text.find(part) != std::string::npos;
}

//===----------------------------------------------------------------------===//
// Without cuDNN
//===----------------------------------------------------------------------===//

TEST(WithoutCudnn, AskingForItIsAnErrorThatNamesTheMend) {
  try {
    Trainer trainer(makePlain(4), onCuda(ConvLibrary::Cudnn));
    FAIL() << "there is no cuDNN";
  } catch (const Error &error) {
    std::string text = error.what();
    for (const char *part :
         {"cannot load cuDNN", "/nowhere/libcudnn.so", "install cuDNN 9",
          "CAMBIUM_CUDNN", "conv-library=generated or auto"})
      EXPECT_TRUE(contains(text, part)) << part << "\n" << text;
  }
}

TEST(WithoutCudnn, AutoIsGeneratedAndSaysWhy) {
  Trainer generated(makePlain(4), onCuda(ConvLibrary::Generated));
  Trainer automatic(makePlain(4), onCuda(ConvLibrary::Auto));
  for (Trainer *trainer : {&generated, &automatic})
    step(*trainer, 2);
  EXPECT_EQ(allBits(automatic), allBits(generated));
  EXPECT_EQ(generated.convolutions(), "generated kernels");
  EXPECT_TRUE(contains(automatic.convolutions(),
                       "generated kernels: cannot load cuDNN"))
      << automatic.convolutions();
}

TEST(WithoutCudnn, TheHostHasNoUseForIt) {
  TrainerOptions options = onHost();
  options.compile.convLibrary = ConvLibrary::Cudnn;
  Trainer asked(makePlain(4), options), host(makePlain(4), onHost());
  for (Trainer *trainer : {&asked, &host})
    step(*trainer, 2);
  EXPECT_EQ(allBits(asked), allBits(host));
}

//===----------------------------------------------------------------------===//
// With cuDNN
//===----------------------------------------------------------------------===//

TEST(Cudnn, TrainsAndGrowsAsTheHost) {
  provideCudnn();
  Trainer host(makeNetwork(), onHost());
  Trainer cudnn(makeNetwork(), onCuda(ConvLibrary::Cudnn));
  for (unsigned seed = 0; seed < 3; ++seed)
    for (Trainer *trainer : {&host, &cudnn})
      step(*trainer, 3, seed);
  // Forward and the filter's gradient of three layers, dx of two.
  EXPECT_EQ(cudnn.convolutions(), "cuDNN 9.14.0 for 8 of 8 convolutions");
  EXPECT_LE(distance(cudnn, host), 1e-4);
  for (Trainer *trainer : {&host, &cudnn}) {
    std::string late = trainer->addGroup({"late", AdamW{}, 2e-3f});
    trainer->grow({"collapsed", 1, late, Init::kaiming()});
    step(*trainer, 3, 4);
    step(*trainer, 2, 5);
    step(*trainer, 3, 6);
  }
  EXPECT_LE(distance(cudnn, host), 1e-4);
  Batch batch(2, 9);
  std::vector<float> got = cudnn.predict(batch.inputs()).data;
  std::vector<float> want = host.predict(batch.inputs()).data;
  for (size_t i = 0; i < want.size(); ++i)
    EXPECT_NEAR(got[i], want[i], 1e-3) << i;
}

/// Bits after steps of several batch sizes, the arena moving on the way.
std::vector<float> bitsAfterSteps(const char *graphs) {
  setenv("CAMBIUM_CUDA_GRAPHS", graphs, /*overwrite=*/1);
  Trainer trainer(makeNetwork(), onCuda(ConvLibrary::Cudnn));
  unsetenv("CAMBIUM_CUDA_GRAPHS");
  unsigned seed = 0;
  for (int64_t size : {2, 2, 2, 3, 2, 3})
    step(trainer, size, seed++);
  return allBits(trainer);
}

TEST(Cudnn, GraphsHoldItsConvolutions) {
  provideCudnn();
  std::vector<float> direct = bitsAfterSteps("0");
  EXPECT_EQ(bitsAfterSteps("1"), direct);
}

TEST(Cudnn, TensorCoresRoundWhereThePrecisionAllowsIt) {
  provideCudnn();
  Trainer exact(makePlain(4), onCuda(ConvLibrary::Cudnn));
  Trainer rounded(makePlain(4), onCuda(ConvLibrary::Cudnn, Precision::Tf32));
  for (Trainer *trainer : {&exact, &rounded})
    step(*trainer, 2);
  EXPECT_EQ(rounded.convolutions(), "cuDNN 9.14.0 for 2 of 2 convolutions");
  EXPECT_NE(allBits(rounded), allBits(exact));
  EXPECT_LT(distance(rounded, exact), 1e-2);
}

TEST(Cudnn, Bf16IsTheKernels) {
  provideCudnn();
  Trainer kernels(makePlain(4),
                  onCuda(ConvLibrary::Generated, Precision::Bf16));
  Trainer cudnn(makePlain(4), onCuda(ConvLibrary::Cudnn, Precision::Bf16));
  for (Trainer *trainer : {&kernels, &cudnn})
    step(*trainer, 2);
  EXPECT_EQ(allBits(cudnn), allBits(kernels));
  EXPECT_EQ(cudnn.convolutions(), "cuDNN 9.14.0 for 0 of 0 convolutions");
}

TEST(Cudnn, KernelsComputeWhatItRefuses) {
  provideCudnn();
  Trainer host(makeDilated(), onHost());
  Trainer cudnn(makeDilated(), onCuda(ConvLibrary::Cudnn));
  for (Trainer *trainer : {&host, &cudnn})
    step(*trainer, 2);
  EXPECT_EQ(cudnn.convolutions(), "cuDNN 9.14.0 for 1 of 2 convolutions");
  EXPECT_LE(distance(cudnn, host), 1e-4);
}

TEST(Cudnn, AutoKeepsTheFasterOne) {
  provideCudnn();
  // The shim's convolutions take little time unless they are told to wait.
  Trainer host(makePlain(3), onHost());
  Trainer fast(makePlain(3), onCuda(ConvLibrary::Auto));
  step(fast, 2);
  EXPECT_EQ(fast.convolutions(), "cuDNN 9.14.0 for 2 of 2 convolutions");
  setenv("CAMBIUM_SIMT_CUDNN_DELAY", "100", /*overwrite=*/1);
  // What was measured stays.
  Trainer again(makePlain(3), onCuda(ConvLibrary::Auto));
  step(again, 2);
  EXPECT_EQ(again.convolutions(), "cuDNN 9.14.0 for 2 of 2 convolutions");
  Batch image(1);
  Trainer slow(makePlain(2), onCuda(ConvLibrary::Auto));
  slow.predict(image.inputs());
  unsetenv("CAMBIUM_SIMT_CUDNN_DELAY");
  EXPECT_EQ(slow.convolutions(), "cuDNN 9.14.0 for 0 of 1 convolutions");
  step(host, 2);
  EXPECT_LE(distance(fast, host), 1e-4);
  EXPECT_EQ(allBits(again), allBits(fast));
}

TEST(Cudnn, MeasuringLeavesParametersAsTheyAre) {
  provideCudnn();
  Trainer trainer(makeNetwork(), onCuda(ConvLibrary::Auto));
  step(trainer, 2);
  std::vector<float> before = allBits(trainer);
  Batch batch(3, 5);
  std::vector<float> first = trainer.predict(batch.inputs()).data;
  trainer.evaluate(batch.inputs(), batch.targets());
  EXPECT_EQ(allBits(trainer), before);
  EXPECT_EQ(trainer.predict(batch.inputs()).data, first);
}

} // namespace
