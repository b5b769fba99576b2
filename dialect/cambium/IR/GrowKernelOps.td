//===- GrowKernelOps.td - Kernels and launches -------------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWKERNELOPS
#define CAMBIUM_IR_GROWKERNELOPS

include "cambium/IR/GrowBase.td"

def Grow_KernelOp : Grow_Op<"kernel",
    [Symbol, IsolatedFromAbove, SingleBlock]> {
  let summary = "A fused piece of a step that is compiled as one";
  let description = [{
    The body is what the kernel computes; `schedule` says how on a host, `blocks`
    how on a CUDA device. Extents that the
    machine code takes at run time are dynamic in the body's types, so kernels
    that differ in nothing else are the same text, and are compiled once.

    A kernel may hold one `grow.fused_map`, with a number of branches that comes
    with the launch. The map's parameters are then the kernel's last arguments
    and what it gives for each branch the kernel's last results.

    Example:

    ```mlir
    grow.kernel @conv2d schedule <width = 8, vectors = 2, tile = 6, tail_tile = 4> {
    ^bb0(%x: tensor<?x?x?x?xf32>, %w: tensor<3x3x?x?xf32>, %b: tensor<?xf32>):
      %c = grow.conv2d %x, %w padding [1, 1]
          : (tensor<?x?x?x?xf32>, tensor<3x3x?x?xf32>) -> tensor<?x?x?x?xf32>
      %y = grow.bias_add %c, %b : (tensor<?x?x?x?xf32>, tensor<?xf32>) -> tensor<?x?x?x?xf32>
      grow.yield %y : tensor<?x?x?x?xf32>
    }
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       OptionalAttr<Grow_RegisterTileAttr>:$schedule,
                       OptionalAttr<Grow_BlockTileAttr>:$blocks);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    $sym_name (`schedule` $schedule^)? (`blocks` $blocks^)?
    attr-dict-with-keyword $body
  }];
  let builders = [OpBuilder<(ins "::llvm::StringRef":$name)>];
  let extraClassDeclaration = [{
    /// The kernel's text under a common name: equal kernels have equal text.
    std::string getContent();
    /// The map over branches in the body, null if there is none.
    FusedMapOp getFusedMap();
    /// Number of results for each branch.
    int64_t getNumEach();
  }];
  let hasRegionVerifier = 1;
}

def Grow_OptimizerOp : Grow_Op<"optimizer", [ParentOneOf<["KernelOp"]>]> {
  let summary = "Optimizer update of a run-time list of parameters";
  let description = [{
    The body of an update kernel. The gradient is read once for all parameters
    of the launch's `updates` list; `sum` writes the sum of their new values,
    `accumulate` adds it to what is there.

    Example:

    ```mlir
    grow.optimizer #grow.sgd<momentum = 0.9> sum by %g : tensor<?xf32>
    ```
  }];
  let arguments = (ins Grow_OptimizerAttr:$optimizer, UnitAttr:$sum,
                       UnitAttr:$accumulate, Grow_Tensor:$gradient);
  let assemblyFormat = [{
    $optimizer (`sum` $sum^)? (`accumulate` $accumulate^)? `by` $gradient
    attr-dict `:` type($gradient)
  }];
}

def Grow_LaunchOp : Grow_Op<"launch",
    [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Runs a kernel";
  let description = [{
    Operands and results are whole buffers. `updates` lists the parameters that
    an optimizer kernel updates in place and `into` the derived sum it writes.
    With `branches`, the operands and results of a kernel over branches are those
    that all branches share, then each branch's in turn.

    Example:

    ```mlir
    %y = grow.launch @conv2d(%x, %w, %b)
        : (tensor<?x28x28x1xf32>, tensor<3x3x1x16xf32>, tensor<16xf32>) -> tensor<?x28x28x16xf32>
    grow.launch @sgd(%dw) updates [@b0.w, @b1.w] into @sum0 : (tensor<3x3x1x16xf32>) -> ()
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$kernel, Variadic<AnyRankedTensor>:$operands,
                       OptionalAttr<I64Attr>:$branches,
                       OptionalAttr<FlatSymbolRefArrayAttr>:$updates,
                       OptionalAttr<FlatSymbolRefAttr>:$derived);
  let results = (outs Variadic<AnyRankedTensor>:$results);
  let assemblyFormat = [{
    $kernel `(` $operands `)` (`branches` $branches^)? (`updates` $updates^)? (`into` $derived^)?
    attr-dict `:` functional-type($operands, $results)
  }];
}

#endif // CAMBIUM_IR_GROWKERNELOPS
