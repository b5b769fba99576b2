//===- EmitReductions.cpp - Sums over rows and batch normalisation --------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Sums over all dimensions but the last take two phases: sums of chunks of
// rows, then sums over the chunks in order. Both are in double precision: the
// variance can then be had from the sum of squares, whatever the mean.
//
//===----------------------------------------------------------------------===//

#include "EmitUtils.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace cambium::grow {

namespace {

constexpr int64_t chunkElements = 8192;
constexpr int64_t maxChunks = 256;
/// Vectors that are summed at once.
constexpr int64_t columnsTogether = 4;
/// Channels of a task of the second phase.
constexpr int64_t channelBlock = 64;

/// How rows are divided into chunks.
template <typename Int> struct Chunks {
  Chunks(Int rows, Int channels)
      : rows(maxOf(maxOf(Int(1), Int(chunkElements) / maxOf(channels, Int(1))),
                   ceilDiv(rows, Int(maxChunks)))),
        count(ceilDiv(rows, this->rows)) {}
  Int rows, count;
};

/// Sums over the rows of `tensor`, of `sums` terms at once.
class RowSums {
public:
  /// Terms of one vector of channels: called once for the channels, it gives
  /// the function that is called for each row.
  using Terms = std::function<Values(I64 offset)>;
  using Column = function_ref<Terms(I64 channel, Value mask)>;
  /// Receives vectors of sums.
  using Finish = function_ref<void(I64 channel, Value mask, Values sums)>;

  RowSums(int64_t tensor, int64_t sums) : tensor(tensor), sums(sums) {}

  LaunchSizes launch(const HostExtents &extents) const {
    int64_t channels = extents.channels(tensor);
    Chunks<int64_t> chunks(extents.rows(tensor), channels);
    LaunchSizes sizes;
    sizes.tasks = {chunks.count, ceilDiv(channels, channelBlock)};
    // The totals lie behind the partial sums.
    sizes.workspaceBytes = (chunks.count + 1) * sums * channels *
                           static_cast<int64_t>(sizeof(double));
    return sizes;
  }

  void emit(KernelEmission &e, Column column, Finish finish) const {
    emitPartialSums(e, column);
    e.phaseOfTasks([&](I64 task) {
      I64 channels = e.extents.channels(tensor);
      auto [first, last] = e.block(task, channelBlock, channels);
      e.forVectors(first, last, [&](I64 channel, Value mask) {
        finish(channel, mask, totals(e, channel, mask));
      });
    });
  }

  /// Where `finish` may keep totals for later phases, in doubles.
  I64 totalOffset(KernelEmission &e, int64_t sum) const {
    I64 channels = e.extents.channels(tensor);
    Chunks<I64> chunks(e.extents.rows(tensor), channels);
    return place(chunks.count, sum, channels);
  }

private:
  I64 place(I64 chunk, int64_t sum, I64 channels) const {
    return (chunk * sums + sum) * channels;
  }

  void emitPartialSums(KernelEmission &e, Column column) const {
    e.phaseOfTasks([&](I64 task) {
      I64 rows = e.extents.rows(tensor), channels = e.extents.channels(tensor);
      Chunks<I64> chunks(rows, channels);
      auto [first, last] = e.block(task, chunks.rows, rows);
      e.forColumns(
          channels, columnsTogether / sums,
          [&, first = first, last = last](ArrayRef<I64> offsets, Value mask) {
            SmallVector<Terms> terms;
            for (I64 channel : offsets)
              terms.push_back(column(channel, mask));
            Values totals = e.k.loop(
                first, last, Values(sums * offsets.size(), e.zero64()),
                [&](I64 row, ValueRange carried) {
                  Values next;
                  for (auto [channel, termsOf] : llvm::zip(offsets, terms))
                    for (Value term : termsOf(row * channels + channel))
                      next.push_back(e.k.add(carried[next.size()], term));
                  return next;
                });
            for (size_t i = 0; i < totals.size(); ++i)
              e.store64(totals[i], e.buffers[e.signature.workspace()],
                        place(task, i % sums, channels) + offsets[i / sums],
                        mask);
          });
    });
  }

  Values totals(KernelEmission &e, I64 channel, Value mask) const {
    I64 rows = e.extents.rows(tensor), channels = e.extents.channels(tensor);
    Chunks<I64> chunks(rows, channels);
    return e.k.loop(
        0, chunks.count, Values(sums, e.zero64()),
        [&](I64 chunk, ValueRange carried) {
          Values next;
          for (int64_t sum = 0; sum < sums; ++sum)
            next.push_back(e.k.add(
                carried[sum],
                e.load64(e.vector64(), e.buffers[e.signature.workspace()],
                         place(chunk, sum, channels) + channel, mask)));
          return next;
        });
  }

  int64_t tensor, sums;
};

//===----------------------------------------------------------------------===//
// Channel sum
//===----------------------------------------------------------------------===//

KernelForm channelSum(ChannelSumOp op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t result = signature.bufferOf(op.getResult());
  RowSums sums(input, 1);
  KernelForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) { return sums.launch(extents); };
  form.emit = [=](KernelEmission &e) {
    sums.emit(
        e,
        [&](I64, Value mask) {
          return [&e, input, mask](I64 offset) -> Values {
            return {e.widen(e.k.load(e.buffers[input], offset, mask))};
          };
        },
        [&](I64 channel, Value mask, Values totals) {
          e.storeIfYielded(e.narrow(totals[0]), result, channel, mask);
        });
  };
  return form;
}

//===----------------------------------------------------------------------===//
// Statistics
//===----------------------------------------------------------------------===//

struct StatsBuffers {
  int64_t input, runningMean, runningVariance;
  int64_t mean, variance, nextMean, nextVariance;
};

void emitStats(KernelEmission &e, const StatsBuffers &at, double momentum,
               I64 channel, Value mask, const Values &totals) {
  I64 rows = e.extents.rows(at.input);
  Value count = e.splat64(e.toDouble(rows));
  Value mean = e.div(totals[0], count);
  Value variance = e.sub(e.div(totals[1], count), e.mul(mean, mean));
  // Rounding may leave a tiny negative number.
  variance = e.select(e.greater(e.zero64(), variance), e.zero64(), variance);
  // One element has no unbiased variance; its biased one stands in.
  I64 others = maxOf(rows - 1, 1);
  Value unbias = e.div(count, e.splat64(e.toDouble(others)));
  Value unbiased = e.mul(variance, unbias);

  auto moved = [&](int64_t running, Value batch) {
    Value old = e.widen(e.k.load(e.buffers[running], channel, mask));
    return e.k.add(e.mul(e.splat64(e.scalar64(1.0 - momentum)), old),
                   e.mul(e.splat64(e.scalar64(momentum)), batch));
  };
  auto store = [&](Value value, int64_t buffer) {
    e.storeIfYielded(e.narrow(value), buffer, channel, mask);
  };
  store(mean, at.mean);
  store(variance, at.variance);
  store(moved(at.runningMean, mean), at.nextMean);
  store(moved(at.runningVariance, unbiased), at.nextVariance);
}

KernelForm batchNormStats(BatchNormStatsOp op, const Signature &signature) {
  auto buffer = [&](Value value) { return signature.bufferOf(value); };
  StatsBuffers at = {
      buffer(op.getInput()),           buffer(op.getRunningMean()),
      buffer(op.getRunningVariance()), buffer(op.getMean()),
      buffer(op.getVariance()),        buffer(op.getNextMean()),
      buffer(op.getNextVariance())};
  double momentum = op.getMomentum().convertToDouble();
  RowSums sums(at.input, 2);
  KernelForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) { return sums.launch(extents); };
  form.emit = [=](KernelEmission &e) {
    sums.emit(
        e,
        [&](I64, Value mask) {
          return [&e, at, mask](I64 offset) -> Values {
            Value x = e.widen(e.k.load(e.buffers[at.input], offset, mask));
            return {x, e.mul(x, x)};
          };
        },
        [&](I64 channel, Value mask, Values totals) {
          emitStats(e, at, momentum, channel, mask, totals);
        });
  };
  return form;
}

//===----------------------------------------------------------------------===//
// Gradient of batch normalisation
//===----------------------------------------------------------------------===//

/// With d = x - mean and r = 1 / sqrt(variance + epsilon), of n rows:
/// dshift = sum dy, dscale = r * sum dy * d, and
/// dx = scale * r * (dy - dshift / n - d * r * dscale / n).
class NormGradient {
public:
  NormGradient(BatchNormGradOp op, const Signature &signature)
      : input(signature.bufferOf(op.getInput())),
        scale(signature.bufferOf(op.getScale())),
        mean(signature.bufferOf(op.getMean())),
        variance(signature.bufferOf(op.getVariance())),
        gradient(signature.bufferOf(op.getGradient())),
        dInput(signature.bufferOf(op.getDInput())),
        dScale(signature.bufferOf(op.getDScale())),
        dShift(signature.bufferOf(op.getDShift())),
        epsilon(op.getEpsilon().convertToDouble()), sums(input, 2) {}

  LaunchSizes launch(const HostExtents &extents) const {
    LaunchSizes sizes = sums.launch(extents);
    if (dInput >= 0)
      sizes.tasks.push_back(
          ceilDiv(extents.rows(input), rowsOfTask(extents.channels(input))));
    return sizes;
  }

  void emit(KernelEmission &e) const {
    sums.emit(
        e,
        [&](I64 channel, Value mask) {
          Value average = e.k.load(e.buffers[mean], channel, mask);
          return [this, &e, mask, average](I64 offset) -> Values {
            Value x = e.k.load(e.buffers[input], offset, mask);
            Value dy = e.widen(e.k.load(e.buffers[gradient], offset, mask));
            return {dy, e.mul(dy, e.widen(e.sub(x, average)))};
          };
        },
        [&](I64 channel, Value mask, Values totals) {
          Value scaled = e.mul(totals[1], inverseDeviation(e, channel, mask));
          storeTotal(e, 0, totals[0], channel, mask);
          storeTotal(e, 1, scaled, channel, mask);
          e.storeIfYielded(e.narrow(totals[0]), dShift, channel, mask);
          e.storeIfYielded(e.narrow(scaled), dScale, channel, mask);
        });
    if (dInput >= 0)
      emitInputGradient(e);
  }

private:
  template <typename Int> static Int rowsOfTask(Int channels) {
    return maxOf(Int(1), Int(flatBlock) / maxOf(channels, Int(1)));
  }

  Value inverseDeviation(KernelEmission &e, I64 channel, Value mask) const {
    Value squared = e.widen(e.k.load(e.buffers[variance], channel, mask));
    Value shifted = e.k.add(squared, e.splat64(e.scalar64(epsilon)));
    Value root = math::SqrtOp::create(e.k.builder, e.k.loc, shifted);
    return e.div(e.splat64(e.scalar64(1.0)), root);
  }

  void storeTotal(KernelEmission &e, int64_t sum, Value value, I64 channel,
                  Value mask) const {
    e.store64(value, e.buffers[e.signature.workspace()],
              sums.totalOffset(e, sum) + channel, mask);
  }

  /// The total divided by the number of rows.
  Value loadMean(KernelEmission &e, int64_t sum, I64 channel,
                 Value mask) const {
    Value total = e.load64(e.vector64(), e.buffers[e.signature.workspace()],
                           sums.totalOffset(e, sum) + channel, mask);
    return e.div(total, e.splat64(e.toDouble(e.extents.rows(input))));
  }

  struct Factors {
    Value factor, shift, slope, average;
  };
  Factors factorsOf(KernelEmission &e, I64 channel, Value mask) const {
    Value inverse = inverseDeviation(e, channel, mask);
    Value scales = e.widen(e.k.load(e.buffers[scale], channel, mask));
    return {e.narrow(e.mul(scales, inverse)),
            e.narrow(loadMean(e, 0, channel, mask)),
            e.narrow(e.mul(inverse, loadMean(e, 1, channel, mask))),
            e.k.load(e.buffers[mean], channel, mask)};
  }

  void emitInputGradient(KernelEmission &e) const {
    e.phaseOfTasks([&](I64 task) {
      I64 rows = e.extents.rows(input), channels = e.extents.channels(input);
      auto [first, last] = e.block(task, rowsOfTask(channels), rows);
      e.forColumns(
          channels, 2,
          [&, first = first, last = last](ArrayRef<I64> offsets, Value mask) {
            SmallVector<Factors> factors;
            for (I64 channel : offsets)
              factors.push_back(factorsOf(e, channel, mask));
            e.k.loop(first, last, [&](I64 row) {
              for (auto [channel, of] : llvm::zip(offsets, factors)) {
                I64 offset = row * channels + channel;
                Value x = e.k.load(e.buffers[input], offset, mask);
                Value dy = e.k.load(e.buffers[gradient], offset, mask);
                Value pulled = e.mul(e.sub(x, of.average), of.slope);
                Value dx = e.mul(of.factor, e.sub(e.sub(dy, of.shift), pulled));
                e.k.store(dx, e.buffers[dInput], offset, mask);
              }
            });
          });
    });
  }

  int64_t input, scale, mean, variance, gradient, dInput, dScale, dShift;
  double epsilon;
  RowSums sums;
};

KernelForm batchNormGrad(BatchNormGradOp op, const Signature &signature) {
  NormGradient gradient(op, signature);
  KernelForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) {
    return gradient.launch(extents);
  };
  form.emit = [=](KernelEmission &e) { gradient.emit(e); };
  return form;
}

} // namespace

KernelForm reductionForm(Operation *op, const Signature &signature) {
  return llvm::TypeSwitch<Operation *, KernelForm>(op)
      .Case([&](ChannelSumOp sum) { return channelSum(sum, signature); })
      .Case([&](BatchNormStatsOp stats) {
        return batchNormStats(stats, signature);
      })
      .Case(
          [&](BatchNormGradOp grad) { return batchNormGrad(grad, signature); })
      .Default(KernelForm());
}

} // namespace cambium::grow
