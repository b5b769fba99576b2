//===- GrowAttributes.td - Attributes and enums ------------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_IR_GROWATTRIBUTES
#define CAMBIUM_IR_GROWATTRIBUTES

include "cambium/IR/GrowDialect.td"
include "mlir/IR/AttrTypeBase.td"
include "mlir/IR/EnumAttr.td"

class Grow_Attr<string name, string attrMnemonic, list<Trait> traits = []>
    : AttrDef<Grow_Dialect, name, traits> {
  let mnemonic = attrMnemonic;
}

class Grow_Real<string default = ""> : AttrParameter<
    "::cambium::grow::Real", "a real number", "double"> {
  let parser = "::cambium::grow::parseReal($_parser)";
  let printer = "::cambium::grow::printReal($_printer, $_self)";
  let defaultValue = default;
}

//===----------------------------------------------------------------------===//
// Optimizers
//===----------------------------------------------------------------------===//

def Grow_SgdAttr : Grow_Attr<"Sgd", "sgd"> {
  let summary = "Stochastic gradient descent";
  let description = [{
    With gradient `g`, weight `w`, momentum buffer `m`:

    ```
    g' = g + weight_decay * w
    m' = momentum * m + g'
    w' = w - lr * (nesterov ? g' + momentum * m' : m')
    ```

    Example: `#grow.sgd<momentum = 0.9, nesterov = true>`
  }];
  let parameters = (ins Grow_Real<"0.0">:$momentum,
                        DefaultValuedParameter<"bool", "false">:$nesterov);
  let assemblyFormat = "(`<` struct(params)^ `>`)?";
}

def Grow_AdamWAttr : Grow_Attr<"AdamW", "adamw"> {
  let summary = "AdamW: Adam with decoupled weight decay";
  let description = [{
    Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019. At
    step `t`, counted for each parameter from its birth:

    ```
    m' = beta1 * m + (1 - beta1) * g
    v' = beta2 * v + (1 - beta2) * g * g
    w' = w - lr * weight_decay * w
           - lr * (m' / (1 - beta1^t)) / (sqrt(v' / (1 - beta2^t)) + epsilon)
    ```

    Example: `#grow.adamw<beta1 = 0.9, beta2 = 0.999>`
  }];
  let parameters = (ins Grow_Real<"0.9">:$beta1,
                        Grow_Real<"0.999">:$beta2,
                        Grow_Real<"1e-8">:$epsilon);
  let assemblyFormat = "(`<` struct(params)^ `>`)?";
}

def Grow_OptimizerAttr : AnyAttrOf<[Grow_SgdAttr, Grow_AdamWAttr],
    "an optimizer: #grow.sgd or #grow.adamw">;

//===----------------------------------------------------------------------===//
// Initial values
//===----------------------------------------------------------------------===//

def Grow_ZeroAttr : Grow_Attr<"Zero", "zero"> {
  let summary = "All elements are 0";
}

def Grow_KaimingAttr : Grow_Attr<"Kaiming", "kaiming"> {
  let summary = "Normal values scaled for rectified layers";
  let description = [{
    Mean 0 and standard deviation `sqrt(2 / fan_in)`, where `fan_in` is the
    product of all extents but the last. He et al., "Delving Deep into
    Rectifiers", 2015.
  }];
}

def Grow_ConstantAttr : Grow_Attr<"Constant", "constant"> {
  let summary = "All elements are one value";
  let parameters = (ins Grow_Real<>:$value);
  let assemblyFormat = "`<` $value `>`";
}

def Grow_CopyAttr : Grow_Attr<"Copy", "copy"> {
  let summary = "The values another parameter has at that moment";
  let parameters = (ins "::mlir::FlatSymbolRefAttr":$source);
  let assemblyFormat = "`<` $source `>`";
}

def Grow_InitAttr : AnyAttrOf<
    [Grow_ZeroAttr, Grow_KaimingAttr, Grow_ConstantAttr, Grow_CopyAttr],
    "initial values: #grow.zero, #grow.kaiming, #grow.constant or #grow.copy">;

//===----------------------------------------------------------------------===//
// Kernels
//===----------------------------------------------------------------------===//

def Grow_TileOrderParameter : AttrParameter<"::cambium::TileOrder",
    "what the rows and vectors of a tile are: rows, columns or planes"> {
  let parser = "::cambium::grow::parseTileOrder($_parser)";
  let printer = "$_printer << ::cambium::tileOrderName($_self)";
  let defaultValue = "::cambium::TileOrder::Rows";
}

def Grow_RegisterTileAttr : Grow_Attr<"RegisterTile", "register_tile"> {
  let summary = "How a contraction kernel uses vector registers";
  let description = [{
    The inner loop holds `tile` times `vectors` accumulators of `width` lanes. Up
    to two tiles of `tail_tile` rows end a run of rows where that saves work.
    With `winograd = m` the products are those of Winograd's algorithm
    F(m x m, 3 x 3) (Lavin and Gray, "Fast Algorithms for Convolutional Neural
    Networks", 2016).

    The vectors of `order = rows` are channels, and the rows of its tiles are
    neighbouring pixels of an image's row. Those of `order = columns` are pixels
    of one column, in neighbouring rows and images: small images fill whole tiles.
    With `order = planes` the vectors are pixels, and the rows are channels, which
    suits results of few channels.
  }];
  let parameters = (ins "int64_t":$width, "int64_t":$vectors, "int64_t":$tile,
                        "int64_t":$tail_tile,
                        DefaultValuedParameter<"int64_t", "0">:$winograd,
                        Grow_TileOrderParameter:$order);
  let assemblyFormat = "`<` struct(params) `>`";
}

def Grow_PrecisionParameter : AttrParameter<"::cambium::Precision",
    "what contractions multiply: fp32, tf32 or bf16"> {
  let parser = "::cambium::grow::parsePrecision($_parser)";
  let printer = "$_printer << ::cambium::precisionName($_self)";
}

def Grow_BlockTileAttr : Grow_Attr<"BlockTile", "block_tile"> {
  let summary = "How a contraction kernel uses the thread blocks of a GPU";
  let description = [{
    A block of `warps_m` times `warps_n` warps computes `m` rows by `n` columns
    of the product, `k` of the summed index at a time, with `stages` such pieces
    on their way into shared memory. Rows are output pixels, or for the gradient
    of a filter its taps and input channels. The pixels are a patch of one image,
    `patch_h` rows of `patch_w`, whose inputs stay in shared memory for all taps
    and branches; with `patch_h = 0` they are any `m` pixels in order, gathered
    for each tap.
  }];
  let parameters = (ins "int64_t":$m, "int64_t":$n, "int64_t":$k,
                        "int64_t":$warps_m, "int64_t":$warps_n,
                        "int64_t":$stages, "int64_t":$patch_h,
                        "int64_t":$patch_w,
                        Grow_PrecisionParameter:$precision);
  let assemblyFormat = "`<` struct(params) `>`";
}

//===----------------------------------------------------------------------===//
// Enums
//===----------------------------------------------------------------------===//

def Grow_Reduction : I32EnumAttr<"Reduction", "how a map joins its branches", [
    I32EnumAttrCase<"Sum", 0, "sum">,
    I32EnumAttrCase<"Mean", 1, "mean">,
    I32EnumAttrCase<"Concat", 2, "concat">]> {
  let cppNamespace = "::cambium::grow";
  let genSpecializedAttr = 0;
}

def Grow_ReductionAttr : EnumAttr<Grow_Dialect, Grow_Reduction, "reduction">;

def Grow_Join : I32EnumAttr<"Join",
    "how a fused map gives what its body yields", [
    I32EnumAttrCase<"Sum", 0, "sum">,
    I32EnumAttrCase<"Mean", 1, "mean">,
    I32EnumAttrCase<"Concat", 2, "concat">,
    I32EnumAttrCase<"Each", 3, "each">]> {
  let cppNamespace = "::cambium::grow";
  let genSpecializedAttr = 0;
}

def Grow_JoinAttr : EnumAttr<Grow_Dialect, Grow_Join, "join">;

def Grow_Keep : I32EnumAttr<"Keep",
    "what a map keeps of its branches for the backward pass", [
    I32EnumAttrCase<"Mask", 0, "mask">,
    I32EnumAttrCase<"Recompute", 1, "recompute">,
    I32EnumAttrCase<"Store", 2, "store">]> {
  let cppNamespace = "::cambium::grow";
  let genSpecializedAttr = 0;
}

def Grow_KeepAttr : EnumAttr<Grow_Dialect, Grow_Keep, "keep">;

#endif // CAMBIUM_IR_GROWATTRIBUTES
