//===- Intrinsics.cuh - What only PTX says ------------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every instruction of sm_80 and sm_90a that C++ has no word for, and nothing
// else: a CPU that emulates thread blocks replaces this header alone. Functions
// of a warp (ldmatrix, mma) are called by its 32 threads together, those of a
// warpgroup (wgmma) by 128 threads, the first a multiple of 128.
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
// sm_90a: bulk copies and products of warpgroups
//===----------------------------------------------------------------------===//
//
// Both read and write shared memory through the "async proxy": what threads
// have written they see only after a fence.

/// Makes what this thread has written to shared memory, and what it has seen
/// there, visible to bulk copies and products.
__device__ __forceinline__ void fenceShared() {
  asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
}

/// Prepares 8 bytes of shared memory, at a multiple of 8, to count arrivals of
/// copies: one expectArrival in each phase. The first phase is number 0.
__device__ __forceinline__ void prepareArrivals(unsigned barrier) {
  asm volatile("mbarrier.init.shared::cta.b64 [%0], 1;" ::"r"(barrier)
               : "memory");
}

/// The phase that is under way ends when as many bytes have arrived.
__device__ __forceinline__ void expectArrival(unsigned barrier, int bytes) {
  asm volatile(
      "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%0], %1;" ::"r"(barrier),
      "r"(bytes)
      : "memory");
}

/// Copies `bytes` bytes, a multiple of 16 as both addresses are; they arrive at
/// `barrier`. One thread copies all of them.
__device__ __forceinline__ void copyBulk(unsigned to, const void *from,
                                         int bytes, unsigned barrier) {
  asm volatile("cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::"
               "bytes [%0], [%1], %2, [%3];" ::"r"(to),
               "l"(__cvta_generic_to_global(from)), "r"(bytes), "r"(barrier)
               : "memory");
}

/// Waits until the phase with this parity has ended: what arrived in it is
/// visible to the thread and to its products. Called by warps.
__device__ __forceinline__ void waitArrival(unsigned barrier, int parity) {
  unsigned ended;
  do
    asm volatile("{\n"
                 ".reg .pred p;\n"
                 "mbarrier.try_wait.parity.shared::cta.b64 p, [%1], %2;\n"
                 "selp.u32 %0, 1, 0, p;\n"
                 "}"
                 : "=r"(ended)
                 : "r"(barrier), "r"(parity)
                 : "memory");
  while (!ended);
  __syncwarp();
}

/// Describes a matrix of N columns by 32 bytes of k in shared memory for the
/// products of warpgroups. It is made of matrices of 8 columns by 16 bytes,
/// each of which is 128 bytes in succession (column after column): `kBytes`
/// from one to the next along k, `columnBytes` from 8 columns to the next. All
/// are multiples of 16.
///
/// PTX ISA, "Matrix Descriptor Format" of "Asynchronous Warpgroup Level Matrix
/// Shared Memory Layout", each value as (x & 0x3ffff) >> 4: bits 13-0 the start
/// address; 29-16 the leading dimension byte offset, which for K-major matrices
/// without swizzling goes from the first to the second column of an 8x2 tile of
/// 128-bit elements; 45-32 the stride dimension byte offset, from 8 rows (here:
/// columns of the product) to the next 8; 51-49 the base offset and 63-62 the
/// swizzling mode, both 0 without swizzling.
__device__ __forceinline__ unsigned long long
describeColumns(unsigned address, int kBytes, int columnBytes) {
  auto field = [](unsigned long long bytes) { return (bytes & 0x3ffff) >> 4; };
  return field(address) | field(kBytes) << 16 | field(columnBytes) << 32;
}

/// Before the first product, and where registers of products were accessed
/// since the last.
__device__ __forceinline__ void beginProducts() {
  asm volatile("wgmma.fence.sync.aligned;" ::: "memory");
}

/// Ends a group of products.
__device__ __forceinline__ void commitProducts() {
  asm volatile("wgmma.commit_group.sync.aligned;" ::: "memory");
}

/// Waits for all products; until then their registers must not be accessed, nor
/// may shared memory that they read be written to.
__device__ __forceinline__ void waitProducts() {
  asm volatile("wgmma.wait_group.sync.aligned 0;" ::: "memory");
}

/// Keeps the compiler from moving accesses to the registers of a product across
/// this place.
template <int N>
__device__ __forceinline__ void holdAccumulators(float (&c)[N][4]) {
#pragma unroll
  for (int n = 0; n < N; ++n)
    asm volatile(""
                 : "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]),
                   "+f"(c[n][3])::"memory");
}

// wgmma with 8 * N columns and A in registers. `type` and `ones`: the
// instruction's part after the shape, and its last operands.
#define CAMBIUM_ACC(n)                                                         \
  "+f"(c[n][0]), "+f"(c[n][1]), "+f"(c[n][2]), "+f"(c[n][3])
#define CAMBIUM_WGMMA(shape, type, ones)                                       \
  if constexpr (N == 2)                                                        \
    asm volatile("wgmma.mma_async.sync.aligned.m64n16" shape type              \
                 " {%0, %1, %2, %3, %4, %5, %6, %7}, "                         \
                 "{%8, %9, %10, %11}, %12, " ones ";"                          \
                 : CAMBIUM_ACC(0), CAMBIUM_ACC(1)                              \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(columns));  \
  else if constexpr (N == 4)                                                   \
    asm volatile("wgmma.mma_async.sync.aligned.m64n32" shape type              \
                 " {%0, %1, %2, %3, %4, %5, %6, %7, "                          \
                 "%8, %9, %10, %11, %12, %13, %14, %15}, "                     \
                 "{%16, %17, %18, %19}, %20, " ones ";"                        \
                 : CAMBIUM_ACC(0), CAMBIUM_ACC(1), CAMBIUM_ACC(2),             \
                   CAMBIUM_ACC(3)                                              \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(columns));  \
  else                                                                         \
    asm volatile("wgmma.mma_async.sync.aligned.m64n64" shape type              \
                 " {%0, %1, %2, %3, %4, %5, %6, %7, "                          \
                 "%8, %9, %10, %11, %12, %13, %14, %15, "                      \
                 "%16, %17, %18, %19, %20, %21, %22, %23, "                    \
                 "%24, %25, %26, %27, %28, %29, %30, %31}, "                   \
                 "{%32, %33, %34, %35}, %36, " ones ";"                        \
                 : CAMBIUM_ACC(0), CAMBIUM_ACC(1), CAMBIUM_ACC(2),             \
                   CAMBIUM_ACC(3), CAMBIUM_ACC(4), CAMBIUM_ACC(5),             \
                   CAMBIUM_ACC(6), CAMBIUM_ACC(7)                              \
                 : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "l"(columns))

/// c[64 x 8N] += a[64x16] * b[16 x 8N] of bfloat16, N = 2, 4 or 8, b as
/// describeColumns says. Warp w of the warpgroup has rows 16w to 16w + 15, in
/// them each lane has of a what it has in mmaBf16, and in c[n] what it has
/// there of columns 8n to 8n + 7. Done when waitProducts says so.
template <int N>
__device__ __forceinline__ void multiplyBf16(float (&c)[N][4],
                                             const unsigned (&a)[4],
                                             unsigned long long columns) {
  static_assert(N == 2 || N == 4 || N == 8, "columns of a product");
  CAMBIUM_WGMMA("k16", ".f32.bf16.bf16", "1, 1, 1, 0");
}

/// The same of tf32: c[64 x 8N] += a[64x8] * b[8 x 8N].
template <int N>
__device__ __forceinline__ void multiplyTf32(float (&c)[N][4],
                                             const unsigned (&a)[4],
                                             unsigned long long columns) {
  static_assert(N == 2 || N == 4 || N == 8, "columns of a product");
  CAMBIUM_WGMMA("k8", ".f32.tf32.tf32", "1, 1, 1");
}

#undef CAMBIUM_WGMMA
#undef CAMBIUM_ACC

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
