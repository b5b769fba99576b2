//===- CudaTrainerTest.cpp - Training on a CUDA device --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Networks trained on libcambium-simt.so, a CUDA device on this processor,
// beside the same networks trained on the host.
//
//===----------------------------------------------------------------------===//

#include "cambium/Builder.h"
#include "cambium/Runtime/CudaDevice.h"
#include "cambium/Trainer.h"

#include "gtest/gtest.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <random>

using namespace cambium;

namespace {

/// Before any test, as the libraries are loaded once.
class Simt : public ::testing::Environment {
  void SetUp() override {
    setenv("CAMBIUM_CUDA_DRIVER", CAMBIUM_SIMT_LIBRARY, /*overwrite=*/1);
    setenv("CAMBIUM_NVRTC", CAMBIUM_SIMT_LIBRARY, /*overwrite=*/1);
    // The tests' networks have most kernels in common.
    setenv("CAMBIUM_SIMT_CACHE", CAMBIUM_SIMT_KERNELS, /*overwrite=*/0);
  }
};
const auto *const simt = ::testing::AddGlobalTestEnvironment(new Simt);

/// A linear and a rectified growing layer, a norm, and both optimizers.
Network makeNetwork() {
  Builder builder;
  builder.group({"base", Sgd{0.9f, true}, 0.05f, 5e-4f});
  Value x = builder.input({7, 5, 3});
  Value y =
      builder.map("linear", Builder::Reduction::Sum, 2, x, [](const Value &in) {
        return in.conv2d("w", 10, {3, 3}, {{1, 1}, {1, 1}});
      });
  y = y.batchNorm("norm").relu();
  builder.group({"adam", AdamW{}, 1e-3f, 1e-2f});
  y = builder.map(
      "rectified", Builder::Reduction::Sum, 1, y, [](const Value &in) {
        return in.conv2d("w", 6, {3, 3}, {{2, 2}, {1, 1}}).bias("b").relu();
      });
  return builder.softmaxCrossEntropy(
      y.flatten().linear("head.w", 4).bias("head.b"));
}

/// Norms and no contraction: what it takes of a device, at little to compile.
Network makeNorms() {
  Builder builder;
  builder.group({"base", Sgd{0.9f}, 0.05f, 5e-4f});
  Value x = builder.input({7, 5, 4}).batchNorm("first").relu();
  builder.group({"adam", AdamW{}, 1e-3f, 1e-2f});
  return builder.softmaxCrossEntropy(x.batchNorm("second").globalAvgPool());
}

struct Batch {
  Batch(std::vector<int64_t> shape, int32_t classes, unsigned seed = 1)
      : shape(std::move(shape)) {
    std::mt19937 random(seed);
    images.resize(TensorView(images.data(), this->shape).elements());
    for (float &value : images)
      value = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
    labels.resize(this->shape[0]);
    for (int32_t &label : labels)
      label = random() % classes;
  }
  TensorView inputs() const { return {images.data(), shape}; }
  TensorView targets() const { return {labels.data(), {shape[0]}}; }

  std::vector<int64_t> shape;
  std::vector<float> images;
  std::vector<int32_t> labels;
};

Batch normBatch(int64_t size, unsigned seed = 1) {
  return Batch({size, 7, 5, 4}, 4, seed);
}

Batch smallBatch(int64_t size, unsigned seed = 1) {
  return Batch({size, 7, 5, 3}, 4, seed);
}

TrainerOptions on(Target target, Precision precision = Precision::Fp32) {
  TrainerOptions options;
  options.target = target;
  options.seed = 7;
  options.compile.precision = precision;
  return options;
}

/// The same within a share of the largest element.
void expectClose(const std::vector<float> &got, const std::vector<float> &want,
                 double tolerance, const std::string &what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double largest = 1e-3, difference = 0.0;
  for (size_t i = 0; i < want.size(); ++i) {
    largest = std::max<double>(largest, std::abs(want[i]));
    double here = std::abs(double(got[i]) - want[i]);
    // Not std::max, which loses a NaN.
    difference = here <= difference ? difference : here;
  }
  EXPECT_LE(difference, tolerance * largest) << what;
}

void expectSameParameters(const Trainer &got, const Trainer &want,
                          double tolerance) {
  ASSERT_EQ(got.parameterNames(), want.parameterNames());
  for (const std::string &name : want.parameterNames()) {
    expectClose(got.parameter(name).data, want.parameter(name).data, tolerance,
                name);
    std::vector<Tensor> states = want.optimizerState(name);
    std::vector<Tensor> mine = got.optimizerState(name);
    ASSERT_EQ(mine.size(), states.size());
    for (size_t i = 0; i < states.size(); ++i)
      expectClose(mine[i].data, states[i].data, tolerance,
                  name + ", state " + std::to_string(i));
  }
}

std::vector<float> allBits(const Trainer &trainer) {
  std::vector<float> bits;
  for (const std::string &name : trainer.parameterNames()) {
    Tensor tensor = trainer.parameter(name);
    bits.insert(bits.end(), tensor.data.begin(), tensor.data.end());
  }
  return bits;
}

TEST(CudaTrainer, TrainsEvaluatesAndPredictsAsTheHost) {
  Trainer host(makeNetwork(), on(Target::host(1)));
  Trainer cuda(makeNetwork(), on(Target::cuda()));
  EXPECT_EQ(host.deviceName(), "host");
  EXPECT_NE(cuda.deviceName().find("sm_"), std::string::npos);
  expectSameParameters(cuda, host, 0.0);
  for (unsigned step = 0; step < 3; ++step) {
    Batch batch = smallBatch(3, step);
    float want = host.step(batch.inputs(), batch.targets());
    EXPECT_NEAR(cuda.step(batch.inputs(), batch.targets()), want, 1e-4 * want);
  }
  expectSameParameters(cuda, host, 1e-4);
  for (const char *state : {"norm.mean", "norm.variance"})
    expectClose(cuda.parameter(state).data, host.parameter(state).data, 1e-4,
                state);
  Batch batch = smallBatch(2, 9);
  Evaluation got = cuda.evaluate(batch.inputs(), batch.targets());
  Evaluation want = host.evaluate(batch.inputs(), batch.targets());
  EXPECT_NEAR(got.loss, want.loss, 1e-4 * want.loss);
  EXPECT_EQ(got.accuracy, want.accuracy);
  expectClose(cuda.predict(batch.inputs()).data,
              host.predict(batch.inputs()).data, 1e-4, "outputs");
}

TEST(CudaTrainer, GrowsAndKeepsWhatWasThere) {
  Trainer host(makeNetwork(), on(Target::host(1)));
  Trainer cuda(makeNetwork(), on(Target::cuda()));
  Batch batch = smallBatch(3);
  for (Trainer *trainer : {&host, &cuda})
    trainer->step(batch.inputs(), batch.targets());
  const float *address = cuda.parameterAddress("rectified.0.w");
  for (Trainer *trainer : {&host, &cuda}) {
    std::string group = trainer->addGroup({"late", AdamW{}, 2e-3f});
    trainer->grow({"linear", 1, group, Init::copy(1)});
    GrowthReport report =
        trainer->grow({"rectified", 2, group, Init::kaiming()});
    EXPECT_EQ(report.kernelsCompiled, 0);
  }
  EXPECT_EQ(cuda.parameterAddress("rectified.0.w"), address);
  EXPECT_EQ(cuda.parameter("linear.2.w").data,
            cuda.parameter("linear.1.w").data);
  expectSameParameters(cuda, host, 1e-4);
  for (unsigned step = 0; step < 2; ++step)
    for (Trainer *trainer : {&host, &cuda})
      trainer->step(batch.inputs(), batch.targets());
  expectSameParameters(cuda, host, 1e-4);
}

TEST(CudaTrainer, SetsParametersAndTheirSums) {
  Trainer host(makeNetwork(), on(Target::host(1)));
  Trainer cuda(makeNetwork(), on(Target::cuda()));
  Batch batch = smallBatch(2);
  for (Trainer *trainer : {&host, &cuda}) {
    Tensor values = trainer->parameter("linear.1.w");
    for (size_t i = 0; i < values.data.size(); ++i)
      values.data[i] = 0.01f * (i % 13);
    trainer->setParameter("linear.1.w", {values.data.data(), values.shape});
    EXPECT_EQ(trainer->parameter("linear.1.w").data, values.data);
  }
  expectClose(cuda.predict(batch.inputs()).data,
              host.predict(batch.inputs()).data, 1e-4, "outputs");
}

TEST(CudaTrainer, CheckpointsGoOnHereAndOnTheHost) {
  std::string path = ::testing::TempDir() + "cuda-checkpoint.safetensors";
  Trainer trainer(makeNetwork(), on(Target::cuda()));
  auto train = [](Trainer &each, unsigned first) {
    std::vector<float> losses;
    for (unsigned step = first; step < first + 2; ++step) {
      Batch batch = smallBatch(3, step);
      losses.push_back(each.step(batch.inputs(), batch.targets()));
    }
    return losses;
  };
  std::string group = trainer.addGroup({"late", AdamW{}, 2e-3f});
  trainer.grow({"linear", 1, group, Init::kaiming()});
  train(trainer, 0);
  trainer.save(path);
  Trainer cuda = Trainer::load(path, on(Target::cuda()));
  Trainer host = Trainer::load(path, on(Target::host(1)));
  expectSameParameters(cuda, trainer, 0.0);
  expectSameParameters(host, trainer, 0.0);
  std::vector<float> losses = train(trainer, 2);
  EXPECT_EQ(train(cuda, 2), losses);
  EXPECT_EQ(allBits(cuda), allBits(trainer));
  expectClose(train(host, 2), losses, 1e-4, "losses");
  std::remove(path.c_str());
}

TEST(CudaTrainer, MemoryIsThePlans) {
  Trainer host(makeNorms(), on(Target::host(1)));
  Trainer cuda(makeNorms(), on(Target::cuda()));
  Batch batch = normBatch(3);
  for (Trainer *trainer : {&host, &cuda})
    trainer->step(batch.inputs(), batch.targets());
  expectSameParameters(cuda, host, 1e-4);
  MemoryReport got = cuda.memory(), want = host.memory();
  EXPECT_EQ(got.parameters, want.parameters);
  EXPECT_EQ(got.state, want.state);
  EXPECT_EQ(got.keptForBackward, want.keptForBackward);
  EXPECT_GT(got.arena, 0);
  EXPECT_EQ(got.arena % 256, 0);
}

/// Bits after steps of several batch sizes, the arena moving on the way.
std::vector<float> bitsAfterSteps(const char *graphs) {
  setenv("CAMBIUM_CUDA_GRAPHS", graphs, /*overwrite=*/1);
  Trainer trainer(makeNorms(), on(Target::cuda()));
  unsetenv("CAMBIUM_CUDA_GRAPHS");
  std::vector<float> losses;
  unsigned seed = 0;
  for (int64_t size : {2, 2, 2, 3, 2, 2, 3}) {
    Batch batch = normBatch(size, seed++);
    losses.push_back(trainer.step(batch.inputs(), batch.targets()));
    trainer.setLearningRate("base", 0.05f / seed);
  }
  std::vector<float> bits = allBits(trainer);
  bits.insert(bits.end(), losses.begin(), losses.end());
  return bits;
}

TEST(CudaTrainer, GraphsChangeNoBit) {
  std::vector<float> direct = bitsAfterSteps("0");
  EXPECT_EQ(bitsAfterSteps("1"), direct);
}

TEST(CudaTrainer, RoundedPrecisionsStayNear) {
  Trainer host(makeNetwork(), on(Target::host(1)));
  Batch batch = smallBatch(2);
  float want = host.step(batch.inputs(), batch.targets());
  for (Precision precision : {Precision::Tf32, Precision::Bf16}) {
    Trainer cuda(makeNetwork(), on(Target::cuda(), precision));
    float got = cuda.step(batch.inputs(), batch.targets());
    EXPECT_NEAR(got, want, 2e-2 * want) << precisionName(precision);
    EXPECT_NE(got, want) << precisionName(precision);
  }
}

TEST(CudaTrainer, AStepOfTheFashionNetworkIsTheHosts) {
  Network network =
      Network::load(CAMBIUM_TEST_DIR "/../../../tools/cambium-train/"
                                     "fashion-mnist.mlir");
  Trainer host(network, on(Target::host(1)));
  Trainer cuda(network, on(Target::cuda()));
  Batch batch({2, 28, 28, 1}, 10);
  float want = host.step(batch.inputs(), batch.targets());
  EXPECT_NEAR(cuda.step(batch.inputs(), batch.targets()), want, 1e-4 * want);
  expectSameParameters(cuda, host, 1e-4);
}

TEST(CudaTrainer, RefusesDevicesThatAreNotThere) {
  for (int device : {-1, 1000})
    try {
      Trainer trainer(makeNetwork(), on(Target::cuda(device)));
      ADD_FAILURE() << "there is a device " << device;
    } catch (const Error &error) {
      EXPECT_NE(std::string(error.what()).find("there is no CUDA device"),
                std::string::npos)
          << error.what();
    }
}

TEST(CudaTrainer, MemoryThatIsShortIsAnErrorAndTheTrainerGoesOn) {
  Trainer trainer(makeNorms(), on(Target::cuda()));
  Batch batch = normBatch(2);
  trainer.step(batch.inputs(), batch.targets());
  std::vector<float> before = allBits(trainer);
  // The labels stand for more images than there are: no copy is reached.
  int64_t huge = int64_t(1) << 31;
  TensorView images(batch.images.data(), {huge, 7, 5, 4});
  EXPECT_THROW(trainer.predict(images), Error);
  EXPECT_EQ(allBits(trainer), before);
  EXPECT_TRUE(std::isfinite(trainer.step(batch.inputs(), batch.targets())));
}

} // namespace
