//===- Passes.td - Growth as passes ------------------------*- tablegen -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_GROWTH_PASSES
#define CAMBIUM_GROWTH_PASSES

include "mlir/Pass/PassBase.td"

class Growth_Pass<string flag> : Pass<flag, "::mlir::ModuleOp"> {
  let dependentDialects = ["::cambium::grow::GrowDialect",
                           "::mlir::func::FuncDialect"];
}

class Growth_Map : Option<"map", "map", "std::string", "",
                          "Name of the map">;

def GrowAddBranches : Growth_Pass<"grow-add-branches"> {
  let summary = "Adds branches to a map";
  let description = [{
    Every branch gets parameters of its own in the optimizer group, shaped as
    those of the map's first branch, and longer operand lists are all that
    changes in functions. With `kernel`, the new branches' filters have another
    window, padded so that the result keeps its shape; they go to a second map
    beside the first, `map.5x5`, whose result is added.

    New branches that copy others start with copies of their running statistics
    too: a private function `@carry` then says what states take from others.
  }];
  let options = [
    Growth_Map<>,
    Option<"count", "count", "unsigned", "1", "How many">,
    Option<"group", "group", "std::string", "",
           "Optimizer group of the new parameters, which is declared">,
    Option<"init", "init", "::cambium::Init::Kind",
           "::cambium::Init::Kind::Zero", "Initial values",
           "::cambium::grow::initValues()">,
    Option<"value", "value", "float", "0.0", "Value for `init=constant`">,
    Option<"branch", "branch", "unsigned", "0", "Branch for `init=copy`">,
    Option<"kernel", "kernel", "std::string", "",
           "Window of the new filters, as in 5x5">];
}

def GrowRemoveBranches : Growth_Pass<"grow-remove-branches"> {
  let summary = "Removes branches from a map";
  let description = [{
    Parameters and states that nothing reads any more go with the branches. The
    others keep their names and values. A sum or mean loses what the branches
    gave; of concatenations none is removed, since consumers read all of it.
  }];
  let options = [
    Growth_Map<>,
    ListOption<"branches", "branches", "unsigned",
               "Indices of the branches, from 0">];
}

def GrowMergeBranches : Growth_Pass<"grow-merge-branches"> {
  let summary = "Makes one branch of all branches of a map";
  let description = [{
    What `grow-collapse` does for every step, for good: the branches of a map,
    and of the maps beside it with other windows, become one layer with one
    filter and at most one bias, and the network computes the same. The map stays
    with one branch, so that it can grow again.

    The values of the new parameters are weight expressions of the old ones: sums
    of filters padded to the largest window, means, concatenations, products. A
    private function `@carry` has them: its arguments are values from before the
    growth, its results those after it. From the text alone a network starts anew,
    with the declared initial values.

    Fails, and says why, where the branches are not linear, or need less work
    apart than as one layer.
  }];
  let options = [
    Growth_Map<>,
    Option<"group", "group", "std::string", "",
           "Optimizer group of the new parameters; that of the first branch's "
           "if not given">];
}

def GrowReplaceFilterSize : Growth_Pass<"grow-replace-filter-size"> {
  let summary = "Gives branches filters of another size";
  let description = [{
    New parameters take the place of the filters, in their groups, and the padding
    changes so that results keep their shape. A larger filter has zeros around the
    old values, so that the network computes the same; a smaller one loses the
    border. `@carry` has the values. Some of a sum's branches go to a map beside
    the first, as new branches of another window do.
  }];
  let options = [
    Growth_Map<>,
    Option<"kernel", "kernel", "std::string", "\"3x3\"",
           "The new window, as in 5x5">,
    ListOption<"branches", "branches", "unsigned",
               "Indices of the branches, from 0; all if not given">];
}

def GrowInsertLayer : Growth_Pass<"grow-insert-layer"> {
  let summary = "Makes the network deeper";
  let description = [{
    Adds `y = x + second(relu(first(x) + bias))` behind a layer, its
    normalisation and its activation. `second` starts as zero, so that the network
    computes the same; `first` starts by Kaiming, so that `second` has a gradient.
    The new layer is a map of one branch, which can grow.
  }];
  let options = [
    Option<"after", "after", "std::string", "",
           "A map, or the parameter of a layer, to insert behind">,
    Option<"name", "name", "std::string", "", "Name of the new map">,
    Option<"group", "group", "std::string", "",
           "Optimizer group of the new parameters, which is declared">,
    Option<"kernel", "kernel", "std::string", "\"3x3\"",
           "Window of the first convolution, odd">];
}

def GrowWiden : Growth_Pass<"grow-widen"> {
  let summary = "Gives a layer more outputs";
  let description = [{
    The layer's filter becomes a `grow.weight_concat` of the old parameter and a
    new one in the given group. What reads the layer is widened with it: vectors
    over channels get new blocks, running statistics are replaced by wider ones
    that take over the old values (as `@carry` says), the other side of a sum gets
    zeros if it has no new channels, and the filters of convolutions and linear
    layers get rows of zeros for the new channels, which are parameters too. The
    network computes the same. No old parameter changes or is copied.

    Fails where new channels would reach the function's result, a convolution with
    groups, or an operation that has no rule.
  }];
  let options = [
    Option<"layer", "layer", "std::string", "",
           "The parameter of a layer, or a map">,
    Option<"count", "count", "int64_t", "1", "How many new outputs">,
    Option<"group", "group", "std::string", "",
           "Optimizer group of the new parameters, which is declared">,
    Option<"init", "init", "::cambium::Init::Kind",
           "::cambium::Init::Kind::Kaiming", "Initial values of new filters",
           "::cambium::grow::initValues()">,
    Option<"value", "value", "float", "0.0", "Value for `init=constant`">];
}

def GrowSplitNeurons : Growth_Pass<"grow-split-neurons"> {
  let summary = "Splits outputs of a layer in two";
  let description = [{
    Widens a layer by copies of outputs: the new filters, vectors and statistics are
    those of the old, and of the weights by which others take an output in the old
    one keeps three quarters and the copy gets the rest. The network computes the
    same, and the unequal shares give the two gradients that differ. Chen et al.,
    "Net2Net", 2016. `@carry` has the values, those of old parameters that change
    among them.
  }];
  let options = [
    Option<"layer", "layer", "std::string", "",
           "The parameter of a layer, or a map">,
    ListOption<"neurons", "neurons", "unsigned",
               "Indices of the outputs, from 0">,
    Option<"group", "group", "std::string", "",
           "Optimizer group of the new parameters, which is declared">];
}

class Growth_SelectPass<string flag> : Growth_Pass<flag> {
  let options = [
    ListOption<"groups", "groups", "std::string",
               "Optimizer groups, whose parameters are meant">,
    ListOption<"maps", "maps", "std::string",
               "Maps, all of whose branches' parameters are meant">,
    ListOption<"params", "params", "std::string", "Parameters">];
}

def GrowFreeze : Growth_SelectPass<"grow-freeze"> {
  let summary = "Stops the training of parameters";
  let description = [{
    Marks `grow.param`s with `grow.frozen`. `grow-differentiate` then makes no
    gradient for them, and of what lies before them only what other parameters
    need. Values, optimizer state and step counts stay as they are; running
    statistics move on.
  }];
}

def GrowThaw : Growth_SelectPass<"grow-thaw"> {
  let summary = "Goes on with the training of frozen parameters";
  let description = [{
    Takes the mark `grow.frozen` away. The optimizer's state is what it was when
    they were frozen.
  }];
}

#endif // CAMBIUM_GROWTH_PASSES
