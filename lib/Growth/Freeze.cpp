//===- Freeze.cpp - Which parameters are trained --------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GrowthUtils.h"

#include "cambium/Growth/Rewrites.h"
#include "cambium/IR/Frozen.h"

#include "llvm/ADT/SetVector.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

using Params = llvm::SetVector<ParamOp>;

static LogicalResult addGroup(ModuleOp module, StringRef name, Params &params) {
  auto group = module.lookupSymbol<GroupOp>(name);
  if (!group)
    return module.emitError("there is no optimizer group '") << name << "'";
  size_t before = params.size();
  for (auto param : module.getOps<ParamOp>())
    if (param.getGroup() == name)
      params.insert(param);
  if (params.size() == before)
    return group.emitError("no other parameter is in group '") << name << "'";
  return success();
}

static LogicalResult addMap(ModuleOp module, StringRef name, StringRef done,
                            Params &params) {
  FailureOr<MapOp> map = findMap(module, name, done);
  if (failed(map))
    return failure();
  size_t before = params.size();
  for (Value value : map->getParams())
    params.insert_range(paramsOf(module, value));
  if (params.size() == before)
    return map->emitError("the branches of '")
           << name << "' read no other parameter";
  return success();
}

/// The parameters that are meant, at least one.
static FailureOr<Params>
select(ModuleOp module, const ParameterSelection &selection, StringRef done) {
  if (selection.groups.empty() && selection.maps.empty() &&
      selection.parameters.empty())
    return module.emitError("nothing to ")
           << done << "; name groups, maps or parameters";
  Params params;
  for (const std::string &name : selection.groups)
    if (failed(addGroup(module, name, params)))
      return failure();
  for (const std::string &name : selection.maps)
    if (failed(addMap(module, name, done, params)))
      return failure();
  for (const std::string &name : selection.parameters) {
    auto param = module.lookupSymbol<ParamOp>(name);
    if (!param)
      return module.emitError("there is no parameter '")
             << name << "' to " << done;
    params.insert(param);
  }
  return params;
}

LogicalResult cambium::grow::freeze(ModuleOp module,
                                    const ParameterSelection &selection) {
  FailureOr<Params> params = select(module, selection, "freeze");
  if (failed(params))
    return failure();
  for (ParamOp param : *params)
    param->setDiscardableAttr(frozenMark, UnitAttr::get(module.getContext()));
  return success();
}

LogicalResult cambium::grow::thaw(ModuleOp module,
                                  const ParameterSelection &selection) {
  FailureOr<Params> params = select(module, selection, "thaw");
  if (failed(params))
    return failure();
  for (ParamOp param : *params)
    if (!isFrozen(param))
      return param.emitError("'")
             << param.getSymName() << "' cannot be thawed: it is not frozen";
  for (ParamOp param : *params)
    param->removeDiscardableAttr(frozenMark);
  return success();
}
