//===- Carry.cpp - Values that survive a growth ---------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Growth/Carry.h"

#include "mlir/IR/IRMapping.h"

using namespace mlir;
using namespace cambium::grow;

Carry::Carry(MLIRContext *context) : builder(context) {
  func = func::FuncOp::create(UnknownLoc::get(context), "carry",
                              FunctionType::get(context, {}, {}));
  builder.setInsertionPointToEnd(&func->getBody().emplaceBlock());
}

Carry::~Carry() = default;

Value Carry::from(StringRef symbol, RankedTensorType type) {
  Block &block = func->getBody().front();
  auto known = llvm::find(sources, symbol.str());
  if (known != sources.end())
    return block.getArgument(known - sources.begin());
  sources.push_back(symbol.str());
  return block.addArgument(type, func->getLoc());
}

Value Carry::copyOf(Value expression) {
  if (auto get = expression.getDefiningOp<GetOp>())
    return from(get.getSymbol(), cast<RankedTensorType>(get.getType()));
  Operation *op = expression.getDefiningOp();
  IRMapping mapping;
  for (Value operand : op->getOperands())
    mapping.map(operand, copyOf(operand));
  return builder.clone(*op, mapping)->getResult(0);
}

void Carry::to(StringRef symbol, Value value) {
  results.emplace_back(symbol.str(), value);
}

std::vector<std::pair<std::string, std::string>> Carry::copies() const {
  std::vector<std::pair<std::string, std::string>> copies;
  for (const auto &[symbol, value] : results)
    if (auto argument = dyn_cast<BlockArgument>(value))
      copies.emplace_back(symbol, sources[argument.getArgNumber()]);
  return copies;
}

OwningOpRef<func::FuncOp> Carry::take(StringRef name) {
  SmallVector<Value> values;
  for (const auto &[symbol, value] : results)
    values.push_back(value);
  func::ReturnOp::create(builder, func->getLoc(), values);
  func->setFunctionType(builder.getFunctionType(
      func->getBody().front().getArgumentTypes(), ValueRange(values)));
  for (auto [i, symbol] : llvm::enumerate(sources))
    func->setArgAttr(i, carryFromMark, builder.getStringAttr(symbol));
  for (auto [i, result] : llvm::enumerate(results))
    func->setResultAttr(i, carryToMark, builder.getStringAttr(result.first));
  func->setName(name);
  func->setPrivate();
  sources.clear();
  results.clear();
  return std::move(func);
}
