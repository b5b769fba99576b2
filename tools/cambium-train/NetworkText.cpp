//===- NetworkText.cpp - Names in a network's IR ===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "NetworkText.h"

#include "Format.h"

#include <algorithm>
#include <functional>
#include <locale>
#include <sstream>

namespace cambium::train {
namespace {

/// The symbol that starts at `start`, plain or in quotes.
std::string symbolAt(const std::string &line, size_t start) {
  if (start < line.size() && line[start] == '"') {
    size_t end = line.find('"', start + 1);
    return line.substr(start + 1, end - start - 1);
  }
  size_t end = line.find_first_not_of("abcdefghijklmnopqrstuvwxyz"
                                      "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                      "0123456789_.$-",
                                      start);
  return line.substr(start, end == std::string::npos ? end : end - start);
}

/// Calls `found` with each line that holds `key` outside a comment, and where
/// the key ends.
void eachLine(const std::string &ir, const std::string &key,
              const std::function<void(const std::string &, size_t)> &found) {
  std::istringstream stream(ir);
  for (std::string line; std::getline(stream, line);) {
    size_t at = line.find(key);
    if (at != std::string::npos && at < line.find("//"))
      found(line, at + key.size());
  }
}

double numberAt(const std::string &line, size_t start) {
  std::istringstream stream(line.substr(start));
  stream.imbue(std::locale::classic());
  double value = 0.0;
  stream >> value;
  return value;
}

/// `#grow.sgd<momentum = 9.000000e-01>` as "sgd, momentum 0.9".
std::string optimizerIn(const std::string &line) {
  const std::string prefix = "#grow.";
  size_t start = line.find(prefix);
  if (start == std::string::npos)
    return "";
  start += prefix.size();
  size_t end = line.find_first_of("<,} ", start);
  std::string text = line.substr(start, end - start);
  if (end == std::string::npos || line[end] != '<')
    return text;
  std::istringstream options(
      line.substr(end + 1, line.find('>', end) - end - 1));
  for (std::string option; std::getline(options, option, ',');) {
    size_t name = option.find_first_not_of(' ');
    size_t equals = option.find(" = ");
    if (name == std::string::npos || equals == std::string::npos)
      continue;
    std::string value = option.substr(equals + 3);
    if (value.find_first_not_of("0123456789.e+-") == std::string::npos)
      value = format("%g", numberAt(value, 0));
    text += ", " + option.substr(name, equals - name) + " " + value;
  }
  return text;
}

} // namespace

std::vector<GroupDeclaration> groups(const std::string &ir) {
  std::vector<GroupDeclaration> found;
  eachLine(ir, "grow.group @", [&](const std::string &line, size_t end) {
    GroupDeclaration group;
    group.name = symbolAt(line, end);
    group.optimizer = optimizerIn(line);
    const std::string key = "weight_decay = ";
    size_t decay = line.find(key);
    if (decay != std::string::npos)
      group.weightDecay = numberAt(line, decay + key.size());
    found.push_back(group);
  });
  return found;
}

std::vector<MapDeclaration> maps(const std::string &ir) {
  std::vector<MapDeclaration> found;
  bool inBody = false;
  std::istringstream stream(ir);
  for (std::string line; std::getline(stream, line);) {
    const std::string key = "grow.map \"";
    size_t at = line.find(key);
    if (at != std::string::npos && at < line.find("//")) {
      std::string name = symbolAt(line, at + key.size() - 1);
      inBody = std::none_of(
          found.begin(), found.end(),
          [&](const MapDeclaration &map) { return map.name == name; });
      if (inBody)
        found.push_back({name, false});
    } else if (inBody && line.find("grow.relu ") != std::string::npos) {
      found.back().rectified = true;
    } else if (line.find_first_not_of(' ') == line.find('}')) {
      inBody = false;
    }
  }
  return found;
}

std::vector<std::pair<std::string, std::string>>
parameterGroups(const std::string &ir) {
  std::vector<std::pair<std::string, std::string>> pairs;
  eachLine(ir, "grow.param @", [&](const std::string &line, size_t end) {
    const std::string in = " in @";
    size_t group = line.find(in, end);
    if (group != std::string::npos)
      pairs.emplace_back(symbolAt(line, end),
                         symbolAt(line, group + in.size()));
  });
  return pairs;
}

} // namespace cambium::train
