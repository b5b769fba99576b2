//===- EmitFilter.cpp - Gradients of filters ------------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A kernel is a struct of constants and hooks for FilterBlock (Filter.cuh), and
// two phases: blocks add up parts of the gradients, and then the parts.
//
//===----------------------------------------------------------------------===//

#include "BranchBuffers.h"
#include "FilterForm.h"
#include "RowsForm.h"
#include "cambium/Target/CUDA/CudaEmitter.h"

using namespace mlir;

namespace cambium::grow {

namespace {

/// An extent of FilterExtents: a product of the kernel's dims.
struct ExtentSource {
  const char *name;
  SmallVector<int64_t, 3> dims;
  /// The channels of all branches, of which one branch's are meant.
  bool ofAllBranches = false;
};

/// All that a kernel is made of. A single gradient is one of one branch.
struct FilterKernel {
  Operation *anchor = nullptr;
  ContractionSpec spec;
  Precision precision = Precision::Fp32;
  FilterTile tile = {};
  int64_t workspace = 0;
  /// In the order of FilterExtents.
  SmallVector<ExtentSource, 8> extents;
  /// Index in `dims` of the number of branches; -1 for a single gradient.
  int64_t branchesDim = -1;
  int64_t tupleSize = 0;
  /// Values of the body: x and dy as they are contracted, and what is summed.
  Value input, gradient;
  SmallVector<Value> sums;
  SmallVector<HookBuffer> sumBuffers;
  /// What is stored in the end, where.
  SmallVector<std::pair<Value, HookBuffer>> results;
  std::function<HookBuffer(BlockArgument)> bufferOf;
  /// The forward contraction that the gradient takes the result of, and the
  /// value that stands for it; null if there is none.
  std::optional<RowsKernel> again;
  Value accumulator;
  std::function<void(CudaEmission &)> printAgainInput;

  /// x at `xDim`, dy at `gradientDim`.
  void addExtents(int64_t xDim, int64_t gradientDim, bool slicedGradient);
  FilterExtents extentsOf(ArrayRef<int64_t> dims) const;
  LaunchSizes sizes(ArrayRef<int64_t> dims) const;
};

/// Prints a kernel.
class FilterPrinter {
public:
  FilterPrinter(CudaEmission &e, const FilterKernel &kernel)
      : e(e), k(kernel) {}

  void print();

private:
  std::string tileText();
  std::string extentsText();
  std::string pointer(const HookBuffer &at, StringRef type, StringRef branch);
  std::string loadText(Value value, StringRef to);
  std::string inputText();
  std::string gradientText();
  std::string finishText();
  std::string sumText();
  void printAgain();
  void printPhases();

  /// Emits a hook; gives its name.
  std::string hook(StringRef suffix, StringRef comment, ValueRange given,
                   ValueRange returned,
                   ArrayRef<std::pair<Value, HookBuffer>> stored = {});

  CudaEmission &e;
  const FilterKernel &k;
};

} // namespace

//===----------------------------------------------------------------------===//
// Extents
//===----------------------------------------------------------------------===//

void FilterKernel::addExtents(int64_t xDim, int64_t gradientDim,
                              bool slicedGradient) {
  // Dims of pixels that make up one row; else batch, height and width.
  int64_t pixelDims = spec.linear ? 1 : 3;
  auto channels = [&](const char *name, int64_t first) {
    return ExtentSource{name, {first + pixelDims}};
  };
  auto pixels = [&](int64_t first) {
    SmallVector<int64_t, 3> all;
    for (int64_t i = 0; i < pixelDims; ++i)
      all.push_back(first + i);
    return all;
  };
  bool flat = isFlat(spec);
  using Dims = SmallVector<int64_t, 3>;
  extents.push_back({"batch", flat ? Dims{} : Dims{gradientDim}});
  extents.push_back({"inH", flat ? Dims{} : Dims{xDim + 1}});
  extents.push_back({"inW", flat ? pixels(xDim) : Dims{xDim + 2}});
  extents.push_back(channels("inC", xDim));
  extents.push_back({"outH", flat ? Dims{} : Dims{gradientDim + 1}});
  extents.push_back(
      {"outW", flat ? pixels(gradientDim) : Dims{gradientDim + 2}});
  extents.push_back(channels("outC", gradientDim));
  extents.back().ofAllBranches = slicedGradient;
  extents.push_back({"branches", {}});
  if (branchesDim >= 0)
    extents.back().dims.push_back(branchesDim);
}

FilterExtents FilterKernel::extentsOf(ArrayRef<int64_t> dims) const {
  int values[8];
  for (auto [value, source] : llvm::zip_equal(values, extents)) {
    int64_t product = 1;
    for (int64_t dim : source.dims)
      product *= dims[dim];
    if (source.ofAllBranches)
      product /= std::max<int64_t>(dims[branchesDim], 1);
    value = static_cast<int>(product);
  }
  return {values[0], values[1], values[2], values[3],
          values[4], values[5], values[6], values[7]};
}

LaunchSizes FilterKernel::sizes(ArrayRef<int64_t> dims) const {
  FilterExtents all = extentsOf(dims);
  LaunchSizes sizes;
  int perRound = 0;
  if (again) {
    perRound =
        std::min(RowsPlan::branchesIn(again->branchBytes(again->plan(dims)),
                                      all.branches),
                 FilterPlan(tile, all).branchesPerRound);
    again->addTo(sizes, again->plan(dims, perRound));
  }
  FilterPlan plan(tile, all, perRound);
  for (int64_t blocks : {plan.blocksPerBranch(), plan.finishBlocksPerBranch()})
    sizes.tasks.push_back(blocks * plan.branchesPerRound);
  sizes.blocks.push_back({tile.threads(), filterSharedBytes(tile, precision)});
  sizes.blocks.push_back({FilterPlan::finishThreads, 0});
  sizes.rounds = plan.rounds();
  sizes.workspaceBytes += plan.workspace() * sizeof(float);
  return sizes;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

std::string FilterPrinter::tileText() {
  const FilterTile &t = k.tile;
  std::pair<const char *, int> fields[] = {{"kernelH", t.kernelH},
                                           {"kernelW", t.kernelW},
                                           {"strideH", t.strideH},
                                           {"strideW", t.strideW},
                                           {"padTop", t.padTop},
                                           {"padLeft", t.padLeft},
                                           {"dilationH", t.dilationH},
                                           {"dilationW", t.dilationW},
                                           {"groups", t.groups},
                                           {"tapRows", t.tapRows},
                                           {"tapColumns", t.tapColumns},
                                           {"inputs", t.inputs},
                                           {"outputs", t.outputs},
                                           {"units", t.units},
                                           {"images", t.images},
                                           {"rows", t.rows},
                                           {"columns", t.columns},
                                           {"stages", t.stages},
                                           {"sums", t.sums}};
  std::string text = "  static __host__ __device__ constexpr "
                     "FilterTile tile() {\n    return {";
  for (auto [index, field] : llvm::enumerate(fields))
    text += (index == 0       ? ""
             : index % 3 == 0 ? ",\n            "
                              : ", ") +
            ("/*" + Twine(field.first) + "=*/" + Twine(field.second)).str();
  return text + "};\n  }\n";
}

std::string FilterPrinter::extentsText() {
  std::string branches =
      k.branchesDim < 0 ? "1"
                        : "args.dims[" + std::to_string(k.branchesDim) + "]";
  std::string text = "  template <class Args>\n  static __device__ "
                     "FilterExtents extents(const Args &args) {\n"
                     "    return {";
  for (auto [index, source] : llvm::enumerate(k.extents)) {
    std::string value;
    for (int64_t dim : source.dims)
      value += (value.empty() ? "args.dims[" : " * args.dims[") +
               std::to_string(dim) + "]";
    if (value.empty())
      value = "1";
    if (source.ofAllBranches)
      value += " / maxOf(" + branches + ", 1)";
    text += std::string(index ? ",\n            /*" : "/*") + source.name +
            "=*/" + value;
  }
  return text + "};\n  }\n";
}

std::string FilterPrinter::pointer(const HookBuffer &at, StringRef type,
                                   StringRef branch) {
  if (at.perBranch)
    return ("branchBuffer<" + type + ">(args, " + branch + ", " +
            Twine(k.tupleSize) + ", " + Twine(at.buffer) + ")")
        .str();
  return ("buffer<" + type + ">(args, " + Twine(at.buffer) + ")").str();
}

/// Of an argument of the body.
std::string FilterPrinter::loadText(Value value, StringRef to) {
  HookBuffer at = k.bufferOf(cast<BlockArgument>(value));
  return ("    " + to + " = cambium::" +
          (at.sliced ? "loadSlice" : "loadElements") + "<N>(\n        " +
          pointer(at, "const float", "place.branch") + ", place);\n")
      .str();
}

std::string FilterPrinter::hook(StringRef suffix, StringRef comment,
                                ValueRange given, ValueRange returned,
                                ArrayRef<std::pair<Value, HookBuffer>> stored) {
  ElementHook hook;
  hook.name = suffix.str();
  hook.comment = comment.str();
  llvm::append_range(hook.given, given);
  llvm::append_range(hook.returned, returned);
  llvm::append_range(hook.stored, stored);
  hook.bufferOf = k.bufferOf;
  hook.tupleSize = k.tupleSize;
  emitHook(e, hook);
  return hook.name;
}

static const char *hookHead = "  template <int N, class Args>\n"
                              "  static __device__ __forceinline__ void ";

std::string FilterPrinter::inputText() {
  std::string text = std::string("  // x, as the contraction reads it.\n") +
                     hookHead +
                     "input(const Args &args,\n      const Place "
                     "&place, Vec<N> &x) {\n";
  if (isa<BlockArgument>(k.input))
    return text + loadText(k.input, "x") + "  }\n";
  return text + "    " +
         hook("Input", "What the gradient takes as x.", {}, k.input) +
         "::apply(args, place, x);\n  }\n";
}

std::string FilterPrinter::gradientText() {
  std::string text =
      std::string("  // What the forward contraction gave in a branch, if dy "
                  "depends on it.\n"
                  "  template <class Args>\n"
                  "  static __device__ __forceinline__ const float *\n"
                  "  kept(const Args &args, const int branch) {\n"
                  "    return ") +
      (k.again ? "Again::kept(args, branch)" : "nullptr") + ";\n  }\n" +
      "  // dy, as the contraction reads it" +
      (k.sums.empty() ? "" : ", and what is summed over pixels") + ".\n" +
      hookHead + "gradient(const Args &args, const float *" +
      (k.again ? "kept" : "") +
      ",\n      const Place &place, Vec<N> &dy, Vec<N> (&" +
      (k.sums.empty() ? "" : "sums") + ")[" +
      std::to_string(std::max<size_t>(k.sums.size(), 1)) + "]) {\n";
  std::string before, after, arguments;
  SmallVector<Value> computed;
  SmallVector<std::pair<Value, std::string>> known;
  // Each value is loaded or computed once.
  auto bind = [&](Value value, const std::string &to) {
    for (auto &[other, name] : known)
      if (other == value) {
        after += "    " + to + " = " + name + ";\n";
        return;
      }
    known.push_back({value, to});
    if (isa<BlockArgument>(value)) {
      before += loadText(value, to);
      return;
    }
    computed.push_back(value);
    arguments += ", " + to;
  };
  bind(k.gradient, "dy");
  for (auto [index, sum] : llvm::enumerate(k.sums))
    bind(sum, "sums[" + std::to_string(index) + "]");
  text += before;
  SmallVector<Value> given;
  if (k.again) {
    given.push_back(k.accumulator);
    arguments = ", accumulator" + arguments;
    text += "    const Vec<N> accumulator =\n        "
            "loadElements<N>(kept, place);\n";
  }
  if (!computed.empty())
    text +=
        "    " +
        hook("Gradient", "What the gradient takes as dy.", given, computed) +
        "::apply(args, place" + arguments + ");\n";
  return text + after + "  }\n";
}

std::string FilterPrinter::finishText() {
  std::string text = std::string("  // Stores dw.\n") + hookHead +
                     "finish(const Args &args,\n      const Place "
                     "&place, const Vec<N> &dw) {\n";
  Value gradient = k.anchor->getResult(0);
  if (llvm::any_of(k.results, [&](const auto &result) {
        return result.first != gradient;
      }))
    return text + "    " +
           hook("Finish", "What is stored of dw.", gradient, {}, k.results) +
           "::apply(args, place, dw);\n  }\n";
  for (auto &[value, at] : k.results)
    text += "    storeElements<N>(\n        " +
            pointer(at, "float", "place.branch") + ", place, dw);\n";
  return text + "  }\n";
}

std::string FilterPrinter::sumText() {
  std::string text = "  // Where the sums over pixels go.\n"
                     "  template <class Args>\n"
                     "  static __device__ float *sum(const Args &args, const "
                     "int branch,\n                               const int "
                     "index) {\n";
  for (auto [index, at] : llvm::enumerate(k.sumBuffers)) {
    bool last = index + 1 == k.sumBuffers.size();
    text += (last ? "    return "
                  : "    if (index == " + std::to_string(index) +
                        ")\n      return ") +
            pointer(at, "float", "branch") + ";\n";
  }
  return text + "  }\n";
}

void FilterPrinter::printPhases() {
  const FilterTile &t = k.tile;
  std::string channels = std::to_string(t.inputs) + " channels of x and " +
                         std::to_string(t.outputs) + " of dy";
  std::string patch = std::to_string(t.rows) + "x" + std::to_string(t.columns) +
                      " pixels of " + std::to_string(t.images) +
                      (t.images == 1 ? " image" : " images");
  e.phase("Adds up partial gradients. A block has " +
              Twine(t.tapRows * t.tapColumns) + " of " +
              Twine(t.kernelH * t.kernelW) + " taps and " + channels +
              ".\nIt goes over the patches of its part of the pixels, " +
              patch + " each.\nA warp of its " + Twine(t.threads() / 32) +
              " has " + Twine(t.units) +
              " units of 32 rows (a tap and 32 channels of x) by 32\ncolumns, "
              "a thread 32 accumulators of each unit. To load, a thread takes "
              "four\nchannels of a pixel at a time where groups allow it.",
          t.threads(), "FilterBlock<Filter>::accumulate(args, task);",
          /*minBlocks=*/1);
  e.phase("Adds up the parts in order and stores the gradients. A thread has a "
          "quad of\naccumulators of one thread of the first phase, or one "
          "sum.",
          FilterPlan::finishThreads, "FilterBlock<Filter>::finish(args, task);",
          /*minBlocks=*/1);
}

static const char *elementName(Precision precision) {
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

/// Loads of four channels at a time must not cross groups.
static int vectorOf(const ContractionSpec &spec, int64_t channels) {
  bool aligned = channels > 0 && channels / spec.groups % 4 == 0;
  return spec.groups == 1 || aligned ? 4 : 1;
}

static int64_t lastExtent(Value value) {
  auto type = cast<RankedTensorType>(value.getType());
  int64_t extent = type.getShape().back();
  return ShapedType::isDynamic(extent) ? -1 : extent;
}

/// The forward contraction's phases come first. Its filters and accumulators
/// lie in the workspace after the partial gradients.
void FilterPrinter::printAgain() {
  RowsKernel again = *k.again;
  again.printShape(e);
  e.text("// Branches for which the workspace has room at a time.\n"
         "template <class Args>\n"
         "__device__ __forceinline__ int branchesPerRound(const Args &args) {\n"
         "  const RowsPlan again(AgainShape::tile(), "
         "AgainShape::extents(args));\n"
         "  const FilterPlan filter(FilterShape::tile(), "
         "FilterShape::extents(args));\n"
         "  return minOf(RowsPlan::branchesIn(again.branchBytes +\n"
         "                                        4 * again.keptFloats(),\n"
         "                                    again.extents.branches),\n"
         "               filter.branchesPerRound);\n}\n");
  again.perRound = "branchesPerRound(args)";
  again.firstByte = "4 * FilterPlan(FilterShape::tile(), "
                    "FilterShape::extents(args),\n                          "
                    "branchesPerRound(args))\n                   .workspace()";
  k.printAgainInput(e);
  again.printStruct(e);
}

void FilterPrinter::print() {
  e.include("Filter.cuh");
  e.text("// Window, tile and extents.\nstruct FilterShape {\n" + tileText() +
         extentsText() + "};\n");
  if (k.again)
    printAgain();
  // Hooks are structs of their own, in front.
  std::string input = inputText(), gradient = gradientText(),
              finish = finishText();
  std::string text =
      "\n// What FilterBlock computes.\nstruct Filter : FilterShape {\n"
      "  using Element = " +
      std::string(elementName(k.precision)) +
      ";\n  static constexpr int workspace = " + std::to_string(k.workspace) +
      ";\n  // Channels that a thread loads at a time.\n"
      "  static constexpr int inputVector = " +
      std::to_string(vectorOf(k.spec, lastExtent(k.anchor->getOperand(0)))) +
      ";\n  static constexpr int gradientVector = " +
      std::to_string(vectorOf(k.spec, lastExtent(k.anchor->getOperand(1)))) +
      ";\n\n  template <class Args>\n  static __device__ __forceinline__ "
      "FilterPlan plan(const Args &args) {\n    return FilterPlan(tile(), "
      "extents(args)" +
      (k.again ? ", branchesPerRound(args)" : "") + ");\n  }\n" + input +
      gradient + finish;
  if (!k.sumBuffers.empty())
    text += sumText();
  e.text(text + "};\n");
  if (k.again)
    k.again->printPhases(e);
  printPhases();
}

//===----------------------------------------------------------------------===//
// Forms
//===----------------------------------------------------------------------===//

static FailureOr<FilterKernel> startKernel(KernelOp kernel, Operation *anchor,
                                           const ContractionSpec &spec,
                                           int64_t sums) {
  FailureOr<FilterTile> tile = filterTile(kernel, spec, sums);
  if (failed(tile))
    return failure();
  FilterKernel k;
  k.anchor = anchor;
  k.spec = spec;
  k.precision = kernel.getBlocksAttr().getPrecision();
  k.tile = *tile;
  k.input = anchor->getOperand(0);
  k.gradient = anchor->getOperand(1);
  return k;
}

static CudaForm formOf(const FilterKernel &k) {
  CudaForm form;
  form.workspace = true;
  form.sizes = [k](const HostExtents &extents) {
    return k.sizes(extents.dims);
  };
  form.emit = [k](CudaEmission &e) { FilterPrinter(e, k).print(); };
  return form;
}

FailureOr<CudaForm> cudaFilterForm(KernelOp kernel, const Signature &signature,
                                   Operation *anchor) {
  FailureOr<ContractionSpec> spec = contractionSpec(anchor);
  if (failed(spec))
    return anchor->emitOpError("needs a window of static size in a kernel");
  FailureOr<FilterKernel> started = startKernel(kernel, anchor, *spec, 0);
  if (failed(started))
    return failure();
  FilterKernel &k = *started;
  k.workspace = signature.workspace();
  k.addExtents(signature.firstDims[signature.bufferOf(k.input)],
               signature.firstDims[signature.bufferOf(k.gradient)],
               /*slicedGradient=*/false);
  auto place = [](Value value, int64_t buffer) {
    return HookBuffer{hookKind(value), buffer};
  };
  int64_t arguments = signature.body->getNumArguments();
  for (auto [index, yielded] :
       llvm::enumerate(signature.body->getTerminator()->getOperands()))
    k.results.push_back({yielded, place(yielded, arguments + index)});
  k.bufferOf = [place](BlockArgument argument) {
    return place(argument, argument.getArgNumber());
  };
  return formOf(k);
}

FailureOr<CudaForm> cudaBranchFilterForm(KernelOp kernel,
                                         const Signature &signature,
                                         const BranchBody &body) {
  FailureOr<FilterKernel> started =
      startKernel(kernel, body.anchor, body.spec.contraction, body.spec.sums);
  if (failed(started))
    return failure();
  FilterKernel &k = *started;
  if (body.recomputed) {
    ContractionSpec forward = body.spec.contraction;
    forward.kind = ContractionSpec::Kind::Forward;
    FailureOr<RowsKernel> again =
        recomputeKernel(kernel, signature, body,
                        chooseBlockTile(kernel.getContext(), forward,
                                        extentsBehind(k.tile), k.precision));
    if (failed(again))
      return failure();
    k.again = *again;
    k.accumulator = body.recomputed->getResult(0);
    k.printAgainInput = [kernel, &signature, body](CudaEmission &e) {
      printRecomputeSource(e, kernel, signature, body);
    };
  }
  BranchBuffers buffers(kernel, signature);
  k.workspace = buffers.numShared();
  k.branchesDim = signature.numDims;
  k.tupleSize = buffers.tupleSize();
  KernelTensor gradient = buffers.argument(body.gradient);
  k.addExtents(signature.firstDims[buffers.argument(body.input).tensor],
               signature.firstDims[gradient.tensor], gradient.at.sliced);
  for (const BranchBody::Sum &sum : body.sums) {
    k.sums.push_back(sum.vector);
    k.sumBuffers.push_back(buffers.eachResult(sum.yield).at);
  }
  k.results.push_back(
      {body.anchor->getResult(0), buffers.eachResult(body.joined).at});
  k.bufferOf = [buffers](BlockArgument argument) mutable {
    return buffers.argument(argument).at;
  };
  CudaForm form = formOf(k);
  form.numBuffers = k.workspace;
  form.counted = true;
  return form;
}

} // namespace cambium::grow
