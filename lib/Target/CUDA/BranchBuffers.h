//===- BranchBuffers.h - The tensors of a kernel ------------- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_CUDA_BRANCHBUFFERS_H
#define CAMBIUM_LIB_TARGET_CUDA_BRANCHBUFFERS_H

#include "ElementHook.h"

#include "llvm/ADT/STLExtras.h"

namespace cambium::grow {

/// A tensor of a kernel: where hooks find it, and its place in the signature,
/// where its extents are.
struct KernelTensor {
  HookBuffer at;
  int64_t tensor = -1;
};

/// How hooks take a tensor of this type.
inline HookBuffer::Kind hookKind(mlir::Value value) {
  auto type = llvm::cast<mlir::RankedTensorType>(value.getType());
  if (type.getElementType().isInteger(1))
    return HookBuffer::Kind::Bits;
  return type.getRank() == 1 ? HookBuffer::Kind::Channels
                             : HookBuffer::Kind::Elements;
}

/// The buffers of a kernel over branches: those that branches share, the
/// workspace last, and those of each branch.
class BranchBuffers {
public:
  BranchBuffers(KernelOp kernel, const Signature &signature)
      : signature(signature), map(kernel.getFusedMap()),
        tupleOperands(map.getTupleSize()),
        sharedOperands(signature.body->getNumArguments() - tupleOperands),
        numEach(kernel.getNumEach()),
        sharedResults(signature.body->getTerminator()->getNumOperands() -
                      numEach) {}

  /// Shared buffers without the workspace, which comes after them.
  int64_t numShared() const { return sharedOperands + sharedResults; }
  int64_t tupleSize() const { return tupleOperands + numEach; }

  /// Of an argument of the map's body.
  KernelTensor argument(mlir::BlockArgument argument) {
    int64_t index = argument.getArgNumber();
    int64_t inputs = map.getInputs().size(), slices = map.getSlices().size();
    if (index < inputs + slices) {
      int64_t buffer = signature.bufferOf(map->getOperand(index));
      return {{hookKind(argument), buffer, false, index >= inputs}, buffer};
    }
    int64_t place = index - inputs - slices;
    return {{hookKind(argument), place, true, false}, sharedOperands + place};
  }
  /// Of an argument of the kernel that operations after the map read; `sliced`
  /// if branches are concatenated.
  KernelTensor outerArgument(mlir::BlockArgument argument, bool sliced) {
    int64_t index = argument.getArgNumber();
    return {{hookKind(argument), index, false, sliced}, index};
  }
  /// Of what the kernel yields first, second, ...
  KernelTensor sharedResult(int64_t index, bool sliced) {
    mlir::Value value = signature.body->getTerminator()->getOperand(index);
    return {{hookKind(value), sharedOperands + index, false, sliced},
            signature.body->getNumArguments() + index};
  }
  /// Of what the map yields for each branch as its `yield`-th value.
  KernelTensor eachResult(int64_t yield) {
    int64_t before = llvm::count_if(llvm::seq(yield), [&](int64_t i) {
      return map.getJoin(i) == Join::Each;
    });
    return {{hookKind(map.getYielded()[yield]), tupleOperands + before, true,
             false},
            signature.body->getNumArguments() + sharedResults + before};
  }

private:
  const Signature &signature;
  FusedMapOp map;
  int64_t tupleOperands, sharedOperands, numEach, sharedResults;
};

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_CUDA_BRANCHBUFFERS_H
