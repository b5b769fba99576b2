//===- InsertLayer.cpp - Deeper networks ----------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "GrowthUtils.h"

#include "cambium/Growth/Rewrites.h"

#include "mlir/IR/Verifier.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

namespace {

/// What a map, with those beside it, or a layer with a parameter computes.
FailureOr<Value> findLayer(ModuleOp module, StringRef name) {
  auto param = module.lookupSymbol<ParamOp>(name);
  if (!param) {
    FailureOr<MapOp> map = findMap(module, name, "insert a layer after");
    if (failed(map))
      return failure();
    return joinBeside(*map).result;
  }
  SmallVector<Operation *> readers = readersOf(module, param);
  if (readers.size() == 1 && readers[0]->getNumResults() == 1 &&
      !isa<MapOp>(readers[0]))
    return readers[0]->getResult(0);
  return param.emitError("cannot insert a layer after '")
         << name << "': " << readers.size()
         << " operations read it; name a parameter that one layer reads, or a "
            "map";
}

bool isActivation(Operation *op) {
  return isa<ReluOp, LeakyReluOp, GeluOp, SiluOp, TanhOp, SigmoidOp>(op);
}

/// Goes on behind a layer's bias, normalisation and activation.
Value endOfLayer(Value value) {
  while (value.hasOneUse()) {
    Operation *user = *value.user_begin();
    bool follows = isa<BiasAddOp, ChannelScaleOp, ScaleOp, BatchNormOp>(user) ||
                   isActivation(user);
    if (!follows || user->getOperand(0) != value)
      break;
    value = user->getResult(0);
    if (isActivation(user))
      break;
  }
  return value;
}

class LayerInserter {
public:
  LayerInserter(ModuleOp module, Value input, const InsertLayer &growth)
      : module(module), symbols(module), input(input),
        type(cast<RankedTensorType>(input.getType())), growth(growth),
        declarations(declarationBuilder(module)), builder(module.getContext()) {
    builder.setInsertionPointAfterValue(input);
  }

  LogicalResult run();

private:
  LogicalResult check();
  Value declare(StringRef role, ArrayRef<int64_t> shape, Attribute init);
  Value layer(OpBuilder &inside, Value of, Value weight);

  ModuleOp module;
  SymbolTable symbols;
  Value input;
  RankedTensorType type;
  const InsertLayer &growth;
  OpBuilder declarations, builder;
};

LogicalResult LayerInserter::check() {
  Operation *op = input.getDefiningOp();
  int64_t rank = type.getRank();
  if ((rank != 2 && rank != 4) || type.isDynamicDim(rank - 1))
    return op->emitError("cannot insert a layer after '")
           << growth.after << "', which gives " << type
           << "; it needs a matrix or images with a known number of channels";
  for (int64_t extent : growth.kernel)
    if (rank == 4 && (extent < 1 || extent % 2 == 0))
      return op->emitError("cannot insert a layer of kernel ")
             << growth.kernel[0] << "x" << growth.kernel[1]
             << ": extents must be odd, so that the result has the input's";
  bool isTaken = growth.name.empty();
  module.walk([&](MapOp map) { isTaken |= map.getName() == growth.name; });
  if (isTaken)
    return op->emitError("cannot insert a layer called '")
           << growth.name << "': "
           << (growth.name.empty() ? "it needs a name"
                                   : "a map has that name; choose another");
  return success();
}

Value LayerInserter::declare(StringRef role, ArrayRef<int64_t> shape,
                             Attribute init) {
  RankedTensorType paramType = type.clone(shape);
  std::string name = freeSymbol(symbols, growth.name + ".0." + role.str());
  symbols.insert(ParamOp::create(declarations, input.getLoc(), name, paramType,
                                 growth.group, init));
  return GetOp::create(builder, input.getLoc(), paramType, name);
}

Value LayerInserter::layer(OpBuilder &inside, Value of, Value weight) {
  if (type.getRank() == 2)
    return LinearOp::create(inside, input.getLoc(), type, of, weight);
  auto filter = cast<RankedTensorType>(weight.getType());
  int64_t ones[] = {1, 1};
  int64_t padding[] = {filter.getDimSize(0) / 2, filter.getDimSize(1) / 2};
  return Conv2DOp::create(inside, input.getLoc(), type, of, weight, ones,
                          padding, ones, /*groups=*/1);
}

LogicalResult LayerInserter::run() {
  if (failed(check()))
    return failure();
  MLIRContext *context = module.getContext();
  int64_t channels = type.getShape().back();
  SmallVector<int64_t> first = {channels, channels}, second = first;
  if (type.getRank() == 4) {
    first.insert(first.begin(), growth.kernel.begin(), growth.kernel.end());
    second.insert(second.begin(), {1, 1});
  }
  SmallVector<Value> params = {
      declare("first", first, KaimingAttr::get(context)),
      declare("b", {channels}, ZeroAttr::get(context)),
      declare("second", second, ZeroAttr::get(context))};
  auto map =
      MapOp::create(builder, input.getLoc(), type, growth.name, Reduction::Sum,
                    /*branches=*/1, KeepAttr(), input, params);
  Block &body = map.getBody().emplaceBlock();
  for (Value operand : map->getOperands())
    body.addArgument(operand.getType(), input.getLoc());
  OpBuilder inside = OpBuilder::atBlockEnd(&body);
  Value value = layer(inside, body.getArgument(0), body.getArgument(1));
  value = BiasAddOp::create(inside, input.getLoc(), type, value,
                            body.getArgument(2));
  value = ReluOp::create(inside, input.getLoc(), type, value);
  value = layer(inside, value, body.getArgument(3));
  YieldOp::create(inside, input.getLoc(), value);
  auto sum = AddOp::create(builder, input.getLoc(), type, input, map);
  input.replaceUsesWithIf(sum.getResult(), [&](OpOperand &use) {
    return use.getOwner() != map && use.getOwner() != sum;
  });
  return mlir::verify(module);
}

} // namespace

LogicalResult cambium::grow::insertLayer(ModuleOp module,
                                         const InsertLayer &growth) {
  if (failed(checkGroup(module, growth.group)))
    return failure();
  FailureOr<Value> layer = findLayer(module, growth.after);
  if (failed(layer))
    return failure();
  return LayerInserter(module, endOfLayer(*layer), growth).run();
}
