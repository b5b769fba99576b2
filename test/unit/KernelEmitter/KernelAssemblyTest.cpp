//===- KernelAssemblyTest.cpp - Machine code of kernels of all kinds ------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "../Contraction/InnerLoops.h"
#include "KernelFixture.h"

#include "llvm/Support/Error.h"
#include "llvm/TargetParser/Host.h"
#include "llvm/TargetParser/Triple.h"

using namespace cambium;
using namespace cambium::test;

namespace {

const std::string scalar = dynamicType(0), vector = dynamicType(1),
                  matrix = dynamicType(2), image = dynamicType(4);

std::string optimizer(const std::string &rule) {
  return "grow.kernel @k {\n^bb0(%g: tensor<?xf32>):\n  grow.optimizer " +
         rule + " sum by %g : tensor<?xf32>\n  grow.yield\n}\n";
}

/// One kernel of each kind that memory limits.
std::vector<std::string> kernels() {
  return {
      "grow.kernel @k {\n^bb0(%x: " + image + "):\n  %y = grow.relu %x : " +
          image + "\n  grow.yield %y : " + image + "\n}\n",
      singleKernel("grow.bias_add %0, %1", {image, vector}, {image}),
      singleKernel("grow.channel_sum %0", {image}, {vector}),
      singleKernel("grow.batch_norm_stats %0, %1, %2", {image, vector, vector},
                   {vector, vector, vector, vector}),
      singleKernel("grow.batch_norm_grad %0, %1, %2, %3, %4",
                   {image, vector, vector, vector, image},
                   {image, vector, vector}),
      singleKernel("grow.max_pool2d %0 window [2, 2] stride [2, 2]", {image},
                   {image}),
      singleKernel("grow.max_pool2d_grad %0, %1 window [2, 2] stride [2, 2]",
                   {image, image}, {image}),
      singleKernel("grow.avg_pool2d %0 window [2, 2] stride [2, 2]", {image},
                   {image}),
      singleKernel("grow.avg_pool2d_grad %0 window [2, 2] stride [2, 2]",
                   {image}, {image}),
      singleKernel("grow.global_avg_pool %0", {image}, {matrix}),
      singleKernel("grow.mse_grad %0, %1, %2", {image, image, scalar}, {image}),
      optimizer("#grow.sgd<momentum = 0.9, nesterov = true>"),
      optimizer("#grow.adamw")};
}

class KernelAssembly : public KernelFixture,
                       public testing::WithParamInterface<Isa> {};

TEST_P(KernelAssembly, VectorsStayInRegisters) {
  if (!llvm::Triple(llvm::sys::getProcessTriple()).isX86())
    GTEST_SKIP() << "the assembly is x86-64's";
  for (const std::string &text : kernels()) {
    grow::KernelOp kernel = parse(text);
    mlir::OwningOpRef<mlir::ModuleOp> code(
        mlir::ModuleOp::create(kernel.getLoc()));
    ASSERT_TRUE(mlir::succeeded(
        grow::emitKernel(kernel, vectorWidth(GetParam()), *code)))
        << text << diagnostics;
    std::string assembly = llvm::cantFail(emitAssembly(*code, GetParam()));
    EXPECT_EQ(vectorSpills(assembly), 0) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, KernelAssembly,
                         testing::Values(Isa::AVX2, Isa::AVX512),
                         [](const auto &info) {
                           return std::string(isaName(info.param));
                         });

} // namespace
