//===- KernelFixture.cpp - Compiles and runs grow.kernel ops --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelFixture.h"
#include "cambium/IR/Grow.h"
#include "cambium/Target/LLVM/LowerToLLVM.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/Error.h"

#include <cmath>
#include <cstring>

using namespace mlir;

namespace cambium::test {

KernelFixture::KernelFixture()
    : handler(&context, [this](Diagnostic &diagnostic) {
        diagnostics += diagnostic.str() + "\n";
      }) {
  DialectRegistry registry;
  registry.insert<grow::GrowDialect, func::FuncDialect>();
  registerLLVMTargetDialects(registry);
  context.appendDialectRegistry(registry);
  context.loadAllAvailableDialects();
}

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

Operand KernelFixture::random(Shape shape, double scale) {
  Operand operand{shape, Floats(elements(shape))};
  std::normal_distribution<float> normal(0.0f, static_cast<float>(scale));
  for (float &value : operand.data)
    value = normal(generator);
  return operand;
}

Operand KernelFixture::coarse(Shape shape) {
  Operand operand = random(std::move(shape));
  for (float &value : operand.data)
    value = std::round(value);
  return operand;
}

Operand KernelFixture::positive(Shape shape) {
  Operand operand = random(std::move(shape));
  for (float &value : operand.data)
    value = 0.1f + value * value;
  return operand;
}

Operand KernelFixture::labels(int64_t count, int64_t classes) {
  Operand operand{{count}, Floats(count), true};
  for (float &label : operand.data)
    label = static_cast<float>(
        std::uniform_int_distribution<int64_t>(0, classes - 1)(generator));
  return operand;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

std::string dynamicType(size_t rank) {
  std::string type = "tensor<";
  for (size_t i = 0; i < rank; ++i)
    type += "?x";
  return type + "f32>";
}

static std::string staticType(const Shape &shape, bool integers = false) {
  std::string type = "tensor<";
  for (int64_t extent : shape)
    type += std::to_string(extent) + "x";
  return type + (integers ? "i32>" : "f32>");
}

static std::string join(const std::vector<std::string> &parts) {
  std::string text;
  for (const std::string &part : parts)
    text += (text.empty() ? "" : ", ") + part;
  return text;
}

std::string singleKernel(const std::string &op,
                         const std::vector<std::string> &operandTypes,
                         const std::vector<std::string> &resultTypes) {
  std::vector<std::string> arguments, results;
  for (size_t i = 0; i < operandTypes.size(); ++i)
    arguments.push_back("%" + std::to_string(i) + ": " + operandTypes[i]);
  for (size_t i = 0; i < resultTypes.size(); ++i)
    results.push_back("%r" + std::to_string(i));
  return "grow.kernel @k {\n^bb0(" + join(arguments) + "):\n  " +
         join(results) + " = " + op + " : (" + join(operandTypes) + ") -> (" +
         join(resultTypes) + ")\n  grow.yield " + join(results) + " : " +
         join(resultTypes) + "\n}\n";
}

/// A function `@f` that launches `@k` on tensors of static shape.
static std::string launchText(const std::vector<Operand> &operands,
                              const std::vector<Shape> &results) {
  std::vector<std::string> arguments, names, types, resultTypes, resultNames;
  for (const Operand &operand : operands) {
    names.push_back("%a" + std::to_string(names.size()));
    types.push_back(staticType(operand.shape, operand.integers));
    arguments.push_back(names.back() + ": " + types.back());
  }
  for (const Shape &shape : results) {
    resultNames.push_back("%r" + std::to_string(resultNames.size()));
    resultTypes.push_back(staticType(shape));
  }
  std::string signature =
      "(" + join(types) + ") -> (" + join(resultTypes) + ")";
  return "func.func @f(" + join(arguments) + ") -> (" + join(resultTypes) +
         ") {\n  " + join(resultNames) + " = grow.launch @k(" + join(names) +
         ") : " + signature + "\n  return " + join(resultNames) + " : " +
         join(resultTypes) + "\n}\n";
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

grow::KernelOp KernelFixture::parse(const std::string &text) {
  diagnostics.clear();
  module = parseSourceString<ModuleOp>(text, &context);
  if (!module) {
    ADD_FAILURE() << diagnostics << text;
    return {};
  }
  return *module->getOps<grow::KernelOp>().begin();
}

const CompiledKernel &KernelFixture::compile(const std::string &text,
                                             grow::KernelOp kernel, Isa isa) {
  auto known = compiled.find({text, isa});
  if (known != compiled.end())
    return known->second;
  auto jit = llvm::cantFail(Jit::create(isa));
  OwningOpRef<ModuleOp> code(ModuleOp::create(kernel.getLoc()));
  bool emitted =
      succeeded(grow::emitKernel(kernel, vectorWidth(jit->isa()), *code));
  EXPECT_TRUE(emitted && succeeded(verify(*code))) << diagnostics;
  std::pair key(text, isa);
  return compiled.emplace(key, llvm::cantFail(jit->compile(*code)))
      .first->second;
}

std::vector<Isa> KernelFixture::isas() {
  std::vector<Isa> isas = {Isa::Generic};
  if (detectIsa() != Isa::Generic)
    isas.push_back(Isa::AVX2);
  if (detectIsa() == Isa::AVX512)
    isas.push_back(Isa::AVX512);
  return isas;
}

void runPhases(const CompiledKernel &kernel, const LaunchSizes &sizes,
               std::vector<void *> buffers, const std::vector<int64_t> &dims,
               TaskOrder order) {
  GuardedFloats workspace(sizes.workspaceBytes / sizeof(float), false);
  if (sizes.workspaceBytes)
    buffers.push_back(workspace.data());
  ASSERT_EQ(kernel.phases().size(), sizes.tasks.size());
  for (size_t phase = 0; phase < sizes.tasks.size(); ++phase) {
    PhaseFunction function = kernel.phases()[phase];
    int64_t tasks = sizes.tasks[phase];
    auto runTasks = [&](int64_t begin, int64_t end) {
      GuardedFloats scratch((sizes.scratchBytes + 63) / 64 * 16, false);
      function(buffers.data(), dims.data(), begin, end, scratch.data());
    };
    if (order == TaskOrder::AtOnce)
      runTasks(0, tasks);
    for (int64_t i = 0; i < tasks && order != TaskOrder::AtOnce; ++i) {
      int64_t task = order == TaskOrder::OneByOne ? i : tasks - 1 - i;
      runTasks(task, task + 1);
    }
  }
}

static GuardedFloats guarded(const Operand &operand) {
  GuardedFloats memory(operand.data.size(), false);
  for (size_t i = 0; i < operand.data.size(); ++i) {
    auto label = static_cast<int32_t>(operand.integers ? operand.data[i] : 0);
    if (operand.integers)
      std::memcpy(&memory[i], &label, sizeof label);
    else
      memory[i] = operand.data[i];
  }
  return memory;
}

std::vector<Floats> KernelFixture::run(const std::string &text, Isa isa,
                                       const std::vector<Operand> &operands,
                                       const std::vector<Shape> &results) {
  grow::KernelOp kernel = parse(text);
  if (!kernel)
    return {};
  const CompiledKernel &code = compile(text, kernel, isa);
  std::vector<int64_t> dims;
  for (const Operand &operand : operands)
    dims.insert(dims.end(), operand.shape.begin(), operand.shape.end());
  for (const Shape &shape : results)
    dims.insert(dims.end(), shape.begin(), shape.end());
  FailureOr<LaunchSizes> sizes = grow::launchSizes(kernel, dims);
  EXPECT_TRUE(succeeded(sizes)) << diagnostics;

  std::vector<Floats> first;
  for (TaskOrder order :
       {TaskOrder::AtOnce, TaskOrder::OneByOne, TaskOrder::Backwards}) {
    std::vector<GuardedFloats> memory;
    for (const Operand &operand : operands)
      memory.push_back(guarded(operand));
    for (const Shape &shape : results)
      memory.emplace_back(elements(shape), false);
    std::vector<void *> buffers;
    for (GuardedFloats &floats : memory)
      buffers.push_back(floats.data());
    runPhases(code, *sizes, buffers, dims, order);
    std::vector<Floats> values;
    for (size_t i = operands.size(); i < memory.size(); ++i)
      values.emplace_back(memory[i].data(),
                          memory[i].data() + memory[i].size());
    if (first.empty())
      first = values;
    for (size_t i = 0; i < values.size(); ++i)
      EXPECT_EQ(std::memcmp(values[i].data(), first[i].data(),
                            values[i].size() * sizeof(float)),
                0)
          << "result " << i << " depends on the order of tasks\n"
          << text;
  }
  return first;
}

std::vector<Doubles>
KernelFixture::reference(const std::string &kernel,
                         const std::vector<Operand> &operands,
                         const std::vector<Shape> &results) {
  std::string text = kernel + launchText(operands, results);
  if (!parse(text))
    return {};
  auto interpreter = ReferenceInterpreter::create(*module);
  SmallVector<ReferenceTensor> inputs;
  for (const Operand &operand : operands)
    inputs.push_back(
        ReferenceTensor(ArrayRef(operand.shape),
                        Doubles(operand.data.begin(), operand.data.end())));
  auto outputs = interpreter->call("f", inputs);
  if (failed(outputs)) {
    ADD_FAILURE() << diagnostics << text;
    return {};
  }
  std::vector<Doubles> values;
  for (ReferenceTensor &output : *outputs)
    values.push_back(output.data);
  return values;
}

void KernelFixture::check(const std::string &kernel,
                          const std::vector<Operand> &operands,
                          const std::vector<Shape> &results, double tolerance) {
  std::vector<Doubles> expected = reference(kernel, operands, results);
  ASSERT_EQ(expected.size(), results.size());
  for (Isa isa : isas()) {
    std::vector<Floats> actual = run(kernel, isa, operands, results);
    ASSERT_EQ(actual.size(), results.size());
    for (size_t i = 0; i < results.size(); ++i)
      EXPECT_LE(relativeError(actual[i].data(), expected[i]), tolerance)
          << "result " << i << " for " << isaName(isa) << "\n"
          << launchText(operands, results) << kernel;
  }
}

} // namespace cambium::test
