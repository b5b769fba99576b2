//===- BranchTensors.h - Buffers of a kernel over branches --- -*- C++ -*--===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#ifndef CAMBIUM_LIB_TARGET_CUDA_BRANCHTENSORS_H
#define CAMBIUM_LIB_TARGET_CUDA_BRANCHTENSORS_H

#include "ElementHook.h"
#include "cambium/Target/Common/BranchBody.h"

#include "mlir/IR/TypeUtilities.h"

namespace cambium::grow {

/// Where a kernel over branches finds what its map's body reads and yields:
/// among the shared buffers or in the branches' tuples.
class BranchTensors {
public:
  BranchTensors(KernelOp kernel, const Signature &signature)
      : signature(signature), map(kernel.getFusedMap()),
        tupleOperands(map.getTupleSize()),
        sharedOperands(signature.body->getNumArguments() - tupleOperands),
        numEach(kernel.getNumEach()),
        sharedResults(signature.body->getTerminator()->getNumOperands() -
                      numEach) {}

  int64_t workspace() { return sharedOperands + sharedResults; }
  int64_t tupleSize() { return tupleOperands + numEach; }
  /// Index in `dims` of the number of branches.
  int64_t branchesDim() { return signature.numDims; }
  int64_t sharedResult(int64_t index) { return sharedOperands + index; }

  /// Of an argument of the map's body.
  HookBuffer at(mlir::BlockArgument argument) {
    HookBuffer place = {kindOf(argument)};
    int64_t index = argument.getArgNumber();
    int64_t inputs = map.getInputs().size(), slices = map.getSlices().size();
    place.perBranch = index >= inputs + slices;
    place.sliced = !place.perBranch && index >= inputs;
    place.buffer = place.perBranch ? index - inputs - slices
                                   : signature.bufferOf(map->getOperand(index));
    return place;
  }
  /// What the map yields for each branch.
  HookBuffer eachResult(int64_t yield) {
    HookBuffer place = {kindOf(map.getYielded()[yield])};
    place.buffer =
        tupleOperands + llvm::count_if(llvm::seq(yield), [&](int64_t i) {
          return map.getJoin(i) == Join::Each;
        });
    place.perBranch = true;
    return place;
  }
  /// Index in `dims` of the first extent of a body's argument; a slice's last
  /// extent is that of all branches.
  int64_t firstDim(mlir::BlockArgument argument) {
    HookBuffer place = at(argument);
    return signature.firstDims[place.perBranch ? sharedOperands + place.buffer
                                               : place.buffer];
  }

private:
  static HookBuffer::Kind kindOf(mlir::Value value) {
    auto type = mlir::cast<mlir::RankedTensorType>(value.getType());
    if (type.getElementType().isInteger(1))
      return HookBuffer::Kind::Bits;
    return type.getRank() == 1 ? HookBuffer::Kind::Channels
                               : HookBuffer::Kind::Elements;
  }

  const Signature &signature;
  FusedMapOp map;
  int64_t tupleOperands, sharedOperands, numEach, sharedResults;
};

} // namespace cambium::grow

#endif // CAMBIUM_LIB_TARGET_CUDA_BRANCHTENSORS_H
