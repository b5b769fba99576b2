//===- Program.h - IR compiled and run, for benchmarks ----------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_BENCH_PROGRAM_H
#define CAMBIUM_BENCH_PROGRAM_H

#include "cambium/API/DeviceProgram.h"
#include "cambium/CompileOptions.h"
#include "cambium/IR/Grow.h"
#include "cambium/Runtime/CudaDevice.h"
#include "cambium/Runtime/HostDevice.h"

#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

namespace cambium::bench {

/// Functions in the `grow` dialect, compiled for this machine's processor or a
/// GPU. Throws std::runtime_error with the diagnostics where the library
/// reports failure.
class Program {
public:
  /// Kernels: functions as they are. Gradients: also @step, with @loss and its
  /// gradients as results. Training: @step, which updates the parameters, and
  /// inference functions.
  enum class Pipeline { Kernels, Gradients, Training };

  /// On the GPU, which outlives the program, if there is one.
  Program(const std::string &text, Pipeline pipeline,
          const CompileOptions &options = {}, cuda::Device *gpu = nullptr);

  /// Values of a parameter, in the device's memory.
  float *values(const std::string &parameter);
  void write(const std::string &parameter, const TensorView &values);

  /// Runs a function once; the call can be repeated as often as its inputs
  /// live.
  DeviceProgram::Call call(const std::string &function,
                           const std::vector<TensorView> &inputs);
  void repeat(const DeviceProgram::Call &call) {
    device.run(*call.plan, call.inputs);
  }
  /// A result of the call that ran last, in the device's memory.
  const float *result(const DeviceProgram::Call &call, size_t number);
  std::vector<float> read(const DeviceProgram::Call &call, size_t number);
  /// The launches of a call before the first that reads one of its inputs: up
  /// to the loss, if that is the targets.
  DeviceProgram::Call callBefore(const DeviceProgram::Call &call, size_t input);
  /// Those of the launches whose kernels the predicate takes.
  DeviceProgram::Call
  callOf(const DeviceProgram::Call &call,
         const std::function<bool(grow::KernelOp)> &isWanted);

  struct LaunchTime {
    std::string kernel;
    std::vector<int64_t> dims;
    double seconds = 0.0;
  };
  /// Median time of each launch, run in order but one at a time.
  std::vector<LaunchTime> breakdown(const DeviceProgram::Call &call,
                                    int repeats = 25);

private:
  std::unique_ptr<mlir::MLIRContext> context;
  std::unique_ptr<HostDevice> host;
  Device &device;
  std::unique_ptr<KernelCache> cache;
  ParameterStore store;
  std::unique_ptr<DeviceProgram> program;
  std::deque<BoundPlan> parts;
};

/// Prints a table of the times, longest first, to the standard error.
void printBreakdown(const std::string &title,
                    std::vector<Program::LaunchTime> times);

/// A function's results as the double-precision reference computes them; with
/// Pipeline::Gradients also of @step. `values` replaces those of parameters.
std::vector<std::vector<float>>
reference(const std::string &text, const std::string &function,
          const std::vector<TensorView> &inputs,
          Program::Pipeline pipeline = Program::Pipeline::Kernels,
          const std::map<std::string, TensorView> &values = {});

/// Memory of a compiled @step beside what is stored.
struct StepMemory {
  int64_t arena = 0;
  /// Arena if the buffers of gradients were elsewhere.
  int64_t arenaWithoutGradients = 0;
  int64_t keptForBackward = 0;
  /// For each thread.
  int64_t scratch = 0;
};
StepMemory stepMemory(const std::string &networkText,
                      Program::Pipeline pipeline, int64_t batch,
                      const CompileOptions &options = {});

} // namespace cambium::bench

#endif // CAMBIUM_BENCH_PROGRAM_H
