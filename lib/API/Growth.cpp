//===- Growth.cpp - Growth as a rewrite of the network --------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Growth.h"

#include "cambium/IR/Grow.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;
using cambium::internal::StateCopy;

GroupOptions internal::optionsOf(GroupOp group) {
  GroupOptions options;
  options.name = group.getSymName().str();
  options.learningRate = group.getLr().convertToDouble();
  options.weightDecay = group.getWeightDecay().convertToDouble();
  if (auto sgd = dyn_cast<SgdAttr>(group.getOptimizer()))
    options.optimizer =
        Sgd{static_cast<float>(sgd.getMomentum()), sgd.getNesterov()};
  else if (auto adamw = dyn_cast<AdamWAttr>(group.getOptimizer()))
    options.optimizer = AdamW{static_cast<float>(adamw.getBeta1()),
                              static_cast<float>(adamw.getBeta2()),
                              static_cast<float>(adamw.getEpsilon())};
  return options;
}

Attribute internal::optimizerAttr(MLIRContext *context,
                                  const std::variant<Sgd, AdamW> &optimizer) {
  if (auto *sgd = std::get_if<Sgd>(&optimizer))
    return SgdAttr::get(context, realOf(sgd->momentum), sgd->nesterov);
  const auto &adamw = std::get<AdamW>(optimizer);
  return AdamWAttr::get(context, realOf(adamw.beta1), realOf(adamw.beta2),
                        realOf(adamw.epsilon));
}

void internal::addGroup(ModuleOp module, const GroupOptions &options) {
  OpBuilder builder = OpBuilder::atBlockBegin(module.getBody());
  for (auto group : module.getOps<GroupOp>())
    builder.setInsertionPointAfter(group);
  GroupOp::create(builder, module.getLoc(), builder.getStringAttr(options.name),
                  optimizerAttr(module.getContext(), options.optimizer),
                  builder.getF64FloatAttr(realOf(options.learningRate)),
                  builder.getF64FloatAttr(realOf(options.weightDecay)));
}

LogicalResult internal::addBranches(ModuleOp module, const AddBranches &growth,
                                    std::vector<StateCopy> &copies) {
  Carry carry(module.getContext());
  if (failed(grow::addBranches(module, growth, carry)))
    return failure();
  for (auto &[to, from] : carry.copies())
    copies.push_back({to, from});
  return success();
}
