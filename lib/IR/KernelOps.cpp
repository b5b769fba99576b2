//===- KernelOps.cpp - Kernels and launches -------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"

#include "mlir/IR/OwningOpRef.h"

using namespace mlir;
using namespace cambium::grow;

void KernelOp::build(OpBuilder &builder, OperationState &state,
                     StringRef name) {
  build(builder, state, name, RegisterTileAttr(), BlockTileAttr());
}

std::string KernelOp::getContent() {
  OwningOpRef<KernelOp> copy(cast<KernelOp>(getOperation()->clone()));
  copy->setSymName("kernel");
  std::string text;
  llvm::raw_string_ostream stream(text);
  copy->print(stream, OpPrintingFlags().useLocalScope());
  return text;
}

FusedMapOp KernelOp::getFusedMap() {
  auto maps = getBody().front().getOps<FusedMapOp>();
  return maps.empty() ? FusedMapOp() : *maps.begin();
}

int64_t KernelOp::getNumEach() {
  FusedMapOp map = getFusedMap();
  return !map ? 0 : llvm::count_if(map.getJoins(), [](Attribute join) {
    return cast<JoinAttr>(join).getValue() == Join::Each;
  });
}

/// Fails unless what belongs to single branches comes last among the arguments
/// and the results.
LogicalResult KernelOp::verifyRegions() {
  Block &block = getBody().front();
  auto maps = block.getOps<FusedMapOp>();
  if (maps.empty())
    return success();
  FusedMapOp map = *maps.begin();
  if (!llvm::hasSingleElement(maps) || !map.hasDynamicBranches())
    return emitOpError("takes one grow.fused_map, with `?` branches");
  auto expected =
      ValueRange(block.getArguments()).take_back(map.getParams().size());
  if (block.getNumArguments() < map.getParams().size() ||
      !llvm::equal(map.getParams(), expected))
    return emitOpError("must pass its last arguments, in order, as the "
                       "parameters of its grow.fused_map");
  for (Value param : map.getParams())
    if (!param.hasOneUse())
      return emitOpError("uses a parameter of its grow.fused_map elsewhere");
  SmallVector<Value> each;
  for (auto [index, result] : llvm::enumerate(map.getResults()))
    if (map.getJoin(index) == Join::Each)
      each.push_back(result);
  auto yielded = ValueRange(block.getTerminator()->getOperands());
  if (yielded.size() < each.size() ||
      !llvm::equal(each, yielded.take_back(each.size())))
    return emitOpError("must yield what its grow.fused_map gives for each "
                       "branch, in order, as its last results");
  return success();
}

/// True if a buffer of type `actual` may be passed where a kernel takes
/// `taken`, whose dynamic extents are read at run time.
static bool fits(Type actual, Type taken) {
  auto a = dyn_cast<RankedTensorType>(actual);
  auto t = dyn_cast<RankedTensorType>(taken);
  return a && t && a.getElementType() == t.getElementType() &&
         succeeded(verifyCompatibleShape(a, t));
}

/// Appends the last `count` types until they are there for each branch.
static void repeatLast(SmallVector<Type> &types, int64_t count,
                       int64_t branches) {
  SmallVector<Type> tuple(ArrayRef<Type>(types).take_back(count));
  for (int64_t branch = 1; branch < branches; ++branch)
    llvm::append_range(types, tuple);
}

static LogicalResult verifySignature(LaunchOp launch, KernelOp kernel) {
  Block &body = kernel.getBody().front();
  auto mismatch = [&](StringRef what, unsigned index, Type actual, Type taken) {
    InFlightDiagnostic diag = launch.emitOpError()
                              << what << " " << index << " is " << actual
                              << " but the kernel has " << taken;
    diag.attachNote(kernel.getLoc()) << "the kernel is here";
    return diag;
  };
  auto taken = llvm::to_vector(body.getArgumentTypes());
  auto yields = llvm::to_vector(body.getTerminator()->getOperandTypes());
  FusedMapOp map = kernel.getFusedMap();
  if (launch.getBranches().has_value() != static_cast<bool>(map))
    return launch.emitOpError(map ? "runs a kernel over branches without "
                                    "`branches`"
                                  : "has `branches` but runs no kernel over "
                                    "branches");
  if (map) {
    int64_t branches = *launch.getBranches();
    if (branches < 1)
      return launch.emitOpError("needs a branch");
    // More branches than values cannot be, and counting them takes long.
    int64_t values = launch.getOperands().size() + launch.getResults().size();
    if (branches > values)
      return launch.emitOpError()
             << "has " << values << " operands and results, too few for "
             << branches << " branches";
    repeatLast(taken, map.getTupleSize(), branches);
    repeatLast(yields, kernel.getNumEach(), branches);
  }
  if (launch.getOperands().size() != taken.size() ||
      launch.getResults().size() != yields.size())
    return launch.emitOpError()
           << "has " << launch.getOperands().size() << " operands and "
           << launch.getResults().size() << " results but the kernel takes "
           << taken.size() << " and gives " << yields.size();
  for (auto [i, actual] : llvm::enumerate(launch.getOperands().getTypes()))
    if (!fits(actual, taken[i]))
      return mismatch("operand", i, actual, taken[i]);
  for (auto [i, actual] : llvm::enumerate(launch.getResults().getTypes()))
    if (!fits(actual, yields[i]))
      return mismatch("result", i, actual, yields[i]);
  return success();
}

LogicalResult LaunchOp::verifySymbolUses(SymbolTableCollection &tables) {
  auto kernel =
      tables.lookupNearestSymbolFrom<KernelOp>(*this, getKernelAttr());
  if (!kernel)
    return emitOpError() << "runs '" << getKernel()
                         << "', which is not a grow.kernel";
  bool optimizes = !kernel.getBody().getOps<OptimizerOp>().empty();
  if (optimizes != getUpdates().has_value())
    return emitOpError(optimizes
                           ? "runs an optimizer kernel without `updates`"
                           : "has `updates` but runs no optimizer kernel");
  if (failed(verifySignature(*this, kernel)))
    return failure();
  if (!optimizes)
    return success();
  if (getOperands().size() != 1)
    return emitOpError("runs an optimizer kernel, which takes the gradient "
                       "alone");
  Type gradient = getOperands()[0].getType();
  for (auto symbol : getUpdates()->getAsRange<FlatSymbolRefAttr>()) {
    auto param = tables.lookupNearestSymbolFrom<ParamOp>(*this, symbol);
    if (!param)
      return emitOpError() << "updates '" << symbol.getValue()
                           << "', which is not a declared parameter";
    if (param.getType() != gradient)
      return emitOpError() << "updates '" << symbol.getValue() << "' of type "
                           << param.getType() << " by a gradient of type "
                           << gradient;
  }
  if (getDerived() &&
      !tables.lookupNearestSymbolFrom<DerivedOp>(*this, getDerivedAttr()))
    return emitOpError() << "writes '" << *getDerived()
                         << "', which is not a grow.derived";
  return success();
}
