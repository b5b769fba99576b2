//===- EmitUtils.h - What the emitters of kernels share ---------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_LLVM_EMITUTILS_H
#define CAMBIUM_LIB_TARGET_LLVM_EMITUTILS_H

#include "KernelBuilder.h"
#include "cambium/IR/Grow.h"
#include "cambium/Target/Common/KernelBody.h"
#include "cambium/Target/Common/LaunchSizes.h"
#include "cambium/Target/LLVM/Contraction.h"

#include "mlir/Dialect/Vector/IR/VectorOps.h"

#include <functional>

namespace cambium::grow {

using Values = llvm::SmallVector<mlir::Value>;

/// Elements of a task of a kernel without reductions: some microseconds.
inline constexpr int64_t flatBlock = 4096;
/// Lanes of the widest vector. Sizes that the host computes assume it.
inline constexpr int64_t maxVectorWidth = 16;

/// A kernel while it is emitted, phase by phase.
class KernelEmission {
public:
  KernelEmission(KernelBuilder &builder, const Signature &signature,
                 llvm::StringRef name, int64_t numBuffers)
      : k(builder), signature(signature), name(name), numBuffers(numBuffers) {}

  using Body = llvm::function_ref<void(I64 task)>;
  using VectorBody = llvm::function_ref<void(I64 offset, mlir::Value mask)>;
  using CarryingVectorBody = llvm::function_ref<Values(
      I64 offset, mlir::Value mask, mlir::ValueRange carried)>;

  /// Adds a phase; `emit` fills it for tasks [begin, end). The members below
  /// hold its arguments.
  void phase(llvm::function_ref<void(I64 begin, I64 end)> emit);
  /// Adds a phase of independent tasks.
  void phaseOfTasks(Body body);
  /// Adds a phase over blocks of the elements of a tensor.
  void phaseOfElements(int64_t buffer, VectorBody body);

  /// Vectors over [begin, end): whole ones, then a masked rest.
  void forVectors(I64 begin, I64 end, VectorBody body);
  Values forVectors(I64 begin, I64 end, mlir::ValueRange initial,
                    CarryingVectorBody body);

  using ColumnBody =
      llvm::function_ref<void(llvm::ArrayRef<I64> offsets, mlir::Value mask)>;
  /// Vectors over [0, count), `together` at a time, then single ones: bodies
  /// with loops over rows then read whole cache lines, and have sums that do
  /// not wait for each other.
  void forColumns(I64 count, int64_t together, ColumnBody body);

  /// Block `index` of [0, count) in blocks of `size`.
  std::pair<I64, I64> block(I64 index, I64 size, I64 count) {
    I64 begin = index * size;
    return {begin, minOf(begin + size, count)};
  }

  mlir::Value constant(double value);
  mlir::Value splat(double value) { return k.broadcast(constant(value)); }
  mlir::Value scalar64(double value);
  /// f32 of an i64.
  mlir::Value toFloat(I64 value);
  mlir::Value toDouble(I64 value);
  mlir::Value sub(mlir::Value lhs, mlir::Value rhs);
  mlir::Value mul(mlir::Value lhs, mlir::Value rhs);
  mlir::Value div(mlir::Value lhs, mlir::Value rhs);
  mlir::Value greater(mlir::Value lhs, mlir::Value rhs);
  mlir::Value reduce(mlir::Value vector, mlir::vector::CombiningKind kind);
  mlir::Value select(mlir::Value condition, mlir::Value yes, mlir::Value no) {
    return k.select(condition, yes, no);
  }

  /// Sums are carried in double precision, so that they need no care.
  mlir::Type f64() { return k.builder.getF64Type(); }
  mlir::VectorType vector64() {
    return mlir::VectorType::get({k.width}, f64());
  }
  mlir::Value zero64();
  mlir::Value widen(mlir::Value value);
  mlir::Value narrow(mlir::Value value);
  mlir::Value splat64(mlir::Value scalar);
  /// Offsets count doubles.
  mlir::Value load64(mlir::Type type, mlir::Value base, I64 offset,
                     mlir::Value mask = {});
  void store64(mlir::Value value, mlir::Value base, I64 offset,
               mlir::Value mask = {});
  mlir::Value at64(mlir::Value base, I64 offset);
  /// The i32 at an offset, as an i64.
  I64 loadInt32(mlir::Value base, I64 offset);

  /// Stores where the tensor is a result of the kernel: `buffer` is -1 else.
  void storeIfYielded(mlir::Value vector, int64_t buffer, I64 offset,
                      mlir::Value mask);

  KernelBuilder &k;
  const Signature &signature;
  llvm::StringRef name;
  const int64_t numBuffers;

  Values buffers;
  mlir::Value bufferArray, dims, scratch;
  TensorExtents<I64> extents;

private:
  unsigned numPhases = 0;
};

/// How kernels of a form are launched and emitted.
struct KernelForm {
  std::function<LaunchSizes(const HostExtents &)> sizes;
  std::function<void(KernelEmission &)> emit;
  bool workspace = false;
  /// Buffers at fixed places, where they are not the tensors and a workspace: a
  /// number of groups of buffers, which ends the dims, follows them.
  int64_t numBuffers = -1;
};

/// A contraction's share of LaunchSizes::work. The extents of y and of the
/// filter begin at the given dims.
int64_t contractionWork(const ContractionSpec &spec,
                        llvm::ArrayRef<int64_t> dims, int64_t firstOfY,
                        int64_t firstOfFilter);

inline int64_t flatTasks(int64_t elements) {
  return ceilDiv(elements, flatBlock);
}

/// Phases over blocks of the elements of a tensor, in one pass.
LaunchSizes flatLaunch(int64_t elements);

//===----------------------------------------------------------------------===//
// Elementwise operations
//===----------------------------------------------------------------------===//

/// Values of a body's tensors at one place, a vector each. Results of
/// elementwise operations are computed on demand, where the builder stands.
/// Arguments are loaded by `element`, channel vectors by `channel`.
struct ElementValues {
  using LoadElement = std::function<mlir::Value(mlir::BlockArgument)>;
  using LoadChannel = std::function<mlir::Value(const ChannelSource &)>;

  ElementValues(KernelBuilder &builder, LoadElement element,
                LoadChannel channel)
      : k(builder), element(std::move(element)), channel(std::move(channel)) {}

  mlir::Value get(mlir::Value tensor);
  /// Gives a value that is known, such as an accumulator.
  void set(mlir::Value tensor, mlir::Value value) { values[tensor] = value; }

private:
  mlir::Value compute(mlir::Operation *op);

  KernelBuilder &k;
  LoadElement element;
  LoadChannel channel;
  llvm::DenseMap<mlir::Value, mlir::Value> values;
};

/// Computes a channel source from vectors of its parts.
mlir::Value channelFactor(KernelBuilder &k, mlir::Value vector,
                          mlir::Value variance, double epsilon);

//===----------------------------------------------------------------------===//
// Forms
//===----------------------------------------------------------------------===//

/// The schedule of a kernel with a contraction. Fails with a diagnostic on the
/// kernel if it has none, or one that is not possible.
mlir::FailureOr<ContractionSchedule> scheduleOf(KernelOp kernel);

/// Each fails with a diagnostic on the kernel.
mlir::FailureOr<KernelForm> contractionForm(KernelOp kernel,
                                            const Signature &signature,
                                            mlir::Operation *anchor);
mlir::FailureOr<KernelForm> branchForm(KernelOp kernel,
                                       const Signature &signature);
mlir::FailureOr<KernelForm> elementwiseForm(KernelOp kernel,
                                            const Signature &signature);
KernelForm optimizerForm(OptimizerOp op);

/// Null `emit` where the operation has no such form.
KernelForm reductionForm(mlir::Operation *op, const Signature &signature);
KernelForm poolingForm(mlir::Operation *op, const Signature &signature);
KernelForm lossForm(mlir::Operation *op, const Signature &signature);
KernelForm shapeForm(mlir::Operation *op, const Signature &signature);
KernelForm composeForm(mlir::Operation *op, const Signature &signature);

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_LLVM_EMITUTILS_H
