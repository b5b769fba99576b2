//===- Environment.h - Backends under test ----------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_CONFORMANCE_ENVIRONMENT_H
#define CAMBIUM_TEST_CONFORMANCE_ENVIRONMENT_H

#include "../Trials.h"
#include "Backend.h"
#include "Compare.h"
#include "cambium/Pipelines/Pipelines.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

#include <cstdlib>

namespace cambium::conformance {

/// A backend, the oracle, and the context they share, for the whole run, so
/// that a backend compiles equal kernels once.
class Environment {
public:
  /// A backend by the name that tests carry: another backend joins here.
  static Environment &of(const std::string &name) {
    static std::map<std::string, std::unique_ptr<Environment>> all;
    std::unique_ptr<Environment> &entry = all[name];
    if (!entry)
      entry = std::make_unique<Environment>(name);
    entry->selectArchitecture();
    return *entry;
  }
  /// Sanitizers have seen the compiler on its way to wider vectors.
  static std::vector<std::string> names() {
    if (cambium::test::sanitized)
      return {"kernels", "host"};
    return {"kernels", "host", "host_generic"};
  }
  /// Largest relative error: the interpreter computes in double also on
  /// kernels.
  static double tolerance(const std::string &name) {
    if (llvm::StringRef(name).ends_with("_bf16"))
      return 4e-2;
    if (llvm::StringRef(name).ends_with("_tf32"))
      return 5e-3;
    return name == "kernels" ? 1e-9 : 3e-5;
  }

  explicit Environment(const std::string &name)
      : context(makeRegistry()), reference(createReferenceBackend()) {
    context.printOpOnDiagnostic(false);
    context.getDiagEngine().registerHandler([this](mlir::Diagnostic &fault) {
      if (fault.getSeverity() == mlir::DiagnosticSeverity::Error)
        diagnostics += fault.str() + "\n";
    });
    if (name == "kernels")
      backend = createKernelBackend();
    else if (name == "host")
      backend = host(Isa::Native, 0);
    else if (name == "host_generic")
      backend = host(Isa::Generic, 2);
    else if (name == "host_one_thread")
      backend = host(Isa::Native, 1);
    else if (name == "host_five_threads")
      backend = host(Isa::Native, 5);
    else if (name == "cuda")
      backend = cuda(Precision::Fp32);
    else if (name == "cuda_tf32")
      backend = cuda(Precision::Tf32);
    else if (name == "cuda_bf16")
      backend = cuda(Precision::Bf16);
    else if (name == "cuda_sm_90a_tf32")
      backend = cuda(Precision::Tf32, "90");
    else if (name == "cuda_sm_90a_bf16")
      backend = cuda(Precision::Bf16, "90");
  }

  mlir::OwningOpRef<mlir::ModuleOp> parse(const std::string &text) {
    diagnostics.clear();
    auto module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    if (!module)
      ADD_FAILURE() << diagnostics << text;
    return module;
  }

  std::unique_ptr<Program> load(Backend &from, mlir::ModuleOp module,
                                ProgramKind kind, CompileOptions compile = {}) {
    compile.precision = precision;
    auto program = from.load(module, {kind, "loss", 1, compile});
    if (mlir::succeeded(program))
      return std::move(*program);
    ADD_FAILURE() << diagnostics;
    return nullptr;
  }

  Tensors call(Program &program, llvm::StringRef function,
               llvm::ArrayRef<ReferenceTensor> inputs) {
    auto results = program.call(function, inputs);
    if (mlir::succeeded(results))
      return std::move(*results);
    ADD_FAILURE() << diagnostics;
    return {};
  }

  mlir::MLIRContext context;
  std::string diagnostics;
  std::unique_ptr<Backend> reference, backend;
  Precision precision = Precision::Fp32;

private:
  /// The shim's device is of the architecture that `backend` compiles for.
  void selectArchitecture() const {
    if (!architecture.empty())
      setenv("CAMBIUM_SIMT_ARCH", architecture.c_str(), /*overwrite=*/1);
  }

  static mlir::DialectRegistry makeRegistry() {
    mlir::DialectRegistry registry;
    grow::registerDialects(registry);
    return registry;
  }

  std::unique_ptr<Backend> host(Isa isa, unsigned threads) {
    auto created = createHostBackend(context, isa, threads);
    if (mlir::succeeded(created))
      return std::move(*created);
    ADD_FAILURE() << diagnostics;
    return nullptr;
  }

  /// The device is the processor, by test/simt, unless CAMBIUM_TEST_GPU is set.
  std::unique_ptr<Backend> cuda(Precision wanted, std::string arch = "") {
    static const char *given = std::getenv("CAMBIUM_SIMT_ARCH");
    static const std::string usual = given ? given : "80";
    precision = wanted;
    architecture = arch.empty() ? usual : arch;
    selectArchitecture();
    if (!std::getenv("CAMBIUM_TEST_GPU")) {
      setenv("CAMBIUM_CUDA_DRIVER", CAMBIUM_SIMT_LIBRARY, /*overwrite=*/1);
      setenv("CAMBIUM_NVRTC", CAMBIUM_SIMT_LIBRARY, /*overwrite=*/1);
      setenv("CAMBIUM_SIMT_CACHE", CAMBIUM_SIMT_KERNELS, /*overwrite=*/0);
    }
    auto created = createCudaBackend(context);
    if (mlir::succeeded(created))
      return std::move(*created);
    ADD_FAILURE() << diagnostics;
    return nullptr;
  }

  /// Of the shim; empty if the backend does not run on it.
  std::string architecture;
};

inline void expectClose(llvm::ArrayRef<ReferenceTensor> actual,
                        llvm::ArrayRef<ReferenceTensor> expected,
                        double tolerance) {
  ASSERT_EQ(actual.size(), expected.size());
  std::vector<Comparison> comparisons = compare(actual, expected);
  for (size_t i = 0; i < comparisons.size(); ++i)
    EXPECT_LE(comparisons[i].error, tolerance)
        << "result " << i << ", magnitude " << comparisons[i].magnitude;
}

} // namespace cambium::conformance

#endif // CAMBIUM_TEST_CONFORMANCE_ENVIRONMENT_H
