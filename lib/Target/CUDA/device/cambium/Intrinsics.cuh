//===- Intrinsics.cuh - What only PTX says ------------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every instruction of sm_80 that C++ has no word for, and nothing else: a CPU
// that emulates thread blocks replaces this header alone. Functions of a warp
// (ldmatrix, mma) are called by its 32 threads together.
//
// In a warp's matrices, lane = 4 * g + t: g (0 to 7) and t (0 to 3).
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_DEVICE_INTRINSICS_CUH
#define CAMBIUM_DEVICE_INTRINSICS_CUH

namespace cambium {

/// 16 bytes, which one instruction moves.
struct alignas(16) Words4 {
  unsigned w[4];
};

//===----------------------------------------------------------------------===//
// Shared memory by 32-bit address
//===----------------------------------------------------------------------===//

__device__ __forceinline__ unsigned sharedAddress(const void *shared) {
  return static_cast<unsigned>(__cvta_generic_to_shared(shared));
}

__device__ __forceinline__ Words4 loadShared16(unsigned address) {
  Words4 r;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(r.w[0]), "=r"(r.w[1]), "=r"(r.w[2]), "=r"(r.w[3])
               : "r"(address));
  return r;
}

__device__ __forceinline__ unsigned loadShared4(unsigned address) {
  unsigned r;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(r) : "r"(address));
  return r;
}

__device__ __forceinline__ void storeShared16(unsigned address,
                                              const Words4 &v) {
  asm volatile("st.shared.v4.b32 [%0], {%1, %2, %3, %4};" ::"r"(address),
               "r"(v.w[0]), "r"(v.w[1]), "r"(v.w[2]), "r"(v.w[3])
               : "memory");
}

__device__ __forceinline__ void storeShared4(unsigned address, unsigned v) {
  asm volatile("st.shared.b32 [%0], %1;" ::"r"(address), "r"(v) : "memory");
}

//===----------------------------------------------------------------------===//
// Copies that the thread does not wait for
//===----------------------------------------------------------------------===//

/// Copies 16 bytes, both addresses multiples of 16, or writes zeros where
/// `exists` is false; `from` is then not read but must be an address of global
/// memory.
__device__ __forceinline__ void copyAsync16(unsigned to, const void *from,
                                            bool exists = true) {
  asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(to),
               "l"(__cvta_generic_to_global(from)), "r"(exists ? 16 : 0)
               : "memory");
}

/// Ends a group of this thread's copies, which may be empty.
__device__ __forceinline__ void commitCopies() {
  asm volatile("cp.async.commit_group;" ::: "memory");
}

/// Waits until at most the `Groups` newest groups of this thread's copies are
/// under way.
template <int Groups> __device__ __forceinline__ void waitCopies() {
  asm volatile("cp.async.wait_group %0;" ::"n"(Groups) : "memory");
}

//===----------------------------------------------------------------------===//
// Matrices
//===----------------------------------------------------------------------===//

/// Loads four 8x8 matrices of 16-bit elements. Lane l gives the address of row
/// l % 8 of matrix l / 8: 16 bytes, at a multiple of 16. Each lane gets in r[i]
/// the elements (g, 2t) and (g, 2t + 1) of matrix i, that is word t of row g;
/// so it also loads 8 rows of four 32-bit elements.
__device__ __forceinline__ void loadMatrices(unsigned (&r)[4],
                                             unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 "
               "{%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

/// The same of the transposed matrices: each lane gets in r[i] the elements
/// (2t, g) and (2t + 1, g) of matrix i.
__device__ __forceinline__ void loadMatricesTransposed(unsigned (&r)[4],
                                                       unsigned address) {
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 "
               "{%0, %1, %2, %3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(address));
}

/// c[16x8] += a[16x16] * b[16x8] of bfloat16, two to a register, the lower
/// index in the lower half:
///   a[0] (g, 2t..)      a[1] (g + 8, 2t..)
///   a[2] (g, 2t + 8..)  a[3] (g + 8, 2t + 8..)
///   b[0] (2t.., g)      b[1] (2t + 8.., g)
///   c[0], c[1] (g, 2t), (g, 2t + 1)   c[2], c[3] (g + 8, 2t), (g + 8, 2t + 1)
__device__ __forceinline__ void mmaBf16(float (&c)[4], const unsigned (&a)[4],
                                        unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

/// c[16x8] += a[16x8] * b[8x8] of tf32, one to a register:
///   a[0] (g, t)      a[1] (g + 8, t)
///   a[2] (g, t + 4)  a[3] (g + 8, t + 4)
///   b[0] (t, g)      b[1] (t + 4, g)
///   c as in mmaBf16
__device__ __forceinline__ void mmaTf32(float (&c)[4], const unsigned (&a)[4],
                                        unsigned b0, unsigned b1) {
  asm("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 "
      "{%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
      : "+f"(c[0]), "+f"(c[1]), "+f"(c[2]), "+f"(c[3])
      : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

//===----------------------------------------------------------------------===//
// Conversions
//===----------------------------------------------------------------------===//

/// Two floats rounded to nearest even bfloat16, `low` in the lower half.
__device__ __forceinline__ unsigned toBf16(float low, float high) {
  unsigned r;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(r) : "f"(high), "f"(low));
  return r;
}

/// A float rounded to the nearest tf32, ties away from zero: the upper 19 bits
/// of a float.
__device__ __forceinline__ unsigned toTf32(float v) {
  unsigned r;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(r) : "f"(v));
  return r;
}

/// The bits of a float.
__device__ __forceinline__ unsigned bitsOf(float v) {
  return __float_as_uint(v);
}
__device__ __forceinline__ float floatOf(unsigned bits) {
  return __uint_as_float(bits);
}

} // namespace cambium

#endif // CAMBIUM_DEVICE_INTRINSICS_CUH
