//===- Evaluator.h - Runs functions, kernels and maps -----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_REFERENCE_EVALUATOR_H
#define CAMBIUM_LIB_REFERENCE_EVALUATOR_H

#include "Compute.h"
#include "cambium/Reference/ReferenceInterpreter.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"

#include <variant>

namespace cambium {

/// A `grow.set` that waits for the end of the call.
struct StateWrite {
  std::string symbol;
  ReferenceTensor value;
};

/// A `grow.update` or a `grow.optimizer` that waits for the end of the call.
struct ParameterUpdate {
  llvm::SmallVector<grow::ParamOp> params;
  ReferenceTensor gradient;
  /// The sum to write, or empty; with `accumulate`, to add to.
  std::string derived;
  bool accumulate = false;
};

using Effect = std::variant<StateWrite, ParameterUpdate>;
using Tensors = llvm::SmallVector<ReferenceTensor>;

/// Evaluates one outermost call against the variables as they are at its
/// beginning, and collects what it will change.
class Evaluator {
public:
  Evaluator(const mlir::SymbolTable &symbols,
            const llvm::StringMap<ReferenceVariable> &variables)
      : symbols(symbols), variables(variables) {}

  mlir::FailureOr<Tensors> call(mlir::func::FuncOp function,
                                llvm::ArrayRef<ReferenceTensor> inputs);

  /// In program order.
  llvm::ArrayRef<Effect> getEffects() const { return effects; }

private:
  /// A block while it runs.
  struct Frame {
    explicit Frame(mlir::Block &block) : block(block) {}

    /// The shape of a value as far as the block's types, the values computed so
    /// far and the shapes of its results determine it.
    Shape knownShape(mlir::Value wanted) const;

    mlir::Block &block;
    llvm::DenseMap<mlir::Value, ReferenceTensor> values;
    /// Extents that the block's results must have.
    llvm::SmallVector<Shape> results;
    /// The launch whose kernel runs, or null.
    grow::LaunchOp launch;
    /// Of a kernel over branches, for each branch in turn: the operands that
    /// are its own, and once they are computed the results that are.
    Tensors tuples, each;
  };

  mlir::FailureOr<Tensors> run(Frame &frame);
  mlir::LogicalResult evaluate(mlir::Operation *op, Frame &frame);
  mlir::LogicalResult evaluateGet(grow::GetOp op, Frame &frame);
  mlir::LogicalResult evaluateCall(mlir::func::CallOp op, Frame &frame);
  mlir::LogicalResult evaluateMap(grow::MapOp op, Frame &frame);
  mlir::LogicalResult evaluateFusedMap(grow::FusedMapOp op, Frame &frame);
  mlir::FailureOr<Tensors> runBranch(grow::FusedMapOp op, int64_t branch,
                                     int64_t branches, Frame &frame);
  mlir::FailureOr<Frame> enterKernel(grow::LaunchOp op, grow::KernelOp kernel,
                                     const Frame &frame);
  mlir::LogicalResult evaluateLaunch(grow::LaunchOp op, Frame &frame);
  mlir::LogicalResult evaluateUpdate(grow::UpdateOp op, Frame &frame);
  mlir::LogicalResult evaluateOptimizer(grow::OptimizerOp op, Frame &frame);
  mlir::LogicalResult evaluatePure(mlir::Operation *op, Frame &frame);

  mlir::FailureOr<llvm::SmallVector<grow::ParamOp>>
  lookupParams(mlir::Operation *user, mlir::ArrayAttr names,
               const ReferenceTensor &gradient);
  void define(mlir::Operation *op, Tensors results, Frame &frame);

  const mlir::SymbolTable &symbols;
  const llvm::StringMap<ReferenceVariable> &variables;
  std::vector<Effect> effects;
  unsigned depth = 0;
};

} // namespace cambium

#endif // CAMBIUM_LIB_REFERENCE_EVALUATOR_H
