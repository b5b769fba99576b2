//===- InferShapes.cpp - Run-time extents of results ----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "Compute.h"
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/IRMapping.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/TypeSwitch.h"

using namespace mlir;
using namespace cambium;
using namespace cambium::grow;

Shape cambium::shapeOf(Type type) {
  return Shape(cast<RankedTensorType>(type).getShape());
}

bool cambium::agree(ArrayRef<int64_t> a, ArrayRef<int64_t> b) {
  return succeeded(verifyCompatibleShape(a, b));
}

bool cambium::refine(Shape &shape, ArrayRef<int64_t> other) {
  bool changed = false;
  for (auto [extent, known] : llvm::zip_equal(shape, other))
    if (ShapedType::isDynamic(extent) && !ShapedType::isDynamic(known)) {
      extent = known;
      changed = true;
    }
  return changed;
}

std::string cambium::toString(ArrayRef<int64_t> shape) {
  if (shape.empty())
    return "scalar";
  return llvm::join(llvm::map_range(shape,
                                    [](int64_t extent) {
                                      return ShapedType::isDynamic(extent)
                                                 ? std::string("?")
                                                 : std::to_string(extent);
                                    }),
                    "x");
}

static void refineExtent(Shape &shape, size_t dimension, int64_t extent) {
  if (dimension < shape.size() && ShapedType::isDynamic(shape[dimension]))
    shape[dimension] = extent;
}

/// The one unknown extent of a reshape follows from the number of elements.
static void refineReshape(Shape &shape, int64_t elements) {
  int64_t product = 1;
  int64_t *unknown = nullptr;
  for (int64_t &extent : shape) {
    if (!ShapedType::isDynamic(extent))
      product *= extent;
    else if (unknown)
      return;
    else
      unknown = &extent;
  }
  if (unknown && product > 0)
    *unknown = elements / product;
}

/// Extents of an operation that states its result's type and leaves some of it
/// to the operands.
static Shape statedShape(Operation *op, Inputs in) {
  Shape shape = shapeOf(op->getResult(0).getType());
  TypeSwitch<Operation *>(op)
      .Case([&](Conv2DGradInputOp conv) {
        refineExtent(shape, 0, in[0]->shape[0]);
        refineExtent(shape, 3,
                     in[1]->shape[2] * static_cast<int64_t>(conv.getGroups()));
      })
      .Case([&](Conv2DGradFilterOp conv) {
        refineExtent(shape, 2,
                     in[0]->shape[3] / static_cast<int64_t>(conv.getGroups()));
        refineExtent(shape, 3, in[1]->shape[3]);
      })
      .Case<AvgPool2DGradOp, GlobalAvgPoolGradOp>([&](auto) {
        refineExtent(shape, 0, in[0]->shape.front());
        refineExtent(shape, 3, in[0]->shape.back());
      })
      .Case([&](ReshapeOp) {
        refineExtent(shape, 0, in[0]->shape.front());
        refineReshape(shape, in[0]->elements());
      })
      .Case([&](SignBitsOp) { shape = in[0]->shape; })
      .Case([&](FillOp) {
        if (!in.empty())
          refineExtent(shape, 0, in[0]->shape.front());
      });
  return shape;
}

/// Sets the result types of `probe`, whose operands have their run-time types.
static LogicalResult inferProbe(Operation *op, Operation *probe, Inputs in,
                                llvm::function_ref<Shape(Value)> known) {
  if (op->hasTrait<OpTrait::SameOperandsAndResultType>()) {
    for (OpResult result : probe->getResults())
      result.setType(probe->getOperand(0).getType());
    return success();
  }
  if (auto infers = dyn_cast<InferTypeOpInterface>(probe)) {
    SmallVector<Type> types;
    if (failed(infers.inferReturnTypes(
            probe->getContext(), probe->getLoc(), probe->getOperands(),
            probe->getDiscardableAttrDictionary(),
            probe->getPropertiesStorage(), probe->getRegions(), types)))
      return failure();
    for (auto [result, type] : llvm::zip_equal(probe->getResults(), types))
      result.setType(type);
    return success();
  }
  for (OpResult result : probe->getResults()) {
    Shape shape = statedShape(op, in);
    if (!isKnown(shape)) {
      Shape elsewhere = known(op->getResult(result.getResultNumber()));
      refine(shape, elsewhere);
    }
    if (!isKnown(shape))
      return op->emitOpError() << "has a result of extents " << toString(shape)
                               << " here; give its type static extents";
    auto type = cast<RankedTensorType>(result.getType());
    result.setType(RankedTensorType::get(shape, type.getElementType()));
  }
  return success();
}

FailureOr<SmallVector<Shape>>
cambium::inferShapes(Operation *op, Inputs in,
                     llvm::function_ref<Shape(Value)> known) {
  // The operation's own inference and verifier, asked again with the extents of
  // the run, find operands that do not fit together.
  // Operations on bits want a fused map around them.
  OpBuilder builder(op->getContext());
  OwningOpRef<FusedMapOp> home =
      FusedMapOp::create(builder, op->getLoc(), TypeRange(), ValueRange(),
                         FusedMapOp::Properties());
  Block &block = home->getBody().emplaceBlock();
  IRMapping mapping;
  for (auto [operand, tensor] : llvm::zip_equal(op->getOperands(), in)) {
    auto type = cast<RankedTensorType>(operand.getType());
    Value argument = block.addArgument(
        RankedTensorType::get(tensor->shape, type.getElementType()),
        operand.getLoc());
    if (!mapping.contains(operand))
      mapping.map(operand, argument);
  }
  Operation *probe = op->cloneWithoutRegions(mapping);
  block.push_back(probe);
  if (failed(inferProbe(op, probe, in, known)) ||
      failed(probe->getName().verifyInvariants(probe)))
    return failure();
  SmallVector<Shape> shapes;
  for (auto [stated, result] :
       llvm::zip_equal(op->getResults(), probe->getResults())) {
    Shape shape = shapeOf(result.getType());
    if (!agree(shape, shapeOf(stated.getType())))
      return op->emitOpError()
             << "gives " << toString(shape)
             << " for these operands, not its result type " << stated.getType();
    shapes.push_back(shape);
  }
  return shapes;
}
