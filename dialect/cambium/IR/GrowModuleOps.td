//===- GrowModuleOps.td - Groups, parameters and state -----*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWMODULEOPS
#define CAMBIUM_IR_GROWMODULEOPS

include "cambium/IR/GrowBase.td"

def Grow_GroupOp : Grow_Op<"group", [Symbol]> {
  let summary = "An optimizer group";
  let description = [{
    Parameters of a group share an optimizer and its rates. `lr` and
    `weight_decay` are the values at the start; they are read from memory at
    run time, so changing them compiles nothing.

    Example:

    ```mlir
    grow.group @base {optimizer = #grow.sgd<momentum = 0.9>, lr = 0.05,
                      weight_decay = 5.0e-4}
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name,
                       Grow_OptimizerAttr:$optimizer,
                       F64Attr:$lr,
                       DefaultValuedAttr<F64Attr, "0.0">:$weight_decay);
  let assemblyFormat = "$sym_name attr-dict";
  let hasVerifier = 1;
}

def Grow_ParamOp : Grow_Op<"param",
    [Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A trained parameter";
  let description = [{
    Declares a parameter of static shape in an optimizer group. Its values and
    its optimizer state live in the runtime's parameter store at an address that
    never changes.

    Example:

    ```mlir
    grow.param @conv.w : tensor<3x3x16x32xf32> in @base init(#grow.kaiming)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Grow_Tensor>:$type,
                       FlatSymbolRefAttr:$group, Grow_InitAttr:$init);
  let assemblyFormat = [{
    $sym_name `:` $type `in` $group `init` `(` $init `)` attr-dict
  }];
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() {
      return ::llvm::cast<::mlir::RankedTensorType>(getType());
    }
  }];
}

def Grow_StateOp : Grow_Op<"state",
    [Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "State that is not trained";
  let description = [{
    Values that the network keeps between steps without a gradient, such as
    running statistics.

    Example:

    ```mlir
    grow.state @bn.mean : tensor<32xf32> init(#grow.zero)
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Grow_Tensor>:$type,
                       Grow_InitAttr:$init);
  let assemblyFormat = "$sym_name `:` $type `init` `(` $init `)` attr-dict";
  let hasVerifier = 1;
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() {
      return ::llvm::cast<::mlir::RankedTensorType>(getType());
    }
  }];
}

def Grow_DerivedOp : Grow_Op<"derived",
    [Symbol, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "A sum of parameters that is kept up to date";
  let description = [{
    The value is the sum of the named parameters, which have the same shape. It
    is computed when parameters change from outside, and written by the
    optimizer update of its terms, so that a step reads one filter however many
    branches it stands for.

    Example:

    ```mlir
    grow.derived @sum0 : tensor<3x3x16x32xf32> sum [@b0.w, @b1.w]
    ```
  }];
  let arguments = (ins SymbolNameAttr:$sym_name, TypeAttrOf<Grow_Tensor>:$type,
                       FlatSymbolRefArrayAttr:$terms);
  let assemblyFormat = "$sym_name `:` $type `sum` $terms attr-dict";
  let extraClassDeclaration = [{
    ::mlir::RankedTensorType getTensorType() {
      return ::llvm::cast<::mlir::RankedTensorType>(getType());
    }
  }];
}

def Grow_GetOp : Grow_Op<"get",
    [Pure, DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "The value of a parameter or a state";
  let description = [{
    Yields the value at the entry of the function.

    Example:

    ```mlir
    %w = grow.get @conv.w : tensor<3x3x16x32xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$symbol);
  let results = (outs Grow_Tensor:$result);
  let assemblyFormat = "$symbol attr-dict `:` type($result)";
}

def Grow_SetOp : Grow_Op<"set",
    [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Sets a state";
  let description = [{
    Takes effect when the function returns. At most one for each state.

    Example:

    ```mlir
    grow.set @bn.mean, %mean : tensor<32xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefAttr:$symbol, Grow_Tensor:$value);
  let assemblyFormat = "$symbol `,` $value attr-dict `:` type($value)";
}

def Grow_UpdateOp : Grow_Op<"update",
    [DeclareOpInterfaceMethods<SymbolUserOpInterface>]> {
  let summary = "Optimizer update of parameters with one gradient";
  let description = [{
    Updates every named parameter and its optimizer state by its group's
    optimizer. All have the gradient's shape and are trained by it alone: the
    branches of a collapsed sum share one gradient, which is read once. With
    `into`, the sum of the new values is written to a `grow.derived`. Takes
    effect when the function returns.

    Example:

    ```mlir
    grow.update [@b0.w, @b1.w] by %dw into @sum0 : tensor<3x3x16x32xf32>
    ```
  }];
  let arguments = (ins FlatSymbolRefArrayAttr:$params, Grow_Tensor:$gradient,
                       OptionalAttr<FlatSymbolRefAttr>:$derived);
  let assemblyFormat = [{
    $params `by` $gradient (`into` $derived^)? attr-dict `:` type($gradient)
  }];
}

#endif // CAMBIUM_IR_GROWMODULEOPS
