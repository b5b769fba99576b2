//===- PlanMemory.cpp - The memory plan as attributes and table -----------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"
#include "cambium/Transforms/MemoryPlan.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/FormatVariadic.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWPLANMEMORY
#include "cambium/Transforms/Passes.h.inc"

namespace {

void annotate(func::FuncOp func, const MemoryPlan &plan) {
  Builder builder(func.getContext());
  func->setAttr("grow.batch", builder.getI64IntegerAttr(plan.batch));
  func->setAttr("grow.arena_bytes", builder.getI64IntegerAttr(plan.arenaBytes));
  for (const MemoryPlan::Launch &launch : plan.launches) {
    SmallVector<int64_t> offsets;
    for (Value result : LaunchOp(launch.op).getResults())
      offsets.push_back(plan.buffers[plan.bufferOf.lookup(result)].offset);
    Operation *op = LaunchOp(launch.op).getOperation();
    if (!offsets.empty())
      op->setAttr("grow.offsets", builder.getDenseI64ArrayAttr(offsets));
    if (launch.workspace >= 0)
      op->setAttr(
          "grow.workspace_offset",
          builder.getI64IntegerAttr(plan.buffers[launch.workspace].offset));
  }
}

void printTable(func::FuncOp func, const MemoryPlan &plan,
                llvm::raw_ostream &os) {
  os << "@" << func.getName() << ", batch " << plan.batch << ": arena "
     << plan.arenaBytes << " bytes, scratch " << plan.scratchBytes
     << " bytes a thread\n";
  os << llvm::formatv("  {0,12}  {1,12}  {2,-11}  {3,-17}  {4}\n", "offset",
                      "bytes", "launches", "category", "buffer");
  for (const Buffer &buffer : plan.buffers)
    os << llvm::formatv(
        "  {0,12}  {1,12}  {2,-11}  {3,-17}  {4}\n", buffer.offset,
        buffer.bytes, llvm::formatv("{0}-{1}", buffer.begin, buffer.end).str(),
        stringifyCategory(buffer.category), buffer.name);
  for (BufferCategory category :
       {BufferCategory::Activation, BufferCategory::Kept,
        BufferCategory::Gradient, BufferCategory::Workspace})
    os << llvm::formatv("  {0,12}  {1,12}  peak of {2}\n", "",
                        plan.peak(category), stringifyCategory(category));
}

/// What the store holds for the module, whatever the batch.
void printStored(ModuleOp module, llvm::raw_ostream &os) {
  constexpr int64_t bytes = sizeof(float);
  int64_t parameters = 0, state = 0;
  SymbolTable symbols(module);
  for (auto param : module.getOps<ParamOp>()) {
    int64_t size = param.getTensorType().getNumElements() * bytes;
    auto group = symbols.lookup<GroupOp>(param.getGroup());
    parameters += size;
    state += size * optimizerStates(group.getOptimizer());
  }
  for (auto op : module.getOps<StateOp>())
    state += op.getTensorType().getNumElements() * bytes;
  for (auto op : module.getOps<DerivedOp>())
    state += op.getTensorType().getNumElements() * bytes;
  os << llvm::formatv("stored: parameters {0} bytes, state {1} bytes\n",
                      parameters, state);
}

struct PlanMemory : impl::GrowPlanMemoryBase<PlanMemory> {
  using GrowPlanMemoryBase::GrowPlanMemoryBase;

  void runOnOperation() override {
    if (batch < 1) {
      emitError(getOperation().getLoc(), "cannot plan for a batch of ")
          << batch.getValue() << "; batch= must be at least 1";
      return signalPassFailure();
    }
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (func.isDeclaration())
        continue;
      FailureOr<MemoryPlan> plan = planMemory(func, batch, target);
      if (failed(plan))
        return signalPassFailure();
      annotate(func, *plan);
      numBuffers += plan->buffers.size();
      if (print)
        printTable(func, *plan, llvm::errs());
    }
    if (print)
      printStored(getOperation(), llvm::errs());
  }
};

} // namespace
} // namespace cambium::grow
