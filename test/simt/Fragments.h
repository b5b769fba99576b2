//===- Fragments.h - Elements of matrices in registers ------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Left matrices of tensor cores: "Matrix Fragments for mma.m16n8k16" and "...
// .m16n8k8" of the PTX ISA.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_SIMT_FRAGMENTS_H
#define CAMBIUM_TEST_SIMT_FRAGMENTS_H

namespace cambium::simt {

/// Half a register, the lower first.
inline float bf16Of(unsigned pair, unsigned index) {
  return __builtin_bit_cast(float, index ? pair & 0xffff0000u : pair << 16);
}

/// Tensor cores do not look at the other 13 bits.
inline float tf32Of(unsigned bits) {
  return __builtin_bit_cast(float, bits & 0xffffe000u);
}

/// What a lane has of 16 rows of 16 elements.
template <int K>
void gatherBf16(float (&a)[16][K], unsigned lane, const unsigned *registers) {
  unsigned group = lane / 4, inGroup = lane % 4;
  for (unsigned i = 0; i < 8; ++i) {
    unsigned row = i < 2 || (4 <= i && i < 6) ? group : group + 8;
    unsigned column = 2 * inGroup + (i & 1) + (i < 4 ? 0 : 8);
    a[row][column] = bf16Of(registers[i / 2], i & 1);
  }
}

/// What a lane has of 16 rows of 8 elements.
template <int K>
void gatherTf32(float (&a)[16][K], unsigned lane, const unsigned *registers) {
  unsigned group = lane / 4, inGroup = lane % 4;
  for (unsigned i = 0; i < 4; ++i) {
    unsigned row = i == 0 || i == 2 ? group : group + 8;
    a[row][inGroup + (i < 2 ? 0 : 4)] = tf32Of(registers[i]);
  }
}

} // namespace cambium::simt

#endif // CAMBIUM_TEST_SIMT_FRAGMENTS_H
