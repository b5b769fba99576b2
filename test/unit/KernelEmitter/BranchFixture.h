//===- BranchFixture.h - Compiles and runs kernels over branches -*- C++ -*-==//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_UNIT_KERNELEMITTER_BRANCHFIXTURE_H
#define CAMBIUM_TEST_UNIT_KERNELEMITTER_BRANCHFIXTURE_H

#include "KernelFixture.h"

namespace cambium::test {

/// A tensor of floats, or of bits as zeros and ones.
struct BranchTensor {
  Shape shape;
  Floats data;
  bool bits = false;
};

struct BranchResult {
  Shape shape;
  bool bits = false;
};

/// A launch of a kernel over branches.
struct BranchLaunch {
  std::vector<BranchTensor> shared;
  /// Of each branch.
  std::vector<std::vector<BranchTensor>> tuples;
  std::vector<BranchResult> results, each;

  int64_t branches() const { return static_cast<int64_t>(tuples.size()); }
};

/// Runs a `grow.kernel @k` that holds a grow.fused_map. In its text, `$S` is a
/// schedule and there are short names of types: `$I` images, `$K` and `$P`
/// filters of 3x3 and 1x1, `$B` bits of an image, `$M` matrices, `$C` bits of a
/// matrix, `$V` vectors.
class BranchFixture : public KernelFixture {
protected:
  BranchTensor random(Shape shape, double scale = 1.0);
  /// Small integers: sums of their products are exact, so that signs are as
  /// well, and zeros are frequent.
  BranchTensor integers(Shape shape);
  BranchTensor bits(Shape shape);
  template <typename Make>
  std::vector<std::vector<BranchTensor>> tuples(int64_t branches, Make make) {
    std::vector<std::vector<BranchTensor>> result;
    for (int64_t i = 0; i < branches; ++i)
      result.push_back(make());
    return result;
  }

  static std::string expand(std::string text, const std::string &schedule);
  static std::vector<std::string> directSchedules();
  static std::vector<std::string> allSchedules();

  /// Results: the shared ones, then those of each branch in turn. Bits are
  /// zeros and ones. Checks that no memory beyond the tensors is touched, that
  /// unused bits are zero, and that no split of the tasks changes a bit.
  std::vector<BranchTensor> run(const std::string &kernel, Isa isa,
                                const BranchLaunch &launch);
  std::vector<Doubles> reference(const std::string &kernel,
                                 const BranchLaunch &launch);
  /// Compares with the reference: bits exactly, floats in the L2 norm.
  void check(const std::string &kernel, const BranchLaunch &launch,
             const std::vector<std::string> &schedules,
             double tolerance = 5e-6);
};

} // namespace cambium::test

#endif // CAMBIUM_TEST_UNIT_KERNELEMITTER_BRANCHFIXTURE_H
