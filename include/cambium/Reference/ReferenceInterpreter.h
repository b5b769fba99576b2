//===- ReferenceInterpreter.h - The oracle ----------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_REFERENCE_REFERENCEINTERPRETER_H
#define CAMBIUM_REFERENCE_REFERENCEINTERPRETER_H

#include "cambium/Reference/ReferenceTensor.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/SymbolTable.h"
#include "llvm/ADT/StringMap.h"

#include <optional>

namespace cambium {

/// A parameter, state or derived sum of the reference.
struct ReferenceVariable {
  ReferenceTensor value;
  /// Of a trained parameter: momentum (SGD) or the two moments (AdamW), and the
  /// number of updates since its birth.
  llvm::SmallVector<ReferenceTensor, 2> optimizerState;
  int64_t steps = 0;
};

/// Rates of an optimizer group.
struct ReferenceGroup {
  double learningRate = 0.0;
  double weightDecay = 0.0;
};

/// Runs functions of the `grow` dialect in double precision: the definition
/// that backends are compared with. It interprets the IR at every level above
/// target code, from `grow.map` to `grow.launch`, with one plain loop nest an
/// operation, and shares neither scalar bodies nor gradient rules with the
/// compiler.
///
/// `grow.get` reads what a symbol held when the outermost call began;
/// `grow.set` and `grow.update` take effect when it returns, so inlining
/// changes nothing.
///
/// Faults of the input (shapes, labels out of range, unknown names) are
/// reported as located diagnostics through the module's context; a call that
/// fails leaves parameters and states as they were. The module must stay alive
/// and unchanged.
class ReferenceInterpreter {
public:
  /// Gives every parameter and state its initial value for the seed, in float32
  /// as the runtime does. Fails with a diagnostic on the IR.
  static mlir::FailureOr<ReferenceInterpreter> create(mlir::ModuleOp module,
                                                      uint64_t seed = 0);

  /// Calls a function. An unknown extent of an input must be the same number
  /// for every use in the body.
  mlir::FailureOr<llvm::SmallVector<ReferenceTensor>>
  call(llvm::StringRef function, llvm::ArrayRef<ReferenceTensor> inputs);

  /// Null for a name that is no parameter, state or derived sum.
  const ReferenceVariable *variable(llvm::StringRef symbol) const;
  /// Replaces the value of a parameter or state, and brings derived sums up to
  /// date. Fails for an unknown name or another shape.
  mlir::LogicalResult setValue(llvm::StringRef symbol, ReferenceTensor value);

  /// Null for a name that is no group.
  const ReferenceGroup *group(llvm::StringRef symbol) const;
  mlir::LogicalResult setGroup(llvm::StringRef symbol, ReferenceGroup rates);

private:
  explicit ReferenceInterpreter(mlir::ModuleOp module);

  mlir::ModuleOp module;
  mlir::SymbolTable symbols;
  llvm::StringMap<ReferenceVariable> variables;
  llvm::StringMap<ReferenceGroup> groups;
};

} // namespace cambium

#endif // CAMBIUM_REFERENCE_REFERENCEINTERPRETER_H
