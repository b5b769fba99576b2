//===- Carry.h - Values that survive a growth -------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_GROWTH_CARRY_H
#define CAMBIUM_GROWTH_CARRY_H

#include "cambium/IR/Grow.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/OwningOpRef.h"

#include <string>
#include <utility>
#include <vector>

namespace cambium::grow {

/// Marks of the function that a growth leaves: the symbol whose value before
/// the growth an argument is, and the symbol that takes a result after it.
inline constexpr llvm::StringLiteral carryFromMark = "grow.from";
inline constexpr llvm::StringLiteral carryToMark = "grow.to";

/// The values that parameters and states of a grown network take from those of
/// the network before, as a function of the `grow` dialect:
///
/// ```mlir
/// func.func private @carry(%a: tensor<3x3x8x8xf32> {grow.from = "block.0.w"},
///                          %b: tensor<3x3x8x8xf32> {grow.from = "block.1.w"})
///     -> (tensor<3x3x8x8xf32> {grow.to = "block.w"}) {
///   %sum = grow.weight_sum %a, %b : tensor<3x3x8x8xf32>
///   return %sum : tensor<3x3x8x8xf32>
/// }
/// ```
///
/// What no result names keeps its value if it was there, and has its declared
/// initial value if it is new. Being IR, it can be printed, interpreted by the
/// reference, and compiled for the device that holds the values.
class Carry {
public:
  explicit Carry(mlir::MLIRContext *context);
  ~Carry();
  Carry(const Carry &) = delete;
  Carry &operator=(const Carry &) = delete;

  /// The value of a parameter or state before the growth.
  mlir::Value from(llvm::StringRef symbol, mlir::RankedTensorType type);
  /// What an expression of reads in the network was worth before the growth.
  mlir::Value copyOf(mlir::Value expression);
  /// Where expressions of such values are made.
  mlir::OpBuilder &getBuilder() { return builder; }
  /// Gives a parameter or state of the grown network a value.
  void to(llvm::StringRef symbol, mlir::Value value);

  bool isEmpty() const { return results.empty(); }
  /// What takes the unchanged value of another: {to, from}.
  std::vector<std::pair<std::string, std::string>> copies() const;

  /// The function, private and in no module; nothing is left here.
  mlir::OwningOpRef<mlir::func::FuncOp> take(llvm::StringRef name);

private:
  mlir::OwningOpRef<mlir::func::FuncOp> func;
  mlir::OpBuilder builder;
  /// The symbols of the arguments, and those of the results with their values.
  std::vector<std::string> sources;
  std::vector<std::pair<std::string, mlir::Value>> results;
};

} // namespace cambium::grow

#endif // CAMBIUM_GROWTH_CARRY_H
