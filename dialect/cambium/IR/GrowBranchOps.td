//===- GrowBranchOps.td - Branches that are one kernel -----*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWBRANCHOPS
#define CAMBIUM_IR_GROWBRANCHOPS

include "cambium/IR/GrowBase.td"

def Grow_FusedMapOp : Grow_Op<"fused_map",
    [AttrSizedOperandSegments, IsolatedFromAbove, SingleBlock,
     RecursiveMemoryEffects]> {
  let summary = "A map that one kernel computes";
  let description = [{
    What `grow.map` and its gradients become when all branches share a kernel.
    The body computes one branch. Its arguments are the inputs, which all
    branches read; the branch's range of each sliced input, an equal part of
    the last dimension; and the branch's own tuple of parameters.

    Every value that the body yields has a join: `sum`, `mean` or `concat` over
    the branches give one result, `each` gives one result for every branch.
    Results are in the order of the yields. Operands after `over` are the tuples,
    branch after branch.

    `keep` says what differentiation makes the map yield `each` for its
    gradients, as in `grow.map`; without it, nothing.

    In a `grow.kernel` the number of branches is `?`: it comes with the launch.
    There is one tuple then, and one result for each yield.

    Example:

    ```mlir
    %y, %bits:2 = grow.fused_map branches 2 (%x) over (%w0, %w1) join (sum, each)
        : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>, tensor<3x3x16x32xf32>)
          -> (tensor<?x28x28x32xf32>, tensor<?x28x28x32xi1>, tensor<?x28x28x32xi1>) {
    ^bb0(%in: tensor<?x28x28x16xf32>, %w: tensor<3x3x16x32xf32>):
      %c = grow.conv2d %in, %w padding [1, 1]
          : (tensor<?x28x28x16xf32>, tensor<3x3x16x32xf32>) -> tensor<?x28x28x32xf32>
      %r = grow.relu %c : tensor<?x28x28x32xf32>
      %s = grow.sign_bits %c : tensor<?x28x28x32xf32> -> tensor<?x28x28x32xi1>
      grow.yield %r, %s : tensor<?x28x28x32xf32>, tensor<?x28x28x32xi1>
    }
    ```
  }];
  let arguments = (ins I64Attr:$branches,
                       TypedArrayAttrBase<Grow_JoinAttr, "joins">:$joins,
                       Variadic<Grow_TensorOrBits>:$inputs,
                       Variadic<Grow_Tensor>:$slices,
                       Variadic<Grow_TensorOrBits>:$params,
                       OptionalAttr<Grow_KeepAttr>:$keep);
  let results = (outs Variadic<Grow_TensorOrBits>:$results);
  let regions = (region SizedRegion<1>:$body);
  let assemblyFormat = [{
    `branches` custom<Branches>($branches) ` ` `(` $inputs `)`
    (`sliced` ` ` `(` $slices^ `)`)? (`over` ` ` `(` $params^ `)`)?
    `join` custom<Joins>($joins) (`keep` `` $keep^)? attr-dict `:`
    functional-type(operands, results) $body
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    /// True if the number of branches comes with a launch.
    bool hasDynamicBranches() {
      return ::mlir::ShapedType::isDynamic(getBranches());
    }
    /// Tuples among the operands: one if the number of branches is dynamic.
    int64_t getNumTuples() { return hasDynamicBranches() ? 1 : getBranches(); }
    /// Number of operands in a tuple.
    int64_t getTupleSize() {
      return getBody().getNumArguments() - getInputs().size() -
             getSlices().size();
    }
    ::mlir::ValueRange getTuple(int64_t branch) {
      return ::mlir::ValueRange(getParams())
          .slice(branch * getTupleSize(), getTupleSize());
    }
    Join getJoin(unsigned yield) {
      return ::llvm::cast<JoinAttr>(getJoins()[yield]).getValue();
    }
    ::mlir::OperandRange getYielded();
    /// The results of one yield: all branches' for `each`, else one.
    ::mlir::ResultRange getResultsOf(unsigned yield);
    /// The type that a yield's results have.
    static ::mlir::RankedTensorType joinedType(::mlir::RankedTensorType branch,
                                               Join join, int64_t branches);
  }];
}

def Grow_SignBitsOp : Grow_Op<"sign_bits",
    [Pure, Grow_Pointwise, ParentOneOf<["FusedMapOp"]>]> {
  let summary = "Which elements are positive";
  let description = [{
    `y = x > 0`. In memory a pixel's bits are packed eight to a byte, the first
    channel in the lowest bit, and each pixel begins a new byte.

    Example:

    ```mlir
    %s = grow.sign_bits %x : tensor<?x28x28x32xf32> -> tensor<?x28x28x32xi1>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input);
  let results = (outs Grow_Bits:$result);
  let assemblyFormat = "$input attr-dict `:` type($input) `->` type($result)";
  let hasVerifier = 1;
}

def Grow_BitsGradOp : Grow_Op<"bits_grad",
    [Pure, Grow_Pointwise, ParentOneOf<["FusedMapOp"]>,
     AllTypesMatch<["gradient", "result"]>]> {
  let summary = "Gradient of relu or leaky_relu, from sign bits";
  let description = [{
    The gradient where the bit is set, elsewhere `slope` times the gradient: the
    same values as `grow.relu_grad` and `grow.leaky_relu_grad` give.

    Example:

    ```mlir
    %dx = grow.bits_grad %s, %dy slope 0.0 : tensor<?x28x28x32xi1>, tensor<?x28x28x32xf32>
    ```
  }];
  let arguments = (ins Grow_Bits:$bits, Grow_Tensor:$gradient,
                       F64Attr:$slope);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = [{
    $bits `,` $gradient `slope` $slope attr-dict `:` type($bits) `,`
    type($gradient)
  }];
  let hasVerifier = 1;
}

def Grow_BarrierOp : Grow_Op<"barrier",
    [Pure, AllTypesMatch<["input", "result"]>]> {
  let summary = "The same value, but not before another";
  let description = [{
    The input, available only once `after` is. What is computed from the result
    is computed anew, however like it is to what was computed before, so that a
    gradient can be made from recomputed values instead of stored ones. No kernel
    computes it: the result is the input's memory.

    Example:

    ```mlir
    %again = grow.barrier %x after %dy : tensor<?x28x28x16xf32>, tensor<?x28x28x32xf32>
    ```
  }];
  let arguments = (ins Grow_Tensor:$input, Grow_Tensor:$after);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = [{
    $input `after` $after attr-dict `:` type($input) `,` type($after)
  }];
}

#endif // CAMBIUM_IR_GROWBRANCHOPS
