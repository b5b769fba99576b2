//===- GrowthUtils.cpp - What growths share -------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GrowthUtils.h"

#include "cambium/Growth/Rewrites.h"

#include "llvm/ADT/StringExtras.h"

#include <charconv>

using namespace mlir;

namespace cambium::grow {

std::string freeSymbol(const SymbolTable &symbols, const std::string &base) {
  std::string name = base;
  for (int i = 1; symbols.lookup(name); ++i)
    name = base + "." + std::to_string(i);
  return name;
}

double realOf(float value) {
  char text[32];
  auto end = std::to_chars(text, text + sizeof(text), value);
  return std::stod(std::string(text, end.ptr));
}

FailureOr<MapOp> findMap(ModuleOp module, StringRef name, StringRef done) {
  SmallVector<MapOp> found;
  SmallVector<std::string> names;
  module.walk([&](MapOp map) {
    names.push_back("'" + map.getName().str() + "'");
    if (map.getName() == name)
      found.push_back(map);
  });
  if (found.size() == 1 && !found[0]->getParentOfType<MapOp>())
    return found[0];
  if (found.empty())
    return module.emitError("there is no map '")
           << name << "' to " << done << "; the network has "
           << (names.empty() ? "none" : llvm::join(names, ", "));
  return found[0].emitError("cannot ")
         << done << " '" << name << "': the name stands for " << found.size()
         << " maps, or for one inside another";
}

/// Told by name and inputs.
static bool isBeside(MapOp beside, MapOp map) {
  StringRef name = beside.getName();
  int64_t height, width;
  return name.consume_front((map.getName() + ".").str()) &&
         !name.consumeInteger(10, height) && name.consume_front("x") &&
         !name.consumeInteger(10, width) && name.empty() &&
         llvm::equal(beside.getInputs(), map.getInputs());
}

JoinedMaps joinBeside(MapOp map) {
  JoinedMaps joined{{map}, {}, map.getResult()};
  joined.tree.insert(map);
  while (joined.result.hasOneUse()) {
    auto add = dyn_cast<AddOp>(*joined.result.user_begin());
    if (!add)
      break;
    Value other = add.getLhs() == joined.result ? add.getRhs() : add.getLhs();
    auto beside = other.getDefiningOp<MapOp>();
    if (!beside || !isBeside(beside, map) || !other.hasOneUse())
      break;
    joined.maps.push_back(beside);
    joined.tree.insert(beside);
    joined.tree.insert(add);
    joined.result = add.getResult();
  }
  return joined;
}

LogicalResult checkGroup(ModuleOp module, StringRef group) {
  if (module.lookupSymbol<GroupOp>(group))
    return success();
  return module.emitError("there is no optimizer group '")
         << group << "'; add it with addGroup, or declare `grow.group @"
         << (group.empty() ? "name" : group) << "`";
}

Operation *declarationOf(ModuleOp module, Value value) {
  auto get = value.getDefiningOp<GetOp>();
  return get ? module.lookupSymbol(get.getSymbolAttr()) : nullptr;
}

bool isParameterExpression(Value value) {
  while (auto reshape = value.getDefiningOp<ReshapeOp>())
    value = reshape.getInput();
  return isa_and_nonnull<GetOp, WeightSumOp, WeightConcatOp, WeightSliceOp,
                         WeightPadOp, WeightCropOp, WeightScaleOp,
                         WeightComposeOp>(value.getDefiningOp());
}

SmallVector<Operation *> readersOf(ModuleOp module, ParamOp param) {
  SmallVector<Value> worklist;
  module.walk([&](GetOp get) {
    if (get.getSymbol() == param.getSymName())
      worklist.push_back(get);
  });
  SmallVector<Operation *> readers;
  while (!worklist.empty())
    for (OpOperand &use : worklist.pop_back_val().getUses()) {
      Operation *user = use.getOwner();
      if (user->getNumResults() == 1 &&
          isParameterExpression(user->getResult(0)))
        worklist.push_back(user->getResult(0));
      else
        readers.push_back(user);
    }
  return readers;
}

SmallVector<ParamOp> paramsOf(ModuleOp module, Value expression) {
  if (auto param = dyn_cast_or_null<ParamOp>(declarationOf(module, expression)))
    return {param};
  SmallVector<ParamOp> params;
  if (isParameterExpression(expression))
    for (Value operand : expression.getDefiningOp()->getOperands())
      llvm::append_range(params, paramsOf(module, operand));
  return params;
}

OpBuilder declarationBuilder(ModuleOp module) {
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  for (Operation &op : *module.getBody())
    if (isa<GroupOp, ParamOp, StateOp>(op))
      builder.setInsertionPointAfter(&op);
  return builder;
}

/// Erases a declaration that nothing but copies of its initial values names.
static void eraseUnusedDeclaration(ModuleOp module, Operation *declaration) {
  std::optional<SymbolTable::UseRange> uses =
      SymbolTable::getSymbolUses(declaration, module);
  if (!uses || llvm::any_of(*uses, [](const SymbolTable::SymbolUse &use) {
        return !isa<ParamOp, StateOp>(use.getUser());
      }))
    return;
  Attribute init = declaration->getAttr("init");
  for (const SymbolTable::SymbolUse &use : *uses)
    use.getUser()->setAttr("init", init);
  declaration->erase();
}

void eraseUnusedReads(ModuleOp module, ValueRange expressions) {
  llvm::SetVector<Value> worklist(expressions.begin(), expressions.end());
  llvm::SetVector<Operation *> declarations;
  while (!worklist.empty()) {
    Value value = worklist.pop_back_val();
    if (!value.use_empty() || !isParameterExpression(value))
      continue;
    if (auto get = value.getDefiningOp<GetOp>())
      declarations.insert(module.lookupSymbol(get.getSymbolAttr()));
    SmallVector<Value> operands(value.getDefiningOp()->getOperands());
    value.getDefiningOp()->erase();
    worklist.insert_range(operands);
  }
  for (Operation *declaration : declarations)
    eraseUnusedDeclaration(module, declaration);
}

} // namespace cambium::grow
