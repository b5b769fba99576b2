//===- LibTorch.cpp - Growing layers and networks in PyTorch --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "LibTorch.h"

#include <ATen/Parallel.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/optim/sgd.h>
#include <torch/types.h>
#include <torch/version.h>

#include <atomic>
#include <malloc.h>

using namespace cambium::bench;
using torch::Tensor;

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

namespace {

/// LibTorch's allocator, counted.
class Meter final : public c10::Allocator {
public:
  /// Counts all that is allocated after the first call.
  static Meter &get() {
    static Meter meter;
    return meter;
  }

  c10::DataPtr allocate(size_t bytes) const override {
    void *memory = c10::alloc_cpu(bytes);
    int64_t now = (live += malloc_usable_size(memory));
    for (int64_t seen = most; now > seen;)
      if (most.compare_exchange_weak(seen, now))
        break;
    return {memory, memory, &release, c10::Device(c10::DeviceType::CPU)};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &release; }

  int64_t bytes() const { return live; }
  /// The most bytes since the last call of this function.
  int64_t takePeak() { return most.exchange(live); }

private:
  Meter() { c10::SetCPUAllocator(this, /*priority=*/1); }
  static void release(void *memory) {
    get().live -= malloc_usable_size(memory);
    c10::free_cpu(memory);
  }

  mutable std::atomic<int64_t> live = 0, most = 0;
};

/// What a step allocates, beside what stays from step to step.
class Usage {
public:
  /// `resting`: bytes of inputs, parameters and momentum; gradients are
  /// dropped.
  void begin(int64_t resting) {
    start = Meter::get().bytes();
    Meter::get().takePeak();
    this->resting = resting;
  }
  /// `keeps`: bytes that are kept but were alive before, less those alive now
  /// that are not kept.
  void endForward(int64_t keeps = 0) {
    used.kept = Meter::get().bytes() - start + keeps;
  }
  void end() { used.peak = Meter::get().takePeak() - start + resting; }
  const TorchMemory &memory() const { return used; }

private:
  int64_t start = 0, resting = 0;
  TorchMemory used;
};

//===----------------------------------------------------------------------===//
// Tensors
//===----------------------------------------------------------------------===//

/// A copy of dense values; `order` gives each result dimension's place in
/// `shape`.
Tensor copyIn(const float *values, at::IntArrayRef shape,
              at::IntArrayRef order) {
  return torch::from_blob(const_cast<float *>(values), shape)
      .permute(order)
      .clone(at::MemoryFormat::Contiguous);
}

Tensor images(const float *nhwc, at::IntArrayRef shape) {
  return copyIn(nhwc, shape, {0, 3, 1, 2});
}

Tensor filter(const float *hwcf, at::IntArrayRef shape) {
  return copyIn(hwcf, shape, {3, 2, 0, 1});
}

std::vector<float> copyOut(const Tensor &tensor, at::IntArrayRef order) {
  Tensor dense = tensor.detach().permute(order).contiguous();
  const float *data = dense.data_ptr<float>();
  return std::vector<float>(data, data + dense.numel());
}

std::vector<float> imagesOut(const Tensor &nchw) {
  return copyOut(nchw, {0, 2, 3, 1});
}

std::vector<float> filterOut(const Tensor &oihw) {
  return copyOut(oihw, {2, 3, 1, 0});
}

/// The sum of branches, written in one of the forms. Filters and biases are
/// lists of all branches', or of one tensor with all of them.
class Branches {
public:
  Branches(TorchForm form, std::vector<Tensor> filters,
           std::vector<Tensor> biases, int64_t padding)
      : form(form), count(filters.size()), padding(padding),
        filters(std::move(filters)), biases(std::move(biases)) {
    if (form != TorchForm::Wide)
      return;
    this->filters = {torch::cat(this->filters)};
    if (!this->biases.empty())
      this->biases = {torch::cat(this->biases)};
  }

  void collect(std::vector<Tensor> &parameters) const {
    parameters.insert(parameters.end(), filters.begin(), filters.end());
    parameters.insert(parameters.end(), biases.begin(), biases.end());
  }

  Tensor forward(const Tensor &x) const {
    switch (form) {
    case TorchForm::Stack: {
      std::vector<Tensor> outputs;
      for (int64_t i = 0; i < count; ++i)
        outputs.push_back(branch(x, i));
      return torch::stack(outputs).sum(0);
    }
    case TorchForm::InPlace: {
      Tensor y = branch(x, 0);
      for (int64_t i = 1; i < count; ++i)
        // Backward of relu needs the first result as it was.
        y = i == 1 && !biases.empty() ? y + branch(x, i) : y.add_(branch(x, i));
      return y;
    }
    case TorchForm::Wide: {
      Tensor y = branch(x, 0);
      return y.view({y.size(0), count, y.size(1) / count, y.size(2), y.size(3)})
          .sum(1);
    }
    }
    return {};
  }

  /// Of one branch; of gradients where asked.
  Tensor filterOf(int64_t index, bool gradient) const {
    return part(filters, index, gradient);
  }
  Tensor biasOf(int64_t index, bool gradient) const {
    return part(biases, index, gradient);
  }
  bool hasBiases() const { return !biases.empty(); }
  int64_t size() const { return count; }

private:
  Tensor branch(const Tensor &x, int64_t index) const {
    if (biases.empty())
      return torch::conv2d(x, filters[index], {}, 1, padding);
    return torch::relu(
        torch::conv2d(x, filters[index], biases[index], 1, padding));
  }

  Tensor part(const std::vector<Tensor> &all, int64_t index,
              bool gradient) const {
    const Tensor &whole = all[form == TorchForm::Wide ? 0 : index];
    const Tensor &values = gradient ? whole.grad() : whole;
    return form == TorchForm::Wide ? values.chunk(count)[index] : values;
  }

  TorchForm form;
  int64_t count, padding;
  std::vector<Tensor> filters, biases;
};

/// Parameters with their optimizer.
class Parameters {
public:
  Parameters(std::vector<Tensor> tensors, std::optional<float> learningRate,
             float momentum)
      : all(std::move(tensors)) {
    for (Tensor &tensor : all)
      tensor.set_requires_grad(true);
    if (learningRate)
      sgd.emplace(all,
                  torch::optim::SGDOptions(*learningRate).momentum(momentum));
  }

  void dropGradients() {
    for (Tensor &tensor : all)
      tensor.mutable_grad().reset();
  }
  /// Of the tensors and their momentum.
  int64_t bytes() const {
    int64_t total = 0;
    for (const Tensor &tensor : all)
      total += tensor.nbytes();
    return sgd ? 2 * total : total;
  }
  void update() {
    if (sgd)
      sgd->step();
  }

private:
  std::vector<Tensor> all;
  std::optional<torch::optim::SGD> sgd;
};

//===----------------------------------------------------------------------===//
// A layer
//===----------------------------------------------------------------------===//

class Layer final : public TorchLayer {
public:
  Layer(TorchForm form, const TorchLayerCase &c)
      : x(images(c.x, c.shape.x())), target(images(c.target, c.shape.y())),
        branches(form, filters(c), biases(c), c.shape.padding),
        parameters(collect(c), c.learningRate, 0.9f) {}

  void forward() override { branches.forward(x); }

  float step() override {
    parameters.dropGradients();
    usage.begin(parameters.bytes() + target.nbytes() +
                (x.requires_grad() ? 0 : x.nbytes()));
    Tensor y = branches.forward(x);
    usage.endForward(int64_t(x.nbytes()) - int64_t(y.nbytes()));
    Tensor loss = torch::mse_loss(y, target);
    y.reset();
    loss.backward();
    parameters.update();
    usage.end();
    return loss.item<float>();
  }

  TorchLayerResults results() override {
    parameters.dropGradients();
    Tensor y = branches.forward(x);
    torch::mse_loss(y, target).backward();
    TorchLayerResults results;
    results.y = imagesOut(y);
    if (x.requires_grad())
      results.dx = imagesOut(x.grad());
    for (int64_t i = 0; i < branches.size(); ++i) {
      results.filterGradients.push_back(
          filterOut(branches.filterOf(i, /*gradient=*/true)));
      if (branches.hasBiases())
        results.biasGradients.push_back(
            copyOut(branches.biasOf(i, /*gradient=*/true), {0}));
    }
    return results;
  }

  TorchMemory memory() const override { return usage.memory(); }

private:
  static std::vector<Tensor> filters(const TorchLayerCase &c) {
    std::vector<Tensor> tensors;
    for (const float *values : c.filters)
      tensors.push_back(filter(values, c.shape.w()));
    return tensors;
  }
  static std::vector<Tensor> biases(const TorchLayerCase &c) {
    std::vector<Tensor> tensors;
    for (const float *values : c.biases)
      tensors.push_back(copyIn(values, {c.shape.outC}, {0}));
    return tensors;
  }

  std::vector<Tensor> collect(const TorchLayerCase &c) {
    std::vector<Tensor> all;
    branches.collect(all);
    if (c.inputGradient)
      all.push_back(x);
    return all;
  }

  Usage usage;
  Tensor x, target;
  Branches branches;
  Parameters parameters;
};

//===----------------------------------------------------------------------===//
// A network
//===----------------------------------------------------------------------===//

class Net final : public TorchNetwork {
public:
  Net(TorchForm form, const GrowingNetwork &net, const NamedValues &values,
      const float *pixels, const int32_t *classes)
      : net(net),
        input(images(pixels, {net.batch, net.size, net.size, net.colours})),
        labels(torch::from_blob(const_cast<int32_t *>(classes), {net.batch},
                                torch::kInt32)
                   .to(torch::kInt64)),
        stem(single(values, "stem", net.colours, net.channels[0])),
        block1(block(form, values, "block1", net.channels[0])),
        widen(single(values, "widen", net.channels[0], net.channels[1])),
        block2(block(form, values, "block2", net.channels[1])),
        hidden{flattened(values.at("hidden.w")), bias(values, "hidden.b")},
        head{copyIn(values.at("head.w").data(), {net.hidden, net.classes},
                    {1, 0}),
             bias(values, "head.b")},
        trained(collect(), net.learningRate, net.momentum) {}

  float step() override {
    trained.dropGradients();
    usage.begin(trained.bytes() + input.nbytes() + labels.nbytes());
    Tensor loss = forward();
    usage.endForward();
    loss.backward();
    trained.update();
    usage.end();
    return loss.item<float>();
  }

  NamedValues parameters() const override {
    NamedValues values;
    auto addBranches = [&](const std::string &prefix, const Branches &branches,
                           bool numbered) {
      for (int64_t i = 0; i < branches.size(); ++i) {
        std::string name = numbered ? prefix + "." + std::to_string(i) : prefix;
        values[name + ".w"] = filterOut(branches.filterOf(i, false));
        values[name + ".b"] = copyOut(branches.biasOf(i, false), {0});
      }
    };
    addBranches("stem", stem, false);
    addBranches("block1", block1, true);
    addBranches("widen", widen, false);
    addBranches("block2", block2, true);
    int64_t side = net.size / 4;
    values["hidden.w"] = copyOut(
        hidden.w.view({net.hidden, net.channels[1], side, side}), {2, 3, 1, 0});
    values["hidden.b"] = copyOut(hidden.b, {0});
    values["head.w"] = copyOut(head.w, {1, 0});
    values["head.b"] = copyOut(head.b, {0});
    return values;
  }

  TorchMemory memory() const override { return usage.memory(); }

private:
  struct Linear {
    Tensor w, b;
    Tensor forward(const Tensor &x) const { return torch::linear(x, w, b); }
  };

  static Tensor bias(const NamedValues &values, const std::string &name) {
    const std::vector<float> &all = values.at(name);
    return copyIn(all.data(), {int64_t(all.size())}, {0});
  }

  static Branches single(const NamedValues &values, const std::string &name,
                         int64_t from, int64_t to) {
    return Branches(TorchForm::InPlace,
                    {filter(values.at(name + ".w").data(), {3, 3, from, to})},
                    {bias(values, name + ".b")}, 1);
  }

  Branches block(TorchForm form, const NamedValues &values,
                 const std::string &name, int64_t channels) const {
    std::vector<Tensor> filters, biases;
    for (int64_t i = 0; i < net.branches; ++i) {
      std::string branch = name + "." + std::to_string(i);
      filters.push_back(
          filter(values.at(branch + ".w").data(), {3, 3, channels, channels}));
      biases.push_back(bias(values, branch + ".b"));
    }
    return Branches(form, std::move(filters), std::move(biases), 1);
  }

  /// Rows of the weight follow the flattened image: NHWC here, NCHW in torch.
  Tensor flattened(const std::vector<float> &weight) const {
    int64_t side = net.size / 4;
    return copyIn(weight.data(), {side, side, net.channels[1], net.hidden},
                  {3, 2, 0, 1})
        .view({net.hidden, -1});
  }

  std::vector<Tensor> collect() const {
    std::vector<Tensor> all;
    for (const Branches *layer : {&stem, &block1, &widen, &block2})
      layer->collect(all);
    for (const Linear *layer : {&hidden, &head}) {
      all.push_back(layer->w);
      all.push_back(layer->b);
    }
    return all;
  }

  Tensor forward() const {
    Tensor x = torch::max_pool2d(block1.forward(stem.forward(input)), 2);
    x = torch::max_pool2d(block2.forward(widen.forward(x)), 2);
    x = torch::relu(hidden.forward(x.flatten(1)));
    return torch::cross_entropy_loss(head.forward(x), labels);
  }

  Usage usage;
  GrowingNetwork net;
  Tensor input, labels;
  Branches stem, block1, widen, block2;
  Linear hidden, head;
  Parameters trained;
};

} // namespace

std::vector<std::unique_ptr<TorchLayer>>
cambium::bench::makeTorchLayers(const TorchLayerCase &layer, unsigned threads) {
  Meter::get();
  at::set_num_threads(threads);
  std::vector<std::unique_ptr<TorchLayer>> layers;
  for (TorchForm form : torchForms)
    layers.push_back(std::make_unique<Layer>(form, layer));
  return layers;
}

std::vector<std::unique_ptr<TorchNetwork>> cambium::bench::makeTorchNetworks(
    const GrowingNetwork &network, const NamedValues &parameters,
    const float *images, const int32_t *labels, unsigned threads) {
  Meter::get();
  at::set_num_threads(threads);
  std::vector<std::unique_ptr<TorchNetwork>> networks;
  for (TorchForm form : torchForms)
    networks.push_back(
        std::make_unique<Net>(form, network, parameters, images, labels));
  return networks;
}

std::string cambium::bench::torchName() {
  return std::string("LibTorch ") + TORCH_VERSION;
}
