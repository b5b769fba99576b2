//===- NetworkText.h - Names in a network's IR -*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TRAIN_NETWORKTEXT_H
#define CAMBIUM_TRAIN_NETWORKTEXT_H

#include <string>
#include <utility>
#include <vector>

namespace cambium::train {

struct GroupDeclaration {
  std::string name;
  /// For people, such as "sgd, momentum 0.9".
  std::string optimizer;
  double weightDecay = 0.0;
};

/// The optimizer groups declared in a network's printed IR, in order.
std::vector<GroupDeclaration> groups(const std::string &ir);

struct MapDeclaration {
  std::string name;
  /// Whether the body has a ReLU, behind which a filter of zeros never learns.
  bool rectified = false;
};

/// The maps in a network's printed IR, in order, each once.
std::vector<MapDeclaration> maps(const std::string &ir);

/// Every parameter of a network's printed IR and its group.
std::vector<std::pair<std::string, std::string>>
parameterGroups(const std::string &ir);

} // namespace cambium::train

#endif // CAMBIUM_TRAIN_NETWORKTEXT_H
