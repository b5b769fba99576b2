//===- Growth.h - Ways in which a network grows -----------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// Each growth is plain data; cambium/Growth/Rewrites.h has what carries it out.
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_GROWTH_H
#define CAMBIUM_GROWTH_H

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace cambium {

/// Initial values of new parameters.
struct Init {
  enum class Kind { Zero, Kaiming, Constant, Copy };
  static Init zero() { return {Kind::Zero, 0.0f, 0}; }
  /// Normal with standard deviation sqrt(2 / fan in) (He et al., 2015).
  static Init kaiming() { return {Kind::Kaiming, 0.0f, 0}; }
  static Init constant(float value) { return {Kind::Constant, value, 0}; }
  /// The values of the map's branch with this index; shapes must agree.
  static Init copy(unsigned branch) { return {Kind::Copy, 0.0f, branch}; }

  Kind kind = Kind::Zero;
  float value = 0.0f;
  unsigned branch = 0;
};

/// Adds `count` branches to the map called `map`. Every branch gets parameters
/// of its own, shaped as those of the map's first branch; with `kernel`, the
/// filters of the new branches have another size, padded so that the result
/// keeps its shape.
struct AddBranches {
  std::string map;
  unsigned count = 1;
  /// Name of the optimizer group of the new parameters.
  std::string group;
  Init init = Init::zero();
  std::optional<std::array<int64_t, 2>> kernel = std::nullopt;
};

/// Removes the branches with these indices, and the parameters that only they
/// read. What a sum or mean computes changes by what they gave; a
/// concatenation's branches cannot be removed, since its consumers read them.
struct RemoveBranches {
  std::string map;
  std::vector<unsigned> branches;
};

/// Makes one branch of all branches of a map, and of those beside it that have
/// another window: one convolution or linear layer, with a bias if they have
/// one, whose new parameters take the sums (means, concatenations, products) of
/// the old ones. The branches must be linear, and share no parameter with other
/// layers. The function that the network computes stays the same.
struct MergeBranches {
  std::string map;
  /// Optimizer group of the new parameters; that of the first old one if empty.
  std::string group = "";
};

/// Gives branches filters of another size, padded so that the result keeps its
/// shape. New parameters, in the groups of the old ones, take the old values:
/// with zeros around them, so that the function that the network computes stays
/// the same, or without their border.
struct ReplaceFilterSize {
  std::string map;
  std::array<int64_t, 2> kernel = {3, 3};
  /// Indices of the branches; all if empty. Some of a sum's branches go to a
  /// map beside the first.
  std::vector<unsigned> branches = {};
};

/// Makes the network deeper by `y = x + second(relu(first(x) + bias))`, where
/// `second` starts as zero, so that the function it computes stays the same.
/// `first` keeps the channels and has a window of `kernel`, `second` one of
/// 1x1; where activations are matrices both are linear layers. The two are a
/// map called `name` with one branch, which can grow.
struct InsertLayer {
  /// A map, or the parameter that a layer reads; the new layer comes behind it
  /// and behind the normalisation and the activation that follow.
  std::string after;
  std::string name;
  /// Optimizer group of the new parameters.
  std::string group;
  std::array<int64_t, 2> kernel = {3, 3};
};

/// Gives a layer `count` more outputs. Its new filters are a parameter of their
/// own, and so are the rows by which what reads the layer takes the new
/// channels in; these start as zero, so that the function that the network
/// computes stays the same. Old parameters stay as they are. Channels pass
/// activations, vectors over channels, batch norms, pooling, concatenations,
/// maps, and sums, whose other side gets zeros if it has no new channels.
struct Widen {
  /// The parameter that a layer reads as its filter or matrix, or a map, all of
  /// whose branches become wider.
  std::string layer;
  int64_t count = 1;
  /// Optimizer group of the new parameters.
  std::string group;
  /// Of the new filters: zero, constant or Kaiming.
  Init init = Init::kaiming();
};

/// Splits outputs of a layer in two. A copy has the incoming weights, and a
/// quarter of the outgoing ones, of which the old neuron keeps the rest: the
/// function that the network computes stays the same, and the two have
/// gradients that differ (Chen et al., "Net2Net", 2016, with unequal shares
/// instead of noise). The copies' weights are parameters of their own; those of
/// what reads the layer must be single parameters that nothing else reads.
struct SplitNeurons {
  /// As in Widen.
  std::string layer;
  /// Indices of the outputs, of every branch if the layer is a map.
  std::vector<unsigned> neurons;
  /// Optimizer group of the new parameters.
  std::string group;
};

/// The parameters of groups, those that maps' branches read, and single ones,
/// by name.
struct ParameterSelection {
  std::vector<std::string> groups, maps, parameters;
};

} // namespace cambium

#endif // CAMBIUM_GROWTH_H
