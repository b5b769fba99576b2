//===- LibTorchFashion.cpp - The Fashion-MNIST network in PyTorch ---------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LibTorch.h"

#include <ATen/Parallel.h>
#include <torch/optim/sgd.h>
#include <torch/types.h>

using namespace cambium::bench;
using torch::Tensor;

namespace {

/// As tools/cambium-train/fashion-mnist.mlir, with all linear branches of
/// block1 as the one convolution that they are, and block2 in form B.
class FashionNet final : public TorchFashion {
public:
  FashionNet(const TorchFashionCase &c)
      : branches(c.branches),
        images(torch::from_blob(const_cast<float *>(c.images),
                                {c.batch, 1, 28, 28})
                   .clone()),
        labels(torch::from_blob(const_cast<int32_t *>(c.labels), {c.batch},
                                torch::kInt32)
                   .to(torch::kInt64)),
        stem(filter(c, "stem.w", 1, 16)), stemBias(vector(c, "stem.b")),
        block1(filter(c, "block1.0.w", 16, 32)),
        scale(vector(c, "norm1.scale")), shift(vector(c, "norm1.shift")),
        mean(torch::zeros({32})), variance(torch::ones({32})),
        block2(filter(c, "block2.0.w", 32, 64)),
        block2Bias(vector(c, "block2.0.b")), head(headOf(c)),
        headBias(vector(c, "head.b")) {
    std::vector<Tensor> filters = {block2}, biases = {block2Bias};
    for (int64_t i = 1; i < branches; ++i) {
      std::string number = std::to_string(i);
      block1 += filter(c, "block1." + number + ".w", 16, 32);
      filters.push_back(filter(c, "block2." + number + ".w", 32, 64));
      biases.push_back(vector(c, "block2." + number + ".b"));
    }
    block2 = torch::cat(filters);
    block2Bias = torch::cat(biases);
    std::vector<Tensor> all = {stem,   stemBias,   block1, scale,   shift,
                               block2, block2Bias, head,   headBias};
    for (Tensor &tensor : all)
      tensor.set_requires_grad(true);
    sgd.emplace(all, torch::optim::SGDOptions(0.05)
                         .momentum(0.9)
                         .nesterov(true)
                         .weight_decay(5e-4));
  }

  float step() override {
    sgd->zero_grad();
    Tensor loss = forward();
    loss.backward();
    sgd->step();
    return loss.item<float>();
  }

private:
  static Tensor filter(const TorchFashionCase &c, const std::string &name,
                       int64_t from, int64_t to) {
    return torch::from_blob(const_cast<float *>(c.parameters.at(name).data()),
                            {3, 3, from, to})
        .permute({3, 2, 0, 1})
        .clone(at::MemoryFormat::Contiguous);
  }
  static Tensor vector(const TorchFashionCase &c, const std::string &name) {
    const std::vector<float> &values = c.parameters.at(name);
    return torch::from_blob(const_cast<float *>(values.data()),
                            {int64_t(values.size())})
        .clone();
  }
  /// Rows follow the flattened image: NHWC there, NCHW here.
  static Tensor headOf(const TorchFashionCase &c) {
    return torch::from_blob(
               const_cast<float *>(c.parameters.at("head.w").data()),
               {7, 7, 64, 10})
        .permute({3, 2, 0, 1})
        .clone(at::MemoryFormat::Contiguous)
        .view({10, -1});
  }

  Tensor forward() {
    Tensor x = torch::relu(torch::conv2d(images, stem, stemBias, 1, 1));
    x = torch::conv2d(torch::max_pool2d(x, 2), block1, {}, 1, 1);
    x = torch::relu(torch::batch_norm(x, scale, shift, mean, variance,
                                      /*training=*/true, /*momentum=*/0.1,
                                      /*eps=*/1e-5, /*cudnn_enabled=*/false));
    x = torch::conv2d(torch::max_pool2d(x, 2), block2, block2Bias, 1, 1);
    x = torch::relu(x);
    if (branches > 1)
      x = x.view({x.size(0), branches, 64, 7, 7}).sum(1);
    return torch::cross_entropy_loss(
        torch::linear(x.flatten(1), head, headBias), labels);
  }

  int64_t branches;
  Tensor images, labels, stem, stemBias, block1, scale, shift, mean, variance,
      block2, block2Bias, head, headBias;
  std::optional<torch::optim::SGD> sgd;
};

} // namespace

std::unique_ptr<TorchFashion>
cambium::bench::makeTorchFashion(const TorchFashionCase &c, unsigned threads) {
  at::set_num_threads(threads);
  return std::make_unique<FashionNet>(c);
}
