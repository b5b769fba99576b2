//===- ElementHook.cpp - Scalar code of bodies for templates --------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//
//
// A function for each value that a hook computes: its operations build their
// scalar code in arith and math, which becomes EmitC. Then the struct, as text.
//
//===----------------------------------------------------------------------===//

#include "ElementHook.h"
#include "ScalarCode.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/TypeUtilities.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/ADT/StringSet.h"

using namespace mlir;

namespace cambium::grow {

namespace {

/// A variable of the struct's function: N of a value.
struct Leaf {
  Value value;
  /// Read as a vector over channels; else it has an element at each place.
  bool isChannel = false;
  std::string name;
};

/// A value that is returned or stored.
struct Target {
  Value value;
  /// Its variable.
  std::string name;
  /// The scalar function and its operands in `leaves`; empty where the variable
  /// is there already.
  std::string function;
  SmallVector<size_t> operands;
};

class HookEmitter {
public:
  HookEmitter(CudaEmission &emission, const ElementHook &hook)
      : e(emission), hook(hook) {}

  void emit();

private:
  std::optional<size_t> findLeaf(Value value, bool isChannel);
  size_t addLeaf(Value value, bool isChannel, StringRef name);
  std::string uniqueName(StringRef name);
  void addTarget(Value value);
  const Target &targetOf(Value value);

  void collect(Value value, SmallVectorImpl<size_t> &operands);
  void emitFunction(Target &target);
  Value compute(Value value, OpBuilder &builder);
  Value computeOp(Operation *op, OpBuilder &builder);

  std::string pointer(const HookBuffer &at, StringRef type);
  std::string loadText(const Leaf &leaf);
  std::string storeText(Value value, const HookBuffer &at);
  std::string structText();

  CudaEmission &e;
  const ElementHook &hook;
  /// Variables that functions may take: given, loaded, or computed before.
  SmallVector<Leaf> leaves;
  llvm::StringSet<> names = {"args", "place", "i"};
  /// In the order in which they are computed.
  SmallVector<Target> targets;
  SmallVector<std::string> returnedNames;
  /// Leaves that are loaded, in order.
  SmallVector<size_t> loads;
  /// Values in the function that is being emitted, of elements and of vectors
  /// over channels.
  llvm::DenseMap<Value, Value> elements, channels;
};

} // namespace

static bool isBits(Value value) {
  return getElementTypeOrSelf(value).isInteger(1);
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

std::optional<size_t> HookEmitter::findLeaf(Value value, bool isChannel) {
  for (auto [i, leaf] : llvm::enumerate(leaves))
    if (leaf.value == value && leaf.isChannel == isChannel)
      return i;
  return std::nullopt;
}

std::string HookEmitter::uniqueName(StringRef name) {
  std::string unique = name.str();
  for (unsigned i = 1; !names.insert(unique).second; ++i)
    unique = (name + Twine(i)).str();
  return unique;
}

size_t HookEmitter::addLeaf(Value value, bool isChannel, StringRef name) {
  leaves.push_back({value, isChannel, uniqueName(name)});
  return leaves.size() - 1;
}

static StringRef nameOfGiven(Value value) {
  Operation *op = value.getDefiningOp();
  if (!op)
    return "x";
  if (isContraction(op))
    return "accumulator";
  return isa<FusedMapOp>(op) ? "joined" : "given";
}

/// A name in camelBack for what the operation gives.
static std::string nameOfResult(Operation *op) {
  return llvm::convertToCamelFromSnakeCase(op->getName().stripDialect());
}

/// What an operand that is loaded is called.
static StringRef nameOfOperand(OpOperand &operand) {
  Operation *op = operand.getOwner();
  if (auto norm = dyn_cast<BatchNormOp>(op)) {
    Value value = operand.get();
    return value == norm.getMean()       ? "mean"
           : value == norm.getVariance() ? "variance"
           : value == norm.getScale()    ? "scale"
           : value == norm.getShift()    ? "shift"
                                         : "x";
  }
  if (isBits(operand.get()))
    return "signs";
  if (operand.getOperandNumber() == 0)
    return "x";
  if (isa<BiasAddOp>(op))
    return "bias";
  if (isa<ChannelScaleOp>(op))
    return "scale";
  return op->getName().getStringRef().ends_with("_grad") ? "dy" : "x";
}

//===----------------------------------------------------------------------===//
// Scalar functions
//===----------------------------------------------------------------------===//

static bool isChannelOperand(OpOperand &operand) {
  Operation *op = operand.getOwner();
  if (auto norm = dyn_cast<BatchNormOp>(op))
    return operand.getOperandNumber() !=
           norm.getInputMutable().getOperandNumber();
  auto pointwise = dyn_cast<PointwiseOpInterface>(op);
  return pointwise && pointwise.isChannelOperand(operand.getOperandNumber());
}

/// The leaves that the value is computed of, in order of use.
void HookEmitter::collect(Value value, SmallVectorImpl<size_t> &operands) {
  auto use = [&](size_t leaf) {
    if (!llvm::is_contained(operands, leaf))
      operands.push_back(leaf);
  };
  llvm::DenseSet<Operation *> seen;
  SmallVector<std::pair<Operation *, unsigned>> stack;
  auto enter = [&](Operation *op) {
    assert(op && isElementwise(op) && "a hook has elementwise operations");
    if (seen.insert(op).second)
      stack.push_back({op, 0});
  };
  enter(value.getDefiningOp());
  while (!stack.empty()) {
    auto &[op, next] = stack.back();
    if (next == op->getNumOperands()) {
      stack.pop_back();
      continue;
    }
    OpOperand &operand = op->getOpOperand(next++);
    bool isChannel = isChannelOperand(operand);
    if (std::optional<size_t> leaf = findLeaf(operand.get(), isChannel)) {
      use(*leaf);
    } else if (isChannel || isa<BlockArgument>(operand.get())) {
      loads.push_back(
          addLeaf(operand.get(), isChannel, nameOfOperand(operand)));
      use(loads.back());
    } else {
      enter(operand.get().getDefiningOp());
    }
  }
}

Value HookEmitter::computeOp(Operation *op, OpBuilder &b) {
  Location loc = op->getLoc();
  SmallVector<Value> in;
  for (OpOperand &operand : op->getOpOperands())
    in.push_back(isChannelOperand(operand) ? channels.lookup(operand.get())
                                           : compute(operand.get(), b));
  auto constant = [&](const APFloat &value) {
    return arith::ConstantOp::create(
        b, loc, FloatAttr::get(b.getF32Type(), value.convertToDouble()));
  };
  if (auto norm = dyn_cast<BatchNormOp>(op)) {
    auto vector = [&](Value v) { return channels.lookup(v); };
    Value shifted = arith::AddFOp::create(b, loc, vector(norm.getVariance()),
                                          constant(norm.getEpsilon()));
    Value factor = arith::DivFOp::create(b, loc, vector(norm.getScale()),
                                         math::SqrtOp::create(b, loc, shifted));
    // Not x * factor + (shift - mean * factor), which cancels for large means.
    Value distance =
        arith::SubFOp::create(b, loc, in.front(), vector(norm.getMean()));
    return math::FmaOp::create(b, loc, distance, factor,
                               vector(norm.getShift()));
  }
  if (auto scale = dyn_cast<WeightScaleOp>(op))
    return arith::MulFOp::create(b, loc, in[0], constant(scale.getFactor()));
  if (auto pointwise = dyn_cast<PointwiseOpInterface>(op))
    return pointwise.buildScalar(b, loc, in);
  Value sum = in.front();
  for (Value term : llvm::drop_begin(in))
    sum = arith::AddFOp::create(b, loc, sum, term);
  return sum;
}

Value HookEmitter::compute(Value value, OpBuilder &b) {
  if (Value known = elements.lookup(value))
    return known;
  Value computed = computeOp(value.getDefiningOp(), b);
  elements[value] = computed;
  return computed;
}

void HookEmitter::emitFunction(Target &target) {
  Operation *op = target.value.getDefiningOp();
  collect(target.value, target.operands);
  std::string name = hook.name, result = nameOfResult(op);
  name.front() = llvm::toLower(name.front());
  result.front() = llvm::toUpper(result.front());
  name += result;
  auto typeOf = [&](Value value) -> Type {
    if (isBits(value))
      return e.builder.getI1Type();
    return e.builder.getF32Type();
  };
  SmallVector<ScalarParameter> parameters;
  for (size_t leaf : target.operands)
    parameters.push_back({leaves[leaf].name, typeOf(leaves[leaf].value)});
  target.function = emitScalarFunction(
      e.builder, op->getLoc(), name, parameters, typeOf(target.value),
      [&](OpBuilder &builder, ValueRange arguments) {
        elements.clear();
        channels.clear();
        for (auto [leaf, argument] : llvm::zip(target.operands, arguments))
          (leaves[leaf].isChannel ? channels : elements)[leaves[leaf].value] =
              argument;
        return compute(target.value, builder);
      });
}

//===----------------------------------------------------------------------===//
// The struct
//===----------------------------------------------------------------------===//

void HookEmitter::addTarget(Value value) {
  if (llvm::any_of(targets, [&](Target &t) { return t.value == value; }))
    return;
  Target target;
  target.value = value;
  if (std::optional<size_t> leaf = findLeaf(value, false)) {
    target.name = leaves[*leaf].name;
  } else if (isa<BlockArgument>(value)) {
    loads.push_back(addLeaf(value, false, isBits(value) ? "signs" : "x"));
    target.name = leaves.back().name;
  } else {
    emitFunction(target);
    const auto *returned = llvm::find(hook.returned, value);
    if (returned == hook.returned.end())
      target.name = uniqueName(nameOfResult(value.getDefiningOp()));
    else
      target.name = returnedNames[returned - hook.returned.begin()];
    leaves.push_back({value, false, target.name});
  }
  targets.push_back(std::move(target));
}

const Target &HookEmitter::targetOf(Value value) {
  return *llvm::find_if(targets,
                        [&](Target &target) { return target.value == value; });
}

std::string HookEmitter::pointer(const HookBuffer &at, StringRef type) {
  if (at.perBranch)
    return ("branchBuffer<" + type + ">(args, place.branch, " +
            Twine(hook.tupleSize) + ", " + Twine(at.buffer) + ")")
        .str();
  return ("buffer<" + type + ">(args, " + Twine(at.buffer) + ")").str();
}

/// `<left>call<N>(pointer, <last>);` on as many lines as it needs.
static std::string statement(const std::string &left, StringRef call,
                             const std::string &pointer,
                             const std::string &last) {
  constexpr size_t maxLine = 80;
  std::string head = (call + "<N>(").str(), tail = last + ");";
  std::string line = "    " + left + head + pointer + ", " + tail;
  if (line.size() <= maxLine)
    return line + "\n";
  return "    " + left + head + "\n        " + pointer + ",\n        " + tail +
         "\n";
}

std::string HookEmitter::loadText(const Leaf &leaf) {
  HookBuffer at = hook.bufferOf(cast<BlockArgument>(leaf.value));
  bool bits = isBits(leaf.value);
  StringRef load = bits ? "loadBits"
                   : leaf.isChannel
                       ? (at.sliced ? "loadChannelSlice" : "loadChannels")
                   : at.sliced ? "loadSlice"
                               : "loadElements";
  std::string left =
      (bits ? "const Bits<N> " : "const Vec<N> ") + leaf.name + " = ";
  return statement(left, load,
                   pointer(at, bits ? "const unsigned char" : "const float"),
                   "place");
}

std::string HookEmitter::storeText(Value value, const HookBuffer &at) {
  bool bits = isBits(value);
  StringRef store = bits        ? "storeBits"
                    : at.sliced ? "storeSlice"
                                : "storeElements";
  return statement("", store, pointer(at, bits ? "unsigned char" : "float"),
                   "place, " + targetOf(value).name);
}

std::string HookEmitter::structText() {
  std::string parameters = "const Args &args, const Place &place";
  for (size_t i = 0; i < hook.given.size(); ++i)
    parameters += ",\n        const Vec<N> " + leaves[i].name;
  for (const std::string &name : returnedNames)
    parameters += ",\n        Vec<N> &" + name;
  std::string loaded, declared, computed, copied, stored;
  for (size_t leaf : loads)
    loaded += loadText(leaves[leaf]);
  for (const Target &target : targets) {
    if (target.function.empty())
      continue;
    if (!llvm::is_contained(returnedNames, target.name))
      declared += (isBits(target.value) ? "    Bits<N> " : "    Vec<N> ") +
                  target.name + ";\n";
    std::string call = target.function + "(";
    for (size_t leaf : target.operands)
      call += (leaf == target.operands.front() ? "" : ", ") +
              leaves[leaf].name + "[i]";
    call += ")";
    computed += isBits(target.value)
                    ? "      " + target.name + ".set(i, " + call + ");\n"
                    : "      " + target.name + "[i] = " + call + ";\n";
  }
  for (auto [value, name] : llvm::zip(hook.returned, returnedNames))
    if (targetOf(value).name != name)
      copied += "    " + name + " = " + targetOf(value).name + ";\n";
  for (const auto &[value, at] : hook.stored)
    stored += storeText(value, at);
  if (!computed.empty())
    computed = "#pragma unroll\n    for (int i = 0; i < N; ++i) {\n" +
               computed + "    }\n";
  return "struct " + hook.name +
         " {\n"
         "  template <int N, class Args>\n"
         "  static __device__ __forceinline__ void\n"
         "  apply(" +
         parameters + ") {\n" + loaded + declared + computed + copied + stored +
         "  }\n};";
}

void HookEmitter::emit() {
  for (Value given : hook.given)
    addLeaf(given, false, nameOfGiven(given));
  SmallVector<Value> values;
  for (Value value : hook.returned) {
    returnedNames.push_back(uniqueName("result"));
    values.push_back(value);
  }
  for (const auto &[value, at] : hook.stored)
    values.push_back(value);
  // A value may then be computed of others.
  llvm::sort(values, [](Value a, Value b) {
    Operation *first = a.getDefiningOp(), *second = b.getDefiningOp();
    if (!first || !second)
      return !first && second;
    return first != second && first->isBeforeInBlock(second);
  });
  std::string comment = "\n";
  for (StringRef line : llvm::split(hook.comment, '\n'))
    comment += ("// " + line + "\n").str();
  for (Value value : values)
    addTarget(value);
  e.text(comment + structText());
}

void emitHook(CudaEmission &e, const ElementHook &hook) {
  HookEmitter(e, hook).emit();
}

} // namespace cambium::grow
