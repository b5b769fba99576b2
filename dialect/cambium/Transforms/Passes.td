//===- Passes.td - Passes of the grow dialect --------------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRANSFORMS_PASSES
#define CAMBIUM_TRANSFORMS_PASSES

include "mlir/Pass/PassBase.td"

def GrowCollapse : Pass<"grow-collapse", "::mlir::func::FuncOp"> {
  let summary = "Moves linear branches of maps to weight space";
  let description = [{
    A convolution or linear layer is linear in its weights, so the branches of a
    `grow.map` whose bodies are linear become one layer on a weight expression:
    sums of equal filters, of filters padded to a common window, concatenations,
    scaled branches, biases, nested maps, and 1x1 convolutions followed by
    another. The weight expression is differentiated like everything else, so
    each branch keeps its own gradient, parameters and optimizer group. Maps of
    the same input that are added collapse together.

    A remark on each branch, or each class of equal branches, that stays says
    why.
  }];
  let statistics = [
    Statistic<"numCollapsed", "collapsed-branches",
              "Branches moved to weight space">,
    Statistic<"numKept", "kept-branches", "Branches that stay branches">];
  let dependentDialects = ["::cambium::grow::GrowDialect"];
}

def GrowFuseMaps : Pass<"grow-fuse-maps", "::mlir::func::FuncOp"> {
  let summary = "Makes maps into kernels of any number of branches";
  let description = [{
    A `grow.map` becomes a `grow.fused_map` if its body is elementwise operations
    on the input, one convolution or linear layer whose filter is a parameter of
    the branch, and elementwise operations with the branch's own vectors. Maps of
    the same inputs that are added become one if their bodies are equal.

    Decides what each map keeps for its gradients, and says so by `keep`. One
    sign bit an element is enough for rectifiers; otherwise values are computed
    again. Maps that do not fuse keep nothing or, with `store`, all they compute.

    A remark on each map that does not fuse says why.
  }];
  let options = [
    Option<"keep", "keep", "::cambium::KeepPolicy",
           "::cambium::KeepPolicy::Auto",
           "What maps that do not say it keep for their gradients",
           "::cambium::grow::keepPolicyValues()">];
  let statistics = [
    Statistic<"numFused", "fused-branches", "Branches that share a kernel">,
    Statistic<"numJoined", "joined-maps",
              "Maps that have become part of another">,
    Statistic<"numUnfused", "unfused-branches",
              "Branches that are computed one by one">];
  let dependentDialects = ["::cambium::grow::GrowDialect"];
}

def GrowUnrollMaps : Pass<"grow-unroll-maps", "::mlir::func::FuncOp"> {
  let summary = "Replaces maps by their branches, one after the other";
  let description = [{
    What neither collapses nor fuses is computed branch by branch: the body is
    inlined for each tuple and the results are added (in order), scaled, or
    concatenated. What takes no parameter is the same in all branches and is
    computed once.

    If the map says `keep recompute` or `keep mask`, the operations of each
    branch get a number of its own as `grow.branch`. Differentiation computes
    them again instead of keeping their values.
  }];
  let dependentDialects = ["::cambium::grow::GrowDialect"];
}

def GrowInference : Pass<"grow-inference", "::mlir::func::FuncOp"> {
  let summary = "Puts layers in inference mode";
  let description = [{
    Batch normalisation then uses its running statistics. What only
    differentiation reads, `keep` and `grow.branch`, goes.
  }];
  let dependentDialects = ["::cambium::grow::GrowDialect"];
}

def GrowDifferentiate : Pass<"grow-differentiate", "::mlir::ModuleOp"> {
  let summary = "Makes a function of loss and gradients from a loss function";
  let description = [{
    Adds a function that computes what the loss function does and the gradient
    of its scalar result with respect to every `grow.param` of the module, by
    reverse-mode differentiation. Results: the loss, then one gradient for each
    parameter in order of declaration, marked by the result attribute
    `grow.gradient = @param`. A parameter that the loss does not depend on gets
    zeros, one marked `grow.frozen` gets none. Batch normalisation in training
    mode becomes statistics, normalisation, and a `grow.set` for each running
    statistic.

    The gradients of a `grow.fused_map` are two more: one for its inputs and one
    for its parameters. What they read of the branches' values the map yields, or
    they compute it again, as its `keep` says. Operations with a `grow.branch`
    are copied to where their gradients are built, behind a `grow.barrier`, and
    differentiated there, so that only what enters a branch is kept.

    Other maps must have been collapsed, fused or unrolled, and calls inlined.
  }];
  let options = [
    Option<"function", "function", "std::string", "\"loss\"",
           "The function to differentiate">,
    Option<"result", "result", "std::string", "\"step\"",
           "Name of the function to add">];
  let statistics = [
    Statistic<"numGradients", "gradients", "Parameters with a gradient">,
    Statistic<"numFrozen", "frozen-parameters",
              "Parameters that are not trained">,
    Statistic<"numUnused", "unused-parameters",
              "Parameters that the loss does not depend on">];
  let dependentDialects = ["::cambium::grow::GrowDialect",
                           "::mlir::func::FuncDialect"];
}

def GrowApplyUpdates : Pass<"grow-apply-updates", "::mlir::ModuleOp"> {
  let summary = "Turns gradient results into optimizer updates";
  let description = [{
    Removes the results marked `grow.gradient` from a function and adds
    `grow.update`s. Parameters with the same gradient, the branches of a
    collapsed sum, are updated together; their sum becomes a `grow.derived`
    that the update writes and every function reads.
  }];
  let options = [
    Option<"function", "function", "std::string", "\"step\"",
           "The function with gradients">];
  let statistics = [
    Statistic<"numDerived", "derived-sums", "Sums that updates keep">];
  let dependentDialects = ["::cambium::grow::GrowDialect"];
}

def GrowFormKernels : Pass<"grow-form-kernels", "::mlir::ModuleOp"> {
  let summary = "Outlines fused pieces of functions as kernels";
  let description = [{
    Each contraction takes the pointwise operations that follow it as its
    epilogue, pointwise operations with the same shape join, and every piece
    becomes a `grow.kernel` with extents taken at run time and a
    `grow.launch`. Equal kernels are one.
  }];
  let options = [
    Option<"vectorWidth", "vector-width", "int64_t", "8",
           "Lanes of a vector register in f32">,
    Option<"convAlgorithm", "conv-algorithm", "::cambium::ConvAlgorithm",
           "::cambium::ConvAlgorithm::Auto",
           "How kernels over branches compute 3x3 convolutions",
           "::cambium::grow::convAlgorithmValues()">,
    Option<"target", "target", "::cambium::TargetKind",
           "::cambium::TargetKind::Host", "What the kernels are made for",
           "::cambium::grow::targetKindValues()">,
    Option<"precision", "precision", "::cambium::Precision",
           "::cambium::Precision::Fp32",
           "What contractions on a CUDA device multiply",
           "::cambium::grow::precisionValues()">,
    Option<"convLibrary", "conv-library", "::cambium::ConvLibrary",
           "::cambium::ConvLibrary::Generated",
           "What computes contractions on a CUDA device; with cudnn, they take "
           "no epilogue",
           "::cambium::grow::convLibraryValues()">];
  let statistics = [
    Statistic<"numKernels", "kernels", "Distinct kernels">,
    Statistic<"numLaunches", "launches", "Kernel launches">,
    Statistic<"numFused", "fused-ops", "Operations fused into another's kernel">];
  let dependentDialects = ["::cambium::grow::GrowDialect"];
}

def GrowPlanMemory : Pass<"grow-plan-memory", "::mlir::ModuleOp"> {
  let summary = "Assigns every intermediate tensor a place in one arena";
  let description = [{
    Lifetimes follow from the order of launches; a buffer gets the lowest offset
    that no live buffer overlaps, largest first. Results of launches get the
    attribute `grow.offsets` in bytes, functions `grow.arena_bytes`. Sizes are
    linear in the batch; the plan is made for one batch size.
  }];
  let options = [
    Option<"batch", "batch", "int64_t", "1", "Batch size to plan for">,
    Option<"target", "target", "::cambium::TargetKind",
           "::cambium::TargetKind::Host", "What the kernels were made for",
           "::cambium::grow::targetKindValues()">,
    Option<"print", "print", "bool", "false",
           "Print a table of buffers, lifetimes and peak to standard error">];
  let statistics = [
    Statistic<"numBuffers", "buffers", "Buffers in arenas">];
  let dependentDialects = ["::cambium::grow::GrowDialect"];
}

def GrowLowerToLLVM : Pass<"grow-lower-to-llvm", "::mlir::ModuleOp"> {
  let summary = "Lowers kernels to the LLVM dialect";
  let description = [{
    Replaces each `grow.kernel` by the LLVM functions of its phases, vectorised
    for the given width, and removes everything else from the module.
  }];
  let options = [
    Option<"vectorWidth", "vector-width", "int64_t", "8",
           "Lanes of a vector register in f32">];
  let dependentDialects = [
    "::mlir::arith::ArithDialect", "::mlir::func::FuncDialect",
    "::mlir::LLVM::LLVMDialect", "::mlir::math::MathDialect",
    "::mlir::scf::SCFDialect", "::mlir::vector::VectorDialect"];
}

def GrowLowerToEmitC : Pass<"grow-lower-to-emitc", "::mlir::ModuleOp"> {
  let summary = "Lowers kernels to EmitC, for CUDA devices";
  let description = [{
    Replaces each `grow.kernel` by the `__global__` functions of its phases and
    the device functions that they need, and removes everything else from the
    module. `cambium-translate --grow-to-cuda` prints the result as CUDA C++.
  }];
  let dependentDialects = ["::mlir::arith::ArithDialect",
                           "::mlir::emitc::EmitCDialect",
                           "::mlir::func::FuncDialect",
                           "::mlir::math::MathDialect"];
}

#endif // CAMBIUM_TRANSFORMS_PASSES
