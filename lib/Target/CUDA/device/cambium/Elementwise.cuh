//===- Elementwise.cuh - Elementwise operations -------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_ELEMENTWISE_CUH
#define CAMBIUM_DEVICE_ELEMENTWISE_CUH

#include "cambium/Base.cuh"
#include "cambium/Flat.cuh"

namespace cambium {

/// Work of forElements: a hook on tensors of one shape, as if they were a
/// vector.
template <class Hook, class Args> struct Elementwise {
  const Args &args;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const Place place = {/*pixel=*/offset / N, /*channel=*/0, /*channels=*/N,
                         /*branch=*/0,         /*branches=*/1, /*lanes=*/N};
    Hook::template apply<N>(args, place);
  }
};

/// The same for hooks that read vectors over channels.
template <class Hook, class Args> struct ChannelElementwise {
  const Args &args;
  int channels;

  template <int N> __device__ __forceinline__ void at(long long offset) const {
    const Division at = divide(offset, channels);
    const Place place = {/*pixel=*/at.quotient, /*channel=*/at.remainder,
                         channels,              /*branch=*/0,
                         /*branches=*/1,        /*lanes=*/N};
    Hook::template apply<N>(args, place);
  }
};

/// Block `task` computes its part of the elements.
template <class Hook, class Args>
__device__ __forceinline__ void elementwise(const Args &args,
                                            long long elements, int task) {
  forElements(Elementwise<Hook, Args>{args}, elements, /*wide=*/true, task);
}

template <class Hook, class Args>
__device__ __forceinline__ void
channelElementwise(const Args &args, long long elements, int channels,
                   int task) {
  forElements(ChannelElementwise<Hook, Args>{args, channels}, elements,
              /*wide=*/channels % 4 == 0, task);
}

} // namespace cambium

#endif // CAMBIUM_DEVICE_ELEMENTWISE_CUH
