//===- EmitBranches.cpp - Contractions of many branches -------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// The hooks of a contraction of many branches come from the body of a
// grow.fused_map: what feeds its contraction, and what its contraction feeds.
//
// A gradient that takes the result of the forward contraction has two phases
// more, which compute that again for the branches of a round and keep it in the
// workspace.
//
//===----------------------------------------------------------------------===//

#include "FilterForm.h"
#include "RowsForm.h"

using namespace mlir;

namespace cambium::grow {

using Kind = ContractionSpec::Kind;
using BranchJoin = BranchSpec::Join;

namespace {

/// A kernel over branches for Forward or BackwardData.
class BranchRows {
public:
  BranchRows(KernelOp kernel, const Signature &signature,
             const BranchBody &body)
      : kernel(kernel), signature(signature), body(body),
        buffers(kernel, signature),
        concat(body.spec.join == BranchJoin::Concat) {}

  LogicalResult describe();
  LaunchSizes sizes(ArrayRef<int64_t> dims) const;
  void print(CudaEmission &e);

private:
  bool data() const { return body.spec.contraction.kind == Kind::BackwardData; }
  bool sourceOfBranch();
  ElementHook hook(StringRef name, StringRef comment);
  void printSourceHook(CudaEmission &e);
  void printEpilogue(CudaEmission &e);
  void printFinishHook(CudaEmission &e);
  void printPerRound(CudaEmission &e);

  KernelOp kernel;
  const Signature &signature;
  const BranchBody body;
  BranchBuffers buffers;
  bool concat;
  RowsKernel rows, again;
};

} // namespace

/// True if the source is another for each branch.
bool BranchRows::sourceOfBranch() {
  if (!data())
    return false;
  FusedMapOp map = body.map;
  auto ofBranch = [&](BlockArgument argument) {
    return argument.getArgNumber() >= map.getInputs().size();
  };
  return body.recomputed ||
         llvm::any_of(body.gradientSlice.tensors, ofBranch) ||
         llvm::any_of(body.gradientSlice.vectors, ofBranch);
}

LogicalResult BranchRows::describe() {
  KernelTensor filter = buffers.argument(body.filter);
  KernelTensor source = buffers.argument(data() ? body.gradient : body.input);
  KernelTensor result = buffers.sharedResult(0, concat);
  FailureOr<RowsKernel> found = rowsKernel(
      kernel, signature, body.spec.contraction,
      {source.tensor, filter.tensor, result.tensor}, kernel.getBlocksAttr());
  if (failed(found))
    return failure();
  rows = *found;
  rows.filter = filter.at;
  rows.workspace = buffers.numShared();
  rows.tupleSize = buffers.tupleSize();
  rows.result = concat ? -1 : result.at.buffer;
  rows.branchesDim = signature.numDims;
  rows.extents.back() = RowsExtent{signature.numDims};
  rows.join = concat                               ? "Apart"
              : body.spec.join == BranchJoin::Mean ? "Mean"
                                                   : "Sum";
  rows.sourceOfBranch = sourceOfBranch();
  rows.source = "RowsSource";
  rows.finish = "RowsFinish";
  if (body.hasEpilogue() || body.linearEpilogue) {
    rows.epilogue = "RowsEpilogue";
    rows.apply = body.linearEpilogue ? "Sum" : "Branch";
  }
  if (!body.recomputed)
    return success();
  FailureOr<RowsKernel> computedAgain =
      recomputeKernel(kernel, signature, body, kernel.getBlocksAttr());
  if (failed(computedAgain))
    return failure();
  again = *computedAgain;
  again.perRound = rows.perRound = "branchesPerRound(args)";
  rows.firstByte = "Again::plan(args).packedBytes() +\n           4 * "
                   "Again::plan(args).keptFloats() * "
                   "branchesPerRound(args)";
  return success();
}

LaunchSizes BranchRows::sizes(ArrayRef<int64_t> dims) const {
  LaunchSizes sizes;
  if (!body.recomputed) {
    rows.addTo(sizes, rows.plan(dims));
    return sizes;
  }
  RowsPlan first = again.plan(dims), second = rows.plan(dims);
  int perRound =
      RowsPlan::branchesIn(again.branchBytes(first) + rows.branchBytes(second),
                           first.extents.branches);
  again.addTo(sizes, again.plan(dims, perRound));
  rows.addTo(sizes, rows.plan(dims, perRound));
  return sizes;
}

//===----------------------------------------------------------------------===//
// Hooks
//===----------------------------------------------------------------------===//

ElementHook BranchRows::hook(StringRef name, StringRef comment) {
  ElementHook hook;
  hook.name = name.str();
  hook.comment = comment.str();
  hook.tupleSize = buffers.tupleSize();
  hook.bufferOf = [this](BlockArgument argument) {
    return argument.getOwner() == signature.body
               ? buffers.outerArgument(argument, concat).at
               : buffers.argument(argument).at;
  };
  return hook;
}

void BranchRows::printSourceHook(CudaEmission &e) {
  Value read = data() ? body.contractedGradient() : body.contractedInput();
  if (auto argument = dyn_cast<BlockArgument>(read))
    return printSource(e, "RowsSource", buffers.argument(argument).at,
                       buffers.tupleSize());
  ElementHook source = hook(body.recomputed ? "Gradient" : "RowsSource",
                            data() ? "The gradient that the contraction reads."
                                   : "What the contraction reads of x.");
  source.returned = {read};
  if (!body.recomputed)
    return emitHook(e, source);
  source.given = {body.recomputed->getResult(0)};
  emitHook(e, source);
  e.text("// The gradient, of the accumulators computed again.\n"
         "struct RowsSource {\n"
         "  template <int N, class Args>\n"
         "  static __device__ __forceinline__ void\n"
         "  apply(const Args &args, const Place &place, Vec<N> &x) {\n"
         "    const Vec<N> accumulator =\n"
         "        loadElements<N>(Again::kept(args, place.branch), place);\n"
         "    Gradient::apply<N>(args, place, accumulator, x);\n"
         "  }\n};\n");
}

void BranchRows::printEpilogue(CudaEmission &e) {
  if (rows.epilogue != "RowsEpilogue")
    return;
  FusedMapOp map = body.map;
  ElementHook epilogue = hook(
      "RowsEpilogue", "What follows the contraction in a branch, to what is "
                      "joined.");
  epilogue.given = {body.anchor->getResult(0)};
  epilogue.returned = {map.getYielded()[body.joined]};
  for (auto [index, yielded] : llvm::enumerate(map.getYielded()))
    if (map.getJoin(index) == Join::Each)
      epilogue.stored.push_back({yielded, buffers.eachResult(index).at});
  emitHook(e, epilogue);
}

void BranchRows::printFinishHook(CudaEmission &e) {
  FusedMapOp map = body.map;
  auto yielded = signature.body->getTerminator()->getOperands();
  int64_t shared = yielded.size() - (map.getJoins().size() - 1);
  Value joined = body.joinedResult();
  if (shared == 1 && yielded[0] == joined)
    return printFinish(e, "RowsFinish", buffers.sharedResult(0, concat).at);
  ElementHook finish =
      hook("RowsFinish", "What follows the join, to its stores.");
  finish.given = {joined};
  for (int64_t index = 0; index < shared; ++index)
    finish.stored.push_back(
        {yielded[index], buffers.sharedResult(index, concat).at});
  emitHook(e, finish);
}

void BranchRows::printPerRound(CudaEmission &e) {
  e.text("// Branches whose filters and accumulators the workspace holds at "
         "a time.\n"
         "template <class Args>\n"
         "__device__ __forceinline__ int branchesPerRound(const Args &args) {\n"
         "  const RowsPlan again(AgainShape::tile(), "
         "AgainShape::extents(args));\n"
         "  const RowsPlan rows(RowsShape::tile(), "
         "RowsShape::extents(args));\n"
         "  return RowsPlan::branchesIn(again.branchBytes + 4 * "
         "again.keptFloats() +\n"
         "                                  rows.branchBytes,\n"
         "                              rows.extents.branches);\n}\n");
}

void BranchRows::print(CudaEmission &e) {
  rows.printShape(e);
  if (body.recomputed) {
    again.printShape(e);
    printPerRound(e);
    printRecomputeSource(e, kernel, signature, body);
    again.printStruct(e);
  }
  printSourceHook(e);
  printEpilogue(e);
  printFinishHook(e);
  rows.printStruct(e);
  if (body.recomputed)
    again.printPhases(e);
  rows.printPhases(e);
}

//===----------------------------------------------------------------------===//
// The form
//===----------------------------------------------------------------------===//

FailureOr<CudaForm> cudaBranchForm(KernelOp kernel,
                                   const Signature &signature) {
  Refusal refusal;
  FailureOr<BranchBody> body = sortBody(kernel.getFusedMap(), refusal);
  if (failed(body))
    return refusal.op->emitOpError(refusal.why);
  if (failed(verifySurroundings(kernel, signature, *body)))
    return failure();
  if (body->spec.contraction.kind == Kind::BackwardFilter)
    return cudaBranchFilterForm(kernel, signature, *body);
  auto rows = std::make_shared<BranchRows>(kernel, signature, *body);
  if (failed(rows->describe()))
    return failure();
  CudaForm form;
  form.numBuffers = BranchBuffers(kernel, signature).numShared();
  form.workspace = true;
  form.counted = true;
  form.sizes = [rows](const HostExtents &extents) {
    return rows->sizes(extents.dims);
  };
  form.emit = [rows](CudaEmission &e) { rows->print(e); };
  return form;
}

} // namespace cambium::grow
