//===- ConvolutionChooser.cpp - cuDNN or a generated kernel ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/API/ConvolutionChooser.h"

#include "cambium/Error.h"
#include "cambium/Runtime/CudaDevice.h"
#include "cambium/Target/CUDA/CudaEmitter.h"
#include "cambium/Target/Common/KernelBody.h"

#include "llvm/Support/MathExtras.h"

#include <mutex>
#include <new>

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

using Kind = ContractionSpec::Kind;

/// Plans that are measured, and plans that are looked at for one that takes no
/// more than kMostWorkspace.
static constexpr size_t kMeasured = 3, kConsidered = 16;
/// A plan may not take much of a device's memory for itself.
static constexpr int64_t kMostWorkspace = int64_t(512) << 20;

static int64_t aligned(int64_t bytes) {
  return llvm::alignTo(bytes, bufferAlignment(TargetKind::Cuda));
}

static int64_t bytesOf(ArrayRef<int64_t> shape) {
  int64_t bytes = sizeof(float);
  for (int64_t extent : shape)
    bytes *= extent;
  return bytes;
}

int64_t ConvolutionChooser::Choice::filterBytes() const {
  return aligned(bytesOf({filterRows, filterColumns}));
}

int64_t ConvolutionChooser::Choice::workspaceBytes() const {
  return filterBytes() + plan.workspaceBytes();
}

//===----------------------------------------------------------------------===//
// Kernels that are one contraction
//===----------------------------------------------------------------------===//

/// A launch of a kernel of nothing but a contraction.
struct ConvolutionChooser::Candidate {
  LibraryConvolution convolution;
  /// Of the two tensors that it reads and the one that it writes.
  ArrayRef<int64_t> lhs, rhs, result;
  LaunchSizes sizes;
  std::shared_ptr<const KernelCode> code;

  /// Ours, as a matrix.
  int64_t filterColumns() const { return convolution.extents.outC; }
  int64_t filterRows() const {
    const ContractionSpec &spec = convolution.spec;
    return spec.kernelH * spec.kernelW * convolution.extents.inC / spec.groups;
  }
  std::string key() const;
};

std::string ConvolutionChooser::Candidate::key() const {
  const ContractionExtents &e = convolution.extents;
  std::string key =
      convolution.spec.str() + " " + precisionName(convolution.precision);
  for (int64_t extent : {e.batch, e.inH, e.inW, e.inC, e.outH, e.outW, e.outC})
    key += " " + std::to_string(extent);
  return key;
}

/// The contraction that a kernel is made of alone, on its arguments in order.
static Operation *onlyContraction(KernelOp kernel) {
  mlir::Block &body = kernel.getBody().front();
  if (!llvm::hasNItems(body, 2) || !isContraction(&body.front()) ||
      !llvm::equal(body.front().getOperands(), body.getArguments()) ||
      !llvm::equal(body.getTerminator()->getOperands(),
                   body.front().getResults()))
    return nullptr;
  return &body.front();
}

static ContractionExtents extentsOf(const ContractionSpec &spec,
                                    ArrayRef<int64_t> lhs,
                                    ArrayRef<int64_t> rhs,
                                    ArrayRef<int64_t> result) {
  ArrayRef<int64_t> x = spec.kind == Kind::BackwardData ? result : lhs;
  ArrayRef<int64_t> y = spec.kind == Kind::Forward        ? result
                        : spec.kind == Kind::BackwardData ? lhs
                                                          : rhs;
  ContractionExtents extents;
  extents.batch = x[0];
  extents.inC = x.back();
  extents.outC = y.back();
  if (spec.linear)
    return extents;
  extents.inH = x[1];
  extents.inW = x[2];
  extents.outH = y[1];
  extents.outW = y[2];
  return extents;
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

static Slot inside(Slot slot, int64_t offset) {
  slot.place += offset;
  return slot;
}

void ConvolutionChooser::append(BoundPlan &bound, const Choice &choice,
                                const Launch &replaced) const {
  Slot lhs = replaced.buffers[0], rhs = replaced.buffers[1],
       result = replaced.buffers[2], filter = replaced.buffers[3];
  auto addTranspose = [&](Slot from, Slot to, int64_t rows, int64_t columns) {
    auto known = llvm::find(bound.kernels, transpose);
    Launch launch;
    launch.kernel = known - bound.kernels.begin();
    if (known == bound.kernels.end()) {
      bound.plan.kernels.push_back("cudnn.transpose");
      bound.kernels.push_back(transpose);
    }
    launch.buffers = {from, to};
    launch.sharedBuffers = 2;
    launch.dims = {rows, columns};
    launch.sizes = transposeSizes(rows, columns);
    bound.plan.launches.push_back(std::move(launch));
  };
  bool makesFilter = choice.kind == Kind::BackwardFilter;
  if (!makesFilter)
    addTranspose(rhs, filter, choice.filterRows, choice.filterColumns);
  Launch launch = replaced;
  launch.convolution = bound.convolutions.size();
  launch.buffers = {lhs, makesFilter ? rhs : filter,
                    makesFilter ? filter : result,
                    inside(filter, choice.filterBytes())};
  bound.convolutions.push_back(choice.plan);
  bound.plan.launches.push_back(std::move(launch));
  if (makesFilter)
    addTranspose(filter, result, choice.filterColumns, choice.filterRows);
}

//===----------------------------------------------------------------------===//
// Choices
//===----------------------------------------------------------------------===//

ConvolutionChooser::ConvolutionChooser(CudaKernelCache &cache,
                                       ConvLibrary wanted)
    : cache(cache), wanted(wanted) {
  try {
    library = cache.getDevice().convolutions();
  } catch (const Error &error) {
    if (wanted == ConvLibrary::Cudnn)
      throw Error(std::string(error.what()) +
                  "; or let generated kernels compute convolutions, by "
                  "conv-library=generated or auto");
    missing = error.what();
    return;
  }
  transpose = cache.compile(transposeSource(), "transpose");
}

std::optional<ConvolutionChooser::Choice>
ConvolutionChooser::find(const Candidate &candidate) const {
  for (LibraryPlan &plan : library->plans(candidate.convolution, kConsidered))
    if (plan.workspaceBytes() <= kMostWorkspace)
      return Choice{std::move(plan), candidate.convolution.spec.kind,
                    candidate.filterRows(), candidate.filterColumns()};
  return std::nullopt;
}

/// Whichever of cuDNN's plans and the kernel takes the least time; none for the
/// kernel.
std::optional<ConvolutionChooser::Choice>
ConvolutionChooser::fastest(const Candidate &candidate) const {
  // Once for the process: what is measured again may come out otherwise.
  static std::mutex lock;
  static std::map<std::string, std::optional<size_t>> known;
  std::lock_guard<std::mutex> hold(lock);
  cuda::Device &device = cache.getDevice();
  std::string key = device.name() + " " + candidate.key();
  std::vector<LibraryPlan> plans =
      library->plans(candidate.convolution, kMeasured);
  auto choice = [&](size_t number) {
    return Choice{plans[number], candidate.convolution.spec.kind,
                  candidate.filterRows(), candidate.filterColumns()};
  };
  auto found = known.find(key);
  if (found == known.end()) {
    BoundPlan bound;
    bound.plan.kernels = {"kernel"};
    bound.kernels = {candidate.code};
    Launch launch;
    int64_t end = 0;
    for (ArrayRef<int64_t> shape :
         {candidate.lhs, candidate.rhs, candidate.result}) {
      launch.buffers.push_back({Slot::Space::Arena, end});
      end += aligned(bytesOf(shape));
      launch.dims.insert(launch.dims.end(), shape.begin(), shape.end());
    }
    launch.buffers.push_back({Slot::Space::Arena, end});
    launch.sharedBuffers = launch.buffers.size();
    launch.sizes = candidate.sizes;
    auto timeOf = [&](const Choice *choice) {
      BoundPlan measured = bound;
      int64_t workspace =
          choice ? choice->workspaceBytes() : candidate.sizes.workspaceBytes;
      measured.plan.arenaBytes = end + aligned(workspace);
      if (choice) {
        append(measured, *choice, launch);
      } else {
        measured.plan.launches = {launch};
        if (workspace == 0) {
          measured.plan.launches[0].buffers.pop_back();
          --measured.plan.launches[0].sharedBuffers;
        }
      }
      return device.time(measured);
    };
    std::optional<size_t> best;
    double least = timeOf(nullptr);
    for (size_t i = 0; i < plans.size(); ++i) {
      Choice tried = choice(i);
      if (tried.plan.workspaceBytes() > kMostWorkspace)
        continue;
      double time = timeOf(&tried);
      if (time >= least)
        continue;
      least = time;
      best = i;
    }
    found = known.emplace(key, best).first;
  }
  if (!found->second || *found->second >= plans.size())
    return std::nullopt;
  return choice(*found->second);
}

const ConvolutionChooser::Choice *
ConvolutionChooser::choose(KernelOp kernel, const MemoryPlan::Launch &launch,
                           const std::shared_ptr<const KernelCode> &code) {
  Operation *op = onlyContraction(kernel);
  if (!op || !library)
    return nullptr;
  Candidate candidate;
  candidate.convolution.spec = *contractionSpec(op);
  candidate.convolution.precision = kernel.getBlocksAttr().getPrecision();
  if (candidate.convolution.precision == Precision::Bf16)
    return nullptr;
  ArrayRef<int64_t> dims = launch.dims;
  size_t rank = dims.size() / 3;
  candidate.lhs = dims.take_front(rank);
  candidate.rhs = dims.slice(rank, rank);
  candidate.result = dims.take_back(rank);
  candidate.convolution.extents =
      extentsOf(candidate.convolution.spec, candidate.lhs, candidate.rhs,
                candidate.result);
  candidate.sizes = launch.sizes;
  candidate.code = code;
  auto [known, isNew] = choices.try_emplace(candidate.key());
  if (!isNew)
    return known->second ? &*known->second : nullptr;
  std::string refused = "it proposes no plan that is reproducible and as "
                        "exact as the precision asks for";
  try {
    known->second =
        wanted == ConvLibrary::Auto ? fastest(candidate) : find(candidate);
  } catch (const std::bad_alloc &) {
    // Whether the device's memory is enough, the step itself will tell.
    choices.erase(known);
    return nullptr;
  } catch (const Error &error) {
    refused = error.what();
  }
  if (known->second)
    return &*known->second;
  if (wanted == ConvLibrary::Cudnn)
    LaunchOp(launch.op).emitRemark("cuDNN does not compute this convolution, a "
                                   "generated kernel does: ")
        << refused;
  return nullptr;
}

std::string ConvolutionChooser::description() const {
  if (!library)
    return "generated kernels: " + missing;
  int64_t version = library->version(), used = 0;
  for (const auto &[key, choice] : choices)
    used += choice.has_value();
  return "cuDNN " + std::to_string(version / 10000) + "." +
         std::to_string(version / 100 % 100) + "." +
         std::to_string(version % 100) + " for " + std::to_string(used) +
         " of " + std::to_string(choices.size()) + " convolutions";
}
