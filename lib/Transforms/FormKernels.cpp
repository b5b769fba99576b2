//===- FormKernels.cpp - Outlines fused pieces as kernels -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchTags.h"
#include "cambium/IR/Grow.h"
#include "cambium/Target/CUDA/CudaEmitter.h"
#include "cambium/Target/LLVM/KernelEmitter.h"
#include "cambium/Transforms/MemoryPlan.h"
#include "cambium/Transforms/Passes.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/IR/OwningOpRef.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/MapVector.h"
#include "llvm/ADT/SetVector.h"

using namespace mlir;

namespace cambium::grow {
#define GEN_PASS_DEF_GROWFORMKERNELS
#include "cambium/Transforms/Passes.h.inc"

namespace {

/// Operations that become one kernel, in block order.
struct Piece {
  /// The first operation is a contraction or a map of contractions.
  bool contraction = false;
  SmallVector<Operation *> ops;

  FusedMapOp fusedMap() const { return dyn_cast<FusedMapOp>(ops.front()); }
};

/// True for results of contractions, and for joined results of maps, that
/// elementwise operations can take from registers.
bool takesEpilogue(OpResult result) {
  Operation *op = result.getOwner();
  if (auto map = dyn_cast<FusedMapOp>(op))
    return map.getJoin(0) != Join::Each && result.getResultNumber() == 0;
  return isa<Conv2DOp, LinearOp, Conv2DGradInputOp, LinearGradInputOp>(op);
}

/// Operations that no kernel computes: they only name or move values, or have
/// their kernel already.
bool staysOutside(Operation *op) {
  return isa<GetOp, SetOp, UpdateOp, ReshapeOp, FlattenOp, BarrierOp, LaunchOp>(
             op) ||
         op->hasTrait<OpTrait::IsTerminator>();
}

/// Divides a block's operations into pieces: each contraction with the
/// elementwise operations that follow it, elementwise operations with others of
/// the same shape, everything else alone.
class Partition {
public:
  /// With `bareContractions`, contractions outside of maps take no epilogue.
  Partition(Block &block, bool bareContractions)
      : bareContractions(bareContractions) {
    for (Operation &op : block)
      if (!staysOutside(&op))
        place(&op);
  }

  ArrayRef<std::unique_ptr<Piece>> getPieces() const { return pieces; }

private:
  void place(Operation *op) {
    if (isElementwise(op))
      for (Value operand : latestFirst(op->getOperands()))
        if (Piece *piece = owner.lookup(operand.getDefiningOp()))
          if (canJoin(op, operand, *piece))
            return append(*piece, op);
    pieces.push_back(std::make_unique<Piece>());
    pieces.back()->contraction = isContraction(op) || isa<FusedMapOp>(op);
    append(*pieces.back(), op);
  }

  /// Of a running sum and the next term, the term comes first: joined to it,
  /// the sum goes on while no other term is alive.
  static SmallVector<Value> latestFirst(ValueRange operands) {
    SmallVector<Value> sorted(operands);
    llvm::sort(sorted, [](Value a, Value b) {
      Operation *later = a.getDefiningOp(), *earlier = b.getDefiningOp();
      return later && (!earlier || earlier->isBeforeInBlock(later));
    });
    return sorted;
  }

  void append(Piece &piece, Operation *op) {
    piece.ops.push_back(op);
    owner[op] = &piece;
  }

  /// True if `op` can take the accumulator that `operand` is.
  bool canFollow(Operation *op, OpResult operand, Piece &piece) {
    Operation *head = piece.ops.front();
    if ((bareContractions && !piece.fusedMap()) || !operand.hasOneUse() ||
        operand.getOwner() != piece.ops.back() ||
        (operand.getOwner() == head && !takesEpilogue(operand)))
      return false;
    return llvm::none_of(head->getUsers(), [&](Operation *user) {
      return user != op && owner.lookup(user) != &piece &&
             user->isBeforeInBlock(op);
    });
  }

  /// The piece is launched where its last operation stands, so nothing outside
  /// may need its values before. A contraction stores one value only.
  bool canJoin(Operation *op, Value operand, Piece &piece) {
    Operation *head = piece.ops.front();
    if (operand.getType() != op->getResult(0).getType())
      return false;
    if (piece.contraction)
      return canFollow(op, cast<OpResult>(operand), piece);
    if (!isElementwise(head))
      return false;
    // Waiting for a later value would keep the piece's own operands alive.
    for (Value other : op->getOperands())
      if (Operation *made = other.getDefiningOp())
        if (owner.lookup(made) != &piece && !staysOutside(made) &&
            piece.ops.back()->isBeforeInBlock(made))
          return false;
    for (Operation *member : piece.ops)
      for (Operation *user : member->getUsers())
        if (owner.lookup(user) != &piece && user != op &&
            user->isBeforeInBlock(op))
          return false;
    return true;
  }

  const bool bareContractions;
  std::vector<std::unique_ptr<Piece>> pieces;
  DenseMap<Operation *, Piece *> owner;
};

/// The extents of a contraction, as far as they are known.
ContractionExtents extentsOf(Operation *op) {
  Value input = op->getOperand(0), output = op->getResult(0);
  if (isa<Conv2DGradInputOp, LinearGradInputOp>(op))
    std::swap(input, output);
  else if (isa<Conv2DGradFilterOp, LinearGradWeightOp>(op))
    output = op->getOperand(1);
  auto x = cast<RankedTensorType>(input.getType()).getShape();
  auto y = cast<RankedTensorType>(output.getType()).getShape();
  auto known = [](int64_t extent) {
    return ShapedType::isDynamic(extent) ? -1 : extent;
  };
  ContractionExtents extents;
  extents.batch = known(x[0]);
  extents.inC = known(x.back());
  extents.outC = known(y.back());
  if (x.size() == 4) {
    extents.inH = known(x[1]);
    extents.inW = known(x[2]);
    extents.outH = known(y[1]);
    extents.outW = known(y[2]);
  }
  return extents;
}

ContractionSpec specOf(Operation *op) {
  FailureOr<ContractionSpec> spec = contractionSpec(op);
  assert(succeeded(spec) && "contractions have static windows");
  return *spec;
}

/// The schedule that suits a contraction's extents.
ContractionSchedule scheduleFor(Operation *op, int64_t vectorWidth) {
  return chooseSchedule(specOf(op), vectorWidth, extentsOf(op));
}

RegisterTileAttr toAttribute(MLIRContext *context,
                             const ContractionSchedule &schedule) {
  return RegisterTileAttr::get(context, schedule.vectorWidth, schedule.vectors,
                               schedule.tile, schedule.tailTile,
                               schedule.winograd, schedule.order);
}

/// True if Winograd's algorithm is asked for or pays: with few channels its
/// transforms cost more than the products it saves, with few tiles the
/// transforms of filters do. The answer is the same for a layer and its
/// gradients.
bool prefersWinograd(Operation *anchor, ConvAlgorithm algorithm) {
  if (algorithm != ConvAlgorithm::Auto)
    return algorithm == ConvAlgorithm::Winograd;
  constexpr int64_t leastChannels = 16, leastTiles = 4;
  auto shape = [](Value image) {
    return cast<RankedTensorType>(image.getType()).getShape();
  };
  ArrayRef<int64_t> left = shape(anchor->getOperand(0));
  ArrayRef<int64_t> right =
      shape(isa<Conv2DGradFilterOp>(anchor) ? anchor->getOperand(1)
                                            : anchor->getResult(0));
  if (left.back() < leastChannels || right.back() < leastChannels)
    return false;
  ArrayRef<int64_t> output = isa<Conv2DGradInputOp>(anchor) ? left : right;
  if (ShapedType::isDynamic(output[1]) || ShapedType::isDynamic(output[2]))
    return true;
  return llvm::divideCeil(output[1], 4) * llvm::divideCeil(output[2], 4) >=
         leastTiles;
}

/// The schedule of a map's kernel. Forward and gradients choose alike, so that
/// recomputed values have the bits of those that were computed first.
ContractionSchedule branchSchedule(FusedMapOp map,
                                   const GrowFormKernelsOptions &options) {
  Operation *anchor = branchContraction(map);
  assert(anchor && "maps are fused only where there is a kernel for them");
  ContractionSchedule schedule = chooseSchedule(
      specOf(anchor), branchVectorWidth(map, options.vectorWidth),
      extentsOf(anchor), TileOrder::Rows);
  if (takesWinograd(map) && prefersWinograd(anchor, options.convAlgorithm))
    schedule.winograd = 4;
  return schedule;
}

/// True for a filter that the contraction reads or makes; its window is
/// compiled in.
bool isFilterOf(Operation *op, Value value) {
  if (isa<Conv2DGradFilterOp>(op))
    return op->getResult(0) == value;
  return isa<Conv2DOp, Conv2DGradInputOp>(op) && op->getOperand(1) == value;
}

/// All extents are run-time arguments but a filter's window. `ops` are those of
/// the kernel that know the value.
template <typename Range> Type kernelType(Value value, Range &&ops) {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getRank(), ShapedType::kDynamic);
  if (llvm::any_of(ops, [&](Operation &op) { return isFilterOf(&op, value); }))
    std::copy_n(type.getShape().begin(), 2, shape.begin());
  return type.clone(shape);
}

/// Values that enter a piece and values that leave it. A map's tuples and what
/// it gives for each branch are not among them.
struct Border {
  explicit Border(const Piece &piece);

  llvm::SmallSetVector<Value, 8> inputs, outputs;
};

Border::Border(const Piece &piece) {
  auto inside = [&](Operation *op) {
    return llvm::is_contained(piece.ops, op);
  };
  for (Operation *op : piece.ops) {
    auto map = dyn_cast<FusedMapOp>(op);
    size_t shared = map ? map.getInputs().size() + map.getSlices().size()
                        : op->getNumOperands();
    for (Value operand : op->getOperands().take_front(shared))
      if (!inside(operand.getDefiningOp()))
        inputs.insert(operand);
    if (map) {
      for (unsigned yield = 0; yield < map.getJoins().size(); ++yield)
        if (map.getJoin(yield) != Join::Each)
          // Also where nobody reads it: then the map is there for its bits.
          if (Value joined = map.getResultsOf(yield).front();
              joined.use_empty() || !llvm::all_of(joined.getUsers(), inside))
            outputs.insert(joined);
      continue;
    }
    for (Value result : op->getResults())
      if (!llvm::all_of(result.getUsers(), inside) || op->getNumResults() > 1)
        outputs.insert(result);
  }
}

/// What a map gives for one branch alone, in the order of the yields.
SmallVector<Value> eachResults(FusedMapOp map, int64_t branch) {
  SmallVector<Value> results;
  for (unsigned yield = 0; yield < map.getJoins().size(); ++yield)
    if (map.getJoin(yield) == Join::Each)
      results.push_back(map.getResultsOf(yield)[branch]);
  return results;
}

/// Copies an operation into a kernel. Of a map, one tuple stands for any number
/// of branches.
void cloneIntoKernel(OpBuilder &builder, Operation *op, const Piece &piece,
                     IRMapping &mapping) {
  auto map = dyn_cast<FusedMapOp>(op);
  if (!map) {
    Operation *clone = builder.clone(*op, mapping);
    for (auto [from, to] : llvm::zip(op->getResults(), clone->getResults()))
      to.setType(kernelType(from, llvm::make_pointee_range(piece.ops)));
    return;
  }
  auto lookup = [&](Value value) { return mapping.lookup(value); };
  SmallVector<Type> types;
  for (auto [yield, value] : llvm::enumerate(map.getYielded()))
    types.push_back(kernelType(value, map.getBody().front()));
  auto clone = FusedMapOp::create(builder, map.getLoc(), types,
                                  ShapedType::kDynamic, map.getJoins(),
                                  llvm::map_to_vector(map.getInputs(), lookup),
                                  llvm::map_to_vector(map.getSlices(), lookup),
                                  ValueRange(builder.getBlock()->getArguments())
                                      .take_back(map.getTupleSize()),
                                  KeepAttr());
  IRMapping inner;
  map.getBody().cloneInto(&clone.getBody(), inner);
  auto setType = [&](Value value) {
    inner.lookup(value).setType(kernelType(value, map.getBody().front()));
  };
  llvm::for_each(map.getBody().getArguments(), setType);
  for (Operation &nested : map.getBody().front())
    llvm::for_each(nested.getResults(), setType);
  for (unsigned yield = 0; yield < map.getJoins().size(); ++yield)
    mapping.map(map.getResultsOf(yield).front(), clone.getResult(yield));
}

/// Makes kernels and launches; equal kernels are one.
class Outliner {
public:
  Outliner(ModuleOp module, const GrowFormKernelsOptions &options)
      : module(module), symbols(module), options(options) {}

  void outline(const Piece &piece);
  LogicalResult outline(UpdateOp update);

  int64_t numKernels() const { return kernels.size(); }

private:
  KernelOp kernelOf(const Piece &piece, const Border &border);
  KernelOp unique(OwningOpRef<KernelOp> kernel, StringRef name);
  KernelOp optimizerKernel(Location loc, RankedTensorType gradient,
                           Attribute optimizer, bool sum, bool accumulate);

  ModuleOp module;
  SymbolTable symbols;
  GrowFormKernelsOptions options;
  llvm::StringMap<KernelOp> kernels;
};

KernelOp Outliner::unique(OwningOpRef<KernelOp> kernel, StringRef name) {
  auto [entry, isNew] = kernels.try_emplace(kernel->getContent());
  if (isNew) {
    entry->second = kernel.release();
    entry->second.setSymName(name);
    symbols.insert(entry->second);
  }
  return entry->second;
}

KernelOp Outliner::kernelOf(const Piece &piece, const Border &border) {
  Operation *head = piece.ops.front();
  FusedMapOp map = piece.fusedMap();
  OpBuilder builder(module.getContext());
  OwningOpRef<KernelOp> kernel(
      KernelOp::create(builder, head->getLoc(), "kernel"));
  Block &body = kernel->getBody().emplaceBlock();
  IRMapping mapping;
  for (Value input : border.inputs)
    mapping.map(
        input,
        body.addArgument(kernelType(input, llvm::make_pointee_range(piece.ops)),
                         input.getLoc()));
  if (map)
    for (BlockArgument argument :
         map.getBody().getArguments().take_back(map.getTupleSize()))
      body.addArgument(kernelType(argument, map.getBody().front()),
                       argument.getLoc());
  builder.setInsertionPointToEnd(&body);
  for (Operation *op : piece.ops)
    cloneIntoKernel(builder, op, piece, mapping);
  SmallVector<Value> yielded;
  for (Value output : border.outputs)
    yielded.push_back(mapping.lookup(output));
  if (map)
    for (Value result : eachResults(map, 0))
      yielded.push_back(mapping.lookup(result));
  YieldOp::create(builder, piece.ops.back()->getLoc(), yielded);
  if (piece.contraction && options.target == TargetKind::Cuda) {
    Operation *anchor = map ? branchContraction(map) : head;
    kernel->setBlocksAttr(chooseBlockTile(module.getContext(), specOf(anchor),
                                          extentsOf(anchor),
                                          options.precision));
  } else if (piece.contraction)
    kernel->setScheduleAttr(toAttribute(
        module.getContext(), map ? branchSchedule(map, options)
                                 : scheduleFor(head, options.vectorWidth)));
  StringRef name = head->getName().stripDialect();
  return unique(std::move(kernel), name);
}

void Outliner::outline(const Piece &piece) {
  Border border(piece);
  FusedMapOp map = piece.fusedMap();
  KernelOp callee = kernelOf(piece, border);
  Operation *last = piece.ops.back();
  SmallVector<Value> operands(border.inputs.getArrayRef());
  SmallVector<Value> results(border.outputs.getArrayRef());
  OpBuilder builder(last);
  IntegerAttr branches;
  if (map) {
    branches = map.getBranchesAttr();
    llvm::append_range(operands, map.getParams());
    for (int64_t branch = 0; branch < map.getNumTuples(); ++branch)
      llvm::append_range(results, eachResults(map, branch));
  }
  auto launch =
      LaunchOp::create(builder, last->getLoc(), TypeRange(ValueRange(results)),
                       callee.getSymName(), operands, branches, ArrayAttr(),
                       FlatSymbolRefAttr());
  for (auto [result, launched] : llvm::zip_equal(results, launch.getResults()))
    result.replaceAllUsesWith(launched);
  for (Operation *op : llvm::reverse(piece.ops))
    op->erase();
}

KernelOp Outliner::optimizerKernel(Location loc, RankedTensorType gradient,
                                   Attribute optimizer, bool sum,
                                   bool accumulate) {
  OpBuilder builder(module.getContext());
  OwningOpRef<KernelOp> kernel(KernelOp::create(builder, loc, "kernel"));
  Block &body = kernel->getBody().emplaceBlock();
  SmallVector<int64_t> shape(gradient.getRank(), ShapedType::kDynamic);
  Value argument = body.addArgument(gradient.clone(shape), loc);
  builder.setInsertionPointToEnd(&body);
  OptimizerOp::create(builder, loc, optimizer, sum, accumulate, argument);
  YieldOp::create(builder, loc, ValueRange());
  return unique(std::move(kernel), isa<SgdAttr>(optimizer) ? "sgd" : "adamw");
}

LogicalResult Outliner::outline(UpdateOp update) {
  llvm::MapVector<Attribute, SmallVector<Attribute>> byOptimizer;
  for (auto symbol : update.getParams().getAsRange<FlatSymbolRefAttr>()) {
    auto param = symbols.lookup<ParamOp>(symbol.getValue());
    auto group = symbols.lookup<GroupOp>(param.getGroup());
    byOptimizer[updateRule(group.getOptimizer())].push_back(symbol);
  }
  OpBuilder builder(update);
  bool first = true;
  auto type = cast<RankedTensorType>(update.getGradient().getType());
  for (auto &[optimizer, params] : byOptimizer) {
    bool sum = update.getDerived().has_value();
    KernelOp kernel =
        optimizerKernel(update.getLoc(), type, optimizer, sum, sum && !first);
    LaunchOp::create(builder, update.getLoc(), TypeRange(),
                     FlatSymbolRefAttr::get(kernel.getSymNameAttr()),
                     ValueRange(update.getGradient()), IntegerAttr(),
                     builder.getArrayAttr(params), update.getDerivedAttr());
    first = false;
  }
  update.erase();
  return success();
}

/// The type with a number for an unknown batch, one that no layer has.
Type withNumberedBatch(Type type) {
  auto tensor = dyn_cast<RankedTensorType>(type);
  if (!tensor || tensor.getRank() == 0 || !tensor.isDynamicDim(0))
    return type;
  SmallVector<int64_t> shape(tensor.getShape());
  shape[0] = 1000003;
  return tensor.clone(shape);
}

/// Fails where an operation takes a fixed extent and the unknown batch for one
/// another. Verifiers let that pass, since the extents may agree; a kernel
/// would run beyond the smaller buffer where they do not.
LogicalResult checkBatch(func::FuncOp func) {
  OwningOpRef<func::FuncOp> copy(func.clone());
  Block &block = copy->getBody().front();
  for (BlockArgument argument : block.getArguments())
    argument.setType(withNumberedBatch(argument.getType()));
  block.walk([](Operation *op) {
    for (Region &region : op->getRegions())
      for (BlockArgument argument : region.getArguments())
        argument.setType(withNumberedBatch(argument.getType()));
    for (Value result : op->getResults())
      result.setType(withNumberedBatch(result.getType()));
  });
  auto isConsistent = [&](Operation &op) {
    ScopedDiagnosticHandler quiet(func.getContext(),
                                  [](Diagnostic &) { return success(); });
    return succeeded(verify(&op));
  };
  for (auto [op, numbered] : llvm::zip_equal(func.getBody().front(), block))
    if (!op.hasTrait<OpTrait::IsTerminator>() && !isConsistent(numbered))
      return op.emitOpError("mixes the unknown batch with a fixed extent; make "
                            "both `?` or both the same number");
  return success();
}

/// A kernel of what nobody reads would have no result.
void eraseUnused(func::FuncOp func) {
  for (Operation &op :
       llvm::make_early_inc_range(llvm::reverse(func.getBody().front())))
    if (isOpTriviallyDead(&op))
      op.erase();
}

/// Sets and updates act one after the other when the function returns. A stored
/// value that is set elsewhere or returned must not be read so late.
void copyEscapingReads(func::FuncOp func) {
  if (func.getOps<SetOp>().empty() && func.getOps<UpdateOp>().empty())
    return;
  for (Operation &op : func.getBody().front()) {
    if (!isa<SetOp>(op) && !op.hasTrait<OpTrait::IsTerminator>())
      continue;
    for (OpOperand &use : op.getOpOperands()) {
      if (!viewedValue(use.get()).getDefiningOp<GetOp>())
        continue;
      OpBuilder builder(&op);
      use.set(ScaleOp::create(builder, op.getLoc(), use.get().getType(),
                              use.get(), llvm::APFloat(1.0)));
    }
  }
}

/// The later of `op` and what reads the value or a view of it.
Operation *lastReader(Value value, Operation *op) {
  for (Operation *user : value.getUsers()) {
    if (op->isBeforeInBlock(user) && !user->hasTrait<OpTrait::IsTerminator>())
      op = user;
    if (user->getNumResults() > 0 &&
        viewedValue(user->getResult(0)) != user->getResult(0))
      op = lastReader(user->getResult(0), op);
  }
  return op;
}

/// The operation after which an update may change its parameters in place: as
/// soon as nothing reads them any more, since then the gradient's memory is
/// free for other uses.
Operation *lastBefore(UpdateOp update) {
  SmallVector<Attribute> written(update.getParams().getValue());
  if (update.getDerived())
    written.push_back(update.getDerivedAttr());
  Operation *last = update.getGradient().getDefiningOp();
  if (!last)
    last = &update->getBlock()->front();
  for (auto get : update->getBlock()->getOps<GetOp>())
    if (llvm::is_contained(written, get.getSymbolAttr()))
      last = lastReader(get.getResult(), last);
  return last;
}

struct FormKernels : impl::GrowFormKernelsBase<FormKernels> {
  using GrowFormKernelsBase::GrowFormKernelsBase;

  void runOnOperation() override {
    if (!isVectorWidth(vectorWidth)) {
      emitError(getOperation().getLoc(), "vectors of ")
          << vectorWidth.getValue()
          << " floats are not possible; 4, 8 and 16 are";
      return signalPassFailure();
    }
    Outliner outliner(getOperation(), {vectorWidth, convAlgorithm, target,
                                       precision, convLibrary});
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (func.isDeclaration())
        continue;
      if (failed(check(func)))
        return signalPassFailure();
      eraseBranchTags(func);
      eraseUnused(func);
      copyEscapingReads(func);
      Partition partition(func.getBody().front(), hasLibrary());
      for (const auto &piece : partition.getPieces()) {
        outliner.outline(*piece);
        ++numLaunches;
        numFused += piece->ops.size() - 1;
      }
      auto updates = llvm::to_vector(func.getOps<UpdateOp>());
      for (UpdateOp update : updates) {
        update->moveAfter(lastBefore(update));
        if (failed(outliner.outline(update)))
          return signalPassFailure();
        ++numLaunches;
      }
    }
    numKernels += outliner.numKernels();
  }

  /// True if a library computes contractions, which it does alone.
  bool hasLibrary() const {
    return target == TargetKind::Cuda && convLibrary == ConvLibrary::Cudnn &&
           precision != Precision::Bf16;
  }

  LogicalResult check(func::FuncOp func) {
    if (!func.getBody().hasOneBlock())
      return func.emitOpError("has control flow; kernels are formed of one "
                              "block of operations");
    for (Operation &op : func.getBody().front()) {
      if (isa<MapOp>(op))
        return op.emitOpError("is left; run --grow-fuse-maps and "
                              "--grow-unroll-maps first");
      if (auto map = dyn_cast<FusedMapOp>(op); map && !branchContraction(map))
        return op.emitOpError("has a body that no kernel computes; write it as "
                              "a grow.map, which --grow-fuse-maps or "
                              "--grow-unroll-maps takes");
      auto norm = dyn_cast<BatchNormOp>(op);
      if (norm && !norm.getInference())
        return op.emitOpError("is in training mode outside a step; run "
                              "--grow-inference or --grow-differentiate first");
      if (!isa_and_nonnull<GrowDialect>(op.getDialect()) &&
          !op.hasTrait<OpTrait::IsTerminator>())
        return op.emitOpError("is not of the grow dialect, so no kernel "
                              "computes it; inline calls first");
    }
    return checkBatch(func);
  }
};

} // namespace
} // namespace cambium::grow
