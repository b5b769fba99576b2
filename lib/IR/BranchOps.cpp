//===- BranchOps.cpp - Branches that are one kernel -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "BranchSyntax.h"

using namespace mlir;
using namespace cambium::grow;

//===----------------------------------------------------------------------===//
// Syntax
//===----------------------------------------------------------------------===//

ParseResult cambium::grow::parseBranches(OpAsmParser &parser,
                                         IntegerAttr &branches) {
  int64_t count = ShapedType::kDynamic;
  if (failed(parser.parseOptionalQuestion()) && parser.parseInteger(count))
    return failure();
  branches = parser.getBuilder().getI64IntegerAttr(count);
  return success();
}

void cambium::grow::printBranches(OpAsmPrinter &printer, Operation *,
                                  IntegerAttr branches) {
  if (ShapedType::isDynamic(branches.getInt()))
    printer << "?";
  else
    printer << branches.getInt();
}

ParseResult cambium::grow::parseJoins(OpAsmParser &parser, ArrayAttr &joins) {
  SmallVector<Attribute> parsed;
  auto parseJoin = [&]() -> ParseResult {
    StringRef keyword;
    SMLoc loc = parser.getCurrentLocation();
    if (parser.parseKeyword(&keyword))
      return failure();
    std::optional<Join> join = symbolizeJoin(keyword);
    if (!join)
      return parser.emitError(loc) << "'" << keyword
                                   << "' joins nothing; use sum, mean, concat "
                                      "or each";
    parsed.push_back(JoinAttr::get(parser.getContext(), *join));
    return success();
  };
  if (parser.parseCommaSeparatedList(OpAsmParser::Delimiter::Paren, parseJoin))
    return failure();
  joins = parser.getBuilder().getArrayAttr(parsed);
  return success();
}

void cambium::grow::printJoins(OpAsmPrinter &printer, Operation *,
                               ArrayAttr joins) {
  printer << "(";
  llvm::interleaveComma(joins, printer, [&](Attribute join) {
    printer << stringifyJoin(cast<JoinAttr>(join).getValue());
  });
  printer << ")";
}

//===----------------------------------------------------------------------===//
// FusedMapOp
//===----------------------------------------------------------------------===//

OperandRange FusedMapOp::getYielded() {
  return getBody().front().getTerminator()->getOperands();
}

ResultRange FusedMapOp::getResultsOf(unsigned yield) {
  unsigned first = 0;
  auto width = [&](unsigned index) -> unsigned {
    return getJoin(index) == Join::Each ? getNumTuples() : 1;
  };
  for (unsigned index = 0; index < yield; ++index)
    first += width(index);
  return getResults().slice(first, width(yield));
}

RankedTensorType FusedMapOp::joinedType(RankedTensorType branch, Join join,
                                        int64_t branches) {
  if (join != Join::Concat || branch.getRank() == 0 ||
      branch.isDynamicDim(branch.getRank() - 1))
    return branch;
  SmallVector<int64_t> shape(branch.getShape());
  shape.back() = ShapedType::isDynamic(branches) ? ShapedType::kDynamic
                                                 : shape.back() * branches;
  return branch.clone(shape);
}

static LogicalResult verifyArguments(FusedMapOp op) {
  Block &block = op.getBody().front();
  unsigned shared = op.getInputs().size() + op.getSlices().size();
  if (block.getNumArguments() < shared)
    return op.emitOpError() << "has " << shared << " inputs but its body takes "
                            << block.getNumArguments() << " arguments";
  int64_t expected = op.getTupleSize() * op.getNumTuples();
  if (static_cast<int64_t>(op.getParams().size()) != expected)
    return op.emitOpError() << "needs " << op.getTupleSize()
                            << " parameters for each of " << op.getNumTuples()
                            << " branches, but has " << op.getParams().size();
  auto check = [&](StringRef what, size_t index, Type given,
                   unsigned argument) -> LogicalResult {
    Type taken = block.getArgument(argument).getType();
    if (compatibleTypes(given, taken))
      return success();
    return op.emitOpError() << what << " " << index << " is " << given
                            << " but the body takes " << taken;
  };
  for (auto [index, input] : llvm::enumerate(op.getInputs()))
    if (failed(check("input", index, input.getType(), index)))
      return failure();
  for (auto [index, slice] : llvm::enumerate(op.getSlices())) {
    unsigned argument = op.getInputs().size() + index;
    auto taken = cast<RankedTensorType>(block.getArgument(argument).getType());
    Type whole = FusedMapOp::joinedType(taken, Join::Concat, op.getBranches());
    if (!compatibleTypes(slice.getType(), whole))
      return op.emitOpError() << "sliced input " << index << " is "
                              << slice.getType() << " but its branches' parts "
                              << "make a " << whole;
  }
  for (auto [index, param] : llvm::enumerate(op.getParams()))
    if (failed(check("parameter", index, param.getType(),
                     shared + index % op.getTupleSize())))
      return failure();
  return success();
}

LogicalResult FusedMapOp::verify() {
  if (!hasDynamicBranches() && getBranches() < 1)
    return emitOpError("needs a branch");
  if (hasDynamicBranches() && !isa<KernelOp>((*this)->getParentOp()))
    return emitOpError("has an unknown number of branches, which only a "
                       "grow.kernel may have");
  if (failed(verifyArguments(*this)))
    return failure();
  auto yield = dyn_cast<YieldOp>(getBody().front().getTerminator());
  if (!yield || yield.getNumOperands() != getJoins().size())
    return emitOpError() << "needs a body that ends in a grow.yield of "
                         << getJoins().size() << " values, one for each join";
  SmallVector<Type> types;
  for (auto [index, value] : llvm::enumerate(yield.getOperands())) {
    auto type = cast<RankedTensorType>(value.getType());
    Join join = getJoin(index);
    if (join == Join::Concat && type.getRank() == 0)
      return emitOpError("cannot concatenate scalars, which have no last "
                         "dimension");
    if (join != Join::Each && type.getElementType().isInteger(1))
      return emitOpError("yields bits, which only `each` can join");
    types.append(join == Join::Each ? getNumTuples() : 1,
                 joinedType(type, join, getBranches()));
  }
  if (!compatibleTypes(types, getResultTypes()))
    return emitOpError("has results of other types than its branches give");
  for (Operation &op : getBody().front())
    if (!isMemoryEffectFree(&op)) {
      InFlightDiagnostic diag = emitOpError("needs a body of pure operations");
      diag.attachNote(op.getLoc()) << "'" << op.getName() << "' is here";
      return diag;
    }
  return success();
}

//===----------------------------------------------------------------------===//
// Bits
//===----------------------------------------------------------------------===//

/// Fails unless bits and elements have one shape, with a last dimension.
static LogicalResult verifyBits(Operation *op, Type bits, Type elements) {
  auto type = cast<RankedTensorType>(elements);
  if (type.getRank() > 0 &&
      compatibleTypes(type.clone(IntegerType::get(op->getContext(), 1)), bits))
    return success();
  return op->emitOpError() << "relates " << bits << " to " << elements
                           << "; both need the same shape of at least one "
                              "dimension";
}

LogicalResult SignBitsOp::verify() {
  return verifyBits(*this, getType(), getInput().getType());
}

LogicalResult BitsGradOp::verify() {
  return verifyBits(*this, getBits().getType(), getType());
}
