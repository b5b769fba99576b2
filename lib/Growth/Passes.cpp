//===- Passes.cpp - Growth as passes --------------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Growth/Passes.h"

#include "cambium/Growth/Rewrites.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWADDBRANCHES
#define GEN_PASS_DEF_GROWFREEZE
#define GEN_PASS_DEF_GROWINSERTLAYER
#define GEN_PASS_DEF_GROWMERGEBRANCHES
#define GEN_PASS_DEF_GROWREMOVEBRANCHES
#define GEN_PASS_DEF_GROWREPLACEFILTERSIZE
#define GEN_PASS_DEF_GROWSPLITNEURONS
#define GEN_PASS_DEF_GROWTHAW
#define GEN_PASS_DEF_GROWWIDEN
#include "cambium/Growth/Passes.h.inc"

namespace {

/// A pass that grows the network and shows what is carried.
template <typename Base> struct GrowthPass : Base {
  using Base::Base;

  void runOnOperation() final {
    ModuleOp module = this->getOperation();
    Carry carry(module.getContext());
    if (failed(grow(module, carry)))
      return this->signalPassFailure();
    if (!carry.isEmpty())
      module.push_back(
          carry.take(freeSymbol(SymbolTable(module), "carry")).release());
  }

  virtual LogicalResult grow(ModuleOp module, Carry &carry) = 0;
};

/// A window as in 5x5.
FailureOr<std::array<int64_t, 2>> parseKernel(ModuleOp module, StringRef text) {
  std::array<int64_t, 2> window;
  auto [height, width] = text.split('x');
  if (height.getAsInteger(10, window[0]) || width.getAsInteger(10, window[1]))
    return module.emitError("kernel=")
           << text << ": expected HEIGHTxWIDTH, such as 3x3";
  return window;
}

struct AddBranchesPass
    : GrowthPass<impl::GrowAddBranchesBase<AddBranchesPass>> {
  using GrowthPass::GrowthPass;

  LogicalResult grow(ModuleOp module, Carry &carry) final {
    AddBranches growth{map, count, group, {init, value, branch}};
    if (!kernel.empty()) {
      FailureOr<std::array<int64_t, 2>> window = parseKernel(module, kernel);
      if (failed(window))
        return failure();
      growth.kernel = *window;
    }
    return addBranches(module, growth, carry);
  }
};

struct RemoveBranchesPass
    : GrowthPass<impl::GrowRemoveBranchesBase<RemoveBranchesPass>> {
  using GrowthPass::GrowthPass;

  LogicalResult grow(ModuleOp module, Carry &) final {
    return removeBranches(module, {map, {branches.begin(), branches.end()}});
  }
};

struct MergeBranchesPass
    : GrowthPass<impl::GrowMergeBranchesBase<MergeBranchesPass>> {
  using GrowthPass::GrowthPass;

  LogicalResult grow(ModuleOp module, Carry &carry) final {
    return mergeBranches(module, {map, group}, carry);
  }
};

struct ReplaceFilterSizePass
    : GrowthPass<impl::GrowReplaceFilterSizeBase<ReplaceFilterSizePass>> {
  using GrowthPass::GrowthPass;

  LogicalResult grow(ModuleOp module, Carry &carry) final {
    FailureOr<std::array<int64_t, 2>> window = parseKernel(module, kernel);
    if (failed(window))
      return failure();
    return replaceFilterSize(
        module, {map, *window, {branches.begin(), branches.end()}}, carry);
  }
};

struct InsertLayerPass
    : GrowthPass<impl::GrowInsertLayerBase<InsertLayerPass>> {
  using GrowthPass::GrowthPass;

  LogicalResult grow(ModuleOp module, Carry &) final {
    FailureOr<std::array<int64_t, 2>> window = parseKernel(module, kernel);
    if (failed(window))
      return failure();
    return insertLayer(module, {after, name, group, *window});
  }
};

struct FreezePass : GrowthPass<impl::GrowFreezeBase<FreezePass>> {
  using GrowthPass::GrowthPass;

  LogicalResult grow(ModuleOp module, Carry &) final {
    return freeze(module, {{groups.begin(), groups.end()},
                           {maps.begin(), maps.end()},
                           {params.begin(), params.end()}});
  }
};

struct ThawPass : GrowthPass<impl::GrowThawBase<ThawPass>> {
  using GrowthPass::GrowthPass;

  LogicalResult grow(ModuleOp module, Carry &) final {
    return thaw(module, {{groups.begin(), groups.end()},
                         {maps.begin(), maps.end()},
                         {params.begin(), params.end()}});
  }
};

struct SplitNeuronsPass
    : GrowthPass<impl::GrowSplitNeuronsBase<SplitNeuronsPass>> {
  using GrowthPass::GrowthPass;

  LogicalResult grow(ModuleOp module, Carry &carry) final {
    return splitNeurons(
        module, {layer, {neurons.begin(), neurons.end()}, group}, carry);
  }
};

struct WidenPass : GrowthPass<impl::GrowWidenBase<WidenPass>> {
  using GrowthPass::GrowthPass;

  LogicalResult grow(ModuleOp module, Carry &carry) final {
    return widen(module, {layer, count, group, {init, value, 0}}, carry);
  }
};

} // namespace
} // namespace cambium::grow
