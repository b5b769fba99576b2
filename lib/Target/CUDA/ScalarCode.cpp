//===- ScalarCode.cpp - Device functions on scalars -----------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "ScalarCode.h"

#include "mlir/Conversion/ArithToEmitC/ArithToEmitC.h"
#include "mlir/Conversion/MathToEmitC/MathToEmitC.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/IRMapping.h"
#include "mlir/Target/Cpp/CppEmitter.h"
#include "mlir/Transforms/DialectConversion.h"
#include "llvm/ADT/StringExtras.h"

#include <charconv>

using namespace mlir;

namespace cambium::grow {

//===----------------------------------------------------------------------===//
// From arith and math to EmitC, where upstream has no pattern or a longer one
//===----------------------------------------------------------------------===//

/// The shortest literal that gives the number again.
static std::string floatLiteral(const APFloat &value) {
  if (value.isNaN())
    return "(0.0f / 0.0f)";
  if (value.isInfinity())
    return value.isNegative() ? "(-1.0f / 0.0f)" : "(1.0f / 0.0f)";
  char digits[32];
  auto [end, error] = std::to_chars(std::begin(digits), std::end(digits),
                                    value.convertToFloat());
  assert(error == std::errc() && "32 characters suffice for any float");
  std::string text(digits, end);
  if (text.find_first_of(".e") == std::string::npos)
    text += ".0";
  return text + "f";
}

namespace {

constexpr int preferred = 2;

/// Constants are written where they are used.
struct ConvertConstant : OpConversionPattern<arith::ConstantOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(arith::ConstantOp op, OpAdaptor,
                  ConversionPatternRewriter &rewriter) const override {
    auto value = dyn_cast<FloatAttr>(op.getValue());
    if (!value || !value.getType().isF32())
      return failure();
    rewriter.replaceOpWithNewOp<emitc::ConstantOp>(
        op, op.getType(),
        emitc::OpaqueAttr::get(op.getContext(),
                               floatLiteral(value.getValue())));
    return success();
  }
};

/// Upstream asks whether the operands are numbers, but `>` is false where one
/// is not.
struct ConvertGreater : OpConversionPattern<arith::CmpFOp> {
  using OpConversionPattern::OpConversionPattern;
  LogicalResult
  matchAndRewrite(arith::CmpFOp op, OpAdaptor in,
                  ConversionPatternRewriter &rewriter) const override {
    if (op.getPredicate() != arith::CmpFPredicate::OGT)
      return failure();
    rewriter.replaceOpWithNewOp<emitc::CmpOp>(
        op, op.getType(), emitc::CmpPredicate::gt, in.getLhs(), in.getRhs());
    return success();
  }
};

template <typename Op> struct ConvertToCall : OpConversionPattern<Op> {
  ConvertToCall(MLIRContext *context, StringRef callee)
      : OpConversionPattern<Op>(context, preferred), callee(callee) {}
  LogicalResult
  matchAndRewrite(Op op, typename Op::Adaptor in,
                  ConversionPatternRewriter &rewriter) const override {
    rewriter.replaceOpWithNewOp<emitc::CallOpaqueOp>(
        op, TypeRange{op.getType()}, callee, in.getOperands());
    return success();
  }
  StringRef callee;
};

} // namespace

static void convertToEmitC(emitc::FuncOp function) {
  MLIRContext *context = function.getContext();
  TypeConverter converter;
  converter.addConversion([](Type type) { return type; });
  RewritePatternSet patterns(context);
  populateArithToEmitCPatterns(converter, patterns);
  populateConvertMathToEmitCPatterns(patterns, emitc::LanguageTarget::c99);
  patterns.add<ConvertConstant, ConvertGreater>(context, preferred);
  patterns.add<ConvertToCall<math::FmaOp>>(context, "fmaf");
  patterns.add<ConvertToCall<math::SqrtOp>>(context, "sqrtf");
  patterns.add<ConvertToCall<math::TanhOp>>(context, "tanhf");
  ConversionTarget target(*context);
  target.addLegalDialect<emitc::EmitCDialect>();
  target.addIllegalDialect<arith::ArithDialect, math::MathDialect>();
  LogicalResult converted =
      applyPartialConversion(function, target, std::move(patterns));
  assert(succeeded(converted) && "scalar code has an EmitC form");
  (void)converted;
}

//===----------------------------------------------------------------------===//
// Expressions
//===----------------------------------------------------------------------===//

/// Operations of an expression, at most: a line or two.
static constexpr size_t maxExpression = 8;

using Operations = SmallVector<Operation *>;

static void moveIntoExpression(ArrayRef<Operation *> ops) {
  Operation *root = ops.back();
  SmallVector<Value> operands;
  for (Operation *op : ops)
    for (Value operand : op->getOperands())
      if (!llvm::is_contained(ops, operand.getDefiningOp()) &&
          !llvm::is_contained(operands, operand))
        operands.push_back(operand);
  OpBuilder builder(root);
  auto expression = emitc::ExpressionOp::create(
      builder, root->getLoc(), root->getResult(0).getType(), operands,
      /*do_not_inline=*/false);
  Block &body = expression.createBody();
  IRMapping inside;
  inside.map(operands, body.getArguments());
  builder.setInsertionPointToEnd(&body);
  for (Operation *op : ops)
    builder.clone(*op, inside);
  emitc::YieldOp::create(builder, root->getLoc(),
                         inside.lookup(root->getResult(0)));
  root->getResult(0).replaceAllUsesWith(expression.getResult());
  for (Operation *op : llvm::reverse(ops))
    op->erase();
}

/// Values that are used once become parts of the expression that uses them.
/// Upstream's pass leaves calls alone, which it takes to have side effects.
static void formExpressions(emitc::FuncOp function) {
  Block &body = function.getBody().front();
  for (Operation &op : llvm::make_early_inc_range(llvm::reverse(body)))
    if (op.use_empty() && op.getNumResults() == 1)
      op.erase();
  llvm::DenseMap<Operation *, Operations> trees;
  SmallVector<Operations> roots;
  for (Operation &op : body.without_terminator()) {
    Operations tree;
    for (Value operand : op.getOperands()) {
      auto part = trees.find(operand.getDefiningOp());
      if (part == trees.end() || !operand.hasOneUse())
        continue;
      if (tree.size() + part->second.size() >= maxExpression &&
          !operand.getDefiningOp<emitc::ConstantOp>())
        continue;
      llvm::append_range(tree, part->second);
      trees.erase(part);
    }
    tree.push_back(&op);
    trees[&op] = std::move(tree);
  }
  for (Operation &op : body.without_terminator())
    if (auto tree = trees.find(&op); tree != trees.end())
      roots.push_back(std::move(tree->second));
  for (const Operations &tree : roots)
    moveIntoExpression(tree);
}

/// Each use of a constant has its own, so that it is part of an expression.
static void copyConstants(emitc::FuncOp function) {
  for (auto constant : llvm::make_early_inc_range(
           function.getBody().front().getOps<emitc::ConstantOp>()))
    for (OpOperand &use : llvm::make_early_inc_range(constant->getUses()))
      if (!constant.getResult().hasOneUse()) {
        OpBuilder builder(use.getOwner());
        use.set(builder.clone(*constant)->getResult(0));
      }
}

//===----------------------------------------------------------------------===//
// Functions
//===----------------------------------------------------------------------===//

std::string
emitScalarFunction(OpBuilder &builder, Location loc, StringRef name,
                   ArrayRef<ScalarParameter> parameters, Type result,
                   function_ref<Value(OpBuilder &, ValueRange)> body) {
  Operation *scope = builder.getInsertionBlock()->getParentOp();
  std::string unique = name.str();
  for (unsigned i = 1; SymbolTable::lookupSymbolIn(scope, unique); ++i)
    unique = (name + Twine(i)).str();
  SmallVector<Type> types;
  for (const ScalarParameter &parameter : parameters)
    types.push_back(parameter.type);
  auto function = emitc::FuncOp::create(builder, loc, unique,
                                        builder.getFunctionType(types, result));
  function.setSpecifiersAttr(
      builder.getStrArrayAttr({"static", "__device__", "__forceinline__"}));
  Block *block = function.addEntryBlock();
  for (auto [argument, parameter] :
       llvm::zip(block->getArguments(), parameters))
    argument.setLoc(NameLoc::get(builder.getStringAttr(parameter.name)));
  OpBuilder inner = OpBuilder::atBlockEnd(block);
  Value value = body(inner, block->getArguments());
  emitc::ReturnOp::create(inner, loc, value);
  convertToEmitC(function);
  copyConstants(function);
  formExpressions(function);
  return unique;
}

LogicalResult printFunction(emitc::FuncOp function, raw_ostream &os) {
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (failed(emitc::translateToCpp(function, stream)))
    return failure();
  // The printer calls values v1, v2, ... in order, parameters first.
  size_t numParameters = function.getNumArguments();
  auto renamed = [&](StringRef word) {
    size_t index;
    StringRef digits = word;
    if (!digits.consume_front("v") || digits.getAsInteger(10, index) ||
        index == 0)
      return word.str();
    if (index > numParameters)
      return "t" + std::to_string(index - numParameters);
    Location loc = function.getArgument(index - 1).getLoc();
    auto name = dyn_cast<NameLoc>(loc);
    return name ? name.getName().str() : word.str();
  };
  auto isWord = [](char c) { return llvm::isAlnum(c) || c == '_'; };
  for (StringRef rest = text; !rest.empty();) {
    StringRef word = rest.take_while(isWord);
    if (word.empty())
      word = rest.take_front();
    os << renamed(word);
    rest = rest.drop_front(word.size());
  }
  return success();
}

} // namespace cambium::grow
