//===- BranchHarness.h - Kernels of branches and a naive peer ---*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_UNIT_BRANCHES_BRANCHHARNESS_H
#define CAMBIUM_TEST_UNIT_BRANCHES_BRANCHHARNESS_H

#include "../Contraction/ContractionHarness.h"
#include "cambium/Target/LLVM/BranchContraction.h"
#include <memory>

namespace cambium::test {

/// What follows the contraction of each branch. Relu and Smooth come after the
/// branch's bias.
enum class Activation {
  /// The accumulators are joined as they are.
  None,
  /// max(z, 0). The signs of z are stored one bit an element in a buffer of the
  /// branch, and the gradient is read from there or, with `recompute`, taken
  /// from z.
  Relu,
  /// z / (1 + z^2). Gradients need `recompute`.
  Smooth
};

/// A kernel of branches on given extents.
///   Forward         y = finish(join_i activation(contract(input(x), w_i)))
///   BackwardData    dx = finish(join_i input'(contract_data(g_i, w_i)))
///   BackwardFilter  dw_i = contract_filter(input(x), g_i)
/// with g_i = dy * activation'.
struct BranchCase {
  Problem problem;
  ContractionSpec::Kind kind = ContractionSpec::Kind::Forward;
  int64_t branches = 3;
  Activation activation = Activation::None;
  BranchSpec::Join join = BranchSpec::Join::Sum;
  /// The contraction reads max(x, 0).
  bool inputRelu = false;
  bool recompute = false;
  /// Each branch has its own channels of dy.
  bool slicedGradient = false;
  /// A residual is added to what was joined.
  bool residual = false;
  /// BackwardFilter: the sums of g_i, and of its squares.
  int64_t sums = 0;

  BranchSpec spec() const;
  bool storesBits() const;
  bool readsBits() const;
  bool recomputes() const;
  std::string str() const;
};

/// Operands of a case: those of all kinds, of which a kernel reads some.
struct BranchOperands {
  Floats x, dy, residual;
  std::vector<Floats> w, bias;
  std::vector<std::vector<uint8_t>> bits;

  BranchOperands(const BranchCase &test, unsigned seed);
};

struct BranchResults {
  /// y or dx.
  Floats joined;
  std::vector<Floats> filters;
  /// Of each branch, one after another.
  std::vector<Floats> sums;
  std::vector<std::vector<uint8_t>> bits;

  bool operator==(const BranchResults &other) const {
    return joined == other.joined && filters == other.filters &&
           sums == other.sums && bits == other.bits;
  }
};

/// How the tasks of a phase are split among calls.
enum class TaskSplit { AtOnce, ThreeAtATime, BackwardsOneByOne };

/// A case's kernel in machine code. It serves all extents and branch counts.
class BranchKernel {
public:
  BranchKernel(Jit &jit, const BranchCase &test,
               const ContractionSchedule &schedule);

  /// Runs all rounds in guarded memory of exactly the sizes that
  /// branchesLaunch asks for, with scratch full of NaN. `test` may differ from
  /// the kernel's case in extents and number of branches.
  BranchResults run(const BranchCase &test, const BranchOperands &operands,
                    TaskSplit split = TaskSplit::AtOnce,
                    bool guardStart = false) const;

private:
  ContractionSchedule schedule;
  std::shared_ptr<const CompiledKernel> code;
};

/// The module that emitBranches gives for the case.
mlir::OwningOpRef<mlir::ModuleOp>
branchModule(const BranchCase &test, const ContractionSchedule &schedule);
/// The launch of the case, with the layout that the harness uses.
LaunchSizes branchSizes(const BranchCase &test,
                        const ContractionSchedule &schedule);

/// A schedule for the case with vectors that bits allow: of at least 8 lanes.
ContractionSchedule branchSchedule(const Jit &jit, const BranchCase &test,
                                   int64_t winograd = 0);

/// Runs the case's kernel on random operands, with several splits of its tasks,
/// and checks that the results
///   - are those of sums in double precision, up to `tolerance` (relative L2)
///   - have the same bits for all splits
///   - with Relu and `recompute`: have the bits that the kernel gives which
///     reads the signs stored by the Forward kernel
void expectMatches(Jit &jit, const BranchCase &test,
                   const ContractionSchedule &schedule, unsigned seed,
                   double tolerance = 1e-5);
void expectMatches(const BranchKernel &kernel, const BranchCase &test,
                   unsigned seed, double tolerance = 1e-5);

} // namespace cambium::test

#endif // CAMBIUM_TEST_UNIT_BRANCHES_BRANCHHARNESS_H
