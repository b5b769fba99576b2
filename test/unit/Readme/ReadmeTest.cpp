//===- ReadmeTest.cpp - The README's example compiles and runs ------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// test/docs/readme.test compares the README's text with this file.
//
//===----------------------------------------------------------------------===//

#include "cambium/Builder.h"
#include "cambium/Trainer.h"

#include "gtest/gtest.h"

#include <cstdio>

static cambium::Network describe() {
  cambium::Builder builder;
  builder.group({"base", cambium::Sgd{0.9f}, 0.05f});
  cambium::Value images = builder.input({28, 28, 1});
  cambium::Value sum =
      builder.map("block", cambium::Builder::Reduction::Sum, 2, images,
                  [](const cambium::Value &x) {
                    return x.conv2d("w", 16, {3, 3}, {{1, 1}, {1, 1}});
                  });
  return builder.softmaxCrossEntropy(
      sum.relu().globalAvgPool().linear("head.w", 10));
}

static void stepAndGrow(cambium::Trainer &trainer,
                        const cambium::TensorView &images,
                        const cambium::TensorView &labels) {
  float loss = trainer.step(images, labels); // forward, backward, update

  // The new branches have rates of their own; those of "base" stay.
  std::string late = trainer.addGroup({"late", cambium::Sgd{0.9f}, 0.01f});
  cambium::GrowthReport report =
      trainer.grow({"block", 2, late, cambium::Init::zero()});
  std::printf("loss %.3f: +%d parameters, %d kernels compiled, %d reused\n",
              loss, int(report.parametersAdded), int(report.kernelsCompiled),
              int(report.kernelsReused));
}

TEST(ReadmeTest, Grows) {
  constexpr int64_t size = 16;
  std::vector<float> pixels(size * 28 * 28);
  for (size_t i = 0; i < pixels.size(); ++i)
    pixels[i] = static_cast<float>(i * 37 % 101) / 50.0f - 1.0f;
  std::vector<int32_t> classes(size);
  for (size_t i = 0; i < classes.size(); ++i)
    classes[i] = static_cast<int32_t>(i % 10);
  cambium::TensorView images(pixels.data(), {size, 28, 28, 1});
  cambium::TensorView labels(classes.data(), {size});

  cambium::Trainer trainer(describe());
  float before = trainer.step(images, labels);
  testing::internal::CaptureStdout();
  stepAndGrow(trainer, images, labels);
  std::string printed = testing::internal::GetCapturedStdout();
  EXPECT_NE(printed.find("+288 parameters, 0 kernels compiled"),
            std::string::npos)
      << printed;
  EXPECT_LT(trainer.step(images, labels), before);
  EXPECT_FLOAT_EQ(trainer.learningRate("base"), 0.05f);
  EXPECT_FLOAT_EQ(trainer.learningRate("late"), 0.01f);
}
