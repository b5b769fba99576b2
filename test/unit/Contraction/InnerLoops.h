//===- InnerLoops.h - Inner loops in assembly -------------------*- C++ -*-===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_TEST_UNIT_CONTRACTION_INNERLOOPS_H
#define CAMBIUM_TEST_UNIT_CONTRACTION_INNERLOOPS_H

#include "llvm/ADT/STLExtras.h"
#include "llvm/ADT/SmallVector.h"
#include "llvm/ADT/StringRef.h"
#include <cstdint>
#include <vector>

namespace cambium::test {

/// A basic block of x86-64 code that jumps back to its own beginning.
struct InnerLoop {
  int64_t multiplyAdds = 0;
  int64_t vectorsOnStack = 0;
};

/// Scalars, such as row addresses, may well lie on the stack.
inline bool isVectorOnStack(llvm::StringRef line) {
  bool vector =
      line.contains("%xmm") || line.contains("%ymm") || line.contains("%zmm");
  return vector && (line.contains("(%rsp") || line.contains("Spill") ||
                    line.contains("Reload"));
}

inline std::vector<InnerLoop> innerLoops(llvm::StringRef assembly) {
  std::vector<InnerLoop> loops;
  llvm::StringRef label;
  InnerLoop block;
  llvm::SmallVector<llvm::StringRef> lines;
  assembly.split(lines, '\n');
  for (llvm::StringRef line : lines) {
    llvm::StringRef text = line.split('#').first.trim();
    if (text.ends_with(":")) {
      label = text.drop_back();
      block = {};
    } else if (text.starts_with("j") && text.ends_with(label) &&
               !label.empty()) {
      loops.push_back(block);
    } else {
      block.multiplyAdds += text.starts_with("vfmadd");
      block.vectorsOnStack += isVectorOnStack(line);
    }
  }
  return loops;
}

inline int64_t vectorSpills(llvm::StringRef assembly) {
  llvm::SmallVector<llvm::StringRef> lines;
  assembly.split(lines, '\n');
  return llvm::count_if(lines, isVectorOnStack);
}

} // namespace cambium::test

#endif // CAMBIUM_TEST_UNIT_CONTRACTION_INNERLOOPS_H
