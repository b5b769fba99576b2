//===- EvaluateBranches.cpp - Runs maps and launches ----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Evaluator.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

//===----------------------------------------------------------------------===//
// Joins
//===----------------------------------------------------------------------===//

static Join joinOf(Reduction reduction) {
  switch (reduction) {
  case Reduction::Sum:
    return Join::Sum;
  case Reduction::Mean:
    return Join::Mean;
  case Reduction::Concat:
    return Join::Concat;
  }
  llvm_unreachable("no other reduction");
}

/// One tensor of all branches, which have one shape.
static ReferenceTensor joinBranches(Join join,
                                    ArrayRef<ReferenceTensor> branches) {
  Shape shape = branches[0].shape;
  int64_t width = shape.empty() ? 1 : shape.back();
  if (join == Join::Concat)
    shape.back() *= static_cast<int64_t>(branches.size());
  double weight =
      join == Join::Mean ? 1.0 / static_cast<double>(branches.size()) : 1.0;
  ReferenceTensor joined(shape);
  for (auto [index, branch] : llvm::enumerate(branches)) {
    for (int64_t i = 0; i < branch.elements(); ++i) {
      if (join == Join::Concat)
        joined.data[(i / width * branches.size() + index) * width + i % width] =
            branch.data[i];
      else
        joined.data[i] += weight * branch.data[i];
    }
  }
  return joined;
}

/// One branch's part of a tensor that is sliced along its last dimension.
static ReferenceTensor partOf(const ReferenceTensor &whole, int64_t branch,
                              int64_t branches) {
  Shape shape = whole.shape;
  int64_t columns = shape.back(), width = columns / branches;
  shape.back() = width;
  ReferenceTensor part(shape);
  for (int64_t i = 0; i < part.elements(); ++i)
    part.data[i] = whole.data[i / width * columns + branch * width + i % width];
  return part;
}

static LogicalResult checkEqualShapes(Operation *op,
                                      ArrayRef<ReferenceTensor> branches) {
  for (const ReferenceTensor &branch : branches)
    if (branch.shape != branches[0].shape)
      return op->emitOpError("has branches of different extents");
  return success();
}

//===----------------------------------------------------------------------===//
// Maps
//===----------------------------------------------------------------------===//

/// The sum or mean of no branch.
static FailureOr<ReferenceTensor> zeroOf(MapOp op,
                                         const ReferenceTensor *input) {
  Shape shape = shapeOf(op.getType());
  if (!shape.empty() && ShapedType::isDynamic(shape[0]) && input &&
      !input->shape.empty())
    shape[0] = input->shape[0];
  if (!isKnown(shape))
    return op.emitOpError() << "without branches has a result of extents "
                            << toString(shape) << " here";
  return ReferenceTensor(shape);
}

LogicalResult Evaluator::evaluateMap(MapOp op, Frame &frame) {
  auto valueOf = [&](Value value) -> const ReferenceTensor & {
    return frame.values.find(value)->second;
  };
  if (op.getBranches() == 0) {
    FailureOr<ReferenceTensor> zero = zeroOf(
        op, op.getInputs().empty() ? nullptr : &valueOf(op.getInputs()[0]));
    if (failed(zero))
      return failure();
    define(op, {std::move(*zero)}, frame);
    return success();
  }
  Block &body = op.getBody().front();
  Shape shape = shapeOf(op.getType());
  if (op.getReduction() == Reduction::Concat)
    shape.back() = ShapedType::kDynamic;
  Tensors branches;
  for (int64_t i = 0, e = static_cast<int64_t>(op.getBranches()); i < e; ++i) {
    Frame branch(body);
    branch.results = {shape};
    branch.launch = frame.launch;
    SmallVector<Value> operands(op.getInputs());
    llvm::append_range(operands, op.getTuple(i));
    for (auto [argument, operand] :
         llvm::zip_equal(body.getArguments(), operands))
      branch.values[argument] = valueOf(operand);
    FailureOr<Tensors> result = run(branch);
    if (failed(result))
      return failure();
    branches.push_back(std::move(result->front()));
  }
  if (failed(checkEqualShapes(op, branches)))
    return failure();
  define(op, {joinBranches(joinOf(op.getReduction()), branches)}, frame);
  return success();
}

//===----------------------------------------------------------------------===//
// Fused maps
//===----------------------------------------------------------------------===//

FailureOr<Tensors> Evaluator::runBranch(FusedMapOp op, int64_t branch,
                                        int64_t branches, Frame &frame) {
  Block &body = op.getBody().front();
  Frame inner(body);
  inner.launch = frame.launch;
  for (unsigned i = 0, e = op.getJoins().size(); i < e; ++i) {
    Shape shape = frame.knownShape(op.getResultsOf(i).front());
    if (op.getJoin(i) == Join::Concat && !ShapedType::isDynamic(shape.back()))
      shape.back() /= branches;
    inner.results.push_back(shape);
  }
  auto argument = body.args_begin();
  for (Value input : op.getInputs())
    inner.values[*argument++] = frame.values.find(input)->second;
  for (Value slice : op.getSlices()) {
    const ReferenceTensor &whole = frame.values.find(slice)->second;
    if (whole.shape.back() % branches != 0)
      return op.emitOpError() << "cuts extents " << toString(whole.shape)
                              << " into " << branches << " parts";
    inner.values[*argument++] = partOf(whole, branch, branches);
  }
  int64_t size = op.getTupleSize();
  for (int64_t i = 0; i < size; ++i)
    inner.values[*argument++] =
        op.hasDynamicBranches()
            ? frame.tuples[branch * size + i]
            : frame.values.find(op.getTuple(branch)[i])->second;
  return run(inner);
}

LogicalResult Evaluator::evaluateFusedMap(FusedMapOp op, Frame &frame) {
  int64_t branches = op.getBranches();
  if (op.hasDynamicBranches()) {
    if (!frame.launch || !frame.launch.getBranches())
      return op.emitOpError("runs without a launch that has `branches`");
    branches = *frame.launch.getBranches();
  }
  SmallVector<Tensors> yields(op.getJoins().size());
  for (int64_t branch = 0; branch < branches; ++branch) {
    FailureOr<Tensors> results = runBranch(op, branch, branches, frame);
    if (failed(results))
      return failure();
    for (auto [yield, result] : llvm::zip_equal(yields, *results))
      yield.push_back(std::move(result));
  }
  Tensors results;
  for (auto [index, yield] : llvm::enumerate(yields)) {
    if (failed(checkEqualShapes(op, yield)))
      return failure();
    if (op.getJoin(index) == Join::Each)
      results.append(yield.begin(), yield.begin() + op.getNumTuples());
    else
      results.push_back(joinBranches(op.getJoin(index), yield));
  }
  if (op.hasDynamicBranches())
    for (int64_t branch = 0; branch < branches; ++branch)
      for (auto [index, yield] : llvm::enumerate(yields))
        if (op.getJoin(index) == Join::Each)
          frame.each.push_back(std::move(yield[branch]));
  define(op, std::move(results), frame);
  return success();
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

/// The same elements under another rank, as kernels take buffers: leading
/// dimensions collapse into the first.
static Shape collapseTo(ArrayRef<int64_t> shape, size_t rank) {
  if (rank == 0 || shape.size() <= rank)
    return Shape(shape);
  ArrayRef<int64_t> leading = shape.drop_back(rank - 1);
  Shape collapsed = {isKnown(leading) ? ReferenceTensor::elementsOf(leading)
                                      : ShapedType::kDynamic};
  llvm::append_range(collapsed, shape.take_back(rank - 1));
  return collapsed;
}

/// Gives a kernel's result the rank and the static extents of the launch's.
static LogicalResult restoreShape(LaunchOp op, Type type,
                                  ReferenceTensor &result) {
  Shape shape = shapeOf(type);
  if (result.shape.size() == shape.size())
    refine(shape, result.shape);
  else if (!shape.empty() && ShapedType::isDynamic(shape[0])) {
    int64_t row = ReferenceTensor::elementsOf(ArrayRef(shape).drop_front());
    shape[0] = row > 0 ? result.elements() / row : 0;
  }
  if (ReferenceTensor::elementsOf(shape) != result.elements())
    return op.emitOpError() << "gives extents " << toString(result.shape)
                            << " for a result of type " << type;
  result.shape = shape;
  return success();
}

FailureOr<Evaluator::Frame> Evaluator::enterKernel(LaunchOp op, KernelOp kernel,
                                                   const Frame &frame) {
  Block &body = kernel.getBody().front();
  FusedMapOp map = kernel.getFusedMap();
  int64_t tupleSize = map ? map.getTupleSize() : 0;
  int64_t shared = body.getNumArguments() - tupleSize;
  Frame inner(body);
  inner.launch = op;
  for (auto [index, operand] : llvm::enumerate(op.getOperands())) {
    int64_t place = static_cast<int64_t>(index);
    BlockArgument argument = body.getArgument(
        place < shared ? place : shared + (place - shared) % tupleSize);
    ReferenceTensor value = frame.values.find(operand)->second;
    value.shape = collapseTo(
        value.shape, cast<RankedTensorType>(argument.getType()).getRank());
    if (!agree(value.shape, shapeOf(argument.getType())))
      return op.emitOpError()
             << "passes extents " << toString(value.shape)
             << " where the kernel takes " << argument.getType();
    if (place >= shared)
      inner.tuples.push_back(value);
    inner.values.try_emplace(argument, std::move(value));
  }
  auto yielded = body.getTerminator()->getOperandTypes();
  for (auto [type, given] : llvm::zip(op.getResultTypes(), yielded))
    inner.results.push_back(
        collapseTo(shapeOf(type), cast<RankedTensorType>(given).getRank()));
  return inner;
}

LogicalResult Evaluator::evaluateLaunch(LaunchOp op, Frame &frame) {
  auto kernel = symbols.lookup<KernelOp>(op.getKernel());
  if (!kernel)
    return op.emitOpError()
           << "runs '" << op.getKernel() << "', which is not a grow.kernel";
  FailureOr<Frame> inner = enterKernel(op, kernel, frame);
  if (failed(inner))
    return failure();
  FailureOr<Tensors> results = run(*inner);
  if (failed(results))
    return failure();
  // The kernel's own results are those of the first branch.
  llvm::append_range(*results,
                     ArrayRef(inner->each).drop_front(kernel.getNumEach()));
  for (auto [result, type] : llvm::zip_equal(*results, op.getResultTypes()))
    if (failed(restoreShape(op, type, result)))
      return failure();
  define(op, std::move(*results), frame);
  return success();
}
