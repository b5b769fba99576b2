//===- KernelFixture.h - Compiles and runs grow.kernel ops ------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_UNIT_KERNELEMITTER_KERNELFIXTURE_H
#define CAMBIUM_TEST_UNIT_KERNELEMITTER_KERNELFIXTURE_H

#include "../Contraction/ContractionHarness.h"
#include "cambium/Reference/ReferenceInterpreter.h"
#include "cambium/Target/LLVM/KernelEmitter.h"

#include "mlir/IR/Diagnostics.h"
#include "gtest/gtest.h"

#include <map>

namespace cambium::test {

using Shape = std::vector<int64_t>;

/// An operand: float32, or labels where `integers` is set.
struct Operand {
  Shape shape;
  Floats data;
  bool integers = false;
};

/// Compiles a kernel for every instruction set of this machine, runs it in
/// guarded memory with several splits of its tasks, and compares the results
/// with the reference interpreter's.
class KernelFixture : public ::testing::Test {
protected:
  KernelFixture();

  /// Normal random values.
  Operand random(Shape shape, double scale = 1.0);
  /// Few distinct values, so that maxima tie.
  Operand coarse(Shape shape);
  Operand positive(Shape shape);
  Operand labels(int64_t count, int64_t classes);

  /// `kernel` is the text of a `grow.kernel @k`. Checks every result against
  /// the reference: the largest error relative to the largest magnitude.
  void check(const std::string &kernel, const std::vector<Operand> &operands,
             const std::vector<Shape> &results, double tolerance = 2e-6);
  /// Results of the kernel for one instruction set.
  std::vector<Floats> run(const std::string &kernel, Isa isa,
                          const std::vector<Operand> &operands,
                          const std::vector<Shape> &results);
  std::vector<Doubles> reference(const std::string &kernel,
                                 const std::vector<Operand> &operands,
                                 const std::vector<Shape> &results);

  grow::KernelOp parse(const std::string &text);
  /// Compiles a kernel, or finds it compiled.
  const CompiledKernel &compile(const std::string &text, grow::KernelOp kernel,
                                Isa isa);
  static std::vector<Isa> isas();

  mlir::MLIRContext context;
  std::string diagnostics;
  mlir::ScopedDiagnosticHandler handler;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::mt19937 generator;
  std::map<std::pair<std::string, Isa>, CompiledKernel> compiled;
};

/// Runs all phases of a kernel. `scratch` and `workspace` are guarded.
void runPhases(const CompiledKernel &kernel, const LaunchSizes &sizes,
               std::vector<void *> buffers, const std::vector<int64_t> &dims,
               TaskOrder order);

/// "tensor<?x?xf32>".
std::string dynamicType(size_t rank);
/// A kernel of one line: "%r = <op> : (operand types) -> type". In `op`, %0,
/// %1 ... are the arguments. `results` are ranks.
std::string singleKernel(const std::string &op,
                         const std::vector<std::string> &operandTypes,
                         const std::vector<std::string> &resultTypes);

} // namespace cambium::test

#endif // CAMBIUM_TEST_UNIT_KERNELEMITTER_KERNELFIXTURE_H
