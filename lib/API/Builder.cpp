//===- Builder.cpp - Describing a network in C++ --------------------------===//
//
// Part of Cambium, under the Apache License v2.0 with LLVM Exceptions.
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
//===----------------------------------------------------------------------===//

#include "cambium/Builder.h"

#include "Growth.h"
#include "NetworkImpl.h"

#include "cambium/IR/Grow.h"

#include "mlir/Dialect/Func/IR/FuncOps.h"
#include "mlir/IR/Verifier.h"
#include "llvm/ADT/ScopeExit.h"

using namespace mlir;

namespace cambium {

using namespace internal;
using namespace grow;

using TensorValue = mlir::Value;

namespace {

/// A parameter or state that a map's body takes for each branch.
struct BranchOperand {
  std::string role;
  RankedTensorType type;
  std::string group;
  Attribute init;
  bool trained;
};

} // namespace

struct Builder::Impl {
  explicit Impl(Builder &owner)
      : owner(owner), context(makeContext()), builder(context.get()),
        loc(builder.getUnknownLoc()) {
    module = ModuleOp::create(loc);
    declarations = OpBuilder::atBlockEnd(module->getBody());
  }

  RankedTensorType tensor(ArrayRef<int64_t> shape) {
    return RankedTensorType::get(shape, builder.getF32Type());
  }

  /// A parameter's or state's value where the builder stands: read by name, or
  /// in a map's body an argument of the body.
  TensorValue stored(const std::string &role, RankedTensorType type,
                     Attribute init, bool trained);
  void declare(const std::string &name, const BranchOperand &operand);
  Attribute weightInit();
  /// The operation's result; throws what its shape inference says.
  template <typename Op>
  using SetProperties = llvm::function_ref<void(typename Op::Properties &)>;
  template <typename Op>
  TensorValue make(ValueRange operands, SetProperties<Op> set = nullptr);
  Value wrap(TensorValue value) {
    return Value(&owner, value.getAsOpaquePointer());
  }
  template <typename Op>
  Value apply(ArrayRef<const void *> operands,
              SetProperties<Op> set = nullptr) {
    SmallVector<TensorValue> values;
    for (const void *operand : operands)
      values.push_back(TensorValue::getFromOpaquePointer(operand));
    return wrap(make<Op>(values, set));
  }
  DenseI64ArrayAttr pair(const std::array<int64_t, 2> &values) {
    return builder.getDenseI64ArrayAttr(values);
  }
  /// The network that ends with the output.
  template <typename Loss> Network finish(TensorValue output, Type target);
  /// The value in the IR; throws if it is of another builder.
  TensorValue own(const Value &value) {
    if (value.builder != &owner)
      throw Error("the value belongs to another builder");
    return TensorValue::getFromOpaquePointer(value.handle);
  }

  Builder &owner;
  std::unique_ptr<MLIRContext> context;
  OwningOpRef<ModuleOp> module;
  OpBuilder builder, declarations{static_cast<MLIRContext *>(nullptr)};
  Location loc;
  func::FuncOp forward;
  std::string group;
  Init init = Init::kaiming();
  /// Set while a map's body is described.
  Block *mapBody = nullptr;
  std::vector<BranchOperand> branchOperands;
};

/// Takes back what was described since it was made, unless that is kept.
class Builder::Undo {
public:
  explicit Undo(Impl &impl)
      : impl(impl), mapBody(impl.mapBody),
        block(impl.builder.getInsertionBlock()), last(lastOf(block)),
        declared(lastOf(impl.module->getBody())),
        arguments(mapBody ? mapBody->getNumArguments() : 0),
        operands(impl.branchOperands.size()) {}
  ~Undo() {
    if (kept)
      return;
    eraseAfter(block, last);
    eraseAfter(impl.module->getBody(), declared);
    if (!mapBody)
      return;
    mapBody->eraseArguments(arguments, mapBody->getNumArguments() - arguments);
    impl.branchOperands.erase(impl.branchOperands.begin() + operands,
                              impl.branchOperands.end());
  }
  template <typename T> T keep(T value) {
    kept = true;
    return value;
  }

private:
  static Operation *lastOf(Block *block) {
    return block->empty() ? nullptr : &block->back();
  }
  static void eraseAfter(Block *block, Operation *last) {
    while (lastOf(block) != last)
      block->back().erase();
  }

  Impl &impl;
  Block *mapBody, *block;
  Operation *last, *declared;
  unsigned arguments;
  size_t operands;
  bool kept = false;
};

void Builder::Impl::declare(const std::string &name,
                            const BranchOperand &operand) {
  if (module->lookupSymbol(name))
    throw Error("the name '" + name +
                "' is taken; each parameter needs one of "
                "its own");
  if (operand.trained)
    ParamOp::create(declarations, loc, name, operand.type, operand.group,
                    operand.init);
  else
    StateOp::create(declarations, loc, name, operand.type, operand.init);
}

TensorValue Builder::Impl::stored(const std::string &role,
                                  RankedTensorType type, Attribute init,
                                  bool trained) {
  if (group.empty() && trained)
    throw Error("parameter '" + role +
                "' has no optimizer group; call "
                "Builder::group first");
  BranchOperand operand{role, type, group, init, trained};
  if (mapBody) {
    branchOperands.push_back(std::move(operand));
    return mapBody->addArgument(type, loc);
  }
  declare(role, operand);
  return GetOp::create(builder, loc, type, role);
}

Attribute Builder::Impl::weightInit() {
  switch (init.kind) {
  case Init::Kind::Zero:
    return ZeroAttr::get(context.get());
  case Init::Kind::Constant:
    return ConstantAttr::get(context.get(), init.value);
  case Init::Kind::Kaiming:
    return KaimingAttr::get(context.get());
  case Init::Kind::Copy:
    break;
  }
  throw Error("a new network has no branch to copy");
}

template <typename Op>
TensorValue Builder::Impl::make(ValueRange operands, SetProperties<Op> set) {
  DiagnosticCollector diagnostics(context.get());
  // Not through Op::build, which aborts where no type can be inferred.
  OperationState state(loc, Op::getOperationName());
  state.addOperands(operands);
  if constexpr (!std::is_same_v<typename Op::Properties, EmptyProperties>) {
    auto &properties = state.getOrAddProperties<typename Op::Properties>();
    if (set)
      set(properties);
    Op::populateDefaultProperties(state.name, properties);
  }
  SmallVector<Type> types;
  if (failed(Op::inferReturnTypes(context.get(), loc, state.operands,
                                  DictionaryAttr(), state.getRawProperties(),
                                  state.regions, types)))
    diagnostics.raise("the shapes do not fit");
  state.addTypes(types);
  Operation *op = builder.create(state);
  if (succeeded(mlir::verify(op)))
    return op->getResult(0);
  op->erase();
  diagnostics.raise("the shapes do not fit");
}

//===----------------------------------------------------------------------===//
// Value
//===----------------------------------------------------------------------===//

static TensorValue unwrap(const void *handle) {
  return TensorValue::getFromOpaquePointer(handle);
}

static RankedTensorType typeOf(const void *handle) {
  return cast<RankedTensorType>(unwrap(handle).getType());
}

static int64_t lastExtent(const void *handle, const char *what) {
  auto shape = typeOf(handle).getShape();
  if (shape.size() < 2)
    throw Error(std::string(what) + " needs a tensor with a last dimension");
  return shape.back();
}

Value Value::conv2d(const std::string &name, int64_t filters,
                    std::array<int64_t, 2> kernel) const {
  return conv2d(name, filters, kernel, ConvOptions());
}

Value Value::conv2d(const std::string &name, int64_t filters,
                    std::array<int64_t, 2> kernel,
                    const ConvOptions &options) const {
  Builder::Impl &impl = *builder->impl;
  int64_t channels = lastExtent(handle, "conv2d");
  if (typeOf(handle).getRank() != 4 || filters < 1 || options.groups < 1 ||
      kernel[0] < 1 || kernel[1] < 1)
    throw Error("conv2d '" + name +
                "' needs images [N, H, W, C], and at least "
                "one filter, group, row and column");
  Builder::Undo undo(impl);
  TensorValue filter = impl.stored(
      name,
      impl.tensor({kernel[0], kernel[1],
                   std::max<int64_t>(channels / options.groups, 1), filters}),
      impl.weightInit(), /*trained=*/true);
  return undo.keep(impl.wrap(impl.make<Conv2DOp>(
      {unwrap(handle), filter}, [&](Conv2DOp::Properties &properties) {
        properties.strides = impl.pair(options.stride);
        properties.padding = impl.pair(options.padding);
        properties.dilations = impl.pair(options.dilation);
        properties.groups = impl.builder.getI64IntegerAttr(options.groups);
      })));
}

Value Value::linear(const std::string &name, int64_t features) const {
  Builder::Impl &impl = *builder->impl;
  if (typeOf(handle).getRank() != 2 || features < 1)
    throw Error("linear '" + name +
                "' needs a matrix [N, features] and at "
                "least one feature; flatten() makes one");
  Builder::Undo undo(impl);
  TensorValue weight =
      impl.stored(name, impl.tensor({typeOf(handle).getDimSize(1), features}),
                  impl.weightInit(), /*trained=*/true);
  return undo.keep(impl.wrap(impl.make<LinearOp>({unwrap(handle), weight})));
}

Value Value::bias(const std::string &name) const {
  Builder::Impl &impl = *builder->impl;
  Builder::Undo undo(impl);
  TensorValue vector =
      impl.stored(name, impl.tensor({lastExtent(handle, "bias")}),
                  ZeroAttr::get(impl.context.get()), /*trained=*/true);
  return undo.keep(impl.wrap(impl.make<BiasAddOp>({unwrap(handle), vector})));
}

Value Value::channelScale(const std::string &name) const {
  Builder::Impl &impl = *builder->impl;
  Builder::Undo undo(impl);
  TensorValue vector =
      impl.stored(name, impl.tensor({lastExtent(handle, "channelScale")}),
                  ConstantAttr::get(impl.context.get(), 1.0), /*trained=*/true);
  return undo.keep(
      impl.wrap(impl.make<ChannelScaleOp>({unwrap(handle), vector})));
}

Value Value::batchNorm(const std::string &name, float momentum,
                       float epsilon) const {
  Builder::Impl &impl = *builder->impl;
  RankedTensorType type = impl.tensor({lastExtent(handle, "batchNorm")});
  Builder::Undo undo(impl);
  Attribute zero = ZeroAttr::get(impl.context.get());
  Attribute one = ConstantAttr::get(impl.context.get(), 1.0);
  TensorValue scale = impl.stored(name + ".scale", type, one, true);
  TensorValue shift = impl.stored(name + ".shift", type, zero, true);
  TensorValue mean = impl.stored(name + ".mean", type, zero, false);
  TensorValue variance = impl.stored(name + ".variance", type, one, false);
  return undo.keep(impl.wrap(impl.make<BatchNormOp>(
      {unwrap(handle), scale, shift, mean, variance},
      [&](BatchNormOp::Properties &properties) {
        properties.momentum = impl.builder.getF64FloatAttr(realOf(momentum));
        properties.epsilon = impl.builder.getF64FloatAttr(realOf(epsilon));
      })));
}

Value Value::relu() const { return builder->impl->apply<ReluOp>(handle); }
Value Value::gelu() const { return builder->impl->apply<GeluOp>(handle); }
Value Value::silu() const { return builder->impl->apply<SiluOp>(handle); }
Value Value::tanh() const { return builder->impl->apply<TanhOp>(handle); }
Value Value::sigmoid() const { return builder->impl->apply<SigmoidOp>(handle); }
Value Value::globalAvgPool() const {
  return builder->impl->apply<GlobalAvgPoolOp>(handle);
}
Value Value::flatten() const { return builder->impl->apply<FlattenOp>(handle); }

Value Value::leakyRelu(float slope) const {
  Builder::Impl &impl = *builder->impl;
  return impl.apply<LeakyReluOp>(
      handle, [&](LeakyReluOp::Properties &properties) {
        properties.slope = impl.builder.getF64FloatAttr(realOf(slope));
      });
}

Value Value::scale(float factor) const {
  Builder::Impl &impl = *builder->impl;
  return impl.apply<ScaleOp>(handle, [&](ScaleOp::Properties &properties) {
    properties.factor = impl.builder.getF64FloatAttr(realOf(factor));
  });
}

Value Value::add(const Value &other) const {
  builder->impl->own(other);
  return builder->impl->apply<AddOp>({handle, other.handle});
}

Value Value::mul(const Value &other) const {
  builder->impl->own(other);
  return builder->impl->apply<MulOp>({handle, other.handle});
}

Value Value::maxPool2d(std::array<int64_t, 2> window,
                       std::array<int64_t, 2> stride) const {
  Builder::Impl &impl = *builder->impl;
  return impl.apply<MaxPool2DOp>(handle,
                                 [&](MaxPool2DOp::Properties &properties) {
                                   properties.window = impl.pair(window);
                                   properties.strides = impl.pair(stride);
                                 });
}

Value Value::avgPool2d(std::array<int64_t, 2> window,
                       std::array<int64_t, 2> stride) const {
  Builder::Impl &impl = *builder->impl;
  return impl.apply<AvgPool2DOp>(handle,
                                 [&](AvgPool2DOp::Properties &properties) {
                                   properties.window = impl.pair(window);
                                   properties.strides = impl.pair(stride);
                                 });
}

std::vector<int64_t> Value::shape() const {
  std::vector<int64_t> shape = typeOf(handle).getShape().vec();
  for (int64_t &extent : shape)
    if (ShapedType::isDynamic(extent))
      extent = -1;
  return shape;
}

//===----------------------------------------------------------------------===//
// Builder
//===----------------------------------------------------------------------===//

Builder::Builder() : impl(std::make_unique<Impl>(*this)) {}
Builder::~Builder() = default;

Builder &Builder::group(const GroupOptions &options) {
  GroupOptions named = options;
  if (named.name.empty())
    named.name = freeSymbol(SymbolTable(*impl->module), "group");
  if (impl->module->lookupSymbol(named.name))
    throw Error("the name '" + named.name + "' is taken");
  addGroup(*impl->module, named);
  DiagnosticCollector diagnostics(impl->context.get());
  auto op = impl->module->lookupSymbol<GroupOp>(named.name);
  if (failed(op.verify())) {
    op.erase();
    diagnostics.raise("the group's options are not valid");
  }
  impl->group = named.name;
  return *this;
}

Builder &Builder::init(const Init &init) {
  impl->init = init;
  return *this;
}

Value Builder::input(const std::vector<int64_t> &shape) {
  if (impl->forward)
    throw Error("a network has one input");
  SmallVector<int64_t> extents = {ShapedType::kDynamic};
  for (int64_t extent : shape) {
    if (extent < 1)
      throw Error("extents of the input must be positive");
    extents.push_back(extent);
  }
  auto type = impl->builder.getFunctionType(impl->tensor(extents), {});
  impl->forward = func::FuncOp::create(impl->loc, "forward", type);
  impl->module->push_back(impl->forward);
  Block *body = impl->forward.addEntryBlock();
  impl->builder.setInsertionPointToEnd(body);
  return impl->wrap(body->getArgument(0));
}

/// The attribute that a policy is written as; null for Auto.
static KeepAttr keepAttr(MLIRContext *context, KeepPolicy policy) {
  switch (policy) {
  case KeepPolicy::Auto:
    return {};
  case KeepPolicy::Mask:
    return KeepAttr::get(context, Keep::Mask);
  case KeepPolicy::Recompute:
    return KeepAttr::get(context, Keep::Recompute);
  case KeepPolicy::Store:
    return KeepAttr::get(context, Keep::Store);
  }
  llvm_unreachable("all policies are covered");
}

Value Builder::map(const std::string &name, Reduction reduction,
                   unsigned branches, const Value &input,
                   const std::function<Value(const Value &)> &body,
                   KeepPolicy keep) {
  if (impl->mapBody)
    throw Error("the body of map '" + name + "' is in that of another map");
  TensorValue shared = impl->own(input);
  Undo undo(*impl);
  Region region;
  Block &block = region.emplaceBlock();
  TensorValue inside = block.addArgument(shared.getType(), impl->loc);
  {
    OpBuilder::InsertionGuard guard(impl->builder);
    impl->builder.setInsertionPointToEnd(&block);
    impl->mapBody = &block;
    impl->branchOperands.clear();
    llvm::scope_exit leave([&] { impl->mapBody = nullptr; });
    TensorValue result = impl->own(body(impl->wrap(inside)));
    YieldOp::create(impl->builder, impl->loc, result);
  }
  SmallVector<TensorValue> params;
  for (unsigned branch = 0; branch < branches; ++branch)
    for (const BranchOperand &operand : impl->branchOperands) {
      std::string symbol =
          name + "." + std::to_string(branch) + "." + operand.role;
      impl->declare(symbol, operand);
      params.push_back(
          GetOp::create(impl->builder, impl->loc, operand.type, symbol));
    }
  DiagnosticCollector diagnostics(impl->context.get());
  auto kind = static_cast<grow::Reduction>(reduction);
  auto yielded =
      cast<RankedTensorType>(block.getTerminator()->getOperand(0).getType());
  auto map = MapOp::create(impl->builder, impl->loc,
                           MapOp::joinedType(yielded, kind, branches), name,
                           kind, branches, keepAttr(impl->context.get(), keep),
                           shared, params);
  map.getBody().takeBody(region);
  if (failed(mlir::verify(map)))
    diagnostics.raise("the map's body is not valid");
  return undo.keep(impl->wrap(map));
}

template <typename Loss>
Network Builder::Impl::finish(TensorValue output, Type target) {
  if (mapBody)
    throw Error("a network cannot end inside the body of a map");
  DiagnosticCollector diagnostics(context.get());
  Builder::Undo undo(*this);
  OpBuilder::InsertionGuard guard(builder);
  func::ReturnOp::create(builder, loc, output);
  Type input = forward.getArgumentTypes()[0];
  forward.setFunctionType(builder.getFunctionType(input, output.getType()));
  auto loss = func::FuncOp::create(
      loc, "loss",
      builder.getFunctionType({input, target}, tensor(ArrayRef<int64_t>())));
  module->push_back(loss);
  Block *body = loss.addEntryBlock();
  builder.setInsertionPointToEnd(body);
  auto call = func::CallOp::create(builder, loc, forward, body->getArgument(0));
  TensorValue result = make<Loss>({call.getResult(0), body->getArgument(1)});
  func::ReturnOp::create(builder, loc, result);
  if (failed(mlir::verify(*module)))
    diagnostics.raise("the network is not valid");
  return Network::parse(printModule(*module));
}

Network Builder::softmaxCrossEntropy(const Value &logits) {
  auto labels =
      RankedTensorType::get({ShapedType::kDynamic}, impl->builder.getI32Type());
  return impl->finish<SoftmaxCrossEntropyOp>(impl->own(logits), labels);
}

Network Builder::meanSquaredError(const Value &output) {
  TensorValue value = impl->own(output);
  return impl->finish<MseOp>(value, value.getType());
}

} // namespace cambium
