//===- MapOp.cpp - One body over a list of parameter tuples ---------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/IR/Grow.h"

using namespace mlir;
using namespace cambium::grow;

/// The type of the tensor that a body yields, null if it yields none.
static RankedTensorType yieldedType(Region &body) {
  if (!body.hasOneBlock() || body.front().empty())
    return nullptr;
  auto yield = dyn_cast<YieldOp>(body.front().back());
  if (!yield || yield.getNumOperands() != 1)
    return nullptr;
  return dyn_cast<RankedTensorType>(yield.getOperand(0).getType());
}

Value MapOp::getYielded() {
  return cast<YieldOp>(getBody().front().getTerminator()).getOperand(0);
}

RankedTensorType MapOp::joinedType(RankedTensorType branch, Reduction reduction,
                                   int64_t branches) {
  if (reduction != Reduction::Concat || branch.getRank() == 0 ||
      branch.isDynamicDim(branch.getRank() - 1))
    return branch;
  SmallVector<int64_t> shape(branch.getShape());
  shape.back() *= branches;
  return branch.clone(shape);
}

LogicalResult MapOp::verify() {
  Block &block = getBody().front();
  if (getBranchesAttr().getInt() < 0)
    return emitOpError("has a negative number of branches");
  if (block.getNumArguments() < getInputs().size())
    return emitOpError() << "has " << getInputs().size()
                         << " inputs but its body takes "
                         << block.getNumArguments() << " arguments";
  int64_t expected = getTupleSize() * static_cast<int64_t>(getBranches());
  if (static_cast<int64_t>(getParams().size()) != expected)
    return emitOpError() << "needs " << getTupleSize()
                         << " parameters for each of " << getBranches()
                         << " branches, so " << expected << ", but has "
                         << getParams().size();
  for (auto [index, input] : llvm::enumerate(getInputs()))
    if (input.getType() != block.getArgument(index).getType())
      return emitOpError() << "input " << index << " is " << input.getType()
                           << " but the body takes "
                           << block.getArgument(index).getType();
  for (auto [index, param] : llvm::enumerate(getParams())) {
    int64_t place = index % getTupleSize();
    Type taken = block.getArgument(getInputs().size() + place).getType();
    if (param.getType() != taken)
      return emitOpError() << "branch " << index / getTupleSize()
                           << ": parameter " << place << " is "
                           << param.getType() << " but the body takes " << taken
                           << "; branches of another shape need a map of their "
                              "own";
  }
  RankedTensorType yielded = yieldedType(getBody());
  if (!yielded)
    return emitOpError("needs a body that ends in a grow.yield of one tensor");
  for (Operation &op : block)
    if (isa<GetOp>(op) || !isMemoryEffectFree(&op)) {
      InFlightDiagnostic diag = emitOpError(
          "needs a body of pure operations; pass what it reads as an operand");
      diag.attachNote(op.getLoc()) << "'" << op.getName() << "' is here";
      return diag;
    }
  if (getReduction() == Reduction::Concat && getBranches() == 0)
    return emitOpError(
        "cannot concatenate no branch; use sum, or add a branch");
  if (getReduction() == Reduction::Concat && yielded.getRank() == 0)
    return emitOpError("cannot concatenate scalars, which have no last "
                       "dimension; use sum or mean");
  RankedTensorType joined = joinedType(yielded, getReduction(), getBranches());
  if (joined != getType())
    return emitOpError() << "has type " << getType()
                         << " but its branches give " << joined;
  return success();
}

/// keep ::= (`keep` (`mask` | `recompute` | `store`))?
static ParseResult parseKeep(OpAsmParser &parser,
                             MapOp::Properties &properties) {
  if (failed(parser.parseOptionalKeyword("keep")))
    return success();
  StringRef keyword;
  SMLoc loc = parser.getCurrentLocation();
  if (parser.parseKeyword(&keyword))
    return failure();
  std::optional<Keep> keep = symbolizeKeep(keyword);
  if (!keep)
    return parser.emitError(loc)
           << "'" << keyword << "' is not what a map can keep; use mask, "
           << "recompute or store";
  properties.setKeep(KeepAttr::get(parser.getContext(), *keep));
  return success();
}

/// map ::= string reduction `(` inputs `)` `over` `[` tuple, ... `]` keep
/// attr-dict region. Types follow from the body's arguments.
ParseResult MapOp::parse(OpAsmParser &parser, OperationState &result) {
  MLIRContext *context = parser.getContext();
  auto &properties = result.getOrAddProperties<MapOp::Properties>();
  StringAttr name;
  StringRef keyword;
  SMLoc keywordLoc;
  if (parser.parseAttribute(name, parser.getBuilder().getNoneType()) ||
      parser.getCurrentLocation(&keywordLoc) || parser.parseKeyword(&keyword))
    return failure();
  std::optional<Reduction> reduction = symbolizeReduction(keyword);
  if (!reduction)
    return parser.emitError(keywordLoc)
           << "'" << keyword << "' joins no branches; use sum, mean or concat";
  SmallVector<OpAsmParser::UnresolvedOperand> inputs, params;
  SmallVector<size_t> tupleSizes;
  auto parseTuple = [&]() -> ParseResult {
    size_t before = params.size();
    if (parser.parseOperandList(params, OpAsmParser::Delimiter::Paren))
      return failure();
    tupleSizes.push_back(params.size() - before);
    return success();
  };
  SMLoc inputsLoc = parser.getCurrentLocation();
  if (parser.parseOperandList(inputs, OpAsmParser::Delimiter::Paren) ||
      parser.parseKeyword("over"))
    return failure();
  SMLoc paramsLoc = parser.getCurrentLocation();
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Square,
                                     parseTuple) ||
      parseKeep(parser, properties) ||
      parser.parseOptionalAttrDictWithKeyword(result.attributes))
    return failure();
  Region *body = result.addRegion();
  SMLoc bodyLoc = parser.getCurrentLocation();
  if (parser.parseRegion(*body))
    return failure();
  RankedTensorType yielded = yieldedType(*body);
  if (!yielded)
    return parser.emitError(bodyLoc)
           << "expected one block that ends in a grow.yield of one tensor";
  auto types = llvm::to_vector(body->getArgumentTypes());
  if (types.size() < inputs.size())
    return parser.emitError(inputsLoc)
           << inputs.size() << " inputs, but the body takes " << types.size()
           << " arguments";
  ArrayRef<Type> inputTypes = ArrayRef(types).take_front(inputs.size());
  ArrayRef<Type> tupleTypes = ArrayRef(types).drop_front(inputs.size());
  SmallVector<Type> paramTypes;
  for (auto [branch, size] : llvm::enumerate(tupleSizes)) {
    if (size != tupleTypes.size())
      return parser.emitError(paramsLoc)
             << "branch " << branch << " has " << size
             << " parameters, but the body takes " << tupleTypes.size()
             << " for each";
    llvm::append_range(paramTypes, tupleTypes);
  }
  if (parser.resolveOperands(inputs, inputTypes, inputsLoc, result.operands) ||
      parser.resolveOperands(params, paramTypes, paramsLoc, result.operands))
    return failure();
  int64_t branches = tupleSizes.size();
  properties.setName(name);
  properties.setReduction(ReductionAttr::get(context, *reduction));
  properties.setBranches(parser.getBuilder().getI64IntegerAttr(branches));
  llvm::copy(ArrayRef<int32_t>{static_cast<int32_t>(inputs.size()),
                               static_cast<int32_t>(params.size())},
             properties.operandSegmentSizes.begin());
  result.addTypes(joinedType(yielded, *reduction, branches));
  return success();
}

void MapOp::print(OpAsmPrinter &printer) {
  printer << " " << getNameAttr() << " " << stringifyReduction(getReduction())
          << " (";
  printer.printOperands(getInputs());
  printer << ") over [";
  llvm::interleaveComma(llvm::seq<int64_t>(0, getBranches()), printer,
                        [&](int64_t branch) {
                          printer << "(";
                          printer.printOperands(getTuple(branch));
                          printer << ")";
                        });
  printer << "]";
  if (std::optional<Keep> keep = getKeep())
    printer << " keep " << stringifyKeep(*keep);
  printer.printOptionalAttrDictWithKeyword(
      (*this)->getAttrs(),
      {"name", "reduction", "branches", "keep", "operandSegmentSizes"});
  printer << " ";
  printer.printRegion(getBody());
}
