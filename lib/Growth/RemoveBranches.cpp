//===- RemoveBranches.cpp - Fewer branches for a map ----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GrowthUtils.h"

#include "cambium/Growth/Rewrites.h"

#include "mlir/IR/Verifier.h"
#include "llvm/ADT/SmallSet.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

/// The branches as a set, checked.
static FailureOr<llvm::SmallSet<unsigned, 8>>
checkBranches(MapOp map, const RemoveBranches &growth) {
  if (growth.branches.empty())
    return map.emitError("name at least one branch of '")
           << map.getName() << "' to remove";
  llvm::SmallSet<unsigned, 8> removed;
  for (unsigned branch : growth.branches) {
    if (branch >= map.getBranches())
      return map.emitError("cannot remove branch ")
             << branch << " of '" << map.getName() << "', which has "
             << map.getBranches()
             << (map.getBranches() == 1 ? " branch" : " branches")
             << ", counted from 0";
    if (!removed.insert(branch).second)
      return map.emitError("cannot remove branch ")
             << branch << " of '" << map.getName() << "' twice; name it once";
  }
  if (map.getReduction() != Reduction::Concat)
    return removed;
  InFlightDiagnostic diag = map.emitError("cannot remove branches of '")
                            << map.getName()
                            << "': they are concatenated, and what reads them "
                               "expects all; freeze them instead";
  for (Operation *user : map->getUsers())
    diag.attachNote(user->getLoc()) << "read here";
  return diag;
}

LogicalResult cambium::grow::removeBranches(ModuleOp module,
                                            const RemoveBranches &growth) {
  FailureOr<MapOp> map = findMap(module, growth.map, "remove branches from");
  if (failed(map))
    return failure();
  auto removed = checkBranches(*map, growth);
  if (failed(removed))
    return failure();
  SmallVector<Value> kept, gone;
  for (int64_t branch = 0, e = map->getBranches(); branch < e; ++branch)
    llvm::append_range(removed->contains(branch) ? gone : kept,
                       map->getTuple(branch));
  map->getParamsMutable().assign(kept);
  map->setBranches(map->getBranches() - removed->size());
  eraseUnusedReads(module, gone);
  return mlir::verify(module);
}
