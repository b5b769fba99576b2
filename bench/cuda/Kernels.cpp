//===- Kernels.cpp - Compiles convolutions for CUDA -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// What `budget` reads: forward, input and filter gradients of a 3x3 convolution
// with 64 channels on images of 32x32, plain and as 8 rectified branches, in
// every precision and for several architectures. Writes cubins and their
// sources into a folder and what there is to know of launches to standard
// output, as JSON; then how long NVRTC takes for the three kernels of the
// branches on two threads. Needs no GPU.
//
//===----------------------------------------------------------------------===//

#include "cambium/Error.h"
#include "cambium/IR/Grow.h"
#include "cambium/Pipelines/Pipelines.h"
#include "cambium/Runtime/CudaCompiler.h"
#include "cambium/Target/CUDA/CudaEmitter.h"
#include "cambium/Transforms/MemoryPlan.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <ctime>
#include <fstream>
#include <iostream>
#include <thread>

using namespace mlir;
using namespace cambium;
namespace grow = cambium::grow;
using nlohmann::ordered_json;

namespace {

const std::string image = "tensor<?x32x32x64xf32>";
const std::string filter = "tensor<3x3x64x64xf32>";
const std::string channels = "tensor<64xf32>";

/// y = conv(x, w), or the sum of relu(conv(x, w_i) + b_i); x depends on a
/// parameter, so that it has a gradient.
std::string networkText(int branches) {
  std::string params, reads, tuples;
  for (int i = 0; i < std::max(branches, 1); ++i) {
    std::string n = std::to_string(i);
    params += "grow.param @w" + n + " : " + filter +
              " in @g init(#grow.kaiming)\ngrow.param @b" + n + " : " +
              channels + " in @g init(#grow.zero)\n";
    reads += "  %w" + n + " = grow.get @w" + n + " : " + filter + "\n  %b" + n +
             " = grow.get @b" + n + " : " + channels + "\n";
    tuples += std::string(i ? ", " : "") + "(%w" + n + ", %b" + n + ")";
  }
  std::string convolution =
      " padding [1, 1] : (" + image + ", " + filter + ") -> " + image + "\n";
  std::string layer =
      branches == 0
          ? "  %y = grow.conv2d %x, %w0" + convolution
          : "  %y = grow.map \"block\" sum (%x) over [" + tuples +
                "] {\n  ^bb0(%in: " + image + ", %w: " + filter +
                ", %s: " + channels + "):\n    %c = grow.conv2d %in, %w" +
                convolution + "    %z = grow.bias_add %c, %s : (" + image +
                ", " + channels + ") -> " + image +
                "\n    %r = grow.relu %z : " + image +
                "\n    grow.yield %r : " + image + "\n  }\n";
  return "grow.group @g {optimizer = #grow.sgd, lr = 0.1}\n"
         "grow.param @shift : " +
         channels + " in @g init(#grow.zero)\n" + params +
         "func.func @loss(%images: " + image + ", %target: " + image +
         ") -> tensor<f32> {\n  %shift = grow.get @shift : " + channels + "\n" +
         reads + "  %x = grow.bias_add %images, %shift : (" + image + ", " +
         channels + ") -> " + image + "\n" + layer +
         "  %l = grow.mse %y, %target : (" + image + ", " + image +
         ") -> tensor<f32>\n  return %l : tensor<f32>\n}\n";
}

struct Kernel {
  std::string role, source;
  LaunchSizes sizes;
};

/// The contractions of a training step, forward first.
class Network {
public:
  Network(int branches, Precision precision, int64_t batch)
      : context(registry()) {
    context.printOpOnDiagnostic(false);
    context.getDiagEngine().registerHandler(
        [this](mlir::Diagnostic &diagnostic) {
          if (diagnostic.getSeverity() == DiagnosticSeverity::Error)
            errors += diagnostic.str() + "\n";
        });
    module = parseSourceString<ModuleOp>(networkText(branches), &context);
    PassManager passes(&context);
    grow::PipelineOptions options;
    options.target = TargetKind::Cuda;
    options.precision = precision;
    grow::buildTrainPipeline(passes, options);
    require(module && succeeded(passes.run(*module)));
    auto plan = grow::planMemory(module->lookupSymbol<func::FuncOp>("step"),
                                 batch, TargetKind::Cuda);
    require(succeeded(plan));
    for (const grow::MemoryPlan::Launch &launch : plan->launches)
      addLaunch(launch);
  }

  std::vector<Kernel> kernels;

private:
  static DialectRegistry registry() {
    DialectRegistry registry;
    grow::registerDialects(registry);
    return registry;
  }

  void require(bool holds) {
    if (!holds)
      throw Error(errors);
  }

  void addLaunch(const grow::MemoryPlan::Launch &launch) {
    grow::LaunchOp op = launch.op;
    auto kernel = module->lookupSymbol<grow::KernelOp>(op.getKernel());
    if (!kernel.getBlocksAttr())
      return;
    auto type = cast<RankedTensorType>(op.getResult(0).getType());
    std::string role = type.getDimSize(0) == 3 ? "dw"
                       : kernels.empty()       ? "forward"
                                               : "dx";
    FailureOr<std::string> source = grow::cudaSource(kernel);
    require(succeeded(source));
    kernels.push_back({role, *source, launch.sizes});
  }

  MLIRContext context;
  std::string errors;
  OwningOpRef<ModuleOp> module;
};

cuda::Compiler makeCompiler() {
  std::vector<cuda::Header> headers;
  for (const grow::DeviceHeader &header : grow::deviceHeaders())
    headers.push_back({header.name, header.text});
  return cuda::Compiler(headers);
}

ordered_json describe(const Kernel &kernel, const cuda::Binary &binary) {
  ordered_json phases = ordered_json::array();
  for (size_t phase = 0; phase < kernel.sizes.tasks.size(); ++phase)
    phases.push_back({{"threads", kernel.sizes.blocks[phase].threads},
                      {"shared_bytes", kernel.sizes.blocks[phase].sharedBytes},
                      {"blocks", kernel.sizes.tasks[phase]}});
  for (const cuda::FunctionUsage &usage :
       cuda::parseFunctionUsage(binary.log)) {
    size_t mark = usage.name.rfind("_phase");
    if (mark == std::string::npos)
      continue;
    ordered_json &phase = phases.at(std::stoul(usage.name.substr(mark + 6)));
    phase["name"] = usage.name;
    phase["registers"] = usage.registers;
    phase["spill_bytes"] = usage.spillStoreBytes + usage.spillLoadBytes;
    phase["stack_bytes"] = usage.stackBytes;
  }
  return {{"role", kernel.role},
          {"rounds", kernel.sizes.rounds},
          {"workspace_bytes", kernel.sizes.workspaceBytes},
          {"phases", phases}};
}

/// Milliseconds to compile all kernels on two threads: the median and the least
/// of `repeats`, and the least time of processors, which other work on the
/// machine lengthens less.
ordered_json compileTime(const cuda::Compiler &compiler,
                         const std::vector<Kernel> &kernels,
                         const std::string &architecture, int repeats) {
  std::vector<double> times, processorTimes;
  for (int i = 0; i < repeats; ++i) {
    std::atomic<size_t> next = 0;
    auto work = [&] {
      for (size_t k; (k = next++) < kernels.size();)
        compiler.compile(kernels[k].source, architecture);
    };
    auto begin = std::chrono::steady_clock::now();
    std::clock_t beginClock = std::clock();
    std::thread helper(work);
    work();
    helper.join();
    times.push_back(std::chrono::duration<double, std::milli>(
                        std::chrono::steady_clock::now() - begin)
                        .count());
    processorTimes.push_back(1e3 * (std::clock() - beginClock) /
                             CLOCKS_PER_SEC);
  }
  std::sort(times.begin(), times.end());
  return {{"milliseconds", times[times.size() / 2]},
          {"least_milliseconds", times.front()},
          {"processor_milliseconds",
           *std::min_element(processorTimes.begin(), processorTimes.end())}};
}

struct Options {
  std::string folder;
  int64_t batch = 256;
  int repeats = 9;
  std::vector<std::string> architectures = {"sm_80", "sm_90a", "sm_100"};
};

ordered_json report(const Options &options) {
  cuda::Compiler compiler = makeCompiler();
  ordered_json kernels = ordered_json::array(), times = ordered_json::array();
  for (Precision precision :
       {Precision::Fp32, Precision::Tf32, Precision::Bf16})
    for (int branches : {0, 8}) {
      Network network(branches, precision, options.batch);
      for (const std::string &architecture : options.architectures) {
        for (const Kernel &kernel : network.kernels) {
          cuda::Binary binary = compiler.compile(kernel.source, architecture);
          std::string file = options.folder + "/" + architecture + "_" +
                             precisionName(precision) + "_" +
                             std::to_string(branches) + "_" + kernel.role +
                             ".cubin";
          std::ofstream(file + ".cu") << kernel.source;
          std::ofstream(file, std::ios::binary)
              .write(binary.cubin.data(), binary.cubin.size());
          ordered_json entry = {{"architecture", architecture},
                                {"precision", precisionName(precision)},
                                {"branches", branches},
                                {"cubin", file}};
          entry.update(describe(kernel, binary));
          kernels.push_back(entry);
        }
        if (!branches || !options.repeats)
          continue;
        ordered_json entry = {{"architecture", architecture},
                              {"precision", precisionName(precision)}};
        entry.update(compileTime(compiler, network.kernels, architecture,
                                 options.repeats));
        times.push_back(entry);
      }
    }
  return {{"nvrtc", compiler.version()},
          {"batch", options.batch},
          {"kernels", kernels},
          {"compile_times", times}};
}

} // namespace

int main(int argc, char **argv) {
  Options options;
  CLI::App app("Compiles convolutions for CUDA and describes their launches.");
  app.add_option("folder", options.folder, "Where cubins go")->required();
  app.add_option("--batch", options.batch, "Images");
  app.add_option("--repeats", options.repeats,
                 "Compilations to time; 0 times none");
  app.add_option("--architectures", options.architectures, "sm_80 and so on")
      ->delimiter(',');
  CLI11_PARSE(app, argc, argv);
  try {
    std::cout << report(options).dump(2) << "\n";
  } catch (const std::exception &error) {
    std::cerr << "cambium-cuda-kernels: " << error.what() << "\n";
    return 1;
  }
  return 0;
}
