//===- ContractionHarness.cpp - Runs contractions and a naive peer --------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ContractionHarness.h"
#include "cambium/Target/LLVM/LowerToLLVM.h"
#include "mlir/IR/Builders.h"
#include "mlir/IR/Verifier.h"
#include "llvm/Support/Error.h"
#include <cmath>
#include <limits>
#include <map>
#include <sstream>
#include <stdexcept>
#include <sys/mman.h>
#include <unistd.h>

using namespace cambium;
using namespace cambium::test;
using Kind = ContractionSpec::Kind;

GuardedFloats::GuardedFloats(size_t count, bool atStart) : count(count) {
  size_t page = sysconf(_SC_PAGESIZE);
  size_t bytes = (count * sizeof(float) + page - 1) / page * page;
  mappedBytes = bytes + 2 * page;
  mapping =
      mmap(nullptr, mappedBytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (mapping == MAP_FAILED)
    throw std::bad_alloc();
  char *usable = static_cast<char *>(mapping) + page;
  if (bytes && mprotect(usable, bytes, PROT_READ | PROT_WRITE))
    throw std::bad_alloc();
  char *start = atStart ? usable : usable + bytes - count * sizeof(float);
  floats = reinterpret_cast<float *>(start);
  std::fill_n(floats, count, std::numeric_limits<float>::quiet_NaN());
}

GuardedFloats::GuardedFloats(GuardedFloats &&other) noexcept
    : mapping(std::exchange(other.mapping, nullptr)),
      mappedBytes(other.mappedBytes), floats(other.floats), count(other.count) {
}

GuardedFloats::~GuardedFloats() {
  if (mapping)
    munmap(mapping, mappedBytes);
}

void Problem::inferOutput() {
  auto output = [](int64_t input, int64_t before, int64_t after, int64_t kernel,
                   int64_t stride, int64_t dilation) {
    return (input + before + after - (kernel - 1) * dilation - 1) / stride + 1;
  };
  extents.outH = output(extents.inH, window.padTop, window.padBottom,
                        window.kernelH, window.strideH, window.dilationH);
  extents.outW = output(extents.inW, window.padLeft, window.padRight,
                        window.kernelW, window.strideW, window.dilationW);
}

ContractionSpec Problem::spec(Kind kind) const {
  ContractionSpec spec = window;
  spec.kind = kind;
  return spec;
}

Problem cambium::test::makeConv(int64_t batch, int64_t size, int64_t inC,
                                int64_t outC, int64_t kernel, int64_t padding) {
  Problem problem;
  problem.window.kernelH = problem.window.kernelW = kernel;
  problem.window.padTop = problem.window.padLeft = padding;
  problem.window.padBottom = problem.window.padRight = padding;
  problem.extents = {batch, size, size, inC, 0, 0, outC};
  problem.inferOutput();
  return problem;
}

Problem cambium::test::makeLinear(int64_t batch, int64_t in, int64_t out) {
  Problem problem;
  problem.window.linear = true;
  problem.extents = {batch, 1, 1, in, 1, 1, out};
  return problem;
}

std::vector<int64_t> Problem::xShape() const {
  if (window.linear)
    return {extents.batch, extents.inC};
  return {extents.batch, extents.inH, extents.inW, extents.inC};
}

std::vector<int64_t> Problem::wShape() const {
  if (window.linear)
    return {extents.inC, extents.outC};
  return {window.kernelH, window.kernelW, extents.inC / window.groups,
          extents.outC};
}

std::vector<int64_t> Problem::yShape() const {
  if (window.linear)
    return {extents.batch, extents.outC};
  return {extents.batch, extents.outH, extents.outW, extents.outC};
}

std::vector<int64_t> Problem::dims(Kind kind) const {
  std::vector<std::vector<int64_t>> shapes;
  if (kind == Kind::Forward)
    shapes = {xShape(), wShape(), yShape()};
  else if (kind == Kind::BackwardData)
    shapes = {yShape(), wShape(), xShape()};
  else
    shapes = {xShape(), yShape(), wShape()};
  std::vector<int64_t> dims;
  for (const auto &shape : shapes)
    dims.insert(dims.end(), shape.begin(), shape.end());
  return dims;
}

std::string Problem::str() const {
  std::ostringstream text;
  text << window.str() << " batch=" << extents.batch << " in=" << extents.inH
       << 'x' << extents.inW << 'x' << extents.inC << " out=" << extents.outH
       << 'x' << extents.outW << 'x' << extents.outC;
  return text.str();
}

int64_t cambium::test::elements(const std::vector<int64_t> &shape) {
  int64_t count = 1;
  for (int64_t extent : shape)
    count *= extent;
  return count;
}

Floats cambium::test::randomFloats(int64_t count, std::mt19937 &random) {
  std::normal_distribution<float> normal;
  Floats values(count);
  for (float &value : values)
    value = normal(random);
  return values;
}

/// Calls `visit(x, w, y)` with the element offsets of each product.
template <typename Visitor>
static void forProducts(const Problem &problem, Visitor visit) {
  const ContractionSpec &s = problem.window;
  ContractionExtents e = problem.extents;
  if (s.linear)
    e.inH = e.inW = e.outH = e.outW = 1;
  int64_t inG = e.inC / s.groups, outG = e.outC / s.groups;
  for (int64_t n = 0; n < e.batch; ++n)
    for (int64_t oh = 0; oh < e.outH; ++oh)
      for (int64_t ow = 0; ow < e.outW; ++ow)
        for (int64_t kh = 0; kh < s.kernelH; ++kh)
          for (int64_t kw = 0; kw < s.kernelW; ++kw) {
            int64_t ih = oh * s.strideH + kh * s.dilationH - s.padTop;
            int64_t iw = ow * s.strideW + kw * s.dilationW - s.padLeft;
            if (ih < 0 || ih >= e.inH || iw < 0 || iw >= e.inW)
              continue;
            int64_t x = ((n * e.inH + ih) * e.inW + iw) * e.inC;
            int64_t y = ((n * e.outH + oh) * e.outW + ow) * e.outC;
            int64_t w = (kh * s.kernelW + kw) * inG * e.outC;
            for (int64_t ci = 0; ci < inG; ++ci)
              for (int64_t co = 0; co < e.outC; ++co)
                visit(x + co / outG * inG + ci, w + ci * e.outC + co, y + co);
          }
}

Doubles cambium::test::naiveContraction(const Problem &problem, Kind kind,
                                        const Floats &lhs, const Floats &rhs) {
  Doubles result;
  auto product = [&](int64_t l, int64_t r) {
    return static_cast<double>(lhs[l]) * rhs[r];
  };
  switch (kind) {
  case Kind::Forward:
    result.resize(elements(problem.yShape()));
    forProducts(problem, [&](int64_t x, int64_t w, int64_t y) {
      result[y] += product(x, w);
    });
    break;
  case Kind::BackwardData:
    result.resize(elements(problem.xShape()));
    forProducts(problem, [&](int64_t x, int64_t w, int64_t y) {
      result[x] += product(y, w);
    });
    break;
  case Kind::BackwardFilter:
    result.resize(elements(problem.wShape()));
    forProducts(problem, [&](int64_t x, int64_t w, int64_t y) {
      result[w] += product(x, y);
    });
    break;
  }
  return result;
}

double cambium::test::relativeError(const float *actual,
                                    const Doubles &expected) {
  double error = 0, norm = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    error += (actual[i] - expected[i]) * (actual[i] - expected[i]);
    norm += expected[i] * expected[i];
  }
  // A result that is all zeros must be exactly that.
  if (norm == 0)
    return error == 0 ? 0 : std::numeric_limits<double>::infinity();
  return std::sqrt(error / norm);
}

Jit &cambium::test::jit() {
  static std::unique_ptr<Jit> jit = llvm::cantFail(Jit::create());
  return *jit;
}

mlir::MLIRContext &cambium::test::context() {
  static mlir::MLIRContext context([] {
    mlir::DialectRegistry registry;
    registerLLVMTargetDialects(registry);
    return registry;
  }());
  static bool loaded = (context.loadAllAvailableDialects(), true);
  (void)loaded;
  return context;
}

mlir::OwningOpRef<mlir::ModuleOp> cambium::test::contractionModule(
    const ContractionSpec &spec, const ContractionSchedule &schedule,
    const ContractionLayout &layout, EpilogueFn epilogue) {
  mlir::OpBuilder builder(&context());
  mlir::Location loc = builder.getUnknownLoc();
  mlir::OwningOpRef<mlir::ModuleOp> module = mlir::ModuleOp::create(loc);
  builder.setInsertionPointToEnd(module->getBody());
  emitContraction(builder, loc, "kernel", spec, schedule, layout, epilogue);
  if (mlir::failed(mlir::verify(*module)))
    throw std::runtime_error("emitted kernel is invalid");
  return module;
}

std::shared_ptr<const CompiledKernel>
cambium::test::compile(Jit &jit, mlir::ModuleOp module) {
  static std::map<std::pair<Isa, std::string>,
                  std::shared_ptr<const CompiledKernel>>
      compiled;
  std::string text;
  llvm::raw_string_ostream stream(text);
  module.print(stream);
  auto &known = compiled[{jit.isa(), text}];
  if (known)
    return known;
  auto kernel = jit.compile(module);
  if (!kernel)
    throw std::runtime_error(llvm::toString(kernel.takeError()));
  known = std::make_shared<const CompiledKernel>(std::move(*kernel));
  return known;
}

ContractionKernel::ContractionKernel(Jit &jit, const ContractionSpec &spec,
                                     const ContractionSchedule &schedule,
                                     EpilogueFn epilogue,
                                     const ContractionLayout *layout)
    : spec(spec), schedule(schedule),
      layout(layout ? *layout : ContractionLayout::plain(spec)),
      code(compile(
          jit, *contractionModule(spec, schedule, this->layout, epilogue))) {}

Floats ContractionKernel::run(const std::vector<int64_t> &dims,
                              const std::vector<Floats> &operands,
                              int64_t resultFloats, TaskOrder order,
                              bool guardStart) {
  LaunchSizes sizes = contractionLaunch(spec, schedule, layout, dims);
  if (sizes.tasks.size() != code->phases().size())
    throw std::logic_error("wrong number of phases");
  std::vector<GuardedFloats> memory;
  for (const Floats &operand : operands) {
    memory.emplace_back(operand.size(), guardStart);
    std::copy(operand.begin(), operand.end(), memory.back().data());
  }
  memory.emplace_back(resultFloats, guardStart);
  memory.emplace_back(sizes.workspaceBytes / sizeof(float), guardStart);
  GuardedFloats scratch(sizes.scratchBytes / sizeof(float), guardStart);
  std::vector<void *> buffers;
  for (GuardedFloats &floats : memory)
    buffers.push_back(floats.data());

  for (auto [phase, count] : llvm::zip(code->phases(), sizes.tasks)) {
    if (order == TaskOrder::AtOnce) {
      phase(buffers.data(), dims.data(), 0, count, scratch.data());
      continue;
    }
    for (int64_t i = 0; i < count; ++i) {
      int64_t task = order == TaskOrder::Backwards ? count - 1 - i : i;
      phase(buffers.data(), dims.data(), task, task + 1, scratch.data());
    }
  }
  const GuardedFloats &result = memory[memory.size() - 2];
  return Floats(result.data(), result.data() + result.size());
}
