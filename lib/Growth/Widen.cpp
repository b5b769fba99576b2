//===- Widen.cpp - More outputs for a layer -------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The layer's filter gets a block of new filters, and what reads the layer is
// followed until contractions take the new channels in, by rows of zeros. No
// parameter changes: blocks are joined by weight expressions, those along the
// input channels as concatenations under another shape,
//
//   concat([kh, kw, C, F], [kh, kw, n, F]) along C
//     = concat([kh, kw, 1, C*F], [kh, kw, 1, n*F]) along the last dimension.
//
// Neurons are split in the same way, but new blocks start as copies and rows as
// shares of the old ones.
//
//===----------------------------------------------------------------------===//

#include "GrowthUtils.h"

#include "cambium/Growth/Rewrites.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

namespace {

/// The last dimension of a widened value: runs of old and of new channels, all
/// of it `repeat` times, as flattened images have it.
struct Layout {
  struct Run {
    int64_t size;
    bool isNew;
    bool operator==(const Run &other) const {
      return size == other.size && isNew == other.isNew;
    }
  };
  SmallVector<Run, 4> runs;
  int64_t repeat = 1;

  int64_t extent() const {
    int64_t sum = 0;
    for (const Run &run : runs)
      sum += run.size;
    return sum * repeat;
  }
  bool operator==(const Layout &other) const {
    return runs == other.runs && repeat == other.repeat;
  }
};

RankedTensorType typeOf(Value value) {
  return cast<RankedTensorType>(value.getType());
}

RankedTensorType withLast(RankedTensorType type, int64_t extent) {
  SmallVector<int64_t> shape(type.getShape());
  shape.back() = extent;
  return type.clone(shape);
}

void setLast(Value value, int64_t extent) {
  value.setType(withLast(typeOf(value), extent));
}

class Widener {
public:
  /// `sources` are the channels that new ones copy, or none.
  Widener(ModuleOp module, const Widen &growth, Carry &carry,
          ArrayRef<unsigned> sources = {})
      : module(module), symbols(module), growth(growth), carry(carry),
        sources(sources), declarations(declarationBuilder(module)) {}

  LogicalResult run();

private:
  using Assemble = llvm::function_ref<Value(OpBuilder &, Value)>;

  FailureOr<Operation *> findSeed();
  FailureOr<Operation *> findInBody(MapOp map);
  LogicalResult widenSeed(Operation *seed);
  LogicalResult propagate(Block &block);
  LogicalResult visit(Operation *op);
  LogicalResult visitContraction(Operation *op);
  LogicalResult visitChannelwise(Operation *op, ArrayRef<double> inits);
  LogicalResult visitBinary(Operation *op);
  LogicalResult visitConcat(ConcatOp op);
  LogicalResult visitMap(MapOp map);
  LogicalResult widenResult(Operation *op, Layout layout);
  LogicalResult refuse(Operation *op, const Twine &reason);

  LogicalResult widenOperand(Operation *op, unsigned index, Assemble assemble);
  Value declare(OpBuilder &builder, Value like, ArrayRef<int64_t> shape,
                Attribute init);
  Value assembleLast(OpBuilder &builder, Value value, const Layout &layout,
                     Attribute init);
  Value assembleRows(OpBuilder &builder, Value weight, const Layout &layout);
  Value widenState(OpBuilder &builder, Value value, const Layout &layout,
                   double fill);
  Value extend(OpBuilder &builder, Value value, const Layout &layout);
  void copyLast(Value block, Value like, int64_t base);
  void shareRows(Value weight, ArrayRef<Value> blocks, const Layout &layout,
                 RankedTensorType flat);
  LogicalResult checkOwned(Operation *op, Value weight);
  Attribute constantOf(double value);

  ModuleOp module;
  SymbolTable symbols;
  const Widen &growth;
  Carry &carry;
  ArrayRef<unsigned> sources;
  OpBuilder declarations;
  MapOp seedMap;
  DenseMap<Value, Layout> layouts;
  /// Arguments of bodies whose operands have been assembled.
  DenseSet<Value> assembled;
  SmallVector<Value> replaced;
};

LogicalResult Widener::refuse(Operation *op, const Twine &reason) {
  return op->emitError(sources.empty() ? "cannot widen '" : "cannot split '")
         << growth.layer << "': " << reason;
}

//===----------------------------------------------------------------------===//
// Blocks of parameters
//===----------------------------------------------------------------------===//

Attribute Widener::constantOf(double value) {
  MLIRContext *context = module.getContext();
  return value == 0.0 ? Attribute(ZeroAttr::get(context))
                      : Attribute(ConstantAttr::get(context, value));
}

/// The first parameter or state in an expression.
StringRef nameOf(Value value) {
  Operation *op = value.getDefiningOp();
  if (auto get = dyn_cast_or_null<GetOp>(op))
    return get.getSymbol();
  return op && op->getNumOperands() ? nameOf(op->getOperand(0)) : "new";
}

/// A new parameter, called after the one that it extends, and a read of it.
Value Widener::declare(OpBuilder &builder, Value like, ArrayRef<int64_t> shape,
                       Attribute init) {
  RankedTensorType type = typeOf(like).clone(shape);
  std::string name = freeSymbol(symbols, nameOf(like).str());
  symbols.insert(ParamOp::create(declarations, like.getLoc(), name, type,
                                 growth.group, init));
  return GetOp::create(builder, like.getLoc(), type, name);
}

/// Ranges of the last dimension, `width` for each source behind `base`.
template <typename SliceLike>
SmallVector<Value> slicesOf(OpBuilder &builder, Value value,
                            ArrayRef<unsigned> sources, int64_t base,
                            int64_t width) {
  SmallVector<Value> parts;
  for (unsigned source : sources)
    parts.push_back(SliceLike::create(builder, value.getLoc(),
                                      withLast(typeOf(value), width), value,
                                      base + source * width, width));
  return parts;
}

Value concatOf(OpBuilder &builder, ArrayRef<Value> parts) {
  int64_t extent = 0;
  for (Value part : parts)
    extent += typeOf(part).getShape().back();
  return WeightConcatOp::create(builder, parts.front().getLoc(),
                                withLast(typeOf(parts.front()), extent), parts);
}

/// Lets a new block start as a copy of what it stands behind.
void Widener::copyLast(Value block, Value like, int64_t base) {
  Value old = carry.copyOf(like);
  carry.to(block.getDefiningOp<GetOp>().getSymbol(),
           concatOf(carry.getBuilder(),
                    slicesOf<WeightSliceOp>(carry.getBuilder(), old, sources,
                                            base, 1)));
}

/// Old ranges of the last dimension and new parameters, as the layout has them.
Value Widener::assembleLast(OpBuilder &builder, Value value,
                            const Layout &layout, Attribute init) {
  SmallVector<Value> parts;
  int64_t offset = 0, begin = 0;
  SmallVector<int64_t> shape(typeOf(value).getShape());
  for (const Layout::Run &run : layout.runs) {
    shape.back() = run.size;
    if (run.isNew) {
      parts.push_back(declare(builder, value, shape, init));
      if (!sources.empty())
        copyLast(parts.back(), value, begin);
      continue;
    }
    begin = offset;
    bool isWhole = run.size == typeOf(value).getShape().back();
    parts.push_back(
        isWhole ? value
                : WeightSliceOp::create(builder, value.getLoc(),
                                        withLast(typeOf(value), run.size),
                                        value, offset, run.size)
                      .getResult());
    offset += run.size;
  }
  return WeightConcatOp::create(
      builder, value.getLoc(), withLast(typeOf(value), layout.extent()), parts);
}

/// Splits rows: the old one keeps three quarters, the new one gets the rest.
/// Unequal shares give the two neurons gradients that differ.
void Widener::shareRows(Value weight, ArrayRef<Value> blocks,
                        const Layout &layout, RankedTensorType flat) {
  constexpr double kept = 0.75;
  OpBuilder &values = carry.getBuilder();
  Location loc = weight.getLoc();
  int64_t filters = typeOf(weight).getShape().back(), begin = 0, offset = 0;
  Value old = ReshapeOp::create(values, loc, flat, carry.copyOf(weight));
  auto scaled = [&](Value value, double factor) {
    return WeightScaleOp::create(values, loc, value.getType(), value,
                                 llvm::APFloat(factor));
  };
  SmallVector<Value> rows;
  for (auto [i, run] : llvm::enumerate(layout.runs)) {
    if (run.isNew) {
      Value block = blocks.front();
      blocks = blocks.drop_front();
      Value copy =
          concatOf(values, slicesOf<WeightSliceOp>(values, old, sources,
                                                   begin * filters, filters));
      carry.to(block.getDefiningOp<GetOp>().getSymbol(),
               ReshapeOp::create(values, loc, block.getType(),
                                 scaled(copy, 1.0 - kept)));
      continue;
    }
    begin = offset;
    bool isSplit = i + 1 < layout.runs.size() && layout.runs[i + 1].isNew;
    for (unsigned channel = 0; channel < run.size; ++channel) {
      Value row = slicesOf<WeightSliceOp>(values, old, channel, begin * filters,
                                          filters)
                      .front();
      rows.push_back(isSplit && llvm::is_contained(sources, channel)
                         ? scaled(row, kept).getResult()
                         : row);
    }
    offset += run.size;
  }
  carry.to(
      weight.getDefiningOp<GetOp>().getSymbol(),
      ReshapeOp::create(values, loc, weight.getType(), concatOf(values, rows)));
}

/// Rows can be shared where they are one parameter that nothing else reads.
LogicalResult Widener::checkOwned(Operation *op, Value weight) {
  auto param = dyn_cast_or_null<ParamOp>(declarationOf(module, weight));
  if (!param || readersOf(module, param).size() != 1)
    return refuse(op, "its rows are shared out among copies, but they are not "
                      "one parameter that it alone reads");
  return success();
}

/// Rows of zeros for the new input channels.
Value Widener::assembleRows(OpBuilder &builder, Value weight,
                            const Layout &layout) {
  Location loc = weight.getLoc();
  RankedTensorType type = typeOf(weight);
  int64_t filters = type.getShape().back();
  bool isMatrix = type.getRank() == 2;
  auto flat = [&](int64_t channels) {
    SmallVector<int64_t> shape = {layout.repeat, channels * filters};
    if (!isMatrix)
      shape = {type.getDimSize(0), type.getDimSize(1), 1, channels * filters};
    return type.clone(shape);
  };
  auto natural = [&](int64_t channels) {
    SmallVector<int64_t> shape(type.getShape());
    shape[type.getRank() - 2] = channels * layout.repeat;
    return shape;
  };
  int64_t channels = layout.extent() / layout.repeat, oldChannels = 0;
  for (const Layout::Run &run : layout.runs)
    oldChannels += run.isNew ? 0 : run.size;
  Value old = ReshapeOp::create(builder, loc, flat(oldChannels), weight);
  SmallVector<Value> parts, blocks;
  int64_t offset = 0;
  for (const Layout::Run &run : layout.runs) {
    if (run.isNew) {
      Value block =
          declare(builder, weight, natural(run.size), constantOf(0.0));
      blocks.push_back(block);
      parts.push_back(ReshapeOp::create(builder, loc, flat(run.size), block));
      continue;
    }
    parts.push_back(run.size == oldChannels
                        ? old
                        : WeightSliceOp::create(builder, loc, flat(run.size),
                                                old, offset * filters,
                                                run.size * filters)
                              .getResult());
    offset += run.size;
  }
  if (!sources.empty())
    shareRows(weight, blocks, layout, flat(oldChannels));
  Value joined = WeightConcatOp::create(builder, loc, flat(channels), parts);
  return ReshapeOp::create(builder, loc, type.clone(natural(channels)), joined);
}

/// Running statistics are one state, which a batch norm moves as a whole, so
/// the wider one is new and takes the values of the old.
Value Widener::widenState(OpBuilder &builder, Value value, const Layout &layout,
                          double fill) {
  auto get = value.getDefiningOp<GetOp>();
  auto state =
      get ? module.lookupSymbol<StateOp>(get.getSymbolAttr()) : nullptr;
  if (!state)
    return {};
  RankedTensorType old = state.getTensorType();
  std::string name = freeSymbol(symbols, state.getSymName().str());
  RankedTensorType type = withLast(old, layout.extent());
  symbols.insert(StateOp::create(declarations, state.getLoc(), name, type,
                                 state.getInit()));
  OpBuilder &values = carry.getBuilder();
  Value from = carry.from(state.getSymName(), old);
  SmallVector<Value> parts;
  int64_t offset = 0, begin = 0;
  for (const Layout::Run &run : layout.runs) {
    Type part = withLast(old, run.size);
    if (run.isNew && !sources.empty()) {
      llvm::append_range(
          parts, slicesOf<WeightSliceOp>(values, from, sources, begin, 1));
      continue;
    }
    if (run.isNew) {
      parts.push_back(FillOp::create(values, state.getLoc(), part,
                                     llvm::APFloat(fill), Value()));
      continue;
    }
    begin = offset;
    parts.push_back(WeightSliceOp::create(values, state.getLoc(), part, from,
                                          offset, run.size));
    offset += run.size;
  }
  carry.to(name, WeightConcatOp::create(values, state.getLoc(), type, parts));
  return GetOp::create(builder, value.getLoc(), type, name);
}

/// Replaces an operand that a parameter gives, or that is of the tuples of a
/// map, by what is assembled of it.
LogicalResult Widener::widenOperand(Operation *op, unsigned index,
                                    Assemble assemble) {
  Value value = op->getOperand(index);
  auto argument = dyn_cast<BlockArgument>(value);
  auto map =
      argument ? dyn_cast<MapOp>(argument.getOwner()->getParentOp()) : MapOp();
  if (!map) {
    if (!isParameterExpression(value))
      return refuse(op, "what it reads beside its input is no parameter");
    OpBuilder builder(op);
    Value wide = assemble(builder, value);
    if (!wide)
      return refuse(op, "its running statistics are no states of its own");
    replaced.push_back(value);
    op->setOperand(index, wide);
    return success();
  }
  if (!assembled.insert(argument).second)
    return refuse(op, "a parameter of its map's branches is used twice");
  unsigned place = argument.getArgNumber() - map.getInputs().size();
  OpBuilder builder(map);
  for (int64_t branch = 0, e = map.getBranches(); branch < e; ++branch) {
    unsigned operand = branch * map.getTupleSize() + place;
    Value old = map.getParams()[operand];
    Value wide = isParameterExpression(old) ? assemble(builder, old) : Value();
    if (!wide)
      return refuse(op, "what its map's branches read is no parameter");
    replaced.push_back(old);
    map.getParamsMutable().slice(operand, 1).assign(wide);
    argument.setType(wide.getType());
  }
  return success();
}

//===----------------------------------------------------------------------===//
// Through the network
//===----------------------------------------------------------------------===//

LogicalResult Widener::widenResult(Operation *op, Layout layout) {
  Value result = op->getResult(0);
  setLast(result, layout.extent());
  layouts[result] = std::move(layout);
  return success();
}

LogicalResult Widener::visitContraction(Operation *op) {
  if (auto conv = dyn_cast<Conv2DOp>(op); conv && conv.getGroups() != 1)
    return refuse(op, "a convolution with groups takes its channels; widen it "
                      "before the groups, or not at all");
  if (layouts.contains(op->getOperand(1)))
    return refuse(op, "its channels are weights of this layer");
  const Layout layout = layouts.lookup(op->getOperand(0));
  auto argument = dyn_cast<BlockArgument>(op->getOperand(1));
  auto map = argument ? dyn_cast<MapOp>(op->getParentOp()) : MapOp();
  SmallVector<Value> weights = {op->getOperand(1)};
  if (map) {
    weights.clear();
    for (uint64_t branch = 0; branch < map.getBranches(); ++branch)
      weights.push_back(map.getTuple(
          branch)[argument.getArgNumber() - map.getInputs().size()]);
  }
  for (Value weight : weights)
    if (!sources.empty() && failed(checkOwned(op, weight)))
      return failure();
  return widenOperand(op, 1, [&](OpBuilder &builder, Value weight) {
    return assembleRows(builder, weight, layout);
  });
}

/// Operations with vectors over the channels; `inits` are those of new ones.
LogicalResult Widener::visitChannelwise(Operation *op, ArrayRef<double> inits) {
  const Layout layout = layouts.lookup(op->getOperand(0));
  if (layout.repeat != 1)
    return refuse(op, "vectors over flattened images cannot be widened");
  for (auto [i, init] : llvm::enumerate(inits)) {
    // The first two operands of a batch norm's four are trained.
    bool isState = i >= 2;
    LogicalResult widened = widenOperand(
        op, i + 1, [&, init = init](OpBuilder &builder, Value value) {
          return isState
                     ? widenState(builder, value, layout, init)
                     : assembleLast(builder, value, layout, constantOf(init));
        });
    if (failed(widened))
      return failure();
  }
  return widenResult(op, layout);
}

/// The value with zeros, or copies, for new channels.
Value Widener::extend(OpBuilder &builder, Value value, const Layout &layout) {
  Location loc = value.getLoc();
  RankedTensorType type = typeOf(value);
  SmallVector<Value> parts;
  int64_t offset = 0, begin = 0;
  for (const Layout::Run &run : layout.runs) {
    RankedTensorType part = withLast(type, run.size);
    if (run.isNew && !sources.empty()) {
      llvm::append_range(parts,
                         slicesOf<SliceOp>(builder, value, sources, begin, 1));
      continue;
    }
    if (run.isNew) {
      parts.push_back(FillOp::create(builder, loc, part, llvm::APFloat(0.0),
                                     type.isDynamicDim(0) ? value : Value()));
      continue;
    }
    begin = offset;
    parts.push_back(part == type ? value
                                 : SliceOp::create(builder, loc, part, value,
                                                   offset, run.size)
                                       .getResult());
    offset += run.size;
  }
  return ConcatOp::create(builder, loc, withLast(type, layout.extent()), parts);
}

LogicalResult Widener::visitBinary(Operation *op) {
  const Layout lhs = layouts.lookup(op->getOperand(0));
  const Layout rhs = layouts.lookup(op->getOperand(1));
  if (lhs == rhs)
    return widenResult(op, lhs);
  bool isOne = lhs.runs.empty() || rhs.runs.empty();
  const Layout &wide = lhs.runs.empty() ? rhs : lhs;
  bool canExtend = isa<AddOp>(op) || !sources.empty();
  if (!canExtend || !isOne || wide.repeat != 1)
    return refuse(op, "its new channels meet others here that do not match");
  unsigned narrow = lhs.runs.empty() ? 0 : 1;
  OpBuilder builder(op);
  op->setOperand(narrow, extend(builder, op->getOperand(narrow), wide));
  return widenResult(op, wide);
}

LogicalResult Widener::visitConcat(ConcatOp op) {
  Layout layout;
  for (Value input : op.getInputs()) {
    const Layout part = layouts.lookup(input);
    if (part.repeat != 1)
      return refuse(op, "flattened images are concatenated here");
    if (part.runs.empty())
      layout.runs.push_back({typeOf(input).getShape().back(), false});
    llvm::append_range(layout.runs, part.runs);
  }
  return widenResult(op, layout);
}

LogicalResult Widener::visitMap(MapOp map) {
  Block &body = map.getBody().front();
  for (Value param : map.getParams())
    if (layouts.contains(param))
      return refuse(map, "its channels are parameters of a map's branches");
  for (auto [input, argument] : llvm::zip(map.getInputs(), body.getArguments()))
    if (layouts.contains(input)) {
      argument.setType(input.getType());
      layouts[argument] = layouts.lookup(input);
    }
  if (failed(propagate(body)))
    return failure();
  const Layout yielded = layouts.lookup(map.getYielded());
  if (yielded.runs.empty())
    return success();
  if (map.getReduction() != Reduction::Concat)
    return widenResult(map, yielded);
  if (yielded.repeat != 1)
    return refuse(map, "flattened images are concatenated here");
  Layout joined;
  for (uint64_t branch = 0; branch < map.getBranches(); ++branch)
    llvm::append_range(joined.runs, yielded.runs);
  return widenResult(map, joined);
}

LogicalResult Widener::visit(Operation *op) {
  const Layout input = layouts.lookup(op->getOperand(0));
  // A fill takes no more than the batch.
  if (isa<YieldOp, FillOp>(op))
    return success();
  if (isa<Conv2DOp, LinearOp>(op))
    return visitContraction(op);
  if (isa<BiasAddOp>(op))
    return visitChannelwise(op, {0.0});
  if (isa<ChannelScaleOp>(op))
    return visitChannelwise(op, {1.0});
  if (isa<BatchNormOp>(op))
    return visitChannelwise(op, {1.0, 0.0, 0.0, 1.0});
  if (isa<AddOp, MulOp>(op))
    return visitBinary(op);
  if (auto concat = dyn_cast<ConcatOp>(op))
    return visitConcat(concat);
  if (auto map = dyn_cast<MapOp>(op))
    return visitMap(map);
  if (isa<FlattenOp>(op)) {
    Layout layout = input;
    for (int64_t extent :
         typeOf(op->getOperand(0)).getShape().drop_front().drop_back())
      layout.repeat *= extent;
    return widenResult(op, layout);
  }
  bool isUnary = isa<PointwiseOpInterface>(op) && op->getNumOperands() == 1;
  if (isUnary || isa<MaxPool2DOp, AvgPool2DOp, GlobalAvgPoolOp>(op))
    return widenResult(op, input);
  if (isa<func::ReturnOp>(op))
    return refuse(op, "the function would return more channels; a layer must "
                      "take them in before");
  return refuse(op, "its new channels cannot pass '" +
                        op->getName().getStringRef() + "'");
}

LogicalResult Widener::propagate(Block &block) {
  for (Operation &op : llvm::make_early_inc_range(block)) {
    bool isReached = &op == seedMap.getOperation() ||
                     llvm::any_of(op.getOperands(), [&](Value operand) {
                       return layouts.contains(operand);
                     });
    if (isReached && failed(visit(&op)))
      return failure();
  }
  return success();
}

//===----------------------------------------------------------------------===//
// The layer
//===----------------------------------------------------------------------===//

/// The last contraction of a body, behind which nothing but channels' own
/// operations come.
FailureOr<Operation *> Widener::findInBody(MapOp map) {
  Value value = map.getYielded();
  while (Operation *op = value.getDefiningOp()) {
    if (isa<Conv2DOp, LinearOp>(op))
      return op;
    bool isOwn = isa<BiasAddOp, ChannelScaleOp, BatchNormOp>(op) ||
                 (isa<PointwiseOpInterface>(op) && op->getNumOperands() == 1);
    if (!isOwn)
      break;
    value = op->getOperand(0);
  }
  (void)refuse(map, "its branches end in no convolution or linear layer");
  return failure();
}

FailureOr<Operation *> Widener::findSeed() {
  auto param = module.lookupSymbol<ParamOp>(growth.layer);
  if (!param) {
    FailureOr<MapOp> map = findMap(module, growth.layer, "widen");
    if (failed(map))
      return failure();
    seedMap = *map;
    return findInBody(*map);
  }
  SmallVector<Operation *> readers = readersOf(module, param);
  bool isWeight = readers.size() == 1 && isa<Conv2DOp, LinearOp>(readers[0]) &&
                  isParameterExpression(readers[0]->getOperand(1));
  if (isWeight)
    return readers[0];
  (void)refuse(param, "it is not the filter or matrix that one layer reads; "
                      "name such a parameter, or a map");
  return failure();
}

LogicalResult Widener::widenSeed(Operation *seed) {
  if (auto conv = dyn_cast<Conv2DOp>(seed); conv && conv.getGroups() != 1)
    return refuse(seed, "it has groups");
  MLIRContext *context = module.getContext();
  Attribute init = growth.init.kind == Init::Kind::Kaiming
                       ? Attribute(KaimingAttr::get(context))
                       : constantOf(realOf(growth.init.value));
  int64_t filters = typeOf(seed->getResult(0)).getShape().back();
  llvm::SmallDenseSet<unsigned> distinct(llvm::from_range, sources);
  if (distinct.size() != sources.size())
    return refuse(seed, "a neuron is named twice");
  for (unsigned source : sources)
    if (source >= filters)
      return refuse(seed, "it has " + Twine(filters) +
                              " outputs, counted from 0, and no " +
                              Twine(source));
  Layout layout{{{filters, false}, {growth.count, true}}, 1};
  if (failed(widenOperand(seed, 1, [&](OpBuilder &builder, Value weight) {
        return assembleLast(builder, weight, layout, init);
      })))
    return failure();
  return widenResult(seed, layout);
}

LogicalResult Widener::run() {
  const int64_t most = 1 << 20;
  if (growth.count < 1 || growth.count > most)
    return module.emitError("cannot widen '")
           << growth.layer << "' by " << growth.count
           << " channels; it must be between 1 and " << most;
  if (growth.init.kind == Init::Kind::Copy)
    return module.emitError("cannot widen '")
           << growth.layer << "' by copies; use zero, constant or kaiming";
  if (failed(checkGroup(module, growth.group)))
    return failure();
  FailureOr<Operation *> seed = findSeed();
  if (failed(seed))
    return failure();
  if (failed(widenSeed(*seed)))
    return failure();
  Operation *top = seedMap ? seedMap.getOperation() : *seed;
  if (failed(propagate(*top->getBlock())))
    return failure();
  eraseUnusedReads(module, replaced);
  return mlir::verify(module);
}

} // namespace

LogicalResult cambium::grow::widen(ModuleOp module, const Widen &growth,
                                   Carry &carry) {
  return Widener(module, growth, carry).run();
}

LogicalResult cambium::grow::splitNeurons(ModuleOp module,
                                          const SplitNeurons &growth,
                                          Carry &carry) {
  if (growth.neurons.empty())
    return module.emitError("name at least one output of '")
           << growth.layer << "' to split";
  Widen wide{growth.layer, static_cast<int64_t>(growth.neurons.size()),
             growth.group};
  return Widener(module, wide, carry, growth.neurons).run();
}
