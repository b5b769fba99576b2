//===- KernelBudgetTest.cpp - What kernels take of a GPU ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Every kernel that the conformance suite emits compiles for every architecture
// and keeps to this budget:
//
// * no register is spilled, no array is in local memory, all is inlined;
// * products of warpgroups are asynchronous;
// * the registers of a block fit in a multiprocessor; those of kernels that are
//   no contractions twice;
// * shared memory is dynamic, and at most what a block can have: 163 KiB for
//   contractions, else 48 KiB, which every device gives without being asked.
//
// Compiling all takes minutes: CAMBIUM_EVERY_KERNEL=1 does so. Without it each
// test compiles every 27th contraction, another one for each precision and
// architecture, and every third of the other kernels.
//
//===----------------------------------------------------------------------===//

#include "../../Trials.h"
#include "KernelCorpus.h"
#include "cambium/Error.h"
#include "cambium/Runtime/CudaCompiler.h"
#include "cambium/Target/CUDA/CudaEmitter.h"
#include "gtest/gtest.h"

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <thread>

using namespace cambium;
using namespace cambium::cuda;
using namespace cambium::nvrtc;

namespace {

constexpr int64_t registersOfMultiprocessor = 65536;
constexpr int64_t mostShared = 48 << 10;
constexpr int64_t mostSharedOfContractions = 163 << 10;

/// Registers are given to warps, 256 at a time.
int64_t registersOfBlock(int registersOfThread, int threads) {
  int64_t ofWarp = (registersOfThread * 32 + 255) / 256 * 256;
  return ofWarp * ((threads + 31) / 32);
}

/// The numbers in `__launch_bounds__(...)`, in order of phases.
std::vector<int> launchBounds(const std::string &source) {
  const std::string mark = "__launch_bounds__(";
  std::vector<int> all;
  for (size_t at = source.find(mark); at != std::string::npos;
       at = source.find(mark, at + 1))
    all.push_back(std::stoi(source.substr(at + mark.size())));
  return all;
}

/// The phase of a kernel that is called "kernel".
size_t phaseOf(const FunctionUsage &function) {
  return std::stoul(function.name.substr(std::string("kernel_phase").size()));
}

/// What is wrong with a kernel on an architecture; empty if nothing is.
std::string faultsOf(const CorpusKernel &kernel, const Binary &binary) {
  std::string faults;
  auto fault = [&](const FunctionUsage &function, const std::string &text) {
    faults += "  " + function.name + ": " + text + "\n";
  };
  // Where products of warpgroups cannot be under way together, ptxas says so,
  // or that it puts waits of its own between them.
  for (const char *word : {"wgmma", "warpgroup"})
    if (binary.log.find(word) != std::string::npos)
      faults += "  " + binary.log;
  std::vector<int> bounds = launchBounds(kernel.source);
  std::vector<FunctionUsage> functions = parseFunctionUsage(binary.log);
  if (functions.size() != bounds.size())
    faults += "  " + std::to_string(functions.size()) + " functions for " +
              std::to_string(bounds.size()) + " phases\n";
  for (const FunctionUsage &function : functions) {
    if (function.spillStoreBytes || function.spillLoadBytes)
      fault(function, std::to_string(function.spillStoreBytes) + " and " +
                          std::to_string(function.spillLoadBytes) +
                          " bytes of spills");
    if (function.stackBytes)
      fault(function, std::to_string(function.stackBytes) + " bytes of stack");
    if (function.sharedBytes)
      fault(function, "static shared memory");
    if (!function.entry) {
      fault(function, "is not inlined");
      continue;
    }
    int threads = bounds.at(phaseOf(function));
    int64_t blocks = kernel.contraction ? 1 : 2;
    if (blocks * registersOfBlock(function.registers, threads) >
        registersOfMultiprocessor)
      fault(function, std::to_string(function.registers) + " registers for " +
                          std::to_string(threads) + " threads");
  }
  return faults;
}

/// The launches of a kernel against its code and the budget.
std::string faultsOfLaunches(const CorpusKernel &kernel) {
  std::string faults;
  std::vector<int> bounds = launchBounds(kernel.source);
  int64_t most = kernel.contraction ? mostSharedOfContractions : mostShared;
  for (const LaunchSizes &sizes : kernel.launches) {
    if (sizes.blocks.size() != bounds.size())
      return "  " + std::to_string(sizes.blocks.size()) + " phases launched, " +
             std::to_string(bounds.size()) + " emitted\n";
    for (auto [phase, block] : llvm::enumerate(sizes.blocks)) {
      if (block.threads != bounds[phase])
        faults += "  phase " + std::to_string(phase) + ": launched with " +
                  std::to_string(block.threads) + " threads, compiled for " +
                  std::to_string(bounds[phase]) + "\n";
      if (block.sharedBytes > most)
        faults += "  phase " + std::to_string(phase) + ": " +
                  std::to_string(block.sharedBytes) +
                  " bytes of shared memory\n";
    }
  }
  return faults;
}

const char *const architectures[] = {"sm_80", "sm_90a", "sm_100"};
constexpr Precision precisions[] = {Precision::Fp32, Precision::Tf32,
                                    Precision::Bf16};

class CorpusTest : public ::testing::TestWithParam<Precision> {};

TEST_P(CorpusTest, IsEmittedAndLaunchedWithinTheBudget) {
  const Corpus &all = corpus(GetParam());
  for (const std::string &fault : all.faults)
    ADD_FAILURE() << fault;
  EXPECT_GT(all.kernels.size(), 100u);
  for (const CorpusKernel &kernel : all.kernels) {
    EXPECT_FALSE(kernel.launches.empty()) << kernel.origin;
    EXPECT_EQ(faultsOfLaunches(kernel), "") << kernel.origin;
  }
}

std::string precisionOf(const ::testing::TestParamInfo<Precision> &info) {
  return precisionName(info.param);
}

INSTANTIATE_TEST_SUITE_P(Kernels, CorpusTest, ::testing::ValuesIn(precisions),
                         precisionOf);

/// The kernels to compile for a precision and architecture. Kernels without
/// contractions are the same in every precision.
std::vector<const CorpusKernel *> select(const Corpus &all, Precision precision,
                                         size_t architecture) {
  bool every = std::getenv("CAMBIUM_EVERY_KERNEL");
  size_t turn = 3 * static_cast<size_t>(precision) + architecture;
  // NVRTC is not instrumented.
  constexpr size_t rarer = test::sanitized ? 8 : 1;
  size_t contractions = 0, others = 0;
  std::vector<const CorpusKernel *> selected;
  for (const CorpusKernel &kernel : all.kernels) {
    if (kernel.contraction) {
      if (contractions++ % (27 * rarer) == 3 * turn || every)
        selected.push_back(&kernel);
    } else if (precision == Precision::Fp32) {
      if (others++ % (3 * rarer) == architecture || every)
        selected.push_back(&kernel);
    }
  }
  return selected;
}

class BudgetTest
    : public ::testing::TestWithParam<std::tuple<Precision, size_t>> {
protected:
  void SetUp() override {
    try {
      Nvrtc::get();
    } catch (const Error &error) {
      GTEST_SKIP() << error.what();
    }
  }
};

TEST_P(BudgetTest, EveryKernelCompilesAndKeepsToIt) {
  auto [precision, number] = GetParam();
  std::vector<Header> headers;
  for (const grow::DeviceHeader &header : grow::deviceHeaders())
    headers.push_back({header.name, header.text});
  Compiler compiler(headers);
  const Corpus &all = corpus(precision);
  std::vector<const CorpusKernel *> kernels = select(all, precision, number);
  std::vector<std::string> faults(kernels.size());
  std::atomic<size_t> next = 0;
  auto work = [&, target = architectures[number]] {
    for (size_t i; (i = next++) < kernels.size();)
      try {
        faults[i] =
            faultsOf(*kernels[i], compiler.compile(kernels[i]->source, target));
      } catch (const Error &error) {
        faults[i] = error.what();
      }
  };
  std::thread helper(work);
  work();
  helper.join();
  ASSERT_FALSE(kernels.empty());
  for (size_t i = 0; i < kernels.size(); ++i)
    if (!faults[i].empty())
      ADD_FAILURE() << kernels[i]->origin << "\n"
                    << faults[i] << kernels[i]->source;
}

std::string
nameOf(const ::testing::TestParamInfo<std::tuple<Precision, size_t>> &info) {
  return std::string(precisionName(std::get<0>(info.param))) + "_" +
         architectures[std::get<1>(info.param)];
}

INSTANTIATE_TEST_SUITE_P(Kernels, BudgetTest,
                         ::testing::Combine(::testing::ValuesIn(precisions),
                                            ::testing::Range<size_t>(0, 3)),
                         nameOf);

} // namespace
