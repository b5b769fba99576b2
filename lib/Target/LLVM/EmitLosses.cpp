//===- EmitLosses.cpp - Losses and their gradients ------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "EmitUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

#include <limits>

using namespace mlir;

namespace cambium::grow {

namespace {

using vector::CombiningKind;

/// Sums the doubles of the workspace in order and stores their mean.
void emitMean(KernelEmission &e, function_ref<I64()> terms,
              function_ref<I64()> divisor, int64_t result) {
  e.phaseOfTasks([&](I64) {
    Value workspace = e.buffers[e.signature.workspace()];
    Values sum = e.k.loop(
        0, terms(), e.scalar64(0.0),
        [&](I64 index, ValueRange carried) -> Values {
          return {e.k.add(carried[0], e.load64(e.f64(), workspace, index))};
        });
    Value mean = e.div(sum[0], e.toDouble(divisor()));
    e.k.storeFloat(e.narrow(mean), e.buffers[result], 0);
  });
}

//===----------------------------------------------------------------------===//
// Softmax and cross-entropy
//===----------------------------------------------------------------------===//

/// Rows of logits and their labels.
class LogitRows {
public:
  LogitRows(int64_t logits, int64_t labels) : logits(logits), labels(labels) {}

  template <typename Int> static Int rowsOfTask(Int classes) {
    return maxOf(Int(1), Int(flatBlock) / maxOf(classes, Int(1)));
  }

  int64_t tasks(const HostExtents &extents) const {
    return ceilDiv(extents.rows(logits), rowsOfTask(extents.channels(logits)));
  }

  /// Adds a phase over the rows.
  void emit(KernelEmission &e, function_ref<void(I64 row, I64 classes)> body) {
    e.phaseOfTasks([&](I64 task) {
      I64 rows = e.extents.rows(logits), classes = e.extents.channels(logits);
      auto [first, last] = e.block(task, rowsOfTask(classes), rows);
      e.k.loop(first, last, [&](I64 row) { body(row, classes); });
    });
  }

  Value largest(KernelEmission &e, I64 row, I64 classes) {
    Value lowest = e.splat(-std::numeric_limits<float>::infinity());
    Values best = e.forVectors(
        0, classes, lowest,
        [&](I64 column, Value mask, ValueRange carried) -> Values {
          Value x = e.k.load(e.buffers[logits], row * classes + column, mask);
          if (mask)
            x = e.select(mask, x, lowest);
          return {e.select(e.greater(x, carried[0]), x, carried[0])};
        });
    return e.reduce(best[0], CombiningKind::MAXNUMF);
  }

  /// Sum of exp(x - largest); `visit` sees each vector of terms.
  Value sumOfExponentials(
      KernelEmission &e, I64 row, I64 classes, Value largest,
      function_ref<void(I64 offset, Value mask, Value terms)> visit) {
    Value shift = e.k.broadcast(largest);
    Values sum =
        e.forVectors(0, classes, e.k.zeroVector(),
                     [&](I64 column, Value mask, ValueRange carried) -> Values {
                       I64 offset = row * classes + column;
                       Value x = e.k.load(e.buffers[logits], offset, mask);
                       Value terms = math::ExpOp::create(e.k.builder, e.k.loc,
                                                         e.sub(x, shift));
                       if (mask)
                         terms = e.select(mask, terms, e.k.zeroVector());
                       visit(offset, mask, terms);
                       return {e.k.add(carried[0], terms)};
                     });
    return e.reduce(sum[0], CombiningKind::ADD);
  }

  I64 label(KernelEmission &e, I64 row) {
    return e.loadInt32(e.buffers[labels], row);
  }
  Value isClass(KernelEmission &e, I64 label, I64 classes) {
    return e.k.both(e.k.lessEqual(0, label), e.k.less(label, classes));
  }

  const int64_t logits, labels;
};

/// The loss of one row; not a number where the label is no class.
Value rowLoss(KernelEmission &e, LogitRows &rows, I64 row, I64 classes) {
  Value largest = rows.largest(e, row, classes);
  Value sum = rows.sumOfExponentials(e, row, classes, largest,
                                     [](I64, Value, Value) {});
  I64 label = rows.label(e, row);
  Values target = e.k.ifThenYield(
      rows.isClass(e, label, classes),
      [&]() -> Values {
        return {e.k.loadFloat(e.buffers[rows.logits], row * classes + label)};
      },
      e.constant(std::numeric_limits<float>::quiet_NaN()));
  Value log = math::LogOp::create(e.k.builder, e.k.loc, sum);
  return e.k.add(log, e.sub(largest, target[0]));
}

KernelForm crossEntropy(SoftmaxCrossEntropyOp op, const Signature &signature) {
  LogitRows rows(signature.bufferOf(op.getLogits()),
                 signature.bufferOf(op.getLabels()));
  int64_t result = signature.bufferOf(op.getResult());
  KernelForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {rows.tasks(extents), 1};
    sizes.workspaceBytes =
        extents.rows(rows.logits) * static_cast<int64_t>(sizeof(double));
    return sizes;
  };
  form.emit = [=](KernelEmission &e) mutable {
    rows.emit(e, [&](I64 row, I64 classes) {
      Value loss = rowLoss(e, rows, row, classes);
      e.store64(e.widen(loss), e.buffers[e.signature.workspace()], row);
    });
    auto batch = [&] { return e.extents.rows(rows.logits); };
    emitMean(e, batch, batch, result);
  };
  return form;
}

KernelForm crossEntropyGrad(SoftmaxCrossEntropyGradOp op,
                            const Signature &signature) {
  LogitRows rows(signature.bufferOf(op.getLogits()),
                 signature.bufferOf(op.getLabels()));
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t result = signature.bufferOf(op.getResult());
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {rows.tasks(extents)};
    return sizes;
  };
  form.emit = [=](KernelEmission &e) mutable {
    rows.emit(e, [&](I64 row, I64 classes) {
      KernelBuilder &k = e.k;
      Value dLogits = e.buffers[result];
      Value largest = rows.largest(e, row, classes);
      Value sum = rows.sumOfExponentials(
          e, row, classes, largest, [&](I64 offset, Value mask, Value terms) {
            k.store(terms, dLogits, offset, mask);
          });
      Value weight = e.div(k.loadFloat(e.buffers[gradient], 0),
                           e.toFloat(e.extents.rows(rows.logits)));
      Value factor = k.broadcast(e.div(weight, sum));
      e.forVectors(0, classes, [&](I64 column, Value mask) {
        I64 offset = row * classes + column;
        k.store(e.mul(k.load(dLogits, offset, mask), factor), dLogits, offset,
                mask);
      });
      I64 label = rows.label(e, row);
      k.ifThen(rows.isClass(e, label, classes), [&] {
        I64 offset = row * classes + label;
        k.storeFloat(e.sub(k.loadFloat(dLogits, offset), weight), dLogits,
                     offset);
      });
    });
  };
  return form;
}

//===----------------------------------------------------------------------===//
// Mean squared error
//===----------------------------------------------------------------------===//

Value difference(KernelEmission &e, int64_t lhs, int64_t rhs, I64 offset,
                 Value mask) {
  return e.sub(e.k.load(e.buffers[lhs], offset, mask),
               e.k.load(e.buffers[rhs], offset, mask));
}

KernelForm meanSquaredError(MseOp op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t target = signature.bufferOf(op.getTarget());
  int64_t result = signature.bufferOf(op.getResult());
  KernelForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) {
    LaunchSizes sizes;
    sizes.tasks = {flatTasks(extents.elements(input)), 1};
    sizes.workspaceBytes =
        sizes.tasks[0] * static_cast<int64_t>(sizeof(double));
    return sizes;
  };
  form.emit = [=](KernelEmission &e) {
    e.phaseOfTasks([&](I64 task) {
      auto [first, last] = e.block(task, flatBlock, e.extents.elements(input));
      Values sum = e.forVectors(
          first, last, e.zero64(),
          [&](I64 offset, Value mask, ValueRange carried) -> Values {
            Value distance =
                e.widen(difference(e, input, target, offset, mask));
            return {e.k.add(carried[0], e.mul(distance, distance))};
          });
      e.store64(e.reduce(sum[0], CombiningKind::ADD),
                e.buffers[e.signature.workspace()], task);
    });
    emitMean(
        e, [&] { return ceilDiv(e.extents.elements(input), I64(flatBlock)); },
        [&] { return e.extents.elements(input); }, result);
  };
  return form;
}

KernelForm meanSquaredErrorGrad(MseGradOp op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t target = signature.bufferOf(op.getTarget());
  int64_t gradient = signature.bufferOf(op.getGradient());
  int64_t result = signature.bufferOf(op.getResult());
  KernelForm form;
  form.sizes = [=](const HostExtents &extents) {
    return flatLaunch(extents.elements(input));
  };
  form.emit = [=](KernelEmission &e) {
    e.phase([&](I64 begin, I64 end) {
      I64 elements = e.extents.elements(input);
      Value twice =
          e.mul(e.constant(2.0), e.k.loadFloat(e.buffers[gradient], 0));
      Value weight = e.k.broadcast(e.div(twice, e.toFloat(elements)));
      e.k.loop(begin, end, [&](I64 task) {
        auto [first, last] = e.block(task, flatBlock, elements);
        e.forVectors(first, last, [&](I64 offset, Value mask) {
          Value distance = difference(e, input, target, offset, mask);
          e.k.store(e.mul(distance, weight), e.buffers[result], offset, mask);
        });
      });
    });
  };
  return form;
}

} // namespace

KernelForm lossForm(Operation *op, const Signature &signature) {
  return llvm::TypeSwitch<Operation *, KernelForm>(op)
      .Case([&](SoftmaxCrossEntropyOp loss) {
        return crossEntropy(loss, signature);
      })
      .Case([&](SoftmaxCrossEntropyGradOp loss) {
        return crossEntropyGrad(loss, signature);
      })
      .Case([&](MseOp loss) { return meanSquaredError(loss, signature); })
      .Case(
          [&](MseGradOp loss) { return meanSquaredErrorGrad(loss, signature); })
      .Default(KernelForm());
}

} // namespace cambium::grow
