//===- GrowDialect.td - The grow dialect -------------------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWDIALECT
#define CAMBIUM_IR_GROWDIALECT

include "mlir/IR/OpBase.td"

def Grow_Dialect : Dialect {
  let name = "grow";
  let cppNamespace = "::cambium::grow";
  let summary = "Neural networks that grow while they train";
  let description = [{
    The dialect describes networks whose layers gain branches during training.
    Parameters and optimizer groups are symbols of the module, layers are
    operations on tensors in functions, and `grow.map` applies one body to a
    list of parameter tuples: growing is appending a tuple.

    Conventions shared by all operations:

    * Activations are `NHWC`, filters `HWCF` (height, width, input channels of a
      group, filters), matrices of linear layers `[inputs, outputs]`.
    * Element type is `f32`; class labels are `i32`. The first dimension of an
      activation is the batch and may be dynamic.
    * `grow.get` yields a symbol's value at the entry of the function;
      `grow.set` and `grow.update` take effect when the function returns. A
      function therefore sees one consistent set of parameters.
  }];
  let useDefaultAttributePrinterParser = 1;
}

#endif // CAMBIUM_IR_GROWDIALECT
