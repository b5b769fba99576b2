//===- CudaEmitter.cpp - From grow.kernel to CUDA C++ ---------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Target/CUDA/CudaEmitter.h"
#include "CudaEmission.h"
#include "ScalarCode.h"
#include "cambium/Target/Common/KernelForms.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/EmitC/IR/EmitC.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Target/Cpp/CppEmitter.h"
#include "llvm/ADT/StringExtras.h"

#include <limits>

using namespace mlir;

namespace cambium::grow {

static FailureOr<CudaForm> findForm(KernelOp kernel,
                                    const Signature &signature) {
  static const KernelForms<CudaForm> forms = {cudaBranchForm,
                                              cudaContractionForm,
                                              cudaElementwiseForm,
                                              cudaOptimizerForm,
                                              {cudaReductionForm,
                                               cudaPoolingForm, cudaLossForm,
                                               cudaShapeForm, cudaComposeForm},
                                              "CUDA"};
  return forms.find(kernel, signature);
}

std::string cudaKernelName(KernelOp kernel) {
  std::string name;
  for (char c : kernel.getSymName())
    name += llvm::isAlnum(c) ? c : '_';
  if (llvm::isDigit(name.front()))
    name.insert(0, "_");
  return name;
}

CudaEmission::CudaEmission(OpBuilder &builder, KernelOp kernel,
                           const Signature &signature, int64_t numBuffers,
                           int64_t numDims)
    : builder(builder), kernel(kernel), signature(signature),
      numBuffers(numBuffers), numDims(numDims),
      kernelName(cudaKernelName(kernel)) {}

void CudaEmission::include(StringRef header) {
  std::string name = ("cambium/" + header).str();
  Operation *scope = builder.getInsertionBlock()->getParentOp();
  Block *block = cast<ModuleOp>(scope->getParentOp()).getBody();
  OpBuilder::InsertionGuard guard(builder);
  builder.setInsertionPointToStart(block);
  for (auto include : block->getOps<emitc::IncludeOp>()) {
    if (include.getInclude() == name)
      return;
    builder.setInsertionPointAfter(include);
  }
  emitc::IncludeOp::create(builder, kernel.getLoc(), name, false);
}

void CudaEmission::text(const Twine &lines) {
  emitc::VerbatimOp::create(builder, kernel.getLoc(), lines.str());
}

void CudaEmission::phase(const Twine &comment, int threads, const Twine &body,
                         int minBlocks) {
  std::string commentText = comment.str(), bodyText = body.str();
  std::string lines = "\n";
  for (StringRef line : llvm::split(commentText, '\n'))
    lines += ("// " + line).str() + "\n";
  std::string head = (kernelName + "_phase" + Twine(numPhases++) +
                      "(const __grid_constant__ Arguments<" +
                      Twine(std::max<int64_t>(numBuffers, 1)) + ", " +
                      Twine(std::max<int64_t>(numDims, 1)) + "> args,")
                         .str();
  std::string last = "const int firstTask) {\n";
  constexpr size_t maxLine = 80;
  bool fits = head.size() + 1 + last.size() <= maxLine + 1;
  lines += "extern \"C\" __global__ void __launch_bounds__(" +
           std::to_string(threads) +
           (minBlocks ? ", " + std::to_string(minBlocks) : "") + ")\n" + head +
           (fits ? " " : "\n    ") + last;
  if (StringRef(bodyText).contains("task"))
    lines += "  const int task = firstTask + static_cast<int>(blockIdx.x);\n";
  for (StringRef line : llvm::split(bodyText, '\n'))
    lines += ("  " + line).str() + "\n";
  text(lines + "}");
}

/// What the kernel computes, in the words of the IR, and which of its tensors
/// each buffer is.
static std::string headComment(KernelOp kernel, const CudaForm &form) {
  std::string ir, text;
  llvm::raw_string_ostream os(ir);
  kernel->print(os, OpPrintingFlags().useLocalScope());
  for (StringRef line : llvm::split(StringRef(ir).rtrim(), '\n'))
    text += ("// " + line).str() + "\n";
  int64_t operands = kernel.getBody().getNumArguments();
  int64_t results = kernel.getBody().front().getTerminator()->getNumOperands();
  int64_t ownOperands = 0, ownResults = 0;
  if (FusedMapOp map = kernel.getFusedMap()) {
    ownOperands = map.getTupleSize();
    ownResults = kernel.getNumEach();
  } else if (form.numBuffers >= 0) {
    return text;
  }
  int64_t buffer = 0;
  auto name = [&](const Twine &tensor) {
    text += (buffer == 0 ? " " : ", ") + std::to_string(buffer) + " " +
            tensor.str();
    ++buffer;
  };
  text += "//\n// Buffers:";
  for (int64_t i = 0; i < operands - ownOperands; ++i)
    name("%arg" + Twine(i));
  for (int64_t i = 0; i < results - ownResults; ++i)
    name("result " + Twine(i));
  if (form.workspace)
    name("the workspace");
  text += ".\n";
  if (ownOperands + ownResults == 0)
    return text;
  buffer = 0;
  text += "// Buffers of a branch:";
  for (int64_t i = operands - ownOperands; i < operands; ++i)
    name("%arg" + Twine(i));
  for (int64_t i = results - ownResults; i < results; ++i)
    name("result " + Twine(i));
  return text + ".\n";
}

LogicalResult emitCudaKernel(KernelOp kernel, ModuleOp into) {
  Signature signature(kernel);
  FailureOr<CudaForm> form = findForm(kernel, signature);
  if (failed(form))
    return failure();
  into.getContext()
      ->loadDialect<arith::ArithDialect, emitc::EmitCDialect,
                    math::MathDialect>();
  // Kernels have a module each, as their names are their own.
  OpBuilder builder = OpBuilder::atBlockEnd(into.getBody());
  auto scope = ModuleOp::create(builder, kernel.getLoc());
  builder.setInsertionPointToEnd(scope.getBody());
  int64_t buffers =
      form->numBuffers >= 0 ? form->numBuffers : signature.numBuffers();
  CudaEmission emission(builder, kernel, signature, buffers + form->workspace,
                        signature.numDims + form->counted);
  emission.include("Base.cuh");
  std::string space = (emission.name() + "_kernel").str();
  emission.text("\n" + headComment(kernel, *form) + "namespace " + space +
                " {\n\nusing namespace cambium;\n");
  form->emit(emission);
  emission.text("\n} // namespace " + space);
  return success();
}

FailureOr<std::string> cudaSource(KernelOp kernel) {
  OwningOpRef<ModuleOp> module(ModuleOp::create(kernel.getLoc()));
  if (failed(emitCudaKernel(kernel, *module)))
    return failure();
  std::string source;
  llvm::raw_string_ostream stream(source);
  if (failed(printCuda(*module, stream)))
    return failure();
  return source;
}

static LogicalResult printAll(ModuleOp module, raw_ostream &os) {
  for (Operation &op : *module.getBody()) {
    LogicalResult printed = success();
    if (auto scope = dyn_cast<ModuleOp>(op))
      printed = printAll(scope, os);
    else if (auto function = dyn_cast<emitc::FuncOp>(op))
      printed = printFunction(function, os);
    else
      printed = emitc::translateToCpp(&op, os);
    if (failed(printed))
      return failure();
  }
  return success();
}

LogicalResult printCuda(ModuleOp module, raw_ostream &os) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (failed(printAll(module, stream)))
    return failure();
  // Pieces begin and end with an empty line as they like; one is enough.
  unsigned newlines = 0;
  for (char c : text) {
    newlines = c == '\n' ? newlines + 1 : 0;
    if (newlines <= 2)
      os << c;
  }
  return success();
}

FailureOr<LaunchSizes> cudaLaunchSizes(KernelOp kernel,
                                       ArrayRef<int64_t> dims) {
  Signature signature(kernel);
  FailureOr<CudaForm> form = findForm(kernel, signature);
  if (failed(form))
    return failure();
  size_t expected = signature.numDims + form->counted;
  if (dims.size() != expected)
    return kernel.emitOpError()
           << "takes " << expected << " extents, not " << dims.size();
  constexpr int64_t most = std::numeric_limits<int32_t>::max();
  for (int64_t extent : dims)
    if (extent > most)
      return kernel.emitOpError() << "has an extent of " << extent
                                  << "; CUDA kernels take at most " << most;
  LaunchSizes sizes = form->sizes(HostExtents(signature, dims));
  assert(sizes.blocks.size() == sizes.tasks.size() && "each phase has a block");
  // The kernel's arguments have a place for it, whatever the extents.
  if (form->workspace)
    sizes.workspaceBytes = std::max<int64_t>(sizes.workspaceBytes, 1);
  for (int64_t tasks : sizes.tasks)
    if (tasks > most / std::max<int64_t>(sizes.rounds, 1))
      return kernel.emitOpError()
             << "needs " << tasks << " thread blocks, more than a grid has; "
             << "make the batch or the layer smaller";
  return sizes;
}

} // namespace cambium::grow
