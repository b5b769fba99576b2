//===- ReferenceFixture.h - Parsing and running IR in tests -----*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_UNIT_REFERENCE_REFERENCEFIXTURE_H
#define CAMBIUM_TEST_UNIT_REFERENCE_REFERENCEFIXTURE_H

#include "cambium/IR/Grow.h"
#include "cambium/Reference/ReferenceInterpreter.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

#include <random>

namespace cambium {

using Shape = llvm::SmallVector<int64_t>;
using Tensors = llvm::SmallVector<ReferenceTensor>;

class ReferenceFixture : public ::testing::Test {
protected:
  ReferenceFixture()
      : handler(&context, [this](mlir::Diagnostic &diagnostic) {
          diagnostics += diagnostic.str() + "\n";
        }) {
    context.loadDialect<grow::GrowDialect, mlir::func::FuncDialect,
                        mlir::arith::ArithDialect>();
  }

  /// Parses a module and makes an interpreter for it. False, with a test
  /// failure, if either fails.
  bool load(const std::string &text, uint64_t seed = 0) {
    interpreter.reset();
    module = mlir::parseSourceString<mlir::ModuleOp>(text, &context);
    if (!module) {
      ADD_FAILURE() << diagnostics << text;
      return false;
    }
    auto created = ReferenceInterpreter::create(*module, seed);
    if (mlir::failed(created)) {
      ADD_FAILURE() << diagnostics << text;
      return false;
    }
    interpreter.emplace(std::move(*created));
    return true;
  }

  /// Calls a function that must succeed.
  Tensors call(llvm::StringRef name, llvm::ArrayRef<ReferenceTensor> inputs) {
    auto results = interpreter->call(name, inputs);
    if (mlir::failed(results)) {
      ADD_FAILURE() << diagnostics;
      return {};
    }
    return *results;
  }

  /// Runs `@f` of a module.
  Tensors run(const std::string &text, llvm::ArrayRef<ReferenceTensor> inputs) {
    return load(text) ? call("f", inputs) : Tensors();
  }

  std::vector<double> valueOf(llvm::StringRef symbol) {
    const ReferenceVariable *variable = interpreter->variable(symbol);
    if (!variable) {
      ADD_FAILURE() << "no variable " << symbol.str();
      return {};
    }
    return variable->value.data;
  }

  mlir::MLIRContext context;
  std::string diagnostics;
  mlir::ScopedDiagnosticHandler handler;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  std::optional<ReferenceInterpreter> interpreter;
};

inline ReferenceTensor tensor(const Shape &shape,
                              const std::vector<double> &data) {
  return ReferenceTensor(shape, data);
}

inline void expectNear(const std::vector<double> &actual,
                       const std::vector<double> &expected,
                       double tolerance = 1e-12) {
  ASSERT_EQ(actual.size(), expected.size());
  for (size_t i = 0; i < actual.size(); ++i)
    EXPECT_NEAR(actual[i], expected[i], tolerance) << "element " << i;
}

} // namespace cambium

#endif // CAMBIUM_TEST_UNIT_REFERENCE_REFERENCEFIXTURE_H
