//===- ContractionHarness.h - Contractions and a naive peer -----*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_UNIT_CONTRACTION_CONTRACTIONHARNESS_H
#define CAMBIUM_TEST_UNIT_CONTRACTION_CONTRACTIONHARNESS_H

#include "cambium/Jit/Jit.h"
#include "cambium/Target/LLVM/Contraction.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include <cstddef>
#include <memory>
#include <random>

namespace cambium::test {

/// Memory whose neighbouring pages cannot be touched: the floats end (or, if
/// `atStart`, begin) right at such a page. Filled with NaN.
class GuardedFloats {
public:
  GuardedFloats(size_t count, bool atStart);
  ~GuardedFloats();
  GuardedFloats(GuardedFloats &&other) noexcept;
  GuardedFloats(const GuardedFloats &) = delete;

  float *data() { return floats; }
  const float *data() const { return floats; }
  size_t size() const { return count; }
  float &operator[](size_t index) { return floats[index]; }
  float operator[](size_t index) const { return floats[index]; }

private:
  void *mapping = nullptr;
  size_t mappedBytes = 0;
  float *floats = nullptr;
  size_t count = 0;
};

/// A convolution's window and extents, of which the specs of all three kinds
/// follow.
struct Problem {
  ContractionSpec window;
  ContractionExtents extents;

  /// Sets the output extents that padding and window imply.
  void inferOutput();
  ContractionSpec spec(ContractionSpec::Kind kind) const;
  std::vector<int64_t> xShape() const, wShape() const, yShape() const;
  /// The shapes of lhs, rhs and result, flattened.
  std::vector<int64_t> dims(ContractionSpec::Kind kind) const;
  std::string str() const;
};

/// Square images, kernels and padding; stride 1.
Problem makeConv(int64_t batch, int64_t size, int64_t inC, int64_t outC,
                 int64_t kernel, int64_t padding);
Problem makeLinear(int64_t batch, int64_t in, int64_t out);

using Floats = std::vector<float>;
using Doubles = std::vector<double>;

int64_t elements(const std::vector<int64_t> &shape);
Floats randomFloats(int64_t count, std::mt19937 &random);
/// lhs, rhs as the kind names them.
Doubles naiveContraction(const Problem &problem, ContractionSpec::Kind kind,
                         const Floats &lhs, const Floats &rhs);
double relativeError(const float *actual, const Doubles &expected);

/// The order and split of the tasks of a phase.
enum class TaskOrder { AtOnce, OneByOne, Backwards };

/// A contraction kernel in machine code.
class ContractionKernel {
public:
  ContractionKernel(Jit &jit, const ContractionSpec &spec,
                    const ContractionSchedule &schedule,
                    EpilogueFn epilogue = nullptr,
                    const ContractionLayout *layout = nullptr);

  /// Runs all phases in guarded memory of exactly the sizes that
  /// contractionLaunch asks for. `operands` and `resultFloats` follow the
  /// layout's buffers without the workspace.
  Floats run(const std::vector<int64_t> &dims,
             const std::vector<Floats> &operands, int64_t resultFloats,
             TaskOrder order = TaskOrder::AtOnce, bool guardStart = false);

  ContractionSpec spec;
  ContractionSchedule schedule;
  ContractionLayout layout;
  std::shared_ptr<const CompiledKernel> code;
};

/// The context and the JIT of all kernels of this process.
mlir::MLIRContext &context();
Jit &jit();
/// The module's kernel. Many problems differ in extents alone and so have one
/// kernel, which is compiled once in the whole run.
std::shared_ptr<const CompiledKernel> compile(Jit &jit, mlir::ModuleOp module);
mlir::OwningOpRef<mlir::ModuleOp>
contractionModule(const ContractionSpec &spec,
                  const ContractionSchedule &schedule,
                  const ContractionLayout &layout, EpilogueFn epilogue);

} // namespace cambium::test

#endif // CAMBIUM_TEST_UNIT_CONTRACTION_CONTRACTIONHARNESS_H
