//===- MemoryBound.cpp - Kernels that memory should limit -----------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each kernel beside a copy, by memcpy on as many threads, that reads and
// writes as many bytes in total as the kernel must: its operands once, its
// results once. What machines can do at most is here too: Peak/copy and
// Peak/fma.
//
//===----------------------------------------------------------------------===//

#include "../Bench.h"
#include "../Program.h"

#include <tbb/parallel_for.h>
#include <tbb/task_arena.h>

#include <cmath>
#include <cstring>
#include <numeric>
#include <sstream>

using namespace cambium;
using namespace cambium::bench;

namespace {

constexpr double maximalError = 2e-5;

//===----------------------------------------------------------------------===//
// Peers
//===----------------------------------------------------------------------===//

/// memcpy by all threads, each with a part of its own.
class Copy {
public:
  /// Reads half of the bytes, and writes half.
  explicit Copy(int64_t bytes)
      : from(bytes / 8), to(bytes / 8), workers(settings().threads) {
    fillRandom(from, 3);
  }

  void run() {
    int64_t parts = settings().threads, size = from.size();
    workers.execute([&] {
      tbb::parallel_for(
          int64_t(0), parts,
          [&](int64_t part) {
            int64_t begin = size * part / parts;
            int64_t end = size * (part + 1) / parts;
            std::memcpy(to.data() + begin, from.data() + begin,
                        (end - begin) * sizeof(float));
          },
          tbb::static_partitioner());
    });
  }

private:
  Block from, to;
  tbb::task_arena workers;
};

#if defined(__x86_64__)
/// Independent multiply-adds of vectors in registers; 8 floats of each count.
__attribute__((target("avx2,fma"))) float multiplyAdds(int64_t repeats) {
  using Vector = float __attribute__((vector_size(32)));
  Vector sums[12] = {}, x = Vector{} + 0.5f, y = Vector{} + 0.25f;
  for (Vector &sum : sums)
    sum += static_cast<float>(repeats);
  for (int64_t i = 0; i < repeats; ++i) {
#pragma clang fp contract(fast)
    // Else what is computed twelve times would be computed once.
    asm volatile("" : "+x"(x), "+x"(y));
#pragma clang loop unroll(full)
    for (Vector &sum : sums)
      sum = x * sum + y;
  }
  Vector total = {};
  for (Vector &sum : sums)
    total += sum;
  return total[0];
}

void peakFma(benchmark::State &state) {
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma"))
    return state.SkipWithError("needs AVX2");
  constexpr int64_t repeats = 1 << 20;
  int64_t parts = settings().threads;
  tbb::task_arena workers(parts);
  std::vector<float> results(parts);
  Rounds rounds;
  for (auto _ : state) {
    rounds.add({{[&] {
      workers.execute([&] {
        tbb::parallel_for(
            int64_t(0), parts,
            [&](int64_t part) { results[part] = multiplyAdds(repeats); },
            tbb::static_partitioner());
      });
    }}});
    state.SetIterationTime(rounds.last(0));
  }
  benchmark::DoNotOptimize(results.data());
  state.counters["gflops"] =
      2e-9 * 8 * 12 * repeats * parts / rounds.seconds(0);
}
#endif

void peakCopy(benchmark::State &state) {
  const int64_t bytes = state.range(0) << 20;
  Copy copy(bytes);
  Rounds rounds;
  for (auto _ : state) {
    rounds.add({{[&] { copy.run(); }}});
    state.SetIterationTime(rounds.last(0));
  }
  state.counters["gb_per_second"] = bytes * 1e-9 / rounds.seconds(0);
}

/// Times the call beside a copy of `bytes`.
void timeBesideCopy(benchmark::State &state, Program &program,
                    const DeviceProgram::Call &call, int64_t bytes) {
  Copy copy(bytes);
  Rounds rounds;
  for (auto _ : state) {
    rounds.add({{[&] { program.repeat(call); }}, {[&] { copy.run(); }}});
    state.SetIterationTime(rounds.last(0));
  }
  state.counters["of_copy"] = rounds.ratio(1, 0);
  state.counters["gb_per_second"] = bytes * 1e-9 / rounds.seconds(0);
  state.counters["copy_gb_per_second"] = bytes * 1e-9 / rounds.seconds(1);
  state.counters["mib"] = bytes * 0x1p-20;
}

//===----------------------------------------------------------------------===//
// Single kernels
//===----------------------------------------------------------------------===//

struct Input {
  std::vector<int64_t> shape;
  /// Labels of as many classes.
  int64_t classes = 0;
  /// Values are moved by this much: variances are positive.
  float shift = 0.0f;
};

struct KernelCase {
  const char *name;
  /// Names, types and body; the body ends with a return.
  std::string text;
  std::vector<Input> inputs;
  /// Of the result.
  std::vector<int64_t> results;
};

int64_t elements(const std::vector<int64_t> &shape) {
  return std::accumulate(shape.begin(), shape.end(), int64_t(1),
                         std::multiplies<int64_t>());
}

void replaceAll(std::string &text, const std::string &from,
                const std::string &to) {
  for (size_t at = 0; (at = text.find(from, at)) != std::string::npos;
       at += to.size())
    text.replace(at, from.size(), to);
}

/// `ops` with the usual types filled in: $x of images, $p of pooled images, $c
/// of vectors over channels, $l of logits.
std::string functionText(const std::string &arguments,
                         const std::string &results, const std::string &ops) {
  std::string text =
      "func.func @f(" + arguments + ") -> " + results + " {\n" + ops + "}\n";
  replaceAll(text, "$x", "tensor<?x28x28x64xf32>");
  replaceAll(text, "$p", "tensor<?x14x14x64xf32>");
  replaceAll(text, "$g", "tensor<?x64xf32>");
  replaceAll(text, "$c", "tensor<64xf32>");
  replaceAll(text, "$l", "tensor<?x1000xf32>");
  replaceAll(text, "$i", "tensor<?xi32>");
  replaceAll(text, "$s", "tensor<f32>");
  return text;
}

std::vector<KernelCase> kernelCases() {
  const Input x{{32, 28, 28, 64}}, pooled{{32, 14, 14, 64}}, means{{32, 64}},
      vector{{64}}, positive{{64}, 0, 1.5f}, logits{{2048, 1000}},
      labels{{2048}, 1000}, one{{}};
  const int64_t image = elements(x.shape), small = elements(pooled.shape);
  const std::string stats = "  %0:4 = grow.batch_norm_stats %x, %m, %v : ($x, "
                            "$c, $c) -> ($c, $c, $c, "
                            "$c)\n  return %0#0, %0#1 : $c, $c\n";
  return {
      {"relu",
       functionText("%x: $x", "$x",
                    "  %0 = grow.relu %x : $x\n  return %0 : $x\n"),
       {x},
       {image}},
      {"add",
       functionText("%x: $x, %y: $x", "$x",
                    "  %0 = grow.add %x, %y : $x\n  return %0 : $x\n"),
       {x, x},
       {image}},
      {"bias_relu_add",
       functionText("%x: $x, %y: $x, %b: $c", "$x",
                    "  %0 = grow.bias_add %x, %b : ($x, $c) -> $x\n"
                    "  %1 = grow.relu %0 : $x\n"
                    "  %2 = grow.add %1, %y : $x\n  return %2 : $x\n"),
       {x, x, vector},
       {image}},
      {"relu_grad",
       functionText("%x: $x, %g: $x", "$x",
                    "  %0 = grow.relu_grad %x, %g : $x\n  return %0 : $x\n"),
       {x, x},
       {image}},
      {"max_pool",
       functionText("%x: $x", "$p",
                    "  %0 = grow.max_pool2d %x window [2, 2] stride [2, 2] : "
                    "($x) -> $p\n  return %0 : $p\n"),
       {x},
       {small}},
      {"max_pool_grad",
       functionText("%x: $x, %g: $p", "$x",
                    "  %0 = grow.max_pool2d_grad %x, %g window [2, 2] stride "
                    "[2, 2] : ($x, $p) -> $x\n  return %0 : $x\n"),
       {x, pooled},
       {image}},
      {"avg_pool",
       functionText("%x: $x", "$p",
                    "  %0 = grow.avg_pool2d %x window [2, 2] stride [2, 2] : "
                    "($x) -> $p\n  return %0 : $p\n"),
       {x},
       {small}},
      {"avg_pool_grad",
       functionText("%g: $p", "$x",
                    "  %0 = grow.avg_pool2d_grad %g window [2, 2] stride [2, 2]"
                    " : ($p) -> $x\n  return %0 : $x\n"),
       {pooled},
       {image}},
      {"global_avg_pool",
       functionText("%x: $x", "$g",
                    "  %0 = grow.global_avg_pool %x : ($x) -> $g\n"
                    "  return %0 : $g\n"),
       {x},
       {elements(means.shape)}},
      {"global_avg_pool_grad",
       functionText("%g: $g", "$x",
                    "  %0 = grow.global_avg_pool_grad %g : ($g) -> $x\n"
                    "  return %0 : $x\n"),
       {means},
       {image}},
      {"channel_sum",
       functionText("%x: $x", "$c",
                    "  %0 = grow.channel_sum %x : ($x) -> $c\n"
                    "  return %0 : $c\n"),
       {x},
       {64}},
      {"batch_norm_stats",
       functionText("%x: $x, %m: $c, %v: $c", "($c, $c)", stats),
       {x, vector, positive},
       {64, 64}},
      {"batch_norm",
       functionText(
           "%x: $x, %s: $c, %b: $c, %m: $c, %v: $c", "$x",
           "  %0 = grow.batch_norm %x, %s, %b, %m, %v inference : ($x, $c, $c, "
           "$c, $c) -> $x\n  return %0 : $x\n"),
       {x, vector, vector, vector, positive},
       {image}},
      {"batch_norm_grad",
       functionText("%x: $x, %s: $c, %m: $c, %v: $c, %g: $x", "($x, $c, $c)",
                    "  %0:3 = grow.batch_norm_grad %x, %s, %m, %v, %g : ($x, "
                    "$c, $c, $c, $x) -> ($x, $c, $c)\n"
                    "  return %0#0, %0#1, %0#2 : $x, $c, $c\n"),
       {x, vector, vector, positive, x},
       {image, 64, 64}},
      {"softmax_cross_entropy",
       functionText("%l: $l, %i: $i", "$s",
                    "  %0 = grow.softmax_cross_entropy %l, %i : ($l, $i) -> $s"
                    "\n  return %0 : $s\n"),
       {logits, labels},
       {1}},
      {"softmax_cross_entropy_grad",
       functionText("%l: $l, %i: $i, %g: $s", "$l",
                    "  %0 = grow.softmax_cross_entropy_grad %l, %i, %g : ($l, "
                    "$i, $s) -> $l\n  return %0 : $l\n"),
       {logits, labels, one},
       {elements(logits.shape)}},
  };
}

/// The inputs' values.
class Values {
public:
  explicit Values(const std::vector<Input> &inputs) {
    unsigned seed = 0;
    for (const Input &input : inputs) {
      if (input.classes > 0) {
        auto &classes = labels.emplace_back(elements(input.shape));
        for (size_t i = 0; i < classes.size(); ++i)
          classes[i] = i * 37 % input.classes;
        views.emplace_back(classes.data(), input.shape);
        continue;
      }
      Block &block = blocks.emplace_back(elements(input.shape));
      fillRandom(block, ++seed);
      for (int64_t i = 0; i < block.size(); ++i)
        block.data()[i] += input.shift;
      views.emplace_back(block.data(), input.shape);
    }
  }

  std::vector<TensorView> views;

private:
  std::deque<Block> blocks;
  std::deque<std::vector<int32_t>> labels;
};

void runKernel(benchmark::State &state, const KernelCase &problem) {
  Values values(problem.inputs);
  Program program(problem.text, Program::Pipeline::Kernels);
  DeviceProgram::Call call = program.call("f", values.views);
  auto expected = reference(problem.text, "f", values.views);
  double error = 0;
  int64_t bytes = 0;
  for (const TensorView &view : values.views)
    bytes += view.elements() * 4;
  for (size_t i = 0; i < problem.results.size(); ++i) {
    error =
        std::max(error, relativeError(program.result(call, i),
                                      expected[i].data(), problem.results[i]));
    bytes += problem.results[i] * 4;
  }
  if (!(error <= maximalError))
    return fail(state, "relative error " + std::to_string(error));
  state.counters["relative_error"] = error;
  timeBesideCopy(state, program, call, bytes);
}

//===----------------------------------------------------------------------===//
// Optimizers
//===----------------------------------------------------------------------===//

/// Updates of about two million parameters, in four groups with four tensors
/// each.
struct OptimizerCase {
  OptimizerCase(const std::string &optimizer) {
    std::ostringstream groups, arguments, updates;
    for (int group = 0; group < 4; ++group) {
      groups << "grow.group @g" << group << " {optimizer = " << optimizer
             << ", lr = 0." << group + 1 << ", weight_decay = 0.01}\n";
      for (int tensor = 0; tensor < 4; ++tensor) {
        std::string name = "p" + std::to_string(group * 4 + tensor);
        groups << "grow.param @" << name << " : " << type << " in @g" << group
               << " init(#grow.kaiming)\n";
        arguments << (group + tensor > 0 ? ", " : "") << "%" << name << ": "
                  << type;
        updates << "  grow.update [@" << name << "] by %" << name << " : "
                << type << "\n";
      }
    }
    text = groups.str() + "func.func @step(" + arguments.str() + ") {\n" +
           updates.str() + "  return\n}\n";
    inputs.assign(16, {{3, 3, 120, 120}});
  }

  static constexpr const char *type = "tensor<3x3x120x120xf32>";
  std::string text;
  std::vector<Input> inputs;
};

/// What the first step makes of a weight.
double firstStep(bool adamw, double weight, double gradient, double rate) {
  // AdamW's averages, without bias, are the gradient and its square.
  double direction =
      adamw ? gradient / (std::abs(gradient) + 1e-8) + 0.01 * weight
            : gradient + 0.01 * weight;
  return weight - rate * direction;
}

void runOptimizer(benchmark::State &state, bool adamw, int64_t bytesOfElement) {
  OptimizerCase problem(adamw ? "#grow.adamw" : "#grow.sgd<momentum = 0.9>");
  Values values(problem.inputs);
  Program program(problem.text, Program::Pipeline::Kernels);
  const int64_t count = values.views[0].elements();
  auto parameter = [&](int64_t index) {
    return program.values("p" + std::to_string(index));
  };
  std::vector<std::vector<float>> expected;
  for (int64_t p = 0; p < 16; ++p) {
    auto &weights = expected.emplace_back(count);
    auto *gradient = static_cast<const float *>(values.views[p].data);
    for (int64_t i = 0; i < count; ++i)
      weights[i] =
          firstStep(adamw, parameter(p)[i], gradient[i], 0.1 * (p / 4 + 1));
  }
  DeviceProgram::Call call = program.call("step", values.views);
  double error = 0;
  for (int64_t p = 0; p < 16; ++p)
    error =
        std::max(error, relativeError(parameter(p), expected[p].data(), count));
  if (!(error <= maximalError))
    return fail(state, "relative error " + std::to_string(error));
  state.counters["relative_error"] = error;
  timeBesideCopy(state, program, call, 16 * count * bytesOfElement);
}

void add(const std::string &name,
         std::function<void(benchmark::State &)> function) {
  benchmark::RegisterBenchmark(name.c_str(), std::move(function))
      ->Iterations(settings().rounds)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
}

} // namespace

void bench::registerMemoryBound() {
  for (const KernelCase &problem : kernelCases())
    add(std::string("Memory/") + problem.name,
        [problem](benchmark::State &state) { runKernel(state, problem); });
  add("Memory/adamw",
      [](benchmark::State &state) { runOptimizer(state, true, 28); });
  add("Memory/sgd_momentum",
      [](benchmark::State &state) { runOptimizer(state, false, 20); });
  benchmark::RegisterBenchmark("Peak/copy", peakCopy)
      ->Arg(4)
      ->Arg(16)
      ->Arg(56)
      ->Arg(256)
      ->Iterations(settings().rounds)
      ->UseManualTime()
      ->Unit(benchmark::kMillisecond);
#if defined(__x86_64__)
  add("Peak/fma", peakFma);
#endif
}
