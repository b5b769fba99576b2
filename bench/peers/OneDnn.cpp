//===- OneDnn.cpp - oneDNN's convolutions ---------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "OneDnn.h"

#include <dnnl.hpp>

#include <unordered_map>

using namespace cambium::bench;
using dnnl::memory;

namespace {

dnnl::engine &cpu() {
  static dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

/// A primitive with its memory.
class Conv final : public OneDnnConv {
public:
  Conv(ConvKind kind, const ConvShape &shape, const float *lhs,
       const float *rhs);

  void run() override {
    primitive.execute(stream, arguments);
    stream.wait();
  }

  void read(float *values) override {
    memory user(resultLayout, cpu(), values);
    reorder(result, user);
  }

  std::string implementation() const override { return name; }

private:
  void reorder(memory &from, memory &to) {
    dnnl::reorder(from, to).execute(stream, from, to);
    stream.wait();
  }

  /// A copy of dense values in the primitive's layout.
  memory prepare(const memory::desc &dense, const float *values,
                 const memory::desc &wanted) {
    memory from(dense, cpu(), const_cast<float *>(values));
    memory to(wanted, cpu());
    reorder(from, to);
    return to;
  }

  dnnl::stream stream{cpu()};
  dnnl::primitive primitive;
  std::unordered_map<int, memory> arguments;
  memory result;
  memory::desc resultLayout;
  std::string name;
};

memory::desc describe(memory::dims dims, memory::format_tag tag) {
  return memory::desc(std::move(dims), memory::data_type::f32, tag);
}

Conv::Conv(ConvKind kind, const ConvShape &shape, const float *lhs,
           const float *rhs) {
  using Tag = memory::format_tag;
  const memory::dims x = {shape.batch, shape.inC, shape.size, shape.size};
  const memory::dims w = {shape.outC, shape.inC, shape.kernel, shape.kernel};
  const memory::dims y = {shape.batch, shape.outC, shape.outSize(),
                          shape.outSize()};
  const memory::dims strides = {shape.stride, shape.stride};
  const memory::dims padding = {shape.padding, shape.padding};
  const auto algorithm = dnnl::algorithm::convolution_direct;
  const memory::desc anyX = describe(x, Tag::any), anyW = describe(w, Tag::any),
                     anyY = describe(y, Tag::any);
  const memory::desc denseX = describe(x, Tag::nhwc),
                     denseW = describe(w, Tag::hwio),
                     denseY = describe(y, Tag::nhwc);

  dnnl::convolution_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, algorithm, anyX, anyW, anyY, strides,
       padding, padding},
      cpu());
  if (kind == ConvKind::Forward) {
    primitive = dnnl::convolution_forward(forward);
    name = forward.impl_info_str();
    result = memory(forward.dst_desc(), cpu());
    resultLayout = denseY;
    arguments = {
        {DNNL_ARG_SRC, prepare(denseX, lhs, forward.src_desc())},
        {DNNL_ARG_WEIGHTS, prepare(denseW, rhs, forward.weights_desc())},
        {DNNL_ARG_DST, result}};
  } else if (kind == ConvKind::BackwardData) {
    dnnl::convolution_backward_data::primitive_desc backward(
        {algorithm, anyX, anyW, anyY, strides, padding, padding}, cpu(),
        forward);
    primitive = dnnl::convolution_backward_data(backward);
    name = backward.impl_info_str();
    result = memory(backward.diff_src_desc(), cpu());
    resultLayout = denseX;
    arguments = {
        {DNNL_ARG_DIFF_DST, prepare(denseY, lhs, backward.diff_dst_desc())},
        {DNNL_ARG_WEIGHTS, prepare(denseW, rhs, backward.weights_desc())},
        {DNNL_ARG_DIFF_SRC, result}};
  } else {
    dnnl::convolution_backward_weights::primitive_desc backward(
        {algorithm, anyX, anyW, anyY, strides, padding, padding}, cpu(),
        forward);
    primitive = dnnl::convolution_backward_weights(backward);
    name = backward.impl_info_str();
    result = memory(backward.diff_weights_desc(), cpu());
    resultLayout = denseW;
    arguments = {
        {DNNL_ARG_SRC, prepare(denseX, lhs, backward.src_desc())},
        {DNNL_ARG_DIFF_DST, prepare(denseY, rhs, backward.diff_dst_desc())},
        {DNNL_ARG_DIFF_WEIGHTS, result}};
  }
}

std::string isaText() {
  switch (dnnl::get_effective_cpu_isa()) {
  case dnnl::cpu_isa::sse41:
    return "SSE4.1";
  case dnnl::cpu_isa::avx:
    return "AVX";
  case dnnl::cpu_isa::avx2:
  case dnnl::cpu_isa::avx2_vnni:
    return "AVX2";
  default:
    return "AVX-512";
  }
}

} // namespace

std::unique_ptr<OneDnnConv>
cambium::bench::makeOneDnnConv(ConvKind kind, const ConvShape &shape,
                               const float *lhs, const float *rhs) {
  return std::make_unique<Conv>(kind, shape, lhs, rhs);
}

std::string cambium::bench::oneDnnName() {
  const dnnl_version_t *version = dnnl_version();
  return "oneDNN " + std::to_string(version->major) + "." +
         std::to_string(version->minor) + "." + std::to_string(version->patch) +
         ", " + isaText();
}
