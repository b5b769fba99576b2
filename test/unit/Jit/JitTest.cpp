//===- JitTest.cpp - Compiling kernels into this process ------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Jit/Jit.h"
#include "cambium/Target/LLVM/LowerToLLVM.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/Error.h"
#include "gtest/gtest.h"
#include <cmath>
#include <cstring>
#include <fstream>
#include <thread>

using namespace cambium;

namespace {

class JitTest : public testing::Test {
protected:
  JitTest() {
    mlir::DialectRegistry registry;
    registerLLVMTargetDialects(registry);
    context.appendDialectRegistry(registry);
    context.loadAllAvailableDialects();
  }

  mlir::OwningOpRef<mlir::ModuleOp> parse(const std::string &text) {
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    EXPECT_TRUE(module);
    return module;
  }

  /// A kernel whose phase 0 sets buffer 1 to `body` of buffer 0, %v to %r, for
  /// the vectors of 8 floats that its tasks number.
  static std::string mapKernel(const std::string &name,
                               const std::string &body) {
    return R"(
      func.func @)" +
           name + R"(_phase0(%buffers: !llvm.ptr, %dims: !llvm.ptr,
                             %begin: i64, %end: i64, %scratch: !llvm.ptr) {
        %one = arith.constant 1 : i64
        %from = llvm.load %buffers : !llvm.ptr -> !llvm.ptr
        %second = llvm.getelementptr %buffers[1]
            : (!llvm.ptr) -> !llvm.ptr, !llvm.ptr
        %to = llvm.load %second : !llvm.ptr -> !llvm.ptr
        scf.for %i = %begin to %end step %one : i64 {
          %p = llvm.getelementptr %from[%i]
              : (!llvm.ptr, i64) -> !llvm.ptr, vector<8xf32>
          %q = llvm.getelementptr %to[%i]
              : (!llvm.ptr, i64) -> !llvm.ptr, vector<8xf32>
          %v = llvm.load %p {alignment = 4 : i64}
              : !llvm.ptr -> vector<8xf32>
          )" +
           body + R"(
          llvm.store %r, %q {alignment = 4 : i64} : vector<8xf32>, !llvm.ptr
        }
        return
      })";
  }

  static std::vector<float> runMap(const CompiledKernel &kernel,
                                   std::vector<float> input) {
    std::vector<float> output(input.size());
    void *buffers[] = {input.data(), output.data()};
    kernel.phases().at(0)(buffers, nullptr, 0, input.size() / 8, nullptr);
    return output;
  }

  std::string compileError(Jit &jit, const std::string &text) {
    auto kernel = jit.compile(*parse(text));
    if (!kernel)
      return llvm::toString(kernel.takeError());
    return "";
  }

  mlir::MLIRContext context;
  std::unique_ptr<Jit> jit = llvm::cantFail(Jit::create());
};

const char doubling[] = "%r = arith.addf %v, %v : vector<8xf32>";
const char squaring[] = "%r = arith.mulf %v, %v : vector<8xf32>";

TEST_F(JitTest, RunsAKernel) {
  CompiledKernel kernel =
      llvm::cantFail(jit->compile(*parse(mapKernel("twice", doubling))));
  EXPECT_EQ(kernel.name(), "twice");
  ASSERT_EQ(kernel.phases().size(), 1u);
  EXPECT_EQ(runMap(kernel, {1, 2, 3, 4, 5, 6, 7, 8}),
            (std::vector<float>{2, 4, 6, 8, 10, 12, 14, 16}));
}

TEST_F(JitTest, LeavesTheModuleAsItIs) {
  auto module = parse(mapKernel("twice", doubling));
  std::string before, after;
  llvm::raw_string_ostream(before) << *module;
  llvm::cantFail(jit->compile(*module));
  llvm::raw_string_ostream(after) << *module;
  EXPECT_EQ(before, after);
}

TEST_F(JitTest, KernelsOfOneNameLiveSideBySide) {
  CompiledKernel first =
      llvm::cantFail(jit->compile(*parse(mapKernel("k", doubling))));
  CompiledKernel second =
      llvm::cantFail(jit->compile(*parse(mapKernel("k", squaring))));
  std::vector<float> input(8, 3);
  EXPECT_EQ(runMap(first, input), std::vector<float>(8, 6));
  EXPECT_EQ(runMap(second, input), std::vector<float>(8, 9));
  first = std::move(second);
  EXPECT_EQ(runMap(first, input), std::vector<float>(8, 9));
}

TEST_F(JitTest, KernelsOutliveTheirJit) {
  CompiledKernel kernel =
      llvm::cantFail(jit->compile(*parse(mapKernel("k", doubling))));
  jit.reset();
  EXPECT_EQ(runMap(kernel, std::vector<float>(8, 3)), std::vector<float>(8, 6));
}

TEST_F(JitTest, CompilesFromSeveralThreads) {
  std::vector<std::thread> threads;
  std::vector<std::vector<float>> results(8);
  for (size_t i = 0; i < results.size(); ++i)
    threads.emplace_back([&, i] {
      auto module = parse(mapKernel("k", i % 2 ? squaring : doubling));
      for (int repetition = 0; repetition < 4; ++repetition) {
        CompiledKernel kernel = llvm::cantFail(jit->compile(*module));
        results[i] = runMap(kernel, std::vector<float>(8, 3));
      }
    });
  for (std::thread &thread : threads)
    thread.join();
  for (size_t i = 0; i < results.size(); ++i)
    EXPECT_EQ(results[i], std::vector<float>(8, i % 2 ? 9 : 6));
}

#ifdef __linux__
/// Mappings of this process that can be executed.
size_t executableMappings() {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    size_t permissions = line.find(' ') + 1;
    count += line.compare(permissions + 2, 1, "x") == 0;
  }
  return count;
}

TEST_F(JitTest, FreedKernelsReleaseTheirCode) {
  auto module = parse(mapKernel("k", doubling));
  llvm::cantFail(jit->compile(*module));
  size_t before = executableMappings();
  {
    std::vector<CompiledKernel> kernels;
    for (int i = 0; i < 50; ++i)
      kernels.push_back(llvm::cantFail(jit->compile(*module)));
    EXPECT_GT(executableMappings(), before);
  }
  EXPECT_EQ(executableMappings(), before);
}
#endif

TEST_F(JitTest, DoesNotContractProductsAndSums) {
  // (1 + 2^-12)^2 - 1 differs with and without rounding of the product.
  const char body[] = R"(
    %minus = arith.constant dense<-1.0> : vector<8xf32>
    %product = arith.mulf %v, %v : vector<8xf32>
    %r = arith.addf %product, %minus : vector<8xf32>)";
  CompiledKernel kernel =
      llvm::cantFail(jit->compile(*parse(mapKernel("k", body))));
  float x = 1 + std::ldexp(1.0f, -12);
  volatile float product = x * x;
  EXPECT_EQ(runMap(kernel, std::vector<float>(8, x)),
            std::vector<float>(8, product - 1));
}

struct MathCase {
  const char *op;
  double (*exact)(double);
  float low, high;
};

TEST_F(JitTest, MathFunctionsAreAccurate) {
  const MathCase cases[] = {
      {"math.exp", std::exp, -20, 20},
      {"math.tanh", std::tanh, -6, 6},
      {"math.erf", std::erf, -4, 4},
      {"math.log", std::log, 1e-3f, 50},
      {"math.log1p", std::log1p, -0.5f, 5},
      {"math.sqrt", std::sqrt, 0, 10},
      {"math.rsqrt", [](double x) { return 1 / std::sqrt(x); }, 0.01f, 10},
      {"math.absf", [](double x) { return std::fabs(x); }, -3, 3}};
  for (const MathCase &c : cases) {
    std::string body = std::string("%r = ") + c.op + " %v : vector<8xf32>";
    CompiledKernel kernel =
        llvm::cantFail(jit->compile(*parse(mapKernel("k", body))));
    std::vector<float> input(4000);
    for (size_t i = 0; i < input.size(); ++i)
      input[i] = c.low + (c.high - c.low) * i / input.size();
    std::vector<float> output = runMap(kernel, input);
    for (size_t i = 0; i < input.size(); ++i) {
      double exact = c.exact(input[i]);
      ASSERT_NEAR(output[i], exact, 1e-6 * std::max(std::fabs(exact), 0.2))
          << c.op << " of " << input[i];
    }
  }
}

TEST_F(JitTest, MathFunctionsAgreeOnScalarsAndVectors) {
  const char body[] = R"(
    %e = math.exp %v : vector<8xf32>
    %x = vector.extract %v[3] : f32 from vector<8xf32>
    %s = math.exp %x : f32
    %r = vector.insert %s, %e [0] : f32 into vector<8xf32>)";
  CompiledKernel kernel =
      llvm::cantFail(jit->compile(*parse(mapKernel("k", body))));
  std::vector<float> output = runMap(kernel, std::vector<float>(8, 1.7f));
  EXPECT_EQ(output[0], output[3]);
}

TEST_F(JitTest, RejectsModulesThatAreNotOneKernel) {
  EXPECT_NE(compileError(*jit, "module {}").find("holds no kernel"),
            std::string::npos);
  EXPECT_NE(
      compileError(*jit, mapKernel("a", doubling) + mapKernel("b", doubling))
          .find("two kernels, 'a' and 'b'"),
      std::string::npos);
  EXPECT_NE(compileError(*jit, R"(
    func.func @k_phase1(%a: !llvm.ptr, %b: !llvm.ptr, %c: i64, %d: i64,
                        %e: !llvm.ptr) { return })")
                .find("lacks the function 'k_phase0'"),
            std::string::npos);
}

TEST_F(JitTest, ReportsWhatCannotBeLowered) {
  std::string error = compileError(*jit, R"(
    func.func private @helper(%v: tensor<4xf32>) -> tensor<4xf32> {
      %w = arith.addf %v, %v : tensor<4xf32>
      return %w : tensor<4xf32>
    }
    func.func @k_phase0(%a: !llvm.ptr, %b: !llvm.ptr, %c: i64, %d: i64,
                        %e: !llvm.ptr) {
      return
    })");
  EXPECT_NE(error.find("translation to LLVM IR failed"), std::string::npos)
      << error;
  EXPECT_NE(error.find("func.func"), std::string::npos) << error;
  // The context is still good.
  llvm::cantFail(jit->compile(*parse(mapKernel("k", doubling))));
}

TEST_F(JitTest, ReportsMissingSymbols) {
  std::string error = compileError(*jit, R"(
    func.func private @no_such_function()
    func.func @k_phase0(%a: !llvm.ptr, %b: !llvm.ptr, %c: i64, %d: i64,
                        %e: !llvm.ptr) {
      func.call @no_such_function() : () -> ()
      return
    })");
  EXPECT_NE(error.find("no_such_function"), std::string::npos) << error;
}

TEST_F(JitTest, EmitsAssemblyAndIR) {
  auto module = parse(mapKernel("k", doubling));
  std::string assembly = llvm::cantFail(emitAssembly(*module, Isa::Native));
  EXPECT_NE(assembly.find("k_phase0:"), std::string::npos);
  std::string ir = llvm::cantFail(emitLLVMIR(*module, Isa::Native));
  EXPECT_NE(ir.find("define void @k_phase0"), std::string::npos);
  EXPECT_NE(ir.find("fadd <8 x float>"), std::string::npos);
}

TEST(IsaTest, NamesRoundTrip) {
  for (Isa isa : {Isa::Native, Isa::Generic, Isa::AVX2, Isa::AVX512})
    EXPECT_EQ(llvm::cantFail(parseIsa(isaName(isa))), isa);
  auto wrong = parseIsa("mmx");
  ASSERT_FALSE(wrong);
  EXPECT_NE(llvm::toString(wrong.takeError()).find("use native, generic"),
            std::string::npos);
}

TEST(IsaTest, NativeIsTheBestThatRuns) {
  EXPECT_NE(detectIsa(), Isa::Native);
  EXPECT_EQ(llvm::cantFail(Jit::create())->isa(), detectIsa());
  EXPECT_EQ(llvm::cantFail(Jit::create(Isa::Generic))->isa(), Isa::Generic);
  EXPECT_EQ(vectorWidth(Isa::Native), vectorWidth(detectIsa()));
}

TEST(IsaTest, RefusesWhatTheMachineCannotRun) {
  if (detectIsa() == Isa::AVX512)
    GTEST_SKIP() << "this machine runs every instruction set";
  auto jit = Jit::create(Isa::AVX512);
  ASSERT_FALSE(jit);
  std::string error = llvm::toString(jit.takeError());
  EXPECT_NE(error.find("cannot run instruction set 'avx512'"),
            std::string::npos);
  EXPECT_NE(error.find(isaName(detectIsa())), std::string::npos);
}

} // namespace
