//===- EmitReductions.cpp - Sums over pixels and batch statistics ---------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The templates are in device/cambium/Reduce.cuh.
//
//===----------------------------------------------------------------------===//

#include "DeviceText.h"

#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;

namespace cambium::grow {

namespace {

// These, too, are as in Reduce.cuh.
constexpr int64_t chunkElements = 16384;
constexpr int64_t maxChunkBlocks = 512;

struct RowChunks {
  RowChunks(int64_t allRows, int64_t channels) {
    int64_t width = reduceColumns * reduceLanes(channels);
    channelBlocks = ceilDiv(channels, width);
    int64_t least = std::max<int64_t>(
        chunkElements / std::max<int64_t>(std::min(channels, width), 1), 1);
    int64_t most = std::max<int64_t>(
        maxChunkBlocks / std::max<int64_t>(channelBlocks, 1), 1);
    rows = std::max(least, ceilDiv(allRows, most));
    count = ceilDiv(allRows, rows);
  }
  int64_t channelBlocks, rows, count;
};

/// The two phases of `sums` sums over the rows of a tensor.
struct RowSums {
  int64_t tensor, sums;

  LaunchSizes launch(const HostExtents &extents) const {
    int64_t channels = extents.channels(tensor);
    RowChunks chunks(extents.rows(tensor), channels);
    LaunchSizes sizes;
    addPhase(sizes, chunks.count * chunks.channelBlocks, reduceThreads,
             reduceBytes(sums * reduceLanes(channels)));
    addPhase(sizes, ceilDiv(channels, reduceColumns), reduceThreads,
             reduceBytes(sums));
    sizes.workspaceBytes =
        chunks.count * sums * channels * static_cast<int64_t>(sizeof(double));
    return sizes;
  }

  /// `terms` and `finish` declare the variables of these names. `what` is
  /// added up.
  void emit(CudaEmission &e, StringRef what, const Twine &terms,
            const Twine &finish) const {
    e.include("Reduce.cuh");
    ExtentText extents(e.signature);
    std::string rows = "const long long rows = " + extents.rows(tensor) + ";\n";
    std::string channels =
        "const int channels = " + extents.channels(tensor) + ";\n";
    auto call = [&](StringRef function, StringRef work) {
      return callText(function,
                      {work.str(), "rows", "channels", "task",
                       bufferText(e.signature.workspace(), "double")}) +
             ";";
    };
    e.phase("A block adds up " + what +
                "\nfor a chunk of the rows and at most 32 groups of channels "
                "(of four, or of one\nwhere four do not divide them). Threads "
                "side by side take groups, the others\nfurther rows.",
            reduceThreads, rows + channels + terms + call("addChunk", "terms"));
    e.phase("A block adds the chunks' sums for 32 channels: a warp every "
            "eighth chunk, a\nthread one channel.",
            reduceThreads,
            rows + channels + finish + call("addChunks", "finish"));
  }
};

//===----------------------------------------------------------------------===//
// Channel sums and statistics
//===----------------------------------------------------------------------===//

CudaForm channelSum(ChannelSumOp op, const Signature &signature) {
  int64_t input = signature.bufferOf(op.getInput());
  int64_t result = signature.bufferOf(op.getResult());
  RowSums sums = {input, 1};
  CudaForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) { return sums.launch(extents); };
  form.emit = [=](CudaEmission &e) {
    sums.emit(e, "elements",
              aggregate("PlainTerms", "terms", {{"x", readText(input)}}),
              aggregate("StoreSum", "finish", {{"y", writeText(result)}}));
  };
  return form;
}

CudaForm batchNormStats(BatchNormStatsOp op, const Signature &signature) {
  auto buffer = [&](Value value) { return signature.bufferOf(value); };
  int64_t input = buffer(op.getInput());
  std::string terms =
      aggregate("MomentTerms", "terms", {{"x", readText(input)}});
  std::string finish =
      aggregate("NormStats", "finish",
                {{"momentum", literal(op.getMomentum().convertToDouble())},
                 {"rows", "rows"},
                 {"runningMean", readText(buffer(op.getRunningMean()))},
                 {"runningVariance", readText(buffer(op.getRunningVariance()))},
                 {"mean", writeText(buffer(op.getMean()))},
                 {"variance", writeText(buffer(op.getVariance()))},
                 {"nextMean", writeText(buffer(op.getNextMean()))},
                 {"nextVariance", writeText(buffer(op.getNextVariance()))}});
  RowSums sums = {input, 2};
  CudaForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) { return sums.launch(extents); };
  form.emit = [=](CudaEmission &e) {
    sums.emit(e, "elements and their squares", terms, finish);
  };
  return form;
}

//===----------------------------------------------------------------------===//
// Gradient of batch normalisation
//===----------------------------------------------------------------------===//

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
        epsilon(op.getEpsilon().convertToDouble()), sums{input, 2} {}

  LaunchSizes launch(const HostExtents &extents) const {
    LaunchSizes sizes = sums.launch(extents);
    if (dInput < 0)
      return sizes;
    addPhase(sizes, ceilDiv(extents.elements(input), flatElements),
             flatThreads);
    // Factors, shifts and slopes of the channels lie behind the sums.
    sizes.workspaceBytes +=
        3 * extents.channels(input) * static_cast<int64_t>(sizeof(float));
    return sizes;
  }

  void emit(CudaEmission &e) const {
    ExtentText extents(e.signature);
    std::string coefficients =
        callText("float *const coefficients = behindChunks",
                 {bufferText(e.signature.workspace(), "double"), "rows",
                  "channels", "NormGradSums::sums"}) +
        ";\n";
    std::string terms =
        aggregate("NormGradTerms", "terms",
                  {{"x", readText(input)}, {"dy", readText(gradient)}});
    std::string finish =
        aggregate("NormGradSums", "finish",
                  {{"epsilon", literal(epsilon)},
                   {"rows", "rows"},
                   {"channels", "channels"},
                   {"scale", readText(scale)},
                   {"mean", readText(mean)},
                   {"variance", readText(variance)},
                   {"dScale", writeText(dScale)},
                   {"dShift", writeText(dShift)},
                   {"coefficients", dInput < 0 ? "nullptr" : "coefficients"}});
    sums.emit(e, "gradients and their products with x", terms,
              dInput < 0 ? finish : coefficients + finish);
    if (dInput < 0)
      return;
    std::string work = aggregate("NormGradInput", "gradient",
                                 {{"channels", "channels"},
                                  {"x", readText(input)},
                                  {"dy", readText(gradient)},
                                  {"mean", readText(mean)},
                                  {"coefficients", "coefficients"},
                                  {"dx", writeText(dInput)}});
    flatPhase(e,
              "A block computes consecutive elements of dx, a thread four "
              "channels of a row.",
              "const long long rows = " + extents.rows(input) +
                  ";\nconst int channels = " + extents.channels(input) + ";\n" +
                  coefficients + work,
              "gradient", "rows * channels", "channels % 4 == 0");
  }

private:
  int64_t input, scale, mean, variance, gradient, dInput, dScale, dShift;
  double epsilon;
  RowSums sums;
};

CudaForm batchNormGrad(BatchNormGradOp op, const Signature &signature) {
  NormGradient gradient(op, signature);
  CudaForm form;
  form.workspace = true;
  form.sizes = [=](const HostExtents &extents) {
    return gradient.launch(extents);
  };
  form.emit = [=](CudaEmission &e) { gradient.emit(e); };
  return form;
}

} // namespace

CudaForm cudaReductionForm(Operation *op, const Signature &signature) {
  return llvm::TypeSwitch<Operation *, CudaForm>(op)
      .Case([&](ChannelSumOp sum) { return channelSum(sum, signature); })
      .Case([&](BatchNormStatsOp stats) {
        return batchNormStats(stats, signature);
      })
      .Case(
          [&](BatchNormGradOp grad) { return batchNormGrad(grad, signature); })
      .Default(CudaForm());
}

} // namespace cambium::grow
