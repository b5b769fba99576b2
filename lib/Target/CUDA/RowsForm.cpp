//===- RowsForm.cpp - Convolutions and gradients of inputs ----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "RowsForm.h"

using namespace mlir;

namespace cambium::grow {

using Kind = ContractionSpec::Kind;

//===----------------------------------------------------------------------===//
// Extents
//===----------------------------------------------------------------------===//

cambium::RowsExtents RowsKernel::extentsOf(ArrayRef<int64_t> dims) const {
  int values[8];
  for (auto [value, extent] : llvm::zip_equal(values, extents)) {
    int64_t product = extent.factor;
    if (extent.place >= 0)
      product *= dims[extent.place];
    if (extent.ofAllBranches)
      product /= std::max<int64_t>(dims[branchesDim], 1);
    value = static_cast<int>(product);
  }
  return {values[0], values[1], values[2], values[3],
          values[4], values[5], values[6], values[7]};
}

RowsPlan RowsKernel::plan(ArrayRef<int64_t> dims, int perRound) const {
  return RowsPlan(tile, extentsOf(dims), perRound);
}

int64_t RowsKernel::branchBytes(const RowsPlan &plan) const {
  return plan.branchBytes +
         (keeps ? plan.keptFloats() * static_cast<int64_t>(sizeof(float)) : 0);
}

void RowsKernel::addTo(LaunchSizes &sizes, const RowsPlan &plan) const {
  sizes.tasks.push_back(plan.packTasks());
  sizes.blocks.push_back({RowsPlan::packThreads, 0});
  sizes.tasks.push_back(plan.rowTasks());
  sizes.blocks.push_back({tile.threads(), plan.sharedBytes()});
  sizes.rounds = plan.rounds();
  sizes.workspaceBytes += branchBytes(plan) * plan.branchesPerRound;
}

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

static int bytesOf(Precision precision) {
  return precision == Precision::Bf16 ? 2 : 4;
}

static RowsTile tileOf(const ContractionSpec &spec, BlockTileAttr blocks) {
  RowsTile tile = {};
  auto narrow = [](int64_t value) { return static_cast<int>(value); };
  tile.data = spec.kind == Kind::BackwardData;
  tile.kernelH = narrow(spec.kernelH);
  tile.kernelW = narrow(spec.kernelW);
  tile.strideH = narrow(spec.strideH);
  tile.strideW = narrow(spec.strideW);
  tile.padTop = narrow(spec.padTop);
  tile.padLeft = narrow(spec.padLeft);
  tile.dilationH = narrow(spec.dilationH);
  tile.dilationW = narrow(spec.dilationW);
  tile.groups = narrow(spec.groups);
  tile.m = narrow(blocks.getM());
  tile.n = narrow(blocks.getN());
  tile.k = narrow(blocks.getK());
  tile.warpsM = narrow(blocks.getWarpsM());
  tile.warpsN = narrow(blocks.getWarpsN());
  tile.stages = narrow(blocks.getStages());
  tile.patchH = narrow(blocks.getPatchH());
  tile.patchW = narrow(blocks.getPatchW());
  tile.bytes = bytesOf(blocks.getPrecision());
  // Two blocks share a multiprocessor of sm_80.
  tile.sharedLimit = 80 << 10;
  return tile;
}

/// The least and the most shared memory that blocks may need.
static int64_t leastShared(const RowsTile &tile) {
  return static_cast<int64_t>(tile.residentRows()) * tile.pitch(tile.k) +
         static_cast<int64_t>(tile.stages) * tile.stageBytes();
}

static LogicalResult verifyTile(KernelOp kernel, const RowsTile &tile) {
  constexpr int most = 1024, step = 32, maxShared = 99 << 10;
  auto refuse = [&](const Twine &why) {
    return kernel.emitOpError("has blocks ") << why;
  };
  for (int size : {tile.m, tile.n, tile.k, tile.warpsM, tile.warpsN})
    if (size < 1 || size > most)
      return refuse("with a size that is not from 1 to 1024");
  if (tile.stages < 2 || tile.stages > 8)
    return refuse("with " + Twine(tile.stages) +
                  " stages; 2 to 8 are possible");
  if (tile.m % (16 * tile.warpsM) != 0 || tile.n % (16 * tile.warpsN) != 0)
    return refuse("whose warps have no whole 16 rows by 16 columns");
  if (tile.threads() > most)
    return refuse("of more than 1024 threads");
  if (tile.m / tile.warpsM * (tile.n / tile.warpsN) > 64 * 64)
    return refuse("whose warps have more than 64 by 64 elements");
  if (tile.k * tile.bytes % step != 0)
    return refuse("with k = " + Twine(tile.k) + "; it must be a multiple of " +
                  Twine(step / tile.bytes));
  if (tile.gather() ? tile.patchW != 0
                    : tile.patchW < 1 || tile.patchH < 1 ||
                          tile.m % (tile.patchH * tile.patchW) != 0)
    return refuse("whose m is no multiple of their patches; for no patches set "
                  "patch_h and patch_w to 0");
  if (leastShared(tile) > maxShared)
    return refuse("that need " + Twine(leastShared(tile)) +
                  " bytes of shared memory; make the patch smaller");
  return success();
}

FailureOr<RowsKernel> rowsKernel(KernelOp kernel, const Signature &signature,
                                 const ContractionSpec &spec,
                                 const RowsTensors &tensors,
                                 BlockTileAttr blocks) {
  if (!blocks)
    return kernel.emitOpError("needs blocks for its contraction");
  RowsKernel k;
  k.precision = blocks.getPrecision();
  k.tile = tileOf(spec, blocks);
  if (failed(verifyTile(kernel, k.tile)))
    return failure();
  // From the end if negative.
  auto extent = [&](int64_t tensor, int64_t dim, int64_t factor = 1) {
    RankedTensorType type = signature.tensors[tensor];
    if (dim < 0)
      dim += type.getRank();
    if (!type.isDynamicDim(dim))
      return RowsExtent{-1, type.getDimSize(dim) * factor};
    return RowsExtent{signature.firstDims[tensor] + dim, factor};
  };
  auto image = [&](int64_t tensor, int64_t dim) {
    return spec.linear ? RowsExtent{} : extent(tensor, dim);
  };
  RowsExtent inputs = extent(tensors.filter, -2, spec.groups);
  RowsExtent outputs = extent(tensors.filter, -1);
  k.extents = {extent(tensors.source, 0),      image(tensors.source, 1),
               image(tensors.source, 2),       k.tile.data ? outputs : inputs,
               image(tensors.result, 1),       image(tensors.result, 2),
               k.tile.data ? inputs : outputs, RowsExtent{}};
  return k;
}

FailureOr<RowsKernel> recomputeKernel(KernelOp kernel,
                                      const Signature &signature,
                                      const BranchBody &body,
                                      BlockTileAttr blocks) {
  BranchBuffers buffers(kernel, signature);
  ContractionSpec spec = body.spec.contraction;
  spec.kind = Kind::Forward;
  KernelTensor filter = buffers.argument(body.filter);
  FailureOr<RowsKernel> again =
      rowsKernel(kernel, signature, spec,
                 {buffers.argument(body.input).tensor, filter.tensor,
                  buffers.argument(body.gradient).tensor},
                 blocks);
  if (failed(again))
    return failure();
  again->name = "Again";
  again->filter = filter.at;
  again->workspace = buffers.numShared();
  again->tupleSize = buffers.tupleSize();
  again->branchesDim = signature.numDims;
  again->extents.back() = RowsExtent{signature.numDims};
  again->join = "Apart";
  again->source = "AgainInput";
  again->keeps = true;
  return again;
}

void printRecomputeSource(CudaEmission &e, KernelOp kernel,
                          const Signature &signature, const BranchBody &body) {
  BranchBuffers buffers(kernel, signature);
  if (body.contractedInput() == body.input)
    return printSource(e, "AgainInput", buffers.argument(body.input).at,
                       buffers.tupleSize());
  ElementHook hook;
  hook.name = "AgainInput";
  hook.comment = "What the contraction reads of x.";
  hook.returned = {body.contractedInput()};
  hook.bufferOf = [&](BlockArgument argument) {
    return buffers.argument(argument).at;
  };
  hook.tupleSize = buffers.tupleSize();
  emitHook(e, hook);
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

static std::string pointerText(const HookBuffer &at, StringRef type,
                               int64_t tupleSize, StringRef branch) {
  if (at.perBranch)
    return ("branchBuffer<" + type + ">(args, " + branch + ", " +
            Twine(tupleSize) + ", " + Twine(at.buffer) + ")")
        .str();
  return ("buffer<" + type + ">(args, " + Twine(at.buffer) + ")").str();
}

static const char *applyHead = "  template <int N, class Args>\n"
                               "  static __device__ __forceinline__ void\n"
                               "  apply(const Args &args, const Place &place, ";

void printSource(CudaEmission &e, StringRef name, const HookBuffer &from,
                 int64_t tupleSize) {
  e.text(
      "// What the contraction reads.\nstruct " + name + " {\n" + applyHead +
      "Vec<N> &x) {\n    x = " + (from.sliced ? "loadSlice" : "loadElements") +
      "<N>(" + pointerText(from, "const float", tupleSize, "place.branch") +
      ", place);\n  }\n};\n");
}

void printFinish(CudaEmission &e, StringRef name, const HookBuffer &to) {
  e.text("\n// Stores the result.\nstruct " + name + " {\n" + applyHead +
         "const Vec<N> result) {\n    " +
         (to.sliced ? "storeSlice" : "storeElements") + "<N>(" +
         pointerText(to, "float", 0, "") + ", place, result);\n  }\n};\n");
}

static std::string tileText(const RowsTile &t) {
  std::pair<const char *, int> fields[] = {{"kernelH", t.kernelH},
                                           {"kernelW", t.kernelW},
                                           {"strideH", t.strideH},
                                           {"strideW", t.strideW},
                                           {"padTop", t.padTop},
                                           {"padLeft", t.padLeft},
                                           {"dilationH", t.dilationH},
                                           {"dilationW", t.dilationW},
                                           {"groups", t.groups},
                                           {"m", t.m},
                                           {"n", t.n},
                                           {"k", t.k},
                                           {"warpsM", t.warpsM},
                                           {"warpsN", t.warpsN},
                                           {"stages", t.stages},
                                           {"patchH", t.patchH},
                                           {"patchW", t.patchW},
                                           {"bytes", t.bytes},
                                           {"sharedLimit", t.sharedLimit}};
  std::string text =
      std::string("  static __device__ constexpr RowsTile tile() "
                  "{\n    return {/*data=*/") +
      (t.data ? "true" : "false");
  for (auto [index, field] : llvm::enumerate(fields))
    text += (Twine(index % 4 == 0 ? ",\n            " : ", ") + "/*" +
             field.first + "=*/" + Twine(field.second))
                .str();
  return text + "};\n  }\n";
}

static std::string extentText(const RowsExtent &extent,
                              const std::string &branches) {
  std::string text;
  if (extent.place < 0)
    text = std::to_string(extent.factor);
  else
    text = (extent.factor == 1 ? "" : std::to_string(extent.factor) + " * ") +
           "args.dims[" + std::to_string(extent.place) + "]";
  return extent.ofAllBranches ? text + " / maxOf(" + branches + ", 1)" : text;
}

void RowsKernel::printShape(CudaEmission &e) const {
  e.include("Rows.cuh");
  const char *names[] = {"batch",   "sourceH", "sourceW", "sourceC",
                         "resultH", "resultW", "resultC", "branches"};
  std::string branches = extentText(extents.back(), "");
  std::string list;
  for (auto [name, extent] : llvm::zip_equal(names, extents))
    list += (list.empty() ? "" : ",\n            ") + std::string("/*") + name +
            "=*/" + extentText(extent, branches);
  e.text("// Window, tile and extents.\nstruct " + name + "Shape {\n" +
         tileText(tile) +
         "  template <class Args>\n"
         "  static __device__ __forceinline__ RowsExtents\n"
         "  extents(const Args &args) {\n    return {" +
         list + "};\n  }\n};\n");
}

static const char *mathName(Precision precision) {
  switch (precision) {
  case Precision::Fp32:
    return "Fp32";
  case Precision::Tf32:
    return "Tf32";
  case Precision::Bf16:
    return "Bf16";
  }
  return "";
}

void RowsKernel::printStruct(CudaEmission &e) const {
  auto member = [](StringRef type, StringRef head, StringRef body) {
    return ("  template <class Args>\n  static __device__ __forceinline__ " +
            type + "\n  " + head + " {\n    " + body + "\n  }\n")
        .str();
  };
  std::string text = "// What computeRows computes.\nstruct " + name + " : " +
                     name + "Shape {\n  using Math = " + mathName(precision) +
                     ";\n  using Source = " + source +
                     ";\n  using Epilogue = " + epilogue + ";\n";
  if (!keeps)
    text += "  using Finish = " + finish + ";\n";
  text += std::string("  static constexpr Join join = Join::") + join +
          ";\n  static constexpr Apply epilogue = Apply::" + apply +
          ";\n  static constexpr bool sourceOfBranch = " +
          (sourceOfBranch ? "true" : "false") + ";\n\n";
  text += member("RowsPlan", "plan(const Args &args)",
                 "return RowsPlan(tile(), extents(args)" +
                     (perRound.empty() ? "" : ", " + perRound) + ");");
  text +=
      member("unsigned char *", "packed(const Args &args)",
             "return buffer<unsigned char>(args, " + std::to_string(workspace) +
                 ")" + (firstByte.empty() ? "" : " + " + firstByte) + ";");
  text +=
      member("const float *", "filter(const Args &args, int branch)",
             "return " +
                 pointerText(filter, "const float", tupleSize, "branch") + ";");
  if (result >= 0)
    text +=
        member("float *", "result(const Args &args)",
               "return buffer<float>(args, " + std::to_string(result) + ");");
  if (keeps)
    text += member("float *", "kept(const Args &args, int branch)",
                   "const RowsPlan p = plan(args);\n"
                   "    return reinterpret_cast<float *>(packed(args) + "
                   "p.packedBytes()) +\n"
                   "           branch % p.branchesPerRound * "
                   "p.keptFloats();") +
            "  struct Finish {\n"
            "    template <int N, class Args>\n"
            "    static __device__ __forceinline__ void\n"
            "    apply(const Args &args, const Place &place, const Vec<N> "
            "result) {\n"
            "      storeElements<N>(" +
            name + "::kept(args, place.branch), place, result);\n    }\n  };\n";
  e.text(text + "};\n");
}

void RowsKernel::printPhases(CudaEmission &e) const {
  const RowsTile &t = tile;
  e.phase("Packs filters: a block packs a part of one branch's filter, a "
          "thread 16 bytes.",
          RowsPlan::packThreads,
          "packFilters<" + Twine(name) + ">(args, task);", /*minBlocks=*/1);
  std::string pixels = std::to_string(t.m) + " pixels";
  if (!t.gather())
    pixels += " (" + std::to_string(t.patchH) + " x " +
              std::to_string(t.patchW) + " in " + std::to_string(t.images()) +
              (t.images() == 1 ? " image)" : " images)");
  e.phase("A block computes " + Twine(pixels) + " by " + Twine(t.n) +
              " channels" +
              (branchesDim < 0 ? "" : ",\nfor one branch after the other") +
              ".\nA warp of its " + Twine(t.warpsM) + " x " + Twine(t.warpsN) +
              " has " + Twine(t.m / t.warpsM) + " by " + Twine(t.n / t.warpsN) +
              " of them, a thread " +
              Twine(t.m / t.warpsM * (t.n / t.warpsN) / 32) +
              " accumulators: two\nneighbouring channels of every eighth, in "
              "every eighth pixel." +
              (precision != Precision::Fp32 && t.suitsWarpgroups()
                   ? "\nOn sm_90a warpgroups share the pixels, and each warp "
                     "has all channels."
                   : ""),
          t.threads(), "computeRows<" + Twine(name) + ">(args, task);",
          /*minBlocks=*/1);
}

} // namespace cambium::grow
