//===- FormKernels.cpp - Outlines fused pieces as kernels -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"
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
  bool contraction = false;
  SmallVector<Operation *> ops;
};

bool isContraction(Operation *op) {
  return isa<Conv2DOp, LinearOp, Conv2DGradInputOp, LinearGradInputOp,
             Conv2DGradFilterOp, LinearGradWeightOp>(op);
}

/// Contractions whose accumulators pass through an epilogue.
bool takesEpilogue(Operation *op) {
  return isa<Conv2DOp, LinearOp, Conv2DGradInputOp, LinearGradInputOp>(op);
}

/// Operations computed element by element: they may share a kernel.
bool isElementwise(Operation *op) {
  auto norm = dyn_cast<BatchNormOp>(op);
  return isa<PointwiseOpInterface, WeightSumOp, WeightScaleOp>(op) ||
         (norm && norm.getInference());
}

/// Operations that no kernel computes: they only name or move values, or have
/// their kernel already.
bool staysOutside(Operation *op) {
  return isa<GetOp, SetOp, UpdateOp, ReshapeOp, FlattenOp, LaunchOp>(op) ||
         op->hasTrait<OpTrait::IsTerminator>();
}

/// Divides a block's operations into pieces: each contraction with the
/// elementwise operations that follow it, elementwise operations with others of
/// the same shape, everything else alone.
class Partition {
public:
  explicit Partition(Block &block) {
    for (Operation &op : block)
      if (!staysOutside(&op))
        place(&op);
  }

  ArrayRef<std::unique_ptr<Piece>> getPieces() const { return pieces; }

private:
  void place(Operation *op) {
    if (isElementwise(op))
      for (Value operand : op->getOperands())
        if (Piece *piece = owner.lookup(operand.getDefiningOp()))
          if (canJoin(op, operand, *piece))
            return append(*piece, op);
    pieces.push_back(std::make_unique<Piece>());
    pieces.back()->contraction = isContraction(op);
    append(*pieces.back(), op);
  }

  void append(Piece &piece, Operation *op) {
    piece.ops.push_back(op);
    owner[op] = &piece;
  }

  /// The piece is launched where its last operation stands, so nothing outside
  /// may need its values before. A contraction stores one value only.
  bool canJoin(Operation *op, Value operand, Piece &piece) {
    Operation *head = piece.ops.front();
    if (operand.getType() != op->getResult(0).getType())
      return false;
    if (piece.contraction)
      return takesEpilogue(head) && operand.hasOneUse() &&
             operand.getDefiningOp() == piece.ops.back();
    if (!isElementwise(head))
      return false;
    for (Operation *member : piece.ops)
      for (Operation *user : member->getUsers())
        if (owner.lookup(user) != &piece && user != op &&
            user->isBeforeInBlock(op))
          return false;
    return true;
  }

  std::vector<std::unique_ptr<Piece>> pieces;
  DenseMap<Operation *, Piece *> owner;
};

/// The schedule that suits a contraction's extents.
RegisterTileAttr chooseRegisterTile(Operation *op, int64_t vectorWidth) {
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
  FailureOr<ContractionSpec> spec = contractionSpec(op);
  assert(succeeded(spec) && "contractions have static windows");
  ContractionSchedule schedule = chooseSchedule(*spec, vectorWidth, extents);
  return RegisterTileAttr::get(op->getContext(), schedule.vectorWidth,
                               schedule.vectors, schedule.tile,
                               schedule.tailTile, schedule.winograd);
}

/// Makes kernels and launches; equal kernels are one.
class Outliner {
public:
  Outliner(ModuleOp module, int64_t vectorWidth)
      : module(module), symbols(module), vectorWidth(vectorWidth) {}

  void outline(const Piece &piece);
  LogicalResult outline(UpdateOp update);

  int64_t numKernels() const { return kernels.size(); }

private:
  /// All extents are run-time arguments but a filter's window.
  Type kernelType(Value value, const Piece &piece) const;
  KernelOp unique(OwningOpRef<KernelOp> kernel, StringRef name);
  KernelOp optimizerKernel(Location loc, RankedTensorType gradient,
                           Attribute optimizer, bool sum, bool accumulate);

  ModuleOp module;
  SymbolTable symbols;
  int64_t vectorWidth;
  llvm::StringMap<KernelOp> kernels;
};

bool isFilterOf(Operation *op, Value value) {
  if (auto conv = dyn_cast<Conv2DOp>(op))
    return conv.getFilter() == value;
  if (auto grad = dyn_cast<Conv2DGradInputOp>(op))
    return grad.getFilter() == value;
  if (auto grad = dyn_cast<Conv2DGradFilterOp>(op))
    return grad.getResult() == value;
  return false;
}

Type Outliner::kernelType(Value value, const Piece &piece) const {
  auto type = cast<RankedTensorType>(value.getType());
  SmallVector<int64_t> shape(type.getRank(), ShapedType::kDynamic);
  if (isFilterOf(piece.ops.front(), value))
    std::copy_n(type.getShape().begin(), 2, shape.begin());
  return type.clone(shape);
}

KernelOp Outliner::unique(OwningOpRef<KernelOp> kernel, StringRef name) {
  auto [entry, isNew] = kernels.try_emplace(kernel->getContent());
  if (isNew) {
    entry->second = kernel.release();
    entry->second.setSymName(name);
    symbols.insert(entry->second);
  }
  return entry->second;
}

void Outliner::outline(const Piece &piece) {
  Operation *head = piece.ops.front(), *last = piece.ops.back();
  llvm::SmallSetVector<Value, 8> inputs, outputs;
  auto inside = [&](Operation *op) {
    return llvm::is_contained(piece.ops, op);
  };
  for (Operation *op : piece.ops) {
    for (Value operand : op->getOperands())
      if (!inside(operand.getDefiningOp()))
        inputs.insert(operand);
    for (Value result : op->getResults())
      if (!llvm::all_of(result.getUsers(), inside) || op->getNumResults() > 1)
        outputs.insert(result);
  }
  OpBuilder builder(module.getContext());
  OwningOpRef<KernelOp> kernel(
      KernelOp::create(builder, head->getLoc(), "kernel", RegisterTileAttr()));
  Block &body = kernel->getBody().emplaceBlock();
  IRMapping mapping;
  for (Value input : inputs)
    mapping.map(input,
                body.addArgument(kernelType(input, piece), input.getLoc()));
  builder.setInsertionPointToEnd(&body);
  for (Operation *op : piece.ops) {
    Operation *clone = builder.clone(*op, mapping);
    for (auto [from, to] : llvm::zip(op->getResults(), clone->getResults()))
      to.setType(kernelType(from, piece));
  }
  SmallVector<Value> yielded;
  for (Value output : outputs)
    yielded.push_back(mapping.lookup(output));
  YieldOp::create(builder, last->getLoc(), yielded);
  if (piece.contraction)
    kernel->setScheduleAttr(chooseRegisterTile(head, vectorWidth));
  StringRef name = head->getName().stripDialect();
  KernelOp callee = unique(std::move(kernel), name);

  builder.setInsertionPoint(last);
  SmallVector<Type> types(
      llvm::map_range(outputs, [](Value v) { return v.getType(); }));
  auto launch =
      LaunchOp::create(builder, last->getLoc(), types, callee.getSymName(),
                       inputs.getArrayRef(), IntegerAttr(), ArrayAttr(),
                       FlatSymbolRefAttr());
  for (auto [index, output] : llvm::enumerate(outputs.takeVector()))
    output.replaceAllUsesWith(launch.getResult(index));
  for (Operation *op : llvm::reverse(piece.ops))
    op->erase();
}

KernelOp Outliner::optimizerKernel(Location loc, RankedTensorType gradient,
                                   Attribute optimizer, bool sum,
                                   bool accumulate) {
  OpBuilder builder(module.getContext());
  OwningOpRef<KernelOp> kernel(
      KernelOp::create(builder, loc, "kernel", RegisterTileAttr()));
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
  for (Operation &op : block)
    for (Value result : op.getResults())
      result.setType(withNumberedBatch(result.getType()));
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

struct FormKernels : impl::GrowFormKernelsBase<FormKernels> {
  using GrowFormKernelsBase::GrowFormKernelsBase;

  void runOnOperation() override {
    if (!isVectorWidth(vectorWidth)) {
      emitError(getOperation().getLoc(), "vectors of ")
          << vectorWidth.getValue()
          << " floats are not possible; 4, 8 and 16 are";
      return signalPassFailure();
    }
    Outliner outliner(getOperation(), vectorWidth);
    for (auto func : getOperation().getOps<func::FuncOp>()) {
      if (func.isDeclaration())
        continue;
      if (failed(check(func)))
        return signalPassFailure();
      eraseUnused(func);
      copyEscapingReads(func);
      Partition partition(func.getBody().front());
      for (const auto &piece : partition.getPieces()) {
        outliner.outline(*piece);
        ++numLaunches;
        numFused += piece->ops.size() - 1;
      }
      // Updates change parameters in place, after everything that reads them.
      auto updates = llvm::to_vector(func.getOps<UpdateOp>());
      for (UpdateOp update : updates) {
        update->moveBefore(func.getBody().front().getTerminator());
        if (failed(outliner.outline(update)))
          return signalPassFailure();
        ++numLaunches;
      }
    }
    numKernels += outliner.numKernels();
  }

  LogicalResult check(func::FuncOp func) {
    if (!func.getBody().hasOneBlock())
      return func.emitOpError("has control flow; kernels are formed of one "
                              "block of operations");
    for (Operation &op : func.getBody().front()) {
      if (isa<MapOp>(op))
        return op.emitOpError("is left; run --grow-collapse and "
                              "--grow-unroll-maps first");
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
