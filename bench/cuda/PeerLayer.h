//===- PeerLayer.h - Rectified branches by cuDNN ----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_CUDA_PEERLAYER_H
#define CAMBIUM_BENCH_CUDA_PEERLAYER_H

#include "../growth/ReluLayer.h"
#include "Peer.h"

namespace cambium::bench {

/// y = sum over i of relu(conv(x, w_i) + b_i), branch after branch:
///
///   forward    cuDNN's convolution, then a kernel that adds bias, ReLU and the
///              sum so far: y += relu(c_i + b_i)
///   backward   a kernel g_i = dy where c_i + b_i > 0, cuDNN's dx += g_i * w_i
///              and dw_i = x * g_i; gradients of biases are left out
///
/// Every convolution is the fastest of cuDNN's plans. For Precision::Bf16 all
/// tensors but the biases hold bf16.
class PeerLayer {
public:
  /// Null where cuDNN is missing or has no plan for one of the convolutions.
  static std::unique_ptr<PeerLayer> create(Gpu &gpu, const ReluLayerData &data,
                                           Precision precision);

  void runForward() { forward.run(); }
  void runBackward() { backward.run(); }

  void setGradient(const std::vector<float> &dy) { memory.write(dyTensor, dy); }
  std::vector<float> y();
  std::vector<float> dx();
  std::vector<float> dw(int64_t branch);

private:
  struct Plans;
  PeerLayer(Gpu &gpu, const ReluLayerData &data, const Plans &plans,
            bool isBf16);

  ConvShape shape;
  PeerMemory memory;
  PeerPlan forward, backward;
  Slot yTensor, dxTensor, dyTensor;
  std::vector<Slot> dwTensors;
};

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_CUDA_PEERLAYER_H
