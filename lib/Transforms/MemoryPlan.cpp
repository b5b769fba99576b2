//===- MemoryPlan.cpp - Places of tensors in an arena ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Transforms/MemoryPlan.h"

#include "cambium/IR/Grow.h"
#include "cambium/Target/CUDA/CudaEmitter.h"
#include "cambium/Target/LLVM/KernelEmitter.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"

using namespace mlir;

namespace cambium::grow {

llvm::StringRef stringifyCategory(BufferCategory category) {
  switch (category) {
  case BufferCategory::Activation:
    return "activation";
  case BufferCategory::Kept:
    return "kept for backward";
  case BufferCategory::Gradient:
    return "gradient";
  case BufferCategory::Workspace:
    return "workspace";
  }
  llvm_unreachable("all categories are covered");
}

int64_t MemoryPlan::peak(ArrayRef<BufferCategory> categories) const {
  int64_t most = 0;
  for (size_t moment = 0; moment < launches.size(); ++moment) {
    int64_t alive = 0, now = moment;
    for (const Buffer &buffer : buffers)
      if (llvm::is_contained(categories, buffer.category) &&
          buffer.begin <= now && now <= buffer.end)
        alive += buffer.bytes;
    most = std::max(most, alive);
  }
  return most;
}

Value viewedValue(Value value) {
  while (Operation *op = value.getDefiningOp()) {
    if (!isa<ReshapeOp, FlattenOp, BarrierOp>(op))
      break;
    value = op->getOperand(0);
  }
  return value;
}

SmallVector<int64_t> shapeForBatch(Type type, int64_t batch) {
  SmallVector<int64_t> shape(cast<RankedTensorType>(type).getShape());
  llvm::replace(shape, ShapedType::kDynamic, batch);
  return shape;
}

/// No machine has more; sums of buffers stay far from overflow.
static constexpr int64_t kMostBytes = int64_t(1) << 50;

/// What a tensor takes in memory; fails if it is more than a pebibyte.
static FailureOr<int64_t> bytesOf(RankedTensorType type,
                                  ArrayRef<int64_t> shape) {
  int64_t bytes = 4;
  SmallVector<int64_t> units(shape);
  if (type.getElementType().isInteger(1)) {
    // Eight bits share a byte, and each pixel begins a new one.
    bytes = 1;
    units.back() = llvm::divideCeil(units.back(), 8);
  }
  for (int64_t extent : units)
    if (llvm::MulOverflow(bytes, extent, bytes) || bytes > kMostBytes)
      return failure();
  return bytes;
}

/// Gives each buffer, in order, the lowest offset that is free for its life.
static int64_t placeInOrder(ArrayRef<Buffer *> order, int64_t alignment) {
  auto alignUp = [&](int64_t bytes) -> int64_t {
    return llvm::alignTo(bytes, alignment);
  };
  // Placed buffers by offset, so that gaps are found in one sweep.
  std::vector<Buffer *> placed;
  int64_t arena = 0;
  for (Buffer *buffer : order) {
    int64_t offset = 0;
    for (Buffer *other : placed) {
      if (other->end < buffer->begin || buffer->end < other->begin)
        continue;
      if (offset + alignUp(buffer->bytes) <= other->offset)
        break;
      offset = std::max(offset, other->offset + alignUp(other->bytes));
    }
    buffer->offset = offset;
    arena = std::max(arena, offset + alignUp(buffer->bytes));
    placed.insert(llvm::upper_bound(placed, buffer,
                                    [](Buffer *a, Buffer *b) {
                                      return a->offset < b->offset;
                                    }),
                  buffer);
  }
  return arena;
}

int64_t assignOffsets(std::vector<Buffer> &buffers, int64_t alignment) {
  std::vector<Buffer *> order;
  for (Buffer &buffer : buffers)
    order.push_back(&buffer);
  // Of equal size, the one made first comes first: a plan is reproducible.
  llvm::sort(order, [](Buffer *a, Buffer *b) {
    return a->bytes != b->bytes ? a->bytes > b->bytes : a < b;
  });
  int64_t arena = placeInOrder(order, alignment);
  // A large buffer of a short life may take the place where two others would
  // have fitted: see whether another one should choose before it.
  constexpr size_t attempts = 16;
  for (size_t i = 1; i < std::min(attempts, order.size()); ++i) {
    std::vector<Buffer *> changed = order;
    std::rotate(changed.begin(), changed.begin() + i, changed.begin() + i + 1);
    int64_t smaller = placeInOrder(changed, alignment);
    if (smaller >= arena)
      continue;
    arena = smaller;
    order = std::move(changed);
  }
  return placeInOrder(order, alignment);
}

namespace {

/// Collects launches, buffers and lifetimes of one function.
class Planner {
public:
  Planner(func::FuncOp func, int64_t batch, TargetKind target,
          AdjustLaunch adjust)
      : func(func), target(target), adjust(adjust) {
    plan.batch = batch;
  }

  FailureOr<MemoryPlan> run() {
    auto launches = llvm::to_vector(func.getOps<LaunchOp>());
    for (auto [index, launch] : llvm::enumerate(launches))
      position[launch] = index;
    SymbolTable symbols(func->getParentOfType<ModuleOp>());
    for (LaunchOp launch : launches)
      if (failed(add(launch, symbols.lookup<KernelOp>(launch.getKernel()))))
        return failure();
    int64_t last = static_cast<int64_t>(launches.size()) - 1;
    for (auto &[value, buffer] : plan.bufferOf)
      extend(value, plan.buffers[buffer], last);
    categorize();
    plan.arenaBytes = assignOffsets(plan.buffers, bufferAlignment(target));
    return std::move(plan);
  }

private:
  LogicalResult add(LaunchOp op, KernelOp kernel);
  /// Makes the buffer live until the last use of the value or a view of it.
  void extend(Value value, Buffer &buffer, int64_t last);
  void categorize();

  func::FuncOp func;
  const TargetKind target;
  AdjustLaunch adjust;
  MemoryPlan plan;
  DenseMap<Operation *, int64_t> position;
};

LogicalResult Planner::add(LaunchOp op, KernelOp kernel) {
  MemoryPlan::Launch launch;
  launch.op = op;
  int64_t index = plan.launches.size();
  // Of what each branch has its own, the first branch's stands for all.
  size_t operands = kernel.getBody().getNumArguments();
  size_t results = kernel.getBody().front().getTerminator()->getNumOperands();
  for (Type type : op.getOperands().take_front(operands).getTypes())
    llvm::append_range(launch.dims, shapeForBatch(type, plan.batch));
  for (auto [number, result] : llvm::enumerate(op.getResults())) {
    auto type = cast<RankedTensorType>(result.getType());
    auto shape = shapeForBatch(type, plan.batch);
    if (number < results)
      llvm::append_range(launch.dims, shape);
    Buffer buffer;
    buffer.name = op.getKernel().str() + "." + std::to_string(index);
    if (op.getNumResults() > 1)
      buffer.name += "." + std::to_string(number);
    FailureOr<int64_t> bytes = bytesOf(type, shape);
    if (failed(bytes))
      return op.emitOpError()
             << "gives a " << type << " for a batch of " << plan.batch
             << ", more than a pebibyte; make the batch or the layer smaller";
    buffer.bytes = *bytes;
    buffer.begin = buffer.end = index;
    plan.bufferOf[result] = plan.buffers.size();
    plan.buffers.push_back(buffer);
  }
  if (op.getUpdates())
    launch.dims.push_back(op.getUpdates()->size());
  if (op.getBranches())
    launch.dims.push_back(*op.getBranches());
  FailureOr<LaunchSizes> sizes = target == TargetKind::Cuda
                                     ? cudaLaunchSizes(kernel, launch.dims)
                                     : launchSizes(kernel, launch.dims);
  if (failed(sizes))
    return failure();
  launch.sizes = *sizes;
  if (adjust)
    adjust(kernel, launch);
  plan.scratchBytes = std::max(plan.scratchBytes, launch.sizes.scratchBytes);
  if (launch.sizes.workspaceBytes > 0) {
    launch.workspace = plan.buffers.size();
    plan.buffers.push_back(
        {op.getKernel().str() + "." + std::to_string(index) + ".workspace",
         BufferCategory::Workspace, launch.sizes.workspaceBytes, 0, index,
         index});
  }
  plan.launches.push_back(std::move(launch));
  return success();
}

void Planner::extend(Value value, Buffer &buffer, int64_t last) {
  for (Operation *user : value.getUsers()) {
    if (auto barrier = dyn_cast<BarrierOp>(user);
        barrier && barrier.getInput() != value)
      continue;
    if (isa<ReshapeOp, FlattenOp, BarrierOp>(user))
      extend(user->getResult(0), buffer, last);
    else if (auto launch = dyn_cast<LaunchOp>(user))
      buffer.end = std::max(buffer.end, position.lookup(launch));
    else
      buffer.end = last; // Read when the function returns.
  }
}

void Planner::categorize() {
  // The loss ends the forward part: what is made before it and read after it is
  // kept for backward.
  int64_t loss = -1;
  Operation *terminator = func.getBody().front().getTerminator();
  if (terminator->getNumOperands() > 0)
    if (auto made =
            viewedValue(terminator->getOperand(0)).getDefiningOp<LaunchOp>())
      loss = position.lookup(made);
  for (auto &[value, index] : plan.bufferOf) {
    Buffer &buffer = plan.buffers[index];
    bool gradient = llvm::any_of(value.getUsers(), [](Operation *user) {
      auto launch = dyn_cast<LaunchOp>(user);
      return launch && launch.getUpdates();
    });
    for (OpOperand &use : terminator->getOpOperands())
      if (use.get() == value &&
          func.getResultAttr(use.getOperandNumber(), "grow.gradient"))
        gradient = true;
    if (gradient)
      buffer.category = BufferCategory::Gradient;
    else if (func.getName() == "step" && buffer.begin < loss &&
             buffer.end > loss)
      buffer.category = BufferCategory::Kept;
  }
}

} // namespace

/// Fails on what the plan would miss: values made by no launch, and extents
/// that are neither known nor the batch.
static LogicalResult checkPlannable(func::FuncOp func) {
  for (Operation &op : func.getBody().front()) {
    if (!isa<LaunchOp, GetOp, SetOp, ReshapeOp, FlattenOp, BarrierOp>(op) &&
        !op.hasTrait<OpTrait::IsTerminator>())
      return op.emitOpError("is no launch, so its result would have no place; "
                            "run --grow-form-kernels first");
    for (Type type : op.getResultTypes())
      if (auto tensor = dyn_cast<RankedTensorType>(type))
        if (tensor.getRank() > 0 &&
            llvm::is_contained(tensor.getShape().drop_front(),
                               ShapedType::kDynamic))
          return op.emitOpError()
                 << "gives a " << tensor
                 << ", but only the first extent, the batch, may be dynamic";
  }
  return success();
}

FailureOr<MemoryPlan> planMemory(func::FuncOp func, int64_t batch,
                                 TargetKind target, AdjustLaunch adjust) {
  if (failed(checkPlannable(func)))
    return failure();
  return Planner(func, batch, target, adjust).run();
}

} // namespace cambium::grow
