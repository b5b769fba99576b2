//===- BranchErrorTest.cpp - Fused maps that have no kernel ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchFixture.h"

#include "llvm/Support/Error.h"

using namespace cambium;
using namespace cambium::test;

namespace {

struct BranchErrors : BranchFixture {
  /// Both the emitter and the host must refuse the kernel, and say why.
  void expectError(const std::string &text, const std::string &message) {
    grow::KernelOp kernel = parse(text);
    ASSERT_TRUE(kernel);
    mlir::OwningOpRef<mlir::ModuleOp> code(
        mlir::ModuleOp::create(kernel.getLoc()));
    EXPECT_TRUE(failed(grow::emitKernel(kernel, 8, *code)));
    EXPECT_NE(diagnostics.find(message), std::string::npos)
        << diagnostics << text;
    diagnostics.clear();
    EXPECT_TRUE(failed(grow::launchSizes(kernel, {})));
    EXPECT_NE(diagnostics.find(message), std::string::npos)
        << diagnostics << text;
  }

  /// Inputs and parameters of a map are `arguments`, those from `first` on
  /// parameters.
  struct Body {
    std::vector<std::string> arguments;
    size_t first;
    std::string ops, joins, yields, results;
  };

  static std::string kernel(const Body &body) {
    std::string kernelArguments, bodyArguments, types, operands, params;
    for (size_t i = 0; i < body.arguments.size(); ++i) {
      const char *comma = i == 0 ? "" : ", ";
      std::string index = std::to_string(i), type = body.arguments[i];
      kernelArguments += comma + ("%k" + index) + ": " + type;
      bodyArguments += comma + ("%" + index) + ": " + type;
      types += comma + type;
      std::string &list = i < body.first ? operands : params;
      list += (list.empty() ? "%k" : ", %k") + index;
    }
    bool two = body.joins.find(',') != std::string::npos;
    std::string values = two ? "%r#0, %r#1" : "%r";
    return expand(
        "grow.kernel @k $S {\n^bb0(" + kernelArguments + "):\n  " +
            (two ? "%r:2" : "%r") + " = grow.fused_map branches ? (" +
            operands + ")" + (params.empty() ? "" : " over (" + params + ")") +
            " join (" + body.joins + ") : (" + types + ") -> (" + body.results +
            ") {\n  ^bb1(" + bodyArguments + "):\n" + body.ops +
            "\n    grow.yield " + body.yields + " : " + body.results +
            "\n  }\n  grow.yield " + values + " : " + body.results + "\n}\n",
        directSchedules().front());
  }

  /// The predicate must agree, and be silent.
  void expectBodyError(const Body &body, const std::string &message) {
    std::string text = kernel(body);
    grow::KernelOp op = parse(text);
    ASSERT_TRUE(op);
    EXPECT_TRUE(failed(grow::branchSpec(op.getFusedMap()))) << text;
    EXPECT_FALSE(grow::takesWinograd(op.getFusedMap())) << text;
    EXPECT_EQ(grow::branchContraction(op.getFusedMap()), nullptr) << text;
    EXPECT_EQ(diagnostics, "");
    expectError(text, message);
  }
};

const std::string linear = "%f = grow.linear %0, %1 : ($M, $M) -> $M\n";
const std::string conv = "%f = grow.conv2d %0, %1 : ($I, $K) -> $I\n";

TEST_F(BranchErrors, OperationsWithoutAPlace) {
  expectBodyError(
      {{"$I", "$K"},
       1,
       conv + "%p = grow.max_pool2d %f window [2, 2] "
              ": ($I) -> $I",
       "sum",
       "%p",
       "$I"},
      "'grow.max_pool2d' op has no place in a kernel over branches");
  expectBodyError({{"$M"}, 1, "%r = grow.relu %0 : $M", "sum", "%r", "$M"},
                  "needs a contraction in its body");
  expectBodyError({{"$M", "$M"},
                   1,
                   linear + "%s = grow.channel_sum %f : ($M) -> $V",
                   "sum, each",
                   "%f, %s",
                   "$M, $V"},
                  "computes no gradient of a filter");
}

TEST_F(BranchErrors, Contractions) {
  expectBodyError({{"$M", "$M", "$M"},
                   1,
                   linear + "%g = grow.linear %f, %2 : ($M, $M) -> $M",
                   "sum",
                   "%g",
                   "$M"},
                  "is a second contraction; only gradients may have one");
  expectBodyError({{"$M", "$M", "$M"},
                   1,
                   linear +
                       "%g = grow.linear %0, %2 : ($M, $M) -> $M\n"
                       "%h = grow.linear_grad_input %g, %2 : ($M, $M) -> $M",
                   "sum",
                   "%h",
                   "$M"},
                  "is one contraction too many");
  expectBodyError({{"$I", "tensor<?x?x?x?xf32>"},
                   1,
                   "%f = grow.conv2d %0, %1 : ($I, $I) -> $I",
                   "sum",
                   "%f",
                   "$I"},
                  "needs a window of static size");
  expectBodyError(
      {{"$I", "$I", "$K"},
       2,
       "%f = grow.conv2d %0, %2 : ($I, $K) -> $I\n"
       "%d = grow.silu_grad %f, %1 : $I\n"
       "%g = grow.conv2d_grad_input %d, %2 padding [1, 1] : ($I, $K) -> $I",
       "sum",
       "%g",
       "$I"},
      "has another window than the gradient");
  expectBodyError({{"$M", "$M", "$M", "$M"},
                   2,
                   "%f = grow.linear %0, %2 : ($M, $M) -> $M\n"
                   "%d = grow.silu_grad %f, %1 : $M\n"
                   "%g = grow.linear_grad_input %d, %3 : ($M, $M) -> $M",
                   "sum",
                   "%g",
                   "$M"},
                  "reads another input or filter");
  expectBodyError({{"$M", "$M", "$M"},
                   2,
                   "%f = grow.linear %0, %2 : ($M, $M) -> $M\n"
                   "%g = grow.linear_grad_input %1, %2 : ($M, $M) -> $M\n"
                   "%h = grow.add %f, %g : $M",
                   "sum",
                   "%h",
                   "$M"},
                  "the gradient does not depend on it");
  expectBodyError({{"$M", "$M", "$M"},
                   2,
                   "%f = grow.linear %0, %2 : ($M, $M) -> $M\n"
                   "%d = grow.silu_grad %f, %1 : $M\n"
                   "%g = grow.linear_grad_input %d, %2 : ($M, $M) -> $M\n"
                   "%h = grow.add %f, %g : $M",
                   "sum",
                   "%h",
                   "$M"},
                  "is read after the contraction");
}

TEST_F(BranchErrors, Operands) {
  expectBodyError({{"$M", "$M"}, 2, linear, "sum", "%f", "$M"},
                  "takes a filter that is not a parameter");
  expectBodyError({{"$M", "$M"}, 0, linear, "sum", "%f", "$M"},
                  "takes an input that differs among branches");
  expectBodyError({{"$M", "$M", "$M", "$M"},
                   1,
                   linear + "%a = grow.linear_grad_weight %f, %2 "
                            ": ($M, $M) -> $M",
                   "each",
                   "%a",
                   "$M"},
                  "reads another input or filter");
  expectBodyError({{"$M"},
                   0,
                   "%f = grow.linear_grad_input %0, %0 : ($M, $M) -> $M\n"
                   "%s = grow.channel_sum %0 : ($M) -> $V\n"
                   "%a = grow.bias_add %f, %s : ($M, $V) -> $M",
                   "sum",
                   "%a",
                   "$M"},
                  "takes a vector over channels that the body computes");
  expectBodyError({{"$M", "$M"},
                   1,
                   "%f = grow.linear %0, %1 : ($M, $M) -> $M\n"
                   "%g = grow.linear_grad_input %f, %1 : ($M, $M) -> $M",
                   "sum",
                   "%g",
                   "$M"},
                  "takes a gradient that depends on no argument");
}

TEST_F(BranchErrors, Yields) {
  expectBodyError({{"$M", "$M"}, 1, linear, "sum, mean", "%f, %f", "$M, $M"},
                  "joins more than one result");
  expectBodyError({{"$M", "$M"}, 1, linear, "each", "%f", "$M"},
                  "joins no result");
  const std::string weight =
      "%f = grow.linear_grad_weight %0, %1 : ($M, $M) -> $M\n";
  expectBodyError({{"$M", "$M"}, 2, weight, "sum", "%f", "$M"},
                  "joins gradients of parameters");
  expectBodyError({{"$M", "$M"}, 2, weight, "each, each", "%f, %f", "$M, $M"},
                  "yields the gradient of its filter twice");
  expectBodyError({{"$M", "$M"},
                   2,
                   weight + "%s = grow.scale %f by 0.5 : $M",
                   "each",
                   "%s",
                   "$M"},
                  "yields more than the gradient of a filter");
  expectBodyError({{"$M", "$M"},
                   2,
                   weight + "%s = grow.channel_sum %1 : ($M) -> $V",
                   "each",
                   "%s",
                   "$V"},
                  "does not yield the gradient of its filter");
  expectBodyError({{"$M", "$M"},
                   2,
                   weight + "%s = grow.channel_sum %f : ($M) -> $V",
                   "each, each",
                   "%f, %s",
                   "$M, $V"},
                  "feeds a gradient or a sum");
  expectBodyError({{"tensor<?x4xf32>", "tensor<?x3xf32>"},
                   2,
                   "%f = grow.linear_grad_weight %0, %1 : (tensor<?x4xf32>, "
                   "tensor<?x3xf32>) -> tensor<4x3xf32>\n"
                   "%s = grow.channel_sum %0 : (tensor<?x4xf32>) -> "
                   "tensor<4xf32>",
                   "each, each",
                   "%f, %s",
                   "tensor<4x3xf32>, tensor<4xf32>"},
                  "sums a tensor of other extents");
  expectBodyError({{"tensor<?x4xf32>", "tensor<4x3xf32>"},
                   1,
                   "%f = grow.linear %0, %1 : (tensor<?x4xf32>, "
                   "tensor<4x3xf32>) -> tensor<?x3xf32>",
                   "sum",
                   "%0",
                   "tensor<?x4xf32>"},
                  "yields a tensor of other extents");
}

TEST_F(BranchErrors, BitsOfGroups) {
  expectBodyError({{"$I", "$K"},
                   1,
                   "%f = grow.conv2d %0, %1 groups 2 : ($I, $K) -> $I\n"
                   "%s = grow.sign_bits %f : $I -> $B",
                   "sum, each",
                   "%f, %s",
                   "$I, $B"},
                  "has groups, whose bits do not begin at whole bytes");
}

//===----------------------------------------------------------------------===//
// Around the map
//===----------------------------------------------------------------------===//

struct BranchKernelErrors : BranchErrors {
  static std::string around(const std::string &before, const std::string &input,
                            const std::string &after,
                            const std::string &yields) {
    return "grow.kernel @k $S {\n^bb0(%x: $M, %v: $V, %w: $M):\n" + before +
           "\n%y, %z = grow.fused_map branches ? (" + input +
           ") over (%w) join (sum, each) : ($M, $M) -> ($M, $M) {\n"
           "^bb1(%in: $M, %f: $M):\n"
           "%0 = grow.linear %in, %f : ($M, $M) -> $M\n"
           "grow.yield %0, %0 : $M, $M\n}\n" +
           after + "\ngrow.yield " + yields + "\n}\n";
  }
  void
  expectKernelError(const std::string &text, const std::string &message,
                    const std::string &schedule = directSchedules().front()) {
    expectError(expand(text, schedule), message);
  }
};

TEST_F(BranchKernelErrors, WhatSurroundsTheMap) {
  expectKernelError(
      around("%r = grow.relu %x : $M", "%r", "", "%y, %z : $M, $M"),
      "takes a tensor that the kernel computes itself");
  expectKernelError(around("", "%x", "", "%z : $M"),
                    "yields nothing that its branches join");
  expectKernelError(around("", "%x", "%s = grow.channel_sum %y : ($M) -> $V",
                           "%s, %z : $V, $M"),
                    "cannot share a kernel with a grow.fused_map");
  expectKernelError(
      around("", "%x", "%r = grow.add %z, %y : $M", "%r, %z : $M, $M"),
      "takes a result of single branches");
  expectKernelError(around("", "%x", "", "%y, %v, %z : $M, $V, $M"),
                    "yields 'tensor<?xf32>' but its branches are joined to");
  expectKernelError(around("", "%x",
                           "%u = grow.relu %v : $V\n"
                           "%r = grow.bias_add %y, %u : ($M, $V) -> $M",
                           "%r, %z : $M, $M"),
                    "takes a vector over channels that the kernel computes");
}

TEST_F(BranchKernelErrors, GradientsOfParametersAlone) {
  const char *text = R"(
    grow.kernel @k $S {
    ^bb0(%x: $M, %dy: $M):
      %dw = grow.fused_map branches ? (%x, %dy) join (each) : ($M, $M) -> $M {
      ^bb1(%in: $M, %g: $M):
        %0 = grow.linear_grad_weight %in, %g : ($M, $M) -> $M
        grow.yield %0 : $M
      }
      %r = grow.relu %x : $M
      grow.yield %r, %dw : $M, $M
    })";
  expectKernelError(text, "yields more than its grow.fused_map gives");
}

TEST_F(BranchKernelErrors, Schedules) {
  std::string text = around("", "%x", "", "%y, %z : $M, $M");
  std::string sizes = "vectors = 1, tile = 1, tail_tile = 1";
  expectKernelError(text, "which does not suit its grow.fused_map",
                    "width = 8, " + sizes + ", winograd = 4");
  expectKernelError(text, "Winograd tiles of 3",
                    "width = 8, " + sizes + ", winograd = 3");
  expectKernelError(text, "vectors of 5", "width = 5, " + sizes);
  std::string bits = kernel({{"$M", "$M"},
                             1,
                             linear + "%s = grow.sign_bits %f : $M -> $C",
                             "sum, each",
                             "%f, %s",
                             "$M, $C"});
  bits.replace(bits.find("width = 8"), 9, "width = 4");
  expectError(bits, "bits need at least 8");
  expectError(expand(R"(grow.kernel @k $S {
                        ^bb0(%x: $M, %w: $M):
                          %0 = grow.linear %x, %w : ($M, $M) -> $M
                          grow.yield %0 : $M
                        })",
                     "width = 8, " + sizes + ", winograd = 4"),
              "only kernels over branches have");
}

TEST_F(BranchKernelErrors, WrongNumberOfExtents) {
  grow::KernelOp kernel = parse(expand(around("", "%x", "", "%y, %z : $M, $M"),
                                       directSchedules().front()));
  ASSERT_TRUE(kernel);
  EXPECT_TRUE(failed(grow::launchSizes(kernel, {1, 2})));
  EXPECT_NE(diagnostics.find("takes 10 extents, not 2"), std::string::npos)
      << diagnostics;
}

//===----------------------------------------------------------------------===//
// What has a kernel
//===----------------------------------------------------------------------===//

TEST_F(BranchErrors, MapsOfANetworkHaveSpecs) {
  ASSERT_FALSE(parse(R"(
    func.func @f(%x: tensor<?x8x8x4xf32>, %w: tensor<3x3x4x4xf32>)
        -> tensor<?x8x8x4xf32> {
      %y, %s:2 = grow.fused_map branches 2 (%x) over (%w, %w) join (mean, each)
          : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>, tensor<3x3x4x4xf32>)
            -> (tensor<?x8x8x4xf32>, tensor<?x8x8x4xi1>, tensor<?x8x8x4xi1>) {
      ^bb0(%in: tensor<?x8x8x4xf32>, %f: tensor<3x3x4x4xf32>):
        %0 = grow.conv2d %in, %f padding [1, 1]
            : (tensor<?x8x8x4xf32>, tensor<3x3x4x4xf32>) -> tensor<?x8x8x4xf32>
        %1 = grow.sign_bits %0 : tensor<?x8x8x4xf32> -> tensor<?x8x8x4xi1>
        grow.yield %0, %1 : tensor<?x8x8x4xf32>, tensor<?x8x8x4xi1>
      }
      return %y : tensor<?x8x8x4xf32>
    }
    grow.kernel @k {
    ^bb0(%x: tensor<?xf32>):
      %y = grow.relu %x : tensor<?xf32>
      grow.yield %y : tensor<?xf32>
    })") == nullptr);
  grow::FusedMapOp map;
  module->walk([&](grow::FusedMapOp op) { map = op; });
  mlir::FailureOr<BranchSpec> spec = grow::branchSpec(map);
  ASSERT_TRUE(succeeded(spec));
  EXPECT_EQ(spec->join, BranchSpec::Join::Mean);
  EXPECT_FALSE(spec->recompute);
  EXPECT_EQ(spec->contraction.padTop, 1);
  EXPECT_TRUE(grow::takesWinograd(map));
  EXPECT_TRUE(llvm::isa<grow::Conv2DOp>(grow::branchContraction(map)));
  EXPECT_EQ(grow::branchVectorWidth(map, 4), 8);
  EXPECT_EQ(grow::branchVectorWidth(map, 16), 16);
}

/// Only sums over branches of the gradient of the input itself, and linear
/// functions of it that all branches share.
TEST_F(BranchErrors, WinogradOfInputGradients) {
  auto takes = [&](const std::string &op, const std::string &join) {
    grow::KernelOp kernel =
        parse(this->kernel({{"$I", "$I", "$K"},
                            2,
                            "%g = grow.conv2d_grad_input %0, %2 padding [1, 1] "
                            ": ($I, $K) -> $I\n" +
                                op,
                            join,
                            "%h",
                            "$I"}));
    return kernel && grow::takesWinograd(kernel.getFusedMap());
  };
  EXPECT_TRUE(takes("%h = grow.scale %g by 0.5 : $I", "sum"));
  EXPECT_TRUE(takes("%h = grow.silu_grad %1, %g : $I", "mean"));
  EXPECT_TRUE(takes("%i = grow.relu_grad %1, %g : $I\n"
                    "%h = grow.add %g, %i : $I",
                    "sum"));
  EXPECT_FALSE(takes("%h = grow.scale %g by 0.5 : $I", "concat"));
  EXPECT_FALSE(takes("%h = grow.relu %g : $I", "sum"));
  EXPECT_FALSE(takes("%h = grow.add %g, %1 : $I", "sum"));
  EXPECT_FALSE(takes("%h = grow.silu_grad %g, %1 : $I", "sum"));
  EXPECT_FALSE(takes("%h = grow.mul %g, %g : $I", "sum"));
}

/// Signs must be packed by one instruction a register, not lane by lane.
TEST_F(BranchErrors, BitsArePackedByVectorInstructions) {
  grow::KernelOp kernel =
      parse(this->kernel({{"$M", "$M"},
                          1,
                          linear + "%s = grow.sign_bits %f : $M -> $C",
                          "sum, each",
                          "%f, %s",
                          "$M, $C"}));
  ASSERT_TRUE(kernel);
  mlir::OwningOpRef<mlir::ModuleOp> code(
      mlir::ModuleOp::create(kernel.getLoc()));
  ASSERT_TRUE(succeeded(grow::emitKernel(kernel, 8, *code)));
  std::string assembly = llvm::cantFail(emitAssembly(*code, Isa::AVX2));
  EXPECT_NE(assembly.find("vmovmskps"), std::string::npos);
}

} // namespace
