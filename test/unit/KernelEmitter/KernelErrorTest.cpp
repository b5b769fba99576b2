//===- KernelErrorTest.cpp - Kernels that have no host code ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "KernelFixture.h"

using namespace cambium;
using namespace cambium::test;

namespace {

struct KernelError : KernelFixture {
  /// Both the emitter and the host must refuse the kernel, and say why.
  void expectError(const std::string &text, const std::string &message) {
    grow::KernelOp kernel = parse(text);
    ASSERT_TRUE(kernel);
    mlir::OwningOpRef<mlir::ModuleOp> code(
        mlir::ModuleOp::create(kernel.getLoc()));
    EXPECT_TRUE(failed(grow::emitKernel(kernel, 8, *code)));
    EXPECT_NE(diagnostics.find(message), std::string::npos) << diagnostics;
    diagnostics.clear();
    EXPECT_TRUE(failed(grow::launchSizes(kernel, {})));
    EXPECT_NE(diagnostics.find(message), std::string::npos) << diagnostics;
  }
};

const std::string reluKernel = R"(
  grow.kernel @k {
  ^bb0(%x: tensor<?xf32>):
    %0 = grow.relu %x : tensor<?xf32>
    grow.yield %0 : tensor<?xf32>
  })";

TEST_F(KernelError, EmptyKernel) {
  expectError("grow.kernel @k { grow.yield }", "computes nothing");
}

TEST_F(KernelError, ContractionWithoutSchedule) {
  expectError(R"(grow.kernel @k {
                 ^bb0(%x: tensor<?x?xf32>, %w: tensor<?x?xf32>):
                   %0 = grow.linear %x, %w
                       : (tensor<?x?xf32>, tensor<?x?xf32>) -> tensor<?x?xf32>
                   grow.yield %0 : tensor<?x?xf32>
                 })",
              "needs a schedule");
}

TEST_F(KernelError, WindowOfUnknownSize) {
  expectError(
      R"(grow.kernel @k schedule <width = 8, vectors = 1, tile = 1, tail_tile = 1> {
         ^bb0(%x: tensor<?x?x?x?xf32>, %w: tensor<?x?x?x?xf32>):
           %0 = grow.conv2d %x, %w
               : (tensor<?x?x?x?xf32>, tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
           grow.yield %0 : tensor<?x?x?x?xf32>
         })",
      "window of static size");
}

TEST_F(KernelError, PoolingAmongOthers) {
  expectError(R"(grow.kernel @k {
                 ^bb0(%x: tensor<?x?x?x?xf32>):
                   %0 = grow.relu %x : tensor<?x?x?x?xf32>
                   %1 = grow.avg_pool2d %0 window [2, 2]
                       : (tensor<?x?x?x?xf32>) -> tensor<?x?x?x?xf32>
                   grow.yield %1 : tensor<?x?x?x?xf32>
                 })",
              "cannot share a kernel");
}

TEST_F(KernelError, OperationWithoutHostCode) {
  expectError(R"(grow.kernel @k {
                 ^bb0(%x: tensor<?x?xf32>, %s: tensor<?xf32>, %t: tensor<?xf32>,
                      %m: tensor<?xf32>, %v: tensor<?xf32>):
                   %0 = grow.batch_norm %x, %s, %t, %m, %v
                       : (tensor<?x?xf32>, tensor<?xf32>, tensor<?xf32>,
                          tensor<?xf32>, tensor<?xf32>) -> tensor<?x?xf32>
                   grow.yield %0 : tensor<?x?xf32>
                 })",
              "has no host code");
}

TEST_F(KernelError, WrongNumberOfExtents) {
  grow::KernelOp kernel = parse(reluKernel);
  EXPECT_TRUE(failed(grow::launchSizes(kernel, {1, 2, 3})));
  EXPECT_NE(diagnostics.find("takes 2 extents, not 3"), std::string::npos)
      << diagnostics;
}

TEST_F(KernelError, VectorWidth) {
  grow::KernelOp kernel = parse(reluKernel);
  mlir::OwningOpRef<mlir::ModuleOp> code(
      mlir::ModuleOp::create(kernel.getLoc()));
  EXPECT_TRUE(failed(grow::emitKernel(kernel, 7, *code)));
  EXPECT_NE(diagnostics.find("vectors of 7 floats"), std::string::npos)
      << diagnostics;
}

} // namespace
