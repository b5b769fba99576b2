//===- BranchFixture.cpp - Compiles and runs kernels over branches --------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchFixture.h"

#include <cstring>

using namespace mlir;

namespace cambium::test {

//===----------------------------------------------------------------------===//
// Operands
//===----------------------------------------------------------------------===//

BranchTensor BranchFixture::random(Shape shape, double scale) {
  Operand operand = KernelFixture::random(std::move(shape), scale);
  return {operand.shape, operand.data};
}

BranchTensor BranchFixture::integers(Shape shape) {
  Operand operand = coarse(std::move(shape));
  return {operand.shape, operand.data};
}

BranchTensor BranchFixture::bits(Shape shape) {
  BranchTensor tensor = random(std::move(shape));
  for (float &value : tensor.data)
    value = value > 0.0f ? 1.0f : 0.0f;
  tensor.bits = true;
  return tensor;
}

//===----------------------------------------------------------------------===//
// Text
//===----------------------------------------------------------------------===//

std::string BranchFixture::expand(std::string text,
                                  const std::string &schedule) {
  const std::pair<const char *, std::string> names[] = {
      {"$S", "schedule <" + schedule + ">"},
      {"$I", "tensor<?x?x?x?xf32>"},
      {"$K", "tensor<3x3x?x?xf32>"},
      {"$P", "tensor<1x1x?x?xf32>"},
      {"$B", "tensor<?x?x?x?xi1>"},
      {"$M", "tensor<?x?xf32>"},
      {"$C", "tensor<?x?xi1>"},
      {"$V", "tensor<?xf32>"}};
  for (const auto &[name, type] : names)
    for (size_t at = text.find(name); at != std::string::npos;
         at = text.find(name, at))
      text.replace(at, std::strlen(name), type);
  return text;
}

std::vector<std::string> BranchFixture::directSchedules() {
  return {"width = 8, vectors = 2, tile = 4, tail_tile = 2",
          "width = 16, vectors = 1, tile = 3, tail_tile = 1"};
}

std::vector<std::string> BranchFixture::allSchedules() {
  std::vector<std::string> schedules = directSchedules();
  schedules.push_back(
      "width = 8, vectors = 2, tile = 4, tail_tile = 2, winograd = 4");
  return schedules;
}

static std::string typeText(const Shape &shape, bool bits) {
  std::string type = "tensor<";
  for (int64_t extent : shape)
    type += std::to_string(extent) + "x";
  return type + (bits ? "i1>" : "f32>");
}

/// A function `@f` that launches `@k` on tensors of static shape.
static std::string launchText(const BranchLaunch &launch) {
  std::string arguments, names, types, results;
  auto append = [](std::string &list, const std::string &item) {
    list += (list.empty() ? "" : ", ") + item;
  };
  int64_t count = 0;
  auto operand = [&](const BranchTensor &tensor) {
    std::string name = "%a" + std::to_string(count++);
    std::string type = typeText(tensor.shape, tensor.bits);
    append(names, name);
    append(types, type);
    append(arguments, name + ": " + type);
  };
  for (const BranchTensor &tensor : launch.shared)
    operand(tensor);
  for (const auto &tuple : launch.tuples)
    for (const BranchTensor &tensor : tuple)
      operand(tensor);
  int64_t numResults = 0;
  auto result = [&](const BranchResult &tensor) {
    append(results, typeText(tensor.shape, tensor.bits));
    ++numResults;
  };
  for (const BranchResult &tensor : launch.results)
    result(tensor);
  for (int64_t branch = 0; branch < launch.branches(); ++branch)
    for (const BranchResult &tensor : launch.each)
      result(tensor);
  std::string values;
  for (int64_t i = 0; i < numResults; ++i)
    append(values, "%r#" + std::to_string(i));
  if (numResults == 1)
    values = "%r";
  std::string left =
      numResults == 1 ? "%r" : "%r:" + std::to_string(numResults);
  return "func.func @f(" + arguments + ") -> (" + results + ") {\n  " + left +
         " = grow.launch @k(" + names + ") branches " +
         std::to_string(launch.branches()) + " : (" + types + ") -> (" +
         results + ")\n  return " + values + " : " + results + "\n}\n";
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

namespace {

/// A tensor in guarded memory: its last byte, or its first, is the last before
/// a page that cannot be touched.
class TensorMemory {
public:
  TensorMemory(const Shape &shape, bool bits, bool atStart)
      : shape(shape), bits(bits),
        bytes(bits ? pixels() * pixelBytes() : elements(shape) * 4),
        floats((bytes + 3) / 4, atStart),
        begin(reinterpret_cast<uint8_t *>(floats.data()) +
              (atStart ? 0 : (bytes + 3) / 4 * 4 - bytes)) {}

  void *data() { return begin; }

  void write(const Floats &values) {
    if (!bits) {
      std::memcpy(begin, values.data(), bytes);
      return;
    }
    std::memset(begin, 0, bytes);
    for (int64_t i = 0; i < static_cast<int64_t>(values.size()); ++i)
      if (values[i] != 0.0f)
        begin[i / channels() * pixelBytes() + i % channels() / 8] |=
            1 << (i % channels() % 8);
  }

  BranchTensor read() const {
    BranchTensor tensor{shape, Floats(elements(shape)), bits};
    if (!bits) {
      std::memcpy(tensor.data.data(), begin, bytes);
      return tensor;
    }
    for (int64_t pixel = 0; pixel < pixels(); ++pixel)
      for (int64_t bit = 0; bit < pixelBytes() * 8; ++bit) {
        bool set = begin[pixel * pixelBytes() + bit / 8] >> (bit % 8) & 1;
        if (bit < channels())
          tensor.data[pixel * channels() + bit] = set;
        else
          EXPECT_FALSE(set) << "bit " << bit << " of pixel " << pixel;
      }
    return tensor;
  }

private:
  int64_t channels() const { return shape.back(); }
  int64_t pixels() const { return elements(shape) / channels(); }
  int64_t pixelBytes() const { return (channels() + 7) / 8; }

  Shape shape;
  bool bits;
  int64_t bytes;
  GuardedFloats floats;
  uint8_t *begin;
};

/// The buffers of a launch in the kernel's order.
struct LaunchMemory {
  LaunchMemory(const BranchLaunch &launch, int64_t workspaceBytes, bool atStart)
      : workspace(workspaceBytes / 4, false) {
    auto result = [&](const BranchResult &tensor) {
      results.push_back(tensors.size());
      tensors.emplace_back(tensor.shape, tensor.bits, atStart);
    };
    auto operand = [&](const BranchTensor &tensor) {
      tensors.emplace_back(tensor.shape, tensor.bits, atStart);
      tensors.back().write(tensor.data);
    };
    llvm::for_each(launch.shared, operand);
    llvm::for_each(launch.results, result);
    size_t shared = tensors.size();
    for (const auto &tuple : launch.tuples) {
      llvm::for_each(tuple, operand);
      llvm::for_each(launch.each, result);
    }
    for (TensorMemory &tensor : tensors)
      buffers.push_back(tensor.data());
    buffers.insert(buffers.begin() + shared, workspace.data());
  }

  std::vector<TensorMemory> tensors;
  std::vector<size_t> results;
  GuardedFloats workspace;
  std::vector<void *> buffers;
};

void runRounds(const CompiledKernel &code, const LaunchSizes &sizes,
               std::vector<void *> &buffers, const std::vector<int64_t> &dims,
               TaskOrder order) {
  ASSERT_EQ(code.phases().size(), sizes.tasks.size());
  for (int64_t round = 0; round < sizes.rounds; ++round)
    for (size_t phase = 0; phase < sizes.tasks.size(); ++phase) {
      int64_t tasks = sizes.tasks[phase], first = round * tasks;
      auto runTasks = [&](int64_t begin, int64_t end) {
        GuardedFloats scratch((sizes.scratchBytes + 63) / 64 * 16, false);
        code.phases()[phase](buffers.data(), dims.data(), first + begin,
                             first + end, scratch.data());
      };
      if (order == TaskOrder::AtOnce)
        runTasks(0, tasks);
      for (int64_t i = 0; i < tasks && order != TaskOrder::AtOnce; ++i) {
        int64_t task = order == TaskOrder::OneByOne ? i : tasks - 1 - i;
        runTasks(task, task + 1);
      }
    }
}

std::vector<int64_t> dimsOf(const BranchLaunch &launch) {
  std::vector<int64_t> dims;
  auto append = [&](const auto &tensors) {
    for (const auto &tensor : tensors)
      dims.insert(dims.end(), tensor.shape.begin(), tensor.shape.end());
  };
  append(launch.shared);
  append(launch.tuples.front());
  append(launch.results);
  append(launch.each);
  dims.push_back(launch.branches());
  return dims;
}

} // namespace

std::vector<BranchTensor> BranchFixture::run(const std::string &text, Isa isa,
                                             const BranchLaunch &launch) {
  grow::KernelOp kernel = parse(text);
  if (!kernel)
    return {};
  std::vector<int64_t> dims = dimsOf(launch);
  FailureOr<LaunchSizes> sizes = grow::launchSizes(kernel, dims);
  EXPECT_TRUE(succeeded(sizes)) << diagnostics;
  if (failed(sizes))
    return {};
  const CompiledKernel &code = compile(text, kernel, isa);
  std::vector<BranchTensor> first;
  for (TaskOrder order :
       {TaskOrder::AtOnce, TaskOrder::OneByOne, TaskOrder::Backwards}) {
    LaunchMemory memory(launch, sizes->workspaceBytes,
                        order == TaskOrder::OneByOne);
    runRounds(code, *sizes, memory.buffers, dims, order);
    std::vector<BranchTensor> results;
    for (size_t index : memory.results)
      results.push_back(memory.tensors[index].read());
    if (first.empty())
      first = results;
    for (size_t i = 0; i < results.size(); ++i)
      EXPECT_EQ(std::memcmp(results[i].data.data(), first[i].data.data(),
                            first[i].data.size() * sizeof(float)),
                0)
          << "result " << i << " depends on the order of tasks\n"
          << text;
  }
  return first;
}

std::vector<Doubles> BranchFixture::reference(const std::string &kernel,
                                              const BranchLaunch &launch) {
  std::string text = kernel + launchText(launch);
  if (!parse(text))
    return {};
  auto interpreter = ReferenceInterpreter::create(*module);
  SmallVector<ReferenceTensor> inputs;
  auto append = [&](const BranchTensor &tensor) {
    inputs.push_back(
        ReferenceTensor(ArrayRef(tensor.shape),
                        Doubles(tensor.data.begin(), tensor.data.end())));
  };
  llvm::for_each(launch.shared, append);
  for (const auto &tuple : launch.tuples)
    llvm::for_each(tuple, append);
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

void BranchFixture::check(const std::string &kernel, const BranchLaunch &launch,
                          const std::vector<std::string> &schedules,
                          double tolerance) {
  std::vector<Doubles> expected =
      reference(expand(kernel, schedules.front()), launch);
  ASSERT_FALSE(expected.empty());
  for (const std::string &schedule : schedules)
    for (Isa isa : isas()) {
      std::string text = expand(kernel, schedule);
      std::vector<BranchTensor> actual = run(text, isa, launch);
      ASSERT_EQ(actual.size(), expected.size());
      for (size_t i = 0; i < actual.size(); ++i)
        EXPECT_LE(relativeError(actual[i].data.data(), expected[i]),
                  actual[i].bits ? 0.0 : tolerance)
            << "result " << i << " for " << isaName(isa) << "\n"
            << launchText(launch) << text;
    }
}

} // namespace cambium::test
